"""Carries plans out through `Api`, step by step. Generic over plans; decides nothing.

Invariant: a step acts only on the very object that it was planned for (by uid), and a `Change` only if what it was planned
from (all but the status) is still there; else `Stale` is raised and the reconcile comes again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.plan import Change, Create, Delete, Plan, Record, SetStatus, Step, name_of
from pinnace.controllers.runner import Requeue, Stale


async def apply_plan(api: Api, plan: Plan, component: str) -> Requeue | None:
    """Carry out all steps in order. Raises: Stale, ApiError."""
    for step in plan.steps:
        await apply_step(api, step, component)
    return None if plan.requeue_after_s is None else Requeue(plan.requeue_after_s)


async def apply_step(api: Api, step: Step, component: str) -> Any:
    """Carry out one step and return the object as it is now, where there is one. Raises: Stale, ApiError."""
    match step:
        case Create(obj):
            return await api.create(obj)
        case Change(before, after, _, subresource):
            return await apply_change(api, before, after, subresource)
        case SetStatus(obj, status):
            return await apply_status(api, obj, status)
        case Delete(obj, _, propagation, grace_s):
            return await apply_delete(api, obj, propagation, grace_s)
        case Record(regarding, type_, reason, message):
            return await api.record_event(regarding, type_, reason, message, component=component)


async def apply_change(api: Api, before: Any, after: Any, subresource: str = "") -> Any:
    """Replace labels, annotations, owners, finalizers and everything beside metadata and status."""
    meta = before.metadata

    def turn(current: Any) -> Any:
        if current.metadata.uid != meta.uid or _decided_on(current) != _decided_on(before):
            raise Stale(f"{name_of(before)} has changed meanwhile")
        wanted = after.metadata
        metadata = msgspec.structs.replace(
            current.metadata,
            labels=wanted.labels,
            annotations=wanted.annotations,
            owner_references=wanted.owner_references,
            finalizers=wanted.finalizers,
        )
        kept: dict[str, Any] = {"metadata": metadata}
        if hasattr(current, "status"):
            kept["status"] = current.status
        return msgspec.structs.replace(after, **kept)

    try:
        kind = api.kinds.kind_of(before)
        return await api.change(kind, meta.namespace, meta.name, turn, subresource=subresource)
    except ApiError as error:
        raise _gone_is_stale(error, before) from error


async def apply_status(api: Api, obj: Any, status: Any) -> Any:
    """Set the status of this very object."""
    meta = obj.metadata

    def turn(current: Any) -> Any:
        if current.metadata.uid != meta.uid:
            raise Stale(f"{name_of(obj)} is another one now")
        return msgspec.structs.replace(current, status=status)

    try:
        return await api.change(api.kinds.kind_of(obj), meta.namespace, meta.name, turn, subresource="status")
    except ApiError as error:
        raise _gone_is_stale(error, obj) from error


async def apply_delete(api: Api, obj: Any, propagation: str | None = None, grace_s: int | None = None) -> Any:
    """Delete this very object; one that is gone already, or replaced by another, is no error."""
    meta = obj.metadata
    try:
        await api.delete(
            api.kinds.kind_of(obj),
            meta.namespace,
            meta.name,
            uid=meta.uid or None,
            propagation=propagation,
            grace_s=grace_s,
        )
    except ApiError as error:
        if error.reason not in (Reason.NOT_FOUND, Reason.CONFLICT):
            raise
    return None


async def run_all(calls: Sequence[Callable[[], Awaitable[Any]]]) -> None:
    """Make all calls at once (their writes are committed together), wait for all, and raise the first error."""
    results = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _decided_on(obj: Any) -> tuple[Any, ...]:
    """Return what a change was decided on: all but the status and the book-keeping of the store."""
    meta = obj.metadata
    parts = tuple(
        getattr(obj, field)
        for field in obj.__struct_fields__
        if field not in ("metadata", "status", "api_version", "kind")
    )
    return (meta.labels, meta.annotations, meta.owner_references, meta.finalizers, parts)


def _gone_is_stale(error: ApiError, obj: Any) -> Exception:
    if error.reason is Reason.NOT_FOUND and error.name in ("", obj.metadata.name):
        return Stale(f"{name_of(obj)} is gone")
    return error
