"""Containers in a sandbox, on the real host: what runs, as whom, how it ends, and what they share."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pinnace.base.errors import HostError, UserError
from pinnace.container.cgroup import Limits
from pinnace.container.logs import LogOptions
from pinnace.container.plan import bind
from pinnace.sandbox.spec import ContainerSpec, HostEntry, SandboxSpec


async def run(world: Any, script: str, *, name: str = "c1", sandbox: str = "", **more: Any) -> Any:
    """Run a shell script to its end; return how it ended."""
    sandboxes = world.sandboxes
    sandbox = sandbox or (await sandboxes.create_sandbox(SandboxSpec(id="s1"))).id
    spec = ContainerSpec(id=name, image="busybox", args=("sh", "-c", script), **more)
    await sandboxes.create_container(sandbox, spec)
    await sandboxes.start(name)
    return await asyncio.wait_for(sandboxes.wait(name), 30)


async def read(world: Any, name: str = "c1", **options: Any) -> str:
    return "".join([chunk.data.decode() async for chunk in world.sandboxes.logs(name, LogOptions(**options))])


@pytest.mark.short
async def test_exit_code_is_the_commands_and_its_output_is_in_the_log(world: Any) -> None:
    fact = await run(world, "echo out; echo err >&2; exit 3")
    assert (fact.exit_code, fact.signal, fact.oom_killed, fact.known) == (3, 0, False, True)
    assert await read(world) == "out\nerr\n"
    assert await read(world, streams=frozenset({"stderr"})) == "err\n"


@pytest.mark.short
async def test_killed_container_tells_the_signal(world: Any) -> None:
    sandbox = await world.sandboxes.create_sandbox(SandboxSpec(id="s1"))
    await world.sandboxes.create_container(
        sandbox.id, ContainerSpec(id="c1", image="busybox", args=("sleep", "300"))
    )
    handle = await world.sandboxes.start("c1")
    assert handle.state == "running"
    assert world.sandboxes.kill("c1", signal.SIGKILL)
    fact = await asyncio.wait_for(world.sandboxes.wait("c1"), 10)
    assert (fact.exit_code, fact.signal, fact.oom_killed) == (137, 9, False)
    assert not world.sandboxes.kill("c1", signal.SIGKILL)


async def test_stop_sends_the_stop_signal_and_then_kills(world: Any) -> None:
    sandboxes = world.sandboxes
    sandbox = await sandboxes.create_sandbox(SandboxSpec(id="s1"))
    listens = ("sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    await sandboxes.create_container(sandbox.id, ContainerSpec(id="polite", image="busybox", args=listens))
    await sandboxes.create_container(
        sandbox.id, ContainerSpec(id="deaf", image="busybox", args=("sleep", "300"))
    )
    await asyncio.gather(sandboxes.start("polite"), sandboxes.start("deaf"))
    async for chunk in sandboxes.logs("polite", LogOptions(follow=True)):
        assert chunk.data == b"ready\n"
        break
    assert (await sandboxes.stop("polite", grace_s=10)).exit_code == 7
    assert (
        await sandboxes.stop("deaf", grace_s=0.2)
    ).exit_code == 137  # sleep as process 1 has no handler for SIGTERM


@pytest.mark.short
async def test_memory_overrun_is_seen_and_named(world: Any) -> None:
    limits = Limits(memory_bytes=16 << 20, oom_group=True)
    fact = await run(world, "head -c 200000000 /dev/zero | tail; exit 9", limits=limits)
    assert fact.oom_killed
    assert fact.exit_code in (9, 137)  # the shell survives its child only without oom_group
    assert not Path("oom").exists(), "the monitor left its note where the daemon works"


@pytest.mark.short
async def test_cpu_and_memory_limits_reach_the_kernel(world: Any) -> None:
    sandboxes, cgroups = world.sandboxes, world.runtime.cgroups
    limits = Limits(cpu_request_milli=500, cpu_limit_milli=250, memory_bytes=64 << 20, pids=100)
    pod = Limits(cpu_request_milli=700, cpu_limit_milli=900, memory_bytes=128 << 20)
    sandbox = await sandboxes.create_sandbox(SandboxSpec(id="s1", limits=pod))
    spec = ContainerSpec(id="c1", image="busybox", args=("sleep", "300"), limits=limits)
    handle = await sandboxes.create_container(sandbox.id, spec)
    await sandboxes.start("c1")

    def settings(folder: str) -> tuple[str, str, str]:
        if cgroups.host.version == 1:
            names = (("cpu", "cpu.shares"), ("cpu", "cpu.cfs_quota_us"), ("memory", "memory.limit_in_bytes"))
        else:
            names = (("cpu", "cpu.weight"), ("cpu", "cpu.max"), ("memory", "memory.max"))
        one, two, three = (cgroups.read_setting(controller, folder, file) for controller, file in names)
        return one, two.split()[0], three

    weights = ("512", "716") if cgroups.host.version == 1 else ("20", "28")
    assert settings(handle.folder) == (weights[0], "25000", str(64 << 20))
    assert settings(cgroups.folder("s1")) == (weights[1], "90000", str(128 << 20))
    usage = sandboxes.usage("c1")
    assert usage is not None
    assert usage.pids >= 1
    assert 0 < usage.memory_working_set_bytes <= usage.memory_bytes < 64 << 20
    await sandboxes.update_limits("c1", Limits(cpu_limit_milli=500))
    assert settings(handle.folder)[1] == "50000"


async def test_user_env_and_working_folder(world: Any) -> None:
    script = "id -u; id -g; id -G; pwd; echo $A $FROM_IMAGE $HOME $HOSTNAME; hostname; cat /proc/self/status | grep CapEff"
    await run(world, script, user="app", env=("A=1",), cwd="/new/folder")
    assert (await read(world)).splitlines() == [
        "1000",
        "1000",
        "1000 2000",
        "/new/folder",
        "1 yes /home/app s1",
        "s1",
        "CapEff:\t0000000000000000",
    ]


async def test_ids_may_be_numbers_that_the_image_does_not_know(world: Any) -> None:
    await run(world, "id -u; id -g; id -G", uid=4711, gid=12, groups=(3000, "extra"))
    assert (await read(world)).split() == ["4711", "12", "12", "2000", "3000"]


async def test_unknown_user_is_an_error_in_dockers_words_and_leaves_nothing(world: Any) -> None:
    with pytest.raises(
        UserError, match="unable to find user nobody-here: no matching entries in passwd file"
    ):
        await run(world, "true", user="nobody-here")
    assert world.sandboxes.list_containers() == ()
    assert not any((world.instance.home / "rootfs").iterdir())


async def test_missing_command_is_the_runtimes_own_message(world: Any) -> None:
    sandbox = await world.sandboxes.create_sandbox(SandboxSpec(id="s1"))
    spec = ContainerSpec(id="c1", image="busybox", command=("no-such-program",))
    with pytest.raises(HostError, match="no-such-program") as caught:
        await world.sandboxes.create_container(sandbox.id, spec)
        await world.sandboxes.start("c1")
    assert "not found" in caught.value.message
    assert caught.value.argv


async def test_containers_of_a_sandbox_share_localhost_ipc_and_hostname(world: Any) -> None:
    sandboxes = world.sandboxes
    sandbox = await sandboxes.create_sandbox(SandboxSpec(id="s1", hostname="boat"))
    serve = (
        "sh",
        "-c",
        "echo hello > f; httpd -p 127.0.0.1:8080 -h /tmp; echo seen > /dev/shm/flag; echo ready; sleep 300",
    )
    await sandboxes.create_container(sandbox.id, ContainerSpec(id="a", image="busybox", args=serve))
    await sandboxes.start("a")
    async for _ in sandboxes.logs("a", LogOptions(follow=True)):
        break
    script = "wget -qO- 127.0.0.1:8080/f; hostname; ls -l /proc/self/ns/ipc | sed 's/.*-> //'"
    await run(world, script, name="b", sandbox=sandbox.id)
    output = await sandboxes.run_exec(
        "a", ("sh", "-c", "ls -l /proc/self/ns/ipc | sed 's/.*-> //'"), timeout_s=10
    )
    lines = (await read(world, "b")).splitlines()
    assert lines == ["hello", "boat", output.stdout.decode().strip()]
    flag = await run(world, "cat /dev/shm/flag; ls /proc | grep -c '^[0-9]*$'", name="c", sandbox=sandbox.id)
    assert flag.exit_code == 0
    assert (await read(world, "c")).split()[0] == "seen"


@pytest.mark.short
async def test_shared_processes_have_a_pause_process_as_their_first(world: Any) -> None:
    sandboxes = world.sandboxes
    sandbox = await sandboxes.create_sandbox(SandboxSpec(id="s1", share_processes=True))
    await sandboxes.create_container(
        sandbox.id, ContainerSpec(id="a", image="busybox", args=("sleep", "311"))
    )
    await sandboxes.start("a")
    output = await sandboxes.run_exec("a", ("ps", "-o", "pid,args"), timeout_s=10)
    assert any(line.split() == ["1", "/pause"] for line in output.stdout.decode().splitlines())
    await run(world, "ps -o args", name="b", sandbox=sandbox.id)
    assert "sleep 311" in await read(world, "b")
    # The pause process reaps what its neighbours leave.
    script = "sh -c 'sleep 0.01 & exec true'; sleep 0.2; ps -o stat,args"
    await run(world, script, name="c", sandbox=sandbox.id)
    assert not [line for line in (await read(world, "c")).splitlines() if line.startswith("Z")]
    await asyncio.wait_for(sandboxes.stop("a", grace_s=0), 10)


async def test_etc_files_are_the_sandboxs(world: Any) -> None:
    spec = SandboxSpec(
        id="s1",
        hostname="web-0",
        domain="web.default.svc.cluster.local",
        resolv_conf="nameserver 10.96.0.10\n",
        hosts=(HostEntry("10.1.2.3", ("db", "db.example")),),
    )
    sandbox = await world.sandboxes.create_sandbox(spec)
    await run(world, "tail -n 2 /etc/hosts; cat /etc/resolv.conf /etc/hostname", sandbox=sandbox.id)
    assert (await read(world)).splitlines() == [
        "10.245.0.9\tweb-0.web.default.svc.cluster.local\tweb-0",
        "10.1.2.3\tdb\tdb.example",
        "nameserver 10.96.0.10",
        "web-0",
    ]


async def test_mounts_are_made_parents_first_and_read_only_where_told(world: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("content")
    (tmp_path / "inner").mkdir()
    mounts = (
        bind(str(tmp_path / "inner"), "/srv/data/inner"),
        bind(str(tmp_path / "data"), "/srv/data", read_only=True),
    )
    (tmp_path / "data/inner").mkdir()
    script = "cat /srv/data/file; touch /srv/data/x 2>/dev/null || echo refused; touch /srv/data/inner/y && echo made"
    await run(world, script, mounts=mounts)
    assert (await read(world)) == "contentrefused\nmade\n"
    assert (tmp_path / "inner/y").exists()


async def test_mount_source_that_is_missing_is_named(world: Any) -> None:
    with pytest.raises(UserError, match="/no/such/folder, to be mounted at /data, does not exist"):
        await run(world, "true", mounts=(bind("/no/such/folder", "/data"),))


async def test_read_only_root(world: Any) -> None:
    fact = await run(world, "touch /file", read_only_root=True)
    assert fact.exit_code == 1


async def test_default_filter_refuses_a_new_user_namespace_and_unconfined_allows_it(world: Any) -> None:
    assert (await run(world, "unshare -U true 2>/dev/null")).exit_code != 0
    assert (await run(world, "unshare -U true", name="c2", sandbox="s1", seccomp="unconfined")).exit_code == 0


async def test_privileged_sees_the_hosts_devices_and_may_mount(world: Any) -> None:
    fact = await run(world, "mount -t tmpfs none /var && test -e /dev/fuse -o -e /dev/kmsg", privileged=True)
    assert fact.exit_code == 0
    assert (await run(world, "mount -t tmpfs none /var", name="c2", sandbox="s1")).exit_code != 0


async def test_host_network_is_the_hosts(world: Any) -> None:
    sandbox = await world.sandboxes.create_sandbox(SandboxSpec(id="s1", network="host"))
    await run(world, "readlink /proc/self/ns/net; hostname", sandbox=sandbox.id)
    assert (await read(world)).splitlines() == [os.readlink("/proc/self/ns/net"), os.uname().nodename]


async def test_recreated_container_keeps_its_files_and_its_log(world: Any) -> None:
    await run(world, "echo first > /tmp/kept; echo one")
    await world.sandboxes.recreate_container("c1")
    handle = world.sandboxes.get_container("c1")
    assert handle.state == "created"
    await world.sandboxes.start("c1")
    await asyncio.wait_for(world.sandboxes.wait("c1"), 10)
    assert await read(world) == "one\none\n"
    assert (Path(handle.rootfs) / "tmp/kept").read_text() == "first\n"
    await world.sandboxes.stop_sandbox("s1")
    assert world.sandboxes.get_sandbox("s1").gone
    assert (await world.sandboxes.create_sandbox(SandboxSpec(id="s1"))).ready
    await world.sandboxes.recreate_container("c1")
    await world.sandboxes.start("c1")
    assert (await asyncio.wait_for(world.sandboxes.wait("c1"), 10)).exit_code == 0


async def test_exits_are_told_to_every_subscriber_once(world: Any) -> None:
    one, two = world.sandboxes.exits(), world.sandboxes.exits()
    await run(world, "exit 4")
    assert [(await anext(which)).exit_code for which in (one, two)] == [4, 4]
    one.close()
    two.close()
    assert [fact async for fact in one] == []
