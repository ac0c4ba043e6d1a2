"""Ends the objects of definitions that are deleted, and looks after statuses. Run by the runner; decided in `decide.py`."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.apply import apply_delete, run_all
from pinnace.controllers.definitions.decide import DefinitionPlan, is_to_be_cleaned_up, plan_end
from pinnace.controllers.runner import ObjectKey, Requeue, Source, own_key
from pinnace.kube.kinds import CUSTOM_RESOURCE_DEFINITION, Kind
from pinnace.kube.objects.apiextensions_v1 import CustomResourceDefinition

AT_ONCE = 100  # deletions that are committed together


class DefinitionController:
    """Cleans up after definitions."""

    name = "customresourcedefinition"
    kind = CUSTOM_RESOURCE_DEFINITION

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    @property
    def sources(self) -> Sequence[Source]:
        custom = (kind for kind in self._api.kinds.stored if kind.custom is not None)
        return (
            Source(CUSTOM_RESOURCE_DEFINITION, own_key),
            *(Source(kind, partial(_keys_of_object, kind)) for kind in custom),
        )

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        await self._api.settle_definitions()
        crd = self._api.find(CUSTOM_RESOURCE_DEFINITION, "", key.name)
        if crd is None or not is_to_be_cleaned_up(crd):
            return None
        plan = plan_end(crd, self._objects_of(crd), (), self._clock.now())
        failures = await self._delete(plan)
        plan = plan_end(crd, self._objects_of(crd), failures, self._clock.now())
        await self._write(plan)
        return None if plan.requeue_after_s is None else Requeue(plan.requeue_after_s)

    def _objects_of(self, crd: CustomResourceDefinition) -> tuple[Any, ...]:
        kind = self._api.kinds.by_resource(f"{crd.spec.group}/{crd.spec.names.plural}")
        return () if kind is None or kind.custom is None else self._api.list(kind)

    async def _delete(self, plan: DefinitionPlan) -> tuple[str, ...]:
        failures: list[str] = []

        async def delete(obj: Any) -> None:
            try:
                await apply_delete(self._api, obj, propagation="Background")
            except ApiError as error:
                failures.append(str(error))

        for start in range(0, len(plan.delete), AT_ONCE):
            await run_all([partial(delete, obj) for obj in plan.delete[start : start + AT_ONCE]])
        return tuple(failures)

    async def _write(self, plan: DefinitionPlan) -> None:
        wanted = plan.definition

        def turn(present: CustomResourceDefinition) -> CustomResourceDefinition:
            meta = replace(present.metadata, finalizers=wanted.metadata.finalizers)
            return replace(present, metadata=meta, status=wanted.status)

        try:
            await self._api.change(
                CUSTOM_RESOURCE_DEFINITION, "", wanted.metadata.name, turn, subresource="status"
            )
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise


def _keys_of_object(kind: Kind[Any], change: ObjectChange[Any]) -> Iterator[ObjectKey]:
    """A definition that is deleted waits for its last object to go."""
    if change.type == "DELETED":
        yield ObjectKey("", kind.group_resource)
