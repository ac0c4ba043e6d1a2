"""Checks roles and bindings. Pure. Source: Kubernetes v1.37, pkg/apis/rbac/validation and pkg/apis/rbac/v1/defaults.go."""

from msgspec.structs import replace

from pinnace.api.access.rbac import RBAC_GROUP
from pinnace.api.validation.names import check_path_segment, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.kube.objects.rbac_v1 import AggregationRule, PolicyRule, RoleRef, Subject

SUBJECT_KINDS = ("ServiceAccount", "User", "Group")


def default_role_ref(role: RoleRef) -> RoleRef:
    """Return the reference with its group."""
    return role if role.api_group else replace(role, api_group=RBAC_GROUP)


def default_subjects(subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
    """Return the subjects with the group of users and groups."""
    return tuple(
        replace(subject, api_group=RBAC_GROUP)
        if not subject.api_group and subject.kind in ("User", "Group")
        else subject
        for subject in subjects
    )


def validate_rules(rules: tuple[PolicyRule, ...], problems: Problems, *, namespaced: bool) -> None:
    """Check the rules of a role."""
    for index, rule in enumerate(rules):
        _validate_rule(rule, f"rules[{index}]", problems, namespaced)


def _validate_rule(rule: PolicyRule, path: str, problems: Problems, namespaced: bool) -> None:
    if not rule.verbs:
        problems.required(f"{path}.verbs", "verbs must contain at least one value")
    if rule.non_resource_urls:
        where = f"{path}.nonResourceURLs"
        if namespaced:
            problems.invalid(
                where, rule.non_resource_urls, "namespaced rules cannot apply to non-resource URLs"
            )
        if rule.api_groups or rule.resources or rule.resource_names:
            problems.invalid(
                where,
                rule.non_resource_urls,
                "rules cannot apply to both regular resources and non-resource URLs",
            )
        return
    if not rule.api_groups:
        problems.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.resources:
        problems.required(f"{path}.resources", "resource rules must supply at least one resource")


def validate_aggregation(rule: AggregationRule | None, problems: Problems) -> None:
    """Check how a ClusterRole is put together from others."""
    if rule is None:
        return
    path = "aggregationRule.clusterRoleSelectors"
    if not rule.cluster_role_selectors:
        problems.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for index, selector in enumerate(rule.cluster_role_selectors):
        validate_label_selector(selector, f"{path}[{index}]", problems)


def validate_role_ref(role: RoleRef, kinds: tuple[str, ...], problems: Problems) -> None:
    """Check which role a binding means."""
    if role.api_group != RBAC_GROUP:
        problems.not_supported("roleRef.apiGroup", role.api_group, (RBAC_GROUP,))
    if role.kind not in kinds:
        problems.not_supported("roleRef.kind", role.kind, kinds)
    if not role.name:
        problems.required("roleRef.name")
    else:
        problems.each("roleRef.name", role.name, check_path_segment(role.name))


def validate_role_ref_update(new: RoleRef, old: RoleRef, problems: Problems) -> None:
    """Check that a binding goes on to mean the same role."""
    if new != old:
        shown = {"APIGroup": new.api_group, "Kind": new.kind, "Name": new.name}
        problems.invalid("roleRef", shown, "cannot change roleRef")


def validate_subjects(subjects: tuple[Subject, ...], problems: Problems, *, namespaced: bool) -> None:
    """Check whom a binding is for."""
    for index, subject in enumerate(subjects):
        _validate_subject(subject, f"subjects[{index}]", problems, namespaced)


def _validate_subject(subject: Subject, path: str, problems: Problems, namespaced: bool) -> None:
    if not subject.name:
        problems.required(f"{path}.name")
    if subject.kind == "ServiceAccount":
        if subject.name:
            problems.each(f"{path}.name", subject.name, check_subdomain(subject.name))
        if subject.api_group:
            problems.not_supported(f"{path}.apiGroup", subject.api_group, ("",))
        if not namespaced and not subject.namespace:
            problems.required(f"{path}.namespace")
    elif subject.kind in ("User", "Group"):
        if not subject.name:
            problems.invalid(f"{path}.name", "", f"{subject.kind.lower()} name cannot be empty")
        if subject.api_group != RBAC_GROUP:
            problems.not_supported(f"{path}.apiGroup", subject.api_group, (RBAC_GROUP,))
    else:
        problems.not_supported(f"{path}.kind", subject.kind, SUBJECT_KINDS)
