"""Builds of the example, and of one more byte above 2.5 GB, with dockerd's classic builder and buildah beside us.

Run as root: python -m benchmarks.builds [example] [byte]
The wheels that the example's RUNs install are downloaded once and put into the base image: no build needs a network, and
no index's speed is measured. All engines build the same Dockerfile, in which the example's heredoc is one line, since the
peers' builders here know none.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.engines import Docker, Engine, Ours, all_engines
from benchmarks.harness import Figures, make_busybox_tar, median
from examples.base.make import ensure_root_filesystem, find_cache
from examples.base.recipes import RECIPES

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "inference"
IMAGE = "my-model:v1"
COLD_TIMES, CACHED_TIMES, CHANGED_TIMES = 2, 10, 5  # the best counts
MEMORY_TARGET = "≤ 200 MiB"
BIG_FILES, BIG_FILE_BYTES = 250, 10_000_000  # 2.5 GB
BIG_TIMES = 3
POD = """apiVersion: v1
kind: Pod
metadata: {{name: byte{number}}}
spec:
  containers: [{{name: web, image: "byte:v{number}"}}]
"""

Measured = dict[str, dict[str, tuple[float, float]]]  # what → engine → (seconds, MiB)


def main(words: list[str]) -> None:
    figures = Figures("builds")
    with tempfile.TemporaryDirectory(prefix="pinnace-bench-", dir="/var/tmp") as name:
        for what, measure in (("example", measure_example), ("byte", measure_byte)):
            if what in words or not words:
                measure(Path(name) / what, figures)


# --- the example ------------------------------------------------------------------------------------------------------


def measure_example(folder: Path, figures: Figures) -> None:
    folder.mkdir()
    bases = {recipe.reference: ensure_root_filesystem(recipe, print) for recipe in RECIPES}
    bases["python-build:3"] = add_wheels(bases["python-build:3"], folder)
    context = copy_example(folder)
    measured: Measured = {}
    with all_engines("bebuild", folder) as (ours, peers):
        for engine in (ours, *peers):
            for reference, tar in bases.items():
                engine.import_tar(tar, reference)
        os.sync()
        measure_builds((ours, *peers), context, measured)
    report(measured, figures)


def measure_builds(engines: Sequence[Engine], context: Path, measured: Measured) -> None:
    """Measure cold, cached and changed builds, the engines by turns: what else the machine does meets all of them."""
    served = (context / "serve.py").read_text()

    def change(text: str) -> None:
        (context / "serve.py").write_text(f"{served}{text}")

    def nothing(number: int) -> None:
        del number

    def take(what: str, times: int, prepare: Callable[[int], None], *, use_cache: bool = True) -> None:
        seconds: dict[str, list[float]] = {}
        mib: dict[str, float] = {}
        for number in range(times):
            prepare(number)
            for engine in engines:
                with engine.peak() as peak:
                    seconds.setdefault(engine.name, []).append(
                        engine.build(context, IMAGE, use_cache=use_cache)
                    )
                mib[engine.name] = max(mib.get(engine.name, 0.0), peak.mib)
        measured[what] = {name: (min(seconds[name]), mib[name]) for name in seconds}
        print(f"  {what}: {seconds}", flush=True)

    take("example, nothing cached", COLD_TIMES, nothing, use_cache=False)
    take("example, all cached", CACHED_TIMES, nothing)
    take(
        "example, one line changed",
        CHANGED_TIMES,
        lambda number: change(f"# one line more: {number}\n"),
    )


def report(measured: Measured, figures: Figures) -> None:
    for what, by_engine in measured.items():
        peers = ", ".join(
            f"{name} {seconds:.2f} s" for name, (seconds, _) in by_engine.items() if name != "pinnace"
        )
        figures.add(what, f"{by_engine['pinnace'][0]:.2f} s", peers, "ahead of both")
        memory = ", ".join(
            f"{name} {mib:.0f} MiB" for name, (_, mib) in by_engine.items() if name != "pinnace"
        )
        figures.add("  … memory at most", f"{by_engine['pinnace'][1]:.0f} MiB", memory, MEMORY_TARGET)


def copy_example(folder: Path) -> Path:
    """Return a context like the example's, whose Dockerfile has no heredoc."""
    context = folder / "context"
    shutil.copytree(EXAMPLE, context)
    text = (context / "Dockerfile").read_text()

    def flatten(found: re.Match[str]) -> str:
        return "RUN " + "; ".join(line for line in found[1].strip().splitlines())

    (context / "Dockerfile").write_text(re.sub(r"RUN <<SHELL\n(.*?)\nSHELL", flatten, text, flags=re.DOTALL))
    return context


def add_wheels(base: Path, folder: Path) -> Path:
    """Return the base with the example's wheels in it, and a pip that looks for them there."""
    wheels = find_cache().parent / "wheels"
    argv = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "-d", str(wheels)]
    for name in ("requirements-train.txt", "requirements.txt"):
        argv += ["-r", str(EXAMPLE / name)]
    subprocess.run(argv, check=True)
    tar = folder / "base.tar"
    shutil.copy(base, tar)
    conf = b"[global]\nno-index = true\nfind-links = /wheels\n"
    with tarfile.open(tar, "a") as archive:
        archive.add(wheels, "wheels")
        entry = tarfile.TarInfo("etc/pip.conf")
        entry.size, entry.mode = len(conf), 0o644
        archive.addfile(entry, io.BytesIO(conf))
    return tar


# --- one byte above 2.5 GB --------------------------------------------------------------------------------------------------


def measure_byte(folder: Path, figures: Figures) -> None:
    """A one-byte change in the application's layer, until a new pod (a peer's container) answers with it."""
    folder.mkdir()
    base = make_big_tar(folder)
    context = folder / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        'FROM big:v1\nCOPY app /www/index.html\nCMD ["httpd", "-f", "-p", "8000", "-h", "/www"]\n'
    )
    times: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    with all_engines("bebyte", folder) as (ours, peers):
        answering: list[tuple[Engine, Callable[[int], str]]] = [(ours, lambda n: start_pod(ours, n))]
        answering += [
            (one, lambda n, one=one: start_container(one, n)) for one in peers if isinstance(one, Docker)
        ]  # type: ignore[misc]
        for engine, start in answering:
            engine.import_tar(base, "big:v1")
            os.sync()
            with engine.peak() as peak:
                for number in range(BIG_TIMES + 1):
                    (context / "app").write_text(f"answer {number}\n")
                    began = time.perf_counter()
                    engine.build(context, f"byte:v{number}")
                    wait_for_answer(start(number), f"answer {number}\n")
                    times.setdefault(engine.name, []).append(time.perf_counter() - began)
                    if isinstance(engine, Docker):
                        engine._run("rm", "-f", f"byte{number}")
            memory[engine.name] = peak.mib
    peer = f"dockerd {median(times['dockerd'][1:]):.2f} s (docker run)" if "dockerd" in times else ""
    ours_s = times["pinnace"][1:]  # the first is no change
    figures.add(
        "a byte changed above 2.5 GB → a pod with it answers",
        f"{median(ours_s):.2f} s (worst {max(ours_s):.2f} s)",
        peer,
        "≤ 3 s",
    )
    peer = f"dockerd {memory['dockerd']:.0f} MiB" if "dockerd" in memory else ""
    figures.add("  … memory at most", f"{memory['pinnace']:.0f} MiB", peer, MEMORY_TARGET)


def make_big_tar(folder: Path) -> Path:
    """Return busybox's root filesystem with 2.5 GB of random files."""
    tar = make_busybox_tar(folder)
    with tarfile.open(tar, "a") as archive:
        for number in range(BIG_FILES):
            entry = tarfile.TarInfo(f"srv/large{number}")
            entry.size, entry.mode = BIG_FILE_BYTES, 0o644
            archive.addfile(entry, io.BytesIO(os.urandom(BIG_FILE_BYTES)))
    return tar


def start_pod(ours: Ours, number: int) -> str:
    """Apply a pod, and return the URL that it will answer at."""
    manifest = ours.one.folder / "pod.yaml"
    manifest.write_text(POD.format(number=number))
    ours.one.pinnace("apply", "-f", str(manifest))
    for change in ours.one.watch("/api/v1/namespaces/default/pods?watch=1"):
        pod = change["object"]
        if pod["metadata"]["name"] == f"byte{number}" and pod.get("status", {}).get("podIP"):
            return f"http://{pod['status']['podIP']}:8000/"
    raise RuntimeError("the watch ended")


def start_container(docker: Docker, number: int) -> str:
    """Run a container on the host's network, as this dockerd has no other, and return its URL."""
    docker._run("run", "-d", "--network", "host", "--name", f"byte{number}", f"byte:v{number}")
    return "http://127.0.0.1:8000/"


def wait_for_answer(url: str, wanted: str) -> None:
    for _ in range(5000):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.read().decode() == wanted:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.002)
    raise RuntimeError(f"{url} never answered {wanted!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
