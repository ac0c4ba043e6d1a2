"""What all tests on the real host share: an instance of their own, of which nothing may be left after each test.

The tests need root on Linux, a runtime and conmon; without root all of them are skipped, and say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

pytest.importorskip("uvloop")
import uvloop

from pinnace.base.clock import SystemClock
from pinnace.container import system
from pinnace.container.cgroup import Cgroups, detect_cgroups
from pinnace.container.config import read_daemon_rights
from pinnace.container.programs import choose_programs
from pinnace.container.runtime import Runtime
from pinnace.sandbox.sandboxes import Sandboxes
from pinnace.sandbox.spec import Address, ImageDefaults

HERE = Path(__file__).parent
_numbers = itertools.count(os.getpid() * 7 % 200)
_SETTLE_S = 3.0


def _why_not() -> str:
    if sys.platform != "linux":
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root: sudo make test-host"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = _why_not()
    if reason:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=f"tests on the real host: {reason}"))


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[str, object]:
    """The daemon's own loop."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass(frozen=True)
class Instance:
    """An instance of Pinnace that only one test uses."""

    name: str
    root: Path
    pod_range: str
    service_range: str

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def env(self) -> dict[str, str]:
        """The environment of a `pinnace` process of this instance."""
        return {
            **{key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")},
            "PINNACE_NAME": self.name,
            "PINNACE_HOME": str(self.home),
            "PINNACE_RUN": str(self.run),
            "HOME": str(self.root / "user"),
        }

    def find_processes(self) -> list[tuple[int, str]]:
        """Return (pid, command line) of all processes that carry the instance's name, folder or cgroup."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                cgroup = (entry / "cgroup").read_text()
                state = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
                if state[:2] == ["Z", "1"]:  # dead, and handed to an init that reaps when it likes
                    continue
                if str(self.root) in words or any(f"/{name}" in cgroup for name in self._cgroup_names()):
                    found.append((int(entry.name), words))
        return found

    def _cgroup_names(self) -> tuple[str, str]:
        return f"{self.name}/", f"{self.name.replace('-', '_')}.slice"

    def find_mounts(self) -> list[str]:
        """Return the mount points below the instance's folders."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if str(self.root) in line.split()[4]]

    def find_cgroups(self) -> list[str]:
        """Return the cgroups that carry the instance's name."""
        names = {self.name, f"{self.name.replace('-', '_')}.slice"}
        roots = [
            Path("/sys/fs/cgroup"),
            *(path for path in Path("/sys/fs/cgroup").iterdir() if path.is_dir()),
        ]
        return sorted({str(root / name) for root in roots for name in names if (root / name).is_dir()})

    def find_links(self) -> list[str]:
        """Return the network links whose name starts with the instance's."""
        return [name for name in os.listdir("/sys/class/net") if name.startswith(self.name)]

    def find_tables(self) -> list[str]:
        """Return the nftables tables that carry the instance's name."""
        if shutil.which("nft") is None:
            return []
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
        return [line for line in listed.splitlines() if self.name in line]

    def find_leftovers(self) -> list[str]:
        """Return everything that the instance has on this machine, apart from files."""
        return [
            *(f"process {pid}: {words}" for pid, words in self.find_processes()),
            *(f"mount {point}" for point in self.find_mounts()),
            *(f"cgroup {path}" for path in self.find_cgroups()),
            *(f"link {name}" for name in self.find_links()),
            *(f"nft {table}" for table in self.find_tables()),
        ]

    def sweep(self) -> None:
        """Remove what a failed test left, so that the next one starts clean."""
        for pid, _ in self.find_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        for point in sorted(self.find_mounts(), key=len, reverse=True):
            with contextlib.suppress(OSError):
                system.unmount(point)
        for top in self.find_cgroups():
            for base, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(base)
        for link in self.find_links():
            subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
        for table in self.find_tables():
            subprocess.run(["nft", "delete", *table.split()], capture_output=True, check=False)


@pytest.fixture
def instance() -> Iterator[Instance]:
    """An instance with a name, folders and address ranges of its own; after the test nothing of it may be left."""
    number = next(_numbers) % 250
    name = f"pt{os.getpid() % 10000}x{number}"
    root = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    one = Instance(name, root, f"10.245.{number}.0/24", f"10.97.{number}.0/24")
    one.home.mkdir()
    one.run.mkdir()
    (root / "user").mkdir()
    yield one
    end = time.monotonic() + _SETTLE_S
    while (left := one.find_leftovers()) and time.monotonic() < end:
        time.sleep(0.05)
    one.sweep()
    shutil.rmtree(root, ignore_errors=True)
    assert left == [], "the test left something of its instance behind"


@pytest.fixture(autouse=True)
async def _no_descriptor_left(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """No pipe, socket, pidfd or namespace may stay open in the test's own process.

    A coroutine, so that what the loop itself holds is open before it looks.
    """
    before = _count_descriptors()
    yield
    for _ in range(100):  # a loop closes in its next turns what was given to it to be closed
        left = _count_descriptors() - before
        if not left:
            break
        await asyncio.sleep(0.02)
    assert not left, f"{request.node.name} left descriptors open"


def _count_descriptors() -> Counter[str]:
    """Count by kind: the loop replaces its own from time to time."""
    kinds = ("pipe:", "socket:", "anon_inode:[pidfd]", "anon_inode:inotify", "net:", "/memfd:", "/dev/ptmx")
    counts: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            counts.update(kind for kind in kinds if kind in target)
    return counts


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root filesystem with busybox's commands, a user "app" (uid 1000, groups 1000 and 2000). Read only: mount over it."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed: apt-get install busybox-static")
    root = tmp_path_factory.mktemp("busybox") / "root"
    for folder in ("bin", "etc", "proc", "sys", "dev", "tmp", "home/app", "root", "var"):
        (root / folder).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy(busybox, root / "bin/busybox")
    for name in subprocess.run(
        [busybox, "--list"], capture_output=True, text=True, check=True
    ).stdout.split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
    return root


class BusyboxImages:
    """A stand-in for the image store: one image, "busybox", over which each container gets a layer of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._folder = folder
        self.fail_mount = False

    def defaults(self, image_id: str) -> ImageDefaults:
        return ImageDefaults(cmd=("sh",), env=("FROM_IMAGE=yes",), cwd="/tmp")

    async def mount(self, image_id: str, container_id: str, *, volatile: bool = False) -> Path:
        if self.fail_mount:
            raise OSError(5, "no such disk")
        folder = self._folder / container_id
        for name in ("upper", "work", "merged"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        data = f"lowerdir={self._root},upperdir={folder}/upper,workdir={folder}/work"
        if not os.path.ismount(folder / "merged"):
            system.mount("overlay", str(folder / "merged"), "overlay", 0, data)
        return folder / "merged"

    async def release(self, container_id: str) -> None:
        system.unmount(str(self._folder / container_id / "merged"))
        shutil.rmtree(self._folder / container_id, ignore_errors=True)


class NoNetwork:
    """A stand-in for the network: an address that leads nowhere."""

    def __init__(self) -> None:
        self.attached: set[str] = set()
        self.fail_attach = False

    async def attach(self, netns_path: str, key: str, *, hostname: str) -> Address:
        if self.fail_attach:
            raise OSError(28, "no address left")
        self.attached.add(key)
        return Address("10.245.0.9", "10.245.0.1", "02:00:00:00:00:09", 1500)

    async def detach(self, key: str) -> None:
        self.attached.discard(key)


def make_runtime(instance: Instance) -> Runtime:
    """Return the runtime that PINNACE_RUNTIME names, or the default; with the cgroup driver that a test run may ask for."""
    host, clock = detect_cgroups(), SystemClock()
    if os.environ.get("PINNACE_TEST_CGROUP_DRIVER") == "cgroupfs":
        host = replace(host, driver="cgroupfs")
    programs = choose_programs(os.environ.get("PINNACE_RUNTIME", ""), host)
    return Runtime(programs, instance.run, Cgroups(host, instance.name, clock), clock, read_daemon_rights())


class World:
    """A `Sandboxes` with stand-ins for images and network; `again` is the next daemon on the same folders."""

    def __init__(self, instance: Instance, busybox_root: Path) -> None:
        self.instance = instance
        self.images = BusyboxImages(busybox_root, instance.home / "rootfs")
        self.network = NoNetwork()
        self.runtime = make_runtime(instance)
        self.sandboxes = self.again(self.runtime)

    def again(self, runtime: Runtime | None = None) -> Sandboxes:
        return Sandboxes(
            runtime or make_runtime(self.instance),
            self.images,
            self.network,
            home=self.instance.home,
            run=self.instance.run,
            clock=SystemClock(),
        )


@pytest.fixture
async def world(instance: Instance, busybox_root: Path) -> AsyncIterator[World]:
    """Sandboxes of an instance; all of them are removed after the test."""
    one = World(instance, busybox_root)
    yield one
    await one.sandboxes.remove_all()
    await one.sandboxes.close()
