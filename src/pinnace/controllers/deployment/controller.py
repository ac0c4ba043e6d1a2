"""Reads the world of a deployment for `rollout.py` and carries its plan out. Run by the runner."""

from collections.abc import Iterator

from pinnace.api.facade import Api, ObjectChange
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.apply import apply_status, apply_step
from pinnace.controllers.deployment import status
from pinnace.controllers.deployment.rollout import DeploymentFacts, reconcile_deployment
from pinnace.controllers.owners import controller_of
from pinnace.controllers.plan import Create
from pinnace.controllers.runner import ObjectKey, Requeue, Source, Stale, own_key
from pinnace.kube.kinds import DEPLOYMENT, POD, REPLICA_SET
from pinnace.kube.objects.apps_v1 import Deployment, ReplicaSet
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.selectors import selector_of

COMPONENT = "deployment-controller"


class DeploymentController:
    """Rolls deployments out."""

    name = "deployment"
    kind = DEPLOYMENT

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self.sources = (
            Source(DEPLOYMENT, own_key),
            Source(REPLICA_SET, self._keys_of_set),
            Source(POD, self._keys_of_pod),
        )

    def _keys_of_set(self, change: ObjectChange[ReplicaSet]) -> Iterator[ObjectKey]:
        for one in (change.object, change.previous):
            if one is None:
                continue
            owner = controller_of(one)
            if owner is not None and owner.kind == "Deployment":
                yield ObjectKey(one.metadata.namespace, owner.name)
            elif owner is None:
                yield from self._deployments_matching(one)

    def _deployments_matching(self, one: ReplicaSet) -> Iterator[ObjectKey]:
        for deployment in self._api.list(DEPLOYMENT, one.metadata.namespace):
            selector = deployment.spec.selector
            if selector is not None and selector_of(selector).matches(one.metadata.labels):
                yield ObjectKey(deployment.metadata.namespace, deployment.metadata.name)

    def _keys_of_pod(self, change: ObjectChange[Pod]) -> Iterator[ObjectKey]:
        """Recreate waits for the last pod of the old sets to be gone; all else shows in the sets' status."""
        owner = controller_of(change.object)
        if change.type != "DELETED" or owner is None or owner.kind != "ReplicaSet":
            return
        one = self._api.find(REPLICA_SET, change.object.metadata.namespace, owner.name)
        parent = None if one is None else controller_of(one)
        if parent is not None and parent.kind == "Deployment":
            yield ObjectKey(change.object.metadata.namespace, parent.name)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        deployment = self._api.find(DEPLOYMENT, key.namespace, key.name)
        if deployment is None:
            return None
        facts = DeploymentFacts(
            deployment,
            self._api.list(REPLICA_SET, key.namespace),
            lambda uid: self._api.owned_by(uid, POD),
        )
        plan = reconcile_deployment(facts, self._clock.now())
        for step in plan.steps:
            try:
                await apply_step(self._api, step, COMPONENT)
            except ApiError as error:
                if isinstance(step, Create):
                    await self._tell_refused(deployment, step.object, error)
                raise
        return None if plan.requeue_after_s is None else Requeue(plan.requeue_after_s)

    async def _tell_refused(self, deployment: Deployment, new: ReplicaSet, error: ApiError) -> None:
        if error.reason is Reason.ALREADY_EXISTS:
            raise Stale(f"{new.metadata.name} exists already") from error
        text = f'Failed to create new replica set "{new.metadata.name}": {error}'
        await self._api.record_event(deployment, "Warning", status.CREATE_ERROR, text, component=COMPONENT)
        if status.deadline_of(deployment) is not None:
            condition = status.new_condition(
                "Progressing", "False", status.CREATE_ERROR, text, self._clock.now()
            )
            await apply_status(self._api, deployment, status.set_condition(deployment.status, condition))
