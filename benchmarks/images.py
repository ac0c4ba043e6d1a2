"""Measures the image store: import of a Debian root, mounts, commits, and how long the loop is held up meanwhile.

Run as root: python benchmarks/images.py [ROOTFS.tar]   (made with mmdebstrap when it is not given)

The peers, in the same run on the same disk: `tar x` (which digests nothing), and `podman import`, where podman is
installed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from pinnace.image.names import MemoryNames
from pinnace.image.store import ImageStore

MOUNTS = 100
FILES = 2000
FILE_BYTES = 5000


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def show(what: str, ours: str, peer: str = "") -> None:
    print(f"{what:<44} {ours:>22}   {peer}", flush=True)


class Stalls:
    """Measures how late a timer of 1 ms comes."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest_s = max(self.longest_s, time.perf_counter() - began - 0.001)

    def stop(self) -> float:
        self._task.cancel()
        return self.longest_s


# Nothing is removed before the end: on a disk with online discard, what is measured next would pay for it.
def measure_tar(archive: Path, folder: Path) -> tuple[float, float]:
    target = folder / "tar"
    target.mkdir()
    unpacked = timed(
        lambda: subprocess.run(
            ["tar", "xpf", archive, "-C", target, "--numeric-owner", "--xattrs"], check=True
        )
    )
    synced = timed(lambda: subprocess.run(["sync", "-f", target], check=True))
    return unpacked, synced


def podman(folder: Path, *words: str) -> str:
    argv = [
        "podman",
        "--root",
        str(folder / "podman"),
        "--runroot",
        str(folder / "podman-run"),
        "--storage-driver",
        "overlay",
        *words,
    ]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def measure_podman(archive: Path, folder: Path) -> str:
    if shutil.which("podman") is None:
        return ""
    try:
        seconds = timed(lambda: podman(folder, "import", str(archive), "bench:v1"))
    except subprocess.CalledProcessError as error:
        return f"podman import failed: {error.stderr.strip()[-80:]}"
    return f"podman import {seconds:.2f} s"


async def measure(archive: Path, folder: Path) -> None:
    size = archive.stat().st_size / 1e6
    store = ImageStore(folder / "images", MemoryNames())
    await store.start()
    gc.collect()
    gc.freeze()  # as the daemon does

    os.sync()
    tar_s, sync_s = measure_tar(archive, folder)
    peer = measure_podman(archive, folder)
    os.sync()
    stalls = Stalls()
    await asyncio.sleep(2)
    idle = stalls.stop()
    stalls = Stalls()
    began = time.perf_counter()
    image = await store.import_tar(archive, "bench:v1")
    import_s = time.perf_counter() - began
    held_up = stalls.stop()
    show(
        f"import of {size:.0f} MB, digested and on disk",
        f"{import_s:.2f} s {size / import_s:.0f} MB/s",
        f"tar x {tar_s:.2f} s + sync {sync_s:.2f} s; {peer}",
    )
    show(
        "longest stall of the loop meanwhile",
        f"{held_up * 1000:.1f} ms",
        f"{idle * 1000:.1f} ms while nothing was done",
    )

    times = []
    for number in range(MOUNTS):
        began = time.perf_counter()
        await store.rootfs(image.id, f"c{number}", volatile=True)
        times.append(time.perf_counter() - began)
    show(
        f"root filesystem mounted ({MOUNTS})",
        f"{sorted(times)[MOUNTS // 2] * 1e3:.2f} ms p50 {max(times) * 1e3:.2f} max",
    )
    times = []
    for number in range(MOUNTS):
        began = time.perf_counter()
        await store.release(f"c{number}")
        times.append(time.perf_counter() - began)
    show("… released", f"{sorted(times)[MOUNTS // 2] * 1e3:.2f} ms p50 {max(times) * 1e3:.2f} max")
    await store.trash.settled()

    layers = store.catalog.layers(image.config)
    step = await store.mount_stack(layers, "step")
    made = step.path / "srv"
    for number in range(FILES):
        (made / f"f{number}").write_bytes(os.urandom(FILE_BYTES))
    stalls = Stalls()
    began = time.perf_counter()
    layer = await store.commit_stack("step")
    commit_s = time.perf_counter() - began
    began = time.perf_counter()
    await store.write_image(image.config, (*layers, layer), "bench:v2")
    show(
        f"commit of {FILES} files, {FILES * FILE_BYTES / 1e6:.0f} MB",
        f"{commit_s * 1000:.0f} ms",
        f"then named and on disk {(time.perf_counter() - began) * 1000:.0f} ms",
    )
    for compression in ("zstd", "gzip"):
        began = time.perf_counter()
        fresh = store.catalog.layers(image.config)[0]
        blob = await store.ingest.pack_blob(type(fresh)(**{**_fields(fresh), "blob": None}), compression)
        seconds = time.perf_counter() - began
        show(
            f"packed for a push, {compression}",
            f"{seconds:.2f} s {size / seconds:.0f} MB/s",
            f"{blob.size / 1e6:.0f} MB",
        )
    show("longest stall of the loop meanwhile", f"{stalls.stop() * 1000:.1f} ms")
    await store.remove("bench:v1")
    await store.remove("bench:v2")
    await store.trash.settled()
    await store.close()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    show("largest child process (workers, peers too)", f"{usage.ru_maxrss / 1024:.0f} MiB")


def _fields(struct: object) -> dict[str, object]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}  # type: ignore[attr-defined]


def main() -> None:
    with tempfile.TemporaryDirectory(
        prefix="pinnace-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")
    ) as name:
        folder = Path(name)
        if len(sys.argv) > 1:
            archive = Path(sys.argv[1])
        else:
            archive = folder / "rootfs.tar"
            subprocess.run(
                ["mmdebstrap", "--variant=minbase", "bookworm", archive],
                check=True,
                stderr=subprocess.DEVNULL,
            )
        uvloop.run(measure(archive, folder))


if __name__ == "__main__":
    main()
