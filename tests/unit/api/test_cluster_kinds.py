"""Defaults and validation of the cluster's kinds, against the words and cases of Kubernetes' own tests."""

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import codec, kinds
from pinnace.kube.kinds import Kind
from tests.unit.api.builders import decode, make_api

META = {"name": "x", "namespace": "default"}
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}


async def complain(kind: Kind[Any], document: dict[str, Any]) -> list[str]:
    """Return what is wrong with a new object, as "path: message"."""
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(decode(kind, document))
    assert caught.value.reason is Reason.INVALID, caught.value.message
    return [f"{cause.field}: {cause.message}" for cause in caught.value.causes]


async def complain_of_change(kind: Kind[Any], document: dict[str, Any], change: dict[str, Any]) -> list[str]:
    """Return what is wrong with a change of an object; `change` replaces top-level fields."""
    api, _ = await make_api()
    await api.create(decode(kind, document))
    with pytest.raises(ApiError) as caught:
        await api.update(decode(kind, {**document, **change}))
    assert caught.value.reason is Reason.INVALID, caught.value.message
    return [f"{cause.field}: {cause.message}" for cause in caught.value.causes]


async def stored(kind: Kind[Any], document: dict[str, Any]) -> dict[str, Any]:
    api, _ = await make_api()
    shown: dict[str, Any] = codec.to_json(await api.create(decode(kind, document)))
    return shown


def spec(**fields: Any) -> dict[str, Any]:
    return {"metadata": META, "spec": fields}


# ---------------------------------------------------------------------------------------------------- budgets


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"minAvailable": 1, "maxUnavailable": 1},
            'spec: Invalid value: {"maxUnavailable":1,"minAvailable":1}: minAvailable and maxUnavailable cannot be both set',
        ),
        (
            {"minAvailable": "110%"},
            'spec.minAvailable: Invalid value: "110%": must not be greater than 100%',
        ),
        (
            {"minAvailable": -1},
            "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            {"unhealthyPodEvictionPolicy": "Never"},
            'spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"',
        ),
    ],
)
async def test_a_budget_is_checked(fields: dict[str, Any], expected: str) -> None:
    assert await complain(kinds.POD_DISRUPTION_BUDGET, spec(**fields)) == [expected]


# ---------------------------------------------------------------------------------------------------- priorities


async def test_a_priority_class_is_checked() -> None:
    big = {"metadata": {"name": "x"}, "value": 1_000_000_001, "preemptionPolicy": "Sometimes"}
    assert await complain(kinds.PRIORITY_CLASS, big) == [
        "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
        'preemptionPolicy: Unsupported value: "Sometimes": supported values: "Never", "PreemptLowerPriority"',
    ]
    assert await complain(kinds.PRIORITY_CLASS, {"metadata": {"name": "system-mine"}, "value": 1}) == [
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only."
        " error: system-mine is not a known system priority class"
    ]


async def test_a_priority_never_changes() -> None:
    document = {"metadata": {"name": "x"}, "value": 1}
    change = {"value": 2, "preemptionPolicy": "Never"}
    assert await complain_of_change(kinds.PRIORITY_CLASS, document, change) == [
        "value: Forbidden: may not be changed in an update.",
        'preemptionPolicy: Invalid value: "Never": field is immutable',
    ]


# ---------------------------------------------------------------------------------------------------- runtime classes


async def test_a_runtime_class_is_checked() -> None:
    found = await complain(
        kinds.RUNTIME_CLASS,
        {
            "metadata": {"name": "x"},
            "handler": "&!",
            "overhead": {"podFixed": {"cpu": "-1"}},
            "scheduling": {
                "nodeSelector": {"a b": "c"},
                "tolerations": [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "Exists"}],
            },
        },
    )
    assert [each.partition(":")[0] for each in found] == [
        "handler",
        "overhead.podFixed.limits[cpu]",
        "scheduling.nodeSelector",
        "scheduling.tolerations[1]",
    ]


async def test_a_handler_never_changes() -> None:
    document = {"metadata": {"name": "x"}, "handler": "runc"}
    assert await complain_of_change(kinds.RUNTIME_CLASS, document, {"handler": "crun"}) == [
        'handler: Invalid value: "crun": field is immutable'
    ]


# ---------------------------------------------------------------------------------------------------- limits, quotas


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}},
            [
                'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
                'spec.limits[0].defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request value 1',
                'spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1',
            ],
        ),
        (
            {"type": "Pod", "default": {"cpu": "1"}},
            ["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
        ),
        (
            {"type": "PersistentVolumeClaim", "max": {"cpu": "1"}},
            [
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required,"
                " but neither was provided"
            ],
        ),
        (
            {"type": "Foo", "max": {"bar": "1"}},
            [
                'spec.limits[0].type: Invalid value: "Foo": must be a standard limit type or fully qualified',
                'spec.limits[0].max[bar]: Invalid value: "bar": must be a standard resource type or fully qualified',
            ],
        ),
        (
            {"type": "Pod", "maxLimitRequestRatio": {"cpu": "800m"}},
            ['spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "800m": ratio 800m is less than 1'],
        ),
        (
            {"type": "Pod", "max": {"cpu": "2"}, "min": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "3"}},
            [
                'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000'
            ],
        ),
    ],
)
async def test_a_limit_range_is_checked(item: dict[str, Any], expected: list[str]) -> None:
    assert await complain(kinds.LIMIT_RANGE, spec(limits=[item])) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"hard": {"foo": "1"}},
            [
                'spec.hard[foo]: Invalid value: "foo": must be a standard resource type or fully qualified',
                'spec.hard[foo]: Invalid value: "foo": must be a standard resource for quota',
            ],
        ),
        ({"hard": {"pods": "1500m"}}, ['spec.hard[pods]: Invalid value: "1500m": must be an integer']),
        (
            {"hard": {"cpu": "-1"}},
            ['spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0'],
        ),
        (
            {"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]},
            ['spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes'],
        ),
        (
            {"hard": {"cpu": "1"}, "scopes": ["BestEffort"]},
            ['spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource'],
        ),
        (
            {
                "hard": {"pods": "1"},
                "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]},
            },
            [
                "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when"
                " `operator` is 'In' or 'NotIn' for scope selector"
            ],
        ),
    ],
)
async def test_a_quota_is_checked(fields: dict[str, Any], expected: list[str]) -> None:
    assert await complain(kinds.RESOURCE_QUOTA, spec(**fields)) == expected


async def test_scopes_of_a_quota_never_change() -> None:
    first = spec(hard={"pods": "1"}, scopes=["BestEffort"])
    assert await complain_of_change(kinds.RESOURCE_QUOTA, first, spec(hard={"pods": "1"})) == [
        "spec.scopes: Invalid value: []: field is immutable"
    ]


# ---------------------------------------------------------------------------------------------------- storage


async def test_a_storage_class_is_filled_in_and_never_changes() -> None:
    document = {"metadata": {"name": "x"}, "provisioner": "example.com/disk", "parameters": {"a": "b"}}
    shown = await stored(kinds.STORAGE_CLASS, document)
    assert (shown["reclaimPolicy"], shown["volumeBindingMode"]) == ("Delete", "Immediate")
    change = {"provisioner": "b.io/c", "parameters": {}, "reclaimPolicy": "Retain"}
    assert await complain_of_change(kinds.STORAGE_CLASS, document, change) == [
        "parameters: Forbidden: updates to parameters are forbidden.",
        "provisioner: Forbidden: updates to provisioner are forbidden.",
        "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
    ]


async def test_a_storage_class_is_checked() -> None:
    document = {"metadata": {"name": "x"}, "reclaimPolicy": "Recycle", "volumeBindingMode": "Never"}
    assert await complain(kinds.STORAGE_CLASS, document) == [
        "provisioner: Required value",
        'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
        'volumeBindingMode: Unsupported value: "Never": supported values: "Immediate", "WaitForFirstConsumer"',
    ]


CLAIM = spec(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": "1Gi"}})


async def test_a_claim_is_filled_in_and_protected() -> None:
    shown = await stored(kinds.PERSISTENT_VOLUME_CLAIM, CLAIM)
    assert shown["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert (shown["spec"]["volumeMode"], shown["status"]) == ("Filesystem", {"phase": "Pending"})


async def test_a_claim_is_checked() -> None:
    fields = {"accessModes": ["Any"], "volumeMode": "Tape", "resources": {"requests": {"storage": "0"}}}
    assert await complain(kinds.PERSISTENT_VOLUME_CLAIM, spec(**fields)) == [
        'spec.accessModes: Unsupported value: "Any": supported values: "ReadOnlyMany", "ReadWriteMany",'
        ' "ReadWriteOnce", "ReadWriteOncePod"',
        'spec.resources[storage]: Invalid value: "0": must be greater than zero',
        'spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Filesystem"',
    ]
    assert await complain(kinds.PERSISTENT_VOLUME_CLAIM, spec()) == [
        "spec.accessModes: Required value: at least 1 access mode is required",
        "spec.resources[storage]: Required value",
    ]


async def test_a_claim_does_not_change_but_for_its_size_when_bound() -> None:
    larger = spec(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": "2Gi"}})
    assert await complain_of_change(kinds.PERSISTENT_VOLUME_CLAIM, CLAIM, larger) == [
        "spec: Forbidden: spec is immutable after creation except resources.requests and"
        " volumeAttributesClassName for bound claims"
    ]
    api, _ = await make_api()
    await api.create(
        decode(
            kinds.STORAGE_CLASS,
            {"metadata": {"name": "big"}, "provisioner": "a.io/b", "allowVolumeExpansion": True},
        )
    )
    bound = await api.create(decode(kinds.PERSISTENT_VOLUME_CLAIM, _with_class(CLAIM)))
    await api.update_status(
        replace(bound, status=replace(bound.status, phase="Bound", capacity={"storage": "1Gi"}))
    )
    await api.update(decode(kinds.PERSISTENT_VOLUME_CLAIM, _with_class(larger)))
    await api.update(replace(api.get(kinds.STORAGE_CLASS, "", "big"), allow_volume_expansion=False))
    largest = spec(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": "3Gi"}})
    with pytest.raises(ApiError, match="the storageclass that provisions the pvc must support resize"):
        await api.update(decode(kinds.PERSISTENT_VOLUME_CLAIM, _with_class(largest)))
    smaller = spec(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": "1Mi"}})
    with pytest.raises(ApiError, match=r"field can not be less than status.capacity"):
        await api.update(decode(kinds.PERSISTENT_VOLUME_CLAIM, _with_class(smaller)))


def _with_class(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "spec": {**document["spec"], "storageClassName": "big"}}


VOLUME = {
    "metadata": {"name": "x"},
    "spec": {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/data"},
    },
}


async def test_a_volume_is_filled_in_and_protected() -> None:
    shown = await stored(kinds.PERSISTENT_VOLUME, VOLUME)
    assert shown["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]
    assert (shown["spec"]["persistentVolumeReclaimPolicy"], shown["spec"]["volumeMode"]) == (
        "Retain",
        "Filesystem",
    )
    assert shown["status"] == {"phase": "Pending"}


async def test_a_volume_is_checked() -> None:
    assert await complain(kinds.PERSISTENT_VOLUME, {"metadata": {"name": "x"}, "spec": {}}) == [
        "spec.accessModes: Required value",
        "spec.capacity: Required value",
        'spec.capacity: Unsupported value: {}: supported values: "storage"',
        "spec: Required value: must specify a volume type",
    ]
    fields = {
        **VOLUME["spec"],  # type: ignore[dict-item]
        "hostPath": {"path": "/"},
        "nfs": {"server": "a", "path": "b"},
        "local": {"path": "/x"},
        "persistentVolumeReclaimPolicy": "Recycle",
    }
    assert await complain(kinds.PERSISTENT_VOLUME, {"metadata": {"name": "x"}, "spec": fields}) == [
        "spec.local: Forbidden: may not specify more than 1 volume type",
        "spec.nfs: Forbidden: may not specify more than 1 volume type",
        "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
        "spec.nodeAffinity: Required value: Local volume requires node affinity",
        'spec.nfs.path: Invalid value: "b": must be an absolute path',
    ]


async def test_the_source_of_a_volume_never_changes() -> None:
    change = {"spec": {**VOLUME["spec"], "hostPath": {"path": "/other"}}}  # type: ignore[dict-item]
    assert await complain_of_change(kinds.PERSISTENT_VOLUME, VOLUME, change) == [
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
    ]


# ---------------------------------------------------------------------------------------------------- ingresses


def rule(path: dict[str, Any], host: str = "a.example.com") -> dict[str, Any]:
    return spec(rules=[{"host": host, "http": {"paths": [{"backend": BACKEND, **path}]}}])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (spec(), ["spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"]),
        (
            rule({"path": "/"}),
            ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
        ),
        (
            rule({"path": "/a//b/..", "pathType": "Prefix"}),
            [
                "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b/..\": must not contain '//'",
                "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b/..\": cannot end with '/..'",
            ],
        ),
        (
            rule({"path": "a", "pathType": "Exact"}),
            ['spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path'],
        ),
        (
            rule({"path": "/", "pathType": "Glob"}),
            [
                'spec.rules[0].http.paths[0].pathType: Unsupported value: "Glob": supported values: "Exact",'
                ' "ImplementationSpecific", "Prefix"'
            ],
        ),
        (
            rule({"path": "/", "pathType": "Prefix"}, host="10.0.0.1"),
            ['spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address'],
        ),
        (
            rule({"path": "/", "pathType": "Prefix", "backend": {}}),
            [
                'spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service backend is required'
            ],
        ),
        (
            spec(defaultBackend={"service": {"name": "web"}}),
            ["spec.defaultBackend: Required value: port name or number is required"],
        ),
        (
            spec(defaultBackend={"service": {"name": "web", "port": {"name": "a", "number": 1}}}),
            ['spec.defaultBackend: Invalid value: "": cannot set both port name & port number'],
        ),
        (
            {
                "metadata": {**META, "annotations": {"kubernetes.io/ingress.class": "old"}},
                "spec": {"defaultBackend": BACKEND, "ingressClassName": "new"},
            },
            [
                'annotations.kubernetes.io/ingress.class: Invalid value: "old": can not be set when the class field'
                " is also set"
            ],
        ),
    ],
)
async def test_an_ingress_is_checked(document: dict[str, Any], expected: list[str]) -> None:
    assert await complain(kinds.INGRESS, document) == expected


async def test_an_ingress_class_is_checked_and_keeps_its_controller() -> None:
    assert await complain(
        kinds.INGRESS_CLASS, {"metadata": {"name": "x"}, "spec": {"controller": "nginx"}}
    ) == ['spec.controller: Invalid value: "nginx": must be a domain-prefixed path (such as "acme.io/foo")']
    parameters = {"kind": "A", "name": "b", "scope": "Namespace"}
    document = {"metadata": {"name": "x"}, "spec": {"controller": "a.io/b", "parameters": parameters}}
    assert await complain(kinds.INGRESS_CLASS, document) == [
        "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"
    ]
    first = {"metadata": {"name": "x"}, "spec": {"controller": "a.io/b"}}
    assert await complain_of_change(kinds.INGRESS_CLASS, first, {"spec": {"controller": "a.io/c"}}) == [
        'spec.controller: Invalid value: "a.io/c": field is immutable'
    ]


# ---------------------------------------------------------------------------------------------------- network policies


async def test_a_network_policy_is_filled_in() -> None:
    shown = await stored(
        kinds.NETWORK_POLICY,
        spec(podSelector={}, egress=[{"ports": [{"port": 53}]}]),
    )
    assert shown["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert shown["spec"]["egress"] == [{"ports": [{"port": 53, "protocol": "TCP"}]}]
    assert (await stored(kinds.NETWORK_POLICY, spec(podSelector={})))["spec"]["policyTypes"] == ["Ingress"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"from": [{}]}, "spec.ingress[0].from[0]: Required value: must specify a peer"),
        (
            {"from": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]},
            "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]},
            'spec.ingress[0].from[0].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR value,'
            " (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ),
        (
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]},
            'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
        ),
        (
            {"ports": [{"port": 90, "endPort": 80}]},
            "spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`",
        ),
        (
            {"ports": [{"port": "http", "endPort": 80}]},
            "spec.ingress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is non-numeric",
        ),
        (
            {"ports": [{"protocol": "ICMP", "port": 1}]},
            'spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
        ),
    ],
)
async def test_a_network_policy_is_checked(rule: dict[str, Any], expected: str) -> None:
    assert await complain(kinds.NETWORK_POLICY, spec(podSelector={}, ingress=[rule])) == [expected]


# ---------------------------------------------------------------------------------------------------- status


@pytest.mark.parametrize(
    ("kind", "document", "status"),
    [
        (
            kinds.POD_DISRUPTION_BUDGET,
            spec(minAvailable=1),
            {"disruptionsAllowed": 1, "currentHealthy": 1, "desiredHealthy": 0, "expectedPods": 1},
        ),
        (kinds.INGRESS, spec(defaultBackend=BACKEND), {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}),
        (kinds.PERSISTENT_VOLUME, VOLUME, {"phase": "Available"}),
        (kinds.RESOURCE_QUOTA, spec(hard={"pods": "1"}), {"hard": {"pods": "1"}, "used": {"pods": "0"}}),
    ],
)
async def test_a_status_is_written_by_itself(
    kind: Kind[Any], document: dict[str, Any], status: dict[str, Any]
) -> None:
    api, _ = await make_api()
    created = await api.create(decode(kind, {**document, "status": status}))
    assert codec.to_json(created).get("status", {}) != status  # a creator has no say in it
    generation = created.metadata.generation
    changed = await api.update_status(decode(kind, {**codec.to_json(created), "status": status}))
    assert codec.to_json(changed)["status"] == status
    assert changed.metadata.generation == generation


# ---------------------------------------------------------------------------------------------------- warnings


OLD_CLASS = {"volume.beta.kubernetes.io/storage-class": "gold"}


@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        (
            kinds.PERSISTENT_VOLUME,
            {
                "metadata": {"name": "x", "annotations": OLD_CLASS},
                "spec": {**VOLUME["spec"], "persistentVolumeReclaimPolicy": "Recycle"},  # type: ignore[dict-item]
            },
            [
                "metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8;"
                ' use "storageClassName" attribute instead',
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the"
                " recommended approach is to use dynamic provisioning.",
            ],
        ),
        (
            kinds.PERSISTENT_VOLUME_CLAIM,
            spec(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": "1500m"}}),
            [
                'spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer',
            ],
        ),
        (
            kinds.INGRESS,
            {
                "metadata": {**META, "annotations": {"kubernetes.io/ingress.class": "nginx"}},
                "spec": {"defaultBackend": BACKEND},
            },
            [
                "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"
            ],
        ),
        (
            kinds.RUNTIME_CLASS,
            {
                "metadata": {"name": "x"},
                "handler": "runc",
                "scheduling": {"nodeSelector": {"beta.kubernetes.io/os": "linux"}},
            },
            ['scheduling.nodeSelector: deprecated since v1.14; use "kubernetes.io/os" instead'],
        ),
        (
            kinds.NETWORK_POLICY,
            spec(podSelector={}, egress=[{"to": [{"ipBlock": {"cidr": "10.1.2.3/8"}}]}]),
            [
                'spec.egress[0].to[0].ipBlock.cidr: CIDR value "10.1.2.3/8" is ambiguous in this context'
                ' (should be "10.0.0.0/8" or "10.1.2.3/32"?)'
            ],
        ),
    ],
)
async def test_what_is_hardly_meant_is_warned_of(
    kind: Kind[Any], document: dict[str, Any], expected: list[str]
) -> None:
    api, _ = await make_api()
    context = Context(user="me")
    await api.create(decode(kind, document), context=context)
    assert [each for each in context.warnings if "not acted on" not in each] == expected


async def test_a_data_source_stands_under_both_names() -> None:
    source = {"kind": "PersistentVolumeClaim", "name": "other"}
    fields: dict[str, Any] = {**CLAIM["spec"], "dataSource": source}
    assert (await stored(kinds.PERSISTENT_VOLUME_CLAIM, spec(**fields)))["spec"]["dataSourceRef"] == source
    fields = {**CLAIM["spec"], "dataSourceRef": source}
    assert (await stored(kinds.PERSISTENT_VOLUME_CLAIM, spec(**fields)))["spec"]["dataSource"] == source
