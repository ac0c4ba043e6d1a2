"""The agent's turns, with a pretended machine on virtual time: from a bound pod to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from msgspec import structs

from pinnace.api.facade import Api, ObjectChange, ObjectWatch
from pinnace.base.chance import Chance
from pinnace.base.clock import LoopClock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.virtual import run_virtual
from pinnace.image.api_names import ApiNames
from pinnace.image.names import NamedImage
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import (
    ConfigMap,
    ConfigMapVolumeSource,
    Container,
    EnvFromSource,
    Event,
    Lifecycle,
    LifecycleHandler,
    LocalObjectReference,
    Namespace,
    Node,
    Pod,
    PodOS,
    PodSpec,
    Secret,
    SecretEnvSource,
    ServiceAccount,
    SleepAction,
    Volume,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.node.agent import WORKERS, AgentSettings, NodeAgent
from pinnace.node.checks import CheckResult
from pinnace.node.facts import ContainerFacts, ContainerState, Ending, PodFacts, PodImage
from pinnace.node.specs import container_id
from pinnace.oci.digest import Digest
from pinnace.store.memory import MemoryStore
from tests.unit.node.fake_machine import FakeMachine

START = 1_700_000_000.0


SLEEP = LifecycleHandler(sleep=SleepAction(seconds=1))


class BreakableWatch:
    """A watch that can fail as one does that fell behind a compacted log."""

    def __init__(self, inner: ObjectWatch[Any]) -> None:
        self._inner = inner
        self._broken = asyncio.get_running_loop().create_future()

    def fail(self) -> None:
        if not self._broken.done():
            self._broken.set_exception(ApiError(Reason.EXPIRED, "too old resource version"))

    def __aiter__(self) -> BreakableWatch:
        return self

    async def __anext__(self) -> ObjectChange[Any]:
        change = asyncio.ensure_future(self._inner.__anext__())
        try:
            await asyncio.wait({change, self._broken}, return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                self._broken.result()
            return await change
        finally:
            change.cancel()

    def close(self) -> None:
        self._inner.close()
        self._broken.cancel()


class WatchedApi:
    """The API, with watches that can be broken."""

    def __init__(self, api: Api, watches: list[BreakableWatch]) -> None:
        self._api = api
        self._watches = watches

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def watch(self, kind: kinds.Kind[Any]) -> BreakableWatch:
        watch = BreakableWatch(self._api.watch(kind))
        self._watches.append(watch)
        return watch


def with_finalizers(*finalizers: str) -> Callable[[Pod], Pod]:
    return lambda pod: structs.replace(pod, metadata=structs.replace(pod.metadata, finalizers=finalizers))


def lost(containers: dict[str, ContainerFacts]) -> dict[str, ContainerFacts]:
    """What is known of containers that nobody can find after the machine was restarted."""
    return {
        name: replace(
            known,
            state=ContainerState.EXITED,
            ending=known.ending or Ending(known.container_id, 137, START, START + 1),
        )
        for name, known in containers.items()
    }


class World:
    """One node with an agent."""

    def __init__(self) -> None:
        self.clock = LoopClock(START)
        self.api = Api(MemoryStore(), self.clock, Chance(1))
        self.machine = FakeMachine(self.clock)
        self.watches: list[BreakableWatch] = []
        self.agent = self._make_agent()

    def _make_agent(self) -> NodeAgent:
        api = WatchedApi(self.api, self.watches)
        settings = AgentSettings("n1", "192.0.2.1")
        return NodeAgent(api, self.machine, self.machine, self.clock, Chance(2), settings)  # type: ignore[arg-type]

    async def restart(self, left: dict[str, PodFacts]) -> None:
        """End the agent and start another one, which finds `left` on the machine."""
        await self.agent.close()
        self.machine.left = left
        self.agent = self._make_agent()
        await self.agent.start()

    async def begin(self) -> None:
        await self.api.create(Namespace(metadata=ObjectMeta(name="default")))
        await self.api.create(Node(metadata=ObjectMeta(name="n1")))
        await self.agent.start()

    async def run(self, name: str = "web", **spec: object) -> Pod:
        spec.setdefault("containers", (Container(name="app", image="app:v1"),))
        body = PodSpec(**spec)  # type: ignore[arg-type]
        await self.api.create(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=body))
        await self.api.bind("default", name, "n1")
        await self.clock.sleep(0.5)
        return self.pod(name)

    def pod(self, name: str = "web") -> Pod:
        return self.api.get(kinds.POD, "default", name)

    def waiting(self) -> tuple[str, str]:
        """Why the pod's container waits."""
        state = self.pod().status.container_statuses[0].state
        assert state is not None and state.waiting is not None
        return state.waiting.reason, state.waiting.message

    def events(self) -> list[Event]:
        """The events that tell of the pod's containers, in no order."""
        return [e for e in self.api.list(kinds.EVENT, "default") if e.involved_object.field_path]

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


def test_a_pod_of_another_system_never_runs() -> None:
    async def story(world: World) -> None:
        pod = await world.run(os=PodOS(name="windows"))
        assert (pod.status.phase, pod.status.reason) == ("Failed", "PodOSNotSupported")
        assert (await world.run("here", os=PodOS(name="linux"))).status.phase == "Running"
        await world.api.delete(kinds.POD, "default", "web")
        await world.clock.sleep(60)
        assert world.api.find(kinds.POD, "default", "web") is None

    assert play(story).machine.log.count("start app 0") == 1


def test_volumes_are_prepared_again_when_a_token_in_them_is_due() -> None:
    async def story(world: World) -> None:
        world.machine.volumes_due_at = START + 100
        await world.run()
        world.machine.volumes_due_at = None
        await world.clock.sleep(99)
        assert world.machine.log.count("volumes") == 1
        await world.clock.sleep(2)
        assert world.machine.log == ["sandbox", "volumes", "start app 0", "volumes"]
        await world.clock.sleep(1000)
        assert world.machine.log.count("volumes") == 2

    play(story)


def test_a_token_that_cannot_be_renewed_is_told_and_tried_again_while_the_pod_goes_on() -> None:
    async def story(world: World) -> None:
        world.machine.volumes_due_at = START + 100
        pod = await world.run()
        world.machine.broken_volumes = "failed to fetch token"
        await world.clock.sleep(101)
        assert world.machine.log.count("volumes") >= 2
        assert any(e.reason == "FailedMount" for e in world.api.list(kinds.EVENT, "default"))
        world.machine.broken_volumes, world.machine.volumes_due_at = "", None
        await world.clock.sleep(300)
        tried = world.machine.log.count("volumes")
        await world.clock.sleep(1000)
        assert world.machine.log.count("volumes") == tried
        assert world.pod().status == pod.status

    play(story)


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
        await world.clock.sleep(1)
        assert world.waiting() == ("ErrImagePull", "no such image")
        await world.clock.sleep(4)
        back_off = 'Back-off pulling image "app:v1"'
        assert world.waiting() == ("ImagePullBackOff", f"{back_off}: ErrImagePull: no such image")
        await world.clock.sleep(90)
        pulls = [at for at, line in enumerate(world.machine.log) if line == "pull app:v1"]
        assert len(pulls) == 4  # at 0, 10, 30 and 70 s
        told = {(e.reason, e.message) for e in world.events()}
        assert told == {
            ("Pulling", 'Pulling image "app:v1"'),
            ("Failed", 'Failed to pull image "app:v1": no such image'),
            ("Failed", "Error: ErrImagePull"),
            ("BackOff", back_off),
            ("Failed", "Error: ImagePullBackOff"),
        }
        world.machine.missing_images.clear()
        await world.clock.sleep(80)
        assert world.pod().status.phase == "Running"

    play(story)


def test_a_pulled_image_is_told_once_and_shown_with_its_digest() -> None:
    async def story(world: World) -> None:
        world.machine.missing_images.add("app:v1")
        world.machine.pull_error, world.machine.pull_s = "", 5
        await world.run()
        await world.clock.sleep(1)
        assert world.waiting() == ("ContainerCreating", "")
        await world.clock.sleep(5)
        assert world.pod().status.container_statuses[0].image_id == "docker.io/library/app@sha256:3"
        assert sorted(e.reason for e in world.events()) == ["Created", "Pulled", "Pulling", "Started"]

    play(story)


def test_while_one_pod_pulls_others_go_on_and_it_can_be_deleted() -> None:
    async def story(world: World) -> None:
        world.machine.missing_images.add("app:v1")
        world.machine.pull_s = 1000
        for number in range(WORKERS + 1):
            await world.run(name=f"slow-{number}")
        other = Container(name="app", image="other:v1", image_pull_policy="IfNotPresent")
        await world.run(name="quick", containers=(other,))
        await world.clock.sleep(1)
        assert world.api.get(kinds.POD, "default", "quick").status.phase == "Running"
        await world.api.delete(kinds.POD, "default", "slow-0")
        await world.clock.sleep(0.5)
        assert world.api.find(kinds.POD, "default", "slow-0") is None
        assert world.machine.log.count("pull of app:v1 cancelled") == 1

    play(story)


def test_an_image_that_is_made_here_meanwhile_ends_the_wait_for_its_registry() -> None:
    async def story(world: World) -> None:
        world.machine.missing_images.add("app:v1")
        world.machine.pull_s = 1000
        await world.run()
        names = ApiNames(world.api)
        await names.set(NamedImage("docker.io/library/other:v1", Digest("sha256:" + "1" * 64)))
        await world.clock.sleep(1)
        assert "pull of app:v1 cancelled" not in world.machine.log
        world.machine.missing_images.clear()
        await names.set(NamedImage("docker.io/library/app:v1", Digest("sha256:" + "1" * 64)))
        await world.clock.sleep(0.1)
        assert "pull of app:v1 cancelled" in world.machine.log
        assert world.pod().status.phase == "Running"

    play(story)


def test_the_name_that_a_pull_gives_does_not_end_that_pull() -> None:
    async def story(world: World) -> None:
        world.machine.missing_images.add("app:v1")
        world.machine.pull_s, world.machine.pull_error = 2, ""
        await world.run()
        world.machine.missing_images.clear()
        digest = Digest("sha256:" + "1" * 64)
        await ApiNames(world.api).set(NamedImage("docker.io/library/app:v1", digest, digest, digest))
        await world.clock.sleep(2)
        assert world.machine.log.count("pull app:v1") == 1
        assert "pull of app:v1 cancelled" not in world.machine.log
        assert world.pod().status.phase == "Running"

    play(story)


def test_a_pull_that_breaks_in_an_unforeseen_way_is_told_and_tried_again() -> None:
    async def story(world: World) -> None:
        async def break_down(pod: Pod, container: Container, tell: object) -> PodImage:
            world.machine.log.append("pull")
            raise ZeroDivisionError("no")

        world.machine.missing_images.add("app:v1")
        world.machine.pull = break_down  # type: ignore[method-assign,assignment]
        await world.run()
        assert world.waiting() == ("ErrImagePull", "unexpected ZeroDivisionError: no")
        await world.clock.sleep(11)
        assert world.machine.log.count("pull") == 2

    play(story)


def test_an_image_that_must_not_be_pulled_is_not() -> None:
    async def story(world: World) -> None:
        world.machine.missing_images.add("app:v1")
        never = Container(name="app", image="app:v1", image_pull_policy="Never")
        await world.run(containers=(never,))
        await world.clock.sleep(1)
        assert world.waiting()[0] == "ErrImageNeverPull"
        assert "pull app:v1" not in world.machine.log
        told = {(e.reason, e.type) for e in world.events()}
        assert told == {("ErrImageNeverPull", "Warning"), ("Failed", "Warning")}

    play(story)


def test_a_pull_secret_that_comes_is_tried_at_once() -> None:
    async def story(world: World) -> None:
        world.machine.missing_images.add("app:v1")
        await world.run(image_pull_secrets=(LocalObjectReference(name="key"),))
        await world.clock.sleep(200)
        before = world.machine.log.count("pull app:v1")
        world.machine.pull_error = ""
        await world.api.create(Secret(metadata=ObjectMeta(name="key", namespace="default")))
        await world.clock.sleep(0.1)
        assert world.machine.log.count("pull app:v1") == before + 1
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


def test_a_missing_secret_is_not_waited_for_once_it_is_there() -> None:
    async def story(world: World) -> None:
        world.machine.missing_sources.add("app")
        reads = EnvFromSource(secret_ref=SecretEnvSource(name="key"))
        await world.run(containers=(Container(name="app", image="app:v1", env_from=(reads,)),))
        await world.clock.sleep(60)  # by now the next try is many seconds away
        state = world.pod().status.container_statuses[0].state
        assert state is not None and state.waiting is not None
        assert state.waiting.reason == "CreateContainerConfigError"
        world.machine.missing_sources.clear()
        await world.api.create(Secret(metadata=ObjectMeta(name="key", namespace="default")))
        await world.clock.sleep(0.1)
        assert world.pod().status.phase == "Running"

    play(story)


def test_an_image_that_comes_is_used_at_once() -> None:
    async def story(world: World) -> None:
        world.machine.missing_images.add("app:v1")
        await world.run()
        await world.clock.sleep(60)
        world.machine.missing_images.clear()
        await ApiNames(world.api).set(NamedImage("docker.io/library/app:v1", Digest("sha256:" + "1" * 64)))
        await world.clock.sleep(0.1)
        assert world.pod().status.phase == "Running"

    play(story)


def test_volumes_that_cannot_be_made_are_told_and_tried_again() -> None:
    async def story(world: World) -> None:
        world.machine.broken_volumes = 'volume "v" : secret "key" not found'
        await world.run()
        (event,) = (e for e in world.api.list(kinds.EVENT, "default") if e.reason == "FailedMount")
        assert event.message == 'MountVolume.SetUp failed for volume "v" : secret "key" not found'
        assert world.pod().status.phase == "Pending"
        world.machine.broken_volumes = ""
        await world.clock.sleep(3)
        assert world.pod().status.phase == "Running"

    play(story)


def test_a_volume_that_cannot_be_refreshed_changes_nothing_for_a_container_that_is_done() -> None:
    async def story(world: World) -> None:
        mounted = Volume(name="v", config_map=ConfigMapVolumeSource(name="conf"))
        await world.api.create(ConfigMap(metadata=ObjectMeta(name="conf", namespace="default")))
        both = (Container(name="app", image="app:v1"), Container(name="done", image="app:v1"))
        pod = await world.run(containers=both, volumes=(mounted,), restart_policy="OnFailure")
        world.machine.end(container_id(pod.metadata.uid, "done", 0), 0)
        world.machine.broken_volumes = 'volume "v" : configmap "conf" not found'
        await world.api.delete(kinds.CONFIG_MAP, "default", "conf")
        await world.clock.sleep(1)
        done = next(s for s in world.pod().status.container_statuses if s.name == "done").state
        assert done is not None and done.terminated is not None and done.terminated.reason == "Completed"
        assert world.app() in world.machine.running

    play(story)


def test_a_post_start_hook_holds_up_neither_other_pods_nor_the_deletion_of_its_own() -> None:
    async def story(world: World) -> None:
        world.machine.hook_s = 1000.0
        hooked = Container(name="app", image="app:v1", lifecycle=Lifecycle(post_start=SLEEP))
        for number in range(WORKERS + 1):
            await world.run(f"slow{number}", containers=(hooked,))
        assert world.pod("slow0").status.phase == "Pending"
        assert (await world.run("web")).status.phase == "Running"
        await world.api.delete(kinds.POD, "default", "slow0")
        await world.clock.sleep(3)
        assert world.api.find(kinds.POD, "default", "slow0") is None

    play(story)


def test_a_container_is_ready_only_after_its_post_start_hook_and_restarted_when_that_fails() -> None:
    async def story(world: World) -> None:
        world.machine.hook_s = 5.0
        hooked = Container(name="app", image="app:v1", lifecycle=Lifecycle(post_start=SLEEP))
        pod = await world.run(containers=(hooked,))
        assert not pod.status.container_statuses[0].ready
        await world.clock.sleep(5)
        assert world.pod().status.container_statuses[0].ready
        world.machine.hook = CheckResult(False, "no")
        world.machine.end(world.app(), 1)
        await world.clock.sleep(5.5)
        assert world.machine.log[-2:] == ["hook app", "stop app"]
        reasons = {event.reason for event in world.api.list(kinds.EVENT, "default")}
        assert "FailedPostStartHook" in reasons

    play(story)


def test_a_second_deletion_with_less_grace_shortens_the_drain() -> None:
    async def story(world: World) -> None:
        world.machine.drain_s = 1000.0
        await world.run()
        await world.api.delete(kinds.POD, "default", "web", grace_s=60)
        await world.clock.sleep(1)
        await world.api.delete(kinds.POD, "default", "web", grace_s=4)
        await world.clock.sleep(3)
        assert world.api.find(kinds.POD, "default", "web") is None

    assert play(story).machine.log[3:] == ["drain", "stop app", "remove"]


def test_a_pod_that_a_finalizer_holds_keeps_the_status_of_its_end() -> None:
    async def story(world: World) -> None:
        await world.run()
        await world.api.change(kinds.POD, "default", "web", with_finalizers("example.com/hold"))
        await world.api.delete(kinds.POD, "default", "web")
        await world.clock.sleep(5)
        held = world.pod()
        assert world.machine.log[-1] == "remove"
        assert (held.status.phase, len(held.status.container_statuses)) == ("Failed", 1)
        state = held.status.container_statuses[0].state
        assert state is not None and state.terminated is not None and state.terminated.exit_code == 143
        await world.api.change(kinds.POD, "default", "web", with_finalizers())
        await world.clock.sleep(1)
        assert world.api.find(kinds.POD, "default", "web") is None
        assert world.agent.book.facts == {}

    play(story)


def test_a_new_pod_of_the_same_name_knows_nothing_of_the_old_one() -> None:
    async def story(world: World) -> None:
        world.machine.stubborn.add("app")
        old = await world.run()
        await world.api.delete(kinds.POD, "default", "web", grace_s=0)
        world.machine.missing_images.add("app:v1")
        new = await world.run()
        await world.clock.sleep(5)
        assert new.metadata.uid != old.metadata.uid
        status = world.pod().status
        assert (status.phase, status.container_statuses[0].container_id) == ("Pending", "")

    play(story)


def test_a_watch_that_expires_begins_anew_and_finds_what_went_meanwhile() -> None:
    async def story(world: World) -> None:
        await world.run()
        for watch in world.watches:
            watch.fail()
        await world.api.delete(kinds.POD, "default", "web", grace_s=0)
        await world.clock.sleep(3)
        assert world.machine.running == {}
        assert (await world.run("next")).status.phase == "Running"

    play(story)


def test_after_its_sandbox_was_lost_a_pod_runs_its_init_containers_again() -> None:
    # Source: Kubernetes, "Init Containers", pod restart reasons: the infrastructure container is restarted.
    async def story(world: World) -> None:
        init = (Container(name="setup", image="app:v1"),)
        world.machine.ends_at_once.add("setup")
        pod = await world.run(init_containers=init)
        uid = pod.metadata.uid
        facts = world.agent.book.facts[uid]
        world.machine.log.clear()
        await world.restart({uid: replace(facts, sandbox_id="", containers=lost(facts.containers))})
        await world.clock.sleep(1)
        assert world.machine.log == ["sandbox", "volumes", "start setup 1", "start app 1"]
        status = world.pod().status
        assert status.phase == "Running"
        assert [s.restart_count for s in (*status.init_container_statuses, *status.container_statuses)] == [
            1,
            1,
        ]
        last = status.container_statuses[0].last_state
        assert last is not None and last.terminated is not None and last.terminated.exit_code == 137

    play(story)


def test_a_pod_that_has_ended_while_no_agent_ran_is_not_shown_as_ready_once_the_next_has_started() -> None:
    async def story(world: World) -> None:
        uid = (await world.run()).metadata.uid
        facts = world.agent.book.facts[uid]
        await world.restart({uid: replace(facts, sandbox_id="", containers=lost(facts.containers))})
        status = world.pod().status  # as it is at the very moment when `start` has returned
        assert {c.type: c.status for c in status.conditions}["Ready"] == "False"
        assert not status.container_statuses[0].ready

    play(story)


def test_events_of_a_pod_come_in_order_and_equal_ones_are_counted() -> None:
    async def story(world: World) -> None:
        await world.run()
        events = sorted(
            world.api.list(kinds.EVENT, "default"), key=lambda e: int(e.metadata.resource_version)
        )
        assert [e.reason for e in events] == ["Pulled", "Created", "Started"]
        for attempt in range(2):
            world.machine.end(world.app(attempt), 1)
            await world.clock.sleep(0.5)
        (told,) = (e for e in world.api.list(kinds.EVENT, "default") if e.reason == "BackOff")
        assert told.count == 2  # once for the end, once for the status that was written of it

    play(story)


def test_a_pod_whose_object_vanishes_is_ended() -> None:
    async def story(world: World) -> None:
        await world.run()
        await world.api.delete(kinds.POD, "default", "web", grace_s=0)
        await world.clock.sleep(1)
        assert world.machine.running == {}
        assert world.machine.log[-1] == "remove"

    play(story)


def test_an_account_that_comes_late_ends_the_wait_of_its_pods_volumes() -> None:
    async def story(world: World) -> None:
        world.machine.broken_volumes = 'failed to fetch token: serviceaccounts "default" not found'
        await world.run()
        await world.clock.sleep(120)
        assert "start app 0" not in world.machine.log
        world.machine.broken_volumes = ""
        await world.api.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        await world.clock.sleep(0.1)
        assert "start app 0" in world.machine.log

    play(story)
