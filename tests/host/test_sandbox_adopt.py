"""What the next daemon finds: after `kill -9`, after a restart of the machine, after half-made things."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pinnace.container import system
from pinnace.container.logs import LogOptions
from pinnace.sandbox.spec import ContainerSpec, SandboxSpec
from tests.host.conftest import World

# A daemon: makes containers in the instance that the environment names, says so, and waits to be killed.
DAEMON = """
import asyncio, sys
from pathlib import Path
from tests.host.conftest import Instance, World
from pinnace.sandbox.spec import ContainerSpec, SandboxSpec

async def main(name, root, busybox):
    world = World(Instance(name, Path(root), "", ""), Path(busybox))
    sandboxes = world.sandboxes
    await sandboxes.create_sandbox(SandboxSpec(id="s1", share_processes=True))
    for identity, script in (("runs", "echo up; exec sleep 300"), ("ends", "read line; exit 4"), ("fails", "while [ ! -e /dev/shm/go ]; do sleep 0.02; done; exit 9")):
        await sandboxes.create_container("s1", ContainerSpec(id=identity, image="busybox", args=("sh", "-c", script), stdin=True))
        await sandboxes.start(identity)
    await sandboxes.create_container("s1", ContainerSpec(id="waits", image="busybox", args=("true",)))
    print("ready", flush=True)
    await asyncio.sleep(300)

asyncio.run(main(*sys.argv[1:]))
"""


async def start_daemon(world: World) -> asyncio.subprocess.Process:
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-c",
            DAEMON,
            world.instance.name,
            str(world.instance.root),
            str(world.images._root),
        ),
        stdout=asyncio.subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), f"{root}/src", *sys.path])},
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
    return process


@pytest.mark.short
async def test_next_daemon_watches_what_a_killed_one_left_and_hears_what_it_missed(world: World) -> None:
    daemon = await start_daemon(world)
    daemon.send_signal(signal.SIGKILL)
    await daemon.wait()
    (world.instance.run / "pods/s1/shm/go").touch()  # "fails" ends while there is no daemon
    exit_file = world.runtime.paths.exit_file("fails")
    async with asyncio.timeout(30):
        while not exit_file.exists():  # noqa: ASYNC110 - nothing of ours watches it, that is the point
            await asyncio.sleep(0.02)
    sandboxes = world.again()
    world.sandboxes = sandboxes
    exits = sandboxes.exits()
    (sandbox,) = await sandboxes.adopt()
    assert sandbox.ready
    assert not sandbox.gone
    missed = await asyncio.wait_for(anext(exits), 10)
    assert (missed.container_id, missed.exit_code, missed.known) == ("fails", 9, True)
    states = {one.id: one.state for one in sandboxes.list_containers()}
    assert states == {"runs": "running", "ends": "running", "fails": "exited", "waits": "created"}
    # It can do everything with them that their maker could.
    output = await sandboxes.run_exec("runs", ("echo", "inside"), timeout_s=20)
    assert output.stdout == b"inside\n"
    attached = sandboxes.attach("ends")
    await attached.write(b"go\n")
    fact = await asyncio.wait_for(anext(exits), 10)
    assert (fact.container_id, fact.exit_code) == ("ends", 4)
    await attached.close()
    await sandboxes.start("waits")
    assert (await asyncio.wait_for(anext(exits), 10)).container_id == "waits"
    assert [chunk.data async for chunk in sandboxes.logs("runs", LogOptions())] == [b"up\n"]
    again = await sandboxes.create_container("s1", ContainerSpec(id="new", image="busybox", args=("true",)))
    assert again.state == "created"
    exits.close()


@pytest.mark.short
async def test_remove_all_needs_only_the_folders(world: World) -> None:
    daemon = await start_daemon(world)
    daemon.send_signal(signal.SIGKILL)
    await daemon.wait()
    world.sandboxes = world.again()
    await world.sandboxes.remove_all()
    assert world.instance.find_leftovers() == []
    assert list((world.instance.home / "pods").iterdir()) == []


async def test_remove_all_also_finds_what_has_no_record(world: World) -> None:
    daemon = await start_daemon(world)
    daemon.send_signal(signal.SIGKILL)
    await daemon.wait()
    shutil.rmtree(world.instance.home / "pods")
    world.sandboxes = world.again()
    await world.sandboxes.remove_all()
    for name in ("runs", "ends", "fails", "waits"):
        await world.images.release(name)  # the image store finds its own mounts
    assert world.instance.find_leftovers() == []


async def test_after_a_restart_of_the_machine_containers_are_told_as_ended_unseen(world: World) -> None:
    await world.sandboxes.create_sandbox(SandboxSpec(id="s1"))
    await world.sandboxes.create_container(
        "s1", ContainerSpec(id="c1", image="busybox", args=("sleep", "300"))
    )
    await world.sandboxes.start("c1")
    kept = world.instance.root / "kept"
    shutil.copytree(world.instance.home / "pods", kept)
    await world.sandboxes.remove_all()
    await world.sandboxes.close()
    shutil.rmtree(world.instance.run)
    world.instance.run.mkdir()
    shutil.copytree(kept, world.instance.home / "pods", dirs_exist_ok=True)

    sandboxes = world.sandboxes = world.again()
    exits = sandboxes.exits()
    (sandbox,) = await sandboxes.adopt()
    assert sandbox.gone
    fact = await asyncio.wait_for(anext(exits), 5)
    assert (fact.container_id, fact.exit_code, fact.known) == ("c1", 137, False)
    exits.close()
    # The sandbox can be made anew under its id, and the container started again.
    assert (await sandboxes.create_sandbox(SandboxSpec(id="s1"))).ready
    await sandboxes.recreate_container("c1")
    assert (await sandboxes.start("c1")).state == "running"


async def test_half_made_things_are_removed_by_the_next_daemon(world: World) -> None:
    await world.sandboxes.create_sandbox(SandboxSpec(id="s1"))
    handle = await world.sandboxes.create_container(
        "s1", ContainerSpec(id="c1", image="busybox", args=("true",))
    )
    record = world.instance.home / "pods/s1/containers/c1/container.json"
    record.write_bytes(msgspec.json.encode(msgspec.structs.replace(handle, state="creating", pid=0)))
    half = world.instance.home / "pods/s2"
    half.mkdir()
    (half / "sandbox.json").write_text("{ not json")
    await world.sandboxes.close()
    sandboxes = world.sandboxes = world.again()
    assert [one.id for one in await sandboxes.adopt()] == ["s1"]
    assert sandboxes.list_containers() == ()
    assert not half.exists()


async def test_monitor_that_was_killed_leaves_an_unknown_exit(world: World) -> None:
    await world.sandboxes.create_sandbox(SandboxSpec(id="s1"))
    await world.sandboxes.create_container(
        "s1", ContainerSpec(id="c1", image="busybox", args=("sleep", "300"))
    )
    await world.sandboxes.start("c1")
    os.kill(int(world.runtime.paths.monitor_pid_file("c1").read_text()), signal.SIGKILL)
    world.sandboxes.kill("c1", signal.SIGKILL)
    fact = await asyncio.wait_for(world.sandboxes.wait("c1"), 10)
    assert (fact.exit_code, fact.known) == (137, False)


STEPS = ("attach", "mount", "create", "monitor", "start-pause", "shm")


@pytest.mark.parametrize("step", STEPS)
async def test_failed_step_leaves_nothing(world: World, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise OSError(5, f"injected at {step}")

    if step == "attach":
        world.network.fail_attach = True
    elif step == "mount":
        world.images.fail_mount = True
    elif step == "create":
        monkeypatch.setattr(world.runtime, "_start_monitor", fail)
    elif step == "monitor":
        monkeypatch.setattr(world.runtime.cgroups, "adopt_monitor", fail)
    elif step == "start-pause":
        monkeypatch.setattr(world.runtime, "start", fail)
    elif step == "shm":
        original = system.mount

        def refuse(source: str, *rest: Any) -> None:
            if source == "shm":
                raise OSError(12, "injected at shm")
            original(source, *rest)

        monkeypatch.setattr(system, "mount", refuse)
    with pytest.raises(Exception, match=r"injected|no such disk|no address left"):
        await world.sandboxes.create_sandbox(SandboxSpec(id="s1", share_processes=True))
        await world.sandboxes.create_container("s1", ContainerSpec(id="c1", image="busybox", args=("true",)))
    monkeypatch.undo()
    if step in ("mount", "create"):
        await world.sandboxes.remove_sandbox("s1")
    assert [one for one in world.instance.find_leftovers() if not one.startswith("cgroup")] == []
    assert not world.runtime.cgroups.exists(world.runtime.cgroups.folder("s1"))
    assert list((world.instance.home / "pods").iterdir()) == []
    assert world.network.attached == set()


async def test_cancelled_create_leaves_nothing(world: World) -> None:
    for wait_s in (0.0, 0.001, 0.003, 0.01, 0.02, 0.03):
        task = asyncio.ensure_future(world.sandboxes.create_sandbox(SandboxSpec(id="s1")))
        await asyncio.sleep(wait_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await world.sandboxes.create_sandbox(SandboxSpec(id="s1"))
        making = asyncio.ensure_future(
            world.sandboxes.create_container("s1", ContainerSpec(id="c1", image="busybox", args=("true",)))
        )
        await asyncio.sleep(wait_s)
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        await world.sandboxes.remove_sandbox("s1")
    left = [one for one in world.instance.find_leftovers() if one.startswith(("process", "mount"))]
    assert left == []
