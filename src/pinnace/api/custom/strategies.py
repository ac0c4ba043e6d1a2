"""What is particular about custom objects on their way into the store: one `Strategy` for each custom kind and version.

Built when a kind is first written or read, and kept with its family. All functions are pure.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/registry/customresource (strategy.go, status_strategy.go, etcd.go).
"""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.api.custom.coercion import coerce, version_of
from pinnace.api.custom.judging import judge_object
from pinnace.api.custom.values import value_at
from pinnace.api.strategy import Facts, Scaling, Strategy
from pinnace.api.validation.names import check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.custom import ScalePaths
from pinnace.kube.kinds import STATUS, Kind
from pinnace.kube.objects.custom import CustomObject

_STANDARD_FINALIZERS = frozenset({"foregroundDeletion", "orphan", "kubernetes"})


def custom_strategy(kind: Kind[Any]) -> Strategy[Any]:
    """Return the row of a custom kind."""
    memory = version_of(kind).family.memory
    row = memory.get(("strategy", kind.version))
    if row is None:
        row = memory[("strategy", kind.version)] = _build(kind)
    strategy: Strategy[Any] = row
    return strategy


def _build(kind: Kind[Any]) -> Strategy[CustomObject]:
    version = version_of(kind)
    has_status = STATUS in kind.subresources

    def default(obj: CustomObject) -> CustomObject:
        return coerce(kind, obj)

    def admit(obj: CustomObject, facts: Facts, context: Context) -> CustomObject:
        if version.family.terminating:
            why = "create not allowed while custom resource definition is terminating"
            raise ApiError(Reason.METHOD_NOT_ALLOWED, why)
        return obj

    def judge(new: CustomObject, old: CustomObject | None, problems: Problems) -> None:
        judge_object(kind, new, old, problems)

    return Strategy(
        kind=kind,
        name_rule=check_subdomain,
        default=default,
        admit=admit,
        prepare_create=_without_status if has_status else _same,
        prepare_update=_keep_status if has_status else _keep_new,
        prepare_status=lambda new, old: _take_status(coerce(kind, new), old),
        validate_change=judge,
        validate_status=judge,
        generation=True,
        unconditional_update=False,
        warn=_warn,
        scaling=_scaling(version.scale) if version.scale is not None else None,
    )


def _warn(obj: CustomObject) -> Iterator[str]:
    """Yield a sentence for each finalizer that others may call the same. Source: strategy.go, generateWarningsFromObj."""
    for name in obj.metadata.finalizers:
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            yield (
                f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name including a path (/) to avoid '
                "accidental conflicts with other finalizer writers"
            )


def _same(obj: CustomObject) -> CustomObject:
    return obj


def _keep_new(new: CustomObject, old: CustomObject) -> CustomObject:
    return new


def _without_status(obj: CustomObject) -> CustomObject:
    if "status" not in obj.body:
        return obj
    return replace(obj, body={name: part for name, part in obj.body.items() if name != "status"})


def _with_status_of(obj: CustomObject, other: CustomObject) -> CustomObject:
    """Return an object with the status of another one, in the place where it stood."""
    if "status" not in other.body:
        return _without_status(obj)
    return replace(obj, body={**obj.body, "status": other.body["status"]})


def _keep_status(new: CustomObject, old: CustomObject) -> CustomObject:
    return _with_status_of(new, old)


def _take_status(new: CustomObject, old: CustomObject) -> CustomObject:
    """Return what was there with the new status; who owns what may change with it."""
    taken = _with_status_of(old, new)
    managed = new.metadata.managed_fields or old.metadata.managed_fields
    if managed == old.metadata.managed_fields:
        return taken
    return replace(taken, metadata=replace(old.metadata, managed_fields=managed))


# ---------------------------------------------------------------------------------------------------- scale


def _scaling(paths: ScalePaths) -> Scaling[CustomObject]:
    def read(obj: CustomObject) -> tuple[int, int, str]:
        # Kubernetes answers 500 where the field is missing; nothing is wrong with the server, so here it counts as 0.
        wanted = value_at(obj.body, paths.spec_replicas)
        present = value_at(obj.body, paths.status_replicas)
        selector = value_at(obj.body, paths.selector) if paths.selector else None
        return _number(wanted), _number(present), selector if isinstance(selector, str) else ""

    def write(obj: CustomObject, replicas: int) -> CustomObject:
        return replace(obj, body=with_value(obj.body, paths.spec_replicas, replicas))

    return Scaling(read=read, write=write)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def with_value(body: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a copy with another value at a path of field names."""
    first, *rest = path
    if not rest:
        return {**body, first: value}
    below = body.get(first)
    return {**body, first: with_value(below if isinstance(below, dict) else {}, tuple(rest), value)}
