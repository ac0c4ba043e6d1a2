"""Exec, attach and logs of running containers, on the real host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinnace.base.errors import HostError
from pinnace.container.logs import LogOptions
from pinnace.sandbox.spec import ContainerSpec, SandboxSpec


async def make(world: Any, *argv: str, name: str = "c1", start: bool = True, **more: Any) -> Any:
    sandbox = await world.sandboxes.create_sandbox(SandboxSpec(id="s1"))
    handle = await world.sandboxes.create_container(
        sandbox.id, ContainerSpec(id=name, image="busybox", args=argv, **more)
    )
    return await world.sandboxes.start(name) if start else handle


async def read_until(streams: Any, wanted: Callable[[bytes], bool]) -> bytes:
    """Read until the output so far is `wanted`."""
    output = b""
    async with asyncio.timeout(20):
        while not wanted(output):
            chunk = await streams.read()
            assert chunk is not None, f"the stream ended after {output!r}"
            output += chunk.data
    return output


async def read_all(streams: Any) -> list[tuple[str, bytes]]:
    collected: list[tuple[str, bytes]] = []
    async with asyncio.timeout(20):
        while chunk := await streams.read():
            collected.append((chunk.stream, chunk.data))
    return collected


@pytest.mark.short
async def test_exec_gives_exit_code_and_streams_apart(world: Any) -> None:
    await make(world, "sleep", "300", env=("A=1",), user="app")
    output = await world.sandboxes.run_exec(
        "c1", ("sh", "-c", "echo $A $(id -u); echo oh >&2; exit 5"), timeout_s=20
    )
    assert (output.exit_code, output.stdout, output.stderr, output.failure) == (5, b"1 1000\n", b"oh\n", "")


async def test_exec_of_a_missing_program_is_127_with_the_runtimes_words(world: Any) -> None:
    await make(world, "sleep", "300")
    output = await world.sandboxes.run_exec("c1", ("no-such-program",), timeout_s=20)
    assert output.exit_code == 127
    assert "no-such-program" in output.failure


async def test_exec_gets_stdin_to_its_end(world: Any) -> None:
    await make(world, "sleep", "300")
    session = await world.sandboxes.exec("c1", ("wc", "-c"), stdin=True)
    await session.write(b"x" * 300_000)
    await session.close_stdin()
    assert b"".join(data for _, data in await read_all(session)) == b"300000\n"
    assert await session.wait() == 0
    await session.close()


@pytest.mark.short
async def test_exec_with_a_terminal_echoes_and_has_the_clients_size(world: Any) -> None:
    await make(world, "sleep", "300")
    session = await world.sandboxes.exec("c1", ("sh",), tty=True, stdin=True)
    await read_until(session, lambda output: b"# " in output)
    session.resize(33, 99)
    await asyncio.sleep(0.2)  # the size travels by a signal, which nothing confirms
    await session.write(b"stty size; tty\n")
    assert b"33 99\r\n/dev/pts/0\r\n" in await read_until(session, lambda output: output.count(b"\n") >= 3)
    await session.write(b"exit 6\n")
    await read_all(session)
    assert await session.wait() == 6
    await session.close()


@pytest.mark.short
async def test_exec_that_takes_too_long_is_killed_in_the_container(world: Any) -> None:
    await make(world, "sleep", "300")
    with pytest.raises(TimeoutError):
        await world.sandboxes.run_exec("c1", ("sleep", "299"), timeout_s=0.3)
    output = await world.sandboxes.run_exec("c1", ("ps", "-o", "args"), timeout_s=20)
    assert b"sleep 299" not in output.stdout
    assert b"sleep 300" in output.stdout


async def test_exec_in_an_ended_container_is_refused(world: Any) -> None:
    await make(world, "true")
    await world.sandboxes.wait("c1")
    with pytest.raises(HostError, match="container c1 is not running"):
        await world.sandboxes.run_exec("c1", ("true",), timeout_s=5)


@pytest.mark.short
async def test_attach_between_create_and_start_misses_nothing_and_echoes(world: Any) -> None:
    await make(world, "sh", "-c", "echo begin; cat; echo end >&2", start=False, stdin=True, stdin_once=True)
    attached = world.sandboxes.attach("c1")
    await world.sandboxes.start("c1")
    await read_until(attached, lambda output: output == b"begin\n")
    await attached.write(b"hello\n")
    await read_until(attached, lambda output: output == b"hello\n")
    await attached.close_stdin()
    assert await read_all(attached) == [("stderr", b"end\n")]
    assert (await world.sandboxes.wait("c1")).exit_code == 0
    await attached.close()


@pytest.mark.short
async def test_attach_with_a_terminal_can_be_resized(world: Any) -> None:
    await make(world, "sh", start=False, stdin=True, tty=True)
    attached = world.sandboxes.attach("c1")
    await world.sandboxes.start("c1")
    await read_until(attached, lambda output: b"# " in output)
    attached.resize(44, 111)
    await asyncio.sleep(0.2)
    await attached.write(b"stty size\n")
    assert b"44 111\r\n" in await read_until(attached, lambda output: output.count(b"\n") >= 2)
    await attached.write(b"exit 3\n")
    await read_all(attached)
    assert (await world.sandboxes.wait("c1")).exit_code == 3
    await attached.close()


async def test_attach_left_open_unread_does_not_hold_up_the_container(world: Any) -> None:
    await make(world, "sh", "-c", "head -c 60000000 /dev/zero | tr '\\0' 'x'", start=False)
    attached = world.sandboxes.attach("c1")
    await world.sandboxes.start("c1")
    fact = await asyncio.wait_for(world.sandboxes.wait("c1"), 60)  # nobody reads `attached`
    assert fact.exit_code == 0
    await attached.close()


@pytest.mark.short
async def test_log_is_followed_through_a_rotation_to_the_end_of_the_container(world: Any) -> None:
    handle = await make(
        world, "sh", "-c", "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); usleep 2000; done"
    )
    collected = b""
    rotations = 0
    async with asyncio.timeout(60):
        async for chunk in world.sandboxes.logs("c1", LogOptions(follow=True)):
            collected += chunk.data
            if rotations < 3 and collected.count(b"\n") > 50 * (rotations + 1):
                assert world.sandboxes.rotate_logs(max_bytes=100) == ("c1",)
                rotations += 1
    assert collected == b"".join(b"line %d\n" % number for number in range(400))
    assert rotations == 3
    assert Path(handle.log_path + ".3").exists()


async def test_log_tail_timestamps_and_long_lines(world: Any) -> None:
    await make(world, "sh", "-c", "echo one; echo two; head -c 40000 /dev/zero | tr '\\0' y; echo; echo last")
    await world.sandboxes.wait("c1")

    async def read(**options: Any) -> bytes:
        return b"".join([chunk.data async for chunk in world.sandboxes.logs("c1", LogOptions(**options))])

    assert await read(tail=1) == b"last\n"
    assert await read(tail=2) == b"y" * 40000 + b"\nlast\n"
    stamped = (await read(timestamps=True)).splitlines()
    assert [line.split(b" ", 1)[1][:5] for line in stamped] == [b"one", b"two", b"yyyyy", b"last"]
    assert stamped[0].split(b" ")[0].endswith(b"Z")
    assert await read(limit_bytes=5) == b"one\nt"


async def test_container_with_its_monitor_stays_small_and_out_of_the_daemons_cgroup(world: Any) -> None:
    names = [f"c{number}" for number in range(8)]
    handles = [await make(world, "sleep", "300", name=name) for name in names]
    monitors = [int(world.runtime.paths.monitor_pid_file(name).read_text()) for name in names]
    async with asyncio.timeout(10):  # the runtime's own process becomes the container's when it executes it
        while any(Path(f"/proc/{one.pid}/comm").read_text() != "sleep\n" for one in handles):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def pss_kib(pid: int) -> int:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    assert sum(map(pss_kib, [*monitors, *(one.pid for one in handles)])) / len(names) <= 1536
    ours, its = (Path(f"/proc/{pid}/cgroup").read_text() for pid in (os.getpid(), monitors[0]))
    assert "monitors" in its
    assert "monitors" not in ours
