"""Says what one rule allows, and whether some rules allow all that others do. Pure.

Source: Kubernetes v1.36, pkg/apis/rbac/v1/evaluation_helpers.go and component-helpers/auth/rbac/validation
(policy_comparator.go, policy_compact.go).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec.structs import replace

from pinnace.api.access.attributes import Attributes
from pinnace.kube.objects.rbac_v1 import PolicyRule

ALL = "*"
EVERYTHING = (
    PolicyRule(verbs=(ALL,), api_groups=(ALL,), resources=(ALL,)),
    PolicyRule(verbs=(ALL,), non_resource_urls=(ALL,)),
)


def allows(rule: PolicyRule, asked: Attributes) -> bool:
    """Return whether the rule alone allows a request."""
    if ALL not in rule.verbs and asked.verb not in rule.verbs:
        return False
    if asked.path:
        return any(_covers_url(url, asked.path) for url in rule.non_resource_urls)
    return (
        (ALL in rule.api_groups or asked.group in rule.api_groups)
        and _allows_resource(rule.resources, asked)
        and (not rule.resource_names or asked.name in rule.resource_names)
    )


def _allows_resource(resources: tuple[str, ...], asked: Attributes) -> bool:
    if ALL in resources:
        return True
    if not asked.subresource:
        return asked.resource in resources
    return f"{asked.resource}/{asked.subresource}" in resources or f"*/{asked.subresource}" in resources


def _covers_url(owned: str, path: str) -> bool:
    return owned == path or (owned.endswith(ALL) and path.startswith(owned.rstrip(ALL)))


# ---------------------------------------------------------------------------------------------------- rules over rules


MOST_UNCOVERED = 1000  # parts that are named; a rule of a few lines may have millions


def find_uncovered(owned: Sequence[PolicyRule], wanted: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """Return what of `wanted` no single rule of `owned` allows, in the smallest parts, the first thousand of them."""
    parts = (part for rule in wanted for half in _halves(rule) for part in _find_parts(owned, half))
    return tuple(islice(parts, MOST_UNCOVERED))


def _halves(rule: PolicyRule) -> Iterator[PolicyRule]:
    """Yield what a rule says of resources, and what of paths, everything once."""
    verbs = _once(rule.verbs)
    if rule.api_groups and rule.resources and verbs:
        yield PolicyRule(
            api_groups=_once(rule.api_groups),
            resources=_once(rule.resources),
            verbs=verbs,
            resource_names=_once(rule.resource_names),
        )
    if rule.non_resource_urls and verbs:
        yield PolicyRule(non_resource_urls=_once(rule.non_resource_urls), verbs=verbs)


def _once(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


_DIMENSIONS = ("non_resource_urls", "api_groups", "resources", "verbs", "resource_names")


def _find_parts(owned: Sequence[PolicyRule], rule: PolicyRule) -> Iterator[PolicyRule]:
    """Yield the smallest parts of a rule that aren't covered; what is covered as a whole is not taken apart."""
    if any(_covers(one, rule) for one in owned):
        return
    for name in _DIMENSIONS:
        texts = getattr(rule, name)
        if len(texts) > 1:
            for text in texts:
                yield from _find_parts(owned, replace(rule, **{name: (text,)}))
            return
    yield rule


def _covers(owned: PolicyRule, part: PolicyRule) -> bool:
    return (
        _has(owned.verbs, part.verbs)
        and _has(owned.api_groups, part.api_groups)
        and all(_covers_resource(owned.resources, one) for one in part.resources)
        and all(
            any(_covers_url(one, url) for one in owned.non_resource_urls) for url in part.non_resource_urls
        )
        and (
            not owned.resource_names
            or (bool(part.resource_names) and _has(owned.resource_names, part.resource_names))
        )
    )


def _has(owned: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return ALL in owned or set(owned).issuperset(wanted)


def _covers_resource(owned: tuple[str, ...], resource: str) -> bool:
    if ALL in owned or resource in owned:
        return True
    _, slash, part = resource.partition("/")
    return bool(slash) and f"*/{part}" in owned


def compact(rules: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """Return the same rules with the verbs of rules about one and the same resource put together."""
    simple: dict[tuple[str, str, tuple[str, ...]], PolicyRule] = {}
    others: list[PolicyRule] = []
    for rule in rules:
        if rule.non_resource_urls or len(rule.resource_names) > 1 or not _is_about_one(rule):
            others.append(rule)
            continue
        key = (rule.api_groups[0], rule.resources[0], rule.resource_names)
        known = simple.get(key)
        simple[key] = rule if known is None else replace(known, verbs=(*known.verbs, *rule.verbs))
    return (*others, *simple.values())


def _is_about_one(rule: PolicyRule) -> bool:
    return len(rule.api_groups) == 1 and len(rule.resources) == 1


def render_rule(rule: PolicyRule) -> str:
    """Return the rule as Kubernetes' messages show it. Example: {APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}."""
    parts = (
        ("APIGroups", rule.api_groups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.non_resource_urls),
        ("ResourceNames", rule.resource_names),
        ("Verbs", rule.verbs),
    )
    return "{" + ", ".join(f"{name}:{render_texts(texts)}" for name, texts in parts if texts) + "}"


def render_texts(texts: Iterable[str]) -> str:
    """Return a list as Go's %q shows it. Example: ["a" "b"]."""
    return "[" + " ".join(f'"{text}"' for text in texts) + "]"
