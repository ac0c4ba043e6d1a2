"""Measures reads of the Kubernetes API over TLS: a list of 5,000 pods in pages, and how soon 100 watchers see a write.

Run: python -m benchmarks api_reads, or python benchmarks/api_reads.py [SECONDS] [--profile] [--pods N] [--watchers N]

The server runs in a process of its own, on a durable store in a temporary folder. Lists go over one connection, one page after
the other, as client-go asks for them. For watches, one connection creates pods at a steady pace; the time runs from the moment
its request is sent until the event has been read on each of the watchers' connections, so that it includes the write itself
and what this client needs to read a hundred connections. Peer: there is no kube-apiserver to run here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.api import PODS, Server, cpu_seconds, pod, served

PAGE = 500
LIST_TARGET_S = 0.2
WATCH_TARGET_MS = 10.0
WRITES_PER_S = 50
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def request(method: str, path: str, body: bytes = b"", accept: str = "application/json") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nUser-Agent: benchmark/1\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Asker(asyncio.Protocol):
    """One connection on which one request after the other is answered."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.answer: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport | None = None
        self.size = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, text: bytes) -> bytes:
        """Return the body of the answer. Raises: RuntimeError for a refusal."""
        assert self.transport is not None
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(text)
        return await self.answer

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.size < 0:
            head = self.buffer.find(b"\r\n\r\n")
            if head < 0:
                return
            found = re.search(rb"Content-Length: (\d+)", self.buffer[:head])
            assert found is not None
            self.size = head + 4 + int(found.group(1))
            self.status = bytes(self.buffer[9:12])
            self.head = head
        if len(self.buffer) < self.size or self.answer is None:
            return
        body = bytes(self.buffer[self.head + 4 : self.size])
        self.buffer.clear()
        self.size = -1
        if self.status[:1] == b"2":
            self.answer.set_result(body)
        else:
            self.answer.set_exception(RuntimeError(body[:300].decode()))


class Watcher(asyncio.Protocol):
    """One watch: notes when each event came."""

    def __init__(self, path: str, sent: list[float], latencies_s: list[float]) -> None:
        self.path = path
        self.sent = sent
        self.latencies_s = latencies_s
        self.seen = 0
        self.began = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(request("GET", self.path))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.began.done():
            self.began.set_result(None)
        for _ in range(data.count(b'{"type":"ADDED"')):
            self.latencies_s.append(now - self.sent[self.seen])
            self.seen += 1


async def connect(server: Server, protocol: asyncio.Protocol) -> None:
    await asyncio.get_running_loop().create_connection(
        lambda: protocol, "127.0.0.1", server.port, ssl=server.context, server_hostname="localhost"
    )


async def list_pages(asker: Asker, query: str, accept: str) -> tuple[float, int, int]:
    """Return how long all pages took, how many objects they had, and how many bytes."""
    began, token, count, size = time.perf_counter(), "", 0, 0
    while True:
        path = f"{PODS}?limit={PAGE}{query}" + (f"&continue={token}" if token else "")
        body = await asker.ask(request("GET", path, accept=accept))
        size += len(body)
        count += body.count(b'"kind":"Pod"') if accept == "application/json" else body.count(b'"cells":')
        # The metadata stands before the items; a client that decodes would take longer than all the rest.
        found = re.search(rb'"continue":"([^"]+)"', body[:1000])
        if found is None:
            return time.perf_counter() - began, count, size
        token = found.group(1).decode()


async def measure_lists(server: Server, asker: Asker, pods: int) -> None:
    print(
        f"{'list of ' + str(pods) + ' pods':<34} {'median':>9} {'target':>9} {'bytes':>12} {'server CPU':>11}"
    )
    rows = (
        (f"in pages of {PAGE}", "", "application/json", LIST_TARGET_S),
        ("the same, as tables (kubectl get)", "", TABLE, 0.0),
        ("the same, of one label in ten", "&labelSelector=part%3D3", "application/json", 0.0),
    )
    for what, query, accept, target in rows:
        cpu, times = cpu_seconds(server.pid), []
        for _ in range(7):
            taken, count, size = await list_pages(asker, query, accept)
            times.append(taken)
        each = (cpu_seconds(server.pid) - cpu) / len(times)
        expected = pods // 10 if query else pods
        assert count == expected, f"{count} objects, not {expected}"
        shown = f"{target:.1f} s" if target else ""
        print(
            f"{what:<34} {statistics.median(times):>7.3f} s {shown:>9} {size:>12,} {each:>9.3f} s", flush=True
        )


async def measure_watches(server: Server, asker: Asker, watchers: int, seconds: float) -> None:
    sent: list[float] = []
    latencies_s: list[float] = []
    document = json.loads(await asker.ask(request("GET", f"{PODS}?limit=1")))
    revision = document["metadata"]["resourceVersion"]
    opened = []
    for _ in range(watchers):
        watcher = Watcher(f"{PODS}?watch=1&resourceVersion={revision}", sent, latencies_s)
        await connect(server, watcher)
        opened.append(watcher)
    await asyncio.gather(*(watcher.began for watcher in opened))
    cpu, began = cpu_seconds(server.pid), time.perf_counter()
    loop = asyncio.get_running_loop()
    start, number = loop.time(), 0
    while loop.time() < start + seconds:
        sent.append(time.perf_counter())
        await asker.ask(request("POST", PODS, pod(f"event-{number}")))
        number += 1
        await asyncio.sleep(max(0.0, start + number / WRITES_PER_S - loop.time()))
    async with asyncio.timeout(10):
        while len(latencies_s) < number * watchers:  # noqa: ASYNC110 - the watchers only count
            await asyncio.sleep(0.01)
    busy = (cpu_seconds(server.pid) - cpu) / (time.perf_counter() - began)
    latencies_s.sort()
    p50, p99 = (1000 * latencies_s[int(len(latencies_s) * part)] for part in (0.5, 0.99))
    print(
        f"\nfrom a write to {watchers} watchers, {number / seconds:.0f} writes/s, {len(latencies_s):,} events"
    )
    print(
        f"p50 {p50:.2f} ms   p99 {p99:.2f} ms (target {WATCH_TARGET_MS:.0f} ms)   max {1000 * latencies_s[-1]:.2f} ms"
    )
    print(f"server CPU {100 * busy:.0f} % of one core")
    for watcher in opened:
        watcher.transport.close()


async def drive(server: Server, pods: int, watchers: int, seconds: float) -> None:
    asker = Asker()
    await connect(server, asker)
    for number in range(pods):
        document = json.loads(pod(f"web-{number:05}"))
        document["metadata"]["labels"]["part"] = str(number % 10)
        await asker.ask(request("POST", PODS, json.dumps(document).encode()))
    await measure_lists(server, asker, pods)
    await measure_watches(server, asker, watchers, seconds)
    assert asker.transport is not None
    asker.transport.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=10.0)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--watchers", type=int, default=100)
    given = parser.parse_args()
    with served(profiled=given.profile) as server:
        uvloop.run(drive(server, given.pods, given.watchers, given.seconds))


if __name__ == "__main__":
    main()
