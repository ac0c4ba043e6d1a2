"""Evicts pods: asks the budgets, notes the disruption, says so on the pod, deletes it.

Used by the facade. What `budgets.py` decides is carried out in writes that each see the newest state, so that two
evictions at once never take what only one may.
Invariant: a pod that a budget protects is deleted only after the budget's status has counted it.
"""

from dataclasses import replace as replace_fields

from msgspec.structs import replace

from pinnace.api.budgets import Verdict, count_disruption, judge_eviction, still_processing
from pinnace.api.context import SYSTEM, Context
from pinnace.api.deletion import DeleteWish
from pinnace.api.errors import conflict
from pinnace.api.prepare import Part
from pinnace.api.reads import Reader, key_of
from pinnace.api.write import Writer
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_time
from pinnace.kube.kinds import POD, POD_DISRUPTION_BUDGET
from pinnace.kube.objects.core_v1 import Pod, PodCondition
from pinnace.kube.objects.policy_v1 import PodDisruptionBudget

TRIES = 20  # Source: Kubernetes v1.36, eviction.go, EvictionsRetry
DISRUPTED = "DisruptionTarget"
_REASON = "EvictionByEvictionAPI"
_MESSAGE = "Eviction API: evicting"


class Evictor:
    """Carries out evictions."""

    def __init__(self, reader: Reader, writer: Writer, clock: Clock) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock

    async def evict(self, namespace: str, name: str, wish: DeleteWish, context: Context) -> tuple[Pod, bool]:
        """Delete a pod if its budget allows; return the pod, and whether it is gone.

        Raises: ApiError NotFound, Conflict (preconditions), TooManyRequests (the budget), InternalError (several budgets).
        """
        for _ in range(TRIES):
            pod = self._reader.get(POD, namespace, name)
            verdict = judge_eviction(pod, self._reader.list_in(POD_DISRUPTION_BUDGET, namespace))
            if verdict.budget is not None:
                await self._count(verdict.budget, pod, context)
            seen = wish
            if verdict.unchanged and not wish.resource_version:
                seen = replace_fields(wish, resource_version=pod.metadata.resource_version)
            try:
                return await self._remove(pod, seen, context)
            except ApiError as error:
                if error.reason is not Reason.CONFLICT or not verdict.unchanged or wish.resource_version:
                    raise
                await self._settle(pod)
        raise self._gave_up(verdict, pod)

    async def _count(self, budget: PodDisruptionBudget, pod: Pod, context: Context) -> None:
        def counted(newest: PodDisruptionBudget) -> PodDisruptionBudget:
            return count_disruption(newest, pod.metadata.name, self._clock.now())

        key = key_of(POD_DISRUPTION_BUDGET, budget.metadata.namespace, budget.metadata.name)
        quiet = replace_fields(SYSTEM, dry_run=context.dry_run)
        await self._writer.change(POD_DISRUPTION_BUDGET, key, counted, Part.STATUS, quiet, prepared=True)

    async def _remove(self, pod: Pod, wish: DeleteWish, context: Context) -> tuple[Pod, bool]:
        key = key_of(POD, pod.metadata.namespace, pod.metadata.name)
        if not context.dry_run and pod.status.phase not in ("Succeeded", "Failed"):
            marked = await self._writer.change(
                POD, key, lambda newest: self._mark(newest, wish), Part.STATUS, context
            )
            if wish.resource_version:
                wish = replace_fields(wish, resource_version=marked.metadata.resource_version)
        return await self._writer.delete(POD, key, wish, context)

    def _mark(self, pod: Pod, wish: DeleteWish) -> Pod:
        meta = pod.metadata
        for name, wished, actual in (
            ("UID", wish.uid, meta.uid),
            ("ResourceVersion", wish.resource_version, meta.resource_version),
        ):
            if wished and wished != actual:
                why = (
                    f"Precondition failed: {name} in precondition: {wished}, {name} in object meta: {actual}"
                )
                raise conflict(POD, meta.name, why)
        if any(each.type == DISRUPTED and each.status == "True" for each in pod.status.conditions):
            return pod
        condition = PodCondition(
            type=DISRUPTED,
            status="True",
            reason=_REASON,
            message=_MESSAGE,
            last_transition_time=render_time(self._clock.now()),
        )
        others = tuple(each for each in pod.status.conditions if each.type != DISRUPTED)
        return replace(pod, status=replace(pod.status, conditions=(*others, condition)))

    async def _settle(self, pod: Pod) -> None:
        """Wait for the write that came between, so that the next look sees it."""
        key = key_of(POD, pod.metadata.namespace, pod.metadata.name)
        await self._writer.change(POD, key, lambda newest: newest, Part.STATUS, SYSTEM)

    def _gave_up(self, verdict: Verdict, pod: Pod) -> ApiError:
        budget = verdict.budget
        return still_processing(budget.metadata.name if budget is not None else pod.metadata.name)
