"""Measures the Kubernetes API over TLS: creates, gets and merge patches of a 1.5 kB pod per second.

Run: python benchmarks/api.py [SECONDS] [--profile VERB] [--account]

The server runs in a process of its own, on a durable store in a temporary folder; this process drives it over 16 kept
connections with client certificates, one request under way on each. The client is raw asyncio on uvloop, so that it costs
less than what it measures. The default roles are there and refusals are audited. With `--account` the client is no
administrator but a service account: each request carries its token, and RBAC decides on it. Peer: kube-apiserver 1.36 with etcd on the same class of machine (2 cores, 16 connections).
"""

from __future__ import annotations

import asyncio
import cProfile
import itertools
import json
import os
import pstats
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

CONNECTIONS = 16
PEER = {
    "create": 620,
    "get": 1788,
    "merge-patch": 469,
}  # kube-apiserver 1.36 + etcd, measured once, see the README
TARGET = {"create": 1900, "get": 8000, "merge-patch": 1500}
PODS = "/api/v1/namespaces/default/pods"
BINDING = {
    "metadata": {"name": "benchmark", "namespace": "default"},
    "roleRef": {"kind": "ClusterRole", "name": "edit"},
    "subjects": [{"kind": "ServiceAccount", "name": "default"}],
}


def pod(name: str) -> bytes:
    container = {
        "name": "inference",
        "image": "registry.example.com/team/my-model:v1",
        "command": ["python", "-m", "server", "--port", "8000", "--workers", "2"],
        "ports": [{"containerPort": 8000, "name": "http"}],
        "env": [{"name": f"SETTING_{n}", "value": f"value-{n}"} for n in range(6)],
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8000}, "periodSeconds": 5},
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "ml-inference", "tier": "serving"}},
            "spec": {"containers": [container]},
        }
    ).encode()


# ---------------------------------------------------------------------------------------------------- the server


async def serve(folder: Path, profile: bool) -> None:
    from pinnace.api.access.tokens import Tokens, make_key
    from pinnace.api.facade import Api
    from pinnace.base.chance import Chance
    from pinnace.base.clock import SystemClock
    from pinnace.controllers.access.ensure import ensure_default_access
    from pinnace.kube import codec, kinds
    from pinnace.kube.objects.authentication_v1 import TokenRequestSpec
    from pinnace.kube.objects.core_v1 import Namespace, ServiceAccount
    from pinnace.kube.objects.meta_v1 import ObjectMeta
    from pinnace.kubeapi.audit import AuditLog
    from pinnace.kubeapi.pki import ensure
    from pinnace.kubeapi.server import KubeServer
    from pinnace.kubeapi.settings import World
    from pinnace.store.sqlite import SqliteStore

    clock = SystemClock()
    store = SqliteStore(folder / "state.db")
    api = Api(store, clock, Chance())
    await api.create(Namespace(metadata=ObjectMeta(name="default")))
    await ensure_default_access(api)
    await api.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
    await api.create(codec.from_json(kinds.ROLE_BINDING, BINDING))
    tokens = Tokens(api, make_key(), clock, Chance())
    issued = tokens.issue("default", "default", TokenRequestSpec(expiration_seconds=3600))
    (folder / "token").write_text(issued.token)
    server = KubeServer(api, World(), tokens=tokens, audit=AuditLog(folder / "audit.log", clock, Chance()))
    port = await server.serve_tls("127.0.0.1", 0, ensure(folder / "pki", clock).server_context())
    print(port, flush=True)
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    profiler = cProfile.Profile()
    loop.add_reader(0, done.set)  # our parent closes its end when it has finished
    if profile:
        profiler.enable()
    await done.wait()
    profiler.disable()
    if profile:
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(45)
    await server.close()
    await store.close()


# ---------------------------------------------------------------------------------------------------- the client


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the answer is complete."""

    def __init__(self, requests: Callable[[], bytes], counter: Counter) -> None:
        self.requests = requests
        self.counter = counter
        self.buffer = b""
        self.transport: asyncio.Transport | None = None
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class

    def send(self) -> None:
        assert self.transport is not None
        self.transport.write(self.requests())

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            self.buffer = data
            return
        start = data.find(b"Content-Length: ") + 16
        length = int(data[start : data.index(b"\r", start)])
        if len(data) < head + 4 + length:
            self.buffer = data
            return
        self.buffer = b""
        self.counter.add(data[9:12], length)
        if self.counter.running:
            self.send()
        elif self.transport is not None:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)


@dataclass(frozen=True)
class Server:
    """The process under test, and how to reach it."""

    pid: int
    port: int
    context: ssl.SSLContext
    token: str = ""

    @classmethod
    def of(cls, pid: int, port: int, folder: Path, *, account: bool = False) -> Server:
        context = ssl.create_default_context(cafile=str(folder / "pki" / "ca.crt"))
        if account:
            return cls(pid, port, context, (folder / "token").read_text())
        context.load_cert_chain(folder / "pki" / "admin.pem")
        return cls(pid, port, context)


class Counter:
    """What was answered."""

    def __init__(self) -> None:
        self.done = 0
        self.failed = 0
        self.size = 0
        self.running = True

    def add(self, status: bytes, size: int) -> None:
        self.size = size
        if status[0:1] == b"2":
            self.done += 1
        else:
            self.failed += 1


def request(
    method: str, path: str, body: bytes = b"", content_type: str = "application/json", *, token: str = ""
) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nUser-Agent: benchmark/1\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def cpu_seconds(pid: int) -> float:
    """Return what a process has used, all its threads together: it doesn't depend on who else is on the machine."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(verb: str, server: Server, requests: Callable[[], bytes], seconds: float) -> Counter:
    loop, counter = asyncio.get_running_loop(), Counter()
    connections = []
    for _ in range(CONNECTIONS):
        _, connection = await loop.create_connection(
            lambda: Connection(requests, counter),
            "127.0.0.1",
            server.port,
            ssl=server.context,
            server_hostname="localhost",
        )
        connections.append(connection)
    for connection in connections:
        connection.send()
    await asyncio.sleep(0.5)
    before, began, cpu = counter.done, time.perf_counter(), cpu_seconds(server.pid)
    await asyncio.sleep(seconds)
    rate = (counter.done - before) / (time.perf_counter() - began)
    each_us = 1e6 * (cpu_seconds(server.pid) - cpu) / max(1, counter.done - before)
    counter.running = False
    await asyncio.wait([connection.gone for connection in connections], timeout=5)
    print(
        f"{verb:<12} {PEER[verb]:>16,}/s {rate:>12,.0f}/s {TARGET[verb]:>10,}/s {counter.size:>8} B"
        f" {each_us:>11,.0f} µs {counter.failed:>7}",
        flush=True,
    )
    return counter


async def drive(server: Server, seconds: float, verbs: tuple[str, ...]) -> None:
    names = itertools.count()

    def create() -> bytes:
        return request("POST", PODS, pod(f"web-{next(names)}"), token=server.token)

    turn = itertools.count()

    def any_name() -> str:
        return f"web-{next(turn) * 7919 % 1000}"

    def get() -> bytes:
        return request("GET", f"{PODS}/{any_name()}", token=server.token)

    def merge_patch() -> bytes:
        number = next(turn)
        body = b'{"metadata":{"annotations":{"turn":"%d"}}}' % number
        path = f"{PODS}/web-{number * 7919 % 1000}"
        return request("PATCH", path, body, "application/merge-patch+json", token=server.token)

    print(
        f"{'verb':<12} {'kube-apiserver':>18} {'pinnace':>14} {'target':>12} {'answer':>10} {'server CPU':>14} {'failed':>7}"
    )
    for verb, requests in (("create", create), ("get", get), ("merge-patch", merge_patch)):
        if verb in verbs:
            await measure(verb, server, requests, seconds)
        elif verb == "create":
            await measure(verb, server, requests, 1.0)


@contextmanager
def served(*, profiled: bool = False, account: bool = False) -> Iterator[Server]:
    """Run a server in a process and a folder of its own; yield how to reach it."""
    with tempfile.TemporaryDirectory(prefix="pinnace-bench-") as name:
        process = subprocess.Popen(
            [sys.executable, __file__, "serve", name, *(["profile"] if profiled else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield Server.of(process.pid, port, Path(name), account=account)
        finally:
            process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(Path(sys.argv[2]), sys.argv[3:] == ["profile"]))
        return
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    profiled, account = "--profile" in sys.argv, "--account" in sys.argv
    verbs = tuple(argument for argument in arguments if argument in PEER) or tuple(PEER)
    seconds = next((float(argument) for argument in arguments if argument not in PEER), 5.0)
    with served(profiled=profiled, account=account) as server:
        uvloop.run(drive(server, seconds, verbs))


if __name__ == "__main__":
    main()
