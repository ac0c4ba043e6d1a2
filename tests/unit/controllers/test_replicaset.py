"""Which pods a set adopts, makes and deletes, and its status."""

import pytest

from pinnace.controllers.deployment.revisions import build_replica_set
from pinnace.controllers.replicaset.decide import (
    BURST,
    ManageFailure,
    ReplicaSetFacts,
    ReplicaSetPlan,
    build_pod,
    compute_status,
    reconcile_replica_set,
)
from pinnace.controllers.replicaset.ranking import choose_victims
from pinnace.kube.objects.apps_v1 import ReplicaSet
from pinnace.kube.objects.core_v1 import Pod
from tests.unit.controllers.builders import at, deployment, pod, with_meta, with_spec, with_status


def a_set(replicas: int = 3, **spec: object) -> ReplicaSet:
    made = with_meta(build_replica_set(deployment(), "aaa", 1, replicas), uid="uid-rs", generation=4)
    return with_spec(made, **spec) if spec else made


def decide(one: ReplicaSet, *pods: Pod, now_s: float = 100) -> ReplicaSetPlan:
    return reconcile_replica_set(ReplicaSetFacts(one, pods), at(now_s))


def test_missing_pods_are_created() -> None:
    one = a_set(3)
    plan = decide(one, pod("a", owner=one))
    assert (plan.create, plan.delete) == (2, ())


def test_ended_and_terminating_pods_are_replaced() -> None:
    one = a_set(2)
    plan = decide(
        one, pod("a", owner=one, phase="Failed"), pod("b", owner=one, deleting=True), pod("c", owner=one)
    )
    assert plan.create == 1


def test_no_more_than_a_burst_is_created_at_once() -> None:
    assert decide(a_set(2000)).create == BURST


def test_matching_pod_without_controller_is_adopted_and_counts() -> None:
    one = a_set(1)
    orphan = with_meta(pod("a", owner=one), owner_references=())
    plan = decide(one, orphan)
    assert plan.create == 0
    assert [ref.uid for ref in plan.claims[0].after.metadata.owner_references] == ["uid-rs"]


def test_pod_whose_labels_no_longer_match_is_released_and_replaced() -> None:
    one = a_set(1)
    plan = decide(one, with_meta(pod("a", owner=one), labels={"app": "debug"}))
    assert plan.claims[0].after.metadata.owner_references == ()
    assert plan.create == 1


def test_pod_of_another_controller_is_left_alone() -> None:
    other = with_meta(a_set(1), uid="uid-other", name="web-other")
    plan = decide(a_set(1), pod("a", owner=other))
    assert (plan.claims, plan.create) == ((), 1)


def test_set_that_is_being_deleted_does_nothing() -> None:
    leaving = with_meta(a_set(3), deletion_timestamp="2026-01-01T00:00:00Z")
    assert decide(leaving).create == 0


def test_new_pod_has_the_template_and_its_owner() -> None:
    made = build_pod(a_set())
    assert made.metadata.generate_name == "web-aaa-"
    assert made.metadata.labels == {"app": "web", "pod-template-hash": "aaa"}
    assert [
        (ref.kind, ref.name, ref.controller, ref.block_owner_deletion)
        for ref in made.metadata.owner_references
    ] == [("ReplicaSet", "web-aaa", True, True)]


# ---------------------------------------------------------------------- which pods go first
# Source: the list at ActivePodsWithRanks in Kubernetes' controller_utils.go; in each row the first pod goes.

ROWS = [
    ("unscheduled before scheduled", pod("a", node="", phase="Pending"), pod("b", phase="Pending")),
    ("pending before running", pod("a", phase="Pending", ready=False), pod("b", ready=False)),
    ("unknown before running", pod("a", phase="Unknown", ready=False), pod("b", ready=False)),
    ("not ready before ready", pod("a", ready=False), pod("b")),
    (
        "lower deletion cost before higher",
        pod("a", annotations={"controller.kubernetes.io/pod-deletion-cost": "-5"}),
        pod("b"),
    ),
    ("ready for a shorter time, by powers of two", pod("a", ready_s=90), pod("b", ready_s=10)),
    ("more restarts before fewer", pod("a", restarts=3), pod("b")),
    ("younger before older", pod("a", created_s=90), pod("b", created_s=10)),
]


@pytest.mark.parametrize(("rule", "first", "second"), ROWS, ids=[row[0] for row in ROWS])
def test_pod_that_is_missed_least_goes_first(rule: str, first: Pod, second: Pod) -> None:
    assert choose_victims([first, second], [first, second], 1, at(100)) == (first,)
    assert choose_victims([second, first], [second, first], 1, at(100)) == (first,)


def test_pod_on_the_fuller_node_goes_first() -> None:
    crowded = [pod("a", node="n1"), pod("b", node="n1")]
    alone = pod("c", node="n2")
    assert choose_victims([alone, crowded[0]], [*crowded, alone], 1, at(100)) == (crowded[0],)


def test_within_one_power_of_two_of_age_the_uid_decides() -> None:
    # Source: logarithmicRankDiff: 70 s and 80 s have the same whole logarithm of nanoseconds (36).
    older, younger = pod("a", created_s=20), pod("z", created_s=30)
    assert choose_victims([older, younger], [], 1, at(100)) == (older,)


# ---------------------------------------------------------------------- status


def test_status_counts_ready_available_and_terminating_pods() -> None:
    one = a_set(4, min_ready_seconds=10)
    pods = [
        pod("a", owner=one, ready_s=80),
        pod("b", owner=one, ready_s=95),
        pod("c", owner=one, ready=False),
        pod("d", owner=one, deleting=True),
        pod("e", owner=one, phase="Failed"),
        pod("f", owner=one, ready_s=50, labels={"app": "web"}),
    ]
    status, wait_s = compute_status(one, pods, None, at(100))
    assert (status.replicas, status.ready_replicas, status.available_replicas) == (4, 3, 2)
    assert (status.fully_labeled_replicas, status.terminating_replicas, status.observed_generation) == (
        3,
        1,
        4,
    )
    assert wait_s == 5  # b has been ready for 5 of 10 s


def test_failure_to_create_is_a_condition_and_goes_when_it_is_over() -> None:
    one = a_set(1)
    failed, _ = compute_status(one, [], ManageFailure("FailedCreate", "pods is forbidden"), at(0))
    (condition,) = failed.conditions
    assert (condition.type, condition.status, condition.reason) == ("ReplicaFailure", "True", "FailedCreate")
    again, _ = compute_status(with_status(one, conditions=failed.conditions), [], None, at(9))
    assert again.conditions == ()


def test_status_of_an_unchanged_world_is_equal() -> None:
    one = a_set(1)
    status, _ = compute_status(one, [pod("a", owner=one)], None, at(0))
    from msgspec.structs import replace

    assert compute_status(replace(one, status=status), [pod("a", owner=one)], None, at(50)) == (status, None)
