"""Speaks SPDY/3.1 as a server, as far as kubectl's port-forward needs it. Pure: bytes in, events and bytes out.

Used by `forwarding.py`, which carries the bytes inside WebSocket messages. There is no flow control, because the client
library has none. Invariant: header blocks are compressed and read in order, since each depends on those before.
Source: SPDY Protocol, Draft 3.1, sections 2.2 (framing), 2.6 (control frames); moby/spdystream for what clients do.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
_FIN = 1
_MAX_FRAME = 1 << 24
_MAX_HEADERS = 64 * 1024

PROTOCOL_ERROR = 1
CANCEL = 5


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The client has opened a stream; `finished` says that it will send nothing on it."""

    stream: int
    headers: Mapping[str, str]
    finished: bool


@dataclass(frozen=True, slots=True)
class DataReceived:
    """The client has sent bytes; after `finished` there are no more."""

    stream: int
    data: bytes
    finished: bool


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The client has given the stream up."""

    stream: int


@dataclass(frozen=True, slots=True)
class PingReceived:
    """The client wants the same number back."""

    number: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The client opens no more streams."""


SpdyEvent = StreamOpened | DataReceived | StreamReset | PingReceived | Goodbye


class SpdyError(ValueError):
    """The bytes break the protocol; nothing more can be read."""


class SpdyServer:
    """One connection's state: what was not yet read, and the two compression contexts."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def receive(self, data: bytes) -> Iterator[SpdyEvent]:
        """Yield what the bytes say, with what was left over before. Raises: SpdyError."""
        self._buffer += data
        while len(self._buffer) >= 8:
            size = int.from_bytes(self._buffer[5:8], "big")
            if len(self._buffer) < 8 + size:
                return
            head, payload = bytes(self._buffer[:8]), bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            event = self._read_control(head, payload) if head[0] & 0x80 else _read_data(head, payload)
            if event is not None:
                yield event

    def _read_control(self, head: bytes, payload: bytes) -> SpdyEvent | None:
        version, type_, flags = (
            int.from_bytes(head[:2], "big") & 0x7FFF,
            int.from_bytes(head[2:4], "big"),
            head[4],
        )
        if version != _VERSION:
            raise SpdyError(f"SPDY version {version} is not spoken here")
        try:
            return self._read_frame(type_, flags, payload)
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise SpdyError(f"a frame of type {type_} can't be read: {error}") from None

    def _read_frame(self, type_: int, flags: int, payload: bytes) -> SpdyEvent | None:
        if type_ == _SYN_STREAM:
            (stream,) = struct.unpack_from(">I", payload)
            return StreamOpened(stream & 0x7FFFFFFF, self._read_headers(payload[10:]), bool(flags & _FIN))
        if type_ in (_SYN_REPLY, _HEADERS):
            self._read_headers(payload[4:])  # only for the compression's sake
            return None
        if type_ == _RST_STREAM:
            (stream,) = struct.unpack_from(">I", payload)
            return StreamReset(stream & 0x7FFFFFFF)
        if type_ == _PING:
            (number,) = struct.unpack_from(">I", payload)
            return PingReceived(number)
        return Goodbye() if type_ == _GOAWAY else None

    def _read_headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block, _MAX_HEADERS)
        if self._inflate.unconsumed_tail:
            raise SpdyError("a header block is too large")
        (count,) = struct.unpack_from(">I", plain)
        texts, at = [], 4
        for _ in range(2 * min(count, _MAX_HEADERS)):
            (size,) = struct.unpack_from(">I", plain, at)
            texts.append(plain[at + 4 : at + 4 + size].decode())
            at += 4 + size
        return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}

    def reply(self, stream: int) -> bytes:
        """Return the frame that accepts a stream."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(_SYN_REPLY, struct.pack(">I", stream) + block)

    def data(self, stream: int, data: bytes, *, finished: bool = False) -> bytes:
        """Return the frame that carries bytes, and says whether they are the last."""
        return struct.pack(">II", stream, (_FIN if finished else 0) << 24 | len(data)) + data

    def reset(self, stream: int, status: int = CANCEL) -> bytes:
        """Return the frame that gives a stream up."""
        return _control(_RST_STREAM, struct.pack(">II", stream, status))

    def pong(self, number: int) -> bytes:
        """Return the answer to a ping."""
        return _control(_PING, struct.pack(">I", number))


def _read_data(head: bytes, payload: bytes) -> DataReceived:
    stream = int.from_bytes(head[:4], "big")
    return DataReceived(stream, payload, bool(head[4] & _FIN))


def _control(type_: int, payload: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, type_, len(payload)) + payload


def _build_dictionary() -> bytes:
    """Return what both sides' compression starts from. Source: SPDY Protocol, Draft 3.1, section 2.6.10.1."""
    names = [
        "options",
        "head",
        "post",
        "put",
        "delete",
        "trace",
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "accept-ranges",
        "age",
        "allow",
        "authorization",
        "cache-control",
        "connection",
        "content-base",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "date",
        "etag",
        "expect",
        "expires",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "range",
        "referer",
        "retry-after",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "method",
        "get",
        "status",
    ]
    words = [*names, "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
    counted = b"".join(struct.pack(">I", len(word)) + word.encode() for word in words)
    rest = (
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
        "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
        "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
        "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
    )
    return counted + rest.encode()


DICTIONARY = _build_dictionary()
