from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.access.attributes import Attributes
from pinnace.api.access.users import User
from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from pinnace.kube.kinds import Kind
from tests.unit.api.builders import decode, make_api

PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
ANN = User("ann", ("devs", "system:authenticated"))


def meta(name: str, namespace: str = "") -> dict[str, str]:
    return {"name": name, **({"namespace": namespace} if namespace else {})}


async def make(api: Api, kind: Kind[Any], user: User | None = None, **document: Any) -> Any:
    context = Context(user=user.name, groups=user.groups) if user is not None else None
    obj = decode(kind, document)
    return await (api.create(obj) if context is None else api.create(obj, context=context))


async def grant(
    api: Api, role: str, subject: dict[str, str], *, namespace: str = "", kind: str = "ClusterRole"
) -> None:
    binding = kinds.ROLE_BINDING if namespace else kinds.CLUSTER_ROLE_BINDING
    await make(
        api,
        binding,
        metadata=meta(f"b-{role}", namespace),
        roleRef={"kind": kind, "name": role},
        subjects=[subject],
    )


def get_pods(namespace: str = "") -> Attributes:
    return Attributes("get", "", "v1", "pods", "", namespace, "web")


async def test_a_cluster_binding_counts_everywhere() -> None:
    api, _ = await make_api()
    await make(api, kinds.CLUSTER_ROLE, metadata=meta("r"), rules=[PODS])
    await grant(api, "r", {"kind": "User", "name": "ann"})
    assert api.access.decide(ANN, get_pods("default")) == (
        True,
        'RBAC: allowed by ClusterRoleBinding "b-r" of ClusterRole "r" to User "ann"',
    )
    assert api.access.decide(ANN, get_pods()).allowed
    assert not api.access.decide(User("bob"), get_pods()).allowed


async def test_a_binding_counts_in_its_namespace_only() -> None:
    api, _ = await make_api("other")
    await make(api, kinds.ROLE, metadata=meta("r", "default"), rules=[PODS])
    await grant(api, "r", {"kind": "Group", "name": "devs"}, namespace="default", kind="Role")
    assert api.access.decide(ANN, get_pods("default")) == (
        True,
        'RBAC: allowed by RoleBinding "b-r/default" of Role "r" to Group "devs"',
    )
    assert [api.access.decide(ANN, get_pods(where)) for where in ("other", "")] == [(False, "")] * 2


async def test_an_account_is_named_with_the_bindings_namespace_or_its_own() -> None:
    api, _ = await make_api("other")
    await make(api, kinds.CLUSTER_ROLE, metadata=meta("r"), rules=[PODS])
    await grant(api, "r", {"kind": "ServiceAccount", "name": "bot"}, namespace="default")
    await grant(
        api, "r", {"kind": "ServiceAccount", "name": "bot", "namespace": "default"}, namespace="other"
    )
    bot = User("system:serviceaccount:default:bot")
    assert api.access.decide(bot, get_pods("default")).reason == (
        'RBAC: allowed by RoleBinding "b-r/default" of ClusterRole "r" to ServiceAccount "bot/default"'
    )
    assert api.access.decide(bot, get_pods("other")).allowed
    assert not api.access.decide(User("system:serviceaccount:other:bot"), get_pods("default")).allowed


async def test_an_answer_ends_with_the_rule_that_gave_it() -> None:
    api, _ = await make_api()
    await make(api, kinds.CLUSTER_ROLE, metadata=meta("r"), rules=[PODS])
    await grant(api, "r", {"kind": "User", "name": "ann"})
    for _ in range(2):
        assert api.access.decide(ANN, get_pods()).allowed
    assert len(api.access.remembered) == 1
    await api.delete(kinds.CLUSTER_ROLE, "", "r")
    assert api.access.decide(ANN, get_pods()) == (
        False,
        'RBAC: clusterrole.rbac.authorization.k8s.io "r" not found',
    )
    await make(api, kinds.CLUSTER_ROLE, metadata=meta("r"), rules=[PODS])
    assert api.access.decide(ANN, get_pods()).allowed
    await api.delete(kinds.CLUSTER_ROLE_BINDING, "", "b-r")
    assert api.access.decide(ANN, get_pods()) == (False, "")


async def test_masters_need_no_rule() -> None:
    api, _ = await make_api()
    assert api.access.decide(User("x", ("system:masters",)), Attributes("delete", path="/x")).allowed


# ---------------------------------------------------------------------------------------------------- escalation


async def test_who_may_write_roles_may_not_write_more_than_they_hold() -> None:
    api, _ = await make_api()
    await make(api, kinds.CLUSTER_ROLE, metadata=meta("r"), rules=[PODS])
    await grant(api, "r", {"kind": "User", "name": "ann"}, namespace="default")
    await make(api, kinds.ROLE, ANN, metadata=meta("same", "default"), rules=[PODS])
    more = [{**PODS, "verbs": ["get", "delete", "list"]}]
    with pytest.raises(ApiError) as caught:
        await make(api, kinds.ROLE, ANN, metadata=meta("more", "default"), rules=more)
    assert (caught.value.code, caught.value.message) == (
        403,
        'roles.rbac.authorization.k8s.io "more" is forbidden: user "ann" (groups=["devs" "system:authenticated"]) is '
        'attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], '
        'Verbs:["delete" "list"]}',
    )
    role = api.get(kinds.ROLE, "default", "same")
    with pytest.raises(ApiError, match="not currently held"):
        await api.update(
            decode(kinds.ROLE, {"metadata": meta("same", "default"), "rules": more}),
            context=Context(user="ann", groups=ANN.groups),
        )
    assert api.get(kinds.ROLE, "default", "same") == role


async def test_escalate_and_bind_are_verbs_of_their_own() -> None:
    api, _ = await make_api()
    rules = [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]},
        {
            "apiGroups": ["rbac.authorization.k8s.io"],
            "resources": ["clusterroles"],
            "resourceNames": ["big"],
            "verbs": ["bind"],
        },
    ]
    await make(api, kinds.CLUSTER_ROLE, metadata=meta("r"), rules=rules)
    await make(api, kinds.CLUSTER_ROLE, metadata=meta("big"), rules=[PODS])
    await make(api, kinds.CLUSTER_ROLE, metadata=meta("other"), rules=[PODS])
    await grant(api, "r", {"kind": "User", "name": "ann"})
    await make(api, kinds.ROLE, ANN, metadata=meta("more", "default"), rules=[PODS])
    subjects = [{"kind": "User", "name": "x"}]
    for name, allowed in (("big", True), ("other", False), ("nowhere", False)):
        document = {
            "metadata": meta(f"b-{name}", "default"),
            "roleRef": {"kind": "ClusterRole", "name": name},
            "subjects": subjects,
        }
        if allowed:
            await make(api, kinds.ROLE_BINDING, ANN, **document)
        else:
            with pytest.raises(ApiError) as caught:
                await make(api, kinds.ROLE_BINDING, ANN, **document)
            assert caught.value.code == (404 if name == "nowhere" else 403)


async def test_only_who_holds_everything_puts_roles_together() -> None:
    api, _ = await make_api()
    await make(
        api,
        kinds.CLUSTER_ROLE,
        metadata=meta("most"),
        rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
    )
    await grant(api, "most", {"kind": "User", "name": "ann"})
    aggregated = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    with pytest.raises(ApiError) as caught:
        await make(api, kinds.CLUSTER_ROLE, ANN, metadata=meta("mine"), aggregationRule=aggregated)
    assert caught.value.message == (
        'clusterroles.rbac.authorization.k8s.io "mine" is forbidden: must have cluster-admin privileges to use the '
        "aggregationRule"
    )


async def test_finalizers_and_owners_can_be_taken_off_by_anybody() -> None:
    api, _ = await make_api()
    role = await make(
        api, kinds.ROLE, metadata=meta("r", "default") | {"finalizers": ["a.b/c"]}, rules=[PODS]
    )
    without = replace(role, metadata=replace(role.metadata, finalizers=()))
    done = await api.update(without, context=Context(user="ann", groups=ANN.groups))
    assert done.metadata.finalizers == ()


# ---------------------------------------------------------------------------------------------------- validation


# Source: Kubernetes v1.37, pkg/apis/rbac/validation/validation.go.
@pytest.mark.parametrize(
    ("kind", "document", "message"),
    [
        (
            kinds.ROLE,
            {"rules": [{"nonResourceURLs": ["/a"], "verbs": ["get"]}, {"verbs": []}]},
            'Role.rbac.authorization.k8s.io "x" is invalid: [rules[0].nonResourceURLs: Invalid value: ["/a"]: namespaced '
            "rules cannot apply to non-resource URLs, rules[1].verbs: Required value: verbs must contain at least one "
            "value, rules[1].apiGroups: Required value: resource rules must supply at least one api group, "
            "rules[1].resources: Required value: resource rules must supply at least one resource]",
        ),
        (
            kinds.CLUSTER_ROLE,
            {"aggregationRule": {}},
            'ClusterRole.rbac.authorization.k8s.io "x" is invalid: aggregationRule.clusterRoleSelectors: Required value: '
            "at least one clusterRoleSelector required if aggregationRule is non-nil",
        ),
        (
            kinds.ROLE_BINDING,
            {
                "roleRef": {"kind": "Group", "name": ".."},
                "subjects": [
                    {"kind": "User"},
                    {"kind": "ServiceAccount", "name": "A", "apiGroup": "b"},
                    {"kind": "X", "name": "y"},
                ],
            },
            'RoleBinding.rbac.authorization.k8s.io "x" is invalid: [roleRef.kind: Unsupported value: "Group": supported '
            'values: "Role", "ClusterRole", roleRef.name: Invalid value: "..": may not be \'..\', subjects[0].name: '
            'Required value, subjects[0].name: Invalid value: "": user name cannot be empty, subjects[1].name: Invalid '
            "value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), subjects[1].apiGroup: Unsupported "
            'value: "b": supported values: "", subjects[2].kind: Unsupported value: "X": supported values: '
            '"ServiceAccount", "User", "Group"]',
        ),
        (
            kinds.CLUSTER_ROLE_BINDING,
            {
                "roleRef": {"kind": "Role", "name": "a", "apiGroup": "b"},
                "subjects": [{"kind": "ServiceAccount", "name": "a"}],
            },
            'ClusterRoleBinding.rbac.authorization.k8s.io "x" is invalid: [roleRef.apiGroup: Unsupported value: "b": '
            'supported values: "rbac.authorization.k8s.io", roleRef.kind: Unsupported value: "Role": supported values: '
            '"ClusterRole", subjects[0].namespace: Required value]',
        ),
    ],
)
async def test_what_is_wrong_with_roles_and_bindings(
    kind: Kind[Any], document: dict[str, Any], message: str
) -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await make(api, kind, metadata=meta("x", "default" if kind.namespaced else ""), **document)
    assert caught.value.message == message


async def test_a_role_may_have_any_name_that_a_url_can_hold() -> None:
    api, _ = await make_api()
    assert await make(api, kinds.CLUSTER_ROLE, metadata=meta("system:My_Role"), rules=[PODS])
    with pytest.raises(ApiError, match="may not contain '/'"):
        await make(api, kinds.CLUSTER_ROLE, metadata=meta("a/b"), rules=[PODS])
