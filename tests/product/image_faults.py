"""What the tests of faults in image work share: what is going on in an instance, and a client that is cut off."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tests.product.instance import PATIENCE, PINNACE, Product

SETTLE_S = 20.0
WAIT_S = 30.0


@dataclass(frozen=True)
class Traces:
    """Everything that image work may leave in an instance and on the machine."""

    processes: tuple[str, ...]
    mounts: tuple[str, ...]
    cgroups: tuple[str, ...]
    links: tuple[str, ...]
    files: tuple[str, ...]
    layers: tuple[str, ...]
    images: tuple[str, ...]


def look(product: Product) -> Traces:
    """Return what there is now: half-made files by their paths, layers and blobs by their names."""
    host, images = product.host, product.host.home / "images"
    halves = ("images/ingest", "images/trash", "images/rootfs", "build/work")
    return Traces(
        processes=tuple(sorted(words for _, words in host.find_processes() if _is_of_a_container(words))),
        mounts=tuple(sorted(host.find_mounts())),
        cgroups=tuple(sorted(path for top in host.find_cgroups() for path in _walk_cgroups(top))),
        links=tuple(sorted(host.find_links())),
        files=tuple(sorted(f"{one}/{name}" for one in halves for name in _names(host.home / one))),
        layers=tuple(
            sorted(
                {*_names(images / "layers"), *(f"blob {name}" for name in _names(images / "blobs/sha256"))}
            )
        ),
        images=tuple(sorted(product.pinnace("images", "-a", "-q", "--no-trunc").split())),
    )


def _is_of_a_container(words: str) -> bool:
    return any(part in words for part in ("conmon", "runc", "crun", "pause", "sleep "))


def _names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _walk_cgroups(top: str) -> Iterator[str]:
    """Yield the cgroups below the instance's own, which stays, as that of its monitors does."""
    for base, _, _ in os.walk(top):
        if base not in (top, f"{top}/monitors"):
            yield base


def at_rest(product: Product) -> Traces:
    """Return what there is once nothing is cached, half made or being removed any more."""
    product.pinnace("builder", "prune", "-a", "-f")
    end = time.monotonic() + SETTLE_S * PATIENCE
    while (found := look(product)).files:
        assert time.monotonic() < end, f"still there: {found.files}"
        time.sleep(0.05)
    return found


def until_clean(product: Product, before: Traces, *, but_whole_layers: bool = False) -> None:
    """Wait until nothing is left but what was there before; layers that only the build's cache keeps are pruned.

    `but_whole_layers`: what a broken pull has already got stays for the next one.
    """
    end = time.monotonic() + SETTLE_S * PATIENCE
    while True:
        product.pinnace("builder", "prune", "-a", "-f")
        after = look(product)
        if but_whole_layers:
            after = replace(after, layers=before.layers)
        if after == before:
            return
        assert time.monotonic() < end, _tell_changes(before, after)
        time.sleep(0.1)


def _tell_changes(before: Traces, after: Traces) -> str:
    lines = []
    for what, was in asdict(before).items():
        now = getattr(after, what)
        lines += [f"{what}: {one} is left" for one in set(now) - set(was)]
        lines += [f"{what}: {one} is gone" for one in set(was) - set(now)]
    return "\n".join(lines)


@dataclass
class Client:
    """A running `pinnace`; what it says is read as it comes."""

    process: subprocess.Popen[bytes]
    said: bytearray = field(default_factory=bytearray)

    def wait_for(self, words: str) -> None:
        """Wait until it has said something."""
        end = time.monotonic() + WAIT_S * PATIENCE
        while words.encode() not in self.said:
            if self.process.poll() is not None:
                self._reader.join(5)  # it may have said it last
                assert words.encode() in self.said, f"it ended: {self.said.decode(errors='replace')}"
            assert time.monotonic() < end, f"never said {words!r}: {self.said.decode(errors='replace')}"
            time.sleep(0.005)

    def cut(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it as a closed terminal or a killed shell does."""
        self.process.send_signal(number)
        self.process.wait(WAIT_S * PATIENCE)

    def end(self) -> tuple[int, str]:
        """Wait until it ends by itself; return its code and all that it said."""
        code = self.process.wait(WAIT_S * PATIENCE)
        self._reader.join(5)
        return code, self.said.decode(errors="replace")

    def start_reading(self) -> None:
        def read() -> None:
            assert self.process.stdout is not None
            while data := os.read(self.process.stdout.fileno(), 65536):
                self.said += data

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()


@contextlib.contextmanager
def client(product: Product, *words: str) -> Iterator[Client]:
    """Start `pinnace` with both outputs in one."""
    process = subprocess.Popen(
        [*PINNACE, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=product.env
    )
    one = Client(process)
    one.start_reading()
    try:
        yield one
    finally:
        process.kill()
        process.wait(10)
