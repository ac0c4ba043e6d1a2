"""How much memory an engine's own processes have at most while something goes on.

Counted is the proportional memory (PSS) of the engine's processes and what they started, as long as it runs in this
host's PID namespace: what a build's RUN started in a container belongs to the person's command, not to the engine.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.harness import read_pss

EVERY_S = 0.05

FindRoots = Callable[[], Iterable[int]]


class Peak:
    """A block that measures: `with Peak(roots) as peak: …`, then `peak.mib`."""

    def __init__(self, roots: FindRoots) -> None:
        self._roots = roots
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._bytes = 0

    @property
    def mib(self) -> float:
        return self._bytes / (1 << 20)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *exit: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._bytes = max(self._bytes, sum(map(read_pss, find_family(self._roots()))))
            if self._ended.wait(EVERY_S):
                return


def find_family(roots: Iterable[int]) -> set[int]:
    """Return processes and all that descend from them, but for those in another PID namespace."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [pid for pid in roots if _namespace(pid) == _namespace(os.getpid())]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += [one for one in children.get(pid, ()) if _namespace(one) == _namespace(os.getpid())]
    return found


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
