"""Contexts that are no folder: streams, repositories, URLs; and contexts with names. Expected values: docker build, buildx."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build.contexts.spec import ContextFlag, MainContext, read_flag
from tests.host.build_world import BuildWorld, Told, built
from tests.host.conftest import Instance
from tests.host.web import GIT_HTTP_BACKEND, Page, Repository, Web, serving
from tests.unit.build.trees import Tree, grow

COPY_ALL = "FROM scratch\nCOPY . /\n"


@pytest.fixture
async def world(instance: Instance) -> AsyncIterator[BuildWorld]:
    async with built(instance) as one:
        yield one


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as one:
        yield one


def tar_of(files: Tree, mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            if text is not None and text.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, text[3:]
                archive.addfile(info)
                continue
            info.size = len(text or "")
            archive.addfile(info, io.BytesIO((text or "").encode()))
    return out.getvalue()


async def upload(world: BuildWorld, data: bytes) -> MainContext:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1000):
            yield data[start : start + 1000]
            await asyncio.sleep(0)

    name, _ = await world.builder.uploads.receive(pieces())
    return MainContext(upload=name)


def contexts(**values: str) -> tuple[ContextFlag, ...]:
    return tuple(read_flag(name, value) for name, value in values.items())


# --- streams -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
async def test_tar_stream_is_a_context_with_its_own_dockerfile_and_ignore_file(
    world: BuildWorld, mode: str
) -> None:
    files: Tree = {"Dockerfile": COPY_ALL, ".dockerignore": "*.log\n", "a": "1", "b.log": "2", "sub/c": "3"}
    await world.build("", source=await upload(world, tar_of(files, mode)))
    assert world.layers() == [[".dockerignore", "Dockerfile", "a", "sub/", "sub/c"]]


async def test_dockerfile_of_a_stream_is_a_path_in_it(world: BuildWorld) -> None:
    files: Tree = {"docker/Build": COPY_ALL, "docker/Build.dockerignore": "docker\n", "a": "1"}
    data = tar_of(files)
    await world.build("", file="docker/Build", source=await upload(world, data))
    assert world.layers() == [["a"]]
    with pytest.raises(UserError, match=r"failed to read dockerfile: .*Dockerfile does not exist"):
        await world.build("", source=await upload(world, data))


async def test_lower_case_name_stands_in_for_a_dockerfile(world: BuildWorld) -> None:
    await world.build("", source=await upload(world, tar_of({"dockerfile": COPY_ALL})))
    assert world.layers() == [["dockerfile"]]


async def test_hostile_stream_reads_and_writes_nothing_of_this_machine(world: BuildWorld) -> None:
    secret = world.instance.root / "secret"
    secret.write_text("FROM secret\n")
    for files in (
        {"Dockerfile": f"-> {secret}"},
        {"Dockerfile": COPY_ALL, ".dockerignore": f"-> {secret}", "l": f"-> {secret}"},
    ):
        context = await upload(world, tar_of(files))
        if "l" in files:
            await world.build("", source=context)
            assert world.layers() == [[".dockerignore", "Dockerfile", "l"]]
            continue
        with pytest.raises(UserError, match="does not exist"):
            await world.build("", source=context)
    for files in ({"../out": "x"}, {"d": "-> /", "d/out": "x"}, {".wh.a": ""}):
        try:
            context = await upload(world, tar_of({**files, "Dockerfile": COPY_ALL}))
            await world.build("", source=context)
        except UserError:
            continue
    assert not Path("/out").exists()
    assert not list(world.instance.home.rglob("../out"))


@pytest.mark.parametrize(
    "data", [b"no tar at all" * 100, tar_of({"a": "x" * 100_000}, "w")[:-20_000], b"\x1f\x8bnothing"]
)
async def test_broken_stream_is_told_and_leaves_nothing(world: BuildWorld, data: bytes) -> None:
    with pytest.raises(UserError, match="the build context is no tar that can be read"):
        await upload(world, data)


async def test_stream_that_breaks_off_or_is_never_built_leaves_nothing(world: BuildWorld) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield tar_of({"a": "1" * 5000}, "w")[:1024]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await world.builder.uploads.receive(broken())
    world.builder.uploads._kept_s = 0.0
    context = await upload(world, tar_of({"Dockerfile": COPY_ALL}))
    work = world.instance.home / "build" / "work"
    while any(work.iterdir()):  # noqa: ASYNC110 (files have no event)
        await asyncio.sleep(0.01)
    with pytest.raises(UserError, match="is not here any more"):
        await world.build("", source=context)


async def test_dockerfile_text_needs_no_context_or_has_a_folder(world: BuildWorld) -> None:
    text = "FROM scratch\nCOPY <<END /made\ntext\nEND\n"
    await world.build("", source=MainContext(is_empty=True, dockerfile=text))
    assert world.read("/made") == "text\n"
    grow(world.context, {"a": "1", ".dockerignore": "b", "b": "2"})
    await world.build("", source=MainContext(dockerfile=COPY_ALL))
    assert world.layers() == [[".dockerignore", "a"]]
    with pytest.raises(UserError, match="'a' is not in the build context"):
        await world.build("", source=MainContext(is_empty=True, dockerfile="FROM scratch\nCOPY a /\n"))


# --- addresses -----------------------------------------------------------------------------------------------------------


async def test_repository_is_a_context_with_a_branch_and_a_folder(world: BuildWorld, web: Web) -> None:
    if not os.path.exists(GIT_HTTP_BACKEND):
        pytest.skip("git is not installed")
    web.git_root = world.instance.root / "git"
    repository = Repository(web.git_root / "x.git")
    repository.git("checkout", "-q", "-b", "side")
    repository.commit({"app/Dockerfile": COPY_ALL, "app/a": "1", "other": "2"})
    await world.build("", source=MainContext(address=f"{web.url}/git/x.git#side:app"))
    assert world.layers() == [["Dockerfile", "a"]]
    built = await world.build("", source=MainContext(address=f"file://{repository.place}#side:app"))
    assert built.cached == 1
    keep = {"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"}
    await world.build(
        "", source=MainContext(address=f"{web.url}/git/x.git#side"), file="app/Dockerfile", build_args=keep
    )
    assert ".git/HEAD" in world.layers()[0]


async def test_url_is_a_tar_or_a_dockerfile(world: BuildWorld, web: Web) -> None:
    web.pages["/c.tar.gz"] = Page(tar_of({"Dockerfile": COPY_ALL, "a": "1"}))
    web.pages["/Dockerfile"] = Page(b"FROM scratch\nCOPY <<END /made\ntext\nEND\n")
    await world.build("", source=MainContext(address=f"{web.url}/c.tar.gz"))
    assert world.layers() == [["Dockerfile", "a"]]
    await world.build("", source=MainContext(address=f"{web.url}/Dockerfile"))
    assert world.layers() == [["made"]]
    with pytest.raises(UserError, match="404"):
        await world.build("", source=MainContext(address=f"{web.url}/none"))


async def test_dockerfile_may_be_fetched_for_a_folder(world: BuildWorld, web: Web) -> None:
    web.pages["/d"] = Page(b"FROM scratch\nCOPY a /fetched\n")
    grow(world.context, {"a": "1", "Dockerfile": "FROM wrong\n"})
    await world.build("", source=MainContext(dockerfile_url=f"{web.url}/d"))
    assert world.layers() == [["fetched"]]
    with pytest.raises(UserError, match="only a URL of a file"):
        await world.build("", source=MainContext(dockerfile_url=f"{web.url}/x.git"))


# --- contexts with names -------------------------------------------------------------------------------------------------


async def test_named_folder_is_copied_from_with_its_own_ignore_file(world: BuildWorld) -> None:
    more = grow(
        world.instance.root / "more", {"a": "1", "b.log": "", ".dockerignore": "*.log\n.dockerignore\n"}
    )
    dockerfile = "FROM scratch\nCOPY --from=more . /m/\nCOPY a /a\n"
    await world.build(dockerfile, {"a": "main", ".dockerignore": ""}, contexts=contexts(more=str(more)))
    assert world.layers() == [["m/", "m/a"], ["a"]]
    assert (await world.build(dockerfile, contexts=contexts(more=str(more)))).cached == 2
    with pytest.raises(UserError, match=r"'b.log' is in the context 'more', but \.dockerignore hides it"):
        await world.build("FROM scratch\nCOPY --from=more b.log /\n", contexts=contexts(more=str(more)))
    with pytest.raises(UserError, match="--build-context more: path '/nowhere' is not a folder"):
        await world.build(dockerfile, contexts=contexts(more="/nowhere"))


async def test_named_context_stands_for_a_base_image_or_a_whole_stage(world: BuildWorld) -> None:
    more = grow(world.instance.root / "more", {"a": "1"})
    await world.build("FROM alpine:latest\nCOPY f /f\n", {"f": ""}, contexts=contexts(alpine=str(more)))
    assert world.layers() == [["a"], ["f"]]
    told = Told()
    dockerfile = "FROM missing:v1 AS tools\nCOPY nothing /\nFROM scratch\nCOPY --from=tools /a /b\n"
    await world.build(dockerfile, told=told, contexts=contexts(tools=str(more)))
    assert world.layers() == [["b"]]


async def test_named_image_takes_the_place_of_another(world: BuildWorld) -> None:
    await world.build("FROM scratch\nCOPY f /one\n", {"f": "1"}, name="one:v1")
    await world.build(
        "FROM two:v1\nCOPY --from=two:v1 /one /two\n",
        contexts=contexts(**{"two:v1": "docker-image://one:v1"}),
    )
    assert world.layers() == [["one"], ["two"]]


async def test_named_address_is_fetched_once_and_only_if_it_is_needed(world: BuildWorld, web: Web) -> None:
    web.pages["/c.tar"] = Page(tar_of({"a": "1", "b": "2"}))
    named = contexts(src=f"{web.url}/c.tar", unused=f"{web.url}/none.tar")
    await world.build("FROM scratch\nCOPY --from=src a /\nCOPY --from=src b /\n", contexts=named)
    assert world.layers() == [["a"], ["b"]]
    assert web.paths() == ["/c.tar"]
    with pytest.raises(UserError, match=r"--build-context unused: .*404") as caught:
        await world.build("FROM scratch\nCOPY --from=unused a /\n", contexts=named)
    assert caught.value.where.startswith("Dockerfile:2: COPY")


async def test_layout_is_a_base_image_that_leaves_no_image_behind(world: BuildWorld) -> None:
    await world.build("FROM scratch\nCOPY f /f\n", {"f": "1"}, name="one:v1")
    archive = b"".join([piece async for piece in world.images.save(["one:v1"])])
    layout = world.instance.root / "layout"
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(layout, filter="data")
    await world.images.remove("one:v1", force=True)
    await world.builder.prune()
    before = {image.id for image in world.images.list()}
    for value in (f"oci-layout://{layout}", f"oci-layout://{layout}:v1"):
        built = await world.build("FROM base\nCOPY f /g\n", contexts=contexts(base=value), no_cache=True)
        assert world.layers() == [["f"], ["g"]]
        before.add(built.image)
        assert {image.id for image in world.images.list()} == before
    with pytest.raises(UserError, match="it has no image of the tag v9") as caught:
        await world.build("FROM base\n", contexts=contexts(base=f"oci-layout://{layout}:v9"))
    assert "v1" in caught.value.hint


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
async def test_layout_written_by_skopeo_is_read(world: BuildWorld) -> None:
    await world.build("FROM scratch\nCOPY f /f\n", {"f": "1"}, name="one:v1")
    archive = world.instance.root / "one.tar"
    archive.write_bytes(b"".join([piece async for piece in world.images.save(["one:v1"])]))
    layout = world.instance.root / "layout"
    await asyncio.to_thread(
        subprocess.run,
        ["skopeo", "--insecure-policy", "copy", "-q", f"docker-archive:{archive}", f"oci:{layout}:tagged"],
        check=True,
    )
    await world.build("FROM base\nCOPY f /g\n", contexts=contexts(base=f"oci-layout://{layout}:tagged"))
    assert world.layers() == [["f"], ["g"]]


async def test_mounts_of_commands_see_named_contexts(world: BuildWorld, busybox_root: Path) -> None:
    await world.bring_base(busybox_root)
    more = grow(world.instance.root / "more", {"d/a": "1", "b.log": "", ".dockerignore": "*.log\n"})
    dockerfile = "FROM busybox:v1\nRUN --mount=from=more,target=/m cp -r /m /out && cat /m/d/a\n"
    told = Told()
    await world.build(dockerfile, told=told, contexts=contexts(more=str(more)))
    assert told.output == "1"
    assert world.layers()[-1] == ["out/", "out/.dockerignore", "out/d/", "out/d/a"]
