"""RUN --mount with real layers, mounts and commands: what a command sees, and what is left of it, which is only the cache."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build.run_options import RunOptions
from tests.host.build_world import BuildWorld, Told, built
from tests.host.conftest import Instance

SECRET = b"correct-horse-battery"


@pytest.fixture
async def world(instance: Instance, busybox_root: Path) -> AsyncIterator[BuildWorld]:
    async with built(instance, busybox_root) as one:
        yield one


async def run(world: BuildWorld, body: str, **given: object) -> str:
    """Build a Dockerfile on busybox; return what its commands wrote."""
    told = Told()
    await world.build(f"FROM busybox:v1\n{body}\n", told=told, **given)  # type: ignore[arg-type]
    return told.output


# --- caches --------------------------------------------------------------------------------------------------------------


@pytest.mark.short
async def test_cache_is_kept_across_builds_and_daemons_and_is_in_no_layer(world: BuildWorld) -> None:
    body = "RUN --mount=type=cache,target=/root/.cache echo {} >> /root/.cache/log; cat /root/.cache/log"
    assert await run(world, body.format("one")) == "one\n"
    assert await run(world, body.format("two")) == "one\ntwo\n"
    assert world.layers()[1:] == []
    again = BuildWorld(world.instance, world.names)
    await again.start()
    assert await run(again, body.format("three")) == "one\ntwo\nthree\n"
    (facts,) = await again.builder.cache_mounts.list()
    assert (facts.id, facts.in_use, facts.size > 0) == ("/root/.cache", False, True)
    assert await again.builder.cache_mounts.remove(facts.name)
    assert await run(again, body.format("four")) == "four\n"
    await again.images.close()
    world.builder.cache_mounts._folders.clear()


async def test_caches_differ_by_id_owner_and_namespace(world: BuildWorld) -> None:
    body = """
ARG N
RUN --mount=type=cache,id=a,target=/c echo a > /c/x
RUN --mount=type=cache,id=$N,target=/d ls /d
RUN --mount=type=cache,id=b,target=/d ls /d
RUN --mount=type=cache,id=a,target=/c,uid=1000,gid=100,mode=0700 stat -c '%u:%g %a' /c; ls /c
"""
    assert await run(world, body, build_args={"N": "a"}) == "x\n1000:100 700\n"
    other = "RUN --mount=type=cache,id=a,target=/c ls /c; echo new"
    assert await run(world, other, build_args={"BUILDKIT_CACHE_MOUNT_NS": "mine"}) == "new\n"


async def test_cache_may_be_read_only_and_begin_with_files_of_a_stage(world: BuildWorld) -> None:
    text = """
FROM busybox:v1 AS seed
RUN mkdir -p /s/in && echo seed > /s/in/f && chown 1000:1000 /s/in/f
FROM busybox:v1
RUN --mount=type=cache,from=seed,source=/s/in,target=/c cat /c/f; stat -c %u /c/f; echo more > /c/g
RUN --mount=type=cache,from=seed,source=/s/in,target=/c,ro ls /c; touch /c/h 2>/dev/null || echo no
"""
    told = Told()
    await world.build(text, told=told)
    assert told.output.split() == [
        "seed",
        "1000",
        "f",
        "g",
        "no",
    ]


USE = "RUN --mount=type=cache,target=/c,sharing={} touch /c/{}; {}"
SLOW = "sleep 0.6; ls /c; rm /c/*"
MEET = "for i in $(seq 100); do test $(ls /c | wc -l) = 2 && break; sleep 0.1; done; ls /c"  # however late one begins


@pytest.mark.parametrize(("sharing", "folders"), [("shared", 1), ("private", 2), ("locked", 1)])
async def test_two_builds_that_use_one_cache(world: BuildWorld, sharing: str, folders: int) -> None:
    """Only those who share it see the other's file."""

    async def one(name: str) -> set[str]:
        told = Told()
        line = USE.format(sharing, name, MEET if sharing == "shared" else SLOW)
        text = f"FROM busybox:v1\n{line}\n"
        await world.build(text, told=told, name=f"{name}:v1", file=f"Dockerfile.{name}")
        return set(told.output.split()) - {name}

    found = await asyncio.gather(one("a"), one("b"))
    assert bool(set().union(*found)) == (sharing == "shared")
    assert len(await world.builder.cache_mounts.list()) == folders


async def test_locked_caches_wait_for_nobody_who_waits_for_them(world: BuildWorld) -> None:
    """Mounted twice by one command; and two by two commands, each in its own order."""
    one, two = (f"--mount=type=cache,sharing=locked,target=/{c},id={c}" for c in "ab")

    async def build(name: str, flags: str) -> None:
        text = f"FROM busybox:v1\nRUN {flags} sleep 0.2\n"
        await world.build(text, name=f"{name}:v1", file=f"Dockerfile.{name}")

    async with asyncio.timeout(20):
        await build("twice", f"{one} --mount=type=cache,sharing=locked,target=/other,id=a")
        await asyncio.gather(build("x", f"{one} {two}"), build("y", f"{two} {one}"))


async def test_cache_of_a_build_that_is_ended_stays_whole_and_free(world: BuildWorld) -> None:
    told = Told()
    body = (
        "FROM busybox:v1\nRUN --mount=type=cache,target=/c,sharing=locked echo x > /c/f; echo up; sleep 30\n"
    )
    build = asyncio.create_task(world.build(body, told=told))
    await _until(lambda: told.output == "up\n")
    build.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await build
    assert world.leftovers() == []
    assert await run(world, "RUN --mount=type=cache,target=/c,sharing=locked cat /c/f") == "x\n"


async def _until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 (a command has no event)
            await asyncio.sleep(0.02)


async def _until_mounted(world: BuildWorld) -> None:
    for _ in range(200):
        if any(facts.in_use for facts in await world.builder.cache_mounts.list()):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("no cache was mounted")


# --- binds ---------------------------------------------------------------------------------------------------------------

FILES = {"src/a": "one", "src/b": "two", "hidden": "x", ".dockerignore": "hidden\n", "top": "t"}


@pytest.mark.short
async def test_bind_of_the_context_shows_what_a_copy_would_bring_and_belongs_to_root(
    world: BuildWorld,
) -> None:
    body = """
WORKDIR /w
RUN --mount=target=. ls; cat src/a; touch src/c 2>/dev/null || echo no
RUN --mount=source=src/b,target=/one/two/three cat /one/two/three; stat -c %u:%g /one/two/three; touch made
RUN ls -a /one 2>/dev/null || ls
"""
    world.context.mkdir(exist_ok=True)
    told = await run(world, body, files=dict(FILES))
    assert told.splitlines() == [
        *("src", "top", "oneno", "two0:0"),
        "made",
    ]


async def test_what_is_written_into_a_bind_is_dropped_and_its_content_is_in_the_key(
    world: BuildWorld,
) -> None:
    body = "RUN --mount=source=src,target=/s,rw echo more >> /s/a; cat /s/a > /out; ls /s >> /out; touch /s/z"
    await run(world, body, files=dict(FILES))
    assert world.read("/out") == "onemore\na\nb\n"
    assert (world.context / "src/a").read_text() == "one"
    os.utime(world.context / "src/a", (5, 5))
    (world.context / "top").write_text("other")
    assert (await world.build(f"FROM busybox:v1\n{body}\n")).cached == 1
    (world.context / "src/a").write_text("1")
    assert (await world.build(f"FROM busybox:v1\n{body}\n")).cached == 0
    assert world.read("/out") == "1more\na\nb\n"


async def test_bind_from_a_stage_and_an_image(world: BuildWorld) -> None:
    text = """
FROM busybox:v1 AS tools
RUN mkdir /t && echo tool > /t/f && chown 7:8 /t/f && ln -s f /t/link
FROM busybox:v1
RUN --mount=from=tools,source=/t,target=/t cat /t/link; stat -c %u:%g /t/f; touch /t/g 2>/dev/null || echo ro
RUN --mount=from=tools,target=/all,rw cat /all/t/f; rm /all/t/f; ls /all/t
RUN --mount=type=bind,from=busybox:v1,source=/etc/passwd,target=/p cut -d: -f1 /p
RUN ls /all /t /p 2>/dev/null || echo gone
"""
    told = Told()
    await world.build(text, told=told)
    assert "".join(told.output).split("\n")[:-1] == [
        *("tool", "7:8", "ro"),
        *("tool", "link", "root", "app", "gone"),
    ]
    assert (await world.build(text)).cached == 5


async def test_mounts_lie_in_one_another_also_in_a_read_only_one(world: BuildWorld) -> None:
    body = """
RUN --mount=target=/w \\
    --mount=type=cache,target=/w/node_modules/.cache \\
    --mount=type=tmpfs,target=/w/tmp/deep,size=1m \\
    --mount=type=secret,id=s,target=/w/tmp/deep/.token \\
    --mount=source=top,target=/w/src/top \\
    ls -A /w /w/src; cat /w/tmp/deep/.token; echo; echo x > /w/node_modules/.cache/f; \\
    head -c 2m /dev/zero > /w/tmp/deep/big 2>/dev/null || echo full; touch /w/x 2>/dev/null || echo no
"""
    told = await run(world, body, files=dict(FILES), run=RunOptions(secrets={"s": SECRET}))
    assert told.splitlines() == [
        *("/w:", ".dockerignore", "node_modules", "src", "tmp", "top", "", "/w/src:", "a", "b", "top"),
        *(SECRET.decode(), "full", "no"),
    ]
    assert world.layers()[1:] == []


async def test_source_that_is_not_there_is_told_with_the_nearest_name(world: BuildWorld) -> None:
    with pytest.raises(UserError, match="'scr' is not in the build context") as caught:
        await run(world, "RUN --mount=source=scr,target=/s true", files=dict(FILES))
    assert "src" in caught.value.hint
    with pytest.raises(UserError, match=r"hidden.*hides it"):
        await run(world, "RUN --mount=source=hidden,target=/s true")


# --- tmpfs ---------------------------------------------------------------------------------------------------------------


async def test_tmpfs_has_the_mode_of_its_place_and_goes(world: BuildWorld) -> None:
    body = """
RUN --mount=type=tmpfs,target=/new/t stat -c %a /new/t; echo x > /new/t/f
RUN --mount=type=tmpfs,target=/var stat -c %a /var; touch /var/f
USER app
RUN --mount=type=tmpfs,target=/mine echo x > /mine/f && echo written
"""
    assert (await run(world, body)).split() == ["1777", "755", "written"]
    assert world.layers()[1:] == []


# --- secrets -------------------------------------------------------------------------------------------------------------


@pytest.mark.short
async def test_secret_as_file_and_variable(world: BuildWorld) -> None:
    body = """
RUN --mount=type=secret,id=token cat /run/secrets/token; echo; stat -c '%a %u:%g' /run/secrets/token
RUN --mount=type=secret,id=token,target=/etc/x/t,mode=0440,uid=5,gid=6 stat -c '%a %u:%g' /etc/x/t; ls /run/secrets || echo none
RUN --mount=type=secret,id=token,env=TOKEN echo ${#TOKEN}; ls /run/secrets || echo none
RUN --mount=type=secret,id=token,env=TOKEN,target=/t wc -c < /t; echo ${#TOKEN}
RUN --mount=type=secret,id=other,env=OTHER echo "${OTHER-unset}"; ls /run/secrets || echo none
RUN ls /run /etc/x /t 2>/dev/null || echo clean; env | grep TOKEN || echo clean
"""
    told = await run(world, body, run=RunOptions(secrets={"token": SECRET}))
    words = [line for line in told.splitlines() if not line.startswith("ls: ")]
    assert words == [
        *(SECRET.decode(), "400 0:0", "440 5:6", "none", "21", "none", "21", "21"),
        *("unset", "none", "clean", "clean"),
    ]
    assert world.layers()[1:] == []


async def test_secret_is_nowhere_on_disk_and_in_no_news(world: BuildWorld) -> None:
    told = Told()
    body = (
        "FROM busybox:v1\nRUN --mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=token "
        "wc -c < /run/secrets/token; echo ${#TOKEN} > /up; sleep 1\n"
    )
    build = asyncio.create_task(world.build(body, told=told, run=RunOptions(secrets={"token": SECRET})))
    await _until(lambda: "21" in told.output)
    during = _files_with(world.instance.home, SECRET)
    assert during == [], "while the command runs"
    await build
    assert _files_with(world.instance.root, SECRET) == []
    assert SECRET.decode() not in repr(told.news)
    assert SECRET.decode() not in repr(RunOptions(secrets={"token": SECRET}))
    assert SECRET.decode() not in str(world.image().config)


def _files_with(folder: Path, text: bytes) -> list[str]:
    """Return the files below a folder, on its own file system, that hold a text."""
    device, found = os.stat(folder).st_dev, []
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if os.lstat(os.path.join(place, one)).st_dev == device]
        for name in names:
            path = Path(place, name)
            with contextlib.suppress(OSError):
                if path.is_file() and not path.is_symlink() and text in path.read_bytes():
                    found.append(str(path))
    return found


async def test_value_of_a_secret_is_in_no_key_and_a_missing_one_is_told_if_needed(world: BuildWorld) -> None:
    text = "FROM busybox:v1\nRUN --mount=type=secret,id=t,required=true cat /run/secrets/t > /out\n"
    with pytest.raises(UserError, match="secret t: not found") as caught:
        await world.build(text)
    assert "--secret id=t" in caught.value.hint
    await world.build(text, run=RunOptions(secrets={"t": b"1"}))
    assert (await world.build(text, run=RunOptions(secrets={"t": b"2"}))).cached == 1
    assert world.read("/out") == "1"


async def test_build_that_is_ended_leaves_no_secret(world: BuildWorld) -> None:
    body = "RUN --mount=type=secret,id=t --mount=type=cache,target=/c sleep 30"
    build = asyncio.create_task(run(world, body, run=RunOptions(secrets={"t": SECRET})))
    await _until_mounted(world)
    await asyncio.sleep(0.2)
    build.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await build
    assert world.leftovers() == []


async def test_build_that_is_ended_at_any_moment_leaves_nothing(world: BuildWorld) -> None:
    body = (
        "RUN --mount=type=secret,id=t --mount=type=cache,target=/c,sharing=locked --mount=target=/w,rw "
        "--mount=type=ssh --mount=type=cache,target=/d,from=busybox:v1,source=/etc echo x > /c/f; sleep 30"
    )
    async with Agent(world.instance.root / "agent.sock") as agent:
        options = RunOptions(secrets={"t": SECRET}, ssh={"default": str(agent.path)})
        for delay_s in (0.0, 0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.3, 0.5):
            build = asyncio.create_task(run(world, body, files=dict(FILES), run=options))
            await asyncio.sleep(delay_s)
            build.cancel()
            await asyncio.gather(build, return_exceptions=True)
            assert world.leftovers() == [], f"after {delay_s} s"
            assert not any(facts.in_use for facts in await world.builder.cache_mounts.list())


# --- ssh -----------------------------------------------------------------------------------------------------------------


class Agent:
    """A stand-in for an ssh agent: keeps what it is told, and says it back in capitals."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard = b""

    async def __aenter__(self) -> Agent:
        self._server = await asyncio.start_unix_server(self._serve, path=str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            self.heard += data
            writer.write(data.upper())
        writer.close()


async def test_agent_is_reached_by_any_user(world: BuildWorld) -> None:
    """busybox has one program that talks to a socket in a file: logger, to /dev/log."""
    body = """
RUN --mount=type=ssh --mount=type=ssh,target=/dev/log echo $SSH_AUTH_SOCK; stat -c '%a %u' $SSH_AUTH_SOCK; logger from root
USER app
RUN --mount=type=ssh,uid=1000,target=/dev/log echo $SSH_AUTH_SOCK; stat -c '%a %u' /dev/log; logger from app
RUN --mount=type=ssh,target=/dev/log logger from nobody; echo $?
USER root
RUN --mount=type=ssh,id=none echo $SSH_AUTH_SOCK; ls /run/buildkit 2>/dev/null || echo gone
"""
    async with Agent(world.instance.root / "agent.sock") as agent:
        told = await run(world, body, run=RunOptions(ssh={"default": str(agent.path)}))
        await _until(lambda: b"from root" in agent.heard and b"from app" in agent.heard)
    assert told.split() == [
        *("/run/buildkit/ssh_agent.0", "600", "0", "/dev/log", "600", "1000", "0"),
        *("/run/buildkit/ssh_agent.0", "gone"),
    ]
    assert b"from nobody" not in agent.heard
    assert world.layers()[1:] == []


async def test_agent_that_is_needed_and_not_given_or_gone_is_told(world: BuildWorld) -> None:
    with pytest.raises(UserError, match='no SSH key "default" forwarded from the client'):
        await run(world, "RUN --mount=type=ssh,required true")
    with pytest.raises(UserError, match="does not answer"):
        await run(world, "RUN --mount=type=ssh true", run=RunOptions(ssh={"default": "/no/such.sock"}))


# --- mount points --------------------------------------------------------------------------------------------------------


async def test_mount_points_behind_links_and_deleted_folders_are_in_no_layer(world: BuildWorld) -> None:
    """An image may have /etc/resolv.conf as a link that leads nowhere, as many distributions do."""
    (world.context / "root/etc").mkdir(parents=True)
    (world.context / "root/etc/resolv.conf").symlink_to("../run/systemd/resolve/stub.conf")
    (world.context / "root/lib64").symlink_to("/usr/share")
    body = """
COPY root /
RUN mkdir -p /opt/x/y /usr/share
RUN rm -r /opt
RUN cat /etc/resolv.conf
RUN --mount=type=cache,target=/opt/x/y --mount=type=cache,target=/lib64/deep/c touch /opt/x/y/f /lib64/deep/c/f
RUN ls /opt /run/systemd /usr/share/deep 2>/dev/null || echo nothing
"""
    assert (await run(world, body)).splitlines()[-1] == "nothing"
    held = {name for layer in world.layers()[4:] for name in layer}
    assert held <= {"usr/", "usr/share/"}  # a folder in which one was made and taken away again


async def test_what_a_command_writes_beside_a_mount_point_is_kept(world: BuildWorld) -> None:
    body = "RUN --mount=type=cache,target=/new/deep/cache echo x > /new/deep/own; touch /new/deep/cache/f"
    await run(world, body)
    assert world.layers()[1:] == [["new/", "new/deep/", "new/deep/own"]]
