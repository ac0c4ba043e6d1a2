"""COPY's flags on real layers: --link, --parents, owners, symbolic modes. Expected values: the Dockerfile reference."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from pinnace.base.errors import UserError
from tests.host.build_world import BuildWorld, Told, built
from tests.host.conftest import Instance

PASSWD = "root:x:0:0::/:/bin/sh\napp:x:12:34::/:/bin/sh\n"


@pytest.fixture
async def world(instance: Instance) -> AsyncIterator[BuildWorld]:
    async with built(instance) as one:
        yield one


def state(world: BuildWorld, path: str) -> tuple[int, int, int]:
    """Return mode and owner of a path as the topmost layer that has it says."""
    for layer in reversed(world.images.catalog.layers(world.image().config)):
        place = world.images.layers.tree(layer) / path
        if os.path.lexists(place):
            info = place.lstat()
            return info.st_mode & 0o7777, info.st_uid, info.st_gid
    raise AssertionError(path)


LINKED = "FROM scratch AS base\nCOPY {base} /base/\nFROM base\nCOPY --link f /opt/tool/f\n"


async def test_linked_layer_is_reused_when_what_is_below_changes(world: BuildWorld) -> None:
    await world.build(LINKED.format(base="one"), {"one": "1", "two": "2", "f": "text"})
    layer = world.image().config.rootfs.diff_ids[-1]
    told = Told()
    await world.build(LINKED.format(base="two"), told=told)
    assert told.steps("cached") == ["COPY --link f /opt/tool/f"]
    assert world.layers() == [["base/", "base/two"], ["opt/", "opt/tool/", "opt/tool/f"]]
    assert world.image().config.rootfs.diff_ids[-1] == layer
    (world.context / "f").write_text("other")
    assert (await world.build(LINKED.format(base="two"))).cached == 1


async def test_linked_copy_leaves_folders_below_as_they_are(world: BuildWorld) -> None:
    """A layer of its own would give /tmp the mode 755."""
    dockerfile = "FROM scratch\nCOPY --parents --chmod=1777 tmp /\nCOPY --link f /tmp/x/f\n"
    await world.build(dockerfile, {"tmp/a": "", "f": "text"})
    assert state(world, "tmp") == (0o1777, 0, 0)
    assert world.read("/tmp/x/f") == "text"


async def test_linked_copy_makes_folders_of_links_and_says_so(world: BuildWorld) -> None:
    told = Told()
    await world.build(
        "FROM scratch\nCOPY . /\nCOPY --link usr/f /bin/f\n", {"bin": "-> usr", "usr/f": "text"}, told=told
    )
    assert world.layers()[1] == ["bin/", "bin/f"]
    assert told.warnings == [
        "COPY --link usr/f /bin/f: --link makes /bin a folder, though it is a link in the layers below"
    ]


async def test_linked_copy_finds_owners_by_name_in_the_image(world: BuildWorld) -> None:
    dockerfile = "FROM scratch\nCOPY passwd group /etc/\nCOPY --link --chown={} f /f\n"
    await world.build(dockerfile.format("app:staff"), {"passwd": PASSWD, "group": "staff:x:50:\n", "f": ""})
    assert state(world, "f") == (0o644, 12, 50)
    assert (await world.build(dockerfile.format("12:50"))).cached == 2
    with pytest.raises(UserError, match="unable to find user ghost"):
        await world.build(dockerfile.format("ghost"))


async def test_owners_are_those_of_the_image_and_may_be_variables(world: BuildWorld) -> None:
    await world.build(
        "FROM scratch\nCOPY passwd /etc/\nARG WHO=app MODE=u=rwX,go=\nCOPY --chown=$WHO --chmod=$MODE d /d/\n",
        {"passwd": PASSWD, "d/f": "", "d/sub/run": ""},
    )
    assert [state(world, path) for path in ("d/f", "d/sub", "d/sub/run")] == [
        (0o600, 12, 34),
        (0o700, 12, 34),
        (0o600, 12, 34),
    ]


async def test_parents_are_kept_from_the_pivot_on_and_excludes_left_out(world: BuildWorld) -> None:
    files = {"a/b/x.go": "1", "a/b/y.txt": "2", "a/c/z.go": "3", "a/c/t_test.go": "4", "d/e": "5"}
    await world.build("FROM scratch\nCOPY --parents a/b/x.go d /out/\n", dict(files))
    assert world.layers() == [["out/", "out/a/", "out/a/b/", "out/a/b/x.go", "out/d/", "out/d/e"]]
    await world.build("FROM scratch\nCOPY --parents --exclude=**/*_test.go ./a/./**/*.go /out/\n")
    assert world.layers() == [["out/", "out/b/", "out/b/x.go", "out/c/", "out/c/z.go"]]
    (world.context / "a/b/y.txt").write_text("changed")
    assert (
        await world.build("FROM scratch\nCOPY --parents --exclude=**/*_test.go ./a/./**/*.go /out/\n")
    ).cached == 1
    with pytest.raises(UserError, match="'a/q' is not in the build context"):
        await world.build("FROM scratch\nCOPY --parents a/q /out/\n")


async def test_parents_of_files_of_another_stage_keep_their_owners(world: BuildWorld) -> None:
    await world.build(
        "FROM scratch AS made\nCOPY --chown=7:8 --chmod=750 d /x/y/\nFROM scratch\nCOPY --parents --from=made /x/./y/f /out/\n",
        {"d/f": "text"},
    )
    assert world.layers() == [["out/", "out/y/", "out/y/f"]]
    assert state(world, "out/y/f") == (0o750, 7, 8)
