"""Passes one request on to an address in the cluster, and its answer back: bodies as they come, upgrades as bytes. A doer.

Called by `serving.py`. Invariants: a connection is for one request and is closed with it, also when the client leaves in
the middle; no body is kept whole; what goes wrong before the answer's head is a `Status`, after it the end of the stream.
"""

import asyncio
import contextlib
import ssl
import zlib
from collections.abc import AsyncIterator

from aiohttp import web
from multidict import CIMultiDict

from pinnace.api.world import Dialer
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.kubeapi.hangups import until_gone
from pinnace.kubeapi.pipes import TakenOver, take_over
from pinnace.kubeapi.proxying.http1 import (
    MAX_HEAD_BYTES,
    ChunkReader,
    Head,
    Headers,
    HttpError,
    body_length,
    parse_head,
    render_chunk,
    render_request,
)
from pinnace.kubeapi.proxying.locations import Location
from pinnace.kubeapi.proxying.rewriting import LinkRewriter, compute_answer_headers

_CHUNK_BYTES = 64 * 1024


class Passing:
    """One request on its way. `prefix` is the path under which the client reaches the place."""

    def __init__(
        self, dialer: Dialer, location: Location, request: web.BaseRequest, prefix: str, clock: Clock
    ) -> None:
        self._dialer = dialer
        self._clock = clock
        self._location = location
        self._request = request
        self._prefix = prefix

    async def serve(self, target: str, headers: Headers, upgrade: str) -> web.StreamResponse:
        """Pass it on, and answer. `upgrade` is the protocol that the client wants to go on with, "" for none.

        Raises: ApiError ServiceUnavailable.
        """
        reader, writer = await self._dial()
        sending: asyncio.Task[None] | None = None
        try:
            has_body = not upgrade and self._has_body()
            framing = self._framing(upgrade, has_body)
            writer.write(render_request(self._request.method, target, (*headers, *framing)))
            if has_body:
                sending = asyncio.ensure_future(self._send_body(writer))
            head = await self._read_head(reader)
            if head.status == 101 and upgrade:
                return await self._go_on(head, reader, writer)
            return await self._answer(head, reader)
        except HttpError as error:
            raise _unreachable(f"net/http: HTTP/1.x transport connection broken: {error}") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, OSError) as error:
            if self._request.transport is None:
                raise ConnectionResetError("the client has gone") from error
            raise _unreachable(
                "EOF" if isinstance(error, asyncio.IncompleteReadError) else str(error)
            ) from error
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            writer.transport.abort()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._location.host, self._location.port
        try:
            return await self._dialer.dial(host, port, tls=self._location.tls)
        except TimeoutError as error:
            raise _unreachable(f"dial tcp {host}:{port}: i/o timeout") from error
        except ssl.SSLError as error:
            raise _unreachable(f"tls: {(error.reason or str(error)).lower().replace('_', ' ')}") from error
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise _unreachable(f"dial tcp {host}:{port}: connect: {why}") from error

    # --- the request -------------------------------------------------------------------------------------------------------

    def _has_body(self) -> bool:
        headers = self._request.headers
        return "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"

    def _framing(self, upgrade: str, has_body: bool) -> Headers:
        if upgrade:
            return (("Connection", "Upgrade"), ("Upgrade", self._request.headers["Upgrade"]))
        if has_body and "Content-Length" not in self._request.headers:
            return (("Transfer-Encoding", "chunked"), ("Connection", "close"))
        return (("Connection", "close"),)

    async def _send_body(self, writer: asyncio.StreamWriter) -> None:
        chunked = "Content-Length" not in self._request.headers
        with contextlib.suppress(ConnectionError):  # who takes no more may have answered already
            while data := await self._request.content.readany():
                writer.write(render_chunk(data) if chunked else data)
                await writer.drain()
            if chunked:
                writer.write(render_chunk(b""))
                await writer.drain()

    # --- the answer --------------------------------------------------------------------------------------------------------

    async def _read_head(self, reader: asyncio.StreamReader) -> Head:
        while True:
            head = parse_head(await _read_block(reader))
            if head.status >= 200 or head.status == 101:
                return head

    async def _answer(self, head: Head, reader: asyncio.StreamReader) -> web.StreamResponse:
        length = body_length(self._request.method, head)
        headers = compute_answer_headers(head.headers, self._location, self._prefix)
        rewriter = self._rewriter(head)
        response = web.StreamResponse(
            status=head.status, reason=head.reason or None, headers=CIMultiDict(headers)
        )
        if rewriter is not None:
            response.headers.pop("Content-Length", None)
        if length is None or length < 0 or rewriter is not None:
            if self._request.version >= (1, 1):
                response.enable_chunked_encoding()
            else:
                response.force_close()
        await response.prepare(self._request)
        try:
            async for data in self._body(reader, length):
                passed = rewriter.feed(data) if rewriter is not None else data
                if passed:
                    await response.write(passed)
            if rewriter is not None:
                await response.write(rewriter.finish())
            await response.write_eof()
        except (HttpError, asyncio.IncompleteReadError, zlib.error, OSError):
            response.force_close()
            if self._request.transport is not None:  # what is missing must not look complete
                self._request.transport.abort()
        return response

    def _rewriter(self, head: Head) -> "Rewriter | None":
        if head.get("content-type").partition(";")[0].strip().lower() != "text/html":
            return None
        encoding = head.get("content-encoding").strip().lower()
        if self._request.method == "HEAD" or encoding not in ("", "identity", "gzip", "deflate"):
            return None
        return Rewriter(LinkRewriter(self._location, self._prefix), encoding)

    async def _body(self, reader: asyncio.StreamReader, length: int | None) -> AsyncIterator[bytes]:
        if length is None:
            chunks = ChunkReader()
            while not chunks.over:
                data = await reader.read(_CHUNK_BYTES)
                if not data:
                    raise asyncio.IncompleteReadError(b"", None)
                for piece in chunks.feed(data):
                    yield piece
            return
        while length:
            data = await reader.read(_CHUNK_BYTES if length < 0 else min(length, _CHUNK_BYTES))
            if not data:
                if length > 0:
                    raise asyncio.IncompleteReadError(b"", length)
                return
            length -= len(data) if length > 0 else 0
            yield data

    # --- after an upgrade --------------------------------------------------------------------------------------------------

    async def _go_on(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> web.StreamResponse:
        """Both sides speak something else now: bytes go both ways until one of them has ended."""
        headers = dict(compute_answer_headers(head.headers, self._location, self._prefix))
        pipe = await take_over(self._request, head.get("upgrade"), headers)
        with contextlib.suppress(ConnectionError):
            await until_gone(_pump_both(pipe, reader, writer), self._request.transport, None, self._clock)
        return pipe.response


class Rewriter:
    """A `LinkRewriter` for a body that may be compressed; it leaves compressed as it came."""

    def __init__(self, links: LinkRewriter, encoding: str) -> None:
        self._links = links
        bits = {"gzip": 31, "deflate": 15}.get(encoding)
        self._inflate = zlib.decompressobj(bits) if bits else None
        self._deflate = zlib.compressobj(wbits=bits) if bits else None

    def feed(self, data: bytes) -> bytes:
        """Return what can go on. Raises: zlib.error."""
        if self._inflate is None or self._deflate is None:
            return self._links.feed(data)
        passed = b""
        while data:
            plain = self._inflate.decompress(data, 1 << 20)
            passed += self._deflate.compress(self._links.feed(plain))
            data = self._inflate.unconsumed_tail
        return passed

    def finish(self) -> bytes:
        """Return what was left."""
        rest = self._links.finish()
        return rest if self._deflate is None else self._deflate.compress(rest) + self._deflate.flush()


async def _pump_both(pipe: TakenOver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    inward = asyncio.ensure_future(_pump_in(pipe, writer))
    try:
        await _pump_out(reader, pipe)
    finally:
        inward.cancel()
        await asyncio.gather(inward, return_exceptions=True)


async def _pump_out(reader: asyncio.StreamReader, pipe: TakenOver) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        await pipe.write(data)


async def _pump_in(pipe: TakenOver, writer: asyncio.StreamWriter) -> None:
    while data := await pipe.read():
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _read_block(reader: asyncio.StreamReader) -> bytes:
    """Return the bytes up to an empty line. Raises: asyncio.IncompleteReadError, HttpError."""
    block = b""
    while not block.endswith((b"\n\r\n", b"\n\n")):
        try:
            block += await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise HttpError("a header line is too long") from None
        if len(block) > MAX_HEAD_BYTES:
            raise HttpError("server response headers exceeded 65536 bytes")
    return block


def _unreachable(why: str) -> ApiError:
    # Source: Kubernetes v1.36, apimachinery/pkg/util/proxy/transport.go, RoundTrip.
    return ApiError(Reason.SERVICE_UNAVAILABLE, f"error trying to reach service: {why}")
