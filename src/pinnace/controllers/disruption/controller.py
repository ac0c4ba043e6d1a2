"""Reads a budget, its pods and their controllers, and carries out what `decide.py` says. Run by the runner.

Invariant: a status is written only over the one that it was computed from, so that an eviction that comes between is
never forgotten.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from pinnace.api.budgets import is_about
from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.apply import apply_step
from pinnace.controllers.disruption.decide import BudgetFacts, asks_controllers, reconcile_budget
from pinnace.controllers.owners import controller_of
from pinnace.controllers.plan import SetStatus
from pinnace.controllers.pods import is_ready
from pinnace.controllers.runner import ObjectKey, Requeue, Source, Stale, own_key
from pinnace.kube.kinds import DEPLOYMENT, POD, POD_DISRUPTION_BUDGET, REPLICA_SET
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.objects.meta_v1 import OwnerReference
from pinnace.kube.objects.policy_v1 import PodDisruptionBudget
from pinnace.kube.selectors import selector_of

COMPONENT = (
    "controllermanager"  # Source: Kubernetes v1.36, pkg/controller/disruption, NewDisruptionController
)


class DisruptionController:
    """Keeps the status of each PodDisruptionBudget."""

    name = "disruption"
    kind = POD_DISRUPTION_BUDGET

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self.sources = (
            Source(POD_DISRUPTION_BUDGET, own_key),
            Source(POD, self._keys_of_pod),
            Source(DEPLOYMENT, self._keys_of_scaled),
            Source(REPLICA_SET, self._keys_of_scaled),
        )

    def _keys_of_pod(self, change: ObjectChange[Pod]) -> Iterator[ObjectKey]:
        pod, before = change.object, change.previous
        if before is not None and change.type == "MODIFIED" and _matters(pod) == _matters(before):
            return
        for budget in self._api.list(POD_DISRUPTION_BUDGET, pod.metadata.namespace):
            if is_about(budget, pod) or (before is not None and is_about(budget, before)):
                yield ObjectKey(budget.metadata.namespace, budget.metadata.name)

    def _keys_of_scaled(self, change: ObjectChange[Any]) -> Iterator[ObjectKey]:
        """A budget in shares must be computed anew when one of its controllers wants another number of pods."""
        before = change.previous
        if before is None or before.spec.replicas == change.object.spec.replicas:
            return
        labels = change.object.spec.template.metadata.labels
        for budget in self._api.list(POD_DISRUPTION_BUDGET, change.object.metadata.namespace):
            if asks_controllers(budget) and selector_of(budget.spec.selector).matches(labels):
                yield ObjectKey(budget.metadata.namespace, budget.metadata.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        budget = self._api.find(POD_DISRUPTION_BUDGET, key.namespace, key.name)
        if budget is None:
            return None
        plan = reconcile_budget(self._read_facts(budget), self._clock.now())
        for step in plan.steps:
            if isinstance(step, SetStatus):
                await self._set_status(budget, step.status)
            else:
                await apply_step(self._api, step, COMPONENT)
        return None if plan.requeue_after_s is None else Requeue(plan.requeue_after_s)

    async def _set_status(self, budget: PodDisruptionBudget, status: Any) -> None:
        def turn(current: PodDisruptionBudget) -> PodDisruptionBudget:
            if current.metadata.resource_version != budget.metadata.resource_version:
                raise Stale(f"budget {budget.metadata.name} has changed meanwhile")
            return msgspec.structs.replace(current, status=status)

        meta = budget.metadata
        try:
            await self._api.change(
                POD_DISRUPTION_BUDGET, meta.namespace, meta.name, turn, subresource="status"
            )
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise

    # ------------------------------------------------------------------ facts

    def _read_facts(self, budget: PodDisruptionBudget) -> BudgetFacts:
        try:
            matches = selector_of(budget.spec.selector).matches
        except ValueError as error:
            return BudgetFacts(budget, trouble=str(error))
        pods = self._api.list(POD, budget.metadata.namespace, labels=matches)
        if not asks_controllers(budget):
            return BudgetFacts(budget, pods)
        scales: dict[str, int] = {}
        unmanaged: list[str] = []
        asked: set[str] = set()
        for pod in pods:
            owner = controller_of(pod)
            if owner is None:
                unmanaged.append(pod.metadata.name)
            elif owner.uid not in asked:
                asked.add(owner.uid)
                try:
                    found = self._find_scale(owner, pod.metadata.namespace)
                except ApiError as error:
                    return BudgetFacts(budget, pods, trouble=str(error))
                if found is None:
                    return BudgetFacts(
                        budget, pods, trouble=f'found no controllers for pod "{pod.metadata.name}"'
                    )
                uid, replicas = found
                scales[uid] = replicas
        return BudgetFacts(budget, pods, scales, tuple(unmanaged))

    def _find_scale(self, owner: OwnerReference, namespace: str) -> tuple[str, int] | None:
        """Return the uid of whoever decides how many pods there are, and how many it wants.

        A Deployment decides for its ReplicaSets, so that a rollout doesn't count its pods twice.
        """
        kind = self._api.kinds.by_api_version(owner.api_version, owner.kind)
        if kind is None:
            return None
        found: Any = self._api.find(kind, namespace, owner.name)
        if found is None or found.metadata.uid != owner.uid:
            return None
        above = controller_of(found)
        if kind is REPLICA_SET and above is not None and above.kind == DEPLOYMENT.kind:
            return self._find_scale(above, namespace)
        if kind.subresource("scale") is None:
            why = f"{kind.group_resource} does not implement the scale subresource"
            raise ApiError(Reason.NOT_FOUND, why)
        return owner.uid, self._api.get_scale(kind, namespace, owner.name).spec.replicas or 0


def _matters(pod: Pod) -> tuple[object, ...]:
    meta = pod.metadata
    return is_ready(pod), meta.labels, bool(meta.deletion_timestamp), meta.owner_references
