"""What happens to an object because of its owners and dependents."""

import pytest

from pinnace.controllers.garbage.decide import GarbageFacts, OwnerState, reconcile_garbage
from pinnace.controllers.plan import Change, Delete, Plan, Record
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.objects.meta_v1 import OwnerReference
from tests.unit.controllers.builders import pod, with_meta

PRESENT, ABSENT, WAITING = OwnerState.PRESENT, OwnerState.ABSENT, OwnerState.WAITING
UNKNOWN, MISPLACED = OwnerState.UNKNOWN, OwnerState.MISPLACED


def owned(name: str, *owners: str, finalizers: tuple[str, ...] = (), deleting: bool = False) -> Pod:
    refs = tuple(
        OwnerReference(
            api_version="apps/v1",
            kind="ReplicaSet",
            name=uid,
            uid=uid,
            controller=n == 0,
            block_owner_deletion=True,
        )
        for n, uid in enumerate(owners)
    )
    made = with_meta(pod(name), owner_references=refs, finalizers=finalizers)
    return with_meta(made, deletion_timestamp="2026-01-01T00:00:00Z") if deleting else made


def decide(obj: Pod, states: dict[str, OwnerState] | None = None, dependents: tuple[Pod, ...] = ()) -> Plan:
    return reconcile_garbage(GarbageFacts(obj, lambda ref: (states or {})[ref.uid], lambda: dependents))


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"x": PRESENT}, None),
        ({"x": ABSENT}, "Background"),
        ({"x": WAITING}, "Background"),  # nothing depends on the object itself
        ({"x": ABSENT, "y": ABSENT}, "Background"),
        ({"x": ABSENT, "y": WAITING}, "Background"),
        ({"x": UNKNOWN}, None),
        ({"x": MISPLACED}, "Background"),
    ],
)
def test_object_goes_when_no_owner_is_left(states: dict[str, OwnerState], expected: str | None) -> None:
    steps = decide(owned("a", *states), states).steps
    assert [step.propagation for step in steps if isinstance(step, Delete)] == (
        [] if expected is None else [expected]
    )


def test_object_with_one_owner_left_only_forgets_the_others() -> None:
    (step,) = decide(owned("a", "x", "y"), {"x": PRESENT, "y": ABSENT}).steps
    assert isinstance(step, Change)
    assert [ref.uid for ref in step.after.metadata.owner_references] == ["x"]


def test_object_without_owners_is_left_alone() -> None:
    assert decide(owned("a")) == Plan()


def test_object_that_its_owner_waits_for_goes_after_its_own_dependents() -> None:
    (step,) = decide(owned("a", "x"), {"x": WAITING}, (owned("b", "uid-a"),)).steps
    assert isinstance(step, Delete)
    assert step.propagation == "Foreground"


def test_object_keeps_the_wish_of_whoever_gave_it_a_finalizer() -> None:
    for finalizer, expected in (("orphan", "Orphan"), ("foregroundDeletion", "Foreground")):
        (step,) = decide(owned("a", "x", finalizers=(finalizer,)), {"x": ABSENT}).steps
        assert isinstance(step, Delete)
        assert step.propagation == expected


def test_objects_that_own_each_other_do_not_wait_for_each_other() -> None:
    partner = with_meta(owned("b", "a", finalizers=("foregroundDeletion",), deleting=True), uid="b")
    loose, gone = decide(owned("a", "b"), {"b": WAITING}, (partner,)).steps
    assert isinstance(loose, Change)
    assert [ref.block_owner_deletion for ref in loose.after.metadata.owner_references] == [False]
    assert isinstance(gone, Delete)


def test_owner_that_waits_goes_when_nothing_blocks_it_any_more() -> None:
    owner = with_meta(owned("o", finalizers=("foregroundDeletion",), deleting=True), uid="o")
    assert decide(owner, dependents=(owned("a", "o"), owned("b", "o", deleting=True))) == Plan()
    (done,) = decide(owner).steps
    assert isinstance(done, Change)
    assert done.after.metadata.finalizers == ()


def test_owner_of_an_unknown_kind_is_looked_at_again() -> None:
    assert decide(owned("a", "x"), {"x": UNKNOWN}) == Plan((), 30.0)


def test_owner_in_another_namespace_is_told_and_counts_as_absent() -> None:
    told, gone = decide(owned("a", "x"), {"x": MISPLACED}).steps
    assert isinstance(told, Record)
    assert (told.type, told.reason, told.message) == (
        "Warning",
        "OwnerRefInvalidNamespace",
        "ownerRef [apps/v1/ReplicaSet, namespace: default, name: x, uid: x] does not exist in namespace"
        ' "default"',
    )
    assert isinstance(gone, Delete)


def test_object_without_a_namespace_is_held_by_an_owner_that_has_one() -> None:
    volume = with_meta(owned("a", "x"), namespace="")
    (told,) = decide(volume, {"x": MISPLACED}).steps
    assert isinstance(told, Record)


def test_dependents_that_do_not_block_are_not_waited_for() -> None:
    owner = with_meta(owned("o", finalizers=("foregroundDeletion",), deleting=True), uid="o")
    loose = owned("a")
    loose = with_meta(
        loose, owner_references=(OwnerReference(api_version="v1", kind="Pod", name="o", uid="o"),)
    )
    (done,) = decide(owner, dependents=(loose,)).steps
    assert isinstance(done, Change)


def test_orphaned_dependents_lose_the_owner_and_stay() -> None:
    owner = with_meta(owned("o", finalizers=("orphan", "x/y"), deleting=True), uid="o")
    first, second = decide(owner, dependents=(owned("a", "o"),)).steps
    assert isinstance(first, Change)
    assert isinstance(second, Change)
    assert first.after.metadata.owner_references == ()
    assert second.after.metadata.finalizers == ("x/y",)
