"""How long the daemon does not answer while it builds 1 GB: COPY, a RUN that writes and talks much, commit. `docker build` beside it.

Run as root: python -m benchmarks.loop_stall [--small]

Measured from outside: a process of its own asks `GET /healthz` over the unix socket every 5 ms, on one connection, and the
same of a bare loop in another process that does nothing else. What the bare loop is late by is the machine's doing (two
cores with much to write); what the daemon is late by beyond that, at its worst, is its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.harness import (
    BUSYBOX,
    PINNACE,
    Bench,
    Figures,
    bench,
    docker_engine,
    make_busybox_tar,
    percentile,
)

EVERY_S = 0.005
TARGET_MS = 20.0
SETTLE_S = 2.0
MIB = 1 << 20
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DOCKERFILE = """FROM bb:v1
COPY . /data
RUN cat /data/large* /data/large* > /out; i=0; while [ $i -lt 5000 ]; do echo $i > /tmp/$i; i=$((i+1)); done; seq 1 100000
"""


@dataclass(frozen=True)
class Size:
    """A context: how many small files of how many bytes, and large ones. Units: bytes."""

    small: int
    small_bytes: int
    large: int
    large_bytes: int

    @property
    def total(self) -> int:
        return self.small * self.small_bytes + self.large * self.large_bytes


FULL = Size(4000, 150_000, 8, 50_000_000)  # 1 GB in 4,008 files
SMALL = Size(400, 150_000, 4, 10_000_000)  # 100 MB, to look whether the program works


def main(argv: list[str]) -> Figures:
    figures = Figures("Build")
    size = SMALL if "--small" in argv else FULL
    with bench("bench-stall") as one:
        one.up()
        one.bring_image()
        context = make_context(one.folder / "context", size)
        time.sleep(SETTLE_S)
        sockets = {"daemon": str(one.client.settings.kube_socket), "bare": str(one.folder / "bare.sock")}
        with Prober(sockets, one.folder) as prober:
            time.sleep(SETTLE_S)
            idle = prober.take()
            seconds, output = timed_build(one, context)
            busy = prober.take()
            cached_s, _ = timed_build(one, context)
            cached = prober.take()
        with docker_engine(one.folder / "docker") as environ:
            docker_s = docker_build(environ, one.folder, context) if environ is not None else None
        report(figures, size, idle, busy, cached)
        peer = (
            f"docker build {docker_s:.1f} s (classic builder)"
            if docker_s is not None
            else "docker: not measured"
        )
        figures.add(f"build of {size.total / 1e9:.1f} GB, nothing cached", f"{seconds:.1f} s", peer)
        figures.add("… all cached", f"{cached_s:.2f} s")
        for line in output.splitlines():
            if " DONE " in line:
                figures.add("  " + line.split(" DONE ")[0], line.split(" DONE ")[1])
    return figures


def report(figures: Figures, size: Size, idle: Lateness, busy: Lateness, cached: Lateness) -> None:
    base = percentile(idle["daemon"], 0.5)
    for what, seen in (
        ("at rest", idle),
        (f"building {size.total / 1e9:.1f} GB", busy),
        ("building, all cached", cached),
    ):
        ours, bare = seen["daemon"], seen["bare"]
        figures.add(
            f"longest wait for an answer, {what} ({len(ours)} asked)",
            f"{max(ours) - base:.1f} ms (p99 {percentile(ours, 0.99) - base:.1f} ms)",
            f"bare loop {max(bare):.1f} ms (p99 {percentile(bare, 0.99):.1f} ms)",
            f"<= {TARGET_MS:.0f} ms" if seen is busy else "",
        )


def make_context(folder: Path, size: Size) -> Path:
    """Make the files to copy: random bytes, so that nothing is gained by their being alike."""
    folder.mkdir()
    data = os.urandom(8 * MIB)
    for number in range(size.small):
        place = folder / f"d{number % 40}"
        place.mkdir(exist_ok=True)
        start = number * 997 % (len(data) - size.small_bytes)
        (place / f"f{number}").write_bytes(data[start : start + size.small_bytes])
    for number in range(size.large):
        with open(folder / f"large{number}", "wb") as file:
            left = size.large_bytes
            while left:
                left -= file.write(data[number : number + min(left, 4 * MIB)])
    (folder / "Dockerfile").write_text(DOCKERFILE)
    os.sync()
    return folder


def timed_build(one: Bench, context: Path) -> tuple[float, str]:
    began = time.perf_counter()
    done = one.pinnace("build", "-t", "big:v1", str(context))
    return time.perf_counter() - began, done.stderr


def docker_build(environ: dict[str, str], folder: Path, context: Path) -> float | None:
    """Build the same with Docker, once; None when it can't."""
    environ = {**environ, "DOCKER_BUILDKIT": "0"}
    tar = make_busybox_tar(folder)
    subprocess.run(["docker", "import", str(tar), "bb:v1"], env=environ, capture_output=True, check=True)
    os.sync()
    began = time.perf_counter()
    argv = ["docker", "build", "--network", "none", "-t", "big:v1", str(context)]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"docker build failed: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return None
    return time.perf_counter() - began


# --- the prober ----------------------------------------------------------------------------------------------------------

Lateness = dict[str, list[float]]  # milliseconds, by socket


class Prober:
    """A process that asks, and a bare loop for it to ask beside the daemon; both end with the block."""

    def __init__(self, sockets: dict[str, str], folder: Path) -> None:
        self._sockets = sockets
        self._folder = folder

    def __enter__(self) -> Prober:
        argv = [sys.executable, "-m", "benchmarks.loop_stall"]
        self._bare = subprocess.Popen([*argv, "--serve", self._sockets["bare"]])
        while not Path(self._sockets["bare"]).exists():
            time.sleep(0.01)
        self._asking = subprocess.Popen(
            [*argv, "--ask", json.dumps(self._sockets)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def take(self) -> Lateness:
        """Return what was measured since the last time."""
        assert self._asking.stdin is not None
        assert self._asking.stdout is not None
        self._asking.stdin.write("\n")
        self._asking.stdin.flush()
        found: Lateness = json.loads(self._asking.stdout.readline())
        return found

    def __exit__(self, *exit: object) -> None:
        for process in (self._asking, self._bare):
            process.kill()
            process.wait()


def ask(sockets: dict[str, str]) -> None:
    """Ask each socket every 5 ms, each in its thread, and print all waits (in ms) whenever a line comes in."""
    with suppress(PermissionError):
        os.nice(-15)  # what is measured is the daemon's waiting, not ours
    waits: Lateness = {name: [] for name in sockets}
    for name, path in sockets.items():
        threading.Thread(target=_ask_one, args=(path, waits, name), daemon=True).start()
    for _ in sys.stdin:
        taken = {name: waits[name] for name in waits}
        for name in waits:
            waits[name] = []
        print(json.dumps(taken), flush=True)


def _ask_one(path: str, waits: Lateness, name: str) -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    following = time.perf_counter()
    while True:
        began = time.perf_counter()
        connection.sendall(REQUEST)
        data = b""
        while not data.endswith(b"ok"):
            more = connection.recv(4096)
            if not more:
                return
            data += more
        waits[name].append((time.perf_counter() - began) * 1000)
        following = max(following + EVERY_S, time.perf_counter())
        time.sleep(following - time.perf_counter() if following > time.perf_counter() else 0)


class Bare(asyncio.Protocol):
    """Answers every request at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)


async def serve(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Bare, path)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        uvloop.run(serve(sys.argv[2]))
    elif sys.argv[1:2] == ["--ask"]:
        ask(json.loads(sys.argv[2]))
    else:
        assert Path(BUSYBOX).exists(), f"needs busybox-static and {PINNACE}"
        main(sys.argv[1:])
