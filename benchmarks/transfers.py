"""An image of 1 GB in 50,000 files: loaded, made by a build's step, pushed and pulled, beside dockerd and buildah.

Run as root: python -m benchmarks.transfers
The registry is a real one (docker-registry) on this machine, without TLS. "loaded" is `docker load` of an archive that
Docker's own `save` would write; "a step" is a RUN that makes such a tree and its becoming a layer.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.builds import MEMORY_TARGET
from benchmarks.engines import Engine, all_engines, serve_registry
from benchmarks.harness import Figures, make_busybox_tar
from pinnace.image.store import host_architecture

FILES, BYTES = 50_000, 1_000_000_000
SEED = 4
WORDS = b" ".join(b"%d" % number for number in range(4000))
STEP = "RUN for d in $(seq 50); do mkdir -p /made/$d; cp -r /data/d$d /made/$d; done"
TARGETS = {
    "loaded": "no slower than docker load",
    "a step that copies half of it": "ahead",
    "pushed": "ahead",
    "pulled": "ahead",
}


def main() -> None:
    figures = Figures("transfers")
    measured: dict[str, dict[str, tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="pinnace-bench-", dir="/var/tmp") as name:
        folder = Path(name)
        context = folder / "context"
        context.mkdir()
        with serve_registry(folder / "registry") as port, all_engines("betransfer", folder) as (ours, peers):
            measure((ours, *peers), folder, context, port, measured)
    for what, by_engine in measured.items():
        peers_said = ", ".join(f"{n} {s:.1f} s" for n, (s, _) in by_engine.items() if n != "pinnace")
        figures.add(
            f"1 GB in 50,000 files: {what}", f"{by_engine['pinnace'][0]:.1f} s", peers_said, TARGETS[what]
        )
        memory = ", ".join(f"{n} {mib:.0f} MiB" for n, (_, mib) in by_engine.items() if n != "pinnace")
        figures.add("  … memory at most", f"{by_engine['pinnace'][1]:.0f} MiB", memory, MEMORY_TARGET)


def measure(
    engines: Sequence[Engine],
    folder: Path,
    context: Path,
    port: int,
    measured: dict[str, dict[str, tuple[float, float]]],
) -> None:
    """Measure one thing with all engines, then the next: what else the machine does meets all of them."""
    references = {one.name: f"127.0.0.1:{port}/{one.name}/many:v1" for one in engines}

    def take(what: str, act: Callable[[Engine, str], float]) -> None:
        for engine in engines:
            os.sync()
            with engine.peak() as peak:
                seconds = act(engine, references[engine.name])
            measured.setdefault(what, {})[engine.name] = (seconds, peak.mib)
            print(f"  {engine.name}: {what} {seconds:.2f} s, {peak.mib:.0f} MiB", flush=True)

    def step(engine: Engine, reference: str) -> float:
        (context / "Dockerfile").write_text(f"FROM {reference}\n{STEP}\n")
        return engine.build(context, "step:v1", use_cache=False)

    layer = make_layer(folder)
    take("loaded", lambda engine, reference: engine.load(make_archive(folder, layer, reference)))
    take("a step that copies half of it", step)
    take("pushed", lambda engine, reference: engine.push(reference))
    for engine in engines:
        engine.remove("step:v1")
        engine.remove(references[engine.name])
    take("pulled", lambda engine, reference: engine.pull(reference))


def make_layer(folder: Path) -> Path:
    """Write the layer: busybox's root with the files above it, half of each can be compressed."""
    layer = make_busybox_tar(folder).rename(folder / "layer.tar")
    chance = random.Random(SEED)
    with tarfile.open(layer, "a") as tar:
        for number in range(FILES):
            size = chance.randrange(2 * BYTES // FILES)
            half = size // 2
            data = chance.randbytes(size - half) + (WORDS * (half // len(WORDS) + 1))[:half]
            entry = tarfile.TarInfo(f"data/d{number % 100}/f{number}")
            entry.size, entry.mode = size, 0o644
            tar.addfile(entry, io.BytesIO(data))
    return layer


def make_archive(folder: Path, layer: Path, reference: str) -> Path:
    """Write the archive that `docker save` would."""
    digest = hashlib.sha256()
    with layer.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    config = json.dumps(
        {
            "architecture": host_architecture(),
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
            "history": [{"created_by": "benchmark"}],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": ["layer/layer.tar"]}]).encode()
    archive = folder / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for path, data in ((name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        tar.add(layer, "layer/layer.tar")
    os.sync()
    return archive


if __name__ == "__main__":
    main() if not sys.argv[1:] else sys.exit(__doc__)
