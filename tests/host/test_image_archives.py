"""`save` and `load`, with skopeo as the other side where it is installed."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from pinnace.base import spawn
from pinnace.base.errors import ApiError, UserError
from pinnace.image import mounts
from pinnace.image.names import MemoryNames
from pinnace.image.recipe import recipe_of
from pinnace.image.store import ImageStore
from pinnace.image.views import Image
from pinnace.oci.digest import digest_of

needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


async def make_store(root: Path) -> AsyncIterator[ImageStore]:
    made = ImageStore(root, MemoryNames())
    await made.start()
    try:
        yield made
    finally:
        await made.wipe()
        await made.close()
        assert mounts.mounts_below(str(root)) == ()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    async for made in make_store(tmp_path / "one"):
        yield made


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[ImageStore]:
    async for made in make_store(tmp_path / "other"):
        yield made


def tar_of(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return buffer.getvalue()


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def two_layers(store: ImageStore) -> Image:
    base = await store.import_tar(stream(tar_of({"a": b"1", "b": b"x" * 300_000})), "base:v1", ['CMD ["sh"]'])
    layers = store.catalog.layers(base.config)
    step = await store.mount_stack(layers, "step")
    (step.path / "a").unlink()
    (step.path / "c").write_text("3")
    layer = await store.commit_stack("step")
    return await store.write_image(base.config, (*layers, layer), "ghcr.io/me/app:v2")


async def save(store: ImageStore, texts: Sequence[str], target: Path) -> Path:
    with target.open("wb") as file:
        async for data in store.save(texts):
            file.write(data)
    return target


async def test_what_is_saved_and_loaded_is_the_same_image(
    store: ImageStore, other: ImageStore, tmp_path: Path
) -> None:
    app = await two_layers(store)
    archive = await save(store, ["ghcr.io/me/app:v2", "base:v1"], tmp_path / "images.tar")
    loaded = await other.load(archive)
    assert [image.familiar for image in loaded] == ["ghcr.io/me/app:v2", "base:v1"]
    assert loaded[0].id == app.id
    assert list(other.blobs.list()) and all(layer.blob is None for layer in other.layers.all())
    rootfs = await other.rootfs("ghcr.io/me/app:v2", "c1")
    assert sorted(path.name for path in rootfs.path.iterdir()) == ["b", "c"]
    again = await save(other, ["ghcr.io/me/app:v2", "base:v1"], tmp_path / "again.tar")
    assert again.read_bytes() == archive.read_bytes()
    assert not list((tmp_path / "other/ingest").iterdir())


@needs_skopeo
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
async def test_skopeo_takes_what_is_saved(store: ImageStore, tmp_path: Path, form: str) -> None:
    app = await two_layers(store)
    archive = await save(store, ["ghcr.io/me/app:v2"], tmp_path / "app.tar")
    done = await spawn.run(["skopeo", "inspect", "--config", f"{form}:{archive}"])
    config = json.loads(done.stdout)
    assert config["rootfs"]["diff_ids"] == list(app.config.rootfs.diff_ids)
    await spawn.run(["skopeo", "--insecure-policy", "copy", f"{form}:{archive}", f"dir:{tmp_path}/copied"])


@needs_skopeo
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
@pytest.mark.parametrize("compress", [[], ["--dest-compress"]])
async def test_what_skopeo_writes_is_loaded(
    store: ImageStore, other: ImageStore, tmp_path: Path, form: str, compress: list[str]
) -> None:
    app = await two_layers(store)
    saved = await save(store, ["ghcr.io/me/app:v2"], tmp_path / "app.tar")
    target = f"{form}:{tmp_path}/theirs.tar:ghcr.io/me/app:v2"
    await spawn.run(["skopeo", "--insecure-policy", "copy", *compress, f"docker-archive:{saved}", target])
    (image,) = await other.load(tmp_path / "theirs.tar")
    assert (image.familiar, image.config.rootfs) == ("ghcr.io/me/app:v2", app.config.rootfs)
    rootfs = await other.rootfs(image.id, "c1")
    assert sorted(path.name for path in rootfs.path.iterdir()) == ["b", "c"]


def old_archive(layer: bytes, *, diff_id: str = "", links: dict[str, str] | None = None) -> bytes:
    """A docker-archive as Docker wrote it before 25."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id or digest_of(layer)]},
    }
    manifest = [{"Config": "cfg.json", "RepoTags": ["old:v1"], "Layers": ["abc/layer.tar"]}]
    members = {"cfg.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    return tar_of(members | ({"real/layer.tar": layer} if links else {"abc/layer.tar": layer}), links)


async def test_a_layer_that_is_not_our_own_tar_is_kept_as_it_came(other: ImageStore, tmp_path: Path) -> None:
    layer = tar_of({"z": b"1", "dir/a": b"2"})  # not in order, and a directory is not listed
    (image,) = await other.load(stream(old_archive(layer, links={"abc/layer.tar": "../real/layer.tar"})))
    (kept,) = other.layers.all()
    assert (image.familiar, kept.own, kept.diff_id) == ("old:v1", True, digest_of(layer))
    assert Path(recipe_of(str(other.layers.tree(kept)))).stat().st_size < 500
    archive = await save(other, ["old:v1"], tmp_path / "again.tar")
    await other.remove("old:v1")
    assert other.list() == ()
    (again,) = await other.load(archive)
    assert again.id == image.id


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (tar_of({"etc/passwd": b""}), "holds no images"),
        (old_archive(tar_of({"a": b"1"}), diff_id=digest_of(b"other")), "but the image's configuration says"),
        (old_archive(b"", links={"abc/layer.tar": "../gone"}), "lacks abc/layer.tar"),
        (old_archive(b"", links={"abc/layer.tar": "layer.tar"}), "loop of links"),
        (tar_of({"manifest.json": b"{"}), "manifest.json can't be read"),
        (tar_of({"index.json": b'{"schemaVersion":2,"manifests":[]}'})[:700], "cut off"),
    ],
)
async def test_a_bad_archive_leaves_nothing(
    other: ImageStore, tmp_path: Path, data: bytes, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        await other.load(stream(data))
    await other.trash.settled()
    assert (other.list(), other.layers.all(), list((tmp_path / "other/ingest").iterdir())) == ((), (), [])


async def test_saving_what_is_not_there_says_so_at_once(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="No such image"):
        await save(store, ["nothing:v1"], tmp_path / "x.tar")


async def test_a_reader_that_goes_away_leaves_nothing(store: ImageStore, tmp_path: Path) -> None:
    await two_layers(store)
    saving = store.save(["ghcr.io/me/app:v2"])
    assert await anext(saving)
    await saving.aclose()
    assert list((tmp_path / "one/ingest").iterdir()) == []
