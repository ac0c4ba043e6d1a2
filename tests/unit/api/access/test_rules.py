import pytest

from pinnace.api.access.attributes import Attributes
from pinnace.api.access.rules import EVERYTHING, MOST_UNCOVERED, allows, compact, find_uncovered, render_rule
from pinnace.kube.objects.rbac_v1 import PolicyRule


def rule(
    resources: str, verbs: str = "get", groups: tuple[str, ...] = ("",), names: tuple[str, ...] = ()
) -> PolicyRule:
    return PolicyRule(
        api_groups=groups,
        resources=tuple(resources.split()),
        verbs=tuple(verbs.split()),
        resource_names=names,
    )


def paths(text: str, verbs: str = "get") -> PolicyRule:
    return PolicyRule(non_resource_urls=tuple(text.split()), verbs=tuple(verbs.split()))


def ask(verb: str, resource: str, subresource: str = "", *, group: str = "", name: str = "") -> Attributes:
    return Attributes(verb, group, "v1", resource, subresource, "a", name)


# Source: Kubernetes v1.36, pkg/apis/rbac/v1/evaluation_helpers.go and rbac_test.go beside it.
@pytest.mark.parametrize(
    ("one", "asked", "expected"),
    [
        (rule("pods"), ask("get", "pods"), True),
        (rule("pods"), ask("list", "pods"), False),
        (rule("pods", "*"), ask("impersonate", "pods"), True),
        (rule("pods"), ask("get", "pods", group="apps"), False),
        (rule("pods", groups=("*",)), ask("get", "pods", group="apps"), True),
        (rule("pods"), ask("get", "pods", "log"), False),
        (rule("pods/log"), ask("get", "pods", "log"), True),
        (rule("pods/log"), ask("get", "pods"), False),
        (rule("*/scale"), ask("get", "deployments", "scale"), True),
        (rule("*/scale"), ask("get", "deployments"), False),
        (rule("*"), ask("get", "pods", "log"), True),
        (rule("pods", names=("web",)), ask("get", "pods", name="web"), True),
        (rule("pods", names=("web",)), ask("get", "pods", name="db"), False),
        (rule("pods", "list", names=("web",)), ask("list", "pods"), False),
        (rule("pods", "create", names=("web",)), ask("create", "pods"), False),
        (paths("/healthz"), Attributes("get", path="/healthz"), True),
        (paths("/healthz"), Attributes("get", path="/healthz/ping"), False),
        (paths("/apis/*"), Attributes("get", path="/apis/apps/v1"), True),
        (paths("/apis/*"), Attributes("get", path="/apis"), False),
        (paths("/apis*"), Attributes("get", path="/apis"), True),
        (paths("*"), Attributes("get", path="/anything"), True),
        (rule("*", "*", ("*",)), Attributes("get", path="/healthz"), False),
        (paths("*", "*"), ask("get", "pods"), False),
    ],
)
def test_what_a_rule_allows(one: PolicyRule, asked: Attributes, expected: bool) -> None:
    assert allows(one, asked) is expected


# Source: Kubernetes v1.36, component-helpers/auth/rbac/validation/policy_comparator_test.go.
@pytest.mark.parametrize(
    ("owned", "wanted", "missing"),
    [
        ([rule("pods", "get list")], rule("pods", "get"), []),
        ([rule("pods", "get")], rule("pods", "get list"), [rule("pods", "list")]),
        ([rule("pods"), rule("pods", "list")], rule("pods", "get list"), []),
        ([rule("pods", "*")], rule("pods", "get delete"), []),
        ([rule("pods", "get")], rule("pods", "*"), [rule("pods", "*")]),
        ([rule("*")], rule("pods pods/log"), []),
        ([rule("*/log")], rule("pods/log"), []),
        ([rule("pods")], rule("pods/log"), [rule("pods/log")]),
        ([rule("pods", names=("a",))], rule("pods"), [rule("pods")]),
        ([rule("pods")], rule("pods", names=("a", "b")), []),
        ([rule("pods", names=("a",))], rule("pods", names=("a", "b")), [rule("pods", names=("b",))]),
        ([rule("pods", groups=("*",))], rule("pods", groups=("", "apps")), []),
        ([paths("/apis/*")], paths("/apis/a /b"), [paths("/b")]),
        ([paths("*")], paths("*"), []),
        (list(EVERYTHING), rule("*", "*", ("*",)), []),
    ],
)
def test_what_rules_lack_of_others(
    owned: list[PolicyRule], wanted: PolicyRule, missing: list[PolicyRule]
) -> None:
    assert find_uncovered(owned, [wanted]) == tuple(missing)


def test_a_rule_of_millions_of_parts_is_compared_in_a_moment() -> None:
    many = tuple(f"n{number}" for number in range(20_000))
    owned = [rule("pods", "get list"), rule("nodes", names=many), rule("nodes", "list", names=many)]
    assert find_uncovered(owned, [rule("pods pods", "get list get", ("", ""), many)]) == ()
    assert find_uncovered(owned, [rule("pods nodes", "get list", names=many)]) == ()
    huge = PolicyRule(api_groups=many, resources=many, verbs=many)
    found = find_uncovered(owned, [huge, rule("secrets")])
    assert len(found) == MOST_UNCOVERED
    assert found[1] == PolicyRule(api_groups=("n0",), resources=("n0",), verbs=("n1",))


def test_rules_about_one_resource_are_put_together() -> None:
    rules = [rule("pods"), paths("/a"), rule("pods", "list"), rule("nodes"), rule("pods", names=("a",))]
    assert compact(rules) == (
        paths("/a"),
        rule("pods", "get list"),
        rule("nodes"),
        rule("pods", names=("a",)),
    )


def test_a_rule_is_shown_as_kubernetes_shows_it() -> None:
    shown = render_rule(rule("pods nodes", "get", ("", "apps"), ("x",)))
    assert shown == '{APIGroups:["" "apps"], Resources:["pods" "nodes"], ResourceNames:["x"], Verbs:["get"]}'
    assert render_rule(paths("/a")) == '{NonResourceURLs:["/a"], Verbs:["get"]}'
