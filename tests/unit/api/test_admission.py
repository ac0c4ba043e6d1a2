"""The chain of admission, and its rows for limits, priorities, runtime classes and default classes."""

from typing import Any

import pytest

from pinnace.api.admission import CHAIN, Admission, Attempt, Operation
from pinnace.api.admission.chain import Chain
from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from pinnace.kube.kinds import Kind
from tests.unit.api.builders import decode, make_api, pod, refuse

# ---------------------------------------------------------------------------------------------------- the chain


def row(**fields: Any) -> Admission:
    return Admission(name="test", validate=lambda attempt: None, **fields)


def test_a_kind_that_no_row_looks_at_has_no_steps() -> None:
    chain = Chain((row(resources=frozenset({"pods"})),))
    assert chain.find_steps("configmaps", Operation.CREATE) is None
    assert chain.find_steps("pods", Operation.CREATE) is not None
    assert chain.find_steps("pods", Operation.DELETE) is None
    assert chain.find_steps("pods", Operation.UPDATE, "status") is None


def test_a_row_may_look_at_everything() -> None:
    chain = Chain((row(operations=frozenset(Operation), subresources=None),))
    assert chain.find_steps("pods", Operation.CONNECT, "exec") is not None
    assert chain.find_steps("example.com/widgets", Operation.DELETE) is not None


def test_rows_run_in_the_order_of_the_table() -> None:
    names = [each.name for each in CHAIN.rows]
    assert names[0] == "NamespaceLifecycle"
    assert names.index("LimitRanger") < names.index("ServiceAccount") < names.index("PodSecurity")
    assert names.index("Priority") < names.index("DefaultTolerationSeconds") < names.index("RuntimeClass")


def test_an_attempt_knows_whether_it_is_a_dry_run() -> None:
    attempt = Attempt(
        kind=kinds.POD,
        operation=Operation.CREATE,
        namespace="",
        name="",
        object=None,
        old=None,
        subresource="",
        context=Context(dry_run=True),
        facts=None,  # type: ignore[arg-type]  # nobody asks
    )
    assert attempt.dry_run


async def test_namespaces_of_every_cluster_stay() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError, match="this namespace may not be deleted"):
        await api.delete(kinds.NAMESPACE, "", "default")


# ---------------------------------------------------------------------------------------------------- limits


def limits(*items: dict[str, Any], name: str = "limits") -> Any:
    return decode(
        kinds.LIMIT_RANGE,
        {"metadata": {"name": name, "namespace": "default"}, "spec": {"limits": list(items)}},
    )


async def make_limited(*items: dict[str, Any]) -> Api:
    api, _ = await make_api()
    await api.create(limits(*items))
    return api


def sized(requests: dict[str, str] | None = None, maximum: dict[str, str] | None = None) -> Any:
    return pod(resources={"requests": requests or {}, "limits": maximum or {}})


async def test_a_container_gets_what_it_leaves_out() -> None:
    api = await make_limited(
        {"type": "Container", "default": {"cpu": "500m", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}}
    )
    created = await api.create(sized(requests={"memory": "10Mi"}))
    resources = created.spec.containers[0].resources
    assert resources.requests == {"cpu": "100m", "memory": "10Mi"}
    assert resources.limits == {"cpu": "500m", "memory": "1Gi"}
    assert created.metadata.annotations == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu request for container main;"
        " cpu, memory limit for container main"
    }
    assert created.status.qos_class == "Burstable"


async def test_the_bounds_of_a_container_are_its_defaults() -> None:
    # Source: Kubernetes v1.36, SetDefaults_LimitRangeItem: max becomes default, default becomes defaultRequest.
    api = await make_limited({"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}})
    resources = (await api.create(pod())).spec.containers[0].resources
    assert (resources.requests, resources.limits) == ({"cpu": "2", "memory": "1Mi"}, {"cpu": "2"})


REFUSALS: list[tuple[dict[str, Any], dict[str, str], dict[str, str], str]] = [
    (
        {"type": "Container", "max": {"cpu": "1"}},
        {"cpu": "1"},
        {"cpu": "2"},
        "maximum cpu usage per Container is 1, but limit is 2",
    ),
    (
        {"type": "Container", "min": {"cpu": "500m"}},
        {"cpu": "100m"},
        {},
        "minimum cpu usage per Container is 500m, but request is 100m",
    ),
    (
        {"type": "Pod", "min": {"cpu": "500m"}},
        {},
        {},
        "minimum cpu usage per Pod is 500m.  No request is specified",
    ),
    (
        {"type": "Pod", "max": {"memory": "1Gi"}},
        {},
        {},
        "maximum memory usage per Pod is 1Gi.  No limit is specified",
    ),
    (
        {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
        {"cpu": "100m"},
        {"cpu": "300m"},
        "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
    ),
    (
        {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
        {},
        {},
        "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
    ),
    (
        {"type": "Pod", "max": {"cpu": "1", "memory": "1Gi"}},
        {"cpu": "2", "memory": "2Gi"},
        {"cpu": "2", "memory": "2Gi"},
        "[maximum cpu usage per Pod is 1, but limit is 2, maximum memory usage per Pod is 1Gi, but limit is 2Gi]",
    ),
]


@pytest.mark.parametrize(("item", "requests", "maximum", "why"), REFUSALS)
async def test_bounds_are_kept(
    item: dict[str, Any], requests: dict[str, str], maximum: dict[str, str], why: str
) -> None:
    api = await make_limited(item)
    assert await refuse(api, sized(requests, maximum)) == f'pods "web" is forbidden: {why}'


async def test_a_claim_is_kept_within_bounds() -> None:
    api = await make_limited(
        {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "10Gi"}}
    )
    assert "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi" in await refuse(
        api, claim("1Mi")
    )
    assert "maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 11Gi" in await refuse(
        api, claim("11Gi")
    )
    await api.create(claim("2Gi"))


def claim(size: str, **spec: Any) -> Any:
    return decode(
        kinds.PERSISTENT_VOLUME_CLAIM,
        {
            "metadata": {"name": "data", "namespace": "default"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": size}},
                **spec,
            },
        },
    )


# ---------------------------------------------------------------------------------------------------- priority


def priority_class(name: str, value: int, **fields: Any) -> Any:
    return decode(kinds.PRIORITY_CLASS, {"metadata": {"name": name}, "value": value, **fields})


async def test_a_pod_gets_the_priority_of_its_class() -> None:
    api, _ = await make_api()
    await api.create(priority_class("high", 1000, preemptionPolicy="Never"))
    spec = (await api.create(pod(spec={"priorityClassName": "high"}))).spec
    assert (spec.priority, spec.preemption_policy) == (1000, "Never")


async def test_a_pod_without_a_class_gets_the_global_default() -> None:
    api, _ = await make_api()
    await api.create(priority_class("usual", 5, globalDefault=True))
    spec = (await api.create(pod())).spec
    assert (spec.priority_class_name, spec.priority) == ("usual", 5)


async def test_the_system_classes_need_no_object() -> None:
    api, _ = await make_api()
    spec = (await api.create(pod(spec={"priorityClassName": "system-node-critical"}))).spec
    assert spec.priority == 2_000_001_000


async def test_a_class_that_is_not_there_is_named() -> None:
    api, _ = await make_api()
    assert await refuse(api, pod(spec={"priorityClassName": "x"})) == (
        'pods "web" is forbidden: no PriorityClass with name x was found'
    )


async def test_a_pod_cannot_choose_its_number() -> None:
    api, _ = await make_api()
    assert await refuse(api, pod(spec={"priority": 7})) == (
        'pods "web" is forbidden: the integer value of priority (7) must not be provided in pod spec;'
        " priority admission controller computed 0 from the given PriorityClass name"
    )


async def test_only_one_class_is_the_global_default() -> None:
    api, _ = await make_api()
    await api.create(priority_class("a", 1, globalDefault=True))
    assert await refuse(api, priority_class("b", 2, globalDefault=True)) == (
        'priorityclasses.scheduling.k8s.io "b" is forbidden: PriorityClass a is already marked as default.'
        " Only one default can exist"
    )
    await api.update(priority_class("a", 1, globalDefault=True, description="still"))


# ---------------------------------------------------------------------------------------------------- runtime classes


def runtime(name: str = "gvisor", **fields: Any) -> Any:
    return decode(kinds.RUNTIME_CLASS, {"metadata": {"name": name}, "handler": "runsc", **fields})


async def test_a_pod_gets_what_its_runtime_class_wants() -> None:
    api, _ = await make_api()
    toleration = {"key": "sandbox", "operator": "Exists"}
    await api.create(
        runtime(
            overhead={"podFixed": {"memory": "64Mi"}},
            scheduling={"nodeSelector": {"sandbox": "yes"}, "tolerations": [toleration]},
        )
    )
    spec = (await api.create(pod(spec={"runtimeClassName": "gvisor", "nodeSelector": {"a": "b"}}))).spec
    assert spec.overhead == {"memory": "64Mi"}
    assert spec.node_selector == {"a": "b", "sandbox": "yes"}
    assert "sandbox" in [each.key for each in spec.tolerations]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"runtimeClassName": "kata"}, 'pod rejected: RuntimeClass "kata" not found'),
        (
            {"overhead": {"cpu": "1"}},
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            {"runtimeClassName": "gvisor", "overhead": {"memory": "1Mi"}},
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
        (
            {"runtimeClassName": "gvisor", "nodeSelector": {"sandbox": "no"}},
            "conflict: runtimeClass.scheduling.nodeSelector[sandbox] = yes; pod.spec.nodeSelector[sandbox] = no",
        ),
    ],
)
async def test_a_pod_that_contradicts_its_runtime_class_is_refused(spec: dict[str, Any], why: str) -> None:
    api, _ = await make_api()
    await api.create(
        runtime(overhead={"podFixed": {"memory": "64Mi"}}, scheduling={"nodeSelector": {"sandbox": "yes"}})
    )
    assert await refuse(api, pod(spec=spec)) == f'pods "web" is forbidden: {why}'


# ---------------------------------------------------------------------------------------------------- default classes


def marked(kind: Kind[Any], name: str, mark: str, **fields: Any) -> Any:
    return decode(kind, {"metadata": {"name": name, "annotations": {mark: "true"}}, **fields})


async def test_a_claim_without_a_class_gets_the_newest_default() -> None:
    api, clock = await make_api()
    for name in ("old", "new"):
        mark = "storageclass.kubernetes.io/is-default-class"
        await api.create(marked(kinds.STORAGE_CLASS, name, mark, provisioner="x.io/y"))
        clock.advance(10)
    assert (await api.create(claim("1Gi"))).spec.storage_class_name == "new"


async def test_a_claim_may_want_no_class() -> None:
    api, _ = await make_api()
    mark = "storageclass.kubernetes.io/is-default-class"
    await api.create(marked(kinds.STORAGE_CLASS, "a", mark, provisioner="x.io/y"))
    assert (await api.create(claim("1Gi", storageClassName=""))).spec.storage_class_name == ""


async def test_an_ingress_without_a_class_gets_the_default() -> None:
    api, _ = await make_api()
    mark = "ingressclass.kubernetes.io/is-default-class"
    await api.create(marked(kinds.INGRESS_CLASS, "nginx", mark, spec={"controller": "k8s.io/nginx"}))
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress = decode(
        kinds.INGRESS,
        {"metadata": {"name": "web", "namespace": "default"}, "spec": {"defaultBackend": backend}},
    )
    assert (await api.create(ingress)).spec.ingress_class_name == "nginx"
