"""The ResourceQuota's row. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateResourceQuota."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.strategy import Strategy, drop_status, keep_status, take_status
from pinnace.api.validation import quotas
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import RESOURCE_QUOTA
from pinnace.kube.objects.core_v1 import (
    ResourceQuota,
    ResourceQuotaSpec,
    ScopedResourceSelectorRequirement,
)
from pinnace.kube.quantity import QuantityLike

_CONFLICTS = (
    frozenset({quotas.BEST_EFFORT, quotas.NOT_BEST_EFFORT}),
    frozenset({quotas.TERMINATING, quotas.NOT_TERMINATING}),
)
_VALUED = frozenset({quotas.PRIORITY_CLASS, quotas.VOLUME_ATTRIBUTES})
_ONLY_EXISTS = (
    "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating,"
    " ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def _default(quota: ResourceQuota) -> ResourceQuota:
    return replace(
        quota,
        spec=replace(quota.spec, hard=canonical_quantities(quota.spec.hard)),
        status=replace(
            quota.status,
            hard=canonical_quantities(quota.status.hard),
            used=canonical_quantities(quota.status.used),
        ),
    )


def _validate(quota: ResourceQuota, problems: Problems) -> None:
    spec = quota.spec
    _validate_amounts(spec.hard, "spec.hard", problems)
    if spec.scopes:
        _validate_scopes(spec.scopes, spec, "spec.scopes", spec.scopes, problems)
    if spec.scope_selector is not None:
        _validate_selector(spec, problems)


def _validate_amounts(amounts: Mapping[str, QuantityLike], path: str, problems: Problems) -> None:
    for name, amount in amounts.items():
        quotas.validate_quota_name(name, f"{path}[{name}]", problems)
        quotas.validate_amount(name, amount, f"{path}[{name}]", problems)


def _validate_scopes(
    scopes: Iterable[str], spec: ResourceQuotaSpec, path: str, shown: object, problems: Problems
) -> None:
    listed = tuple(scopes)
    for scope in listed:
        if scope not in quotas.SCOPES:
            problems.invalid(path, shown, "unsupported scope")
        for name in sorted(spec.hard):
            if quotas.is_quota_name(name) and not quotas.fits_scope(scope, name):
                problems.invalid(path, shown, "unsupported scope applied to resource")
    for pair in _CONFLICTS:
        if pair <= set(listed):
            problems.invalid(path, shown, "conflicting scopes")


def _validate_selector(spec: ResourceQuotaSpec, problems: Problems) -> None:
    selector, path = spec.scope_selector, "spec.scopeSelector.matchExpressions"
    if selector is None:
        return
    for term in selector.match_expressions:
        if term.scope_name not in quotas.SCOPES:
            problems.invalid(f"{path}.scopeName", term.scope_name, "unsupported scope")
        for name in sorted(spec.hard):
            if quotas.is_quota_name(name) and not quotas.fits_scope(term.scope_name, name):
                problems.invalid(path, selector, "unsupported scope applied to resource")
        _validate_term(term, path, problems)
    named = {term.scope_name for term in selector.match_expressions}
    for pair in _CONFLICTS:
        if pair <= named:
            problems.invalid(path, selector, "conflicting scopes")


def _validate_term(term: ScopedResourceSelectorRequirement, path: str, problems: Problems) -> None:
    if term.scope_name in quotas.SCOPES - _VALUED and term.operator != "Exists":
        problems.invalid(f"{path}.operator", term.operator, _ONLY_EXISTS)
    if term.operator in ("In", "NotIn"):
        if not term.values:
            problems.required(
                f"{path}.values",
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            )
    elif term.operator in ("Exists", "DoesNotExist"):
        if term.values:
            why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            problems.invalid(f"{path}.values", term.values, why)
    else:
        problems.invalid(f"{path}.operator", term.operator, "not a valid selector operator")


def _validate_update(new: ResourceQuota, old: ResourceQuota, problems: Problems) -> None:
    if set(new.spec.scopes) != set(old.spec.scopes):
        problems.immutable("spec.scopes", new.spec.scopes)


def _validate_status(new: ResourceQuota, old: ResourceQuota, problems: Problems) -> None:
    _validate_amounts(new.status.hard, "status.hard", problems)
    _validate_amounts(new.status.used, "status.used", problems)


STRATEGY = Strategy(
    kind=RESOURCE_QUOTA,
    default=_default,
    prepare_create=drop_status,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
)
