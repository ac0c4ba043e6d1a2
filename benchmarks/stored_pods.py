"""10,000 pods that are stored: how long a start takes, what the daemon weighs, and how long a durable write then takes.

Run: python -m benchmarks.stored_pods [PODS]

The pods are the 1.5 kB ones of benchmarks.api, held back by a scheduling gate: the figures are of the store and the API, not
of 10,000 containers. Writes are merge patches over TLS with a client certificate: one at a time, then 16 at once; each is
acknowledged when it is on disk. Peer: none that could be run here.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import aiohttp
import yaml

from benchmarks.api import PODS as PATH
from benchmarks.api import pod
from benchmarks.harness import Bench, Figures, bench, percentile, pids_of, read_pss

COUNT = 10_000
CONNECTIONS = 16
WRITES = 4_000
STARTS = 3
SETTLE_S = 5.0
MIB = 1 << 20


def gated(name: str) -> bytes:
    document = json.loads(pod(name))
    document["spec"]["schedulingGates"] = [{"name": "example.com/benchmark"}]
    return json.dumps(document).encode()


def server_of(one: Bench) -> str:
    config = yaml.safe_load((one.folder / "home" / "kubeconfig").read_text())
    return str(config["clusters"][0]["cluster"]["server"])


def tls_of(one: Bench) -> ssl.SSLContext:
    pki = one.folder / "home" / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.pem")
    return context


async def run_all(
    one: Bench, jobs: Iterable[Callable[[aiohttp.ClientSession], Awaitable[None]]], at_once: int
) -> list[float]:
    """Run the jobs, `at_once` side by side; return how long each took, in seconds."""
    waiting, times = iter(jobs), []
    connector = aiohttp.TCPConnector(limit=at_once, ssl=tls_of(one))
    async with aiohttp.ClientSession(server_of(one), connector=connector) as session:

        async def work() -> None:
            for job in waiting:
                began = time.perf_counter()
                await job(session)
                times.append(time.perf_counter() - began)

        await asyncio.gather(*(work() for _ in range(at_once)))
    return times


def create(name: str) -> Callable[[aiohttp.ClientSession], Awaitable[None]]:
    async def job(session: aiohttp.ClientSession) -> None:
        async with session.post(
            PATH, data=gated(name), headers={"Content-Type": "application/json"}
        ) as answer:
            answer.raise_for_status()

    return job


def patch(name: str, turn: int) -> Callable[[aiohttp.ClientSession], Awaitable[None]]:
    body = b'{"metadata":{"annotations":{"turn":"%d"}}}' % turn
    headers = {"Content-Type": "application/merge-patch+json"}

    async def job(session: aiohttp.ClientSession) -> None:
        async with session.patch(f"{PATH}/{name}", data=body, headers=headers) as answer:
            answer.raise_for_status()

    return job


def pss_of(one: Bench) -> float:
    return sum(read_pss(pid) for pid in pids_of("pinnace.daemon", str(one.folder))) / MIB


def main() -> Figures:
    count = int(sys.argv[1]) if sys.argv[1:] else COUNT
    figures = Figures(f"{count:,} stored pods")
    with bench("bench-stored") as one:
        one.up()
        empty = pss_of(one)
        names = [f"web-{n}" for n in range(count)]
        asyncio.run(run_all(one, map(create, names), CONNECTIONS))
        time.sleep(SETTLE_S)
        figures.add("memory (PSS), just written", f"{pss_of(one):.0f} MiB", "", "<= 150 MiB")
        starts = []
        for _ in range(STARTS):
            one.pinnace("down")
            starts.append(one.up())
        time.sleep(SETTLE_S)
        figures.add("start, best and worst", f"{min(starts):.2f} s, {max(starts):.2f} s", "", "<= 1.5 s")
        figures.add(
            "memory (PSS), after a start",
            f"{pss_of(one):.0f} MiB",
            f"{empty:.0f} MiB when empty",
            "<= 150 MiB",
        )
        for at_once in (1, CONNECTIONS):
            jobs = [patch(names[turn * 7919 % count], turn) for turn in range(WRITES)]
            times = asyncio.run(run_all(one, jobs, at_once))
            median, most = percentile(times, 0.5) * 1000, percentile(times, 0.99) * 1000
            figures.add(
                f"durable write, {at_once} at once, median and p99",
                f"{median:.1f} ms, {most:.1f} ms",
                "",
                "p99 <= 10 ms",
            )
        figures.add("state.db", f"{_size(one.folder / 'home') / MIB:.0f} MiB")
    return figures


def _size(home: Path) -> int:
    return sum(path.stat().st_size for path in home.glob("state.db*"))


if __name__ == "__main__":
    main()
