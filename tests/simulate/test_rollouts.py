"""Rollouts in the small world, under seeds: what must hold at every moment, whatever the timing."""

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinnace.controllers.deployment import revisions
from pinnace.controllers.deployment.counts import resolve_bounds
from pinnace.controllers.pods import is_active, is_ready
from pinnace.kube.kinds import DEPLOYMENT, EVENT, POD, REPLICA_SET
from pinnace.kube.objects.apps_v1 import Deployment
from tests.simulate.world import Timing, World, run_world

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, annotations: {{kubernetes.io/change-cause: first}}}}
spec:
  replicas: {replicas}
  strategy: {strategy}
  progressDeadlineSeconds: 60
  revisionHistoryLimit: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers: [{{name: c, image: "web:v1"}}]
"""
ROLLING = "{{rollingUpdate: {{maxSurge: {surge}, maxUnavailable: {unavailable}}}}}"


def manifest(
    replicas: int = 3, surge: int | str = "25%", unavailable: int | str = "25%", strategy: str = ""
) -> str:
    rolling = ROLLING.format(surge=surge, unavailable=unavailable)
    return MANIFEST.format(replicas=replicas, strategy=strategy or rolling)


@dataclass(frozen=True)
class Turn:
    """A change of the deployment, as `kubectl set image`, `scale`, `rollout pause` make it."""

    image: str = ""
    replicas: int | None = None
    paused: bool | None = None

    def __call__(self, obj: Deployment) -> Deployment:
        spec = obj.spec
        if self.image:
            container = msgspec.structs.replace(spec.template.spec.containers[0], image=self.image)
            pod_spec = msgspec.structs.replace(spec.template.spec, containers=(container,))
            spec = msgspec.structs.replace(
                spec, template=msgspec.structs.replace(spec.template, spec=pod_spec)
            )
        if self.replicas is not None:
            spec = msgspec.structs.replace(spec, replicas=self.replicas)
        if self.paused is not None:
            spec = msgspec.structs.replace(spec, paused=self.paused or None)
        return msgspec.structs.replace(obj, spec=spec)


async def turn(world: World, **what: object) -> None:
    await world.api.change(DEPLOYMENT, "default", "web", Turn(**what))  # type: ignore[arg-type]


def is_rolled_out(world: World) -> bool:
    """What `kubectl rollout status` waits for."""
    obj = world.deployment("web")
    counts = (obj.status.updated_replicas or 0, obj.status.replicas or 0, obj.status.available_replicas or 0)
    observed = (obj.status.observed_generation or 0) >= obj.metadata.generation
    return observed and counts == (obj.spec.replicas,) * 3 and len(world.pods(app="web")) == obj.spec.replicas


def images(world: World) -> set[str]:
    return {pod.spec.containers[0].image for pod in world.pods(app="web") if is_active(pod)}


def available(world: World) -> int:
    return sum(is_ready(pod) and is_active(pod) for pod in world.pods(app="web"))


# ---------------------------------------------------------------------- properties


@dataclass
class Watcher:
    """Checks the promises of a rolling update after each change in the world, once the first rollout is done."""

    replicas: int
    surge: int
    unavailable: int
    armed: bool = False

    def __call__(self, world: World) -> None:
        if not self.armed:
            return
        assert available(world) >= self.replicas - self.unavailable, world.story()
        active = sum(is_active(pod) for pod in world.pods(app="web"))
        assert active <= self.replicas + self.surge, world.story()


@given(
    seed=st.integers(0, 10_000),
    replicas=st.integers(1, 12),
    surge=st.sampled_from([0, 1, 3, "25%", "100%"]),
    unavailable=st.sampled_from([0, 1, 3, "25%", "50%"]),
    ready_s=st.sampled_from([0.0, 0.4, 7.0]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_rolling_update_keeps_its_bounds(
    seed: int, replicas: int, surge: int | str, unavailable: int | str, ready_s: float
) -> None:
    if surge == 0 and unavailable == 0:
        unavailable = 1  # validation refuses both to be 0
    watcher = Watcher(replicas, *resolve_bounds(surge, unavailable, replicas))

    async def story(world: World) -> None:
        await world.apply(manifest(replicas, surge, unavailable))
        await world.until(lambda: is_rolled_out(world))
        watcher.armed = True
        await turn(world, image="web:v2")
        await world.sleep(world.api.chance.random() * 10)
        await turn(world, image="web:v3")  # rolls over a rollout that is under way
        await world.until(lambda: is_rolled_out(world) and images(world) == {"web:v3"})

    run_world(story, seed=seed, timing=Timing(start_s=ready_s, stop_s=3.0), check=watcher)


@given(seed=st.integers(0, 10_000), replicas=st.integers(0, 9), disturbances=st.integers(1, 6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_replica_set_comes_back_to_its_size_whatever_is_done_to_its_pods(
    seed: int, replicas: int, disturbances: int
) -> None:
    async def story(world: World) -> None:
        chance = world.api.chance
        await world.apply(manifest(replicas))
        for _ in range(disturbances):
            await world.sleep(chance.random() * 6)
            pods = [pod for pod in world.pods(app="web") if is_active(pod)]
            if pods and chance.random() < 0.5:
                victim = chance.choice(pods)
                await world.api.delete(POD, "default", victim.metadata.name)
            elif pods:
                await world.api.change(POD, "default", chance.choice(pods).metadata.name, _without_labels)
        await world.until(lambda: is_rolled_out(world))
        assert len(world.pods(app="web")) == replicas
        assert world.runner.failures == ()

    run_world(story, seed=seed)


def _without_labels(pod: object) -> object:
    meta = msgspec.structs.replace(pod.metadata, labels={"app": "debug"})  # type: ignore[attr-defined]
    return msgspec.structs.replace(pod, metadata=meta)  # type: ignore[type-var]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_same_seed_gives_the_same_trace(seed: int) -> None:
    async def story(world: World) -> list[str]:
        await world.apply(manifest(5))
        await world.until(lambda: is_rolled_out(world))
        await turn(world, image="web:v2")
        await world.until(lambda: is_rolled_out(world) and images(world) == {"web:v2"})
        return world.trace

    first, second = run_world(story, seed=seed), run_world(story, seed=seed)
    assert first == second
    assert run_world(story, seed=seed + 100) != first


# ---------------------------------------------------------------------- stories


def test_undo_brings_the_old_set_back_as_a_new_revision() -> None:
    async def story(world: World) -> dict[str, dict[str, str]]:
        await world.apply(manifest(3))
        await world.until(lambda: is_rolled_out(world))
        await turn(world, image="web:v2")
        await world.until(lambda: is_rolled_out(world) and images(world) == {"web:v2"})
        await turn(world, image="web:v1")  # `kubectl rollout undo` writes the old template back
        await world.until(lambda: is_rolled_out(world) and images(world) == {"web:v1"})
        assert len(world.api.list(REPLICA_SET, "default")) == 2
        sets = {
            one.spec.template.spec.containers[0].image: one.metadata.annotations
            for one in world.api.list(REPLICA_SET, "default")
        }
        return {**sets, "deployment": world.deployment("web").metadata.annotations}

    found = run_world(story)
    assert found["web:v1"][revisions.REVISION] == "3"
    assert found["web:v1"][revisions.REVISION_HISTORY] == "1"
    assert found["web:v1"]["kubernetes.io/change-cause"] == "first"
    assert found["web:v2"][revisions.REVISION] == "2"
    assert found["deployment"][revisions.REVISION] == "3"


def test_broken_image_stops_the_rollout_with_the_old_pods_serving() -> None:
    async def story(world: World) -> Deployment:
        await world.apply(manifest(4, surge=1, unavailable=1))
        await world.until(lambda: is_rolled_out(world))
        await turn(world, image="web:broken")
        await world.sleep(90)
        assert available(world) == 3
        return world.deployment("web")

    stuck = run_world(story, timing=Timing(breaks=frozenset({"web:broken"})))
    assert {c.type: (c.status, c.reason) for c in stuck.status.conditions} == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("False", "ProgressDeadlineExceeded"),
    }


def test_recreate_never_runs_two_versions_at_once() -> None:
    seen: list[set[str]] = []

    def check(world: World) -> None:
        seen.append({pod.spec.containers[0].image for pod in world.pods(app="web")})

    async def story(world: World) -> None:
        await world.apply(manifest(3, strategy="{type: Recreate}"))
        await world.until(lambda: is_rolled_out(world))
        await turn(world, image="web:v2")
        await world.until(lambda: is_rolled_out(world) and images(world) == {"web:v2"})

    run_world(story, check=check)
    assert all(len(one) <= 1 for one in seen)
    assert set() in seen


def test_paused_changes_are_rolled_out_together_on_resume() -> None:
    async def story(world: World) -> int:
        await world.apply(manifest(3))
        await world.until(lambda: is_rolled_out(world))
        await turn(world, paused=True, image="web:v2")
        await world.sleep(300)
        assert images(world) == {"web:v1"}
        await turn(world, image="web:v3", replicas=5)
        await world.sleep(30)
        assert len(world.pods(app="web")) == 5  # a paused deployment is still resized
        await turn(world, paused=False)
        await world.until(lambda: is_rolled_out(world) and images(world) == {"web:v3"})
        return len(world.api.list(REPLICA_SET, "default"))

    assert run_world(story) == 2


def test_history_is_kept_to_its_limit() -> None:
    async def story(world: World) -> list[str]:
        await world.apply(manifest(2))
        for number in range(2, 7):
            await world.until(lambda: is_rolled_out(world))
            await turn(world, image=f"web:v{number}")
        await world.until(lambda: is_rolled_out(world))
        await world.sleep(10)
        return sorted(
            one.metadata.annotations[revisions.REVISION] for one in world.api.list(REPLICA_SET, "default")
        )

    assert run_world(story) == ["4", "5", "6"]  # the current one and two old ones


def test_events_tell_the_story_in_kubernetes_words() -> None:
    async def story(world: World) -> list[tuple[str, str, str]]:
        await world.apply(manifest(1, surge=1, unavailable=0))
        await world.until(lambda: is_rolled_out(world))
        await turn(world, image="web:v2")
        await world.until(lambda: is_rolled_out(world) and images(world) == {"web:v2"})
        await world.sleep(5)
        names = {
            one.metadata.name: one.spec.template.spec.containers[0].image
            for one in world.api.list(REPLICA_SET, "default")
        }
        found = []
        for event in world.api.list(EVENT, "default"):
            message = event.message
            for name, image in names.items():
                message = message.replace(name, f"[{image}]")
            found.append(
                (
                    event.involved_object.kind,
                    event.reason,
                    message.split("]")[0] if "pod" in message else message,
                )
            )
        return sorted(found)

    found = run_world(story)
    assert ("Deployment", "ScalingReplicaSet", "Scaled up replica set [web:v1] from 0 to 1") in found
    assert ("Deployment", "ScalingReplicaSet", "Scaled up replica set [web:v2] from 0 to 1") in found
    assert ("Deployment", "ScalingReplicaSet", "Scaled down replica set [web:v1] from 1 to 0") in found
    assert ("ReplicaSet", "SuccessfulCreate", "Created pod: [web:v2") in found
    assert ("ReplicaSet", "SuccessfulDelete", "Deleted pod: [web:v1") in found
