"""The agent's turns, with a pretended machine on virtual time: from a bound pod to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import LoopClock
from pinnace.base.virtual import run_virtual
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Container, Namespace, Node, Pod, PodSpec
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.node.agent import AgentSettings, NodeAgent
from pinnace.node.specs import container_id
from pinnace.store.memory import MemoryStore
from tests.unit.node.fake_machine import FakeMachine

START = 1_700_000_000.0


class World:
    """One node with an agent."""

    def __init__(self) -> None:
        self.clock = LoopClock(START)
        self.api = Api(MemoryStore(), self.clock, Chance(1))
        self.machine = FakeMachine(self.clock)
        self.agent = NodeAgent(
            self.api, self.machine, self.clock, Chance(2), AgentSettings("n1", "192.0.2.1")
        )

    async def begin(self) -> None:
        await self.api.create(Namespace(metadata=ObjectMeta(name="default")))
        await self.api.create(Node(metadata=ObjectMeta(name="n1")))
        await self.agent.start()

    async def run(self, name: str = "web", **spec: object) -> Pod:
        containers = (Container(name="app", image="app:v1"),)
        body = PodSpec(containers=containers, **spec)  # type: ignore[arg-type]
        await self.api.create(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=body))
        await self.api.bind("default", name, "n1")
        await self.clock.sleep(0.5)
        return self.pod(name)

    def pod(self, name: str = "web") -> Pod:
        return self.api.get(kinds.POD, "default", name)

    def app(self, attempt: int = 0) -> str:
        return container_id(self.pod().metadata.uid, "app", attempt)


def play(story: Callable[[World], Awaitable[None]]) -> World:
    async def main() -> World:
        world = World()
        await world.begin()
        await story(world)
        await world.agent.close()
        await world.api.store.close()
        return world

    return run_virtual(main())


def test_a_bound_pod_becomes_running_and_ready() -> None:
    async def story(world: World) -> None:
        pod = await world.run()
        assert (pod.status.phase, pod.status.pod_ip) == ("Running", "10.0.0.2")
        assert {c.type: c.status for c in pod.status.conditions}["Ready"] == "True"

    assert play(story).machine.log == ["sandbox", "volumes", "start app 0"]


def test_an_end_that_is_told_before_the_start_has_returned_is_not_lost() -> None:
    async def story(world: World) -> None:
        world.machine.ends_at_once.add("app")
        pod = await world.run(restart_policy="Never")
        assert pod.status.phase == "Succeeded"

    play(story)


def test_a_crashing_container_restarts_at_once_then_after_its_back_off() -> None:
    async def story(world: World) -> None:
        await world.run()
        world.machine.end(world.app(), 1)
        await world.clock.sleep(0.5)
        assert "start app 1" in world.machine.log
        world.machine.end(world.app(1), 1)
        await world.clock.sleep(5)
        status = world.pod().status.container_statuses[0]
        assert status.restart_count == 1
        assert status.state is not None and status.state.waiting is not None
        assert status.state.waiting.reason == "CrashLoopBackOff"
        assert "start app 2" not in world.machine.log
        await world.clock.sleep(6)  # the 10 s of the first back-off are over
        assert "start app 2" in world.machine.log
        assert world.pod().status.container_statuses[0].restart_count == 2

    play(story)


def test_a_missing_image_is_told_and_looked_for_again() -> None:
    async def story(world: World) -> None:
        world.machine.missing_images.add("app:v1")
        await world.run()
        await world.clock.sleep(10)
        state = world.pod().status.container_statuses[0].state
        assert state is not None and state.waiting is not None
        assert (state.waiting.reason, state.waiting.message) == ("ImagePullBackOff", "no such image")
        world.machine.missing_images.clear()
        await world.clock.sleep(20)
        assert world.pod().status.phase == "Running"

    play(story)


def test_a_deleted_pod_is_drained_stopped_removed_and_gone() -> None:
    async def story(world: World) -> None:
        await world.run()
        await world.api.delete(kinds.POD, "default", "web")
        await world.clock.sleep(3)
        assert world.api.find(kinds.POD, "default", "web") is None

    assert play(story).machine.log[3:] == ["drain", "stop app", "remove"]


def test_a_container_that_ignores_its_stop_signal_is_killed_when_the_grace_is_over() -> None:
    async def story(world: World) -> None:
        world.machine.stubborn.add("app")
        await world.run(termination_grace_period_seconds=4)
        await world.api.delete(kinds.POD, "default", "web")
        await world.clock.sleep(3)
        assert "kill" not in world.machine.log
        await world.clock.sleep(3)
        assert world.machine.log[-2:] == ["kill", "remove"]
        assert world.api.find(kinds.POD, "default", "web") is None

    play(story)


def test_a_finished_pod_gives_its_network_back_and_keeps_its_status() -> None:
    async def story(world: World) -> None:
        await world.run(restart_policy="Never")
        world.machine.end(world.app(), 3)
        await world.clock.sleep(0.5)
        pod = world.pod()
        state = pod.status.container_statuses[0].state
        assert pod.status.phase == "Failed"
        assert state is not None and state.terminated is not None and state.terminated.exit_code == 3
        assert world.machine.log[-1] == "release"

    play(story)


def test_an_out_of_memory_kill_reaches_the_last_state_and_an_event() -> None:
    async def story(world: World) -> None:
        await world.run()
        world.machine.end(world.app(), 137, oom=True)
        await world.clock.sleep(0.5)
        last = world.pod().status.container_statuses[0].last_state
        assert last is not None and last.terminated is not None
        assert (last.terminated.reason, last.terminated.exit_code) == ("OOMKilled", 137)
        reasons = {event.reason for event in world.api.list(kinds.EVENT, "default")}
        assert {"Pulled", "Created", "Started", "OOMKilled"} <= reasons

    play(story)


def test_a_pod_whose_object_vanishes_is_ended() -> None:
    async def story(world: World) -> None:
        await world.run()
        await world.api.delete(kinds.POD, "default", "web", grace_s=0)
        await world.clock.sleep(1)
        assert world.machine.running == {}
        assert world.machine.log[-1] == "remove"

    play(story)
