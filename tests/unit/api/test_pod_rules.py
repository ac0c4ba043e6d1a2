"""The rules for pods, one by one: a wrong spec, and all that Kubernetes says of it.

Expected: Kubernetes v1.36, pkg/apis/core/validation/validation.go (rules and words) and validation_test.go.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.api.strategy import with_meta
from pinnace.base.errors import ApiError
from pinnace.kube.kinds import DEPLOYMENT
from pinnace.kube.objects.core_v1 import HostIP, PodIP
from tests.unit.api.builders import Causes, causes_of, decode, deployment_document, document, make_api, pod

MAIN = "spec.containers[0]"


async def causes_of_pod(**given: Any) -> Causes:
    api, _ = await make_api()
    return await causes_of(api.create(pod(**given)))


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", **source}]}


SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
VOLUME = "spec.volumes[0]"
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


# ---------------------------------------------------------------------------------------------------- volumes


@pytest.mark.parametrize(
    "source",
    [
        {"emptyDir": {"sizeLimit": "1Gi", "medium": "Memory"}},
        {"hostPath": {"path": "/x", "type": "Directory"}},
        {"gitRepo": {"repository": "r", "directory": "d"}},
        {"gcePersistentDisk": {"pdName": "p", "partition": 1}},
        {"awsElasticBlockStore": {"volumeID": "v"}},
        {"nfs": {"server": "s", "path": "/p"}},
        {"iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2015-02.example.com:test", "lun": 0}},
        {"glusterfs": {"endpoints": "e", "path": "p"}},
        {"flocker": {"datasetName": "d"}},
        {"persistentVolumeClaim": {"claimName": "c"}},
        {"rbd": {"monitors": ["m"], "image": "i"}},
        {"cinder": {"volumeID": "v"}},
        {"cephfs": {"monitors": ["m"]}},
        {"quobyte": {"registry": "r:1", "volume": "v"}},
        {"fc": {"targetWWNs": ["w"], "lun": 1}},
        {"fc": {"wwids": ["w"]}},
        {"flexVolume": {"driver": "d/e", "options": {"a": "b"}}},
        {"azureFile": {"secretName": "s", "shareName": "t"}},
        {"vsphereVolume": {"volumePath": "p"}},
        {"photonPersistentDisk": {"pdID": "p"}},
        {"portworxVolume": {"volumeID": "v"}},
        {"azureDisk": {"diskName": "d", "diskURI": "https://blob/vhds/x.vhd"}},
        {"storageos": {"volumeName": "v"}},
        {"scaleIO": {"gateway": "g", "system": "s", "volumeName": "v", "secretRef": {"name": "s"}}},
        {"csi": {"driver": "csi.example.com"}},
        {"ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": CLAIM}}},
        {"image": {"reference": "app:v1"}},
        {"projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]}}]}},
        {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels['a']"}}]}},
    ],
    ids=lambda source: next(iter(source)),
)
async def test_every_type_of_volume_is_taken(source: dict[str, Any]) -> None:
    assert await causes_of_pod(spec=volume(**source)) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"emptyDir": {"sizeLimit": "-1"}}, [("emptyDir.sizeLimit", "Forbidden: SizeLimit field must be a valid resource quantity")]),
        ({"hostPath": {"path": ""}}, [("hostPath.path", "Required value")]),
        ({"hostPath": {"path": "/a/../b"}}, [("hostPath.path", "Invalid value: \"/a/../b\": must not contain '..'")]),
        (
            {"hostPath": {"path": "/x", "type": "Pipe"}},
            [("hostPath.type", 'Unsupported value: "Pipe": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"')],
        ),
        (
            {"gitRepo": {"repository": "", "directory": "/x"}},
            [("gitRepo.repository", "Required value"), ("gitRepo.directory", 'Invalid value: "/x": must be a relative path')],
        ),
        (
            {"gcePersistentDisk": {"pdName": "", "partition": 256}},
            [("persistentDisk.pdName", "Required value"), ("persistentDisk.partition", "Invalid value: 256: must be between 0 and 255, inclusive")],
        ),
        ({"awsElasticBlockStore": {"volumeID": ""}}, [("awsElasticBlockStore.volumeID", "Required value")]),
        (
            {"nfs": {"server": "", "path": "p"}},
            [("nfs.server", "Required value"), ("nfs.path", 'Invalid value: "p": must be an absolute path')],
        ),
        (
            {"iscsi": {"targetPortal": "", "iqn": "x", "lun": 256, "chapAuthSession": True}},
            [
                ("iscsi.targetPortal", "Required value"),
                ("iscsi.iqn", 'Invalid value: "x": must be valid format starting with iqn, eui, or naa'),
                ("iscsi.lun", "Invalid value: 256: must be between 0 and 255, inclusive"),
                ("iscsi.secretRef", "Required value"),
            ],
        ),
        (
            {"iscsi": {"targetPortal": "p", "iqn": "iqn.nothing", "lun": 0}},
            [("iscsi.iqn", 'Invalid value: "iqn.nothing": must be valid format')],
        ),
        ({"glusterfs": {"endpoints": "", "path": ""}}, [("glusterfs.endpoints", "Required value"), ("glusterfs.path", "Required value")]),
        ({"flocker": {}}, [("flocker", "Required value: one of datasetName and datasetUUID is required")]),
        (
            {"flocker": {"datasetName": "a/b", "datasetUUID": "u"}},
            [
                ("flocker", 'Invalid value: "resource": datasetName and datasetUUID can not be specified simultaneously'),
                ("flocker.datasetName", "Invalid value: \"a/b\": must not contain '/'"),
            ],
        ),
        ({"persistentVolumeClaim": {"claimName": ""}}, [("persistentVolumeClaim.claimName", "Required value")]),
        ({"rbd": {"monitors": [], "image": ""}}, [("rbd.monitors", "Required value"), ("rbd.image", "Required value")]),
        ({"cinder": {"volumeID": "", "secretRef": {"name": ""}}}, [("cinder.volumeID", "Required value"), ("cinder.secretRef.name", "Required value")]),
        ({"cephfs": {"monitors": []}}, [("cephfs.monitors", "Required value")]),
        (
            {"quobyte": {"registry": "nowhere", "volume": ""}},
            [
                ("quobyte.registry", 'Invalid value: "nowhere": must be a host:port pair or multiple pairs separated by commas'),
                ("quobyte.volume", "Required value"),
            ],
        ),
        ({"fc": {}}, [("fc.targetWWNs", "Required value: must specify either targetWWNs or wwids, but not both")]),
        (
            {"fc": {"targetWWNs": ["w"], "wwids": ["x"]}},
            [
                ("fc.targetWWNs", 'Invalid value: ["w"]: targetWWNs and wwids can not be specified simultaneously'),
                ("fc.lun", "Required value: lun is required if targetWWNs is specified"),
            ],
        ),
        (
            {"flexVolume": {"driver": "", "options": {"a.kubernetes.io/b": "c"}}},
            [
                ("flexVolume.driver", "Required value"),
                ("flexVolume.options[a.kubernetes.io/b]", 'Invalid value: "a.kubernetes.io/b": kubernetes.io and k8s.io namespaces are reserved'),
            ],
        ),
        (
            {"azureDisk": {"diskName": "d", "diskURI": "x", "kind": "Managed"}},
            [("azureDisk.diskURI", 'Unsupported value: "x": supported values: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"')],
        ),
        (
            {"azureDisk": {"diskName": "d", "diskURI": "https://x", "cachingMode": "All"}},
            [("azureDisk.cachingMode", 'Unsupported value: "All": supported values: "None", "ReadOnly", "ReadWrite"')],
        ),
        (
            {"scaleIO": {"gateway": "", "system": "", "secretRef": {"name": "s"}}},
            [("scaleIO.gateway", "Required value"), ("scaleIO.system", "Required value"), ("scaleIO.volumeName", "Required value")],
        ),
        (
            {"csi": {"driver": "a" * 64, "nodePublishSecretRef": {"name": ""}}},
            [("csi.driver", "Too long: may not be more than 63 bytes"), ("csi.nodePublishSecretRef.name", "Required value")],
        ),
        ({"ephemeral": {}}, [("ephemeral.volumeClaimTemplate", "Required value")]),
        (
            {"ephemeral": {"volumeClaimTemplate": {"metadata": {"name": "x"}, "spec": {**CLAIM, "accessModes": []}}}},
            [
                ("ephemeral.volumeClaimTemplate.metadata.name", "Forbidden: cannot be set"),
                ("ephemeral.volumeClaimTemplate.spec.accessModes", "Required value: at least 1 access mode is required"),
            ],
        ),
        (
            {"image": {"reference": "a", "pullPolicy": "Often"}},
            [("image.pullPolicy", 'Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never"')],
        ),
        (
            {"configMap": {"name": "", "defaultMode": 0o1000, "items": [{"key": "", "path": "../x"}, {"key": "k", "path": "..x", "mode": -1}]}},
            [
                ("configMap.name", "Required value"),
                ("configMap.defaultMode", "Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive"),
                ("configMap.items[0].key", "Required value"),
                ("configMap.items[0].path", "Invalid value: \"../x\": must not contain '..'"),
                ("configMap.items[1].path", "Invalid value: \"..x\": must not start with '..'"),
                ("configMap.items[1].mode", "Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive"),
            ],
        ),
        (
            {"downwardAPI": {"items": [{"path": "/l", "fieldRef": {"fieldPath": "metadata.nothing"}}]}},
            [
                ("downwardAPI.path", 'Invalid value: "/l": must be a relative path'),
                ("downwardAPI.fieldRef.fieldPath", 'Invalid value: "metadata.nothing": error converting fieldPath: field label not supported: metadata.nothing'),
            ],
        ),
        (
            {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "spec.nodeName"}}, {"path": "m"}]}},
            [
                ("downwardAPI.fieldRef.fieldPath", 'Unsupported value: "spec.nodeName": supported values: "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"'),
                ("downwardAPI", "Required value: one of fieldRef and resourceFieldRef is required"),
            ],
        ),
        (
            {"downwardAPI": {"items": [{"path": "l", "resourceFieldRef": {"resource": "limits.cpu", "divisor": "5m"}}]}},
            [
                ("downwardAPI.resourceFieldRef.containerName", "Required value"),
                ("downwardAPI.resourceFieldRef.divisor", 'Invalid value: "limits.cpu": only divisor\'s values 1m and 1 are supported with the cpu resource'),
            ],
        ),
        (
            {"projected": {"sources": [
                {"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]}, "configMap": {"name": "c"}},
                {"configMap": {"name": "", "items": [{"key": "k", "path": "p"}]}},
                {"serviceAccountToken": {"path": "", "expirationSeconds": 599}},
            ]}},
            [
                ("projected.sources[0]", "Forbidden: may not specify more than 1 volume type"),
                ("projected.sources[1].configMap.name", "Required value"),
                ("projected", 'Invalid value: "": conflicting duplicate paths'),
                ("projected.sources[2].serviceAccountToken.expirationSeconds", "Invalid value: 599: may not specify a duration less than 10 minutes"),
                ("projected.path", "Required value"),
            ],
        ),
        (
            {"projected": {"sources": [
                {"podCertificate": {"signerName": "example/s", "keyType": "RSA", "maxExpirationSeconds": 3599}},
                {"podCertificate": {"signerName": "", "keyType": "ED25519", "maxExpirationSeconds": 7862401, "keyPath": "k", "certificateChainPath": "k"}},
                {"podCertificate": {"signerName": "example.com/a/b", "keyType": "ED25519", "credentialBundlePath": "../x"}},
                {"podCertificate": {"signerName": "example.com/A", "keyType": "ED25519", "credentialBundlePath": "x"}},
            ]}},
            [
                ("projected.sources[0].podCertificate.signerName", 'Invalid value: "example": should be a domain with at least two segments separated by dots'),
                ("projected.sources[0].podCertificate.keyType", 'Unsupported value: "RSA": supported values: "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"'),
                ("projected.sources[0].podCertificate.maxExpirationSeconds", "Invalid value: 3599: if provided, maxExpirationSeconds must be >= 3600"),
                ("projected.sources[0].podCertificate", "Required value: specify at least one of credentialBundlePath, keyPath, and certificateChainPath"),
                ("projected.sources[1].podCertificate.signerName", "Required value"),
                ("projected.sources[1].podCertificate.maxExpirationSeconds", "Invalid value: 7862401: if provided, maxExpirationSeconds must be <= 7862400"),
                ("projected", 'Invalid value: "k": conflicting duplicate paths'),
                ("projected.sources[2].podCertificate.signerName", "Invalid value: \"example.com/a/b\": must be a fully qualified domain and path of the form 'example.com/signer-name'"),
                ("projected.sources[2].podCertificate.credentialBundlePath", "Invalid value: \"../x\": must not contain '..'"),
                ("projected.sources[3].podCertificate.signerName", f'Invalid value: "A": validating label "A": {SUBDOMAIN}'),
            ],
        ),
    ],
)  # fmt: skip
async def test_wrong_volumes(source: dict[str, Any], expected: Causes) -> None:
    found = await causes_of_pod(spec=volume(**source))
    assert found == [(f"{VOLUME}.{field}" if field else VOLUME, message) for field, message in expected]


async def test_two_types_in_one_volume() -> None:
    assert await causes_of_pod(spec=volume(emptyDir={}, secret={"secretName": "s"}, nfs={"server": "s", "path": "/p"})) == [
        (f"{VOLUME}.secret", "Forbidden: may not specify more than 1 volume type"),
        (f"{VOLUME}.nfs", "Forbidden: may not specify more than 1 volume type"),
    ]  # fmt: skip


async def test_the_claim_of_an_ephemeral_volume_is_nobody_elses() -> None:
    spec = {
        "volumes": [
            {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}},
            {"name": "w", "persistentVolumeClaim": {"claimName": "web-v"}},
        ]
    }
    assert await causes_of_pod(spec=spec) == [
        (
            "spec.volumes[1].persistentVolumeClaim.claimName",
            'Invalid value: "web-v": must not reference a PVC that gets created for an ephemeral volume',
        )
    ]


# ---------------------------------------------------------------------------------------------------- containers

PVC = {
    "volumes": [{"name": "block", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "v", "emptyDir": {}}]
}


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"image": " app"}, [("image", 'Invalid value: " app": must not have leading or trailing whitespace')]),
        (
            {"terminationMessagePolicy": "Nothing"},
            [("terminationMessagePolicy", 'Unsupported value: "Nothing": supported values: "File", "FallbackToLogsOnError"')],
        ),
        (
            {"restartPolicy": "Sometimes"},
            [("restartPolicy", 'Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"')],
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "/x", "subPathExpr": "y"}]},
            [
                ("volumeMounts.subPath", 'Invalid value: "/x": must be a relative path'),
                ("volumeMounts[0].subPathExpr", 'Invalid value: "y": subPathExpr and subPath are mutually exclusive'),
            ],
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]},
            [("volumeMounts.mountPropagation", "Forbidden: Bidirectional mount propagation is available only to privileged containers")],
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/v", "recursiveReadOnly": "Enabled"}]},
            [("volumeMounts.recursiveReadOnly", "Forbidden: may only be specified when readOnly is true")],
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/v"}]},
            [("volumeMounts[1].mountPath", 'Invalid value: "/v": must be unique')],
        ),
        (
            {"volumeDevices": [{"name": "v", "devicePath": "/dev/a"}, {"name": "gone", "devicePath": "/dev/../b"}]},
            [
                ("volumeDevices[0].name", 'Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode'),
                ("volumeDevices[1].name", 'Not found: "gone"'),
                ("volumeDevices[1].devicePath", "Invalid value: \"/dev/../b\": can not contain backsteps ('..')"),
            ],
        ),
        (
            {"volumeDevices": [{"name": "block", "devicePath": "/d"}], "volumeMounts": [{"name": "block", "mountPath": "/d"}]},
            [
                ("volumeMounts[0].name", 'Invalid value: "block": must not already exist in volumeDevices'),
                ("volumeMounts[0].mountPath", 'Invalid value: "/d": must not already exist as a path in volumeDevices'),
                ("volumeDevices[0].name", 'Invalid value: "block": must not already exist in volumeMounts'),
                ("volumeDevices[0].devicePath", 'Invalid value: "/d": must not already exist as a path in volumeMounts'),
            ],
        ),
        (
            {"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            [("env[0].valueFrom", 'Invalid value: "": may not be specified when `value` is not empty')],
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]},
            [("env[0].valueFrom.fieldRef.fieldPath", 'Unsupported value: "status.phase": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"')],
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName['x']"}}}]},
            [("env[0].valueFrom.fieldRef.fieldPath", "Invalid value: \"spec.nodeName['x']\": error converting fieldPath: field label does not support subscript: spec.nodeName['x']")],
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]},
            [("env[0].valueFrom.resourceFieldRef.resource", 'Unsupported value: "limits.gpu": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"')],
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "a/b"}}}]},
            [("env[0].valueFrom.secretKeyRef.key", "Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')")],
        ),
        ({"envFrom": [{}]}, [("envFrom", 'Invalid value: "": must specify one of: `configMapRef` or `secretRef`')]),
        ({"envFrom": [{"secretRef": {"name": ""}}]}, [("envFrom[0].secretRef.name", "Required value")]),
        (
            {"resources": {"limits": {"gpu": 1}}},
            [
                ("resources.limits[gpu]", 'Invalid value: "gpu": must be a standard resource type or fully qualified'),
                ("resources.limits[gpu]", 'Invalid value: "gpu": must be a standard resource for containers'),
                ("resources.requests[gpu]", 'Invalid value: "gpu": must be a standard resource type or fully qualified'),
                ("resources.requests[gpu]", 'Invalid value: "gpu": must be a standard resource for containers'),
            ],
        ),
        (
            {"resources": {"limits": {"pods": 1}, "requests": {"pods": 1}}},
            [
                ("resources.limits[pods]", 'Invalid value: "pods": must be a standard resource for containers'),
                ("resources.requests[pods]", 'Invalid value: "pods": must be a standard resource for containers'),
            ],
        ),
        (
            {"resources": {"limits": {"hugepages-2Mi": "3Mi", "cpu": 1}, "requests": {"hugepages-2Mi": "3Mi"}}},
            [
                ("resources.limits[hugepages-2Mi]", 'Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi'),
                ("resources.requests[hugepages-2Mi]", 'Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi'),
            ],
        ),
        (
            {"resources": {"limits": {"hugepages-2Mi": "4Mi"}}},
            [("resources", "Forbidden: HugePages require cpu or memory")],
        ),
        (
            {"resources": {"claims": [{"name": "gpu"}]}},
            [("resources.claims[0]", 'Not found: "gpu": must be one of the names in pod.spec.resourceClaims which is empty')],
        ),
        (
            {"livenessProbe": {"httpGet": {"port": "a--b", "scheme": "FTP", "httpHeaders": [{"name": "x y", "value": "z"}]}}},
            [
                ("livenessProbe.httpGet.port", 'Invalid value: "a--b": must not contain consecutive hyphens'),
                ("livenessProbe.httpGet.scheme", 'Unsupported value: "FTP": supported values: "HTTP", "HTTPS"'),
                ("livenessProbe.httpGet.httpHeaders", "Invalid value: \"x y\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"),
            ],
        ),
        (
            {"readinessProbe": {"exec": {"command": []}, "tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 1}},
            [
                ("readinessProbe.exec.command", "Required value"),
                ("readinessProbe.tcpSocket", "Forbidden: may not specify more than 1 handler type"),
                ("readinessProbe.terminationGracePeriodSeconds", "Invalid value: 1: must not be set for readinessProbes"),
            ],
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}},
            [("lifecycle.preStop.sleep", "Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)")],
        ),
        ({"lifecycle": {"postStart": {}}}, [("lifecycle.postStart", "Required value: must specify a handler type")]),
        (
            {"lifecycle": {"stopSignal": "SIGTERM"}},
            [("lifecycle.stopSignal", "Forbidden: may not be set for containers with empty `spec.os.name`")],
        ),
        (
            {"securityContext": {"runAsUser": -1, "runAsGroup": 2**31, "procMount": "Other"}},
            [
                ("securityContext.runAsUser", "Invalid value: -1: must be between 0 and 2147483647, inclusive"),
                ("securityContext.runAsGroup", "Invalid value: 2147483648: must be between 0 and 2147483647, inclusive"),
                ("securityContext.procMount", 'Unsupported value: "Other": supported values: "Default", "Unmasked"'),
            ],
        ),
        (
            {"securityContext": {"procMount": "Unmasked"}},
            [("securityContext.procMount", 'Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`')],
        ),
        (
            {"securityContext": {"seccompProfile": {"type": "Localhost"}}},
            [("securityContext.seccompProfile.localhostProfile", "Required value: must be set when seccomp type is Localhost")],
        ),
        (
            {"securityContext": {"appArmorProfile": {"type": "None"}}},
            [("securityContext.appArmorProfile.type", 'Unsupported value: "None": supported values: "Localhost", "RuntimeDefault", "Unconfined"')],
        ),
        (
            {"securityContext": {"allowPrivilegeEscalation": False, "privileged": True}},
            [("securityContext", 'Invalid value: {"allowPrivilegeEscalation":false,"privileged":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true')],
        ),
        (
            {"ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81, "hostPort": 8080}]},
            [("ports[1].hostPort", 'Duplicate value: "TCP//8080"')],
        ),
    ],
)  # fmt: skip
async def test_wrong_containers(container: dict[str, Any], expected: Causes) -> None:
    found = await causes_of_pod(spec=PVC, **container)
    assert found == [(f"{MAIN}.{field}", message) for field, message in expected]


# ---------------------------------------------------------------------------------------------------- the spec


def spread(**changes: Any) -> dict[str, Any]:
    one = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    return {"topologySpreadConstraints": [{**one, **changes}]}


def anti(**term: Any) -> dict[str, Any]:
    one = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}, **term}
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [one]}}}


ANTI = "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]"
SPREAD = "spec.topologySpreadConstraints[0]"
INIT = [{"name": "first", "image": "app:v1"}]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"dnsPolicy": "None", "dnsConfig": {"searches": ["a"]}},
            [("spec.dnsConfig.nameservers", "Required value: must provide at least one DNS nameserver when `dnsPolicy` is None")],
        ),
        (
            {"dnsConfig": {"nameservers": ["1.1.1.1", "2.2.2.2", "3.3.3.3", "x"], "searches": ["-a", "."], "options": [{}]}},
            [
                ("spec.dnsConfig.nameservers", 'Invalid value: ["1.1.1.1","2.2.2.2","3.3.3.3","x"]: must not have more than 3 nameservers'),
                ("spec.dnsConfig.nameservers[3]", 'Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'),
                ("spec.dnsConfig.searches[0]", "Invalid value: \"-a\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')"),
                ("spec.dnsConfig.options[0]", "Required value: must not be empty"),
            ],
        ),
        (
            {"hostAliases": [{"ip": "010.0.0.1", "hostnames": ["ok"]}, {"ip": "::ffff:1.2.3.4"}]},
            [
                ("spec.hostAliases[0].ip", 'Invalid value: "010.0.0.1": must not have leading 0s'),
                ("spec.hostAliases[1].ip", 'Invalid value: "::ffff:1.2.3.4": must not be an IPv4-mapped IPv6 address'),
            ],
        ),
        ({"os": {"name": "plan9"}}, [("spec.os", 'Unsupported value: "plan9": supported values: "linux", "windows"')]),
        (
            {"os": {"name": "linux"}, "securityContext": {"windowsOptions": {"hostProcess": False}}},
            [("spec.securityContext.windowsOptions", "Forbidden: windows options cannot be set for a linux pod")],
        ),
        (
            {"os": {"name": "windows"}, "securityContext": {"runAsUser": 1, "fsGroup": 2}},
            [
                ("spec.securityContext.fsGroup", "Forbidden: cannot be set for a windows pod"),
                ("spec.securityContext.runAsUser", "Forbidden: cannot be set for a windows pod"),
            ],
        ),
        (
            {"securityContext": {"fsGroup": -1, "supplementalGroups": [1, -2], "fsGroupChangePolicy": "x"}},
            [
                ("spec.securityContext.fsGroup", "Invalid value: -1: must be between 0 and 2147483647, inclusive"),
                ("spec.securityContext.supplementalGroups[1]", "Invalid value: -2: must be between 0 and 2147483647, inclusive"),
                ("spec.securityContext.fsGroupChangePolicy", 'Unsupported value: "x": supported values: "Always", "OnRootMismatch"'),
            ],
        ),
        (
            {"hostNetwork": True, "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}, {"name": "A", "value": ""}]}},
            [
                ("spec.securityContext.sysctls[0].name", "Invalid value: \"net.ipv4.tcp_syncookies\": may not be specified when 'hostNetwork' is true"),
                ("spec.securityContext.sysctls[1].name", 'Invalid value: "A": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$'),
            ],
        ),
        (
            {"shareProcessNamespace": True, "hostPID": True},
            [("spec.securityContext.shareProcessNamespace", "Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled")],
        ),
        (
            {"hostUsers": False, "hostPID": True},
            [("spec.HostPID", "Forbidden: when `pod.Spec.HostUsers` is false")],
        ),
        (
            {"volumes": [{"name": "a.b", "emptyDir": {}}]},
            [("spec.volumes[0].name", 'Invalid value: "a.b": must not contain dots')],
        ),
        ({"readinessGates": [{"conditionType": "a b"}]}, [("spec.readinessGates[0].conditionType", "Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')")]),
        ({"schedulingGates": [{"name": "a"}, {"name": "a"}]}, [("spec.schedulingGates[1]", 'Duplicate value: "a"')]),
        (
            {"schedulingGates": [{"name": "a"}], "nodeName": "n"},
            [("spec.nodeName", "Forbidden: cannot be set until all schedulingGates have been cleared")],
        ),
        (
            {"resourceClaims": [{"name": "a"}, {"name": "b", "resourceClaimName": "x", "resourceClaimTemplateName": "y"}]},
            [
                ("spec.resourceClaims[0]", 'Invalid value: {"name":"a"}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'),
                ("spec.resourceClaims[1]", 'Invalid value: {"name":"b","resourceClaimName":"x","resourceClaimTemplateName":"y"}: at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified'),
            ],
        ),
        (spread(maxSkew=0), [(f"{SPREAD}.maxSkew", "Invalid value: 0: must be greater than zero")]),
        (spread(minDomains=2, whenUnsatisfiable="ScheduleAnyway"), [(f"{SPREAD}.minDomains", "Invalid value: 2: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway")]),
        (spread(nodeTaintsPolicy="x"), [(f"{SPREAD}.nodeTaintsPolicy", 'Unsupported value: "x": supported values: "Honor", "Ignore"')]),
        (
            spread(labelSelector={"matchLabels": {"a": "b"}}, matchLabelKeys=["a"]),
            [(f"{SPREAD}.matchLabelKeys[0]", 'Invalid value: "a": exists in both matchLabelKeys and labelSelector')],
        ),
        (anti(topologyKey=""), [
            (f"{ANTI}.topologyKey", "Required value: can not be empty"),
            (f"{ANTI}.topologyKey", 'Invalid value: "": name part must be non-empty'),
            (f"{ANTI}.topologyKey", "Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"),
        ]),
        (
            anti(matchLabelKeys=["x"], mismatchLabelKeys=["x"]),
            [(f"{ANTI}.matchLabelKeys[0]", 'Invalid value: "x": exists in both matchLabelKeys and mismatchLabelKeys')],
        ),
        (
            {"tolerations": [{"key": "a", "operator": "Exists", "effect": "Never"}]},
            [("spec.tolerations[0].effect", 'Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"')],
        ),
        (
            {"initContainers": [{**INIT[0], "livenessProbe": {"exec": {"command": ["x"]}}}]},
            [("spec.initContainers[0].livenessProbe", "Forbidden: may not be set for init containers without restartPolicy=Always")],
        ),
        ({"ephemeralContainers": INIT}, [("spec.ephemeralContainers", "Forbidden: cannot be set on create")]),
        (
            {"resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}},
            [
                ("spec.resources.limits[nvidia.com/gpu]", 'Unsupported value: "nvidia.com/gpu": supported values: "cpu", "hugepages-", "memory"'),
                ("spec.resources.requests[nvidia.com/gpu]", 'Unsupported value: "nvidia.com/gpu": supported values: "cpu", "hugepages-", "memory"'),
            ],
        ),
    ],
)  # fmt: skip
async def test_wrong_specs(spec: dict[str, Any], expected: Causes) -> None:
    assert await causes_of_pod(spec=spec) == expected


async def test_what_admission_decides_for_a_pod_is_checked_in_a_template() -> None:
    api, _ = await make_api()
    given = deployment_document()
    given["spec"]["template"]["spec"] |= {"overhead": {"cpu": "-1"}, "preemptionPolicy": "Perhaps"}
    with pytest.raises(ApiError) as caught:
        await api.create(decode(DEPLOYMENT, given))
    assert [(cause.field, cause.message) for cause in caught.value.causes] == [
        (
            "spec.template.spec.preemptionPolicy",
            'Unsupported value: "Perhaps": supported values: "PreemptLowerPriority", "Never"',
        ),
        (
            "spec.template.spec.overhead.limits[cpu]",
            'Invalid value: "-1": must be greater than or equal to 0',
        ),
    ]


async def test_a_pod_asks_for_at_least_what_its_containers_ask_for() -> None:
    found = await causes_of_pod(
        spec={"resources": {"requests": {"cpu": "100m"}}}, resources={"requests": {"cpu": "200m"}}
    )
    assert found == [
        (
            "spec.resources.requests[cpu]",
            'Invalid value: "100m": must be greater than or equal to aggregate container requests of 200m',
        )
    ]


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        (
            {"controller.kubernetes.io/pod-deletion-cost": "+1"},
            [("metadata.annotations[controller.kubernetes.io/pod-deletion-cost]", 'Invalid value: "+1": must be a 32bit integer')],
        ),
        (
            {"container.apparmor.security.beta.kubernetes.io/gone": "x"},
            [
                ("metadata.annotations[container.apparmor.security.beta.kubernetes.io/gone]", 'Invalid value: "gone": container not found'),
                ("metadata.annotations[container.apparmor.security.beta.kubernetes.io/gone]", 'Invalid value: "x": invalid AppArmor profile name: "x"'),
            ],
        ),
    ],
)  # fmt: skip
async def test_annotations_that_mean_something(annotations: dict[str, str], expected: Causes) -> None:
    api, _ = await make_api()
    given = pod()
    given = replace(given, metadata=replace(given.metadata, annotations=annotations))
    with pytest.raises(ApiError) as caught:
        await api.create(given)
    assert [(cause.field, cause.message) for cause in caught.value.causes] == expected


# ---------------------------------------------------------------------------------------------------- changes


async def changed(before: dict[str, Any], **now: Any) -> Causes:
    api, _ = await make_api()
    stored = await api.create(pod(spec=before))
    try:
        await api.update(replace(stored, spec=replace(stored.spec, **now)))
    except ApiError as error:
        return [(cause.field, cause.message.partition("\n")[0]) for cause in error.causes]
    return []


async def test_gates_are_only_taken_away() -> None:
    gates = pod(spec={"schedulingGates": [{"name": "b"}]}).spec.scheduling_gates
    assert await changed({"schedulingGates": [{"name": "a"}]}, scheduling_gates=gates) == [
        (
            "spec.schedulingGates[0].name",
            "Forbidden: only deletion is allowed, but found new scheduling gate 'b'",
        )
    ]
    assert await changed({"schedulingGates": [{"name": "a"}]}, scheduling_gates=()) == []


async def test_a_gated_pod_may_get_a_narrower_place() -> None:
    gated = {"schedulingGates": [{"name": "a"}], "nodeSelector": {"x": "1"}}
    assert await changed(gated, node_selector={"x": "1", "y": "2"}) == []
    assert await changed(gated, node_selector={"x": "2"}) == [
        (
            "spec.nodeSelector",
            'Invalid value: {"x":"2"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
        )
    ]
    assert [field for field, _ in await changed({"nodeSelector": {"x": "1"}}, node_selector={})] == ["spec"]


async def test_a_deadline_only_comes_nearer() -> None:
    given = {"activeDeadlineSeconds": 10}
    assert await changed(given, active_deadline_seconds=5) == []
    assert await changed(given, active_deadline_seconds=11) == [
        ("spec.activeDeadlineSeconds", "Invalid value: 11: must be less than or equal to previous value")
    ]
    assert await changed(given, active_deadline_seconds=None) == [
        (
            "spec.activeDeadlineSeconds",
            'Invalid value: "null": must not update from a positive integer to nil value',
        )
    ]


async def test_the_status_of_a_pod_is_checked() -> None:
    api, _ = await make_api()
    stored = await api.create(pod(spec={"restartPolicy": "Never"}))
    status = replace(
        stored.status,
        nominated_node_name="A",
        pod_ips=(PodIP(ip="10.0.0.1"), PodIP(ip="10.0.0.1")),
        host_ip="10.0.0.9",
        host_ips=(HostIP(ip="10.0.0.8"),),
    )
    with pytest.raises(ApiError) as caught:
        await api.update_status(replace(stored, status=status))
    assert [cause.field for cause in caught.value.causes] == [
        "status.nominatedNodeName",
        "status.podIPs",
        "status.podIPs[1]",
        "status.hostIPs[0].ip",
    ]


# ---------------------------------------------------------------------------------------------------- warnings


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"spec": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}}, 'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'),
        ({"spec": volume(gitRepo={"repository": "r"})}, "spec.volumes[0].gitRepo: deprecated in v1.11"),
        ({"resources": {"limits": {"memory": "100m"}}}, 'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer'),
        ({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, 'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'),
        ({"ports": [{"containerPort": 80}, {"containerPort": 80, "name": "x"}]}, "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"),
        ({"ports": [{"containerPort": 80, "hostIP": "127.0.0.1"}]}, "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:127.0.0.1}"),
        ({"spec": spread(labelSelector=None)}, "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod"),
        ({"spec": {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}}, 'spec.imagePullSecrets[1].name: duplicate name "a"'),
        ({"spec": {"hostAliases": [{"ip": "1.1.1.1"}, {"ip": "1.1.1.1"}]}}, 'spec.hostAliases[1].ip: duplicate ip "1.1.1.1"'),
        ({"spec": volume(configMap={"name": "c", "items": [{"key": "a", "path": "p"}, {"key": "b", "path": "p/q"}]})}, 'volume "v" (ConfigMap "c"): overlapping paths: "p/q" with "p"'),
        ({"name": "a.b", "spec": {}}, None),
    ],
)  # fmt: skip
async def test_what_is_legal_and_most_likely_not_meant(given: dict[str, Any], expected: str | None) -> None:
    api, _ = await make_api()
    context = Context(user="me")
    if expected is None:
        given = pod("a.b")  # type: ignore[assignment]
        await api.create(given, context=context)
        assert context.warnings[0] == (
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
            "a DNS label is recommended: [must not contain dots]"
        )
        return
    await api.create(pod(**given), context=context)
    assert expected in context.warnings


async def test_env_that_builds_on_itself_is_no_reason_to_warn() -> None:
    api, _ = await make_api()
    context = Context(user="me")
    await api.create(
        pod(env=[{"name": "P", "value": "/a"}, {"name": "P", "value": "$(P):/b"}]), context=context
    )
    assert context.warnings == []


async def test_the_rest_of_the_defaults_of_volumes() -> None:
    api, _ = await make_api()
    sources: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
        ({"iscsi": {"targetPortal": "p", "iqn": "iqn.2015-02.a.com:b", "lun": 0}}, "iscsi", {"iscsi_interface": "default"}),
        ({"rbd": {"monitors": ["m"], "image": "i"}}, "rbd", {"pool": "rbd", "user": "admin"}),
        ({"image": {"reference": "app"}}, "image", {"pull_policy": "Always"}),
        ({"azureDisk": {"diskName": "d", "diskURI": "https://x"}}, "azure_disk", {"caching_mode": "ReadWrite", "kind": "Shared"}),
    ]  # fmt: skip
    for index, (source, attribute, expected) in enumerate(sources):
        stored = await api.create(pod(f"p{index}", spec=volume(**source)))
        found = getattr(stored.spec.volumes[0], attribute)
        assert {name: getattr(found, name) for name in expected} == expected
    template = {"volumeClaimTemplate": {"spec": CLAIM}}
    stored = await api.create(pod("last", spec=volume(ephemeral=template)))
    claim = document(stored)["spec"]["volumes"][0]["ephemeral"]["volumeClaimTemplate"]
    assert claim["spec"]["volumeMode"] == "Filesystem"


MIRROR = "kubernetes.io/config.mirror"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/main"
COST = "controller.kubernetes.io/pod-deletion-cost"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"a": "b", COST: "7"}, []),
        ({}, {MIRROR: "x"}, [(f"metadata.annotations[{MIRROR}]", "Forbidden: may not add mirror pod annotation")]),
        (
            {MIRROR: "x"},
            {MIRROR: "y"},
            [(f"metadata.annotations[{MIRROR}]", "Forbidden: may not remove or update mirror pod annotation")],
        ),
        ({APPARMOR: "unconfined"}, {}, [(f"metadata.annotations[{APPARMOR}]", "Forbidden: may not remove or update AppArmor annotations")]),
        ({}, {APPARMOR: "unconfined"}, [(f"metadata.annotations[{APPARMOR}]", "Forbidden: may not add AppArmor annotations")]),
        ({}, {COST: "much"}, [(f"metadata.annotations[{COST}]", 'Invalid value: "much": must be a 32bit integer')]),
    ],
)  # fmt: skip
async def test_annotations_of_a_pod_that_exists(
    before: dict[str, str], after: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    api, _ = await make_api()
    made = await api.create(with_meta(pod(spec={"nodeName": "node"}), annotations=before))
    assert await causes_of(api.update(with_meta(made, annotations=after))) == expected


async def test_a_mirror_pod_has_a_node() -> None:
    api, _ = await make_api()
    assert await causes_of(api.create(with_meta(pod(), annotations={MIRROR: "x"}))) == [
        (
            f"metadata.annotations[{MIRROR}]",
            'Invalid value: "x": must set spec.nodeName if mirror pod annotation is set',
        )
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ann", ""),
        ("HOME\\ann", ""),
        ("corp.example.com\\ann", ""),
        (".home\\ann", "Domain doesn't match the NetBios nor the DNS format"),
        ("\\ann", "Domain doesn't match the NetBios nor the DNS format"),
        ("a-name-that-is-long_\\ann", "Domain doesn't match the NetBios nor the DNS format"),
        ("HOME\\", "User cannot be empty"),
        ("..", "User cannot contain only periods or spaces"),
    ],
)
async def test_users_on_windows(name: str, words: str) -> None:
    found = await causes_of_pod(spec={"securityContext": {"windowsOptions": {"runAsUserName": name}}})
    path = "spec.securityContext.windowsOptions.runAsUserName"
    shown = name.replace("\\", "\\\\")
    assert found == ([(path, f'Invalid value: "{shown}": runAsUserName\'s {words}')] if words else [])


async def test_a_certificate_of_a_pod_lasts_a_day() -> None:
    api, _ = await make_api()
    certificate = {"signerName": "example.com/s", "keyType": "ED25519", "credentialBundlePath": "x"}
    made = await api.create(pod(spec=volume(projected={"sources": [{"podCertificate": certificate}]})))
    (source,) = document(made)["spec"]["volumes"][0]["projected"]["sources"]
    assert source == {"podCertificate": {**certificate, "maxExpirationSeconds": 86400}}
