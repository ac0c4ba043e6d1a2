"""The engines that build and move images, behind one shape: ours, dockerd (the classic builder), buildah.

Each works in folders of its own, and is ended by its pid. No RUN of these benchmarks needs a network.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from benchmarks.harness import Bench, bench, pids_of
from benchmarks.memory import Peak

TIMEOUT_S = 900.0


class Engine(Protocol):
    """What builds and moves images. Every method returns the seconds that its command took; it must succeed."""

    name: str

    def import_tar(self, tar: Path, reference: str) -> float: ...
    def load(self, archive: Path) -> float: ...
    def build(self, context: Path, reference: str, *, use_cache: bool = True) -> float: ...
    def push(self, reference: str) -> float: ...
    def pull(self, reference: str) -> float: ...
    def remove(self, reference: str) -> float: ...
    def peak(self) -> Peak: ...


def timed(argv: Sequence[str], environ: dict[str, str]) -> float:
    """Run a command, which must succeed, and return the seconds that it took."""
    began = time.perf_counter()
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()[-1500:]}")
    return seconds


class DockersWords:
    """What is asked for in the same words of `pinnace` and of `docker`."""

    def _run(self, *words: str) -> float:
        raise NotImplementedError

    def import_tar(self, tar: Path, reference: str) -> float:
        return self._run("import", str(tar), reference)

    def load(self, archive: Path) -> float:
        return self._run("load", "-i", str(archive))

    def build(self, context: Path, reference: str, *, use_cache: bool = True) -> float:
        more = () if use_cache else ("--no-cache",)
        return self._run("build", "--network", "none", *more, "-t", reference, str(context))

    def push(self, reference: str) -> float:
        return self._run("push", reference)

    def pull(self, reference: str) -> float:
        return self._run("pull", reference)

    def remove(self, reference: str) -> float:
        return self._run("rmi", "-f", reference)


class Ours(DockersWords):
    """A running instance."""

    name = "pinnace"

    def __init__(self, one: Bench) -> None:
        self.one = one

    def _run(self, *words: str) -> float:
        return timed([str(Path(sys.executable).with_name("pinnace")), *words], self.one.environ)

    def peak(self) -> Peak:
        """The daemon, its workers, the commands, and the monitors of containers, which are nobody's children."""
        return Peak(lambda: {self.one.pid, *pids_of(str(self.one.folder))})


class Docker(DockersWords):
    """A dockerd without a network, and its containerd."""

    name = "dockerd"

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.pid = pid
        self.environ = {
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
            "HOME": str(folder),
            "DOCKER_BUILDKIT": "0",
        }

    def _run(self, *words: str) -> float:
        return timed(["docker", *words], self.environ)

    def peak(self) -> Peak:
        return Peak(lambda: {self.pid, *pids_of(str(self.folder))})


class Buildah:
    """buildah with a storage of its own; it has no daemon."""

    name = "buildah"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}

    def _run(self, *words: str) -> float:
        return timed(self._argv(*words), self.environ)

    def _argv(self, *words: str) -> list[str]:
        storage = ("--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run")
        return ["buildah", *storage, "--storage-driver", "overlay", *words]

    def import_tar(self, tar: Path, reference: str) -> float:
        """As good as an import: a container of nothing, the tar, an image."""
        began = time.perf_counter()
        name = f"import-{reference.replace('/', '-').replace(':', '-')}"
        for words in (
            ("from", "--name", name, "scratch"),
            ("add", name, str(tar), "/"),
            ("commit", "--rm", "-q", name, reference),
        ):
            self._run(*words)
        return time.perf_counter() - began

    def load(self, archive: Path) -> float:
        return self._run("pull", "-q", f"docker-archive:{archive}")

    def build(self, context: Path, reference: str, *, use_cache: bool = True) -> float:
        more = () if use_cache else ("--no-cache",)
        words = ("build", "--layers", "--runtime", "runc", "--network", "none", "--pull-never")
        return self._run(*words, *more, "-t", reference, str(context))

    def push(self, reference: str) -> float:
        return self._run("push", "-q", "--tls-verify=false", reference)

    def pull(self, reference: str) -> float:
        return self._run("pull", "-q", "--tls-verify=false", reference)

    def remove(self, reference: str) -> float:
        return self._run("rmi", "-f", reference)

    def peak(self) -> Peak:
        return Peak(lambda: pids_of("buildah", str(self.folder)))


@contextmanager
def all_engines(name: str, folder: Path) -> Iterator[tuple[Ours, list[Engine]]]:
    """Run ours, and of the peers those that this machine has."""
    with ExitStack() as stack:
        ours = Ours(stack.enter_context(bench(name)))
        ours.one.up()
        peers: list[Engine] = []
        if shutil.which("dockerd") and shutil.which("docker"):
            docker = stack.enter_context(plain_docker(folder / "docker"))
            peers += [docker] if docker else []
        if shutil.which("buildah"):
            (folder / "buildah").mkdir(parents=True, exist_ok=True)
            buildah = Buildah(folder / "buildah")
            stack.callback(_unmount_below, folder / "buildah")
            peers.append(buildah)
        for what in {"dockerd", "buildah"} - {peer.name for peer in peers}:
            print(f"{what} is not here: no figures of it", file=sys.stderr)
        yield ours, peers


@contextmanager
def plain_docker(folder: Path) -> Iterator[Docker | None]:
    """Run a dockerd that touches no network of this host."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "dockerd.log", "w") as log:
        argv = [
            *("dockerd", "-H", f"unix://{folder}/docker.sock", "--data-root", str(folder / "data")),
            *("--exec-root", str(folder / "exec"), "--pidfile", str(folder / "docker.pid")),
            *("--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
        ]
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        engine = Docker(folder, process.pid)
        try:
            yield engine if _wait_for(engine, process) else None
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _unmount_below(folder)


def _wait_for(engine: Docker, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(300):
        asked = subprocess.run(
            ["docker", "version"], env=engine.environ, capture_output=True, timeout=30, check=False
        )
        if asked.returncode == 0:
            return True
        if process.poll() is not None:
            break
        time.sleep(0.1)
    print(f"dockerd did not start: {(engine.folder / 'dockerd.log').read_text()[-500:]}", file=sys.stderr)
    return False


def _unmount_below(folder: Path) -> None:
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in sorted((one for one in places if one.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", place], capture_output=True, check=False)


@contextmanager
def serve_registry(storage: Path) -> Iterator[int]:
    """Run a real registry over a folder; yields its port on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    storage.mkdir(parents=True, exist_ok=True)
    config = storage.parent / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with open(storage.parent / "registry.log", "w") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait(10)
