"""The LimitRange's row. Pure. Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go and validation, ValidateLimitRange."""

from collections.abc import Mapping

from msgspec.structs import replace

from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.strategy import Strategy
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.quotas import (
    is_overcommittable,
    validate_limit_type,
    validate_resource_name,
)
from pinnace.api.validation.resources import validate_quantity
from pinnace.kube.kinds import LIMIT_RANGE
from pinnace.kube.objects.core_v1 import LimitRange, LimitRangeItem
from pinnace.kube.quantity import Quantity, QuantityError, QuantityLike, parse_quantity

CONTAINER = "Container"
POD = "Pod"
CLAIM = "PersistentVolumeClaim"

_Amounts = dict[str, QuantityLike]
_MAPS = (
    ("max", "max"),
    ("min", "min"),
    ("default", "default"),
    ("default_request", "defaultRequest"),
    ("max_limit_request_ratio", "maxLimitRequestRatio"),
)


def _default(limits: LimitRange) -> LimitRange:
    return replace(
        limits, spec=replace(limits.spec, limits=tuple(_default_item(item) for item in limits.spec.limits))
    )


def _default_item(item: LimitRangeItem) -> LimitRangeItem:
    item = replace(item, **{name: canonical_quantities(getattr(item, name)) for name, _ in _MAPS})
    if item.type != CONTAINER:
        return item
    default: _Amounts = {**item.max, **item.default}
    return replace(item, default=default, default_request={**item.min, **default, **item.default_request})


def _validate(limits: LimitRange, problems: Problems) -> None:
    seen: set[str] = set()
    for index, item in enumerate(limits.spec.limits):
        path = f"spec.limits[{index}]"
        validate_limit_type(item.type, f"{path}.type", problems)
        if item.type in seen:
            problems.duplicate(f"{path}.type", item.type)
        seen.add(item.type)
        _validate_item(item, path, problems)


def _validate_item(item: LimitRangeItem, path: str, problems: Problems) -> None:
    refused = ("default", "defaultRequest") if item.type == POD else ()
    for attribute, wire in _MAPS:
        amounts: Mapping[str, QuantityLike] = getattr(item, attribute)
        if wire in refused:
            if amounts:
                problems.forbidden(f"{path}.{wire}", "may not be specified when `type` is 'Pod'")
            continue
        for name, amount in amounts.items():
            validate_resource_name(name, f"{path}.{wire}[{name}]", problems)
            validate_quantity(amount, f"{path}.{wire}[{name}]", problems)
    if item.type == CLAIM and "storage" not in item.min and "storage" not in item.max:
        problems.required(
            f"{path}.limits", "either minimum or maximum storage value is required, but neither was provided"
        )
    names = (item.max, item.min, item.default, item.default_request, item.max_limit_request_ratio)
    for name in dict.fromkeys(name for amounts in names for name in amounts):
        _validate_order(item, name, path, problems)


def _validate_order(item: LimitRangeItem, name: str, path: str, problems: Problems) -> None:
    most, least = _amount(item.max, name), _amount(item.min, name)
    default, request = _amount(item.default, name), _amount(item.default_request, name)
    if least is not None and most is not None and least > most:
        problems.invalid(
            f"{path}.min[{name}]", str(least), f"min value {least} is greater than max value {most}"
        )
    where = f"{path}.defaultRequest[{name}]"
    if request is not None:
        if least is not None and least > request:
            why = f"min value {least} is greater than default request value {request}"
            problems.invalid(where, str(request), why)
        if most is not None and request > most:
            why = f"default request value {request} is greater than max value {most}"
            problems.invalid(where, str(request), why)
        if default is not None and request > default:
            why = f"default request value {request} is greater than default limit value {default}"
            problems.invalid(where, str(request), why)
    if default is not None:
        if least is not None and least > default:
            why = f"min value {least} is greater than default value {default}"
            problems.invalid(f"{path}.default[{name}]", str(least), why)
        if most is not None and default > most:
            why = f"default value {default} is greater than max value {most}"
            problems.invalid(f"{path}.default[{name}]", str(most), why)
    _validate_ratio(item, name, path, problems)
    if default is not None and request is not None and default != request and not is_overcommittable(name):
        why = f"default value {default} must equal to defaultRequest value {request} in {name}"
        problems.invalid(where, str(request), why)


def _validate_ratio(item: LimitRangeItem, name: str, path: str, problems: Problems) -> None:
    ratio, most, least = (
        _amount(item.max_limit_request_ratio, name),
        _amount(item.max, name),
        _amount(item.min, name),
    )
    if ratio is None:
        return
    where = f"{path}.maxLimitRequestRatio[{name}]"
    if ratio < parse_quantity(1):
        problems.invalid(where, str(ratio), f"ratio {ratio} is less than 1")
    if most is not None and least is not None and least.nano and ratio.nano * least.nano > most.nano * 10**9:
        problems.invalid(
            where, str(ratio), f"ratio {ratio} is greater than max/min = {most.nano / least.nano:f}"
        )


def _amount(amounts: Mapping[str, QuantityLike], name: str) -> Quantity | None:
    try:
        return parse_quantity(amounts[name]) if name in amounts else None
    except QuantityError:
        return None  # which is named already


STRATEGY = Strategy(kind=LIMIT_RANGE, default=_default, validate=_validate)
