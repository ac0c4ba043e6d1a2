"""How long `run --rm` of a trivial container takes as a whole process, with network: ours, Docker's, and bare runc.

Run: python -m benchmarks.run_rm

Ours and Docker's run in turn, on the same tiny root filesystem, so that whatever else the machine does meets both. Docker is
a dockerd of its own, with data, sockets and a network namespace of its own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import PINNACE, Bench, Figures, bench, docker_engine, make_busybox_tar, median

ROUNDS = 25
TARGET = "<= 0.120 s"


def main() -> Figures:
    figures = Figures("run --rm")
    with bench("bench-run") as one, docker_engine(one.folder / "docker") as docker:
        one.up()
        one.bring_image()
        if docker is not None:
            tar = make_busybox_tar(one.folder)
            subprocess.run(
                ["docker", "import", "-c", "ENV PATH=/bin", str(tar), "bb:v1"],
                env=docker, capture_output=True, check=True, timeout=120,
            )  # fmt: skip
        for flags, what in (((), "run --rm true"), (("--network", "none"), "run --rm --network none true")):
            argv = ["run", "--rm", *flags, "bb:v1", "true"]
            ours, theirs = _in_turn([PINNACE, *argv], one.environ, ["docker", *argv], docker)
            figures.add(
                what, _show(ours), f"docker {_show(theirs)}" if theirs else "docker is not installed", TARGET
            )
        figures.add("run -i --rm cat, first byte to last", *_first_bytes(one, docker))
        figures.add("runc run, nothing around it", _show(_bare_runc(one.folder)), "", "")
    return figures


def _in_turn(
    ours: list[str], our_env: dict[str, str], theirs: list[str], their_env: dict[str, str] | None
) -> tuple[list[float], list[float]]:
    mine: list[float] = []
    peer: list[float] = []
    for _ in range(ROUNDS):
        mine.append(_seconds(ours, our_env))
        if their_env is not None:
            peer.append(_seconds(theirs, their_env))
        time.sleep(0.1)  # what either still takes away must not meet the other
    return mine, peer


def _seconds(argv: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, env=env, capture_output=True, check=True, timeout=60)
    return time.perf_counter() - began


def _first_bytes(one: Bench, docker: dict[str, str] | None) -> tuple[str, str, str]:
    data = b"x" * (8 << 20)
    figures = []
    for argv, env in ((PINNACE, one.environ), ("docker", docker)):
        if env is None:
            figures.append("")
            continue
        began = time.perf_counter()
        done = subprocess.run(
            [argv, "run", "-i", "--rm", "bb:v1", "cat"], env=env, input=data, capture_output=True, timeout=60, check=True
        )  # fmt: skip
        seconds = time.perf_counter() - began
        if done.stdout != data:
            print(f"error: {argv} lost {len(data) - len(done.stdout)} of {len(data)} bytes", file=sys.stderr)
        figures.append(f"{seconds:.3f} s for 8 MiB there and back")
    return figures[0], f"docker {figures[1]}" if figures[1] else "", ""


def _bare_runc(folder: Path) -> list[float]:
    """Run the same root filesystem with runc alone: what is below all of it."""
    if shutil.which("runc") is None:
        return []
    bundle = folder / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    subprocess.run(["tar", "-xf", str(make_busybox_tar(folder)), "-C", str(bundle / "rootfs")], check=True)
    subprocess.run(["runc", "spec", "-b", str(bundle)], check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"] |= {"terminal": False, "args": ["/bin/true"]}
    config["linux"]["cgroupsPath"] = "/bench-run-bare"
    (bundle / "config.json").write_text(json.dumps(config))
    argv = ["runc", "--root", str(folder / "runc"), "run", "-b", str(bundle), "bare"]
    return [_seconds(argv, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}) for _ in range(ROUNDS)]


def _show(seconds: list[float]) -> str:
    return f"{median(seconds):.3f} s (best {min(seconds):.3f})" if seconds else "-"


if __name__ == "__main__":
    main()
