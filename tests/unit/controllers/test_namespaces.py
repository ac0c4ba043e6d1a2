"""The end of a namespace, and what it holds from the start."""

from pinnace.controllers.namespace.contents import reconcile_contents
from pinnace.controllers.namespace.decide import Left, NamespacePlan, reconcile_namespace
from pinnace.controllers.plan import Change, Create, Plan
from pinnace.kube.objects.core_v1 import ConfigMap, Namespace, NamespaceSpec, ServiceAccount
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.controllers.builders import at, with_status


def namespace(deleting: bool = True) -> Namespace:
    return Namespace(
        metadata=ObjectMeta(name="lab", deletion_timestamp="2026-01-01T00:00:00Z" if deleting else ""),
        spec=NamespaceSpec(finalizers=("kubernetes",)),
    )


def test_living_namespace_is_left_alone() -> None:
    assert reconcile_namespace(namespace(deleting=False), {"pods": Left(1, {})}, at(0)) == NamespacePlan()


def test_empty_namespace_may_go() -> None:
    assert reconcile_namespace(namespace(), {}, at(0)) == NamespacePlan(finalize=True)


def test_contents_are_deleted_and_named_in_the_conditions() -> None:
    left = {"pods": Left(3, {}), "services": Left(2, {"example.com/hold": 2})}
    plan = reconcile_namespace(namespace(), left, at(0))
    assert plan.delete == ("pods", "services")
    assert not plan.finalize
    # Source: the messages of Kubernetes' status_condition_utils.go and `kubectl describe namespace`.
    assert {c.type: (c.status, c.message) for c in plan.conditions if c.status == "True"} == {
        "NamespaceContentRemaining": (
            "True",
            "Some resources are remaining: pods has 3 resource instances, services has 2 resource instances",
        ),
        "NamespaceFinalizersRemaining": (
            "True",
            "Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances",
        ),
    }


def test_conditions_of_an_unchanged_world_are_equal() -> None:
    left = {"pods": Left(3, {})}
    first = reconcile_namespace(namespace(), left, at(0))
    again = reconcile_namespace(with_status(namespace(), conditions=first.conditions), left, at(30))
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
