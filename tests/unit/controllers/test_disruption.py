"""Disruption budgets: what may be evicted now. Arithmetic by hand, cases of Kubernetes' disruption_test.go."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_time
from pinnace.controllers.disruption.controller import DisruptionController
from pinnace.controllers.disruption.decide import (
    BudgetFacts,
    Expectation,
    compute_expectation,
    reconcile_budget,
)
from pinnace.controllers.disruption.stale import StaleDisruptionController, seconds_until_stale
from pinnace.controllers.plan import Record, SetStatus
from pinnace.controllers.runner import ObjectKey
from pinnace.kube import codec, kinds
from pinnace.kube.objects.core_v1 import Pod, PodCondition, PodStatus
from pinnace.kube.objects.meta_v1 import LabelSelector, ObjectMeta
from pinnace.kube.objects.policy_v1 import (
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodDisruptionBudgetStatus,
)
from pinnace.store.memory import MemoryStore
from tests.unit.controllers.builders import START, WEB, at

MINUTE = 60


def budget(status: PodDisruptionBudgetStatus | None = None, **spec: Any) -> PodDisruptionBudget:
    return PodDisruptionBudget(
        metadata=ObjectMeta(name="web", namespace="default", uid="uid-budget", generation=1),
        spec=PodDisruptionBudgetSpec(selector=LabelSelector(match_labels=WEB), **spec),
        status=status or PodDisruptionBudgetStatus(),
    )


def member(name: str, *, ready: bool = True, going: bool = False) -> Pod:
    return Pod(
        metadata=ObjectMeta(
            name=name, namespace="default", labels=WEB, deletion_timestamp=render_time(START) if going else ""
        ),
        status=PodStatus(
            phase="Running",
            conditions=(PodCondition(type="Ready", status="True" if ready else "False"),),
        ),
    )


def status_after(facts: BudgetFacts, now: float = START) -> PodDisruptionBudgetStatus:
    """Return the status that the plan sets, or the one that stays."""
    steps = [step for step in reconcile_budget(facts, now).steps if isinstance(step, SetStatus)]
    status: PodDisruptionBudgetStatus = steps[0].status if steps else facts.budget.status
    return status


@pytest.mark.parametrize(
    ("spec", "pods", "wanted", "expected"),
    [
        ({"min_available": 2}, 3, 0, Expectation(3, 2)),
        ({"min_available": "50%"}, 7, 7, Expectation(7, 4)),
        ({"max_unavailable": 1}, 3, 4, Expectation(4, 3)),
        ({"max_unavailable": "25%"}, 10, 10, Expectation(10, 7)),
        ({"max_unavailable": "100%"}, 3, 3, Expectation(3, 0)),
        ({"max_unavailable": 5}, 3, 3, Expectation(3, 0)),
        ({}, 3, 0, Expectation(0, 0)),
    ],
)
def test_what_is_expected(spec: dict[str, Any], pods: int, wanted: int, expected: Expectation) -> None:
    members = tuple(member(f"p{number}") for number in range(pods))
    assert compute_expectation(BudgetFacts(budget(**spec), members, {"uid": wanted})) == expected


def test_healthy_pods_beyond_what_is_wanted_may_go() -> None:
    facts = BudgetFacts(
        budget(min_available=2), (member("a"), member("b"), member("c"), member("d", ready=False))
    )
    status = status_after(facts)
    assert (
        status.current_healthy,
        status.desired_healthy,
        status.expected_pods,
        status.disruptions_allowed,
        status.observed_generation,
    ) == (3, 2, 4, 1, 1)
    assert [(each.status, each.reason) for each in status.conditions] == [("True", "SufficientPods")]


def test_pods_that_go_are_not_healthy() -> None:
    facts = BudgetFacts(budget(min_available=1), (member("a"), member("b", going=True)))
    status = status_after(facts)
    assert (status.current_healthy, status.disruptions_allowed) == (1, 0)
    assert status.conditions[0].reason == "InsufficientPods"


def test_without_pods_nothing_is_allowed_and_it_is_told_once() -> None:
    plan = reconcile_budget(BudgetFacts(budget(max_unavailable=1)), START)
    assert [step.message for step in plan.steps if isinstance(step, Record)] == ["No matching pods found"]
    after = budget(status_after(BudgetFacts(budget(max_unavailable=1))), max_unavailable=1)
    assert reconcile_budget(BudgetFacts(after), START).steps == ()
    assert after.status.disruptions_allowed == 0


def test_an_evicted_pod_counts_as_gone_for_two_minutes() -> None:
    status = PodDisruptionBudgetStatus(disrupted_pods={"a": render_time(START)})
    facts = BudgetFacts(budget(status, min_available=1), (member("a"), member("b"), member("c")))
    plan = reconcile_budget(facts, at(MINUTE))
    assert plan.requeue_after_s == MINUTE
    after = status_after(facts, at(MINUTE))
    assert (after.current_healthy, after.disrupted_pods) == (2, {"a": render_time(START)})
    late = reconcile_budget(facts, at(2 * MINUTE + 1))
    after = status_after(facts, at(2 * MINUTE + 1))
    assert (after.current_healthy, after.disrupted_pods) == (3, {})
    assert [step.message for step in late.steps if isinstance(step, Record)] == [
        "Pod was expected by PDB default/web to be deleted but it wasn't"
    ]


def test_an_evicted_pod_that_goes_is_forgotten() -> None:
    status = PodDisruptionBudgetStatus(disrupted_pods={"a": render_time(START), "z": render_time(START)})
    facts = BudgetFacts(budget(status, min_available=1), (member("a", going=True), member("b")))
    assert status_after(facts).disrupted_pods == {}


def test_trouble_allows_nothing() -> None:
    status = PodDisruptionBudgetStatus(disruptions_allowed=3)
    facts = BudgetFacts(
        budget(status, max_unavailable=1), trouble="jobs.batch does not implement the scale subresource"
    )
    after = status_after(facts)
    assert after.disruptions_allowed == 0
    assert (after.conditions[0].reason, after.conditions[0].message) == (
        "SyncFailed",
        "jobs.batch does not implement the scale subresource",
    )
    assert (
        reconcile_budget(BudgetFacts(budget(after, max_unavailable=1), trouble=facts.trouble), at(9)).steps
        == ()
    )


def test_the_time_of_the_condition_moves_only_with_its_value() -> None:
    facts = BudgetFacts(budget(min_available=1), (member("a"), member("b")))
    first = status_after(facts)
    more = BudgetFacts(budget(first, min_available=1), (member("a"), member("b"), member("c")))
    assert status_after(more, at(9)).conditions[0].last_transition_time == render_time(START)


# ---------------------------------------------------------------------------------------------------- the doer


async def make_world(**spec: Any) -> tuple[Api, DisruptionController]:
    clock = FrozenClock(START)
    api = Api(MemoryStore(), clock, Chance(7))
    await create(api, kinds.NAMESPACE, {"metadata": {"name": "default"}})
    await create(
        api,
        kinds.POD_DISRUPTION_BUDGET,
        {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"matchLabels": WEB}, **spec},
        },
    )
    return api, DisruptionController(api, clock)


async def create(api: Api, kind: Any, document: dict[str, Any]) -> Any:
    return await api.create(codec.from_json(kind, document))


async def add_replicas(api: Api, count: int, *, wanted: int, of_deployment: bool = False) -> None:
    template = {"metadata": {"labels": WEB}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    workload = {"replicas": wanted, "selector": {"matchLabels": WEB}, "template": template}
    owners = []
    if of_deployment:
        above = await create(
            api, kinds.DEPLOYMENT, {"metadata": {"name": "web", "namespace": "default"}, "spec": workload}
        )
        owners = [reference(above)]
        workload = {**workload, "replicas": 1}
    metadata = {"name": "web", "namespace": "default", "ownerReferences": owners}
    owner = await create(api, kinds.REPLICA_SET, {"metadata": metadata, "spec": workload})
    for number in range(count):
        meta = {"name": f"p{number}", "namespace": "default", "labels": WEB}
        pod = await create(
            api,
            kinds.POD,
            {"metadata": {**meta, "ownerReferences": [reference(owner)]}, "spec": template["spec"]},
        )
        status = PodStatus(phase="Running", conditions=(PodCondition(type="Ready", status="True"),))
        await api.update_status(replace(pod, status=status))


def reference(owner: Any) -> dict[str, Any]:
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
    }


def shown(api: Api) -> tuple[int | None, ...]:
    status = api.get(kinds.POD_DISRUPTION_BUDGET, "default", "web").status
    return (
        status.expected_pods,
        status.desired_healthy,
        status.current_healthy,
        status.disruptions_allowed,
    )


@pytest.mark.parametrize("of_deployment", [False, True])
async def test_shares_are_of_what_the_controllers_want(of_deployment: bool) -> None:
    api, controller = await make_world(maxUnavailable="50%")
    await add_replicas(api, 3, wanted=4, of_deployment=of_deployment)
    await controller.reconcile(ObjectKey("default", "web"))
    assert shown(api) == (4, 2, 3, 1)


async def test_pods_without_a_controller_are_told_of() -> None:
    api, controller = await make_world(maxUnavailable=1)
    await create(
        api,
        kinds.POD,
        {
            "metadata": {"name": "alone", "namespace": "default", "labels": WEB},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        },
    )
    await controller.reconcile(ObjectKey("default", "web"))
    assert shown(api) == (0, 0, 0, 0)
    events = [event.reason for event in api.list(kinds.EVENT, "default")]
    assert events == ["UnmanagedPods"]


async def test_an_eviction_that_comes_between_is_not_forgotten() -> None:
    api, controller = await make_world(minAvailable=1)
    await add_replicas(api, 3, wanted=3)
    key = ObjectKey("default", "web")
    await controller.reconcile(key)
    assert shown(api)[3] == 2
    await api.evict("default", "p0")
    await controller.reconcile(key)
    assert shown(api) == (2, 1, 2, 1)


@pytest.mark.parametrize("seed", range(12))
async def test_evictions_never_leave_fewer_than_the_budget_wants(seed: int) -> None:
    chance = Chance(seed)
    least = chance.integer(1, 6)
    api, controller = await make_world(minAvailable=least)
    await add_replicas(api, 8, wanted=8)
    key, refused = ObjectKey("default", "web"), 0
    for _ in range(20):
        wishes = [api.evict("default", f"p{chance.integer(0, 7)}") for _ in range(chance.integer(1, 4))]
        looks = [controller.reconcile(key) for _ in range(chance.integer(0, 1))]
        results = await asyncio.gather(*wishes, *looks, return_exceptions=True)
        refused += sum(
            isinstance(result, ApiError) and result.reason is Reason.TOO_MANY_REQUESTS for result in results
        )
        assert len(api.list(kinds.POD, "default")) >= least
    await controller.reconcile(key)
    assert refused
    assert shown(api)[3] == len(api.list(kinds.POD, "default")) - least


@pytest.mark.parametrize(("selector", "allowed"), [({}, 2), (None, 0)])
async def test_an_empty_selector_means_all_and_none_means_none(selector: Any, allowed: int) -> None:
    api, controller = await make_world(minAvailable=1)
    await api.delete(kinds.POD_DISRUPTION_BUDGET, "default", "web")
    spec = {"minAvailable": 1, **({"selector": selector} if selector is not None else {})}
    await create(
        api, kinds.POD_DISRUPTION_BUDGET, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    )
    await add_replicas(api, 3, wanted=3)
    await controller.reconcile(ObjectKey("default", "web"))
    assert shown(api)[3] == allowed


# ---------------------------------------------------------------------------------------------------- stale marks


def marked(
    *, ago_s: float, reason: str = "EvictionByEvictionAPI", phase: str = "Running", going: bool = False
) -> Pod:
    pod = member("a", going=going)
    mark = PodCondition(
        type="DisruptionTarget", status="True", reason=reason, last_transition_time=render_time(START - ago_s)
    )
    return replace(pod, status=PodStatus(phase=phase, conditions=(mark,)))


@pytest.mark.parametrize(
    ("pod", "left_s"),
    [
        (marked(ago_s=100), 20),
        (marked(ago_s=120), 0),
        (marked(ago_s=500, going=True), None),
        (marked(ago_s=500, phase="Succeeded"), None),
        (marked(ago_s=500, reason="TerminationByKubelet"), None),
        (member("a"), None),
    ],
)
def test_a_mark_is_stale_after_two_minutes(pod: Pod, left_s: float | None) -> None:
    assert seconds_until_stale(pod, START) == left_s


async def test_a_stale_mark_is_taken_back() -> None:
    api, _ = await make_world(minAvailable=1)
    await add_replicas(api, 1, wanted=1)
    pod = api.get(kinds.POD, "default", "p0")
    await api.update_status(replace(pod, status=marked(ago_s=121).status))
    await StaleDisruptionController(api, api.clock).reconcile(ObjectKey("default", "p0"))
    (condition,) = api.get(kinds.POD, "default", "p0").status.conditions
    assert (condition.type, condition.status, condition.reason) == ("DisruptionTarget", "False", "")
