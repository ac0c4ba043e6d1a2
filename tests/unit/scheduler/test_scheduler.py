"""The scheduler as it runs: on the real API over the memory store, on virtual time."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import LoopClock
from pinnace.base.errors import ApiError, HostError, Reason
from pinnace.base.virtual import run_virtual
from pinnace.kube.kinds import EVENT, NODE, POD
from pinnace.kube.objects.core_v1 import Namespace, Node, Pod, PodSchedulingGate, Taint
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.scheduler.scheduler import Scheduler
from pinnace.store.memory import MemoryStore
from tests.unit.scheduler.builders import node, pod

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class World:
    """An API, a scheduler, and words for what a test does to them."""

    def __init__(self) -> None:
        self.clock = LoopClock(START)
        self.failures: list[BaseException] = []
        self.api = Api(MemoryStore(), self.clock, Chance(1))
        self.scheduler = Scheduler(
            self.api, self.clock, Chance(2), on_failure=lambda _, error: self.failures.append(error)
        )

    async def settle(self, seconds: float = 0.1) -> None:
        await self.clock.sleep(seconds)
        assert self.scheduler.idle

    async def create(self, *objects: Any) -> None:
        for one in objects:
            if isinstance(one, Pod):
                one = replace(one, metadata=replace(one.metadata, uid=""))
            await self.api.create(one)
            if isinstance(one, Node):
                await self.api.change(
                    NODE,
                    "",
                    one.metadata.name,
                    lambda there, one=one: replace(there, status=one.status),
                    subresource="status",
                )

    async def change_node(self, name: str, fn: Callable[[Node], Node], subresource: str = "") -> None:
        await self.api.change(NODE, "", name, fn, subresource=subresource)

    def pod(self, name: str = "web") -> Pod:
        return self.api.get(POD, "default", name)

    def condition(self, name: str = "web") -> tuple[str, str, str]:
        found = next(c for c in self.pod(name).status.conditions if c.type == "PodScheduled")
        return found.status, found.reason, found.message

    def events(self, reason: str) -> list[str]:
        return [event.message for event in self.api.list(EVENT, "default") if event.reason == reason]


def in_world(test: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    async def play() -> None:
        world = World()
        await world.api.create(Namespace(metadata=ObjectMeta(name="default")))
        world.scheduler.start()
        try:
            await test(world)
        finally:
            await world.scheduler.close()
        assert world.failures == []

    def run() -> None:
        run_virtual(play())

    run.__name__ = test.__name__
    return run


FULL = (
    "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
    "1 No preemption victims found for incoming pod."
)


@in_world
async def test_a_pod_is_bound_and_the_event_says_where(world: World) -> None:
    await world.create(node("n1"), pod())
    await world.settle()
    assert world.pod().spec.node_name == "n1"
    assert world.condition()[0] == "True"
    assert world.events("Scheduled") == ["Successfully assigned default/web to n1"]
    event = world.api.list(EVENT, "default")[0]
    assert (event.type, event.reporting_component, event.action) == ("Normal", "default-scheduler", "Binding")


@in_world
async def test_what_was_there_before_the_scheduler_is_scheduled_and_counted(world: World) -> None:
    await world.scheduler.close()
    await world.create(node("n1", cpu="2"), pod("old", cpu="1500m", nodeName="n1"), pod("new", cpu="1"))
    world.scheduler = Scheduler(world.api, world.clock, Chance(2))
    world.scheduler.start()
    await world.settle()
    assert world.condition("new") == ("False", "Unschedulable", FULL)


@in_world
async def test_a_pod_that_fits_nowhere_is_told_why_and_bound_when_room_is_made(world: World) -> None:
    await world.create(node("n1", cpu="2"), pod("first", cpu="1500m"))
    await world.settle()
    await world.create(pod("second", cpu="1"))
    await world.settle()
    assert world.condition("second") == ("False", "Unschedulable", FULL)
    assert world.events("FailedScheduling") == [FULL]
    await world.settle(20)
    await world.api.delete(POD, "default", "first", grace_s=0)
    await world.settle()
    assert world.pod("second").spec.node_name == "n1"
    assert world.condition("second")[:2] == ("True", "")


@in_world
async def test_a_pod_that_has_ended_makes_room(world: World) -> None:
    await world.create(node("n1", cpu="2"), pod("job", cpu="2"))
    await world.settle()
    await world.create(pod("next", cpu="2"))
    await world.settle(20)
    ended = lambda one: replace(one, status=replace(one.status, phase="Succeeded"))  # noqa: E731
    await world.api.change(POD, "default", "job", ended, subresource="status")
    await world.settle()
    assert world.pod("next").spec.node_name == "n1"


@in_world
async def test_without_nodes_pods_wait_and_a_new_node_takes_them(world: World) -> None:
    await world.create(pod())
    await world.settle()
    assert world.condition()[2] == "no nodes available to schedule pods"
    await world.settle(5)
    await world.create(node("n1"))
    await world.settle()
    assert world.pod().spec.node_name == "n1"


@in_world
async def test_an_uncordoned_node_and_a_removed_taint_help(world: World) -> None:
    taint = Taint(key="k", effect="NoSchedule")
    await world.create(node("n1", unschedulable=True), node("n2", taints=(taint,)), pod("a"))
    await world.settle(5)
    assert world.condition("a")[2] == (
        "0/2 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. "
        "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    )
    await world.change_node("n2", lambda one: replace(one, spec=replace(one.spec, taints=())))
    await world.settle()
    assert world.pod("a").spec.node_name == "n2"
    await world.change_node("n1", lambda one: replace(one, spec=replace(one.spec, unschedulable=None)))
    await world.change_node("n2", lambda one: replace(one, spec=replace(one.spec, unschedulable=True)))
    await world.create(pod("b"))
    await world.settle()
    assert world.pod("b").spec.node_name == "n1"


@in_world
async def test_assumed_pods_count_at_once(world: World) -> None:
    await world.create(node("n1", cpu="4"), *(pod(f"p{i}", cpu="1") for i in range(6)))
    await world.settle()
    assert sum(one.spec.node_name == "n1" for one in world.api.list(POD)) == 4
    assert len(world.events("FailedScheduling")) == 2


@in_world
async def test_gated_pods_wait_until_the_gates_are_gone(world: World) -> None:
    gated = pod()
    gated = replace(
        gated, spec=replace(gated.spec, scheduling_gates=(PodSchedulingGate(name="example.com/wait"),))
    )
    await world.create(node("n1"), gated)
    await world.settle()
    assert world.condition() == (
        "False",
        "SchedulingGated",
        "Scheduling is blocked due to non-empty scheduling gates",
    )
    opened = lambda one: replace(one, spec=replace(one.spec, scheduling_gates=()))  # noqa: E731
    await world.api.change(POD, "default", "web", opened)
    await world.settle()
    assert world.pod().spec.node_name == "n1"


@in_world
async def test_pods_of_other_schedulers_are_left_alone(world: World) -> None:
    await world.create(node("n1"), pod(schedulerName="other"))
    await world.settle()
    assert world.pod().spec.node_name == ""
    assert world.pod().status.conditions == ()


@in_world
async def test_a_reason_that_stays_is_not_told_again_and_again(world: World) -> None:
    await world.create(node("n1", cpu="1"), pod("big", cpu="8"))
    await world.settle()
    revision = world.api.store.revision
    for number in range(5):
        await world.change_node(
            "n1",
            lambda one, number=number: replace(
                one, metadata=replace(one.metadata, labels={"n": str(number)})
            ),
        )
        await world.settle(1)
    assert world.api.store.revision == revision + 5


@in_world
async def test_a_binding_that_fails_frees_the_place_and_is_tried_again(world: World) -> None:
    bind, failures = (
        world.api.bind,
        [HostError("the disk is full"), ApiError(Reason.CONFLICT, "changed meanwhile")],
    )

    async def flaky(*args: Any, **more: Any) -> Pod:
        if failures:
            raise failures.pop()
        return await bind(*args, **more)

    world.api.bind = flaky  # type: ignore[method-assign]
    await world.create(node("n1", cpu="1"), pod("a", cpu="1"))
    await world.settle(10)
    assert world.pod("a").spec.node_name == "n1"


@in_world
async def test_a_pod_that_is_deleted_while_it_waits_is_forgotten(world: World) -> None:
    await world.create(pod("a"), pod("b"))
    await world.settle()
    await world.api.delete(POD, "default", "a", grace_s=0)
    await world.create(node("n1"))
    await world.settle(15)
    assert [one.spec.node_name for one in world.api.list(POD)] == ["n1"]


@in_world
async def test_a_watch_that_falls_behind_starts_the_scheduler_anew(world: World) -> None:
    watch, broken = world.api.watch, []

    def expiring(kind: Any, namespace: Any = None, **more: Any) -> Any:
        if not broken and kind is POD:
            broken.append(kind)
            raise ApiError(Reason.EXPIRED, "too old resource version")
        return watch(kind, namespace, **more)

    await world.scheduler.close()
    world.api.watch = expiring  # type: ignore[method-assign]
    world.scheduler = Scheduler(world.api, world.clock, Chance(2))
    world.scheduler.start()
    await world.create(node("n1"), pod())
    await world.settle(5)
    assert broken
    assert world.pod().spec.node_name == "n1"


def test_the_same_seed_gives_the_same_run() -> None:
    async def play() -> list[tuple[str, str]]:
        world = World()
        await world.api.create(Namespace(metadata=ObjectMeta(name="default")))
        world.scheduler.start()
        await world.create(*(node(f"n{i}") for i in range(10)))
        for number in range(60):
            await world.create(pod(f"p{number}", cpu=f"{100 + 100 * (number % 5)}m", memory="512Mi"))
            if number % 7 == 0:
                await world.clock.sleep(1)
        await world.settle(5)
        await world.scheduler.close()
        return [(one.metadata.name, one.spec.node_name) for one in world.api.list(POD)]

    first, second = run_virtual(play()), run_virtual(play())
    assert first == second
    assert all(node_name for _, node_name in first)
    assert len({node_name for _, node_name in first}) == 10
