"""ResourceQuotas: what is counted, what is refused in which words, and that concurrent creations never exceed one."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.admission.quota.measures import count_name, measure, resource_of
from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.base.chance import Chance
from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import PodStatus
from tests.unit.api.builders import config_map, decode, deployment, make_api, pod, refuse, service


def quota(name: str = "q", *, scopes: tuple[str, ...] = (), selector: Any = None, **hard: Any) -> Any:
    """Return a quota; "_" in names stands for "." and "__" for "/"."""
    limits = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}
    spec: dict[str, Any] = {"hard": limits}
    if scopes:
        spec["scopes"] = list(scopes)
    if selector:
        spec["scopeSelector"] = {"matchExpressions": selector}
    return decode(kinds.RESOURCE_QUOTA, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def make_limited(*quotas: Any) -> Api:
    api, _ = await make_api()
    for each in quotas:
        await api.create(each)
    return api


def used(api: Api, name: str = "q") -> dict[str, Any]:
    found = api.get(kinds.RESOURCE_QUOTA, "default", name)
    assert not found.status.hard or found.status.hard == found.spec.hard
    return dict(found.status.used)


def sized(name: str, cpu: str = "500m", memory: str = "1Gi") -> Any:
    amounts = {"cpu": cpu, "memory": memory}
    return pod(name, resources={"requests": amounts, "limits": amounts})


# ---------------------------------------------------------------------------------------------------- what counts


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("pods", "pods"),
        ("requests.cpu", "pods"),
        ("limits.memory", "pods"),
        ("requests.nvidia.com/gpu", "pods"),
        ("hugepages-2Mi", "pods"),
        ("services.nodeports", "services"),
        ("gold.storageclass.storage.k8s.io/requests.storage", "persistentvolumeclaims"),
        ("count/deployments.apps", "apps/deployments"),
        ("count/configmaps", "configmaps"),
        ("count/widgets.example.com", "example.com/widgets"),
        ("configmaps", "configmaps"),
        ("example.com/whatever", ""),
    ],
)
def test_every_name_counts_objects_of_one_kind(name: str, resource: str) -> None:
    assert resource_of(name) == resource


def test_counts_are_named_by_plural_and_group() -> None:
    assert count_name("apps/deployments") == "count/deployments.apps"
    assert count_name("pods") == "count/pods"


def rendered(resource: str, obj: Any) -> dict[str, str]:
    return {name: str(amount) for name, amount in sorted(measure(resource, obj).items())}


def test_a_pod_counts_its_most_demanding_moment() -> None:
    built = pod(
        resources={
            "requests": {"cpu": "1", "nvidia.com/gpu": 2},
            "limits": {"cpu": "2", "nvidia.com/gpu": 2},
        },
        spec={
            "initContainers": [
                {"name": "i", "image": "a", "resources": {"requests": {"cpu": "3", "memory": "1Gi"}}}
            ],
            "overhead": {"cpu": "250m"},
        },
    )
    assert rendered("pods", built) == {  # by hand
        "count/pods": "1",
        "cpu": "3250m",
        "limits.cpu": "2250m",
        "memory": "1Gi",
        "pods": "1",
        "requests.cpu": "3250m",
        "requests.memory": "1Gi",
        "requests.nvidia.com/gpu": "2",
    }


def test_a_pod_that_has_ended_is_only_an_object() -> None:
    ended = type(sized("a"))(
        metadata=sized("a").metadata, spec=sized("a").spec, status=PodStatus(phase="Succeeded")
    )
    assert rendered("pods", ended) == {"count/pods": "1"}


@pytest.mark.parametrize(
    ("spec", "ports", "balancers"),
    [
        ({"type": "ClusterIP"}, "0", "0"),
        ({"type": "NodePort", "ports": [{"port": 1}, {"port": 2}]}, "2", "0"),
        ({"type": "LoadBalancer"}, "1", "1"),
        ({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}, "0", "1"),
    ],
)
def test_services_count_their_ports(spec: dict[str, Any], ports: str, balancers: str) -> None:
    assert rendered("services", service(**spec)) == {
        "count/services": "1",
        "services": "1",
        "services.loadbalancers": balancers,
        "services.nodeports": ports,
    }


def test_a_claim_counts_for_its_class_as_well() -> None:
    assert rendered("persistentvolumeclaims", claim("1Gi", storageClassName="gold")) == {
        "count/persistentvolumeclaims": "1",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "gold.storageclass.storage.k8s.io/requests.storage": "1Gi",
        "persistentvolumeclaims": "1",
        "requests.storage": "1Gi",
    }


def claim(size: str, name: str = "data", **spec: Any) -> Any:
    return decode(
        kinds.PERSISTENT_VOLUME_CLAIM,
        {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": size}},
                **spec,
            },
        },
    )


# ---------------------------------------------------------------------------------------------------- refusals


async def test_what_exceeds_a_quota_is_refused_in_kubernetes_words() -> None:
    api = await make_limited(quota(pods=5, requests_cpu="1", requests_memory="4Gi"))
    await api.create(sized("a"))
    assert await refuse(api, sized("b", cpu="700m")) == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=700m, used: requests.cpu=500m,'
        " limited: requests.cpu=1"
    )


async def test_every_exceeded_name_is_listed() -> None:
    api = await make_limited(quota(pods=1, requests_cpu="500m"))
    await api.create(sized("a"))
    assert await refuse(api, sized("b")) == (
        'pods "b" is forbidden: exceeded quota: q, requested: pods=1,requests.cpu=500m,'
        " used: pods=1,requests.cpu=500m, limited: pods=1,requests.cpu=500m"
    )


async def test_what_a_quota_limits_must_be_said() -> None:
    api = await make_limited(quota(requests_cpu="1", limits_memory="1Gi"))
    silent = pod("web", spec={"initContainers": [{"name": "first", "image": "a"}]})
    assert await refuse(api, silent) == (
        'pods "web" is forbidden: failed quota: q: must specify limits.memory for: first,main;'
        " requests.cpu for: first,main"
    )


async def test_any_kind_can_be_counted() -> None:
    api = await make_limited(quota(count__configmaps=1, count__deployments_apps=1))
    await api.create(config_map("a"))
    assert await refuse(api, config_map("b")) == (
        'configmaps "b" is forbidden: exceeded quota: q, requested: count/configmaps=1,'
        " used: count/configmaps=1, limited: count/configmaps=1"
    )
    await api.create(deployment("a"))
    assert "count/deployments.apps=1" in await refuse(api, deployment("b"))
    assert used(api) == {"count/configmaps": "1", "count/deployments.apps": "1"}


async def test_what_was_there_before_the_quota_counts() -> None:
    api, _ = await make_api()
    await api.create(config_map("a"))
    await api.create(quota(configmaps=1))
    assert "exceeded quota" in await refuse(api, config_map("b"))


async def test_a_service_that_becomes_dearer_is_refused() -> None:
    api = await make_limited(quota(services_nodeports=1))
    await api.create(service("a", type="NodePort"))
    await api.create(service("b"))
    assert used(api) == {"services.nodeports": "1"}

    def to_node_port(current: Any) -> Any:
        return replace(current, spec=replace(current.spec, type="NodePort"))

    with pytest.raises(ApiError, match=r"exceeded quota: q, requested: services.nodeports=1"):
        await api.change(kinds.SERVICE, "default", "b", to_node_port)


async def test_what_becomes_cheaper_passes_a_quota_that_is_exceeded_already() -> None:
    api = await make_limited(quota(services_nodeports=3))
    three = [{"port": number, "name": f"p{number}"} for number in (1, 2, 3)]
    await api.create(service("a", type="NodePort", ports=three))
    await api.update(quota(services_nodeports=1))
    await api.change(
        kinds.SERVICE,
        "default",
        "a",
        lambda current: replace(current, spec=replace(current.spec, ports=current.spec.ports[:2])),
    )
    await api.publish_quota("default", "q")
    assert used(api) == {"services.nodeports": "2"}


async def test_claims_are_held_to_the_storage_of_their_class() -> None:
    hard: dict[str, Any] = {"gold.storageclass.storage.k8s.io__requests_storage": "1Gi"}
    api = await make_limited(quota(**hard))
    await api.create(claim("5Gi", "any"))
    assert "gold.storageclass.storage.k8s.io/requests.storage=2Gi" in await refuse(
        api, claim("2Gi", storageClassName="gold")
    )


# ---------------------------------------------------------------------------------------------------- scopes


async def test_a_scope_chooses_the_pods_that_count() -> None:
    api = await make_limited(
        quota("idle", scopes=("BestEffort",), pods=1),
        quota("jobs", scopes=("Terminating",), pods=1),
        quota(
            "high",
            selector=[{"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}],
            pods=1,
        ),
    )
    await api.create(pod("a"))
    assert "exceeded quota: idle" in await refuse(api, pod("b"))
    await api.create(sized("c"))
    await api.create(sized("d"))
    await api.create(pod("e", spec={"activeDeadlineSeconds": 9}, resources={"requests": {"cpu": "1m"}}))
    urgent = {"priorityClassName": "system-node-critical"}
    await api.create(pod("f", spec=urgent, resources={"requests": {"cpu": "1m"}}))
    assert "exceeded quota: high" in await refuse(
        api, pod("g", spec=urgent, resources={"requests": {"cpu": "1m"}})
    )
    assert [used(api, name)["pods"] for name in ("idle", "jobs", "high")] == ["1", "1", "1"]


# ---------------------------------------------------------------------------------------------------- the ledger


async def test_creations_at_the_same_time_never_exceed_a_quota() -> None:
    api = await make_limited(quota(pods=3))
    results = await asyncio.gather(
        *(api.create(pod(f"p{number}")) for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, ApiError) for result in results) == 7
    assert len(api.list(kinds.POD, "default")) == 3
    assert used(api) == {"pods": "3"}


async def test_a_dry_run_counts_for_nothing() -> None:
    api = await make_limited(quota(pods=1))
    await api.create(pod("a"), context=Context(dry_run=True))
    await api.create(pod("b"))
    with pytest.raises(ApiError, match="exceeded quota"):
        await api.create(pod("c"), context=Context(dry_run=True))


async def test_a_deletion_makes_room() -> None:
    api = await make_limited(quota(pods=1))
    await api.create(pod("a"))
    told: list[tuple[str, str]] = []
    api.on_quota_change(lambda namespace, name: told.append((namespace, name)))
    await api.delete(kinds.POD, "default", "a")
    assert told == [("default", "q")]
    await api.publish_quota("default", "q")
    assert used(api) == {"pods": "0"}
    await api.create(pod("b"))


async def test_a_pod_that_ends_makes_room() -> None:
    api = await make_limited(quota(pods=1, count__pods=5))
    created = await api.create(pod("a"))
    await api.update_status(
        type(created)(metadata=created.metadata, spec=created.spec, status=PodStatus(phase="Failed"))
    )
    await api.create(pod("b"))
    assert used(api) == {"pods": "1", "count/pods": "2"}


async def test_the_status_shows_a_creation_as_soon_as_it_is_answered() -> None:
    api = await make_limited(quota(pods=5, requests_cpu="4", limits_cpu="4"))
    await api.create(sized("a"))
    assert used(api) == {"pods": "1", "requests.cpu": "500m", "limits.cpu": "500m"}


async def test_a_new_start_counts_what_is_stored() -> None:
    first = await make_limited(quota(pods=1))
    await first.create(pod("a"))
    again = Api(first.store, first.clock, Chance(8))
    assert "exceeded quota" in await refuse(again, pod("b"))


async def test_a_quota_that_is_gone_or_changed_counts_no_more_or_anew() -> None:
    api = await make_limited(quota(pods=1))
    await api.create(pod("a"))
    await api.update(quota(pods=2))
    await api.create(pod("b"))
    assert "exceeded quota" in await refuse(api, pod("c"))
    await api.delete(kinds.RESOURCE_QUOTA, "default", "q")
    await api.create(pod("c"))


async def test_other_namespaces_are_left_alone() -> None:
    api = await make_limited(quota(pods=0))
    await api.create(decode(kinds.NAMESPACE, {"metadata": {"name": "free"}}))
    elsewhere = decode(
        kinds.POD,
        {
            "metadata": {"name": "a", "namespace": "free"},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        },
    )
    await api.create(elsewhere)


# ---------------------------------------------------------------------------------------------------- parts of pods


async def test_a_pod_that_grows_in_place_is_held_to_the_quota_and_the_limits() -> None:
    api = await make_limited(quota(requests_cpu="1"))
    await api.create(pod("a", resources={"requests": {"cpu": "600m"}, "limits": {"cpu": "2"}}))

    def grow(to: str) -> Patch:
        body = f'{{"spec":{{"containers":[{{"name":"main","resources":{{"requests":{{"cpu":"{to}"}}}}}}]}}}}'
        return Patch("application/strategic-merge-patch+json", body.encode())

    await api.patch(kinds.POD, "default", "a", grow("900m"), subresource="resize")
    assert used(api) == {"requests.cpu": "600m"}  # until the controller has been
    await api.publish_quota("default", "q")
    assert used(api) == {"requests.cpu": "900m"}
    with pytest.raises(
        ApiError, match=r"exceeded quota: q, requested: requests.cpu=300m, used: requests.cpu=900m"
    ):
        await api.patch(kinds.POD, "default", "a", grow("1200m"), subresource="resize")


# ---------------------------------------------------------------------------------------------------- whatever happens


@pytest.mark.parametrize("seed", range(20))
async def test_what_is_used_is_what_is_there_whatever_happened(seed: int) -> None:
    api = await make_limited(
        quota("all", pods=50, count__pods=50, requests_cpu="40", count__configmaps=20),
        quota("idle", scopes=("BestEffort",), pods=50),
        quota("doors", services=9, services_nodeports=9),
    )
    chance = Chance(seed)
    for _ in range(60):
        await asyncio.gather(*(_do_something(api, chance) for _ in range(3)), return_exceptions=True)
    ledger = api._world.quotas
    counted = {name: ledger.used("default", name) for name in ("all", "idle", "doors")}
    ledger.recount("default")
    assert counted == {name: ledger.used("default", name) for name in counted}


async def _do_something(api: Api, chance: Chance) -> None:
    name = f"o{chance.integer(0, 9)}"
    match chance.integer(0, 7):
        case 0:
            await api.create(pod(name))
        case 1:
            await api.create(sized(name))
        case 2:
            await api.delete(kinds.POD, "default", name)
        case 3:
            await api.change(
                kinds.POD,
                "default",
                name,
                lambda current: replace(current, status=PodStatus(phase="Succeeded")),
                subresource="status",
            )
        case 4:
            await api.create(config_map(name))
        case 5:
            await api.delete(kinds.CONFIG_MAP, "default", name)
        case 6:
            await api.create(service(name, type="NodePort"))
        case _:
            await api.delete(kinds.SERVICE, "default", name)
