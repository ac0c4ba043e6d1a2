"""Makes of what a caller sent what may be stored: defaulted, admitted, valid, with the metadata that only we may write.

Called by `write.py` for each create and update. Pure but for time and chance. Invariant: what it returns is valid, or it
raises.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from msgspec.structs import replace

from pinnace.api.access.escalation import Access
from pinnace.api.admission import CHAIN, AdmissionFacts, Attempt, Operation
from pinnace.api.admission.chain import Steps, mutate, validate
from pinnace.api.admission.quota.ledger import Ledger
from pinnace.api.apply.tracking import Author, note_creator
from pinnace.api.context import Context
from pinnace.api.errors import bad_request, conflict
from pinnace.api.kinds.namespace import prepare_finalize
from pinnace.api.scale import read_scale, write_scale
from pinnace.api.strategy import Strategy, meta_of, with_meta
from pinnace.api.unacted import find_unacted
from pinnace.api.validation.metadata import validate_metadata, validate_metadata_update
from pinnace.api.validation.problems import Problems
from pinnace.api.warned import find_warnings
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_time
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.meta_v1 import ObjectMeta

T = TypeVar("T")

# Source: Kubernetes v1.36, apiserver/pkg/storage/names/generate.go.
SUFFIX_LENGTH = 5
GENERATED_BASE_MOST = 63 - SUFFIX_LENGTH


_NOT_ALLOWED = "the server does not allow this method on the requested resource"


class Part(Enum):
    """Which part of an object an update is about; the value is the subresource's name."""

    MAIN = ""
    STATUS = "status"
    FINALIZE = "finalize"
    EPHEMERAL_CONTAINERS = "ephemeralcontainers"
    RESIZE = "resize"
    SCALE = (
        "scale"  # a whole object is written, of which only the replicas have changed; admission sees a Scale
    )


def part_of(subresource: str) -> Part:
    """Return the part that a subresource's name means. Raises: ApiError MethodNotAllowed."""
    try:
        return Part(subresource)
    except ValueError:
        raise ApiError(Reason.METHOD_NOT_ALLOWED, _NOT_ALLOWED) from None


@dataclass(frozen=True, slots=True)
class World:
    """What preparing may use: other objects, time, chance."""

    facts: AdmissionFacts
    clock: Clock
    chance: Chance
    quotas: Ledger
    access: Access | None = None


def prepare_create(
    row: Strategy[T],
    obj: T,
    namespace: str | None,
    context: Context,
    world: World,
    author: Author | None = None,
) -> T:
    """Return a new object as it is to be stored. What admission adds to it is nobody's.

    Raises: ApiError BadRequest, NotFound or Forbidden (its namespace, admission), Invalid.
    """
    kind = row.kind
    obj = row.default(with_meta_of(obj, _new_metadata(row, meta_of(obj), namespace, world)))
    obj = note_creator(kind, obj, context, author, world.clock.now())
    meta = meta_of(obj)
    steps = CHAIN.find_steps(kind.resource, Operation.CREATE)
    attempt = None if steps is None else _attempt(row, Operation.CREATE, obj, None, Part.MAIN, context, world)
    if steps is not None and attempt is not None:
        obj = mutate(steps, attempt)
    obj = row.prepare_create(row.admit(obj, world.facts, context))
    problems = Problems()
    validate_metadata(
        meta,
        namespaced=kind.namespaced,
        name_rule=row.name_rule,
        problems=problems,
        custom=kind.custom is not None,
    )
    row.validate(obj, problems)
    row.validate_change(obj, None, problems)
    if problems:
        raise problems.to_error(kind.kind, kind.group, meta.name)
    if steps is not None and attempt is not None:
        _admit(steps, attempt, obj)
    _warn(row, obj, context)
    return obj


def _attempt(
    row: Strategy[T],
    operation: Operation,
    obj: T | None,
    old: T | None,
    part: Part,
    context: Context,
    world: World,
) -> Attempt:
    meta = meta_of(old if obj is None else obj)
    return Attempt(
        kind=row.kind,
        operation=operation,
        namespace=meta.namespace,
        name=meta.name,
        object=obj,
        old=old,
        subresource=part.value,
        context=context,
        facts=world.facts,
        quotas=world.quotas,
        access=world.access,
    )


def _admit(steps: Steps, attempt: Attempt, obj: Any) -> None:
    attempt.object = obj
    validate(steps, attempt)


def admit_delete(row: Strategy[T], old: T, context: Context, world: World) -> None:
    """Raises: ApiError of the first row of admission that keeps the object."""
    steps = CHAIN.find_steps(row.kind.resource, Operation.DELETE)
    if steps is not None:
        validate(steps, _attempt(row, Operation.DELETE, None, old, Part.MAIN, context, world))


def admit_connect(
    kind: Kind[Any],
    namespace: str,
    name: str,
    subresource: str,
    options: Any,
    context: Context,
    world: World,
) -> None:
    """Raises: ApiError of the first row of admission that refuses the connection."""
    steps = CHAIN.find_steps(kind.resource, Operation.CONNECT, subresource)
    if steps is not None:
        attempt = Attempt(
            kind=kind,
            operation=Operation.CONNECT,
            namespace=namespace,
            name=name,
            object=options,
            old=None,
            subresource=subresource,
            context=context,
            facts=world.facts,
            quotas=world.quotas,
            access=world.access,
        )
        mutate(steps, attempt)
        validate(steps, attempt)


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


def prepare_update(row: Strategy[T], new: T, old: T, part: Part, context: Context, world: World) -> T:
    """Return an existing object as it is to be stored after a change of one of its parts.

    Raises: ApiError Conflict (another uid), Forbidden (admission), Invalid.
    """
    old_meta = meta_of(old)
    uid = meta_of(new).uid
    if uid and uid != old_meta.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old_meta.uid}"
        raise conflict(row.kind, old_meta.name, why)
    problems = Problems()
    steps = CHAIN.find_steps(row.kind.resource, Operation.UPDATE, part.value)
    attempt = None
    if steps is not None:
        seen = _seen(row, new, part)
        attempt = _attempt(row, Operation.UPDATE, seen, _seen(row, old, part), part, context, world)
        mutated = mutate(steps, attempt)
        if mutated is not seen:
            new = write_scale(row.kind, new, mutated) if part is Part.SCALE else mutated
    if part is Part.STATUS:
        new = row.prepare_status(with_meta_of(new, _kept_metadata(meta_of(new), old_meta)), old)
        row.validate_status(new, old, problems)
    elif part is Part.FINALIZE:
        prepared: Any = prepare_finalize(new, old)  # type: ignore[arg-type]  # only Namespaces have it
        new = prepared
    elif part is Part.MAIN or part is Part.SCALE:
        new = _prepare_main(row, new, old, problems)
    else:
        new = _prepare_subpart(row, new, old, part, problems)
    if problems:
        raise problems.to_error(row.kind.kind, row.kind.group, old_meta.name)
    if steps is not None and attempt is not None:
        _admit(steps, attempt, _seen(row, new, part))
    if part is Part.MAIN or part is Part.SCALE:
        _warn(row, new, context, old)
    elif part is Part.EPHEMERAL_CONTAINERS or part is Part.RESIZE:
        _warn_of_part(row, new, context, old)
    return new


def _seen(row: Strategy[Any], obj: Any, part: Part) -> Any:
    """Return what admission sees of an object when this part of it is written."""
    return read_scale(row.kind, obj) if part is Part.SCALE else obj


def _warn(row: Strategy[T], obj: T, context: Context, old: T | None = None) -> None:
    if context.reads_warnings:
        for sentence in find_warnings(row, obj, old):
            context.warn(sentence)


def _warn_of_part(row: Strategy[T], obj: T, context: Context, old: T) -> None:
    """Warn of unacted fields that came with the part; those of the rest were told when the object was made."""
    if context.reads_warnings:
        told = set(find_unacted(row.kind, old))
        for sentence in find_unacted(row.kind, obj):
            if sentence not in told:
                context.warn(sentence)


def _prepare_main(row: Strategy[T], new: T, old: T, problems: Problems) -> T:
    old_meta = meta_of(old)
    new = row.default(with_meta_of(new, _kept_metadata(meta_of(new), old_meta)))
    new = row.prepare_update(new, old)
    meta = meta_of(new)
    validate_metadata_update(meta, old_meta, problems, custom=row.kind.custom is not None)
    row.validate_annotations(new, old, problems)
    if with_meta_of(new, old_meta) == old:  # only metadata changed, if anything
        if row.counts_annotations and meta.annotations != old_meta.annotations:
            return with_meta(new, generation=(old_meta.generation or 0) + 1)
        return new
    if row.generation:
        new = with_meta(new, generation=(old_meta.generation or 0) + 1)
    row.validate(new, problems)
    row.validate_change(new, old, problems)
    row.validate_update(new, old, problems)
    return new


def _prepare_subpart(row: Strategy[T], new: T, old: T, part: Part, problems: Problems) -> T:
    subpart = row.subparts.get(part.value)
    if subpart is None:
        raise ApiError(Reason.METHOD_NOT_ALLOWED, _NOT_ALLOWED)
    owners = meta_of(new).managed_fields
    new = row.default(subpart.keep(new, old))
    if new == old:
        return with_meta(new, managed_fields=owners or meta_of(old).managed_fields)
    row.validate(new, problems)
    subpart.validate(new, old, problems)
    generation = (meta_of(old).generation or 0) + 1 if row.generation else meta_of(old).generation
    return with_meta(new, generation=generation, managed_fields=owners or meta_of(old).managed_fields)


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
