"""Other resources for running containers: what is decided, what the status shows, and the agent's turns."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from pinnace.base.errors import UserError
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import (
    Container,
    ContainerResizePolicy,
    ContainerStatus,
    Node,
    NodeStatus,
    Pod,
    ResourceRequirements,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.node.adoption import read_resources
from pinnace.node.facts import Problem, Refusal
from pinnace.node.lifecycle import ResizeContainer, StopContainer, plan_pod
from pinnace.node.resizing import changed_resources, find_changes, judge, needs_restart
from pinnace.node.specs import compute_pod_limits, widest
from pinnace.node.status import compute_status
from pinnace.scheduler.requests import compute_requests, counted_spec
from tests.unit.node.builders import container, facts, pod, running
from tests.unit.node.test_agent import World, play

GIB = 1 << 30


def asks(cpu: str = "100m", memory: str = "64Mi", **limits: str) -> ResourceRequirements:
    return ResourceRequirements(requests={"cpu": cpu, "memory": memory}, limits=dict(limits))


def sized(cpu: str, memory: str = "64Mi", *, name: str = "app", **more: Any) -> Container:
    return container(name, resources=asks(cpu, memory), **more)


# --- decided -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "old", "changed"),
    [
        (asks("100m"), asks("0.1"), set()),
        (asks("200m"), asks("100m"), {"cpu"}),
        (asks(memory="1Gi"), asks(memory="1024Mi"), set()),
        (asks(memory="2Gi", cpu="1"), asks(), {"cpu", "memory"}),
        (asks(), ResourceRequirements(limits={"cpu": "2"}), {"cpu", "memory"}),
    ],
)
def test_amounts_are_compared_not_words(
    new: ResourceRequirements, old: ResourceRequirements, changed: set[str]
) -> None:
    assert changed_resources(new, old) == changed


def test_only_running_containers_want_to_be_resized() -> None:
    wanting = pod(sized("200m"))
    assert find_changes(wanting, facts(running(resources=asks("100m")))) == wanting.spec.containers
    assert find_changes(wanting, facts(running(resources=asks("200m")))) == ()
    assert find_changes(wanting, facts()) == ()


def test_a_policy_may_want_the_container_to_start_anew() -> None:
    policy = (ContainerResizePolicy(resource_name="memory", restart_policy="RestartContainer"),)
    known = running(resources=asks("100m"))
    assert not needs_restart(sized("200m", resize_policy=policy), known)
    assert needs_restart(sized("200m", "128Mi", resize_policy=policy), known)


@pytest.mark.parametrize(
    ("cpu", "memory", "refusal"),
    [
        ("1", "64Mi", None),
        ("4", "64Mi", None),  # exactly what is left: 5 - 1
        (
            "4500m",
            "64Mi",
            Refusal(
                "Deferred",
                "Node didn't have enough resource: cpu, requested: 4500, used: 1000, capacity: 5000",
            ),
        ),
        (
            "6",
            "64Mi",
            Refusal("Infeasible", "Node didn't have enough capacity: cpu, requested: 6000, capacity: 5000"),
        ),
        (
            "1",
            "8Gi",
            Refusal(
                "Infeasible",
                f"Node didn't have enough capacity: memory, requested: {8 * GIB}, capacity: {4 * GIB}",
            ),
        ),
    ],
)
def test_a_node_gives_what_it_has(cpu: str, memory: str, refusal: Refusal | None) -> None:
    other = pod(sized("1"))
    others = (structs.replace(other, metadata=structs.replace(other.metadata, uid="u-2")),)
    over = structs.replace(other, metadata=structs.replace(other.metadata, uid="u-3"))
    over = structs.replace(over, status=structs.replace(over.status, phase="Succeeded"))
    mine = pod(sized(cpu, memory))
    assert judge(mine, (*others, over, mine), {"cpu": "5", "memory": "4Gi"}) == refusal


def test_the_plan_resizes_or_stops_and_leaves_what_is_refused() -> None:
    policy = (ContainerResizePolicy(resource_name="cpu", restart_policy="RestartContainer"),)
    wanting = pod(sized("200m"), sized("200m", name="other", resize_policy=policy))
    known = (running(resources=asks("100m")), running("other", resources=asks("100m")))
    plan = plan_pod(wanting, facts(*known), now=0.0)
    assert plan.steps == (ResizeContainer("app"), StopContainer("other", "resize", 30.0))
    refused = facts(*known, resize_refused=Refusal("Deferred", "x"))
    assert plan_pod(wanting, refused, now=0.0).steps == ()
    failed = facts(*known, resize_problem=Problem("Error", "x", at=0.0))
    waiting = plan_pod(wanting, failed, now=1.0)
    assert (waiting.steps, waiting.requeue_after_s) == ((), 1.0)


def test_the_status_shows_what_a_container_has_and_what_is_in_the_way() -> None:
    wanting = pod(sized("200m"))
    wanting = structs.replace(wanting, metadata=structs.replace(wanting.metadata, generation=4))

    def show(**more: Any) -> tuple[Any, ...]:
        known = facts(running(resources=asks("100m")), **more)
        status = compute_status(wanting, known, host_ip="h", now=0.0)
        (one,) = status.container_statuses
        shown = [
            (c.type, c.reason, c.message, c.observed_generation)
            for c in status.conditions
            if c.type.startswith("PodResize")
        ]
        return one.resources, one.allocated_resources["cpu"], shown

    had = asks("100m")
    assert show() == (had, "200m", [("PodResizeInProgress", "", "", 4)])
    assert show(resize_refused=Refusal("Deferred", "full")) == (
        had,
        "100m",
        [("PodResizePending", "Deferred", "full", 4)],
    )
    failed = Problem("Error", "in use", at=0.0)
    assert show(resize_problem=failed) == (had, "200m", [("PodResizeInProgress", "Error", "in use", 4)])
    # Once it is done the condition goes.
    before = compute_status(wanting, facts(running(resources=had)), host_ip="h", now=0.0)
    after = compute_status(
        structs.replace(wanting, status=before), facts(running(resources=asks("200m"))), host_ip="h", now=1.0
    )
    assert [c.type for c in after.conditions if c.type.startswith("PodResize")] == []


def test_the_pods_own_limits_make_room_first() -> None:
    small = compute_pod_limits(pod(container(resources=asks(cpu="1", memory="1Gi"))))
    limited = compute_pod_limits(
        pod(container(resources=ResourceRequirements(limits={"cpu": "2", "memory": "1Gi"})))
    )
    assert widest(small, limited).memory_bytes is None  # no limit is wider than any
    assert widest(limited, limited) == limited


def test_the_scheduler_counts_the_larger_of_what_is_and_what_is_asked_for() -> None:
    def counted(reason: str, has: str, wants: str) -> int:
        known = facts(
            running(resources=asks(has)),
            resize_refused=Refusal(reason, "x") if reason else None,
        )
        wanting = pod(sized(wants))
        status = compute_status(wanting, known, host_ip="h", now=0.0)
        return compute_requests(counted_spec(structs.replace(wanting, status=status)))["cpu"]

    assert counted("Deferred", "100m", "200m") == 200
    assert counted("Deferred", "300m", "200m") == 300
    assert counted("Infeasible", "100m", "900") == 100


def test_after_a_restart_the_status_says_what_a_container_was_given() -> None:
    wanting = pod(sized("200m"))
    shown = ContainerStatus(name="app", resources=asks("100m"))
    assert read_resources(wanting, "app", shown) == asks("100m")  # so that the next turn gives it the rest
    assert read_resources(wanting, "app", None) == asks("200m")
    assert read_resources(None, "app", None) is None


# --- done --------------------------------------------------------------------------------------------------------------------


async def resize(world: World, cpu: str, name: str = "web") -> Pod:
    def resized(old: Pod) -> Pod:
        (app,) = old.spec.containers
        spec = structs.replace(old.spec, containers=(structs.replace(app, resources=asks(cpu)),))
        return structs.replace(old, spec=spec)

    await world.api.change(kinds.POD, "default", name, resized, subresource="resize")
    await world.clock.sleep(0.5)
    return world.pod(name)


async def with_node(world: World) -> None:
    node = Node(metadata=ObjectMeta(name="n1"), status=NodeStatus(allocatable={"cpu": "2", "memory": "4Gi"}))
    await world.api.update_status(node)


def pending(found: Pod) -> list[str]:
    return [c.reason for c in found.status.conditions if c.type == "PodResizePending"]


def has(found: Pod) -> Any:
    resources = found.status.container_statuses[0].resources
    return None if resources is None else resources.requests["cpu"]


def test_a_running_container_gets_what_it_asks_for() -> None:
    async def story(world: World) -> None:
        await with_node(world)
        assert has(await world.run(containers=(sized("100m"),))) == "100m"
        done = await resize(world, "200m")
        assert (has(done), done.status.observed_generation, pending(done)) == ("200m", 2, [])
        assert [e.reason for e in world.api.list(kinds.EVENT, "default") if "Resize" in e.reason] == [
            "ResizeCompleted"
        ]

    assert play(story).machine.log[-1] == "resize app 200m"


def test_what_the_node_cannot_give_is_told_and_given_when_another_pod_has_gone() -> None:
    async def story(world: World) -> None:
        await with_node(world)
        await world.run("other", containers=(sized("1500m"),))
        await world.run(containers=(sized("100m"),))
        assert pending(await resize(world, "3")) == ["Infeasible"]
        found = await resize(world, "1")
        assert (pending(found), has(found)) == (["Deferred"], "100m")
        await world.api.delete(kinds.POD, "default", "other", grace_s=0)
        await world.clock.sleep(5)
        assert (pending(world.pod()), has(world.pod())) == ([], "1")

    play(story)


def test_a_container_that_wants_it_so_starts_anew_without_a_back_off() -> None:
    policy = (ContainerResizePolicy(resource_name="cpu", restart_policy="RestartContainer"),)

    async def story(world: World) -> None:
        await with_node(world)
        await world.run(containers=(sized("100m", resize_policy=policy),), restart_policy="OnFailure")
        done = await resize(world, "200m")
        (status,) = done.status.container_statuses
        assert (has(done), status.restart_count, done.status.phase) == ("200m", 1, "Running")

    assert play(story).machine.log[-2:] == ["stop app", "start app 1"]


def test_a_resize_that_fails_is_told_and_tried_again() -> None:
    async def story(world: World) -> None:
        await with_node(world)
        await world.run(containers=(sized("100m"),))
        world.machine.resize_error = UserError("below current usage")
        found = await resize(world, "200m")
        (condition,) = [c for c in found.status.conditions if c.type == "PodResizeInProgress"]
        assert (condition.reason, condition.message) == ("Error", "below current usage")
        world.machine.resize_error = None
        await world.clock.sleep(5)
        assert has(world.pod()) == "200m"

    play(story)
