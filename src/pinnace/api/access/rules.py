"""Says what one rule allows, and whether some rules allow all that others do. Pure.

Source: Kubernetes v1.36, pkg/apis/rbac/v1/evaluation_helpers.go and component-helpers/auth/rbac/validation
(policy_comparator.go, policy_compact.go).
"""

from collections.abc import Iterable, Iterator, Sequence

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


def find_uncovered(owned: Sequence[PolicyRule], wanted: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """Return what of `wanted` no single rule of `owned` allows, in the smallest parts."""
    return tuple(
        part for rule in wanted for part in _break_down(rule) if not any(_covers(one, part) for one in owned)
    )


def _break_down(rule: PolicyRule) -> Iterator[PolicyRule]:
    only: list[tuple[str, ...]] = [(name,) for name in rule.resource_names]
    for group in rule.api_groups:
        for resource in rule.resources:
            for verb in rule.verbs:
                for names in only or [()]:
                    yield PolicyRule(
                        api_groups=(group,), resources=(resource,), verbs=(verb,), resource_names=names
                    )
    for url in rule.non_resource_urls:
        for verb in rule.verbs:
            yield PolicyRule(non_resource_urls=(url,), verbs=(verb,))


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
    return ALL in owned or all(one in owned for one in wanted)


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
