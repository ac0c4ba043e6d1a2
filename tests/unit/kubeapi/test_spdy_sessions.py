"""Exec and port-forward over SPDY, with a client on a raw connection, as old clients and fallbacks speak it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pinnace.kubeapi import hangups
from pinnace.kubeapi.spdy import DataReceived, Goodbye, SpdyConnection, SpdyEvent, StreamReplied
from tests.unit.kubeapi.conftest import PODS, Kube
from tests.unit.kubeapi.test_forwarding import echo  # noqa: F401 - a fixture
from tests.unit.kubeapi.test_streams import closed, running

V4 = "v4.channel.k8s.io"


class Peer:
    """A SPDY client on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.codec = SpdyConnection(client=True)
        self.streams: dict[str, int] = {}
        self.head = ""

    async def upgrade(self, path: str, *protocols: str, method: str = "POST") -> int:
        lines = [f"{method} {path} HTTP/1.1", "Host: kube", "Connection: Upgrade", "Upgrade: SPDY/3.1"]
        lines += [f"X-Stream-Protocol-Version: {one}" for one in protocols]
        self.writer.write(("\r\n".join([*lines, "Content-Length: 0"]) + "\r\n\r\n").encode())
        self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        return int(self.head.split()[1])

    async def refused(self) -> str:
        """Return the message of a Status."""
        length = next(line for line in self.head.lower().split("\r\n") if line.startswith("content-length"))
        body = await self.reader.readexactly(int(length.partition(":")[2]))
        return str(json.loads(body)["message"])

    def open(self, kind: str, *, finished: bool = False, **headers: Any) -> None:
        stream, frame = self.codec.open({"streamtype": kind, **headers}, finished=finished)
        self.streams[kind] = stream
        self.writer.write(frame)

    def send(self, kind: str, data: bytes, *, finished: bool = False) -> None:
        self.writer.write(self.codec.data(self.streams[kind], data, finished=finished))

    async def events(self) -> list[SpdyEvent]:
        """Return everything up to the end of the connection."""
        found: list[SpdyEvent] = []
        async with asyncio.timeout(5):
            while data := await self.reader.read(65536):
                found += self.codec.receive(data)
                if any(isinstance(event, Goodbye) for event in found):
                    break
        return found

    async def texts(self) -> dict[str, bytes]:
        """Return what came on each stream."""
        names = {stream: kind for kind, stream in self.streams.items()}
        texts: dict[str, bytes] = {}
        for event in await self.events():
            if isinstance(event, DataReceived):
                texts[names[event.stream]] = texts.get(names[event.stream], b"") + event.data
        return texts


@contextlib.asynccontextmanager
async def connected(kube: Kube) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_unix_connection(str(kube.path))
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


@pytest.fixture
async def peer(kube: Kube) -> AsyncIterator[Peer]:
    await running(kube)
    async with connected(kube) as one:
        yield one


@pytest.mark.parametrize("protocol", [V4, "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"])
async def test_exec_carries_input_output_and_its_end(kube: Kube, peer: Peer, protocol: str) -> None:
    assert await peer.upgrade(f"{PODS}/web/exec?command=cat&stdin=1&stdout=1&stderr=1", protocol) == 101
    assert f"X-Stream-Protocol-Version: {protocol}" in peer.head
    for kind in ("error", "stdin", "stdout", "stderr"):
        peer.open(kind)
    peer.send("stdin", b"abc")
    peer.send("stdin", b"def", finished=True)
    texts = await peer.texts()
    assert (texts["stdout"], texts["stderr"]) == (b"cat", b"ABCDEF")
    if protocol == V4:
        assert json.loads(texts["error"])["details"]["causes"][0] == {"reason": "ExitCode", "message": "3"}
    else:
        assert texts["error"] == b"command terminated with non-zero exit code: exit status 3"
    await closed(kube.world.sessions[0])


async def test_the_first_known_protocol_of_the_clients_is_taken(peer: Peer) -> None:
    path = f"{PODS}/web/exec?command=true&stdout=1"
    assert await peer.upgrade(path, "v9.channel.k8s.io", "v3.channel.k8s.io", V4) == 101
    assert "X-Stream-Protocol-Version: v3.channel.k8s.io" in peer.head


async def test_a_terminal_has_a_stream_of_sizes(kube: Kube, peer: Peer) -> None:
    await peer.upgrade(f"{PODS}/web/exec?command=sh&stdin=1&stdout=1&tty=1", V4)
    for kind in ("error", "stdin", "stdout", "resize"):
        peer.open(kind)
    peer.send("resize", b'{"Width":80,"Height":24}\n{"Width":81,')
    peer.send("resize", b'"Height":25}\n')
    peer.send("stdin", b"", finished=True)
    await peer.texts()
    assert kube.world.sessions[0].sizes == [(80, 24), (81, 25)]


async def test_streams_that_nobody_asked_for_are_refused(peer: Peer) -> None:
    await peer.upgrade(f"{PODS}/web/exec?command=true&stdout=1", V4)
    for kind in ("error", "nonsense", "stdout"):
        peer.open(kind)
    replies = [event.stream for event in await peer.events() if isinstance(event, StreamReplied)]
    assert replies == [peer.streams["error"], peer.streams["stdout"]]


@pytest.mark.parametrize(
    ("protocols", "code", "message"),
    [
        ((), 400, "unable to upgrade: X-Stream-Protocol-Version is required"),
        (
            ("v9.channel.k8s.io",),
            403,
            "unable to upgrade: unable to negotiate protocol: client supports [v9.channel.k8s.io], server accepts "
            "[v4.channel.k8s.io v3.channel.k8s.io v2.channel.k8s.io channel.k8s.io]",
        ),
    ],
)
async def test_without_a_common_protocol_nothing_runs(
    kube: Kube, peer: Peer, protocols: tuple[str, ...], code: int, message: str
) -> None:
    assert await peer.upgrade(f"{PODS}/web/exec?command=true&stdout=1", *protocols) == code
    assert await peer.refused() == message
    assert kube.world.sessions == []


async def test_a_client_that_leaves_in_the_middle_ends_its_session(kube: Kube, peer: Peer) -> None:
    await peer.upgrade(f"{PODS}/web/exec?command=cat&stdin=1&stdout=1", V4)
    for kind in ("error", "stdin", "stdout"):
        peer.open(kind)
    peer.send("stdin", b"abc")
    await peer.writer.drain()
    peer.writer.transport.abort()
    await closed(kube.world.sessions[0])


async def test_a_client_that_opens_no_streams_ends_its_session(kube: Kube, peer: Peer) -> None:
    await peer.upgrade(f"{PODS}/web/exec?command=cat&stdin=1&stdout=1", V4)
    peer.open("error")
    await peer.writer.drain()
    peer.writer.transport.abort()
    await closed(kube.world.sessions[0])


async def test_bytes_that_are_no_frames_end_the_connection(kube: Kube, peer: Peer) -> None:
    await peer.upgrade(f"{PODS}/web/exec?command=cat&stdin=1&stdout=1", V4)
    peer.writer.write(b"\x80\x09" + bytes(100))
    assert [event.status for event in await peer.events() if isinstance(event, Goodbye)] == [1]
    await closed(kube.world.sessions[0])


async def test_who_does_not_read_and_goes_with_more_to_say_is_found_by_a_knock(
    kube: Kube, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hangups, "KNOCK_S", 0.01)
    await peer.upgrade(f"{PODS}/web/exec?command=cat&stdin=1&stdout=1", V4)
    for kind in ("error", "stdin", "stdout"):
        peer.open(kind)
    async with asyncio.timeout(5):
        pings = 0
        while pings < 2:  # which a client answers, and takes no notice of
            pings += sum(
                type(e).__name__ == "PingReceived" for e in peer.codec.receive(await peer.reader.read(65536))
            )


# --- port-forward ----------------------------------------------------------------------------------------------------------


async def forward(peer: Peer, port: int, request: str = "0") -> None:
    assert await peer.upgrade(f"{PODS}/web/portforward", "portforward.k8s.io") == 101
    more: dict[str, Any] = {"port": str(port), **({"requestid": request} if request else {})}
    peer.open("error", finished=True, **more)
    peer.open("data", **more)


async def until_ended(peer: Peer) -> dict[str, bytes]:
    """Return what came on both streams, once both have ended."""
    names = {stream: kind for kind, stream in peer.streams.items()}
    texts = {"data": b"", "error": b""}
    ended: set[int] = set()
    async with asyncio.timeout(5):
        while len(ended) < 2:
            for event in peer.codec.receive(await peer.reader.read(65536)):
                if isinstance(event, DataReceived):
                    texts[names[event.stream]] += event.data
                    ended |= {event.stream} if event.finished else set()
    return texts


@pytest.mark.parametrize("request_id", ["7", ""])
async def test_a_connection_is_forwarded_and_each_side_ends_for_itself(echo: Kube, request_id: str) -> None:  # noqa: F811
    async with connected(echo) as peer:
        await forward(peer, 80, request_id)
        peer.send("data", b"abc")
        peer.send("data", b"def", finished=True)  # the pod answers all the same
        assert await until_ended(peer) == {"data": b"ABCDEF", "error": b""}


async def test_a_port_without_a_listener_is_told(echo: Kube) -> None:  # noqa: F811
    async with connected(echo) as peer:
        await forward(peer, 81)
        texts = await until_ended(peer)
    assert texts["error"].startswith(b"error forwarding port 81 to pod default/web, uid ")


async def test_one_connection_that_is_held_up_does_not_hold_up_another(echo: Kube) -> None:  # noqa: F811
    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    server = await asyncio.start_server(never_read, "127.0.0.1", 0, limit=1024)
    echo.world.ports[82] = server.sockets[0].getsockname()[1]
    async with connected(echo) as peer:
        await forward(peer, 82, "1")
        peer.send("data", b"x" * 300_000)
        peer.open("error", finished=True, port="80", requestid="2")
        peer.open("data", port="80", requestid="2")
        peer.send("data", b"abc", finished=True)
        assert await until_ended(peer) == {"data": b"ABC", "error": b""}
    server.close()


async def test_many_connections_at_once(echo: Kube) -> None:  # noqa: F811
    async with connected(echo) as peer:
        await peer.upgrade(f"{PODS}/web/portforward", "portforward.k8s.io")
        sent: dict[int, bytes] = {}
        for number in range(200):
            peer.open("error", finished=True, port="80", requestid=str(number))
            peer.open("data", port="80", requestid=str(number))
            sent[peer.streams["data"]] = f"message {number}".encode()
            peer.send("data", sent[peer.streams["data"]], finished=True)
        got = dict.fromkeys(sent, b"")
        open_streams = set(sent)
        async with asyncio.timeout(10):
            while open_streams:
                for event in peer.codec.receive(await peer.reader.read(65536)):
                    if isinstance(event, DataReceived) and event.stream in sent:
                        got[event.stream] += event.data
                        open_streams -= {event.stream} if event.finished else set()
    assert got == {stream: text.upper() for stream, text in sent.items()}


@pytest.mark.parametrize(
    "headers",
    [
        {"port": "80"},
        {"streamtype": "data"},
        {"streamtype": "data", "port": "0"},
        {"streamtype": "x", "port": "80"},
    ],
)
async def test_streams_without_a_kind_or_a_port_are_refused(echo: Kube, headers: dict[str, str]) -> None:  # noqa: F811
    async with connected(echo) as peer:
        await peer.upgrade(f"{PODS}/web/portforward", "portforward.k8s.io")
        stream, frame = peer.codec.open(headers)
        peer.writer.write(frame)
        async with asyncio.timeout(5):
            (event,) = peer.codec.receive(await peer.reader.read(65536))
    assert (type(event).__name__, event.stream, event.status) == ("StreamReset", stream, 3)  # type: ignore[union-attr]
