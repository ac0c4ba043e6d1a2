"""The end of a namespace, and what it holds from the start."""

from pinnace.controllers.namespace.contents import reconcile_contents
from pinnace.controllers.namespace.decide import (
    Left,
    NamespacePlan,
    choose_kinds,
    is_to_be_emptied,
    judge_namespace,
)
from pinnace.controllers.plan import Change, Create, Plan
from pinnace.kube.objects.core_v1 import ConfigMap, Namespace, NamespaceSpec, ServiceAccount
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.controllers.builders import at, with_meta, with_status


def namespace(deleting: bool = True) -> Namespace:
    return Namespace(
        metadata=ObjectMeta(name="lab", deletion_timestamp="2026-01-01T00:00:00Z" if deleting else ""),
        spec=NamespaceSpec(finalizers=("kubernetes",)),
    )


def test_living_namespace_is_left_alone() -> None:
    assert not is_to_be_emptied(namespace(deleting=False))
    assert is_to_be_emptied(namespace())


def test_empty_namespace_may_go() -> None:
    assert judge_namespace(namespace(), {}, (), at(0)) == NamespacePlan(finalize=True)


def test_pods_go_before_all_else() -> None:
    assert choose_kinds({"services": 1, "pods": 1, "deployments.apps": 1}) == ("pods",)
    assert choose_kinds({"services": 1, "deployments.apps": 1}) == ("deployments.apps", "services")


def test_what_is_left_is_named_in_the_conditions() -> None:
    left = {"secrets": Left(1, {}), "jobs.batch": Left(2, {"example.com/hold": 2})}
    plan = judge_namespace(namespace(), left, (), at(0))
    assert not plan.finalize
    # Source: the messages of Kubernetes' status_condition_utils.go.
    assert {c.type: (c.status, c.reason, c.message) for c in plan.conditions} == {
        "NamespaceDeletionDiscoveryFailure": (
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": (
            "True",
            "SomeResourcesRemain",
            "Some resources are remaining: jobs.batch has 2 resource instances, "
            "secrets. has 1 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            "True",
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances",
        ),
    }


def test_while_pods_are_left_only_they_are_named() -> None:
    plan = judge_namespace(namespace(), {"secrets": Left(1, {}), "pods": Left(2, {})}, (), at(0))
    (said,) = [c.message for c in plan.conditions if c.type == "NamespaceContentRemaining"]
    assert said == "Some resources are remaining: pods. has 2 resource instances"


def test_what_cannot_be_deleted_is_named_with_the_reason() -> None:
    plan = judge_namespace(namespace(), {"pods": Left(1, {})}, ("pods is forbidden",), at(0))
    failed = next(c for c in plan.conditions if c.type == "NamespaceDeletionContentFailure")
    assert (failed.status, failed.reason, failed.message) == (
        "True",
        "ContentDeletionFailed",
        "Failed to delete all resource types, 1 remaining: pods is forbidden",
    )
    assert plan.requeue_after_s


def test_emptied_namespace_that_something_else_holds_says_so() -> None:
    first = judge_namespace(namespace(), {"pods": Left(1, {"x/y": 1})}, (), at(0))
    held = with_status(with_meta(namespace(), finalizers=("x/y",)), conditions=first.conditions)
    plan = judge_namespace(held, {}, (), at(9))
    assert plan.finalize
    assert {c.status for c in plan.conditions} == {"False"}
    assert {c.type: c.last_transition_time for c in plan.conditions}["NamespaceContentRemaining"] == (
        "2026-01-01T00:00:09Z"
    )


def test_conditions_of_an_unchanged_world_are_equal() -> None:
    left = {"pods": Left(3, {})}
    first = judge_namespace(namespace(), left, (), at(0))
    again = judge_namespace(with_status(namespace(), conditions=first.conditions), left, (), at(30))
    assert again == first


def test_namespace_gets_its_account_and_certificate() -> None:
    plan = reconcile_contents(namespace(deleting=False), None, None, "PEM")
    made = [step.object for step in plan.steps if isinstance(step, Create)]
    assert [(type(one), one.metadata.name, one.metadata.namespace) for one in made] == [
        (ServiceAccount, "default", "lab"),
        (ConfigMap, "kube-root-ca.crt", "lab"),
    ]
    assert made[1].data == {"ca.crt": "PEM"}


def test_old_certificate_is_replaced_and_a_present_one_left() -> None:
    account = ServiceAccount(metadata=ObjectMeta(name="default", namespace="lab"))
    old = ConfigMap(metadata=ObjectMeta(name="kube-root-ca.crt", namespace="lab"), data={"ca.crt": "OLD"})
    (step,) = reconcile_contents(namespace(deleting=False), account, old, "PEM").steps
    assert isinstance(step, Change)
    assert step.after.data == {"ca.crt": "PEM"}
    assert reconcile_contents(namespace(deleting=False), account, step.after, "PEM") == Plan()


def test_terminating_namespace_is_not_filled() -> None:
    assert reconcile_contents(namespace(), None, None, "PEM") == Plan()
