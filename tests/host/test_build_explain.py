"""What a person is told of real builds: why steps were done, what weighs, a crowded context, the plan on a terminal."""

from __future__ import annotations

import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import AsyncIterator, Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build import announcing
from pinnace.build.progress import Explained
from tests.host.build_world import BuildWorld, Told, built
from tests.host.conftest import Instance
from tests.host.test_build_daemon import Daemon
from tests.product.instance import PINNACE


@pytest.fixture
async def world(instance: Instance, busybox_root: Path) -> AsyncIterator[BuildWorld]:
    async with built(instance, busybox_root) as one:
        yield one


DOCKERFILE = """
FROM busybox:v1 AS build
ARG V=1
COPY . /src/
RUN mkdir -p /usr/lib/gcc /out && dd if=/dev/zero of=/usr/lib/gcc/cc1 bs=1M count=12 && cat /src/a > /out/a
FROM busybox:v1
COPY --from=build /out /opt/
RUN mkdir -p /root/.cache/pip && dd if=/dev/zero of=/root/.cache/pip/x bs=1M count=2
RUN rm /root/.cache/pip/x
"""


async def explain(world: BuildWorld, dockerfile: str = DOCKERFILE, **how: object) -> list[str]:
    told = Told()
    try:
        await world.build(dockerfile, told=told, explain=True, **how)  # type: ignore[arg-type]
    finally:
        (news,) = (one for one in told.news if isinstance(one, Explained))
    return list(news.lines)


def reasons(lines: list[str]) -> list[tuple[str, str]]:
    """Return (state and step, why) of each step."""
    steps = lines[1 : lines.index("") if "" in lines else None]
    return [
        (" ".join(step.split()[:3]), why.strip()) for step, why in zip(steps[::2], steps[1::2], strict=True)
    ]


async def test_each_step_is_told_with_why_it_was_done_or_not(world: BuildWorld) -> None:
    files: dict[str, str | None] = {"a": "1", "b": "1"}
    first = await explain(world, files=files)
    assert {why for _, why in reasons(first)} == {"no build of this Dockerfile is remembered"}
    same = reasons(await explain(world, files={"a": "1"}))
    assert {(step.split()[0], why.split(",")[0]) for step, why in same} == {("cached", "nothing changed")}

    changed = reasons(await explain(world, files={"b": "2", "c": "new"}))
    assert changed[0] == ("done [build 1]", "b changed, c added")
    assert changed[1] == ("done [build 2]", "the layer of [build 1] COPY . /src/ below it changed")
    assert (
        changed[2][0] == "cached [1 1]"
    )  # what is copied is what it was: the stage was built with the same result

    argument = reasons(await explain(world, build_args={"V": "2"}))
    assert [step for step, _ in argument][:2] == ["cached [build 1]", "done [build 2]"]
    assert argument[1][1] == "the value of V (ARG or ENV) changed"

    line = reasons(await explain(world, DOCKERFILE.replace("bs=1M count=2", "bs=1M count=3")))
    assert line[3][1].startswith("the line changed, it was: RUN mkdir -p /root/.cache/pip")
    assert line[4][1].startswith("the layer of [1 2] RUN mkdir -p /root/.cache/pip")


async def test_no_cache_and_a_pruned_cache_are_told(world: BuildWorld) -> None:
    dockerfile = "FROM busybox:v1\nRUN echo a > /a\n"
    await world.build(dockerfile)
    anew = await explain(world, dockerfile, no_cache=True)
    assert reasons(anew) == [("done [0 1]", "nothing changed (--no-cache)")]
    await world.builder.prune()
    (pruned,) = reasons(await explain(world, dockerfile))
    assert pruned == ("done [0 1]", "nothing changed, but the cache has no longer got it (pruned?)")


async def test_weights_are_those_of_the_layers_and_what_is_in_vain_is_told(world: BuildWorld) -> None:
    lines = await explain(world, files={"a": "1"})
    text = "\n".join(lines)
    assert "12.6 MB of compilers stay in the build stage; the image is " in text
    assert "times smaller" in text
    assert "hints:" in lines
    assert "2.1 MB of pip's cache stay in the layer of RUN mkdir" in text
    assert (
        "are removed by RUN rm /root/.cache/pip/x, and still weigh: remove it in the step that makes it"
        in text
    )


async def test_build_that_fails_is_explained_as_far_as_it_came_and_remembers_what_it_did(
    world: BuildWorld,
) -> None:
    with pytest.raises(UserError):
        await world.build("FROM busybox:v1\nRUN echo a > /a\nRUN exit 3\nRUN true\n")
    told = Told()
    with pytest.raises(UserError):
        await world.build("FROM busybox:v1\nRUN echo a > /a\nRUN exit 3\nRUN true\n", told=told, explain=True)
    (news,) = (one for one in told.news if isinstance(one, Explained))
    steps = [line.split("]")[0].strip() for line in news.lines if "] RUN" in line]
    assert steps == ["cached [0 1", "failed [0 2"]


async def test_crowded_context_is_announced_with_the_lines_that_hide_it(
    world: BuildWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "AFTER_S", 0.0)
    monkeypatch.setattr(announcing, "is_crowded", lambda size, files: True)
    files: dict[str, str | None] = {f"node_modules/p{n}/x.js": "x" * 2000 for n in range(30)}
    world.context.mkdir(parents=True, exist_ok=True)
    with (world.context / "model.bin").open("wb") as file:
        file.truncate(250 << 20)  # takes longer to read than to look at
    told = Told()
    await world.build("FROM busybox:v1\nCOPY . /app/\n", {**files, "app.py": "x"}, told=told)
    (said,) = (one for one in told.warnings if "of the build context" in one)
    assert said.startswith("COPY . /app/ takes ")
    assert "262 MB  model.bin" in said
    assert "\n  **/node_modules" in said


# --- on a terminal ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def daemon(instance: Instance, busybox_root: Path) -> Iterator[Daemon]:
    one = Daemon(instance)
    one.run("up")
    try:
        tar = instance.root / "busybox.tar"
        subprocess.run(["tar", "-C", str(busybox_root), "-cf", str(tar), "."], check=True)
        one.run("import", str(tar), "busybox:v1")
        yield one
    finally:
        one.run("down", "--wipe")


def on_terminal(daemon: Daemon, *words: str, press: bytes = b"", after: bytes = b"") -> tuple[int, str, bool]:
    """Run the command on a terminal; return its code, what it wrote, and whether the terminal is as it was."""
    main, side = pty.openpty()
    ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 90, 0, 0))
    before = termios.tcgetattr(side)
    env = {**daemon.env, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        [*PINNACE, *words],
        env=env,
        stdin=side,
        stdout=side,
        stderr=side,
        preexec_fn=lambda: (os.setsid(), ioctl(0, termios.TIOCSCTTY, 0)),  # type: ignore[func-returns-value]
    )
    written = b""
    until = time.monotonic() + 40
    while time.monotonic() < until:
        if select.select([main], [], [], 0.1)[0]:
            written += os.read(main, 65536)
        elif process.poll() is not None:
            break
        if press and after in written:
            os.write(main, press)
            press = b""
    is_clean = termios.tcgetattr(side) == before
    code = process.wait(timeout=5)
    os.close(main)
    os.close(side)
    return code, written.decode(), is_clean


def last_picture(written: str) -> list[str]:
    picture = written.rpartition("\x1b[?2026h")[2].partition("\x1b[?2026l")[0]
    lines = [line.replace("\x1b[K", "") for line in picture.split("\r\n")]
    return [
        "".join(part.partition("m")[2] if number else part for number, part in enumerate(line.split("\x1b[")))
        for line in lines
    ]


def test_plan_lives_on_a_terminal_stays_as_what_was_done_and_ctrl_c_leaves_it_clean(daemon: Daemon) -> None:
    context = daemon.write("FROM busybox:v1\nRUN echo first; sleep 0.5; echo second\nRUN true\n")
    code, written, is_clean = on_terminal(daemon, "build", "-t", "x:v1", context)
    assert (code, is_clean) == (0, True)
    assert written.count("\x1b[?2026h") >= 4, "it was not drawn while it went on"
    assert "     first" in written
    final = [
        " ".join(line.split()[:-1]) for line in last_picture(written) if line.strip() and "\x1b" not in line
    ]
    assert final[-2:] == ["✔ [0 1/2] RUN echo first; sleep 0.5; echo second", "✔ [0 2/2] RUN true"]
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    assert "built sha256:" in written

    context = daemon.write("FROM busybox:v1\nRUN echo began; sleep 60\n")
    code, written, is_clean = on_terminal(daemon, "build", context, press=b"\x03", after=b"began")
    assert (code, is_clean) == (130, True)
    assert written.rstrip("\r\n").endswith("\x1b[?25h")
    assert any(
        line.startswith("stopped an image")
        for line in (one.lstrip("A0123456789\r") for one in last_picture(written))
    )
    assert "Traceback" not in written
