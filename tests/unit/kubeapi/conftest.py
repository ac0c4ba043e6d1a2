"""A server on a Unix socket over a memory store, with a world that a test can script."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pinnace.api.facade import Api
from pinnace.api.world import (
    ContainerUsage,
    Dialer,
    ExecOptions,
    LogOptions,
    NodeAnswer,
    NodeRequest,
    NodeServer,
    NodeUsage,
    Output,
)
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.kube.objects.core_v1 import Namespace, Pod
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kubeapi.server import KubeServer
from pinnace.kubeapi.settings import ServerSettings, World
from pinnace.store.memory import MemoryStore


class FakeSession:
    """A process that echoes its input in upper case and ends with 3 when its input does."""

    def __init__(self, options: ExecOptions) -> None:
        self.options = options
        self.sizes: list[tuple[int, int]] = []
        self.closed = asyncio.Event()
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def write_stdin(self, data: bytes) -> None:
        self._input.put_nowait(data)

    async def close_stdin(self) -> None:
        self._input.put_nowait(None)

    async def output(self) -> AsyncIterator[Output]:
        yield Output("stdout", " ".join(self.options.command).encode())
        if not self.options.stdin:
            return
        while (data := await self._input.get()) is not None:
            yield Output("stderr" if self.options.stderr else "stdout", data.upper())

    async def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    async def wait(self) -> int:
        return 3 if self.options.stdin else 0

    async def close(self) -> None:
        self.closed.set()


class FakeWorld:
    """Implements all protocols of the world."""

    def __init__(self) -> None:
        self.log_options: list[LogOptions] = []
        self.log_chunks: list[bytes] = [b"one\n", b"two\n"]
        self.hold_logs: asyncio.Event | None = None
        self.sessions: list[FakeSession] = []
        self.usage: dict[tuple[str, str], dict[str, ContainerUsage]] = {}
        self.nodes: dict[str, NodeUsage] = {}
        self.ports: dict[int, int] = {}
        self.dialer: Dialer | None = None
        self.node: NodeServer | None = None

    async def read_logs(self, pod: Pod, options: LogOptions) -> AsyncIterator[bytes]:
        self.log_options.append(options)
        for chunk in self.log_chunks:
            yield chunk
        if options.follow and self.hold_logs is not None:
            await self.hold_logs.wait()
            yield b"late\n"

    async def exec(self, pod: Pod, options: ExecOptions) -> FakeSession:
        self.sessions.append(FakeSession(options))
        return self.sessions[-1]

    attach = exec

    async def connect(self, pod: Pod, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.ports[port])

    async def dial(
        self, host: str, port: int, *, tls: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self.dialer is not None
        return await self.dialer.dial(host, port, tls=tls)

    async def answer(self, node: str, request: NodeRequest) -> NodeAnswer:
        assert self.node is not None
        return await self.node.answer(node, request)

    def pod_usage(self, namespace: str, name: str) -> Mapping[str, ContainerUsage]:
        return self.usage.get((namespace, name), {})

    def node_usage(self, name: str) -> NodeUsage | None:
        return self.nodes.get(name)


class Kube:
    """A client of the server under test."""

    def __init__(self, api: Api, world: FakeWorld, session: aiohttp.ClientSession, path: Path) -> None:
        self.api = api
        self.world = world
        self.session = session
        self.path = path

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        **headers: str,
    ) -> tuple[int, Any]:
        """Return the status and the document (text where it is no JSON)."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            named["Content-Type"] = content_type
        async with self.session.request(method, f"http://kube{path}", data=data, headers=named) as response:
            self.headers = response.headers
            text = await response.text()
        return response.status, json.loads(text) if text.startswith("{") else text

    async def get(self, path: str, **headers: str) -> Any:
        """Return the document of a request that must succeed."""
        status, document = await self.call("GET", path, **headers)
        assert status == 200, document
        return document

    async def watch(self, path: str, count: int, **headers: str) -> list[Any]:
        """Return the first events of a watch."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        events: list[Any] = []
        async with asyncio.timeout(5), self.session.get(f"http://kube{path}", headers=named) as response:
            assert response.status == 200, await response.text()
            while len(events) < count:
                line = await response.content.readline()
                if not line:
                    break
                events.append(json.loads(line))
        return events


@pytest.fixture
async def kube(tmp_path: Path) -> AsyncIterator[Kube]:
    api = Api(MemoryStore(), SystemClock(), Chance(1))
    await api.create(Namespace(metadata=ObjectMeta(name="default")))
    fake = FakeWorld()
    world = World(logs=fake, exec=fake, attach=fake, port_forward=fake, usage=fake, dialer=fake, node=fake)
    server = KubeServer(api, world, ServerSettings(bookmark_interval_s=0.05))
    path = tmp_path / "kube.sock"
    await server.serve_unix(path)
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
        yield Kube(api, fake, session, path)
    await server.close()
    await api.store.close()


def pod(
    name: str = "web", *, labels: dict[str, str] | None = None, containers: int = 1, **spec: Any
) -> dict[str, Any]:
    listed = [{"name": f"c{n}", "image": "image:v1"} for n in range(containers)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"containers": listed, **spec},
    }


PODS = "/api/v1/namespaces/default/pods"
