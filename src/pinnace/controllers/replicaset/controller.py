"""Carries out what `decide.py` says about a ReplicaSet: claims, creates and deletes pods, writes the status.

Run by the runner. It keeps one index: the names of pods without a controller, which no owner's uid leads to.
Invariant: pods are read anew after they were changed, so that one reconcile never creates the same pod twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.apply import apply_change, apply_delete, apply_status, run_all
from pinnace.controllers.deployment.counts import replicas_of
from pinnace.controllers.owners import controller_of
from pinnace.controllers.pods import is_active, is_ended
from pinnace.controllers.replicaset.decide import (
    ManageFailure,
    ReplicaSetFacts,
    ReplicaSetPlan,
    build_pod,
    compute_status,
    reconcile_replica_set,
)
from pinnace.controllers.runner import ObjectKey, Requeue, Source, Stale, Told, own_key
from pinnace.kube.kinds import POD, REPLICA_SET
from pinnace.kube.objects.apps_v1 import ReplicaSet, ReplicaSetStatus
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.selectors import selector_of

COMPONENT = "replicaset-controller"
SLOW_START_FIRST = (
    1  # Source: Kubernetes v1.36, pkg/controller/controller_utils.go, SlowStartInitialBatchSize
)


class ReplicaSetController:
    """Keeps as many pods of each set as it wants."""

    name = "replicaset"
    kind = REPLICA_SET

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._orphans: dict[str, set[str]] = {}
        self._statuses: dict[str, ReplicaSetStatus] = {}  # by uid: what we wrote last
        self.sources = (Source(REPLICA_SET, self._keys_of_set), Source(POD, self._keys_of_pod))

    # ------------------------------------------------------------------ which sets a change concerns

    def _keys_of_set(self, change: ObjectChange[ReplicaSet]) -> Iterator[ObjectKey]:
        """All changes, but for the statuses that we write: a set that fails must wait for its next try."""
        one, before = change.object, change.previous
        if change.type == "DELETED":
            self._statuses.pop(one.metadata.uid, None)
        ours = one.status == self._statuses.get(one.metadata.uid)
        if change.type == "MODIFIED" and before is not None and ours and before.status != one.status:
            return
        yield from own_key(change)

    def _keys_of_pod(self, change: ObjectChange[Pod]) -> Iterator[ObjectKey]:
        self._note_orphan(change)
        before = change.previous
        if change.type == "MODIFIED" and before is not None and _matters(before) == _matters(change.object):
            return
        for pod in (change.object, change.previous):
            if pod is None:
                continue
            owner = controller_of(pod)
            if owner is None:
                yield from self._sets_matching(pod)
            elif owner.kind == "ReplicaSet":
                yield ObjectKey(pod.metadata.namespace, owner.name)

    def _note_orphan(self, change: ObjectChange[Pod]) -> None:
        pod = change.object
        names = self._orphans.setdefault(pod.metadata.namespace, set())
        if change.type == "DELETED" or controller_of(pod) is not None:
            names.discard(pod.metadata.name)
        else:
            names.add(pod.metadata.name)

    def _sets_matching(self, pod: Pod) -> Iterator[ObjectKey]:
        if not pod.metadata.labels:
            return
        for one in self._api.list(REPLICA_SET, pod.metadata.namespace):
            if one.spec.selector is not None and selector_of(one.spec.selector).matches(pod.metadata.labels):
                yield ObjectKey(one.metadata.namespace, one.metadata.name)

    # ------------------------------------------------------------------ one set

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        one = self._api.find(REPLICA_SET, key.namespace, key.name)
        if one is None:
            return None
        plan = reconcile_replica_set(self._read_facts(one), self._clock.now())
        error = await self._carry_out(one, plan)
        if error is not None and not isinstance(error, ApiError):
            raise error
        current = self._api.find(REPLICA_SET, key.namespace, key.name)
        if current is None or current.metadata.uid != one.metadata.uid:
            return None
        wait_s = await self._write_status(current, _as_failure(plan, error))
        if error is not None:
            raise error
        return None if wait_s is None else Requeue(wait_s)

    def _read_facts(self, one: ReplicaSet) -> ReplicaSetFacts:
        owned = self._api.owned_by(one.metadata.uid, POD)
        orphans = self._read_orphans(one, missing=sum(map(is_active, owned)) < replicas_of(one))
        owner = controller_of(one)
        related = owned
        if owner is not None and len(owned) > replicas_of(one):
            siblings = self._api.owned_by(owner.uid, REPLICA_SET)
            related = tuple(
                pod for sibling in siblings for pod in self._api.owned_by(sibling.metadata.uid, POD)
            )
        return ReplicaSetFacts(one, (*owned, *orphans), related)

    def _read_orphans(self, one: ReplicaSet, *, missing: bool) -> tuple[Pod, ...]:
        """Return the pods without a controller: from the index, or all of them before any pod would be created."""
        namespace = one.metadata.namespace
        if missing:
            pods = self._api.list(POD, namespace)
        else:
            found = (
                self._api.find(POD, namespace, name) for name in sorted(self._orphans.get(namespace, ()))
            )
            pods = tuple(pod for pod in found if pod is not None)
        return tuple(pod for pod in pods if controller_of(pod) is None)

    async def _carry_out(self, one: ReplicaSet, plan: ReplicaSetPlan) -> Exception | None:
        try:
            for step in plan.claims:
                await apply_change(self._api, step.before, step.after)
            if plan.create:
                await self._create_pods(one, plan.create)
            await run_all([partial(self._delete_pod, one, pod) for pod in plan.delete])
        except (ApiError, Stale) as error:
            return error
        return None

    async def _create_pods(self, one: ReplicaSet, count: int) -> None:
        """Create in batches of 1, 2, 4, ...: a template that is refused is refused once, not `count` times."""
        batch = SLOW_START_FIRST
        while count > 0:
            batch = min(batch, count)
            await run_all([partial(self._create_pod, one)] * batch)
            count -= batch
            batch *= 2

    async def _create_pod(self, one: ReplicaSet) -> None:
        try:
            pod = await self._api.create(build_pod(one))
        except ApiError as error:
            if _namespace_goes(error):
                return
            await self._tell(one, "Warning", "FailedCreate", f"Error creating: {error}")
            raise Told(error.reason, error.message) from error
        await self._tell(one, "Normal", "SuccessfulCreate", f"Created pod: {pod.metadata.name}")

    async def _delete_pod(self, one: ReplicaSet, pod: Pod) -> None:
        try:
            await apply_delete(self._api, pod)
        except ApiError as error:
            await self._tell(one, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise Told(error.reason, error.message) from error
        await self._tell(one, "Normal", "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")

    async def _write_status(self, one: ReplicaSet, failure: ManageFailure | None) -> float | None:
        owned = tuple(pod for pod in self._api.owned_by(one.metadata.uid, POD) if _is_controlled_by(pod, one))
        status, wait_s = compute_status(one, owned, failure, self._clock.now())
        if status != one.status:
            self._statuses[one.metadata.uid] = status
            await apply_status(self._api, one, status)
        return wait_s

    async def _tell(self, one: ReplicaSet, type_: str, reason: str, message: str) -> None:
        await self._api.record_event(one, type_, reason, message, component=COMPONENT)


def _matters(pod: Pod) -> tuple[object, ...]:
    """Return what of a pod a set acts on; most changes of pods touch none of it."""
    ready = next(
        ((c.status, c.last_transition_time) for c in pod.status.conditions if c.type == "Ready"), None
    )
    meta = pod.metadata
    return (meta.labels, meta.owner_references, bool(meta.deletion_timestamp), is_ended(pod), ready)


def _as_failure(plan: ReplicaSetPlan, error: Exception | None) -> ManageFailure | None:
    if error is None or isinstance(error, Stale):
        return None
    return ManageFailure("FailedCreate" if plan.create else "FailedDelete", str(error))


def _is_controlled_by(pod: Pod, one: ReplicaSet) -> bool:
    owner = controller_of(pod)
    return owner is not None and owner.uid == one.metadata.uid


def _namespace_goes(error: ApiError) -> bool:
    """Say whether the namespace is being deleted, where nothing can be created and nobody needs to be told."""
    return error.reason is Reason.FORBIDDEN and any(
        cause.reason == "NamespaceTerminating" for cause in error.causes
    )
