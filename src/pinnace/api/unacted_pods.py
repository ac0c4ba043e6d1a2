"""Lists what nothing acts on in the spec of a pod, wherever such a spec stands: in a Pod, in a workload's template.

Read by `unacted.py`. Paths start below the spec.
"""

from collections.abc import Iterator
from typing import Any

from pinnace.api.unacted_row import Unacted

_WELL_KNOWN = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

_VOLUME_TYPES = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "image",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)


def _on_disk(empty_dir: Any) -> bool:
    return bool(empty_dir.medium != "Memory")


def _is_confined(profile: Any) -> bool:
    return bool(profile.type != "Unconfined")


def _is_own_toleration(toleration: Any) -> bool:
    """Whether somebody wrote it: admission gives every pod those for a node that is not ready or out of reach."""
    return toleration.key not in _WELL_KNOWN


def _of_containers(path: str) -> Iterator[Unacted]:
    rows = (
        Unacted("", "env[].valueFrom.fileKeyRef", "files of a volume don't become variables"),
        Unacted("", "livenessProbe.grpc", "gRPC probes aren't made: the probe fails"),
        Unacted("", "readinessProbe.grpc", "gRPC probes aren't made: the probe fails"),
        Unacted("", "startupProbe.grpc", "gRPC probes aren't made: the probe fails"),
        Unacted("", "resources.claims", "no devices are claimed here"),
        Unacted("", "resources.limits[ephemeral-storage]", "what a container writes to disk isn't limited"),
        Unacted("", "resources.limits[hugepages-1Gi]", "huge pages aren't limited"),
        Unacted("", "resources.limits[hugepages-2Mi]", "huge pages aren't limited"),
        Unacted("", "restartPolicyRules", "the pod's restartPolicy alone decides"),
        Unacted("", "securityContext.appArmorProfile.type", "no AppArmor profile is set", when=_is_confined),
        Unacted("", "securityContext.seLinuxOptions", "no SELinux label is set"),
        Unacted("", "securityContext.seccompProfile.type", "the container runs unconfined", only=("Localhost",)),
        Unacted("", "securityContext.windowsOptions", "containers run on Linux"),
        Unacted("", "volumeDevices", "block devices aren't given to containers"),
        Unacted("", "volumeMounts[].bindMountOptions", "a mount has no options of its own"),
        Unacted("", "volumeMounts[].recursiveReadOnly", "mounts below it stay as they are", only=("Enabled", "IfPossible")),
    )  # fmt: skip
    for row in rows:
        yield row.at("", path)


def _of_ephemeral_containers() -> Iterator[Unacted]:
    for row in _of_containers("ephemeralContainers[]"):
        if row.path.split(".")[1].rstrip("[]") in _OF_EPHEMERAL:
            yield row


# What of a container's fields that aren't acted on an ephemeral one may have at all.
_OF_EPHEMERAL = ("env", "securityContext", "volumeDevices", "volumeMounts")

POD_SPEC: tuple[Unacted, ...] = (
    Unacted("", "activeDeadlineSeconds", "the pod isn't ended after this time"),
    *_of_containers("containers[]"),
    Unacted("", "containers[].restartPolicy", "the pod's restartPolicy alone decides"),
    *_of_ephemeral_containers(),
    Unacted("", "evictionResponders", "nobody is asked before an eviction"),
    Unacted("", "hostUsers", "pods have no user namespaces of their own", only=(False,)),
    Unacted("", "hostnameOverride", "the hostname is that of spec.hostname, else the pod's name"),
    *_of_containers("initContainers[]"),
    Unacted("", "initContainers[].restartPolicy", "the pod's restartPolicy alone decides", only=("Never", "OnFailure")),
    Unacted("", "os.name", "containers run on Linux", only=("windows",)),
    Unacted("", "resourceClaims", "no devices are claimed here"),
    Unacted("", "resources.limits", "the scheduler counts it; the pod's cgroup has the sum of its containers'"),
    Unacted("", "runtimeClassName", "every container runs with the node's own runtime"),
    Unacted("", "schedulingGroup", "pods are scheduled one by one"),
    Unacted("", "securityContext.appArmorProfile.type", "no AppArmor profile is set", when=_is_confined),
    Unacted("", "securityContext.fsGroupChangePolicy", "the group is set at every start", only=("OnRootMismatch",)),
    Unacted("", "securityContext.seLinuxChangePolicy", "no SELinux label is set"),
    Unacted("", "securityContext.seLinuxOptions", "no SELinux label is set"),
    Unacted("", "securityContext.seccompProfile.type", "containers run unconfined", only=("Localhost",)),
    Unacted("", "securityContext.supplementalGroupsPolicy", "the image's groups count, too", only=("Strict",)),
    Unacted("", "securityContext.windowsOptions", "containers run on Linux"),
    Unacted("", "setHostnameAsFQDN", "the hostname is the short one"),
    Unacted("", "tolerations[].tolerationSeconds", "running pods aren't evicted for a taint", when=_is_own_toleration),
    *(Unacted("", f"volumes[].{name}", "volumes of this type aren't mounted, so the pod won't start") for name in _VOLUME_TYPES),
    Unacted("", "volumes[].configMap.defaultUser", "the files belong to root"),
    Unacted("", "volumes[].downwardAPI.defaultUser", "the files belong to root"),
    Unacted("", "volumes[].emptyDir.sizeLimit", "only volumes in memory are limited", when=_on_disk),
    Unacted("", "volumes[].projected.defaultUser", "the files belong to root"),
    Unacted("", "volumes[].projected.sources[].clusterTrustBundle", "sources of this type aren't there, so the pod won't start"),
    Unacted("", "volumes[].projected.sources[].podCertificate", "sources of this type aren't there, so the pod won't start"),
    Unacted("", "volumes[].secret.defaultUser", "the files belong to root"),
)  # fmt: skip
