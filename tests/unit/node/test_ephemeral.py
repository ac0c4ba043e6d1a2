"""Ephemeral containers on the node: started once beside everything else, never waited for, never started again."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import ContainerStatus, EphemeralContainer, Pod
from pinnace.node.facts import ContainerState
from pinnace.node.lifecycle import PodState, StartContainer, plan_pod, read_state
from pinnace.node.status import compute_phase, compute_status
from tests.unit.node.builders import absent, container, ended, facts, pod, running
from tests.unit.node.test_agent import World, play


def debugged(base: Pod, **more: Any) -> Pod:
    added = (EphemeralContainer(name="debugger", image="tools:v1", **more),)
    return structs.replace(base, spec=structs.replace(base.spec, ephemeral_containers=added))


def test_it_starts_beside_what_runs() -> None:
    plan = plan_pod(debugged(pod()), facts(running()), now=0.0)
    assert plan.steps == (StartContainer("debugger", 0),)


def test_it_starts_while_init_containers_still_run() -> None:
    base = debugged(pod(init=(container("first"),)))
    plan = plan_pod(base, facts(running("first")), now=0.0)
    assert (plan.state, plan.steps) == (PodState.INITIALIZING, (StartContainer("debugger", 0),))


def test_it_is_never_started_again() -> None:
    plan = plan_pod(debugged(pod()), facts(running(), ended("debugger", 1)), now=100.0)
    assert (plan.steps, plan.requeue_after_s) == ((), None)


def test_nobody_waits_for_it() -> None:
    base = debugged(pod(restart_policy="Never"))
    done = facts(ended(), running("debugger"))
    assert (read_state(base, done), compute_phase(base, done)) == (PodState.FINISHED, "Succeeded")
    failed = facts(running(), ended("debugger", 1))
    assert compute_phase(base, failed) == "Running"


def test_its_status_stands_apart_and_is_never_ready() -> None:
    base = debugged(pod())

    def show(*known: Any) -> ContainerStatus:
        status = compute_status(base, facts(running(), *known), host_ip="h", now=0.0)
        assert [one.name for one in status.container_statuses] == ["app"]
        assert {c.type: c.status for c in status.conditions}["Ready"] == "True"
        (one,) = status.ephemeral_container_statuses
        return one

    waiting = show(absent("debugger")).state.waiting
    assert waiting is not None and waiting.reason == "ContainerCreating"
    up = show(running("debugger", at=5.0))
    assert (up.ready, up.started, up.state.running is not None) == (False, None, True)
    over = show(ended("debugger", 4)).state.terminated
    assert over is not None and (over.exit_code, over.reason) == (4, "Error")


async def debug(world: World) -> None:
    def added(old: Pod) -> Pod:
        return debugged(old, target_container_name="app", image_pull_policy="IfNotPresent")

    await world.api.change(kinds.POD, "default", "web", added, subresource="ephemeralcontainers")
    await world.clock.sleep(0.5)


def test_the_agent_starts_it_tells_its_end_and_stops_it_with_the_pod() -> None:
    async def story(world: World) -> None:
        await world.run()
        await debug(world)
        (status,) = world.pod().status.ephemeral_container_statuses
        assert status.state.running is not None
        world.machine.end(status.container_id.removeprefix("pinnace://"), 3)
        await world.clock.sleep(20)
        (status,) = world.pod().status.ephemeral_container_statuses
        assert status.state.terminated is not None and status.state.terminated.exit_code == 3
        assert status.restart_count == 0
        assert {e.involved_object.field_path for e in world.events()} >= {
            "spec.ephemeralContainers{debugger}"
        }

    assert [line for line in play(story).machine.log if "debugger" in line] == ["start debugger 0"]


def test_an_agent_that_starts_anew_finds_it_running() -> None:
    async def story(world: World) -> None:
        await world.run()
        await debug(world)
        uid = world.pod().metadata.uid
        await world.restart({uid: world.agent.book.facts[uid]})
        await world.clock.sleep(1)
        assert world.agent.book.facts[uid].container("debugger").state is ContainerState.RUNNING

    assert [line for line in play(story).machine.log if "debugger" in line] == ["start debugger 0"]
