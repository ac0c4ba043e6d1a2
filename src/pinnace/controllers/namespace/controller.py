"""Empties terminating namespaces and lets them go. Run by the runner; decided in `decide.py`."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.apply import apply_delete, apply_status, run_all
from pinnace.controllers.namespace.decide import FINALIZER, Left, reconcile_namespace
from pinnace.controllers.runner import ObjectKey, Requeue, Source, own_key
from pinnace.kube.kinds import NAMESPACE, STORED, Kind
from pinnace.kube.objects.core_v1 import Namespace

COMPONENT = "namespace-controller"
AT_ONCE = 100  # deletions that are committed together
NAMESPACED: tuple[Kind[Any], ...] = tuple(kind for kind in STORED if kind.namespaced)


class NamespaceController:
    """Ends namespaces."""

    name = "namespace"
    kind = NAMESPACE

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self.sources = (
            Source(NAMESPACE, own_key),
            *(Source(kind, self._keys_of_content) for kind in NAMESPACED),
        )

    def _keys_of_content(self, change: ObjectChange[Any]) -> Iterator[ObjectKey]:
        """A terminating namespace waits for its last object to go."""
        if change.type != "DELETED":
            return
        namespace = self._api.find(NAMESPACE, "", change.object.metadata.namespace)
        if namespace is not None and namespace.metadata.deletion_timestamp:
            yield ObjectKey("", namespace.metadata.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        namespace = self._api.find(NAMESPACE, "", key.name)
        if namespace is None:
            return None
        contents = self._read_contents(key.name) if namespace.metadata.deletion_timestamp else {}
        left = {resource: _count(objects) for resource, objects in contents.items()}
        plan = reconcile_namespace(namespace, left, self._clock.now())
        doomed = [
            obj
            for resource in plan.delete
            for obj in contents[resource]
            if not obj.metadata.deletion_timestamp
        ]
        for start in range(0, len(doomed), AT_ONCE):
            await run_all([partial(self._delete, obj) for obj in doomed[start : start + AT_ONCE]])
        if plan.conditions and self._api.find(NAMESPACE, "", key.name) is not None:
            await apply_status(
                self._api,
                namespace,
                msgspec.structs.replace(namespace.status, conditions=plan.conditions, phase="Terminating"),
            )
        if plan.finalize:
            await self._finalize(namespace)
        return None if plan.requeue_after_s is None else Requeue(plan.requeue_after_s)

    async def _delete(self, obj: Any) -> None:
        await apply_delete(self._api, obj, propagation="Background")

    def _read_contents(self, namespace: str) -> dict[str, tuple[Any, ...]]:
        rows = ((kind.group_resource, self._api.list(kind, namespace)) for kind in NAMESPACED)
        return {resource: objects for resource, objects in rows if objects}

    async def _finalize(self, namespace: Namespace) -> None:
        rest = tuple(name for name in namespace.spec.finalizers if name != FINALIZER)
        spec = msgspec.structs.replace(namespace.spec, finalizers=rest)
        try:
            await self._api.finalize(msgspec.structs.replace(namespace, spec=spec))
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise


def _count(objects: tuple[Any, ...]) -> Left:
    return Left(len(objects), Counter(name for obj in objects for name in obj.metadata.finalizers))
