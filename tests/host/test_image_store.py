"""The image store with real mounts: import, sharing, layers, removal, crashes. Everything stands in a temporary directory."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zstandard

from pinnace.base import spawn
from pinnace.base.errors import ApiError, Bug, HostError, Reason, UserError
from pinnace.image import mounts
from pinnace.image.names import MemoryNames
from pinnace.image.removal import Use
from pinnace.image.store import ImageStore
from pinnace.image.views import Image
from pinnace.oci.config import ContainerConfig, ImageConfig, RootFs
from pinnace.oci.digest import digest_of, hex_of
from pinnace.oci.manifest import Descriptor


class Instance:
    """A store that can be ended and started again, as the daemon is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = MemoryNames()
        self.store = ImageStore(root, self.names)

    async def restart(self) -> ImageStore:
        await self.store.close()
        self.store = ImageStore(self.root, self.names)
        await self.store.start()
        return self.store

    def files(self, place: str) -> list[str]:
        return sorted(os.listdir(self.root / place))


@pytest.fixture
async def instance(tmp_path: Path) -> AsyncIterator[Instance]:
    made = Instance(tmp_path / "images")
    await made.store.start()
    try:
        yield made
    finally:
        await made.store.wipe()
        await made.store.close()
        assert made.store.workers.count == 0
        assert mounts.mounts_below(str(tmp_path)) == ()


@pytest.fixture
async def store(instance: Instance) -> ImageStore:
    return instance.store


def rootfs_tar(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in ({"etc/os-release": "ID=test"} | files).items():
            info = tarfile.TarInfo("./" + name.replace("__", "/"))
            info.size, info.mode = len(text), 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


async def stream(data: bytes, size: int = 700) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[at : at + size]


async def base(store: ImageStore, name: str = "base:v1", **files: str) -> Image:
    return await store.import_tar(stream(rootfs_tar(**files)), name, ['CMD ["sh"]', "ENV A=1"])


async def derived(store: ImageStore, below: Image, name: str, **files: str) -> Image:
    """Make an image with one layer more, as a build step does."""
    layers = store.catalog.layers(below.config)
    mounted = await store.mount_stack(layers, "step")
    for file, text in files.items():
        (mounted.path / file).write_text(text)
    layer = await store.commit_stack("step")
    return await store.write_image(below.config, (*layers, layer), name)


# --- import ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd", "file"])
async def test_a_root_file_system_is_imported(store: ImageStore, tmp_path: Path, packing: str) -> None:
    data = rootfs_tar(hello="world")
    packed = {"gzip": gzip.compress(data), "zstd": zstandard.compress(data)}.get(packing, data)
    source: object = stream(packed)
    if packing == "file":
        source = tmp_path / "rootfs.tar"
        source.write_bytes(packed)  # type: ignore[attr-defined]
    image = await store.import_tar(source, "my-base:v1", ['CMD ["sh"]', "EXPOSE 80"])  # type: ignore[arg-type]
    assert image.familiar == "my-base:v1"
    assert image.config.config == ContainerConfig(cmd=("sh",), exposed_ports={"80/tcp": {}})
    rootfs = await store.rootfs(image.id, "c1")
    assert (rootfs.path / "hello").read_text() == "world"
    assert store.rows()[0].repository == "my-base"
    assert store.inspect("my-base:v1")["Id"] == image.id


async def test_the_same_archive_is_one_layer(store: ImageStore, instance: Instance) -> None:
    first = await base(store, "a:1")
    second = await base(store, "b:1")
    assert first.config.rootfs == second.config.rootfs
    assert len(instance.files("layers")) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"no archive" * 200, "damaged header"),
        (rootfs_tar()[:800], "cut off after"),
        (gzip.compress(rootfs_tar())[:-20], "cut off"),
    ],
    ids=["noise", "half a tar", "half a gzip"],
)
async def test_a_bad_archive_leaves_nothing(
    store: ImageStore, instance: Instance, data: bytes, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        await store.import_tar(stream(data), "bad:v1")
    await store.trash.settled()
    assert [instance.files(place) for place in ("layers", "ingest", "trash", "blobs/sha256")] == [
        [],
        [],
        [],
        [],
    ]
    assert store.resolve("bad:v1") is None


async def test_a_missing_file_is_said(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.tar can't be read: No such file"):
        await store.import_tar(tmp_path / "nothing.tar", "x:v1")


async def test_a_sender_that_fails_leaves_nothing(store: ImageStore, instance: Instance) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield rootfs_tar()[:1000]
        raise UserError("the client has gone")

    with pytest.raises(UserError, match="the client has gone"):
        await store.import_tar(breaks(), "bad:v1")
    await store.trash.settled()
    assert instance.files("ingest") == []


async def test_a_cancelled_import_leaves_nothing_and_the_next_one_works(
    store: ImageStore, instance: Instance
) -> None:
    waiting = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield rootfs_tar()[:1000]
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.import_tar(stalls(), "x:v1"))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.trash.settled()
    assert instance.files("ingest") == []
    assert store.workers.count == 0
    await base(store)


# --- root filesystems ------------------------------------------------------------------------------------------------


async def test_three_containers_share_their_images_layers(store: ImageStore, instance: Instance) -> None:
    image = await base(store, file="same")
    made = [await store.rootfs(image.id, f"c{n}") for n in range(3)]
    (made[0].path / "file").write_text("mine")
    (made[1].path / "file").unlink()
    assert (made[2].path / "file").read_text() == "same"
    assert {rootfs.plan.lowers for rootfs in made} == {
        (str(instance.root / "layers" / hex_of(image.config.rootfs.diff_ids[0]) / "diff"),)
    }
    assert made[0].upper is not None and (made[0].upper / "file").read_text() == "mine"


async def test_mounting_and_releasing_twice_is_once(store: ImageStore, instance: Instance) -> None:
    image = await base(store)
    first, second = await asyncio.gather(store.rootfs("base:v1", "c1"), store.rootfs(image.id, "c1"))
    assert first == second
    assert mounts.mounts_below(str(instance.root)) == (str(first.path),)
    await asyncio.gather(store.release("c1"), store.release("c1"))
    await store.release("never-there")
    assert instance.files("rootfs") == []


async def test_a_root_filesystem_survives_the_daemon(store: ImageStore, instance: Instance) -> None:
    image = await base(store)
    rootfs = await store.rootfs(image.id, "c1")
    await store.rootfs(image.id, "c2")
    (rootfs.path / "kept").write_text("1")
    store = await instance.restart()
    assert store.roots.mounted() == {"c1", "c2"}
    assert (await store.rootfs(image.id, "c1")) == rootfs
    assert (rootfs.path / "kept").read_text() == "1"
    assert await store.release_all_but(["c1"]) == ("c2",)


@pytest.mark.parametrize("volatile", [False, True])
async def test_a_root_filesystem_is_mounted_again_after_the_machine_stopped(
    store: ImageStore, instance: Instance, volatile: bool
) -> None:
    image = await base(store)
    rootfs = await store.rootfs(image.id, "c1", volatile=volatile)
    (rootfs.path / "kept").write_text("1")
    mounts.unmount(str(rootfs.path))
    record = instance.root / "rootfs/c1/plan.json"
    text = record.read_text()
    record.write_text(
        text.replace(store.roots.records()[0].boot_id or "", "another-boot") if volatile else text
    )
    store = await instance.restart()
    assert store.roots.mounted() == frozenset()
    again = await store.rootfs(image.id, "c1", volatile=volatile)
    assert (
        again.path / "kept"
    ).exists() is not volatile  # nobody knows what of a volatile one reached the disk


async def test_one_id_is_one_root_filesystem(store: ImageStore) -> None:
    one, other = await base(store, "a:1"), await base(store, "b:1", more="files")
    await store.rootfs(one.id, "c1")
    with pytest.raises(Bug, match="already there with other layers"):
        await store.rootfs(other.id, "c1")
    with pytest.raises(Bug, match="can't name"):
        await store.rootfs(one.id, "../c1")


async def test_an_image_of_128_layers_is_mounted(store: ImageStore) -> None:
    image = await base(store)
    layers = list(store.catalog.layers(image.config))
    for number in range(127):
        path = store.layers.begin_tree()
        (path / "diff" / f"f{number}").write_text("")
        layer = type(layers[0])(
            diff_id=digest_of(b"%d" % number), key=digest_of(b"%d" % number), size=0, tar_size=0, entries=1
        )
        store.layers.place(path, layer)
        store.layers.register(layer)
        layers.append(layer)
    rootfs = await store.mount_stack(layers, "tall")
    assert len(list(rootfs.path.iterdir())) == 128
    with pytest.raises(UserError, match="129 layers"):
        await store.mount_stack([*layers, layers[0]], "taller")


async def test_an_image_without_layers_is_an_empty_root(store: ImageStore) -> None:
    image = await store.write_image(
        ImageConfig(architecture="amd64", os="linux", rootfs=RootFs()), (), "scratch:v1"
    )
    rootfs = await store.rootfs(image.id, "c1")
    (rootfs.path / "new").write_text("1")
    assert os.listdir(rootfs.path) == ["new"]


async def test_a_read_only_stack_can_be_read_only(store: ImageStore) -> None:
    image = await base(store)
    mounted = await store.mount_stack(store.catalog.layers(image.config), "look", read_only=True)
    assert (mounted.path / "etc/os-release").exists() and mounted.upper is None
    with pytest.raises(OSError, match="Read-only"):
        (mounted.path / "x").write_text("")


# --- layers ----------------------------------------------------------------------------------------------------------


async def test_a_layer_holds_what_was_changed(store: ImageStore, instance: Instance) -> None:
    below = await base(store, a="1", b="2", dir__one="1", dir__two="2")
    layers = store.catalog.layers(below.config)
    mounted = await store.mount_stack(layers, "step")
    (mounted.path / "a").write_text("changed")
    (mounted.path / "b").unlink()
    (mounted.path / "dir/one").unlink()
    (mounted.path / "dir/two").unlink()
    (mounted.path / "dir").rmdir()
    (mounted.path / "dir").mkdir()
    (mounted.path / "dir/three").write_text("3")
    layer = await store.commit_stack("step")
    image = await store.write_image(below.config, (*layers, layer), "changed:v1")
    rootfs = await store.rootfs(image.id, "c1")
    assert (rootfs.path / "a").read_text() == "changed"
    assert not (rootfs.path / "b").exists()
    assert os.listdir(rootfs.path / "dir") == ["three"]
    blob = await store.blob_of(layer, "gzip")
    with tarfile.open(store.blobs.path(blob.digest)) as tar:
        assert tar.getnames() == ["a", ".wh.b", "dir", "dir/.wh..wh..opq", "dir/three"]
    assert instance.files("rootfs") == ["c1"]


async def test_the_diff_id_is_the_digest_of_the_unpacked_blob(store: ImageStore) -> None:
    image = await base(store, big="x" * 3_000_000)
    (layer,) = store.catalog.layers(image.config)
    blob = await store.blob_of(layer, "zstd")
    unpacked = (await spawn.run(["zstd", "-dcq", str(store.blobs.path(blob.digest))])).stdout
    assert digest_of(unpacked) == image.config.rootfs.diff_ids[0]
    assert digest_of(store.blobs.path(blob.digest).read_bytes()) == blob.digest
    assert await store.blob_of(store.catalog.layers(image.config)[0], "zstd") == blob


async def test_a_running_containers_changes_are_copied_into_a_layer(store: ImageStore) -> None:
    image = await base(store)
    rootfs = await store.rootfs(image.id, "c1")
    (rootfs.path / "new").write_text("1")
    (rootfs.path / "etc/os-release").unlink()
    assert rootfs.upper is not None
    layer = await store.commit_layer(rootfs.upper, move=False)
    committed = await store.write_image(
        image.config, (*store.catalog.layers(image.config), layer), "committed:v1"
    )
    assert (rootfs.path / "new").exists()
    other = await store.rootfs(committed.id, "c2")
    assert (other.path / "new").read_text() == "1" and not (other.path / "etc/os-release").exists()


async def test_a_layer_from_elsewhere_is_verified_and_takes_missing_directories_from_below(
    store: ImageStore,
) -> None:
    below = await base(store)
    mounted = await store.mount_stack(store.catalog.layers(below.config), "step")
    (mounted.path / "tmp").mkdir()
    (mounted.path / "tmp").chmod(0o1777)
    first = await store.commit_stack("step")
    data = rootfs_tar(tmp__x="1")
    packed = gzip.compress(data)
    blob = Descriptor(
        media_type="application/vnd.oci.image.layer.v1.tar+gzip",
        digest=store.blobs.write(packed),
        size=len(packed),
    )
    diff_ids = (*below.config.rootfs.diff_ids, first.diff_id, digest_of(data))
    with pytest.raises(UserError, match="but the image's configuration says"):
        await store.ingest.unpack_layer(blob, (*diff_ids[:-1], digest_of(b"other")))
    layer = await store.ingest.unpack_layer(blob, diff_ids)
    assert (layer.own, layer.blob, layer.key != layer.diff_id) == (False, blob, True)
    assert store.layers.stack(diff_ids)[-1] == layer
    assert (store.layers.tree(layer) / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert await store.ingest.unpack_layer(blob, diff_ids) == layer


async def test_what_was_not_on_disk_when_the_machine_stopped_is_not_used(
    store: ImageStore, instance: Instance
) -> None:
    image = await base(store, a="1")
    layers = store.catalog.layers(image.config)
    await store.mount_stack(layers, "step")
    (instance.root / "rootfs/step/merged/new").write_text("1")
    loose = await store.commit_stack("step")
    marker = instance.root / "layers" / hex_of(loose.key) / "unsynced"
    assert marker.exists() and not (instance.root / "layers" / hex_of(layers[0].key) / "unsynced").exists()
    assert (await instance.restart()).layers.find(loose.diff_id) is not None  # only the daemon ended
    marker.write_text("another-boot")
    store = await instance.restart()
    assert store.layers.find(loose.diff_id) is None
    assert store.layers.find(layers[0].diff_id) is not None


# --- names, removal, collection --------------------------------------------------------------------------------------


async def test_an_image_is_found_by_name_id_and_start_of_id(store: ImageStore) -> None:
    image = await base(store, "base:v1")
    await store.tag("base:v1", "ghcr.io/me/base")
    for text in (
        "base:v1",
        "docker.io/library/base:v1",
        "ghcr.io/me/base:latest",
        image.id,
        hex_of(image.id),
        hex_of(image.id)[:12],
    ):
        found = store.resolve(text)
        assert found is not None and found.id == image.id
    assert store.resolve("base") is None
    with pytest.raises(ApiError, match="No such image: other:latest") as missing:
        store.require("other")
    assert missing.value.reason is Reason.NOT_FOUND


async def test_a_name_that_moves_leaves_a_nameless_image_that_prune_removes(
    store: ImageStore, instance: Instance
) -> None:
    old = await base(store, "web:v1", a="1")
    new = await base(store, "web:v1", a="2")
    assert {(image.id, image.references != ()) for image in store.list()} == {(old.id, False), (new.id, True)}
    removal = await store.prune(in_use=lambda image_id: [Use("c" * 64, False)])
    assert removal.deleted == ()
    removal = await store.prune()
    assert set(removal.deleted) == {old.id, old.config.rootfs.diff_ids[0]}
    await store.trash.settled()
    assert instance.files("layers") == [hex_of(new.config.rootfs.diff_ids[0])]
    assert [image.id for image in store.list()] == [new.id]


async def test_a_nameless_image_that_gets_a_name_is_listed_once(store: ImageStore) -> None:
    image = await store.import_tar(stream(rootfs_tar()), None)
    assert store.rows()[0].repository == "<none>"
    await store.tag(image.id, "now:named")
    assert [(row.repository, row.tag) for row in store.rows()] == [("now", "named")]


async def test_removing_an_image_leaves_the_layers_that_others_use(
    store: ImageStore, instance: Instance
) -> None:
    one = await base(store, "base:v1")
    two = await derived(store, one, "app:v1", new="file")
    assert (await store.remove("base:v1")).deleted == (one.id,)
    assert len(instance.files("layers")) == 2
    removal = await store.remove(two.id)
    assert removal.untagged == ("app:v1",)
    assert set(removal.deleted) == {two.id, *two.config.rootfs.diff_ids}
    await store.trash.settled()
    assert (instance.files("layers"), instance.files("blobs/sha256"), store.list()) == ([], [], ())


async def test_a_used_image_is_not_removed_and_its_layers_never(
    store: ImageStore, instance: Instance
) -> None:
    image = await base(store)
    rootfs = await store.rootfs(image.id, "c1")

    def in_use(image_id: str) -> list[Use]:
        return [Use("c1", True)] if image_id == image.id else []

    with pytest.raises(ApiError, match="container c1 is using its referenced image"):
        await store.remove("base:v1", in_use=in_use)
    removal = await store.remove("base:v1", in_use=in_use, force=True)
    assert (removal.untagged, removal.deleted) == (("base:v1",), ())
    await store.remove(image.id)  # even where somebody forgets to say that it is in use
    assert (rootfs.path / "etc/os-release").exists()
    await store.release("c1")
    removed, _ = await store.collect()
    assert set(removed) == {image.id, *image.config.rootfs.diff_ids}


async def test_what_a_lease_or_a_cache_holds_is_kept(store: ImageStore) -> None:
    image = await base(store)
    layers = store.catalog.layers(image.config)
    with store.lease("build") as lease:
        await store.mount_stack(layers, "one")
        one = await store.commit_stack("one", lease=lease)  # an empty layer
        await store.mount_stack(layers, "two")
        (store.roots.find("two").path / "f").write_text("2")  # type: ignore[union-attr]
        two = await store.commit_stack("two", lease=lease)
        assert one.is_empty and not two.is_empty
        assert await store.collect() == ((), 0)
    cached = {two.key}
    store.add_roots(lambda: cached)
    assert (await store.collect())[0] == (one.key,)
    cached.clear()
    assert (await store.collect())[0] == (two.key,)
    assert store.resolve("base:v1") is not None


# --- damage ----------------------------------------------------------------------------------------------------------


async def test_a_damaged_configuration_is_reported_and_does_not_hide_the_others(
    store: ImageStore, instance: Instance
) -> None:
    bad, good = await base(store, "bad:v1", a="1"), await base(store, "good:v1")
    path = store.blobs.path(bad.id)
    path.chmod(0o600)
    path.write_text("{}")
    store = await instance.restart()
    assert [image.id for image in store.list()] == [good.id]
    with pytest.raises(HostError, match="is damaged"):
        store.require("bad:v1")


async def test_a_missing_layer_is_named_with_what_to_do(store: ImageStore, instance: Instance) -> None:
    image = await base(store)
    os.rename(instance.root / "layers" / hex_of(image.config.rootfs.diff_ids[0]), instance.root / "away")
    store = await instance.restart()
    with pytest.raises(ApiError, match="is not in the image store") as missing:
        await store.rootfs(image.id, "c1")
    assert "import" in missing.value.hint


async def test_what_a_crash_left_half_done_is_cleared_at_start(store: ImageStore, instance: Instance) -> None:
    (instance.root / "ingest/layer-1-1/diff").mkdir(parents=True)
    (instance.root / "rootfs/half/upper").mkdir(parents=True)
    (instance.root / "trash/old").mkdir()
    store = await instance.restart()
    await store.trash.settled()
    assert [instance.files(place) for place in ("ingest", "rootfs", "trash")] == [[], [], []]


async def test_blobs_are_verified_while_they_are_written(store: ImageStore, instance: Instance) -> None:
    with (
        pytest.raises(UserError, match="has the digest"),
        store.blobs.begin(digest_of(b"expected")) as writer,
    ):
        writer.write(b"something else")
        writer.commit()
    with (
        pytest.raises(UserError, match="larger than the 3 bytes"),
        store.blobs.begin(digest_of(b"abcd"), 3) as writer,
    ):
        writer.write(b"abcd")
    assert instance.files("blobs/sha256") == instance.files("ingest") == []
    assert store.blobs.read(store.blobs.write(b"data")) == b"data"


async def test_a_commit_that_is_cancelled_at_any_moment_leaves_nothing_half_made(store: ImageStore) -> None:
    for turn in range(60):
        rootfs = await store.mount_stack((), f"step-{turn}")
        (rootfs.path / "f").write_text(str(turn))
        committing = asyncio.ensure_future(store.commit_stack(f"step-{turn}"))
        await asyncio.sleep(turn * 0.0003)
        committing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await committing
        assert os.listdir(store.layers._layout.ingest) == []
    assert store.roots.records() == ()
