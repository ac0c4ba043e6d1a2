"""Makes of what a caller sent what may be stored: defaulted, admitted, valid, with the metadata that only we may write.

Called by `write.py` for each create and update. Pure but for time and chance. Invariant: what it returns is valid, or it
raises.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from msgspec.structs import replace

from pinnace.api.admission.namespaces import admit_to_namespace
from pinnace.api.context import Context
from pinnace.api.errors import bad_request, conflict
from pinnace.api.kinds.namespace import prepare_finalize
from pinnace.api.strategy import Facts, Strategy, meta_of, with_meta
from pinnace.api.validation.metadata import validate_metadata, validate_metadata_update
from pinnace.api.validation.problems import Problems
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_time
from pinnace.kube.objects.meta_v1 import ObjectMeta

T = TypeVar("T")

# Source: Kubernetes v1.36, apiserver/pkg/storage/names/generate.go.
SUFFIX_LENGTH = 5
GENERATED_BASE_MOST = 63 - SUFFIX_LENGTH


class Part(Enum):
    """Which part of an object an update is about; the value is the subresource's name."""

    MAIN = ""
    STATUS = "status"
    FINALIZE = "finalize"


def part_of(subresource: str) -> Part:
    """Return the part that a subresource's name means. Raises: ApiError MethodNotAllowed."""
    try:
        return Part(subresource)
    except ValueError:
        why = "the server does not allow this method on the requested resource"
        raise ApiError(Reason.METHOD_NOT_ALLOWED, why) from None


@dataclass(frozen=True, slots=True)
class World:
    """What preparing may use: other objects, time, chance."""

    facts: Facts
    clock: Clock
    chance: Chance


def prepare_create(row: Strategy[T], obj: T, namespace: str | None, context: Context, world: World) -> T:
    """Return a new object as it is to be stored.

    Raises: ApiError BadRequest, NotFound or Forbidden (its namespace, admission), Invalid.
    """
    kind = row.kind
    obj = row.default(with_meta_of(obj, _new_metadata(row, meta_of(obj), namespace, world)))
    meta = meta_of(obj)
    if kind.namespaced and meta.namespace:
        admit_to_namespace(kind, meta.namespace, meta.name, world.facts)
    obj = row.prepare_create(row.admit(obj, world.facts, context))
    problems = Problems()
    validate_metadata(meta, namespaced=kind.namespaced, name_rule=row.name_rule, problems=problems)
    row.validate(obj, problems)
    if problems:
        raise problems.to_error(kind.kind, kind.group, meta.name)
    _warn(row, obj, context)
    return obj


def with_meta_of(obj: T, meta: ObjectMeta) -> T:
    """Return the object with this metadata."""
    changed: Any = replace(obj, metadata=meta)  # type: ignore[type-var]
    result: T = changed
    return result


def choose_namespace(row: Strategy[Any], meta: ObjectMeta, namespace: str | None) -> str:
    """Return the namespace that the request and the object agree on.

    Raises: ApiError BadRequest when they don't.
    """
    if not row.kind.namespaced:
        return meta.namespace  # "" if all is well; validation names the rest
    if namespace and meta.namespace and namespace != meta.namespace:
        raise bad_request(
            f"the namespace of the provided object does not match the namespace sent on the request"
            f" ({meta.namespace} and {namespace})"
        )
    return namespace or meta.namespace


def _new_metadata(row: Strategy[Any], meta: ObjectMeta, namespace: str | None, world: World) -> ObjectMeta:
    if meta.resource_version:
        raise bad_request("resourceVersion should not be set on objects to be created")
    name = meta.name
    if not name and meta.generate_name:
        name = meta.generate_name[:GENERATED_BASE_MOST] + world.chance.suffix(SUFFIX_LENGTH)
    return replace(
        meta,
        name=name,
        namespace=choose_namespace(row, meta, namespace),
        uid=world.chance.uid(),
        creation_timestamp=render_time(world.clock.now()),
        generation=1 if row.generation else None,
        deletion_timestamp="",
        deletion_grace_period_seconds=None,
        self_link="",
    )


def prepare_update(row: Strategy[T], new: T, old: T, part: Part, context: Context) -> T:
    """Return an existing object as it is to be stored after a change of one of its parts.

    Raises: ApiError Conflict (another uid), Invalid.
    """
    old_meta = meta_of(old)
    uid = meta_of(new).uid
    if uid and uid != old_meta.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old_meta.uid}"
        raise conflict(row.kind, old_meta.name, why)
    problems = Problems()
    if part is Part.STATUS:
        new = row.prepare_status(new, old)
        row.validate_status(new, old, problems)
    elif part is Part.FINALIZE:
        prepared: Any = prepare_finalize(new, old)  # type: ignore[arg-type]  # only Namespaces have it
        new = prepared
    else:
        new = _prepare_main(row, new, old, problems)
    if problems:
        raise problems.to_error(row.kind.kind, row.kind.group, old_meta.name)
    if part is Part.MAIN:
        _warn(row, new, context)
    return new


def _warn(row: Strategy[T], obj: T, context: Context) -> None:
    if context.reads_warnings:
        for sentence in row.warn(obj):
            context.warn(sentence)


def _prepare_main(row: Strategy[T], new: T, old: T, problems: Problems) -> T:
    old_meta = meta_of(old)
    new = row.default(with_meta_of(new, _kept_metadata(meta_of(new), old_meta)))
    new = row.prepare_update(new, old)
    meta = meta_of(new)
    validate_metadata_update(meta, old_meta, problems)
    if with_meta_of(new, old_meta) == old:  # only metadata changed, if anything
        return new
    if row.generation:
        new = with_meta(new, generation=(old_meta.generation or 0) + 1)
    row.validate(new, problems)
    row.validate_update(new, old, problems)
    return new


def _kept_metadata(meta: ObjectMeta, old: ObjectMeta) -> ObjectMeta:
    """Return the new metadata with what only we write as it was."""
    return replace(
        meta,
        name=meta.name or old.name,
        namespace=meta.namespace or old.namespace,
        uid=old.uid,
        resource_version=old.resource_version,
        creation_timestamp=old.creation_timestamp,
        deletion_timestamp=old.deletion_timestamp,
        deletion_grace_period_seconds=old.deletion_grace_period_seconds,
        generation=old.generation,
        managed_fields=meta.managed_fields or old.managed_fields,
        self_link=old.self_link,
    )
