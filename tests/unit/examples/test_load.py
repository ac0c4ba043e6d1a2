"""The load generator against small servers on real sockets: it counts each request once, and says what failed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from examples.load import Answer, Load, Tally, parse_answer

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(code: int = 200, *, close: bool = False, pod: str = "a", body: bytes = b"{}") -> bytes:
    extra = b"Connection: close\r\n" if close else b""
    head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\nX-Pod: {pod}\r\nX-Version: v1\r\n".encode()
    return head + extra + b"\r\n" + body


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/predict"
    server.close()
    await server.wait_closed()


async def send(url: str, requests: int, *, keep_alive: bool = False, workers: int = 1) -> Tally:
    load = Load(url, rate_per_s=1000, workers=workers, keep_alive=keep_alive).start()
    await load.wait_for(requests)
    return await load.stop()


def test_head_of_an_answer_names_the_pod_and_the_version() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nX-Pod: web-1\r\nX-Version: v2\r\nContent-Length: 12\r\nConnection: close\r\n\r\n"
    )
    assert parse_answer(head) == (Answer(code=200, pod="web-1", version="v2", close=True), 12)


async def test_every_request_has_a_connection_of_its_own() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(close=True))
        await writer.drain()
        writer.close()

    async with serving(serve) as url:
        tally = await send(url, 20, workers=4)
    assert tally.failed == 0
    assert tally.connections == tally.requests == tally.pods["a"] == tally.versions["v1"]


async def test_a_kept_connection_is_used_again_and_replaced_when_the_server_closes_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(5):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer())
            await writer.drain()
        writer.close()  # without a word, as an idle connection ends

    async with serving(serve) as url:
        tally = await send(url, 20, keep_alive=True)
    assert tally.failed == 0
    assert tally.connections == -(-tally.requests // 5)  # five requests for each connection


async def test_a_connection_that_is_cut_within_an_answer_is_a_failure() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        await writer.drain()
        writer.close()

    async with serving(serve) as url:
        tally = await send(url, 3)
    assert tally.failed == tally.requests >= 3
    assert tally.failures[0].why.startswith("IncompleteReadError")


async def test_another_status_than_200_is_a_failure_that_names_the_pod() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(503, close=True, pod="b"))
        await writer.drain()
        writer.close()

    async with serving(serve) as url:
        tally = await send(url, 1)
    assert {failure.why for failure in tally.failures} == {"HTTP 503 from b"}
    assert tally.latencies_s == []


async def test_a_refused_connection_is_a_failure() -> None:
    async with serving(lambda reader, writer: asyncio.sleep(0)) as url:
        pass  # closed again
    tally = await send(url, 1)
    assert tally.failed == tally.requests >= 1
    assert tally.failures[0].why.startswith("ConnectionRefusedError")


async def test_stopping_waits_for_the_request_under_way() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go_on.wait()
        writer.write(answer(close=True))
        await writer.drain()
        writer.close()

    async with serving(serve) as url:
        load = Load(url, rate_per_s=1000, workers=1).start()
        await asked.wait()
        stop = asyncio.create_task(load.stop())
        await asyncio.sleep(0)
        assert not stop.done()
        go_on.set()
        tally = await stop
    assert (tally.requests, tally.failed) == (1, 0)


def test_tally_in_one_line() -> None:
    tally = Tally(seconds=2.0, latencies_s=[0.001, 0.002, 0.003, 0.010])
    assert tally.describe() == "4 requests, 0 failed (2/s, median 3.0 ms, p99 10.0 ms)"
