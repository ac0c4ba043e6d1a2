"""The rules for metadata, Services, nodes, endpoints, Secrets, leases and autoscalers, one by one.

Expected: Kubernetes v1.36, apimachinery/pkg/api/validation/objectmeta.go, pkg/apis/core/validation,
pkg/apis/discovery/validation, pkg/apis/coordination/validation, pkg/apis/autoscaling/validation.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.kube.kinds import (
    CONFIG_MAP,
    ENDPOINT_SLICE,
    ENDPOINTS,
    HORIZONTAL_POD_AUTOSCALER,
    LEASE,
    NODE,
    SECRET,
    SERVICE,
    Kind,
)
from pinnace.kube.objects.core_v1 import LoadBalancerIngress, LoadBalancerStatus, NodeAddress
from tests.unit.api.builders import Causes, causes_of, decode, make_api, service

META = {"name": "web", "namespace": "default"}


async def refusal(kind: Kind[Any], **document: Any) -> Causes:
    api, _ = await make_api()
    meta = {"metadata": META if kind.namespaced else {"name": "web"}, **document}
    return await causes_of(api.create(decode(kind, meta)))


OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}
LONG = "x" * 64


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (
            {"ownerReferences": [{"apiVersion": "a/b/c", "kind": "", "name": "", "uid": ""}]},
            [
                ("metadata.ownerReferences[0].apiVersion", 'Invalid value: "a/b/c": must be <group>/<version> or <version>'),
                ("metadata.ownerReferences[0].kind", "Required value: must not be empty"),
                ("metadata.ownerReferences[0].name", "Required value: must not be empty"),
                ("metadata.ownerReferences[0].uid", "Required value: must not be empty"),
            ],
        ),
        (
            {"ownerReferences": [{**OWNER, "kind": "Event", "controller": None}]},
            [("metadata.ownerReferences[0]", 'Invalid value: {"apiVersion":"v1","kind":"Event","name":"p","uid":"u"}: /v1, Kind=Event is disallowed from being an owner')],
        ),
        (
            {"finalizers": ["hold"]},
            [("metadata.finalizers[0]", 'Invalid value: "hold": name is neither a standard finalizer name nor is it fully qualified')],
        ),
        ({"finalizers": ["kubernetes", "example.com/hold"]}, []),
        (
            {"finalizers": ["orphan", "foregroundDeletion"]},
            [("metadata.finalizers", 'Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set')],
        ),
        (
            {"labels": {"a/b/c": "x"}},
            [("metadata.labels", "Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')")],
        ),
        ({"labels": {LONG: ""}}, [("metadata.labels", f'Invalid value: "{LONG}": name part must be no more than 63 bytes')]),
        ({"labels": {"a": LONG}}, [("metadata.labels", f'Invalid value: "{LONG}": must be no more than 63 bytes')]),
        ({"name": "x" * 254}, [("metadata.name", f'Invalid value: "{"x" * 254}": must be no more than 253 characters')]),
        ({"annotations": {"a": "x" * 2**18}}, [("metadata.annotations", "Too long: may not be more than 262144 bytes")]),
    ],
)  # fmt: skip
async def test_metadata(metadata: dict[str, Any], expected: Causes) -> None:
    assert await refusal(CONFIG_MAP, metadata={**META, **metadata}) == expected


async def test_two_controllers_of_one_object() -> None:
    found = await refusal(CONFIG_MAP, metadata={**META, "ownerReferences": [OWNER, {**OWNER, "name": "q"}]})
    ((field, message),) = found
    assert field == "metadata.ownerReferences"
    assert message.endswith(
        'Only one reference can have Controller set to true. Found "true" in references for Pod/p and Pod/q'
    )


# ---------------------------------------------------------------------------------------------------- Services


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"type": "LoadBalancer", "ports": [{"port": 10250}]},
            [("spec.ports[0]", "Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet")],
        ),
        (
            {"type": "ExternalName", "externalName": "a.b.", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"},
            [
                ("spec.ipFamilies", "Forbidden: may not be set for ExternalName services"),
                ("spec.ipFamilyPolicy", "Forbidden: may not be set for ExternalName services"),
            ],
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
            [("spec.sessionAffinityConfig.clientIP.timeoutSeconds", "Invalid value: 86401: must be greater than 0 and less than 86400")],
        ),
        (
            {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.6"]},
            [("spec.clusterIPs", 'Invalid value: ["10.96.0.6"]: first value must match `clusterIP`')],
        ),
        (
            {"clusterIPs": ["10.96.0.6"]},
            [("spec.clusterIPs", 'Invalid value: ["10.96.0.6"]: must be empty when `clusterIP` is not specified')],
        ),
        (
            {"clusterIP": "None", "clusterIPs": ["None", "10.96.0.6"]},
            [("spec.clusterIPs", "Invalid value: [\"None\",\"10.96.0.6\"]: 'None' must be the first and only value")],
        ),
        (
            {"clusterIP": "010.96.0.6"},
            [("spec.clusterIPs[0]", 'Invalid value: "010.96.0.6": must not have leading 0s')],
        ),
        (
            {"ipFamilies": ["IPv5", "IPv5"], "ipFamilyPolicy": "All"},
            [
                ("spec.ipFamilies[0]", 'Unsupported value: "IPv5": supported values: "IPv4", "IPv6"'),
                ("spec.ipFamilies[1]", 'Unsupported value: "IPv5": supported values: "IPv4", "IPv6"'),
                ("spec.ipFamilies[1]", 'Duplicate value: "IPv5"'),
                ("spec.ipFamilyPolicy", 'Unsupported value: "All": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"'),
            ],
        ),
        (
            {"ipFamilyPolicy": "RequireDualStack"},
            [("spec.ipFamilyPolicy", 'Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services')],
        ),
        ({"ipFamilies": ["IPv6"]}, [("spec.ipFamilies[0]", 'Invalid value: "IPv6": not configured on this cluster')]),
        ({"externalIPs": ["127.0.0.1"]}, [("spec.externalIPs[0]", 'Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)')]),
        ({"externalTrafficPolicy": "Local"}, [("spec.externalTrafficPolicy", 'Invalid value: "Local": may only be set for externally-accessible services')]),
        ({"healthCheckNodePort": 30000}, [("spec.healthCheckNodePort", "Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")]),
        (
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1/8", "x"]},
            [
                ("spec.LoadBalancerSourceRanges[0]", 'Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length'),
                ("spec.LoadBalancerSourceRanges[1]", 'Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'),
            ],
        ),
        ({"loadBalancerClass": "a/b"}, [("spec.loadBalancerClass", "Forbidden: may only be used when `type` is 'LoadBalancer'")]),
        ({"trafficDistribution": "Far"}, [("spec.trafficDistribution", 'Unsupported value: "Far": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"')]),
        ({"internalTrafficPolicy": "Far"}, [("spec.internalTrafficPolicy", 'Unsupported value: "Far": supported values: "Cluster", "Local"')]),
        ({"clusterIP": "None", "selector": {}}, []),
        ({"externalIPs": ["192.0.2.1"]}, []),
    ],
)  # fmt: skip
async def test_services(spec: dict[str, Any], expected: Causes) -> None:
    api, _ = await make_api()
    assert await causes_of(api.create(service(**spec))) == expected


async def test_addresses_of_a_service_stay() -> None:
    api, _ = await make_api()
    stored = await api.create(service())
    bare = replace(stored, spec=replace(stored.spec, cluster_ip="None"))
    assert await causes_of(api.update(bare)) == [
        ("spec.clusterIPs[0]", 'Invalid value: ["None"]: may not change once set')
    ]
    cleared = replace(stored, spec=replace(stored.spec, cluster_ip="", cluster_ips=()))
    assert (await api.update(cleared)).spec.cluster_ip == stored.spec.cluster_ip


async def test_what_a_balancer_says_of_a_service() -> None:
    api, _ = await make_api()
    stored = await api.create(service(type="LoadBalancer"))
    balancer = LoadBalancerStatus(ingress=(LoadBalancerIngress(ip="192.0.2.1"),))
    stored = await api.update_status(replace(stored, status=replace(stored.status, load_balancer=balancer)))
    assert stored.status.load_balancer.ingress[0].ip_mode == "VIP"
    wrong = LoadBalancerStatus(ingress=(LoadBalancerIngress(hostname="192.0.2.1", ip_mode="Proxy"),))
    status = replace(stored.status, load_balancer=wrong)
    assert await causes_of(api.update_status(replace(stored, status=status))) == [
        ("status.loadBalancer.ingress[0].ipMode", "Forbidden: may not be specified when `ip` is not set"),
        (
            "status.loadBalancer.ingress[0].hostname",
            'Invalid value: "192.0.2.1": must be a DNS name, not an IP address',
        ),
    ]
    plain = await api.create(service("plain"))
    status = replace(plain.status, load_balancer=balancer)
    assert await causes_of(api.update_status(replace(plain, status=status))) == [
        ("status.loadBalancer.ingress", "Forbidden: may only be used when `spec.type` is 'LoadBalancer'")
    ]
    assert SERVICE.kind == "Service"


# ---------------------------------------------------------------------------------------------------- the others

HPA = {"scaleTargetRef": {"kind": "Deployment", "name": "x"}, "maxReplicas": 3}
OBJECT = {
    "target": {"type": "Value", "value": "1"},
    "metric": {"name": "m"},
    "describedObject": {"kind": "", "name": "x"},
}


@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        (
            NODE,
            {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]}},
            [("metadata.taints[1]", 'Duplicate value: {"effect":"NoSchedule","key":"a"}: taints must be unique by key and effect pair')],
        ),
        (
            NODE,
            {"status": {"capacity": {"cpu": "-1", "nvidia.com/gpu": "0.5"}, "allocatable": {"pods": "1"}}},
            [
                ("status.capacity.cpu", 'Invalid value: "-1": must be greater than or equal to 0'),
                ("status.capacity.nvidia.com/gpu", 'Invalid value: "500m": must be an integer'),
            ],
        ),
        (
            NODE,
            {"spec": {"podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"]}},
            [("spec.podCIDRs", 'Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one CIDR for each IP family')],
        ),
        (
            ENDPOINTS,
            {"subsets": [{"addresses": [{"ip": "169.254.0.1", "nodeName": "A"}], "ports": [{"port": 0, "appProtocol": "a b"}]}]},
            [
                ("subsets[0].addresses[0].ip", 'Invalid value: "169.254.0.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)'),
                ("subsets[0].addresses[0].nodeName", None),
                ("subsets[0].ports[0].port", "Invalid value: 0: must be between 1 and 65535, inclusive"),
                ("subsets[0].ports[0].appProtocol", None),
            ],
        ),
        (
            ENDPOINT_SLICE,
            {"addressType": "FQDN", "endpoints": [{"addresses": ["here"], "hints": {"forZones": [{"name": "a"}, {"name": "a"}]}}]},
            [
                ("endpoints[0].addresses[0]", 'Invalid value: "here": should be a domain with at least two segments separated by dots'),
                ("endpoints[0].hints.forZones[1].name", 'Duplicate value: "a"'),
            ],
        ),
        (LEASE, {"spec": {"preferredHolder": "me"}}, [("spec.preferredHolder", "Forbidden: may only be specified if `strategy` is defined")]),
        (SECRET, {"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": ""}}, [("data[ssh-privatekey]", "Required value")]),
        (
            SECRET,
            {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "[]"}},
            [("data[.dockerconfigjson]", 'Invalid value: "<secret contents redacted>": json: cannot unmarshal array into Go value of type map[string]interface {}')],
        ),
        (
            SECRET,
            {"type": "kubernetes.io/dockercfg", "stringData": {".dockercfg": "{"}},
            [("data[.dockercfg]", 'Invalid value: "<secret contents redacted>": unexpected end of JSON input')],
        ),
        (
            HORIZONTAL_POD_AUTOSCALER,
            {"spec": {**HPA, "metrics": [{"type": "Object", "object": OBJECT}]}},
            [("spec.metrics[0].object.describedObject.kind", "Required value")],
        ),
    ],
)  # fmt: skip
async def test_other_kinds(
    kind: Kind[Any], document: dict[str, Any], expected: list[tuple[str, str | None]]
) -> None:
    found = await refusal(kind, **document)
    assert [field for field, _ in found] == [field for field, _ in expected]
    for (_, message), (_, wanted) in zip(found, expected, strict=True):
        assert wanted is None or message == wanted


async def test_a_node_has_its_range_in_both_places_and_keeps_it() -> None:
    api, _ = await make_api()
    stored = await api.create(decode(NODE, {"metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24"}}))
    assert stored.spec.pod_cidrs == ("10.0.0.0/24",)
    other = replace(stored, spec=replace(stored.spec, pod_cidr="10.0.1.0/24", pod_cidrs=("10.0.1.0/24",)))
    assert await causes_of(api.update(other)) == [
        ("spec.podCIDRs", 'Forbidden: node updates may not change podCIDR except from "" to valid')
    ]
    address = NodeAddress(type="InternalIP", address="10.0.0.1")
    twice = replace(stored, status=replace(stored.status, addresses=(address, address)))
    assert await causes_of(api.update_status(twice)) == [
        ("status.addresses[1]", 'Duplicate value: {"address":"10.0.0.1","type":"InternalIP"}')
    ]
