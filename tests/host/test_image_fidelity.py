"""What a tree holds comes out of its layer again: read by GNU tar, by skopeo and by a real Docker engine, and back.

The engine runs only here, with folders of its own; where it isn't installed, GNU tar remains as the judge.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pinnace.base import spawn
from pinnace.image import mounts
from pinnace.image.names import MemoryNames
from pinnace.image.store import ImageStore
from pinnace.image.views import Image
from tests.host.test_image_archives import old_archive, save, stream
from tests.host.test_image_unpack import CAPABILITY

DOCKERD_START_S = 30.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    made = ImageStore(tmp_path / "images", MemoryNames())
    await made.start()
    try:
        yield made
    finally:
        await made.wipe()
        await made.close()
        assert mounts.mounts_below(str(tmp_path)) == ()


def fill(root: Path) -> None:
    """Make one of everything that a file system holds."""
    (root / "usr/bin").mkdir(parents=True)
    program = root / "usr/bin/su"
    program.write_bytes(b"#!" * 1000)
    os.chown(program, 0, 12)
    program.chmod(0o4755)
    os.utime(program, ns=(0, 1_700_000_000_987_654_321))
    os.link(program, root / "usr/bin/hard")
    (root / "link").symlink_to("usr/bin/../bin/su")
    os.mkfifo(root / "pipe", 0o620)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (root / "empty").mkdir(mode=0o1777)
    (root / "empty").chmod(0o1777)
    os.chown(root / "empty", 1000, 70000)
    with (root / "holes").open("wb") as holes:
        holes.seek(8 << 20)
        holes.write(b"end")
    ping = root / "ping"
    ping.write_text("x")
    os.setxattr(ping, "security.capability", CAPABILITY)
    os.setxattr(ping, "user.mime", b"text")
    (root / ("ü" * 60)).write_text("long and not ASCII")
    (root / "gone").write_text("deleted above")
    (root / "opaque").mkdir()
    (root / "opaque/below").write_text("hidden above")


def change(root: Path) -> None:
    """Change the tree above it."""
    (root / "gone").unlink()
    shutil.rmtree(root / "opaque")
    (root / "opaque").mkdir()
    (root / "opaque/above").write_text("new")
    (root / "empty").chmod(0o700)
    with (root / "usr/bin/hard").open("ab") as file:
        file.write(b"more")


async def make(store: ImageStore, tmp_path: Path) -> Image:
    base = tmp_path / "base"
    base.mkdir()
    fill(base)
    data = await spawn.run(["tar", "-C", str(base), "--xattrs", "--xattrs-include=*", "-cf", "-", "."])
    image = await store.import_tar(stream(data.stdout), "base:v1", ['CMD ["/x"]'])
    layers = store.catalog.layers(image.config)
    step = await store.mount_stack(layers, "step")
    change(step.path)
    layer = await store.commit_stack("step")
    return await store.write_image(image.config, (*layers, layer), "fidelity:v1")


def describe(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what can be seen of a tree, by name."""
    found = {}
    for path in sorted(root.rglob("*")):
        state = path.lstat()
        xattrs = {} if path.is_symlink() else {n: os.getxattr(path, n) for n in os.listxattr(path)}
        found[str(path.relative_to(root))] = (
            stat.filemode(state.st_mode),
            state.st_uid,
            state.st_gid,
            int(state.st_mtime),
            state.st_rdev,
            state.st_nlink if path.is_file() else 0,
            os.readlink(path) if path.is_symlink() else "",
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
            {name: value for name, value in xattrs.items() if not name.startswith("trusted.overlay")},
        )
    return found


async def test_what_is_imported_and_changed_is_mounted_as_it_was(store: ImageStore, tmp_path: Path) -> None:
    image = await make(store, tmp_path)
    changed = tmp_path / "base"
    change(changed)
    rootfs = await store.rootfs(image.id, "c1")
    seen, meant = describe(rootfs.path), describe(changed)
    for late in ("opaque", "opaque/above"):  # made twice, at two times
        seen[late] = (*seen[late][:3], *seen[late][4:])
        meant[late] = (*meant[late][:3], *meant[late][4:])
    # overlayfs parts the names of a file when one of them is written to, for Docker too
    su, hard = seen.pop("usr/bin/su"), seen.pop("usr/bin/hard")
    assert meant.pop("usr/bin/su")[7] == meant.pop("usr/bin/hard")[7] == hard[7] == bytes(su[7]) + b"more"  # type: ignore[call-overload]
    assert su[:3] == hard[:3] == ("-rwsr-xr-x", 0, 12)
    assert seen == meant
    assert (rootfs.path / "holes").stat().st_blocks < 200


async def test_a_loaded_copy_is_the_same_to_the_byte(store: ImageStore, tmp_path: Path) -> None:
    image = await make(store, tmp_path)
    archive = await save(store, ["fidelity:v1"], tmp_path / "one.tar")
    other = ImageStore(tmp_path / "other", MemoryNames())
    await other.start()
    try:
        (loaded,) = await other.load(archive)
        assert loaded.id == image.id
        again = await save(other, ["fidelity:v1"], tmp_path / "two.tar")
        assert again.read_bytes() == archive.read_bytes()
        one, two = await store.rootfs(image.id, "c1"), await other.rootfs(loaded.id, "c1")
        assert describe(one.path) == describe(two.path)
    finally:
        await other.wipe()
        await other.close()


async def test_the_layer_of_a_change_says_what_gnu_tar_reads(store: ImageStore, tmp_path: Path) -> None:
    image = await make(store, tmp_path)
    archive = await save(store, ["fidelity:v1"], tmp_path / "one.tar")
    with tarfile.open(archive) as tar:
        name = "blobs/sha256/" + image.config.rootfs.diff_ids[-1].removeprefix("sha256:")
        data = tar.extractfile(name)
        assert data is not None
        layer = data.read()
    listed = (await spawn.run(["tar", "-tvf", "-"], stdin=layer)).stdout.decode()
    names = [line.split(None, 5)[5] for line in listed.splitlines()]
    assert names == [
        "empty/",
        ".wh.gone",
        "opaque/",
        "opaque/.wh..wh..opq",
        "opaque/above",
        "usr/",
        "usr/bin/",
        "usr/bin/hard",
    ]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert not [
            key for member in tar for key in member.pax_headers if "overlay" in key or "pinnace" in key
        ]


@pytest.mark.parametrize("mode", [0o750, 0o755])
async def test_a_layer_that_changes_only_the_mode_of_the_root_is_a_layer(
    store: ImageStore, tmp_path: Path, mode: int
) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        root = tarfile.TarInfo("./")
        root.type, root.mode = tarfile.DIRTYPE, 0o700
        tar.addfile(root)
        tar.addfile(tarfile.TarInfo("f"))
    base = await store.import_tar(stream(data.getvalue()), "base:v1")
    layers = store.catalog.layers(base.config)
    nothing = await store.mount_stack(layers, "nothing")
    assert stat.S_IMODE(nothing.path.stat().st_mode) == 0o700
    unchanged = await store.commit_stack("nothing")
    step = await store.mount_stack(layers, "step")
    step.path.chmod(mode)
    changed = await store.commit_stack("step")
    assert (unchanged.is_empty, changed.is_empty) == (True, False)
    image = await store.write_image(base.config, (*layers, changed), "closed:v1")
    again = await save(store, ["closed:v1"], tmp_path / "saved.tar")
    await store.remove("closed:v1")
    (image,) = await store.load(again)
    upper = await store.mount_stack([*store.catalog.layers(image.config), unchanged][:2], "above")
    assert stat.S_IMODE(upper.path.stat().st_mode) == mode
    rootfs = await store.rootfs(image.id, "c1")
    assert stat.S_IMODE(rootfs.path.stat().st_mode) == mode


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
async def test_a_zstd_layer_is_saved_as_every_reader_takes_it(store: ImageStore, tmp_path: Path) -> None:
    image = await make(store, tmp_path)
    saved = await save(store, ["fidelity:v1"], tmp_path / "one.tar")
    layout = f"oci:{tmp_path}/layout:fidelity"
    await spawn.run(
        [
            "skopeo",
            "--insecure-policy",
            "copy",
            "--dest-compress-format",
            "zstd",
            f"oci-archive:{saved}",
            layout,
        ]
    )
    await spawn.run(["tar", "-C", f"{tmp_path}/layout", "-cf", f"{tmp_path}/zstd.tar", "."])
    await store.remove("fidelity:v1")
    (loaded,) = await store.load(tmp_path / "zstd.tar")
    assert loaded.config.rootfs == image.config.rootfs
    again = await save(store, [loaded.id], tmp_path / "again.tar")
    done = await spawn.run(["skopeo", "inspect", "--config", f"docker-archive:{again}"])
    assert json.loads(done.stdout)["rootfs"]["diff_ids"] == list(image.config.rootfs.diff_ids)


def as_json(store: ImageStore, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(store.inspect(name)))
    return document


# --- a real Docker engine --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def docker() -> Iterator[list[str]]:
    """Start an engine without a network, and return the command that speaks to it."""
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("dockerd is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pt-dockerd-"))
    socket = folder / "docker.sock"
    argv = ["dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    argv += ["-H", f"unix://{socket}", "--pidfile", str(folder / "pid"), "--bridge", "none"]
    argv += ["--iptables=false", "--ip6tables=false"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    command = ["docker", "-H", f"unix://{socket}"]
    try:
        until = time.monotonic() + DOCKERD_START_S
        while subprocess.run([*command, "info"], capture_output=True, check=False).returncode:
            if time.monotonic() > until or process.poll() is not None:
                pytest.skip("dockerd does not start here")
            time.sleep(0.1)
        yield command
    finally:
        process.terminate()
        process.wait(30)
        for target in mounts.mounts_below(str(folder)):
            mounts.unmount(target)
        subprocess.run(["rm", "-rf", str(folder)], check=True)


async def test_docker_loads_what_is_saved_and_gives_the_same_files_back(
    store: ImageStore, tmp_path: Path, docker: list[str]
) -> None:
    image = await make(store, tmp_path)
    archive = await save(store, ["fidelity:v1"], tmp_path / "one.tar")
    done = await spawn.run([*docker, "load", "-i", str(archive)])
    assert done.stdout == b"Loaded image: fidelity:v1\n"
    shown = json.loads((await spawn.run([*docker, "image", "inspect", "fidelity:v1"])).stdout)[0]
    ours = as_json(store, "fidelity:v1")
    for field in ("Id", "RepoTags", "Architecture", "Os", "Created", "RootFS", "Size", "Author", "Comment"):
        assert ours[field] == shown[field], field
    assert {key: ours["Config"][key] for key in shown["Config"]} == shown["Config"]
    # the engine's own reading of the layers: the root file system of a container of it
    container = (await spawn.run([*docker, "create", "fidelity:v1"])).stdout.decode().strip()
    exported = (await spawn.run([*docker, "export", container])).stdout
    theirs, mine = tmp_path / "theirs", await store.rootfs(image.id, "c1")
    theirs.mkdir()
    await spawn.run(["tar", "-C", str(theirs), "-xpf", "-", "--xattrs", "--xattrs-include=*"], stdin=exported)
    added = {"dev", "etc", "proc", "sys", ".dockerenv"}  # what docker makes in every container
    seen = {name: facts for name, facts in describe(theirs).items() if name.split("/")[0] not in added}
    meant = describe(mine.path)
    for one in (seen, meant):  # docker's export keeps capabilities, and no other attribute
        one["ping"] = (*one["ping"][:8], {"security.capability": one["ping"][8]["security.capability"]})  # type: ignore[index]
        one["usr/bin/su"] = (
            *one["usr/bin/su"][:5],
            *one["usr/bin/su"][6:],
        )  # its other name is another file now
    assert seen == meant
    await spawn.run([*docker, "rm", container])


async def test_what_docker_saves_is_loaded_and_saved_as_it_was(
    store: ImageStore, tmp_path: Path, docker: list[str]
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    fill(context)
    (context / "pipe").unlink()
    (context / "null").unlink()
    (context / "Dockerfile").write_text(
        "FROM scratch\nLABEL a=b\nCOPY . /\nCOPY ping /opaque/above\n"
        'ENV A="1 2"\nEXPOSE 80\nVOLUME /v\nUSER 5\nHEALTHCHECK --interval=5s CMD true\nSTOPSIGNAL 2\nCMD ["/x"]\n'
    )
    built = await spawn.run(
        [*docker, "build", "-q", "-t", "theirs:v1", str(context)], env={**os.environ, "DOCKER_BUILDKIT": "0"}
    )
    assert built.stdout
    await spawn.run([*docker, "save", "-o", str(tmp_path / "theirs.tar"), "theirs:v1"])
    (image,) = await store.load(tmp_path / "theirs.tar")
    shown = json.loads((await spawn.run([*docker, "image", "inspect", "theirs:v1"])).stdout)[0]
    ours = as_json(store, "theirs:v1")
    for field in ("Id", "RepoTags", "Architecture", "Os", "Created", "RootFS", "Size", "Author", "Comment"):
        assert ours[field] == shown[field], field
    del shown["Config"]["Image"], ours["Config"]["Image"]  # of the classic builder's step before
    assert ours["Config"] == shown["Config"]
    steps = (
        await spawn.run([*docker, "history", "--no-trunc", "--format", "{{.CreatedBy}}", "theirs:v1"])
    ).stdout
    assert [row["CreatedBy"] for row in store.history("theirs:v1")] == steps.decode().splitlines()
    again = await save(store, ["theirs:v1"], tmp_path / "ours.tar")
    await spawn.run([*docker, "rmi", "theirs:v1"])
    done = await spawn.run([*docker, "load", "-i", str(again)])
    assert done.stdout == b"Loaded image: theirs:v1\n"
    back = json.loads((await spawn.run([*docker, "image", "inspect", "theirs:v1"])).stdout)[0]
    assert (back["Id"], back["RootFS"]) == (image.id, shown["RootFS"])


async def test_an_archive_in_which_a_name_stands_twice_keeps_a_copy(
    store: ImageStore, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for body in (b"first", b"second"):
            info = tarfile.TarInfo("f")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    (image,) = await store.load(stream(old_archive(buffer.getvalue())))
    (layer,) = store.layers.all()
    assert layer.blob is not None and (store.layers.tree(layer) / "f").read_bytes() == b"second"
    archive = await save(store, ["old:v1"], tmp_path / "again.tar")
    await store.remove("old:v1")
    (again,) = await store.load(archive)
    assert again.id == image.id
