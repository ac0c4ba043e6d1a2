"""What a deployment does next."""

import msgspec
import pytest

from pinnace.controllers.deployment import revisions, status
from pinnace.controllers.deployment.rollout import DeploymentFacts, reconcile_deployment
from pinnace.controllers.plan import Change, Create, Delete, Plan, Record, SetStatus
from pinnace.kube.objects.apps_v1 import Deployment, DeploymentStatus, ReplicaSet
from pinnace.kube.objects.core_v1 import Pod
from tests.unit.controllers.builders import at, deployment, pod, with_image, with_meta, with_spec, with_status


def a_set(
    owner: Deployment,
    name: str,
    revision: int,
    replicas: int,
    available: int | None = None,
    actual: int | None = None,
) -> ReplicaSet:
    """A set as it stands in the store, with a status that its controller wrote."""
    made = with_meta(
        revisions.build_replica_set(owner, name, revision, replicas),
        uid=f"uid-{name}",
        generation=1,
        creation_timestamp=f"2026-01-01T00:00:0{revision}Z",
    )
    ready = replicas if available is None else available
    return with_status(
        made,
        replicas=replicas if actual is None else actual,
        ready_replicas=ready or None,
        available_replicas=ready or None,
        observed_generation=1,
    )


def decide(
    wanted: Deployment, *sets: ReplicaSet, now_s: float = 0, pods: dict[str, list[Pod]] | None = None
) -> Plan:
    found = pods or {}
    return reconcile_deployment(DeploymentFacts(wanted, sets, lambda uid: found.get(uid, [])), at(now_s))


def sizes(plan: Plan) -> dict[str, int]:
    """The new size of each set that is made or resized."""
    found: dict[str, int] = {}
    for step in plan.steps:
        if isinstance(step, Create):
            found[step.object.metadata.labels["pod-template-hash"]] = step.object.spec.replicas
        elif isinstance(step, Change) and isinstance(step.after, ReplicaSet):
            before, after = step.before.spec.replicas, step.after.spec.replicas
            if before != after:
                found[step.after.metadata.labels["pod-template-hash"]] = after or 0
    return found


def events(plan: Plan) -> list[str]:
    return [step.message for step in plan.steps if isinstance(step, Record)]


def new_status(plan: Plan) -> DeploymentStatus:
    (step,) = (step for step in plan.steps if isinstance(step, SetStatus))
    found = step.status
    assert isinstance(found, DeploymentStatus)
    return found


def reasons(found: DeploymentStatus) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in found.conditions}


def annotated(wanted: Deployment, revision: int) -> Deployment:
    return with_meta(wanted, annotations={**wanted.metadata.annotations, revisions.REVISION: str(revision)})


def progressing(reason: str, updated_s: float = 0, status_: str = "True") -> dict[str, tuple[object, ...]]:
    return {"conditions": (status.new_condition("Progressing", status_, reason, "", at(updated_s)),)}


# ---------------------------------------------------------------------- first rollout


def test_first_set_gets_all_replicas_revision_one_and_an_event() -> None:
    plan = decide(deployment(replicas=3))
    created = plan.steps[0]
    assert isinstance(created, Create)
    name = created.object.metadata.name
    assert created.object.metadata.annotations == {
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
        "deployment.kubernetes.io/revision": "1",
    }
    assert created.object.spec.replicas == 3
    assert events(plan) == [f"Scaled up replica set {name} from 0 to 3"]
    assert isinstance(plan.steps[2], Change)
    assert plan.steps[2].after.metadata.annotations == {"deployment.kubernetes.io/revision": "1"}
    assert reasons(new_status(plan)) == {
        "Progressing": ("True", "NewReplicaSetCreated"),
        "Available": ("False", "MinimumReplicasUnavailable"),
    }
    assert plan.requeue_after_s == 601  # the deadline of 600 s and one for whole seconds


def test_plan_can_be_read() -> None:
    name = f"web-{revisions.compute_template_hash(deployment().spec.template, None)}"
    assert decide(deployment(replicas=3)).describe().splitlines() == [
        f"create ReplicaSet default/{name}",
        f"record Normal ScalingReplicaSet on Deployment default/web: Scaled up replica set {name} from 0 to 3",
        "change Deployment default/web: revision 1",
        "set status of Deployment default/web",
        "look again in 601 s",
    ]


def test_finished_rollout_says_so_and_then_rests() -> None:
    wanted = annotated(deployment(), 1)
    one = a_set(wanted, "aaa", 1, 3)
    plan = decide(with_status(wanted, **progressing("ReplicaSetUpdated")), one, now_s=5)
    found = new_status(plan)
    assert reasons(found) == {
        "Progressing": ("True", "NewReplicaSetAvailable"),
        "Available": ("True", "MinimumReplicasAvailable"),
    }
    assert sorted(c.message for c in found.conditions) == [
        "Deployment has minimum availability.",
        'ReplicaSet "web-aaa" has successfully progressed.',
    ]
    assert (found.replicas, found.updated_replicas, found.ready_replicas, found.available_replicas) == (
        3,
        3,
        3,
        3,
    )
    assert (found.unavailable_replicas, found.observed_generation) == (None, 1)
    assert decide(msgspec.structs.replace(wanted, status=found), one, now_s=900) == Plan()


# ---------------------------------------------------------------------- rolling update


def test_new_template_makes_a_set_of_the_surge_and_takes_what_may_be_unavailable() -> None:
    # Source: the worked example in Kubernetes' rolling.go: 10 replicas, surge 3, unavailable 2 -> new 3, old 8.
    wanted = deployment(replicas=10, max_surge=3, max_unavailable=2)
    plan = decide(annotated(with_image(wanted, "web:v2"), 1), a_set(wanted, "old", 1, 10))
    new = next(name for name in sizes(plan) if name != "old")
    assert sizes(plan) == {new: 3, "old": 8}
    created = next(step.object for step in plan.steps if isinstance(step, Create))
    assert created.metadata.annotations[revisions.REVISION] == "2"


def test_old_set_keeps_what_the_new_one_does_not_yet_serve() -> None:
    wanted = deployment(replicas=10, max_surge=3, max_unavailable=2)
    v2 = annotated(with_image(wanted, "web:v2"), 2)
    plan = decide(v2, a_set(wanted, "old", 1, 8), a_set(v2, "new", 2, 5, available=0, actual=5))
    assert sizes(plan) == {}


def test_each_available_new_pod_frees_an_old_one() -> None:
    wanted = deployment(replicas=10, max_surge=3, max_unavailable=2)
    v2 = annotated(with_image(wanted, "web:v2"), 2)
    plan = decide(v2, a_set(wanted, "old", 1, 8), a_set(v2, "new", 2, 5, available=2, actual=5))
    assert sizes(plan) == {"old": 6}  # 8 + 2 available, 8 needed, by hand
    assert events(plan) == ["Scaled down replica set web-old from 8 to 6"]


# Source: TestDeploymentController_reconcileNewReplicaSet in Kubernetes' rolling_test.go.
@pytest.mark.parametrize(
    ("replicas", "surge", "old", "new", "expected"),
    [(10, 0, 10, 0, None), (10, 2, 10, 0, 2), (10, 2, 5, 0, 7), (10, 2, 10, 2, None), (10, 2, 2, 11, 10)],
)
def test_new_set_grows_within_the_surge(
    replicas: int, surge: int, old: int, new: int, expected: int | None
) -> None:
    wanted = deployment(replicas=replicas, max_surge=surge, max_unavailable=0 if surge else 1)
    v2 = annotated(with_image(wanted, "web:v2"), 2)
    plan = decide(
        v2, a_set(v2, "new", 2, new, available=0, actual=new), _sized_for(a_set(wanted, "old", 1, old), v2)
    )
    assert sizes(plan).get("new") == expected


# Source: TestDeploymentController_reconcileOldReplicaSets: available of old and new -> new size of old (None: as it is).
@pytest.mark.parametrize(
    ("unavailable", "old", "new", "old_available", "new_available", "expected"),
    [
        (0, 10, 0, 10, 0, 9),  # surge 0 and unavailable 0 count as one unavailable pod
        (2, 10, 0, 10, 0, 8),
        (2, 10, 0, 8, 0, 8),  # the two that are not available go
        (2, 10, 0, 9, 0, 8),  # 1 unhealthy goes, then 1 available one
        (2, 10, 0, 7, 0, 8),  # 2 of 3 unhealthy ones: no more than may be unavailable
        (2, 8, 2, 8, 0, None),
    ],
)
def test_old_sets_shrink_unhealthy_pods_first(
    unavailable: int, old: int, new: int, old_available: int, new_available: int, expected: int | None
) -> None:
    wanted = deployment(replicas=10, max_surge=0, max_unavailable=unavailable)
    v2 = annotated(with_image(wanted, "web:v2"), 2)
    plan = decide(
        v2,
        a_set(wanted, "old", 1, old, available=old_available, actual=old),
        a_set(v2, "new", 2, new, available=new_available, actual=new),
    )
    assert sizes(plan).get("old") == expected


def _sized_for(one: ReplicaSet, wanted: Deployment) -> ReplicaSet:
    return revisions.with_replicas(one, wanted, one.spec.replicas or 0)


# ---------------------------------------------------------------------- scaling


def test_single_set_is_simply_resized() -> None:
    before = annotated(deployment(replicas=3), 1)
    plan = decide(with_spec(before, replicas=5), a_set(before, "aaa", 1, 3))
    assert sizes(plan) == {"aaa": 5}
    assert events(plan) == ["Scaled up replica set web-aaa from 3 to 5"]


# By hand, from the shares: each set gets round(size * after / before), what is left over goes to the largest.
@pytest.mark.parametrize(
    ("before", "after", "surge", "sized", "expected"),
    [
        (10, 12, 0, {"new": 5, "old": 5}, {"new": 6, "old": 6}),
        (10, 6, 0, {"new": 5, "old": 5}, {"new": 3, "old": 3}),
        (10, 5, 0, {"new": 7, "old": 3}, {"new": 3, "old": 2}),  # 3.5 -> 4 and 1.5 -> 2 are one too many
        (10, 20, 0, {"new": 5, "old": 5}, {"new": 10, "old": 10}),
        (5, 0, 0, {"new": 3, "old": 2}, {"new": 0, "old": 0}),
        (4, 8, 2, {"new": 3, "old": 3}, {"new": 5, "old": 5}),
    ],
)
def test_scaling_in_the_middle_of_a_rollout_is_proportional(
    before: int, after: int, surge: int, sized: dict[str, int], expected: dict[str, int]
) -> None:
    first = deployment(replicas=before, max_surge=surge, max_unavailable=1)
    v2 = annotated(with_image(first, "web:v2"), 2)
    sets = [a_set(v2, "new", 2, sized["new"], available=0), a_set(first, "old", 1, sized["old"])]
    plan = decide(with_spec(v2, replicas=after), *sets)
    assert {**sized, **sizes(plan)} == expected


# ---------------------------------------------------------------------- pause, deadline, history, recreate


def test_paused_deployment_makes_no_set() -> None:
    before = annotated(deployment(replicas=3), 1)
    one = a_set(before, "aaa", 1, 3)
    paused = with_spec(with_image(before, "web:v2"), paused=True)
    plan = decide(paused, one)
    assert sizes(plan) == {}
    assert reasons(new_status(plan))["Progressing"] == ("Unknown", "DeploymentPaused")


def test_resumed_deployment_starts_its_deadline_anew() -> None:
    v2 = annotated(with_image(deployment(), "web:v2"), 2)
    resumed = with_status(v2, **progressing("DeploymentPaused", status_="Unknown"))
    found = status.mark_paused(resumed, at(5000))
    assert reasons(found)["Progressing"] == ("Unknown", "DeploymentResumed")
    assert found.conditions[0].last_update_time == "2026-01-01T01:23:20Z"


def test_standing_rollout_fails_at_its_deadline_and_not_before() -> None:
    wanted = annotated(deployment(replicas=3, deadline_s=60), 1)
    one = a_set(wanted, "aaa", 1, 3, available=0)
    seen = new_status(decide(with_status(wanted, **progressing("NewReplicaSetCreated")), one, now_s=1))
    standing = msgspec.structs.replace(wanted, status=seen)
    assert decide(standing, one, now_s=60).steps == ()
    plan = decide(standing, one, now_s=62)
    assert reasons(new_status(plan))["Progressing"] == ("False", "ProgressDeadlineExceeded")
    condition = status.find_condition(new_status(plan), "Progressing")
    assert condition is not None
    assert condition.message == 'ReplicaSet "web-aaa" has timed out progressing.'
    assert plan.requeue_after_s is None


def test_recovered_rollout_is_progressing_again_after_its_deadline() -> None:
    wanted = annotated(deployment(replicas=3), 1)
    failed = with_status(wanted, replicas=3, **progressing("ProgressDeadlineExceeded", status_="False"))
    found = new_status(decide(failed, a_set(wanted, "aaa", 1, 3, available=1), now_s=9))
    assert reasons(found)["Progressing"] == ("True", "ReplicaSetUpdated")


def test_rollback_scales_the_old_set_up_as_a_new_revision() -> None:
    v1 = deployment(replicas=3, max_surge=1, max_unavailable=0)
    v2 = with_image(v1, "web:v2")
    undone = annotated(with_image(v2, "web:v1"), 2)
    plan = decide(undone, a_set(v1, "v1", 1, 0), a_set(v2, "v2", 2, 3))
    assert sizes(plan) == {"v1": 1}
    last = [
        step.after for step in plan.steps if isinstance(step, Change) and step.after.metadata.name == "web-v1"
    ][-1]
    assert last.metadata.annotations[revisions.REVISION] == "3"
    assert last.metadata.annotations[revisions.REVISION_HISTORY] == "1"
    owner = next(
        step.after for step in plan.steps if isinstance(step, Change) and step.after.kind == "Deployment"
    )
    assert owner.metadata.annotations[revisions.REVISION] == "3"
    assert not any(isinstance(step, Create) for step in plan.steps)


def test_oldest_revisions_beyond_the_limit_are_deleted_when_the_rollout_is_complete() -> None:
    wanted = deployment(replicas=1, history=1)
    v4 = annotated(with_image(wanted, "web:v4"), 4)
    old = [a_set(with_image(wanted, f"web:v{n}"), f"v{n}", n, 0) for n in (1, 2, 3)]
    current = a_set(v4, "v4", 4, 1)
    complete = new_status(decide(with_status(v4, **progressing("ReplicaSetUpdated")), *old, current))
    plan = decide(msgspec.structs.replace(v4, status=complete), *old, current)
    assert [step.object.metadata.name for step in plan.steps if isinstance(step, Delete)] == [
        "web-v1",
        "web-v2",
    ]


def test_recreate_first_ends_the_old_pods_then_makes_the_new_ones() -> None:
    v1 = deployment(replicas=3, recreate=True)
    v2 = annotated(with_image(v1, "web:v2"), 1)
    assert sizes(decide(v2, a_set(v1, "v1", 1, 3))) == {"v1": 0}
    emptied = a_set(v1, "v1", 1, 0, actual=0)
    waiting = decide(v2, _sized_for(emptied, v2), pods={"uid-v1": [pod(deleting=True)]})
    assert sizes(waiting) == {}
    (new,) = sizes(decide(v2, _sized_for(emptied, v2))).values()
    assert new == 3


# ---------------------------------------------------------------------- ownership, collisions


def test_matching_set_without_a_controller_is_adopted_first() -> None:
    wanted = deployment()
    orphan = with_meta(a_set(wanted, "aaa", 1, 3), owner_references=())
    plan = decide(wanted, orphan)
    (step,) = plan.steps
    assert isinstance(step, Change)
    assert [ref.uid for ref in step.after.metadata.owner_references] == ["uid-web"]
    assert plan.requeue_after_s == 0


def test_set_of_another_deployment_is_left_alone() -> None:
    other = a_set(deployment("other"), "zzz", 1, 3)
    plan = decide(deployment(), other)
    assert all(step.after.metadata.name != "web-zzz" for step in plan.steps if isinstance(step, Change))


def test_taken_name_counts_a_collision_and_comes_again() -> None:
    wanted = deployment()
    template_hash = revisions.compute_template_hash(wanted.spec.template, None)
    foreign = with_meta(
        a_set(deployment("web"), template_hash, 1, 3), owner_references=(), labels={"app": "other"}
    )
    plan = decide(wanted, foreign)
    assert new_status(plan).collision_count == 1
    assert plan.requeue_after_s == 0
    assert not any(isinstance(step, Create) for step in plan.steps)


def test_deployment_that_is_being_deleted_only_counts() -> None:
    leaving = with_meta(deployment(), deletion_timestamp="2026-01-01T00:00:00Z", finalizers=("x/y",))
    plan = decide(leaving)
    assert [type(step) for step in plan.steps] == [SetStatus]


def test_failure_of_a_set_shows_on_the_deployment() -> None:
    from pinnace.kube.objects.apps_v1 import ReplicaSetCondition

    wanted = annotated(deployment(), 1)
    failure = ReplicaSetCondition(
        type="ReplicaFailure", status="True", reason="FailedCreate", message="no room"
    )
    one = with_status(a_set(wanted, "aaa", 1, 3, available=0, actual=0), conditions=(failure,))
    found = new_status(decide(with_status(wanted, **progressing("ReplicaSetUpdated")), one))
    assert reasons(found)["ReplicaFailure"] == ("True", "FailedCreate")
