"""Evictions: what a disruption budget lets go, in which words it refuses, and what is written before a pod goes."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import PodCondition, PodStatus
from pinnace.kube.objects.policy_v1 import PodDisruptionBudgetStatus
from tests.unit.api.builders import decode, make_api

REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


async def make_running(*names: str, ready: bool = True, phase: str = "Running", node: str = "") -> Api:
    api, _ = await make_api()
    for name in names:
        await add_pod(api, name, ready=ready, phase=phase, node=node)
    return api


async def add_pod(api: Api, name: str, *, ready: bool = True, phase: str = "Running", node: str = "") -> None:
    document = {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    created = await api.create(decode(kinds.POD, document))
    if node:
        created = await api.bind("default", name, node)
    condition = PodCondition(type="Ready", status="True" if ready else "False")
    await api.update_status(replace(created, status=PodStatus(phase=phase, conditions=(condition,))))


async def add_budget(
    api: Api,
    *,
    allowed: int,
    healthy: int = 2,
    desired: int = 1,
    name: str = "web",
    seen: int = 1,
    **spec: Any,
) -> None:
    document = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"minAvailable": desired, "selector": {"matchLabels": {"app": "web"}}, **spec},
    }
    created = await api.create(decode(kinds.POD_DISRUPTION_BUDGET, document))
    status = PodDisruptionBudgetStatus(
        disruptions_allowed=allowed,
        current_healthy=healthy,
        desired_healthy=desired,
        expected_pods=healthy,
        observed_generation=seen,
    )
    await api.update_status(replace(created, status=status))


def status_of(api: Api) -> PodDisruptionBudgetStatus:
    return api.get(kinds.POD_DISRUPTION_BUDGET, "default", "web").status


async def refuse(api: Api, name: str = "a", **wishes: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await api.evict("default", name, **wishes)
    return caught.value


async def test_a_pod_without_a_budget_goes() -> None:
    api = await make_running("a")
    assert (await api.evict("default", "a")).gone


async def test_an_eviction_is_counted_before_the_pod_goes() -> None:
    api = await make_running("a", "b", node="n1")
    await add_budget(api, allowed=1)
    evicted = await api.evict("default", "a")
    assert not evicted.gone  # its node has to end it
    assert evicted.object.metadata.deletion_timestamp
    condition = evicted.object.status.conditions[-1]
    assert (condition.type, condition.status, condition.reason, condition.message) == (
        "DisruptionTarget",
        "True",
        "EvictionByEvictionAPI",
        "Eviction API: evicting",
    )
    status = status_of(api)
    assert status.disruptions_allowed == 0
    assert status.disrupted_pods == {"a": "2026-01-02T00:00:00Z"}
    assert [(each.type, each.status, each.reason) for each in status.conditions] == [
        ("DisruptionAllowed", "False", "InsufficientPods")
    ]


async def test_what_would_break_the_budget_is_refused_in_kubernetes_words() -> None:
    api = await make_running("a")
    await add_budget(api, allowed=0, healthy=1, desired=1)
    error = await refuse(api)
    assert (error.reason, error.message, error.code) == (Reason.TOO_MANY_REQUESTS, REFUSED, 429)
    assert error.causes == (
        Cause("DisruptionBudget", "The disruption budget web needs 1 healthy pods and has 1 currently"),
    )
    assert api.get(kinds.POD, "default", "a").status.conditions[0].type == "Ready"


async def test_a_budget_that_nobody_has_looked_at_refuses_for_now() -> None:
    api = await make_running("a")
    await add_budget(api, allowed=1, seen=0)
    error = await refuse(api)
    assert (error.reason, error.retry_after_s) == (Reason.TOO_MANY_REQUESTS, 10)
    assert error.causes[0].message == "The disruption budget web is still being processed by the server."


async def test_several_budgets_are_an_error() -> None:
    api = await make_running("a")
    await add_budget(api, allowed=1)
    await add_budget(api, allowed=1, name="other")
    error = await refuse(api)
    assert (error.code, error.message) == (
        500,
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    )


async def test_evictions_at_the_same_time_take_no_more_than_is_allowed() -> None:
    api = await make_running("a", "b", "c", "d")
    await add_budget(api, allowed=2, healthy=4, desired=2)
    results = await asyncio.gather(*(api.evict("default", name) for name in "abcd"), return_exceptions=True)
    assert sum(isinstance(result, ApiError) for result in results) == 2
    assert len(api.list(kinds.POD, "default")) == 2


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Pending"])
async def test_a_pod_that_does_not_run_needs_no_budget(phase: str) -> None:
    api = await make_running("a", phase=phase)
    await add_budget(api, allowed=0)
    assert (await api.evict("default", "a")).gone
    assert status_of(api).disrupted_pods == {}


@pytest.mark.parametrize(
    ("policy", "healthy", "goes"),
    [("", 1, True), ("IfHealthyBudget", 1, True), ("", 0, False), ("AlwaysAllow", 0, True)],
)
async def test_a_pod_that_is_not_ready_goes_by_the_policy(policy: str, healthy: int, goes: bool) -> None:
    api = await make_running("a", ready=False)
    spec: dict[str, Any] = {"unhealthyPodEvictionPolicy": policy} if policy else {}
    await add_budget(api, allowed=0, healthy=healthy, desired=1, **spec)
    if goes:
        assert (await api.evict("default", "a")).gone
    else:
        assert (await refuse(api)).message == REFUSED


async def test_a_dry_run_asks_the_budget_and_changes_nothing() -> None:
    api = await make_running("a")
    await add_budget(api, allowed=1)
    before = api.store.revision
    await api.evict("default", "a", context=Context(dry_run=True))
    assert api.store.revision == before
    await api.update_status(
        replace(
            api.get(kinds.POD_DISRUPTION_BUDGET, "default", "web"),
            status=replace(status_of(api), disruptions_allowed=0),
        )
    )
    assert (await refuse(api, context=Context(dry_run=True))).message == REFUSED


async def test_preconditions_are_kept() -> None:
    api = await make_running("a")
    error = await refuse(api, uid="other")
    assert error.reason is Reason.CONFLICT
    assert api.find(kinds.POD, "default", "a") is not None


async def test_a_pod_that_is_not_there_is_not_found() -> None:
    api = await make_running()
    assert (await refuse(api)).message == 'pods "a" not found'
