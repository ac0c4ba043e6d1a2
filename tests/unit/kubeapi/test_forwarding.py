import asyncio
import struct
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pinnace.base.errors import ApiError
from pinnace.kubeapi import forwarded
from pinnace.kubeapi.forwarding import CHANNELS, TUNNEL, read_ports
from tests.unit.kubeapi.conftest import PODS, Kube, pod
from tests.unit.kubeapi.test_spdy import Client
from tests.unit.kubeapi.test_streams import running


@pytest.fixture
async def echo(kube: Kube) -> AsyncIterator[Kube]:
    """A pod whose port 80 answers in upper case; nobody listens on 81."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data.upper())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    kube.world.ports = {80: server.sockets[0].getsockname()[1], 81: 1}
    await running(kube)
    yield kube
    server.close()
    await server.wait_closed()


async def receive(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    async with asyncio.timeout(5):
        return await socket.receive_bytes()


async def test_a_tunnel_carries_one_connection(echo: Kube) -> None:
    client = Client()
    url = f"http://kube{PODS}/web/portforward"
    async with echo.session.ws_connect(url, protocols=[TUNNEL]) as socket:
        assert socket.protocol == TUNNEL
        pair = {"port": "80", "requestid": "0"}
        await socket.send_bytes(client.open(1, {"streamtype": "error", **pair}, flags=1))
        await socket.send_bytes(client.open(3, {"streamtype": "data", **pair}))
        assert [(await receive(socket))[8:12] for _ in range(2)] == [b"\0\0\0\1", b"\0\0\0\3"]
        await socket.send_bytes(struct.pack(">II", 3, 3) + b"abc")
        assert await receive(socket) == struct.pack(">II", 3, 3) + b"ABC"
        await socket.send_bytes(struct.pack(">II", 3, 1 << 24))
        ends = {await receive(socket) for _ in range(2)}
    assert ends == {struct.pack(">II", 1, 1 << 24), struct.pack(">II", 3, 1 << 24)}


async def test_a_port_without_a_listener_is_told_on_the_error_stream(echo: Kube) -> None:
    client = Client()
    async with echo.session.ws_connect(f"http://kube{PODS}/web/portforward", protocols=[TUNNEL]) as socket:
        pair = {"port": "81", "requestid": "0"}
        await socket.send_bytes(client.open(1, {"streamtype": "error", **pair}, flags=1))
        await socket.send_bytes(client.open(3, {"streamtype": "data", **pair}))
        await receive(socket)
        await receive(socket)
        message = (await receive(socket))[8:].decode()
    assert message.startswith("error forwarding port 81 to pod default/web, uid ")
    assert ": Connect call failed" in message


async def test_a_data_stream_without_its_pair_is_reset(echo: Kube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarded, "PAIR_TIMEOUT_S", 0.05)
    async with echo.session.ws_connect(f"http://kube{PODS}/web/portforward", protocols=[TUNNEL]) as socket:
        await socket.send_bytes(Client().open(1, {"streamtype": "data", "port": "80", "requestid": "0"}))
        await receive(socket)
        assert (await receive(socket))[:4] == b"\x80\x03\x00\x03"


async def test_channels_carry_a_port_each(echo: Kube) -> None:
    url = f"http://kube{PODS}/web/portforward?ports=80,81"
    async with echo.session.ws_connect(url, protocols=[CHANNELS]) as socket:
        heads = {await receive(socket) for _ in range(4)}
        assert heads == {b"\0\x50\0", b"\1\x50\0", b"\2\x51\0", b"\3\x51\0"}
        assert (await receive(socket)).startswith(b"\3error forwarding port 81")
        await socket.send_bytes(b"\0abc")
        assert await receive(socket) == b"\0ABC"
        await socket.send_str("\0def")
        assert await receive(socket) == b"\0DEF"


async def test_a_pod_that_does_not_run_has_no_ports(kube: Kube) -> None:
    await kube.call("POST", PODS, pod())
    status, document = await kube.call("GET", f"{PODS}/web/portforward")
    assert (status, document["message"]) == (
        400,
        "unable to forward port because pod is not running. Current status=Pending",
    )


@pytest.mark.parametrize("text", ["x", "0", "65536", "80,"])
def test_ports_are_numbers(text: str) -> None:
    with pytest.raises(ApiError, match="as a port"):
        read_ports((text,))
