"""Builds whose base images, caches and results are in a real registry; two instances that share nothing but that."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import itertools
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pinnace.base.errors import ApiError, PinnaceError, UserError
from pinnace.build.cache_places import CachePlace
from pinnace.build.outputs import Wanted
from pinnace.build.progress import BaseNews, Built, News, Offered, PushNews
from pinnace.image.names import MemoryNames
from pinnace.image.platforms import host_architecture
from pinnace.image.store import ImageStore
from tests.host.build_world import BuildWorld, Told
from tests.host.conftest import Instance
from tests.host.registries import (
    RealRegistry,
    make_image,
    make_index,
    needs_registry,
    needs_skopeo,
    real_registry,
    tar_of,
)
from tests.host.test_registry_real import docker_engine

pytestmark = needs_registry

EPOCH = 1_700_000_000
FOREIGN = "arm64" if host_architecture() == "amd64" else "amd64"
TWO_STAGES = """
FROM {base} AS builder
COPY src /src
RUN cat /src/a > /made && echo debris > /debris
FROM {base}
COPY --from=builder /made /app/made
RUN echo run > /app/run
"""
FILES = {"src/a": "one\n"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, busybox_root: Path) -> Iterator[RealRegistry]:
    """A registry that has the base image."""
    folder = tmp_path_factory.mktemp("registry")
    with real_registry(folder) as one:
        asyncio.run(push_base(one, busybox_root, folder))
        yield one


async def push_base(registry: RealRegistry, root: Path, folder: Path) -> None:
    """Put the base image into a registry, from a store that is gone afterwards."""
    with tarfile.open(folder / "base.tar", "w") as archive:
        archive.add(root, ".")
    store = ImageStore(folder / "store", MemoryNames())
    await store.start()
    await store.import_tar(folder / "base.tar", registry.reference("base:v1"))
    await store.push(registry.reference("base:v1"))
    await store.close()
    shutil.rmtree(folder / "store")


class Pair:
    """Two instances that have nothing, and a registry that has the base image. `name` is for what a test puts there."""

    numbers = itertools.count(1)

    def __init__(self, registry: RealRegistry, first: BuildWorld, second: BuildWorld) -> None:
        self.registry = registry
        self.first = first
        self.second = second
        self.base = registry.reference("base:v1")
        self._prefix = f"t{next(self.numbers)}"

    def key(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    def name(self, name: str) -> str:
        return self.registry.reference(self.key(name))

    def place(self, name: str, **fields: Any) -> CachePlace:
        return CachePlace(type="registry", ref=self.name(name), **fields)


def second_of(instance: Instance) -> Instance:
    """Return an instance within another's folder, so that it goes with it."""
    root = instance.root / "second"
    one = Instance(f"{instance.name}b", root, instance.pod_range, instance.service_range)
    for folder in (root, one.home, one.run):
        folder.mkdir()
    return one


@contextlib.asynccontextmanager
async def make_pair(instance: Instance, registry: RealRegistry) -> AsyncIterator[Pair]:
    first, second = BuildWorld(instance), BuildWorld(second_of(instance))
    for world in (first, second):
        await world.start()
    yield Pair(registry, first, second)
    left = [*first.leftovers(), *second.leftovers()]
    for world in (first, second):
        await world.close()
    second.instance.sweep()
    assert left == [], "the build left something behind"


@pytest.fixture
async def pair(instance: Instance, registry: RealRegistry) -> AsyncIterator[Pair]:
    async with make_pair(instance, registry) as one:
        yield one


class Taker(Told):
    """Takes what is offered, as the command does."""

    def __init__(self, world: BuildWorld) -> None:
        super().__init__()
        self.world = world
        self.taken: dict[int, bytes] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def __call__(self, one: News) -> None:
        super().__call__(one)
        if isinstance(one, Offered):
            self.tasks.append(asyncio.create_task(self._take(one)))

    async def _take(self, offered: Offered) -> None:
        data = bytearray()
        with contextlib.suppress(PinnaceError):
            async for piece in self.world.builder.exports.take(offered.token):
                data += piece
            self.taken[offered.output] = bytes(data)

    def names(self, number: int) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(self.taken[number])) as archive:
            return sorted(archive.getnames())


# --- FROM ---------------------------------------------------------------------------------------------------------------


async def test_base_that_is_missing_is_pulled_and_told(pair: Pair) -> None:
    told = Told()
    built = await pair.second.build(f"FROM {pair.base}\nRUN echo hi > /hi\n", told=told)
    assert pair.second.read("/hi") == "hi\n"
    assert pair.second.image().id == built.image
    states = [one.state for one in told.news if isinstance(one, BaseNews) and one.reference == pair.base]
    assert states[0] == "resolving"
    assert "pulling" in states
    assert states[-1] == "done"
    assert pair.second.images.resolve(pair.base) is not None
    again = Told()
    await pair.second.build(f"FROM {pair.base}\nRUN echo hi > /hi\n", told=again)
    assert again.steps("cached") == ["RUN echo hi > /hi"]
    assert not [one for one in again.news if isinstance(one, BaseNews)]


async def test_base_that_is_here_under_another_name_gets_its_name_and_nothing_travels(pair: Pair) -> None:
    await pair.second.images.pull(pair.base)
    await pair.second.images.tag(pair.base, "other:v1")
    await pair.second.images.remove(pair.base)
    told = Told()
    await pair.second.build(f"FROM {pair.base}\nRUN true\n", told=told)
    states = [one.state for one in told.news if isinstance(one, BaseNews)]
    assert states == ["resolving", "done"]
    assert pair.second.image(pair.base).id == pair.second.image("other:v1").id


async def test_only_what_the_target_needs_is_asked_for(pair: Pair) -> None:
    missing = pair.name("missing:v1")
    text = f"FROM {missing} AS unused\nRUN x\nFROM {pair.base} AS one\nRUN true\nFROM {missing}\n"
    await pair.second.build(text, target="one")
    with pytest.raises(UserError, match="missing") as caught:
        await pair.second.build(text)
    assert caught.value.where.startswith("Dockerfile:5: FROM")


async def test_copy_from_an_image_that_is_missing_pulls_it(pair: Pair) -> None:
    await pair.second.build(f"FROM scratch\nCOPY --from={pair.base} /etc/passwd /users\n")
    assert pair.second.layers() == [["users"]]
    assert "root:x:0" in pair.second.read("/users")


async def test_image_by_digest_is_that_very_one(pair: Pair) -> None:
    digest = pair.registry.inspect("base:v1")["Digest"]
    name = pair.registry.reference(f"base@{digest}")
    await pair.second.build(f"FROM {name}\nRUN echo x > /x\n")
    whole = await pair.first.images.pull(pair.base)
    assert pair.second.image().config.rootfs.diff_ids[0] == whole.image.config.rootfs.diff_ids[0]
    with pytest.raises(UserError):
        await pair.second.build(f"FROM {pair.registry.reference('base@sha256:' + '0' * 64)}\n")


async def test_pull_asks_again_and_a_base_that_changed_is_a_miss(pair: Pair) -> None:
    base = pair.name("base:v1")
    push = (Wanted(type="image", push=True),)
    await pair.first.build(f"FROM {pair.base}\nRUN echo older > /older\n", name=base, outputs=push)
    text = f"FROM {base}\nRUN echo x > /x\n"
    await pair.second.build(text)
    await pair.first.build(f"FROM {pair.base}\nRUN echo newer > /newer\n", name=base, outputs=push)
    told = Told()
    await pair.second.build(text, told=told)
    assert told.steps("cached") == ["RUN echo x > /x"]
    told = Told()
    await pair.second.build(text, told=told, pull=True)
    assert told.steps("done") == ["RUN echo x > /x"]
    assert pair.second.read("/newer") == "newer\n"
    told = Told()
    await pair.second.build(text, told=told, pull=True)
    assert told.steps("cached") == ["RUN echo x > /x"]


async def test_pull_of_an_image_that_only_this_instance_has_says_so(pair: Pair) -> None:
    only = pair.name("only-here:v1")
    await pair.first.build("FROM scratch\n", name=only)
    with pytest.raises(UserError) as caught:
        await pair.first.build(f"FROM {only}\n", pull=True)
    assert caught.value.hint == "without --pull the image that is here is used"


async def test_credentials_of_the_request_are_used(instance: Instance, tmp_path: Path) -> None:
    with real_registry(tmp_path, auth="basic") as registry:
        world = BuildWorld(instance)
        await world.start()
        base = registry.reference("base:v1")
        push = (Wanted(type="image", push=True),)
        text = "FROM scratch\nCOPY src/a /a\n"
        await world.build(text, FILES, name=base, outputs=push, keyring=registry.keyring)
        await world.images.remove(base)
        with pytest.raises(UserError, match=r"(?i)unauthorized|authentication"):
            await world.build(f"FROM {base}\nCOPY src/a /b\n")
        await world.build(f"FROM {base}\nCOPY src/a /b\n", keyring=registry.keyring)
        assert world.leftovers() == []
        await world.close()


# --- platforms ----------------------------------------------------------------------------------------------------------


def put(registry: RealRegistry, path: str, data: bytes, media_type: str) -> None:
    host, _, port = registry.host.partition(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
        connection.request("PUT", f"/v2/{path}", data, {"Content-Type": media_type})
        answer = connection.getresponse()
        body = answer.read()
    assert answer.status == 201, body


def fill_platforms(registry: RealRegistry, name: str) -> None:
    """Put an index there, of an image for this machine and one for another; each has a file that says which."""
    entries = []
    for architecture in (host_architecture(), FOREIGN):
        layer = tar_of({"which": architecture.encode()})
        image = make_image([layer], platform=("linux", architecture, ""))
        for digest, data in image.blobs.items():
            registry_upload(registry, name, digest, data)
        manifest_type = json.loads(image.manifest)["mediaType"]
        put(registry, f"{name}/manifests/{image.digest}", image.manifest, manifest_type)
        entries.append((image, {"os": "linux", "architecture": architecture}))
    index = make_index(entries)
    put(registry, f"{name}/manifests/v1", index, json.loads(index)["mediaType"])


def registry_upload(registry: RealRegistry, name: str, digest: str, data: bytes) -> None:
    host, _, port = registry.host.partition(":")
    with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
        connection.request("POST", f"/v2/{name}/blobs/uploads/")
        answer = connection.getresponse()
        answer.read()
        place = answer.headers["Location"].partition(registry.host)[2]
        connection.request("PUT", f"{place}&digest={digest}", data)
        answer = connection.getresponse()
        answer.read()
    assert answer.status == 201


async def test_image_for_another_platform_is_made_of_that_platforms_base(pair: Pair) -> None:
    fill_platforms(pair.registry, pair.key("multi"))
    multi = pair.name("multi:v1")
    text = f"FROM {multi}\nARG TARGETPLATFORM\nLABEL for=$TARGETPLATFORM\nCOPY src/a /a\n"
    await pair.second.build(text, FILES, platform=f"linux/{FOREIGN}")
    config = pair.second.image().config
    assert (config.architecture, config.config.labels) == (FOREIGN, {"for": f"linux/{FOREIGN}"})
    assert pair.second.read("/which") == FOREIGN
    await pair.second.build(text, FILES)
    assert pair.second.image().config.architecture == host_architecture()
    assert pair.second.read("/which") == host_architecture()


async def test_cross_build_runs_here_and_copies_into_the_other_platform(pair: Pair) -> None:
    fill_platforms(pair.registry, pair.key("multi"))
    text = f"""
FROM --platform=$BUILDPLATFORM {pair.base} AS builder
ARG TARGETARCH BUILDARCH
RUN echo "$BUILDARCH makes $TARGETARCH" > /made
FROM {pair.name("multi:v1")}
COPY --from=builder /made /made
"""
    await pair.second.build(text, platform=f"linux/{FOREIGN}")
    assert pair.second.image().config.architecture == FOREIGN
    assert pair.second.read("/made") == f"{host_architecture()} makes {FOREIGN}\n"


async def test_command_of_another_platform_is_refused_where_nothing_runs_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pinnace.build.emulation.HANDLERS", tmp_path)
    monkeypatch.setattr("pinnace.build.emulation.check_runnable.__defaults__", (tmp_path,))
    fill_platforms(pair.registry, pair.key("multi"))
    with pytest.raises(UserError, match=f"commands of linux/{FOREIGN} can't run on this machine") as caught:
        await pair.second.build(f"FROM --platform=linux/{FOREIGN} {pair.name('multi:v1')}\nRUN true\n")
    assert caught.value.where == "Dockerfile:2: RUN true"
    assert "qemu-user-static" in caught.value.hint


# --- results ------------------------------------------------------------------------------------------------------------


@needs_skopeo
async def test_result_is_pushed_under_all_its_names(pair: Pair) -> None:
    told = Told()
    names = [pair.name(name) for name in ("app:v1", "app:v2")]
    wanted = (Wanted(type="image", push=True, names=(names[1],)),)
    built = await pair.first.build(f'FROM {pair.base}\nCMD ["x"]\n', told=told, name=names[0], outputs=wanted)
    assert built.names == tuple(names)
    assert (
        pair.registry.inspect(pair.key("app:v1"))["Digest"]
        == pair.registry.inspect(pair.key("app:v2"))["Digest"]
        == built.manifest
    )
    pushed = [one.reference for one in told.news if isinstance(one, PushNews) and one.state == "done"]
    assert pushed == names


def inspect(name: str, *flags: str) -> Any:
    words = ["skopeo", "inspect", *flags, name]
    return json.loads(subprocess.run(words, capture_output=True, check=True, timeout=60).stdout)


@needs_skopeo
async def test_annotations_stand_in_the_manifest(pair: Pair) -> None:
    taker = Taker(pair.first)
    name = pair.name("app:v1")
    wanted = (Wanted(type="image", push=True), Wanted(type="oci"))
    text = f"FROM {pair.base}\nLABEL x=y\n"
    for value in ("1", "2"):  # also where the image was pushed before
        told = {"org.example.b": value, "a": "x"}
        built = await pair.first.build(text, told=taker, name=name, outputs=wanted, annotations=told)
        manifest = json.loads(pair.registry.manifest(pair.key("app:v1")))
        assert manifest["annotations"] == told
        with tarfile.open(fileobj=io.BytesIO(taker.taken[1])) as archive:
            index = json.load(archive.extractfile("index.json") or io.BytesIO())
            digits = index["manifests"][0]["digest"].removeprefix("sha256:")
            inside = json.load(archive.extractfile(f"blobs/sha256/{digits}") or io.BytesIO())
        assert inside["annotations"] == told
    assert built.manifest == pair.registry.inspect(pair.key("app:v1"))["Digest"]


@needs_skopeo
@pytest.mark.parametrize(("kind", "scheme"), [("oci", "oci-archive"), ("docker", "docker-archive")])
@pytest.mark.parametrize("compression", ["", "zstd"])
async def test_archive_is_one_that_skopeo_reads(
    pair: Pair, tmp_path: Path, kind: Any, scheme: str, compression: Any
) -> None:
    taker = Taker(pair.first)
    text = f'FROM {pair.base}\nCOPY src/a /a\nCMD ["x"]\n'
    wanted = (Wanted(type=kind, names=("app:v1",), compression=compression),)
    built = await pair.first.build(text, FILES, told=taker, name="", outputs=wanted)
    (tmp_path / "a.tar").write_bytes(taker.taken[0])
    found = inspect(f"{scheme}:{tmp_path}/a.tar", "--config")
    assert found["config"]["Cmd"] == ["x"]
    assert len(found["rootfs"]["diff_ids"]) == 2
    assert not built.is_stored
    assert pair.first.images.resolve("app:v1") is None
    if kind == "oci":
        assert inspect(f"{scheme}:{tmp_path}/a.tar")["Digest"] == built.manifest
        assert "manifest.json" not in taker.names(0)


async def test_engine_of_docker_loads_the_archive(pair: Pair, tmp_path: Path) -> None:
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("dockerd is not installed")
    taker = Taker(pair.first)
    wanted = (Wanted(type="docker"),)
    text = f'FROM {pair.base}\nCOPY src/a /a\nCMD ["x"]\n'
    built = await pair.first.build(text, FILES, told=taker, name="loaded:v1", outputs=wanted)
    (tmp_path / "a.tar").write_bytes(taker.taken[0])
    with docker_engine() as docker:
        assert "Loaded image: loaded:v1" in docker("load", "-i", str(tmp_path / "a.tar"))
        found = json.loads(docker("inspect", "loaded:v1"))[0]
    assert (found["Id"], found["Config"]["Cmd"]) == (built.image, ["x"])


async def test_files_of_the_result_are_those_that_a_container_sees(pair: Pair) -> None:
    taker = Taker(pair.first)
    text = f"FROM {pair.base} AS b\nRUN mkdir /d && echo x > /d/gone && echo y > /d/kept\nRUN rm /d/gone\nFROM scratch\nCOPY --from=b /d /d\n"
    await pair.first.build(text, told=taker, name="", outputs=(Wanted(type="local"), Wanted(type="tar")))
    assert taker.names(0) == ["d", "d/kept"]
    assert taker.taken[0] == taker.taken[1]
    taker = Taker(pair.first)
    await pair.first.build("FROM scratch\n", told=taker, name="", outputs=(Wanted(type="tar"),))
    assert taker.names(0) == []


async def test_output_that_nobody_takes_whole_ends_the_build(pair: Pair) -> None:
    class Leaver(Told):
        def __call__(self, one: News) -> None:
            super().__call__(one)
            if isinstance(one, Offered):
                self.task = asyncio.create_task(self._leave(one.token))

        async def _leave(self, token: str) -> None:
            stream = pair.first.builder.exports.take(token)
            await anext(stream)
            await stream.aclose()
            with pytest.raises(ApiError):
                await anext(pair.first.builder.exports.take(token))

    told = Leaver()
    with pytest.raises(UserError, match="went away"):
        await pair.first.build(f"FROM {pair.base}\n", told=told, outputs=(Wanted(type="tar"),))
    await told.task


# --- one tree, one digest -----------------------------------------------------------------------------------------------


async def test_two_builds_of_one_tree_on_two_instances_give_one_digest(pair: Pair) -> None:
    text = (
        TWO_STAGES
        + "RUN date > /dev/null; touch /app/now; mkdir -p /app/d/e; ln /app/now /app/d/link; ln -s x /app/l\n"
    )
    text = text.format(base=pair.base) + "WORKDIR /work/deep\nENV A=1\n"
    args = {"SOURCE_DATE_EPOCH": str(EPOCH)}
    wanted = (Wanted(type="image", push=True),)
    found: list[Built] = []
    for number, world in enumerate((pair.first, pair.second)):
        if number:
            await asyncio.sleep(1.1)  # the clock's second is another one
        name = pair.name(f"app{number}:v1")
        found.append(await world.build(text, FILES, name=name, build_args=args, outputs=wanted))
    assert found[0].cached == found[1].cached == 0
    assert found[0].image == found[1].image
    assert found[0].manifest == found[1].manifest
    image = pair.first.image(pair.name("app0:v1"))
    assert image.config.created == "2023-11-14T22:13:20.000000Z"
    for layer in pair.first.images.catalog.layers(image.config)[1:]:
        for folder, names, files in os.walk(pair.first.images.layers.tree(layer)):
            for one in (*names, *files):
                assert os.lstat(os.path.join(folder, one)).st_mtime <= EPOCH
    plain = await pair.first.build(text, FILES, name="plain:v1")
    assert plain.image != found[0].image


# --- caches -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["min", "max"])
async def test_cache_of_a_registry_makes_a_fresh_instance_hit(pair: Pair, mode: Any) -> None:
    text = TWO_STAGES.format(base=pair.base)
    first = await pair.first.build(text, FILES, cache_to=(pair.place("cache:v1", mode=mode),))
    told = Told()
    second = await pair.second.build(text, FILES, told=told, cache_from=(pair.place("cache:v1"),))
    assert (second.cached, second.steps) == (4, 4)
    assert second.image == first.image
    assert pair.second.read("/app/run") == "run\n"
    assert told.warnings == []
    # the debris of the builder was never fetched: nothing was done on top of it
    assert len(pair.second.images.layers.all()) == 3
    told = Told()
    again = await pair.second.build(text, FILES, told=told)  # what came is this instance's own now
    assert (told.steps("done"), again.image) == (told.steps("done"), first.image)
    assert len(told.steps("cached")) >= 2


async def test_miss_above_a_cached_layer_fetches_just_what_it_needs(pair: Pair) -> None:
    text = TWO_STAGES.format(base=pair.base)
    await pair.first.build(text, FILES, cache_to=(pair.place("cache:v1", mode="max"),))
    changed = text.replace("echo run", "echo other")
    told = Told()
    built = await pair.second.build(changed, FILES, told=told, cache_from=(pair.place("cache:v1"),))
    assert (built.cached, told.steps("done")) == (3, ["RUN echo other > /app/run"])
    assert pair.second.read("/app/run") == "other\n"
    assert len(pair.second.images.layers.all()) == 3  # base, /app/made, /app/run


async def test_cache_that_lacks_a_layer_which_is_needed_is_used_as_far_as_it_goes(pair: Pair) -> None:
    text = TWO_STAGES.format(base=pair.base)
    await pair.first.build(text, FILES, cache_to=(pair.place("cache:v1", mode="min"),))
    changed = text.replace("COPY --from=builder /made /app/made", "COPY --from=builder /debris /app/debris")
    told = Told()
    built = await pair.second.build(changed, FILES, told=told, cache_from=(pair.place("cache:v1"),))
    assert pair.second.read("/app/debris") == "debris\n"
    assert told.warnings == []
    assert built.cached == 0


async def test_folder_holds_a_cache_too(pair: Pair, tmp_path: Path) -> None:
    taker = Taker(pair.first)
    text = TWO_STAGES.format(base=pair.base)
    place = CachePlace(type="local", path=str(tmp_path), mode="max")
    first = await pair.first.build(text, FILES, told=taker, cache_to=(place,))
    with tarfile.open(fileobj=io.BytesIO(taker.taken[0])) as archive:
        archive.extractall(tmp_path, filter="data")
    second = await pair.second.build(text, FILES, cache_from=(place,))
    assert (second.cached, second.image) == (4, first.image)
    assert pair.second.read("/app/run") == "run\n"


async def test_stage_is_done_anew_where_others_are_cached(pair: Pair) -> None:
    text = TWO_STAGES.format(base=pair.base)
    await pair.first.build(text, FILES)
    told = Told()
    await pair.first.build(text, FILES, told=told, no_cache_stages=("BUILDER",))
    assert told.steps("done") == ["COPY src /src", "RUN cat /src/a > /made && echo debris > /debris"]
    assert told.steps("cached") == ["COPY --from=builder /made /app/made", "RUN echo run > /app/run"]


async def test_image_carries_its_own_cache(pair: Pair) -> None:
    text = TWO_STAGES.format(base=pair.base)
    name = pair.name("app:v1")
    wanted = (Wanted(type="image", push=True),)
    await pair.first.build(text, FILES, name=name, outputs=wanted, cache_to=(CachePlace(type="inline"),))
    second = await pair.second.build(text, FILES, cache_from=(pair.place("app:v1"),))
    assert second.cached == 4
    assert pair.second.read("/app/run") == "run\n"


@pytest.mark.parametrize("what", ["nothing", "an image"])
async def test_cache_that_is_none_is_told_and_left_out(pair: Pair, what: str) -> None:
    place = CachePlace(type="registry", ref=pair.base) if what == "an image" else pair.place("cache:v1")
    await build_without(pair, place)


@pytest.mark.parametrize("what", ["gone", "another"])
async def test_cache_whose_layers_are_no_good_is_told_and_left_out(
    instance: Instance, busybox_root: Path, tmp_path: Path, what: str
) -> None:
    with real_registry(tmp_path) as registry:
        await push_base(registry, busybox_root, tmp_path)
        async with make_pair(instance, registry) as pair:
            place = pair.place("cache:v1", mode="max")
            await pair.first.build(TWO_STAGES.format(base=pair.base), FILES, cache_to=(place,))
            for layer in json.loads(registry.manifest(pair.key("cache:v1")))["layers"]:
                blob = next(registry.folder.rglob(f"{layer['digest'].removeprefix('sha256:')}/data"))
                if what == "gone":
                    blob.unlink()
                else:
                    blob.write_bytes(b"\0" * blob.stat().st_size)
            await build_without(pair, place)


async def build_without(pair: Pair, place: CachePlace) -> None:
    """Build with a cache that is of no use, which must be told, and change nothing else."""
    told = Told()
    text = TWO_STAGES.format(base=pair.base)
    built = await pair.second.build(text, FILES, told=told, cache_from=(place,))
    assert len([one for one in told.warnings if "is left out" in one]) == 1
    assert built.cached == 0
    assert pair.second.read("/app/run") == "run\n"


async def test_cache_that_can_not_be_written_fails_the_build_unless_that_does_not_matter(pair: Pair) -> None:
    nowhere = CachePlace(type="registry", ref="127.0.0.1:9/cache:v1")
    with pytest.raises(PinnaceError):
        await pair.first.build(f"FROM {pair.base}\nRUN true\n", cache_to=(nowhere,))
    told = Told()
    place = CachePlace(type="registry", ref="127.0.0.1:9/cache:v1", ignore_error=True)
    await pair.first.build(f"FROM {pair.base}\nRUN true\n", told=told, cache_to=(place,))
    assert [one for one in told.warnings if one.startswith("--cache-to 127.0.0.1:9/cache:v1: ")]
