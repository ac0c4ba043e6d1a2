import base64
from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.access.attributes import Attributes
from pinnace.api.access.users import User
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.access.account_tokens import reconcile_secret
from pinnace.controllers.access.default_roles import default_bindings, default_roles
from pinnace.controllers.access.ensure import ensure_default_access
from pinnace.controllers.access.reconcile import reconcile_binding, reconcile_role
from pinnace.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING
from pinnace.kube.objects.core_v1 import Secret, ServiceAccount
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.rbac_v1 import ClusterRole, PolicyRule, Subject
from tests.unit.api.builders import make_api

POD_ACCOUNT = User(
    "system:serviceaccount:default:default",
    ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"),
)
STRANGER = User("system:anonymous", ("system:unauthenticated",))


async def test_what_everybody_may_do_from_the_start() -> None:
    api, _ = await make_api()
    await ensure_default_access(api)

    def may(user: User, verb: str, group: str = "", resource: str = "", path: str = "") -> bool:
        asked = Attributes(verb, group, "v1", resource, namespace="default" if resource else "", path=path)
        return api.access.decide(user, asked).allowed

    # Source: kubectl auth can-i --list as a pod's default account, and as system:anonymous, on Kubernetes 1.36.
    for path, of_pod, of_stranger in (
        ("/healthz", True, True),
        ("/livez", True, True),
        ("/readyz", True, True),
        ("/version", True, True),
        ("/api", True, False),
        ("/apis/apps/v1", True, False),
        ("/openapi/v3", True, False),
        ("/openid/v1/jwks", True, False),
        ("/metrics", False, False),
        ("/", False, False),
    ):
        assert (may(POD_ACCOUNT, "get", path=path), may(STRANGER, "get", path=path)) == (of_pod, of_stranger)
    assert may(POD_ACCOUNT, "create", "authorization.k8s.io", "selfsubjectaccessreviews")
    assert not may(STRANGER, "create", "authorization.k8s.io", "selfsubjectaccessreviews")
    assert not may(POD_ACCOUNT, "create", "authorization.k8s.io", "subjectaccessreviews")
    assert not may(POD_ACCOUNT, "get", "", "pods")


async def test_admin_edit_and_view_hold_one_another_from_the_start() -> None:
    api, _ = await make_api()
    await ensure_default_access(api)
    rules = {name: api.get(CLUSTER_ROLE, "", name).rules for name in ("view", "edit", "admin")}
    assert set(rules["view"]) < set(rules["edit"]) < set(rules["admin"])
    before = api.store.revision
    await ensure_default_access(api)
    assert api.store.revision == before, "a second start writes nothing"


async def test_what_a_person_added_stays_and_what_is_missing_comes_back() -> None:
    api, _ = await make_api()
    await ensure_default_access(api)
    extra = PolicyRule(verbs=("get",), non_resource_urls=("/metrics",))
    await api.change(
        CLUSTER_ROLE, "", "system:public-info-viewer", lambda role: replace(role, rules=(extra,))
    )
    await api.change(
        CLUSTER_ROLE_BINDING, "", "system:discovery", lambda binding: replace(binding, subjects=())
    )
    await ensure_default_access(api)
    assert extra in api.get(CLUSTER_ROLE, "", "system:public-info-viewer").rules
    assert len(api.get(CLUSTER_ROLE, "", "system:public-info-viewer").rules) == 6
    assert [one.name for one in api.get(CLUSTER_ROLE_BINDING, "", "system:discovery").subjects] == [
        "system:authenticated"
    ]


def test_what_a_person_protects_is_left_alone() -> None:
    wanted = next(role for role in default_roles() if role.metadata.name == "system:discovery")
    protected = {"rbac.authorization.kubernetes.io/autoupdate": "false"}
    present = ClusterRole(metadata=replace(wanted.metadata, annotations=protected))
    assert reconcile_role(present, wanted) is present
    binding = next(one for one in default_bindings() if one.metadata.name == "system:discovery")
    other = replace(binding, role_ref=replace(binding.role_ref, name="x"))
    assert reconcile_binding(other, binding) is None, "a binding to another role is made anew"
    kept = replace(other, metadata=replace(other.metadata, annotations=protected))
    assert reconcile_binding(kept, binding) is kept
    more = replace(binding, subjects=(Subject(kind="User", name="x"),))
    assert reconcile_binding(more, binding) == replace(binding, subjects=(*more.subjects, *binding.subjects))


def test_each_default_binding_has_its_role() -> None:
    names = {role.metadata.name for role in default_roles()}
    assert {binding.role_ref.name for binding in default_bindings()} <= names


def secret(**data: str) -> Secret:
    annotations = {"kubernetes.io/service-account.name": "bot"}
    meta = ObjectMeta(name="s", namespace="default", annotations=annotations)
    return Secret(metadata=meta, type="kubernetes.io/service-account-token", data=data)


def test_a_secret_for_an_account_is_filled_once() -> None:
    account = ServiceAccount(metadata=ObjectMeta(name="bot", namespace="default", uid="u"))
    (step,) = reconcile_secret(secret(), account, "CA", lambda one, of: "T").steps
    filled = step.after  # type: ignore[union-attr]
    assert {key: base64.b64decode(text).decode() for key, text in filled.data.items()} == {
        "ca.crt": "CA",
        "namespace": "default",
        "token": "T",
    }
    assert filled.metadata.annotations["kubernetes.io/service-account.uid"] == "u"
    assert reconcile_secret(filled, account, "CA", lambda one, of: "T2").steps == ()
    (step,) = reconcile_secret(filled, account, "CA2", lambda one, of: "T2").steps
    assert step.after.data["token"] == filled.data["token"]  # type: ignore[union-attr]


def test_a_secret_goes_with_its_account() -> None:
    for account in (None, ServiceAccount(metadata=ObjectMeta(name="bot", namespace="default", uid="new"))):
        old = secret()
        old = replace(
            old,
            metadata=replace(
                old.metadata,
                annotations={**old.metadata.annotations, "kubernetes.io/service-account.uid": "old"},
            ),
        )
        plan = reconcile_secret(old, account, "CA", lambda one, of: "T")
        assert plan.describe() == 'delete Secret default/s: there is no service account "bot" any more'


async def test_a_default_that_cannot_be_written_keeps_nothing_from_starting(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, _ = await make_api()
    create = api.create

    async def refuse_one(obj: Any, **options: Any) -> Any:
        if obj.metadata.name == "system:heapster":
            raise ApiError(Reason.FORBIDDEN, "a policy says no")
        return await create(obj, **options)

    monkeypatch.setattr(api, "create", refuse_one)
    await ensure_default_access(api)
    assert caplog.messages == [
        "the default ClusterRole system:heapster is not as it should be: a policy says no"
    ]
    assert api.find(CLUSTER_ROLE, "", "system:heapster") is None
    assert api.get(CLUSTER_ROLE, "", "admin").rules
