"""Empties terminating namespaces and lets them go. Run by the runner; decided in `decide.py`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.apply import apply_delete, apply_status, run_all
from pinnace.controllers.namespace.decide import (
    FINALIZER,
    Left,
    choose_kinds,
    is_to_be_emptied,
    judge_namespace,
)
from pinnace.controllers.runner import ObjectKey, Requeue, Source, own_key
from pinnace.kube.kinds import NAMESPACE

COMPONENT = "namespace-controller"
AT_ONCE = 100  # deletions that are committed together


class NamespaceController:
    """Ends namespaces."""

    name = "namespace"
    kind = NAMESPACE

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    @property
    def sources(self) -> Sequence[Source]:
        contents = (kind for kind in self._api.kinds.stored if kind.namespaced)
        return (Source(NAMESPACE, own_key), *(Source(kind, self._keys_of_content) for kind in contents))

    def _keys_of_content(self, change: ObjectChange[Any]) -> Iterator[ObjectKey]:
        """A terminating namespace waits for its last object to go."""
        if change.type != "DELETED":
            return
        namespace = self._api.find(NAMESPACE, "", change.object.metadata.namespace)
        if namespace is not None and namespace.metadata.deletion_timestamp:
            yield ObjectKey("", namespace.metadata.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        namespace = self._api.find(NAMESPACE, "", key.name)
        if namespace is None or not is_to_be_emptied(namespace):
            return None
        failures = await self._empty(key.name)
        left = {resource: _count(objects) for resource, objects in self._read_contents(key.name).items()}
        plan = judge_namespace(namespace, left, failures, self._clock.now())
        if plan.conditions:
            status = msgspec.structs.replace(
                namespace.status, conditions=plan.conditions, phase="Terminating"
            )
            await apply_status(self._api, namespace, status)
        if plan.finalize:
            await self._finalize(key.name)
        return None if plan.requeue_after_s is None else Requeue(plan.requeue_after_s)

    async def _empty(self, name: str) -> tuple[str, ...]:
        """Delete what is to go now, and what is to go after it if that went at once; return why something could not.

        A kind's turn comes when those before it are gone; what stays for its finalizers ends the round.
        """
        failures: dict[str, str] = {}
        while contents := self._read_contents(name):
            chosen = [resource for resource in choose_kinds(contents) if resource not in failures]
            doomed = [
                (resource, obj)
                for resource in chosen
                for obj in contents[resource]
                if not obj.metadata.deletion_timestamp
            ]
            if not doomed:
                break
            for start in range(0, len(doomed), AT_ONCE):
                batch = doomed[start : start + AT_ONCE]
                await run_all([partial(self._delete, resource, obj, failures) for resource, obj in batch])
        return tuple(failures.values())

    async def _delete(self, resource: str, obj: Any, failures: dict[str, str]) -> None:
        try:
            await apply_delete(self._api, obj, propagation="Background")
        except ApiError as error:
            failures.setdefault(resource, str(error))

    def _read_contents(self, namespace: str) -> dict[str, tuple[Any, ...]]:
        kinds = (kind for kind in self._api.kinds.stored if kind.namespaced)
        rows = ((kind.group_resource, self._api.list(kind, namespace)) for kind in kinds)
        return {resource: objects for resource, objects in rows if objects}

    async def _finalize(self, name: str) -> None:
        namespace = self._api.find(NAMESPACE, "", name)
        if namespace is None:
            return
        rest = tuple(finalizer for finalizer in namespace.spec.finalizers if finalizer != FINALIZER)
        spec = msgspec.structs.replace(namespace.spec, finalizers=rest)
        try:
            await self._api.finalize(msgspec.structs.replace(namespace, spec=spec))
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise


def _count(objects: tuple[Any, ...]) -> Left:
    return Left(len(objects), Counter(name for obj in objects for name in obj.metadata.finalizers))
