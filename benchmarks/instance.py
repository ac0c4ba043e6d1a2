"""`up` to a ready API and node, and the memory of all that we run; dockerd with containerd beside it.

Run: python -m benchmarks.instance
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.harness import Figures, bench, docker_engine, median, pids_of, read_pss

RUNS = 5
IDLE_S = 5.0
MIB = 1 << 20


def main() -> Figures:
    figures = Figures("Instance")
    with bench("bench-up") as one:
        first = one.up()
        times = []
        for _ in range(RUNS):
            one.pinnace("down")
            times.append(one.up())
        time.sleep(IDLE_S)
        ours = sum(read_pss(pid) for pid in pids_of("pinnace.daemon", str(one.folder)))
        with docker_engine(one.folder / "docker") as environ:
            peer = "not measured"
            docker_up = "not measured"
            if environ is not None:
                time.sleep(IDLE_S)
                pids = pids_of(str(one.folder / "docker"))
                peer = f"{sum(read_pss(pid) for pid in pids) / MIB:.0f} MiB dockerd + containerd"
                docker_up = "control plane alone 2.7 s, k3d 20 s, kind 33 s (published)"
        figures.add("up, first start (keys are made)", f"{first:.2f} s", "", "< 1 s")
        figures.add("up, later starts (median)", f"{median(times):.2f} s", docker_up, "< 1 s")
        figures.add("idle memory (PSS)", f"{ours / MIB:.0f} MiB", peer, "<= 90 MiB")
        figures.add("state directory", f"{_size(one.folder / 'home') / MIB:.1f} MiB")
    return figures


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


if __name__ == "__main__":
    main()
