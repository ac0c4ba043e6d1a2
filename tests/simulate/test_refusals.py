"""What happens when the API refuses what a controller wants, or the autoscaler can't see."""

from itertools import pairwise
from typing import Any

from pinnace.api.context import SYSTEM, Context
from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import DEPLOYMENT, EVENT, HORIZONTAL_POD_AUTOSCALER, POD, REPLICA_SET
from pinnace.kube.objects.apps_v1 import ReplicaSet
from pinnace.kube.objects.core_v1 import Pod
from tests.simulate.test_pattern1 import PATTERN_1
from tests.simulate.test_rollouts import is_rolled_out, manifest
from tests.simulate.world import World, run_world


class PodQuota(Api):
    """An API that lets no more than three pods be."""

    refused = 0

    async def create(self, obj: Any, *, namespace: str | None = None, context: Context = SYSTEM) -> Any:
        if isinstance(obj, Pod) and len(self.list(POD)) >= 3:
            type(self).refused += 1
            raise ApiError(
                Reason.FORBIDDEN, 'pods "web-x" is forbidden: exceeded quota: pods, limited: pods=3'
            )
        return await super().create(obj, namespace=namespace, context=context)


class NoSets(Api):
    """An API that refuses ReplicaSets."""

    async def create(self, obj: Any, *, namespace: str | None = None, context: Context = SYSTEM) -> Any:
        if isinstance(obj, ReplicaSet):
            raise ApiError(Reason.FORBIDDEN, "no sets today")
        return await super().create(obj, namespace=namespace, context=context)


def reasons(world: World, kind: str) -> set[tuple[str, str]]:
    events = (event for event in world.api.list(EVENT, "default") if event.involved_object.kind == kind)
    return {(event.reason, event.message) for event in events}


def test_refused_pods_are_asked_for_in_growing_batches_and_told() -> None:
    PodQuota.refused = 0

    async def story(world: World) -> None:
        await world.apply(manifest(200))
        await world.sleep(0.004)  # before the first retry
        assert len(world.pods(app="web")) == 3
        # Batches of 1, 2, 4: the third is refused, the other 193 are not tried; the new pods bring one more try, of 1.
        assert PodQuota.refused == 5
        await world.sleep(30)
        (one,) = world.api.list(REPLICA_SET, "default")
        (condition,) = one.status.conditions
        assert (condition.type, condition.status, condition.reason) == (
            "ReplicaFailure",
            "True",
            "FailedCreate",
        )
        deployed = world.deployment("web")
        assert {c.type: c.reason for c in deployed.status.conditions}["ReplicaFailure"] == "FailedCreate"
        why = 'pods "web-x" is forbidden: exceeded quota: pods, limited: pods=3'
        assert ("FailedCreate", f"Error creating: {why}") in reasons(world, "ReplicaSet")
        assert "ReconcileFailed" not in {reason for reason, _ in reasons(world, "ReplicaSet")}
        assert [failure.controller for failure in world.runner.failures] == ["replicaset"]
        await world.api.change(DEPLOYMENT, "default", "web", _to_three)
        await world.until(lambda: is_rolled_out(world), limit_s=130)
        assert world.api.list(REPLICA_SET, "default")[0].status.conditions == ()
        assert world.runner.failures == ()

    run_world(story, api_type=PodQuota)


def _to_three(obj: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(obj, spec=msgspec.structs.replace(obj.spec, replicas=3))


def test_refused_set_is_told_on_the_deployment() -> None:
    async def story(world: World) -> None:
        await world.apply(manifest(2))
        await world.sleep(5)
        status = {c.type: (c.status, c.reason) for c in world.deployment("web").status.conditions}
        assert status["Progressing"] == ("False", "ReplicaSetCreateError")
        (told,) = [
            message for reason, message in reasons(world, "Deployment") if reason == "ReplicaSetCreateError"
        ]
        assert told.startswith('Failed to create new replica set "web-')
        assert told.endswith('": no sets today')

    run_world(story, api_type=NoSets)


def test_autoscaler_without_its_target_says_so_and_finds_it_later() -> None:
    async def story(world: World) -> None:
        documents = PATTERN_1.split("---")
        await world.apply(documents[2])
        await world.sleep(1)
        told = ("FailedGetScale", 'deployments.apps "ml-inference" not found')
        assert told in reasons(world, "HorizontalPodAutoscaler")
        await world.apply(documents[0])
        await world.sleep(40)
        world.usage.load_milli = lambda now: 2100.0
        await world.sleep(60)
        conditions = {c.type: c.reason for c in world.hpa("ml-inference-hpa").status.conditions}
        assert conditions == {
            "AbleToScale": "ReadyForNewScale",
            "ScalingActive": "ValidMetricFound",
            "ScalingLimited": "DesiredWithinRange",
        }

    run_world(story)


def test_autoscaler_is_looked_at_every_fifteen_seconds_and_not_for_its_own_status() -> None:
    looked: list[float] = []

    class Looking(Api):
        def get_scale(self, kind: Any, namespace: str, name: str) -> Any:
            looked.append(round(self.clock.now() % 1000, 1))
            return super().get_scale(kind, namespace, name)

    async def story(world: World) -> None:
        await world.apply(PATTERN_1)
        await world.sleep(61)

    run_world(story, api_type=Looking)
    assert [b - a for a, b in pairwise(looked)] == [15.0] * 4


def test_changed_bounds_count_at_once() -> None:
    async def story(world: World) -> None:
        await world.apply(PATTERN_1)
        await world.until(lambda: world.deployment("ml-inference").status.available_replicas == 3)
        await world.api.change(HORIZONTAL_POD_AUTOSCALER, "default", "ml-inference-hpa", _at_least_five)
        await world.sleep(0.1)
        assert world.deployment("ml-inference").spec.replicas == 5
        why = "New size: 5; reason: Current number of replicas below Spec.MinReplicas"
        assert ("SuccessfulRescale", why) in reasons(world, "HorizontalPodAutoscaler")

    run_world(story)


def _at_least_five(obj: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(obj, spec=msgspec.structs.replace(obj.spec, min_replicas=5))
