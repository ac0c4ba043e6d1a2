"""The Node object and its heartbeat, on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import LoopClock
from pinnace.base.errors import HostError, UserError
from pinnace.base.virtual import run_virtual
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Namespace, Node, NodeCondition
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.node.registration import NodeDescription, NodeRegistration, parse_capacity
from pinnace.store.memory import MemoryStore

START = 1_700_000_000.0


class World:
    """A cluster of one node, `n1`, which poses as one of 16 CPUs."""

    def __init__(self) -> None:
        self.clock = LoopClock(START)
        self.api = Api(MemoryStore(), self.clock, Chance(1))
        description = NodeDescription("n1", "192.0.2.1", {"cpu": "16"}, {"tier": "gpu"}, "pinnace://1")
        self.registration = NodeRegistration(self.api, self.clock, description)

    @property
    def node(self) -> Node:
        return self.api.get(kinds.NODE, "", "n1")

    def condition(self, kind: str = "Ready") -> NodeCondition:
        return next(c for c in self.node.status.conditions if c.type == kind)

    async def take_for_dead(self) -> None:
        def unknown(node: Node) -> Node:
            conditions = tuple(replace(c, status="Unknown") for c in node.status.conditions)
            return replace(node, status=replace(node.status, conditions=conditions))

        await self.api.change(kinds.NODE, "", "n1", unknown, subresource="status")


def play(story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        for name in ("default", "kube-node-lease"):
            await world.api.create(Namespace(metadata=ObjectMeta(name=name)))
        await world.registration.start()
        await story(world)
        await world.registration.close()
        await world.api.store.close()

    run_virtual(main())


def test_a_node_is_what_the_machine_is_or_poses_as() -> None:
    async def story(world: World) -> None:
        assert world.node.status.capacity["cpu"] == "16"
        assert world.node.metadata.labels["tier"] == "gpu"
        assert world.condition().status == "True"

    play(story)


def test_a_node_tells_of_its_start_and_a_new_one_of_its_health() -> None:
    async def story(world: World) -> None:
        await world.clock.sleep(1)
        told = [event.reason for event in world.api.list(kinds.EVENT, "default")]
        assert told == [
            "Starting",
            "NodeHasSufficientMemory",
            "NodeHasNoDiskPressure",
            "NodeHasSufficientPID",
            "NodeReady",
        ]

    play(story)


def test_a_node_that_was_taken_for_dead_says_that_it_lives() -> None:
    async def story(world: World) -> None:
        await world.take_for_dead()
        await world.clock.sleep(11)
        assert world.condition().status == "True"

    play(story)


def test_a_node_that_was_deleted_registers_again() -> None:
    async def story(world: World) -> None:
        await world.api.delete(kinds.NODE, "", "n1")
        await world.clock.sleep(11)
        assert world.condition().status == "True"

    play(story)


def test_a_report_every_five_minutes_moves_the_heartbeat_and_no_transition() -> None:
    async def story(world: World) -> None:
        first = world.condition()
        await world.clock.sleep(290)
        assert world.condition() == first
        await world.clock.sleep(20)
        later = world.condition()
        assert later.last_heartbeat_time > first.last_heartbeat_time
        assert later.last_transition_time == first.last_transition_time

    play(story)


def test_a_heartbeat_that_fails_once_goes_on() -> None:
    async def story(world: World) -> None:
        change = world.api.change

        async def full(*words: object, **more: object) -> None:
            world.api.change = change  # type: ignore[method-assign]
            raise HostError("no space left on device")

        lease = world.api.get(kinds.LEASE, "kube-node-lease", "n1").spec.renew_time
        world.api.change = full  # type: ignore[method-assign,assignment]
        await world.clock.sleep(25)
        assert world.api.get(kinds.LEASE, "kube-node-lease", "n1").spec.renew_time > lease

    play(story)


@pytest.mark.parametrize("capacity", ["cpu=many", "cpu=-2", "cpu", "=2"])
def test_a_capacity_that_is_none_is_refused(capacity: str) -> None:
    with pytest.raises(UserError):
        parse_capacity((capacity,))
