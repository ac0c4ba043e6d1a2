"""What the benchmarks share: an instance of their own, a tiny image, Docker beside it, figures as rows.

Every program here starts what it measures, ends it by its pid, and leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pinnace.base.settings import read_settings
from pinnace.cli.client import Client

PINNACE = str(Path(sys.executable).with_name("pinnace"))
BUSYBOX = "/bin/busybox"
LINKS = ("sh", "httpd", "true", "sleep", "cat", "echo", "hostname", "ls", "dd", "seq", "wget")


@dataclass
class Figures:
    """Rows of (what, ours, the peer's, target), printed as they come and kept for the table."""

    title: str
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, ours: str, peer: str = "", target: str = "") -> None:
        self.rows.append((what, ours, peer, target))
        parts = [f"{what}: {ours}", f"peer: {peer}" if peer else "", f"target: {target}" if target else ""]
        print("  ".join(part for part in parts if part), flush=True)


def make_busybox_tar(folder: Path) -> Path:
    """Return a root filesystem's tar: busybox with links, /etc/passwd, empty folders."""
    path = folder / "busybox.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(BUSYBOX, "bin/busybox")
        for name in LINKS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("etc", "tmp", "proc", "sys", "dev", "www"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
    return path


class Bench:
    """A running instance with the image `bb:v1` (an HTTP server on port 8000)."""

    def __init__(self, name: str, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PINNACE_NAME": name,
            "PINNACE_HOME": str(folder / "home"),
            "PINNACE_RUN": str(folder / "run"),
            "PINNACE_API_PORT": "0",
            "PINNACE_POD_RANGE": "10.252.0.0/20",
            "PINNACE_SERVICE_RANGE": "10.104.0.0/16",
            "PINNACE_MERGE_KUBECONFIG": "0",
            **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
            **environ,
        }
        self.client = Client(read_settings({}, self.environ))

    def pinnace(self, *argv: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PINNACE, *argv],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=check,
            **more,
        )

    def up(self, *argv: str) -> float:
        """Start the instance; returns the seconds that the command took."""
        began = time.perf_counter()
        self.pinnace("up", *argv)
        return time.perf_counter() - began

    def down(self) -> None:
        self.pinnace("down", "--wipe", check=False)

    def bring_image(self) -> None:
        tar = make_busybox_tar(self.folder)
        self.pinnace(
            "import",
            str(tar),
            "bb:v1",
            "-c",
            'CMD ["httpd","-f","-p","8000","-h","/www"]',
            "-c",
            "ENV PATH=/bin",
        )

    @property
    def pid(self) -> int:
        return int((self.folder / "run" / "pinnace.pid").read_text())

    def watch(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the changes of a watch."""
        yield from self.client.open("GET", path).lines()


@contextmanager
def bench(name: str, **environ: str) -> Iterator[Bench]:
    """Start nothing yet; take everything away in the end."""
    folder = Path(tempfile.mkdtemp(prefix="pinnace-bench-"))
    one = Bench(name, folder, **environ)
    try:
        yield one
    finally:
        one.down()
        shutil.rmtree(folder, ignore_errors=True)


def read_pss(pid: int) -> int:
    """Return a process's proportional memory. Units: bytes; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def pids_of(*words: str) -> list[int]:
    """Return the pids whose command line has all of the words."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if all(word in text for word in words):
                found.append(int(entry.name))
    return found


@contextmanager
def docker_engine(folder: Path) -> Iterator[dict[str, str] | None]:
    """Run a dockerd of our own, beside any other; yields the environment for its client, None when it can't run.

    It gets a network namespace of its own, so that its rules and bridges never meet this host's.
    """
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    sock = folder / "docker.sock"
    log = open(folder / "dockerd.log", "w")  # noqa: SIM115 - closed below
    argv = [
        *("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"),
        *("dockerd", "-H", f"unix://{sock}", "--data-root", str(folder / "data")),
        *("--exec-root", str(folder / "exec"), "--pidfile", str(folder / "docker.pid")),
    ]
    process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    environ = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{sock}", "HOME": str(folder)}
    try:
        for _ in range(300):
            ready = subprocess.run(
                ["docker", "version"], env=environ, capture_output=True, timeout=30, check=False
            )
            if ready.returncode == 0:
                yield environ
                return
            if process.poll() is not None:
                break
            time.sleep(0.1)
        print(f"dockerd did not start; see {folder}/dockerd.log", file=sys.stderr)
        yield None
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()
        subprocess.run(
            ["umount", "-l", str(folder / "exec" / "netns" / "default")], capture_output=True, check=False
        )


def median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of the values don't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()
