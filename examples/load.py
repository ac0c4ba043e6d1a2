"""Sends requests to one address at a steady rate, over real sockets, and counts what came back.

`Load` is started and stopped around something else (a rollout, a crash), and gives a `Tally`. By hand:

    python -m examples.load http://127.0.0.1/predict --rate 50 --duration 10

Each request has a connection of its own, as from a crowd of clients, unless keep-alive is asked for: then each worker
keeps one, and opens another when the server closes it, as browsers and client libraries do.
Invariant: a request that was begun is counted once, as answered with 200 or as failed; stopping cuts none off.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer's status, and who gave it."""

    code: int
    pod: str = ""
    version: str = ""
    close: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no good answer. Units: seconds since the load began."""

    at_s: float
    why: str


@dataclass(slots=True)
class Tally:
    """What became of the requests. Units: seconds."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    pods: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    @property
    def requests(self) -> int:
        return len(self.latencies_s) + len(self.failures)

    @property
    def failed(self) -> int:
        return len(self.failures)

    def quantile_s(self, share: float) -> float:
        """Return the latency that this share of the good answers stayed below. Example: 0.5 is the median."""
        ordered = sorted(self.latencies_s)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0

    def describe(self) -> str:
        """Return one line: "812 requests, 0 failed (41/s, median 2.1 ms, p99 9.8 ms)"."""
        rate = self.requests / self.seconds if self.seconds else 0.0
        speed = f"{rate:.0f}/s, median {self.quantile_s(0.5) * 1e3:.1f} ms, p99 {self.quantile_s(0.99) * 1e3:.1f} ms"
        return f"{self.requests} requests, {self.failed} failed ({speed})"


def parse_answer(head: bytes) -> tuple[Answer, int]:
    """Return what an answer's head says, and the length of its body. Raises: ValueError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    answer = Answer(
        code=int(first.split(" ")[1]),
        pod=headers.get("x-pod", ""),
        version=headers.get("x-version", ""),
        close=headers.get("connection", "").lower() == "close",
    )
    return answer, int(headers.get("content-length", "0"))


class Connection:
    """One connection; opened when it is needed."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.opened = 0

    async def ask(self, request: bytes) -> Answer:
        """Send a request and return its answer. Raises: OSError, EOFError, ValueError."""
        was_open = self._streams is not None
        try:
            return await self._ask(request)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self.close()
            partial = isinstance(error, asyncio.IncompleteReadError) and error.partial
            if not was_open or partial:
                raise
            # The server closed an idle connection while we wrote. Source: RFC 9112, section 9.3.1: a client may retry.
            return await self._ask(request)

    async def _ask(self, request: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
            self.opened += 1
        reader, writer = self._streams
        writer.write(request)
        answer, length = parse_answer(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(length)
        if answer.close:
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Load:
    """Requests at `rate_per_s`, by at most `workers` at a time; slower when the answers are."""

    def __init__(self, url: str, *, rate_per_s: float, workers: int = 16, keep_alive: bool = False) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._request = (
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
        ).encode()
        self._keep_alive = keep_alive
        self._rate = rate_per_s
        self._workers = workers
        self._tasks: list[asyncio.Task[None]] = []
        self._began = 0.0
        self._slots = 0
        self._stopped = asyncio.Event()
        self._counted = asyncio.Event()
        self.tally = Tally()

    @property
    def now_s(self) -> float:
        """Seconds since the load began."""
        return time.monotonic() - self._began

    def start(self) -> Load:
        """Begin."""
        self._began = time.monotonic()
        self._tasks = [asyncio.create_task(self._work(), name=f"load/{n}") for n in range(self._workers)]
        return self

    async def stop(self) -> Tally:
        """Wait for the requests under way, and return the tally."""
        self._stopped.set()
        await asyncio.gather(*self._tasks)
        self.tally.seconds = time.monotonic() - self._began
        return self.tally

    async def wait_for(self, requests: int, timeout_s: float = 60.0) -> None:
        """Return when so many more requests were answered or failed. Raises: TimeoutError."""
        goal = self.tally.requests + requests
        async with asyncio.timeout(timeout_s):
            while self.tally.requests < goal:
                self._counted.clear()
                await self._counted.wait()

    async def _work(self) -> None:
        connection = Connection(*self._address)
        try:
            while await self._next_slot():
                await self._send(connection)
                self._counted.set()
                if not self._keep_alive:
                    connection.close()
        finally:
            connection.close()
            self.tally.connections += connection.opened

    async def _next_slot(self) -> bool:
        """Wait for this worker's turn; False when the load has been stopped."""
        turn = self._began + self._slots / self._rate
        self._slots += 1
        if (wait_s := turn - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), wait_s)
        return not self._stopped.is_set()

    async def _send(self, connection: Connection) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answer = await connection.ask(self._request)
        except (OSError, EOFError, ValueError) as error:  # a TimeoutError is an OSError
            connection.close()
            self.tally.failures.append(Failure(began - self._began, f"{type(error).__name__}: {error}"))
            return
        if answer.code != 200:
            self.tally.failures.append(Failure(began - self._began, f"HTTP {answer.code} from {answer.pod}"))
            return
        self.tally.latencies_s.append(time.monotonic() - began)
        self.tally.pods[answer.pod] += 1
        self.tally.versions[answer.version] += 1


async def _run(options: argparse.Namespace) -> int:
    load = Load(
        options.url, rate_per_s=options.rate, workers=options.workers, keep_alive=options.keep_alive
    ).start()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(options.duration)
    tally = await load.stop()
    print(tally.describe())
    for pod, count in sorted(tally.pods.items()):
        print(f"  {pod or 'unnamed'}: {count}")
    for why, count in Counter(failure.why for failure in tally.failures).most_common(5):
        print(f"  failed: {count} × {why}")
    return 1 if tally.failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.load", description="Send requests and count the answers."
    )
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=50.0, metavar="N", help="requests per second (50)")
    parser.add_argument("--duration", type=float, default=10.0, metavar="SECONDS", help="(10)")
    parser.add_argument(
        "--workers", type=int, default=16, metavar="N", help="requests at a time, at most (16)"
    )
    parser.add_argument("--keep-alive", action="store_true", help="keep connections open")
    return asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
