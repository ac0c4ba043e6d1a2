"""Builds with real layers and real commands: what steps make, what the cache knows, what fails."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build.progress import StepNews
from tests.host.build_world import BuildWorld, Told, built
from tests.host.conftest import Instance


@pytest.fixture
async def world(instance: Instance, busybox_root: Path) -> AsyncIterator[BuildWorld]:
    async with built(instance, busybox_root) as one:
        yield one


# --- stages --------------------------------------------------------------------------------------------------------------


@pytest.mark.short
async def test_several_stages_make_one_image_that_holds_only_what_was_copied(world: BuildWorld) -> None:
    built = await world.build(
        """
FROM busybox:v1 AS builder
WORKDIR /src
COPY main.c .
RUN cat main.c > app && chmod 755 app && echo debris > /src/debris
FROM busybox:v1
COPY --from=builder /src/app /usr/bin/app
USER app
ENTRYPOINT ["app"]
""",
        {"main.c": "int main"},
    )
    image = world.image()
    assert image.id == built.image
    assert world.layers()[1:] == [["usr/", "usr/bin/", "usr/bin/app"]]
    assert world.read("/usr/bin/app") == "int main"
    assert (image.config.config.entrypoint, image.config.config.user) == (("app",), "app")
    assert [(stage.name, stage.layers) for stage in built.stages] == [("builder", 4), ("1", 2)]
    assert (built.cached, built.steps) == (0, 4)


async def test_only_needed_stages_run(world: BuildWorld) -> None:
    told = Told()
    await world.build(
        "FROM busybox:v1 AS unused\nRUN echo never\nFROM busybox:v1 AS one\nRUN echo once\nFROM one AS late\nRUN echo late\n",
        told=told,
        target="one",
    )
    assert told.steps("done") == ["RUN echo once"]


async def test_stages_run_side_by_side(world: BuildWorld) -> None:
    told = Told()
    await world.build(
        "FROM busybox:v1 AS a\nRUN sleep 1; echo a > /a\nFROM busybox:v1 AS b\nRUN sleep 1; echo b > /b\n"
        "FROM busybox:v1\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
        told=told,
    )
    states = [one.state for one in told.news if isinstance(one, StepNews) and one.text.startswith("RUN")]
    assert states == ["running", "running", "done", "done"]
    assert world.layers()[1:] == [["a"], ["b"]]


async def test_two_steps_that_make_the_same_layer_stand_beside_each_other(world: BuildWorld) -> None:
    made = "RUN echo x > /x && touch -t 200001010000 /x"
    told = Told()
    await world.build(f"FROM busybox:v1\n{made}\nRUN rm /x\n{made}\nRUN cat /x\n", told=told)
    assert told.output == "x\n"
    first, *_, last = world.image().config.rootfs.diff_ids[1:4]
    assert first == last


async def test_base_image_with_triggers_runs_them(world: BuildWorld) -> None:
    await world.build("FROM busybox:v1\nONBUILD COPY f /f\nONBUILD RUN cat /f > /g\n", name="hooks:v1")
    await world.build("FROM hooks:v1\nRUN cat /g > /h\n", {"f": "text"})
    assert world.read("/h") == "text"


# --- the cache -----------------------------------------------------------------------------------------------------------

CACHED = "FROM busybox:v1\nWORKDIR /w\nCOPY f d ./\nRUN cat f a > both\nRUN true\n"
FILES = {"f": "one", "d/a": "two"}


async def test_build_that_changes_nothing_is_cached_and_gives_the_same_image(world: BuildWorld) -> None:
    first = await world.build(CACHED, dict(FILES))
    told = Told()
    second = await world.build(CACHED, told=told)
    assert second.image == first.image
    assert (second.cached, second.steps) == (4, 4)
    assert told.steps("running") == []


async def test_touched_file_is_a_hit_and_changed_contents_are_a_miss(world: BuildWorld) -> None:
    await world.build(CACHED, dict(FILES))
    os.utime(world.context / "f", (1, 1))
    (world.context / "d/a").write_text("two")
    assert (await world.build(CACHED)).cached == 4
    (world.context / "d/a").write_text("2")
    told = Told()
    assert (await world.build(CACHED, told=told)).cached == 1
    assert told.steps("done") == ["COPY f d ./", "RUN cat f a > both", "RUN true"]
    assert world.read("/w/both") == "one2"


async def test_step_with_the_same_result_goes_on_from_the_cache(world: BuildWorld) -> None:
    text = "FROM busybox:v1 AS a\nCOPY f /in\nRUN tr a-z A-Z < /in > /out && touch -t 200001010000 /out\nFROM busybox:v1\nCOPY --from=a /out /\nRUN cat /out > /end\n"
    await world.build(text, {"f": "hello"})
    told = Told()
    await world.build(text, {"f": "HELLO"}, told=told)  # other source, same /out
    assert told.steps("cached") == ["COPY --from=a /out /", "RUN cat /out > /end"]


async def test_later_instruction_that_changes_leaves_the_earlier_cached(world: BuildWorld) -> None:
    await world.build(CACHED, dict(FILES))
    told = Told()
    await world.build(CACHED.replace("RUN true", "RUN false || true"), told=told)
    assert told.steps("done") == ["RUN false || true"]


async def test_build_argument_is_part_of_commands_after_its_line_only(world: BuildWorld) -> None:
    text = "FROM busybox:v1\nRUN echo before\nARG V=1\nRUN echo $V > /v\n"
    await world.build(text)
    assert (await world.build(text, build_args={"V": "2"})).cached == 1
    assert world.read("/v") == "2\n"
    assert (await world.build(text, build_args={"V": "1"})).cached == 2


async def test_no_cache_does_every_step_anew(world: BuildWorld) -> None:
    await world.build(CACHED, dict(FILES))
    assert (await world.build(CACHED, no_cache=True)).cached == 0


async def test_cache_outlives_the_daemon_and_the_image(world: BuildWorld) -> None:
    await world.build(CACHED, dict(FILES))
    await world.images.remove("made:v1")
    again = BuildWorld(world.instance, world.names)
    await again.start()
    assert (await again.build(CACHED)).cached == 4
    await again.images.remove("made:v1")
    pruned = await again.builder.prune()
    forgotten, freed = len(pruned.records), pruned.freed
    assert (forgotten, freed > 0) == (4, True)
    assert (await again.build(CACHED)).cached == 0
    await again.images.close()


async def test_same_dockerfile_built_twice_at_once_runs_each_step_once(world: BuildWorld) -> None:
    text = "FROM busybox:v1\nRUN sleep 0.3; echo x > /x\nRUN cat /x > /y\n"
    tolds = [Told() for _ in range(3)]
    built = await asyncio.gather(
        *(world.build(text, told=told, name=f"n{number}:v1") for number, told in enumerate(tolds))
    )
    assert len({one.image for one in built}) == 1
    assert sorted(step for told in tolds for step in told.steps("done")) == [
        "RUN cat /x > /y",
        "RUN sleep 0.3; echo x > /x",
    ]


async def test_failed_build_keeps_what_was_done_before(world: BuildWorld) -> None:
    with pytest.raises(UserError):
        await world.build("FROM busybox:v1\nRUN echo good > /x\nRUN exit 1\n")
    assert (await world.build("FROM busybox:v1\nRUN echo good > /x\n")).cached == 1


# --- RUN -----------------------------------------------------------------------------------------------------------------


@pytest.mark.short
async def test_forms_of_run(world: BuildWorld) -> None:
    told = Told()
    await world.build(
        """
FROM busybox:v1
ENV WHO="all of you"
RUN echo "shell $WHO"
RUN ["echo", "exec $WHO"]
RUN <<EOF
echo "lines"
echo "for $WHO"
EOF
RUN <<'PY'
#!/bin/cat
print("another interpreter")
PY
RUN cat <<A - <<B
not read
A
read
B
SHELL ["/bin/sh", "-ec"]
RUN echo $0
""",
        told=told,
    )
    assert told.output.splitlines() == [
        "shell all of you",
        "exec $WHO",
        "lines",
        "for all of you",
        "#!/bin/cat",
        'print("another interpreter")',
        "read",
        "/bin/sh",
    ]


async def test_user_directory_environment_and_host_name_are_honoured(world: BuildWorld) -> None:
    told = Told()
    await world.build(
        """
FROM busybox:v1
WORKDIR /made/by/workdir
RUN pwd; id -u; hostname
USER app
WORKDIR mine
RUN pwd; id -u; id -g; touch here; echo $HOME
USER 4321:1000
RUN id -u; id -g
""",
        told=told,
    )
    assert told.output.split() == [
        *("/made/by/workdir", "0", "buildkitsandbox"),
        *("/made/by/workdir/mine", "1000", "1000", "/home/app"),
        *("4321", "1000"),
    ]


@pytest.mark.short
async def test_mount_points_and_etc_files_are_in_no_layer(world: BuildWorld) -> None:
    told = Told()
    await world.build(
        "FROM busybox:v1\nRUN cat /etc/resolv.conf; echo x > /x; echo y > /etc/y\nRUN true\n", told=told
    )
    assert told.output == "nameserver 10.0.0.10\n"
    assert [name for name in world.layers()[1] if not name.endswith("/")] == ["etc/y", "x"]
    assert not any("hosts" in name or "resolv" in name for layer in world.layers()[1:] for name in layer)


async def test_file_system_without_any_folder_gets_no_mount_points(world: BuildWorld) -> None:
    await world.build("FROM scratch\nCOPY --from=busybox:v1 /bin /bin\nRUN echo x > /x\n")
    assert world.layers()[1] == ["x"]


async def test_hosts_ca_bundle_is_there_for_commands_and_stays_out_of_the_image(world: BuildWorld) -> None:
    world.ca_bundle.write_text("the bundle")
    told = Told()
    await world.build(
        "FROM busybox:v1\nENV PIP_CERT=/own\nRUN cat $SSL_CERT_FILE; echo; echo $PIP_CERT; env | grep -c ca.crt > /x\n",
        told=told,
        host_ca=True,
    )
    assert told.output == "the bundle\n/own\n"
    assert [name for name in world.layers()[-1] if not name.endswith("/")] == ["x"]
    assert not any("crt" in entry for entry in world.image().config.config.env or ())
    told = Told()
    await world.build("FROM busybox:v1\nRUN env | grep -c ca.crt || true\n", told=told)
    assert told.output == "0\n"


async def test_bundle_that_is_not_there_is_told(world: BuildWorld) -> None:
    with pytest.raises(UserError, match="this host has no CA bundle"):
        await world.build("FROM busybox:v1\nRUN true\n", host_ca=True)


async def test_deleted_files_are_gone_and_modes_and_links_kept(world: BuildWorld) -> None:
    told = Told()
    await world.build(
        """
FROM busybox:v1
COPY d /d
RUN rm /d/a && rm -r /d/sub && mkdir /d/sub && ln -s b /d/l && chmod 600 /d/b && chown app /d/b
RUN ls -ln /d
""",
        {"d/a": "1", "d/b": "2", "d/sub/c": "3"},
        told=told,
    )
    lines = [line.split() for line in told.output.splitlines() if not line.startswith("total")]
    assert [(row[0], row[2], row[8]) for row in lines] == [
        ("-rw-------", "1000", "b"),
        ("lrwxrwxrwx", "0", "l"),
        ("drwxr-xr-x", "0", "sub"),
    ]


async def test_output_without_end_is_clipped_and_the_tail_is_still_told(world: BuildWorld) -> None:
    told = Told()
    with pytest.raises(UserError) as caught:
        await world.build(
            "FROM busybox:v1\nRUN yes 0123456789 | head -c 6000000; echo; echo the end; exit 7\n", told=told
        )
    assert len(told.output) < 2_200_000
    assert "[output clipped, log limit 2MiB reached]" in told.output
    assert caught.value.message.splitlines()[-1] == "the end"


# --- what goes wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.short
async def test_failed_command_is_told_with_line_output_and_hint_and_leaves_nothing(world: BuildWorld) -> None:
    told = Told()
    with pytest.raises(UserError) as caught:
        await world.build("FROM busybox:v1\n\nRUN echo one; echo two >&2; exit 3\n", told=told)
    error = caught.value
    assert error.message == (
        "process 'echo one; echo two >&2; exit 3' did not complete successfully: exit code: 3\none\ntwo"
    )
    assert error.where == "Dockerfile:3: RUN echo one; echo two >&2; exit 3"
    assert error.hint == "the lines above are the command's last output"
    assert told.steps("failed") == ["RUN echo one; echo two >&2; exit 3"]
    assert world.images.resolve("made:v1") is None


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ('RUN ["nope"]', "exit code: 127", "is not in the image"),
        ('RUN ["/etc/passwd"]', "exit code: 126", "may not be executed"),
        ("RUN nope", "exit code: 127", "is not in the image"),
        (
            "COPY missing /x",
            "'missing' is not in the build context",
            "sources are looked up in the build context",
        ),
        ("COPY --chown=ghost f /x", "ghost", ""),
        ("USER ghost\nRUN true", "ghost", ""),
    ],
)
async def test_step_that_cannot_be_done_is_told_on_its_line(
    world: BuildWorld, line: str, message: str, hint: str
) -> None:
    with pytest.raises(UserError) as caught:
        await world.build(f"FROM busybox:v1\n{line}\n", {"f": ""})
    assert message in caught.value.message
    assert hint in caught.value.hint
    number = 1 + len(line.splitlines())
    assert caught.value.where.startswith(f"Dockerfile:{number}: ")


async def test_failure_in_one_stage_ends_the_others(world: BuildWorld) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match="exit code: 5"):
        await world.build(
            "FROM busybox:v1 AS a\nRUN sleep 60\nFROM busybox:v1 AS b\nRUN sleep 0.2; exit 5\n"
            "FROM busybox:v1\nCOPY --from=a /x /\nCOPY --from=b /x /\n"
        )
    assert time.monotonic() - began < 40


@pytest.mark.short
async def test_cancelled_build_leaves_nothing(world: BuildWorld) -> None:
    running = asyncio.Event()

    class Watching(Told):
        def __call__(self, one: object) -> None:
            super().__call__(one)  # type: ignore[arg-type]
            if "here" in self.output:
                running.set()

    text = "FROM busybox:v1 AS a\nRUN echo here; sleep 60\nFROM busybox:v1\nCOPY --from=a /x /\n"
    task = asyncio.create_task(world.build(text, told=Watching()))
    async with asyncio.timeout(20):
        await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.leftovers() == []


async def test_cancelled_copy_leaves_nothing(world: BuildWorld) -> None:
    world.context.mkdir()
    with open(world.context / "big", "wb") as file:
        file.truncate(3 << 30)  # a hole that takes seconds to read
    copying = asyncio.Event()

    class Watching(Told):
        def __call__(self, one: object) -> None:
            super().__call__(one)  # type: ignore[arg-type]
            copying.set()

    task = asyncio.create_task(world.build("FROM busybox:v1\nCOPY big /big\n", told=Watching()))
    async with asyncio.timeout(20):
        await copying.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_pattern_that_matches_nothing_is_told_and_goes_on(world: BuildWorld) -> None:
    told = Told()
    await world.build("FROM busybox:v1\nCOPY f lock* /x/\n", {"f": "1"}, told=told)
    assert told.warnings == ["COPY f lock* /x/: nothing in the build context matches lock*"]


async def test_file_that_changes_while_it_is_copied_is_not_cached(world: BuildWorld) -> None:
    class Meddling(Told):
        """Changes the file between its digest and its copy."""

        def __call__(self, one: object) -> None:
            super().__call__(one)  # type: ignore[arg-type]
            if self.steps("running") == ["COPY f /f"] and not self.warnings:
                (context / "f").write_text("meddled")

    context = world.context
    told = Meddling()
    await world.build("FROM busybox:v1\nCOPY f /f\n", {"f": "honest"}, told=told)
    assert told.warnings == ["COPY f /f: files changed while they were copied: not cached"]
    told = Told()
    assert (await world.build("FROM busybox:v1\nCOPY f /f\n", {"f": "honest"}, told=told)).cached == 0
    assert world.read("/f") == "honest"


# --- COPY and ADD in whole builds ----------------------------------------------------------------------------------------


async def test_ignore_file_of_the_dockerfile_wins_and_hides(world: BuildWorld) -> None:
    files = {"a": "1", "b": "2", ".dockerignore": "a\n"}
    await world.build("FROM scratch\nCOPY . /\n", files)
    assert world.layers() == [[".dockerignore", "b"]]
    (world.instance.root / "Dockerfile.dockerignore").write_text("*\n!a\n")
    await world.build("FROM scratch\nCOPY . /\n")
    assert world.layers() == [["a"]]


async def test_copy_resolves_users_in_the_image(world: BuildWorld) -> None:
    await world.build(
        "FROM busybox:v1\nCOPY --chown=app:extra f /f\nCOPY --chown=app f /g\nCOPY --chown=77 f /h\n",
        {"f": "1"},
    )
    trees = [world.images.layers.tree(one) for one in world.images.catalog.layers(world.image().config)[1:]]
    owners = [(path.stat().st_uid, path.stat().st_gid) for tree in trees for path in tree.iterdir()]
    assert owners == [(1000, 2000), (1000, 1000), (77, 77)]


async def test_archive_is_added_and_files_of_the_dockerfile_are_written(world: BuildWorld) -> None:
    import tarfile

    world.context.mkdir()
    with tarfile.open(world.context / "a.tgz", "w:gz") as archive:
        member = tarfile.TarInfo("in/side")
        archive.addfile(member)
    await world.build(
        "FROM busybox:v1\nADD a.tgz /opt/\nCOPY <<EOF /etc/motd\nhi $HOME\nEOF\n", build_args={}
    )
    assert world.layers()[1:] == [["opt/", "opt/in/", "opt/in/side"], ["etc/", "etc/motd"]]
    assert world.read("/etc/motd") == "hi \n"
