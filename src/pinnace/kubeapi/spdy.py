"""Speaks SPDY/3.1, either side of it. Pure: bytes in, events out; what is to be sent comes back as bytes.

`spdy_link.py` carries the bytes over an upgraded connection or inside WebSocket messages. Windows are neither kept nor
asked for, because the clients' library has none: what bounds a sender is the connection under it.
Invariants: frames are written in the order in which their methods are called (each header block depends on those
before); nothing is sent on a stream that its receiver has reset, or that we have ended; what is kept of a frame that is
still coming is at most `MAX_CONTROL_BYTES`.
Source: SPDY Protocol, Draft 3.1, sections 2.2 (framing), 2.3 (streams), 2.6 (control frames); moby/spdystream for what
clients do.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pinnace.kubeapi.spdy_headers import HeaderReader, HeaderWriter

_VERSION = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _HEADERS, _WINDOW_UPDATE = (
    1,
    2,
    3,
    4,
    6,
    7,
    8,
    9,
)
_FIN, _UNIDIRECTIONAL = 1, 2
_LAST_STREAM = 0x7FFFFFFF

MAX_CONTROL_BYTES = 64 * 1024
MAX_STREAMS = 4096  # open at once; moby/spdystream sets no bound
MAX_DATA_BYTES = 0xFFFFFF  # Source: section 2.2.2, a length of 24 bits

# Source: section 2.6.3, RST_STREAM's status codes.
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, UNSUPPORTED_VERSION, CANCEL, INTERNAL_ERROR = range(1, 7)
STREAM_IN_USE = 8


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer has opened a stream; `finished` says that it will send nothing on it."""

    stream: int
    headers: Mapping[str, str]
    finished: bool = False


@dataclass(frozen=True, slots=True)
class StreamRefused:
    """The peer has opened a stream that can't be taken: answer with a reset of this status."""

    stream: int
    status: int


@dataclass(frozen=True, slots=True)
class StreamReplied:
    """The peer has taken a stream of ours."""

    stream: int
    headers: Mapping[str, str]
    finished: bool = False


@dataclass(frozen=True, slots=True)
class HeadersReceived:
    """The peer has sent more headers on a stream."""

    stream: int
    headers: Mapping[str, str]
    finished: bool = False


@dataclass(frozen=True, slots=True)
class DataReceived:
    """The peer has sent bytes (a part of a frame, maybe); after `finished` there are no more."""

    stream: int
    data: bytes
    finished: bool = False


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The peer has given the stream up; nothing may be sent on it any more."""

    stream: int
    status: int = CANCEL


@dataclass(frozen=True, slots=True)
class PingReceived:
    """The peer wants the same number back; `is_answer` says that it answers a ping of ours."""

    number: int
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class SettingsReceived:
    """The peer has said what it would like, by number; nothing has to follow."""

    values: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The peer opens no more streams, and takes none of ours after `last_stream`."""

    last_stream: int = 0
    status: int = 0


SpdyEvent = (
    StreamOpened
    | StreamRefused
    | StreamReplied
    | HeadersReceived
    | DataReceived
    | StreamReset
    | PingReceived
    | SettingsReceived
    | Goodbye
)


class SpdyError(ValueError):
    """The bytes break the protocol; nothing more can be read."""


@dataclass(slots=True)
class _Sides:
    """Which sides of a stream have ended."""

    ours: bool = False
    theirs: bool = False


class SpdyConnection:
    """One connection's state: what was not yet read, the open streams, the two compression contexts.

    Streams of a client have odd numbers, those of a server even ones.
    """

    def __init__(self, *, client: bool = False) -> None:
        self._buffer = bytearray()
        self._partial: DataReceived | None = None  # whose remaining bytes are still to come
        self._left = 0
        self._reader = HeaderReader()
        self._writer = HeaderWriter()
        self._parity = 1 if client else 0
        self._next_stream = 1 if client else 2
        self._last_of_peer = 0
        self._streams: dict[int, _Sides] = {}
        self._going = False

    @property
    def streams(self) -> frozenset[int]:
        """The streams on which something may still come or go."""
        return frozenset(self._streams)

    # --- what comes in -------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> Iterator[SpdyEvent]:
        """Yield what the bytes say, with what was left over before. Raises: SpdyError."""
        self._buffer += data
        while self._buffer:
            if self._left:
                yield from self._read_rest()
                continue
            if len(self._buffer) < 8:
                return
            size = int.from_bytes(self._buffer[5:8], "big")
            if not self._buffer[0] & 0x80:
                yield from self._begin_data(size)
                continue
            if size > MAX_CONTROL_BYTES:
                raise SpdyError(f"a control frame of {size} bytes is too large")
            if len(self._buffer) < 8 + size:
                return
            head, payload = bytes(self._buffer[:8]), bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            yield from self._read_control(head, payload)

    def _begin_data(self, size: int) -> Iterator[SpdyEvent]:
        stream, flags = int.from_bytes(self._buffer[:4], "big"), self._buffer[4]
        del self._buffer[:8]
        self._partial = DataReceived(stream, b"", bool(flags & _FIN))
        self._left = size
        if not size:
            yield from self._deliver(b"", self._partial.finished)

    def _read_rest(self) -> Iterator[SpdyEvent]:
        assert self._partial is not None
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        yield from self._deliver(piece, self._partial.finished and not self._left)

    def _deliver(self, data: bytes, finished: bool) -> Iterator[SpdyEvent]:
        """Yield data of a stream that is open on the peer's side; what comes for another is dropped, as clients do."""
        assert self._partial is not None
        stream = self._partial.stream
        sides = self._streams.get(stream)
        if sides is None or sides.theirs or not (data or finished):
            return
        if finished:
            self._end(stream, theirs=True)
        yield DataReceived(stream, data, finished)

    def _read_control(self, head: bytes, payload: bytes) -> Iterator[SpdyEvent]:
        version, type_, flags = (
            int.from_bytes(head[:2], "big") & 0x7FFF,
            int.from_bytes(head[2:4], "big"),
            head[4],
        )
        if version != _VERSION:
            raise SpdyError(f"SPDY version {version} is not spoken here")
        least, exact = _SIZES.get(type_, (0, False))
        if len(payload) < least or (exact and len(payload) != least):
            raise SpdyError(f"a frame of type {type_} has {len(payload)} bytes")
        try:
            event = self._read_frame(type_, flags, payload)
        except (struct.error, zlib.error, ValueError) as error:
            raise SpdyError(f"a frame of type {type_} can't be read: {error}") from None
        if event is not None:
            yield event

    def _read_frame(self, type_: int, flags: int, payload: bytes) -> SpdyEvent | None:
        match type_:
            case 1:
                return self._read_open(flags, payload)
            case 2 | 8:
                return self._read_more(type_, flags, payload)
            case 3:
                stream, status = struct.unpack(">II", payload)
                return StreamReset(stream, status) if self._streams.pop(stream & _LAST_STREAM, None) else None
            case 4:
                return SettingsReceived(_read_settings(payload))
            case 6:
                (number,) = struct.unpack(">I", payload)
                return PingReceived(number, is_answer=number % 2 == self._parity)
            case 7:
                last, status = struct.unpack(">II", payload)
                return Goodbye(last & _LAST_STREAM, status)
        return None  # a window, a credential, or something newer: nothing follows from it

    def _read_open(self, flags: int, payload: bytes) -> SpdyEvent | None:
        stream = int.from_bytes(payload[:4], "big") & _LAST_STREAM
        headers = self._reader.read(payload[10:])
        if not stream or stream % 2 == self._parity:
            return StreamRefused(stream, PROTOCOL_ERROR)
        if stream <= self._last_of_peer:  # Source: section 2.3.2: numbers only grow
            return StreamRefused(stream, STREAM_IN_USE if stream in self._streams else PROTOCOL_ERROR)
        if self._going:
            return None  # Source: section 2.6.6: what is opened after a GOAWAY is not looked at
        self._last_of_peer = stream
        if len(self._streams) >= MAX_STREAMS:
            return StreamRefused(stream, REFUSED_STREAM)
        finished = bool(flags & _FIN)
        self._streams[stream] = _Sides(ours=bool(flags & _UNIDIRECTIONAL), theirs=finished)
        return StreamOpened(stream, headers, finished)

    def _read_more(self, type_: int, flags: int, payload: bytes) -> SpdyEvent | None:
        stream = int.from_bytes(payload[:4], "big") & _LAST_STREAM
        headers = self._reader.read(payload[4:])  # always, for the compression's sake
        sides = self._streams.get(stream)
        if sides is None or sides.theirs:
            return None
        finished = bool(flags & _FIN)
        if finished:
            self._end(stream, theirs=True)
        return (StreamReplied if type_ == _SYN_REPLY else HeadersReceived)(stream, headers, finished)

    # --- what goes out: each returns b"" where nothing may be sent ----------------------------------------------------------

    def open(self, headers: Mapping[str, str], *, finished: bool = False) -> tuple[int, bytes]:
        """Return a new stream and the frame that opens it."""
        stream = self._next_stream
        self._next_stream += 2
        self._streams[stream] = _Sides(ours=finished)
        payload = struct.pack(">IIH", stream, 0, 0) + self._writer.write(headers)
        return stream, _control(_SYN_STREAM, payload, _FIN if finished else 0)

    def reply(self, stream: int, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the frame that takes a stream of the peer's."""
        if stream not in self._streams:
            return b""
        return _control(_SYN_REPLY, struct.pack(">I", stream) + self._writer.write(headers or {}))

    def headers(self, stream: int, headers: Mapping[str, str], *, finished: bool = False) -> bytes:
        """Return the frame that adds headers to a stream."""
        if not self._may_send(stream, finished):
            return b""
        payload = struct.pack(">I", stream) + self._writer.write(headers)
        return _control(_HEADERS, payload, _FIN if finished else 0)

    def data(self, stream: int, data: bytes, *, finished: bool = False) -> bytes:
        """Return the frames that carry bytes, and say whether they are the last."""
        if not self._may_send(stream, finished):
            return b""
        if len(data) <= MAX_DATA_BYTES:
            return struct.pack(">II", stream, (_FIN if finished else 0) << 24 | len(data)) + data
        pieces = [data[at : at + MAX_DATA_BYTES] for at in range(0, len(data), MAX_DATA_BYTES)]
        return b"".join(
            struct.pack(">II", stream, (_FIN if finished and piece is pieces[-1] else 0) << 24 | len(piece))
            + piece
            for piece in pieces
        )

    def reset(self, stream: int, status: int = CANCEL) -> bytes:
        """Return the frame that gives a stream up."""
        self._streams.pop(stream, None)
        return _control(_RST_STREAM, struct.pack(">II", stream, status))

    def ping(self, number: int) -> bytes:
        """Return a ping, or the answer to one."""
        return _control(_PING, struct.pack(">I", number))

    def settings(self, values: Mapping[int, int]) -> bytes:
        """Return the frame that says what we would like."""
        rows = b"".join(struct.pack(">II", number, value) for number, value in values.items())
        return _control(_SETTINGS, struct.pack(">I", len(values)) + rows)

    def goodbye(self, status: int = 0) -> bytes:
        """Return the frame that says that no more streams are taken."""
        self._going = True
        return _control(_GOAWAY, struct.pack(">II", self._last_of_peer, status))

    def _may_send(self, stream: int, finished: bool) -> bool:
        sides = self._streams.get(stream)
        if sides is None or sides.ours:
            return False
        if finished:
            self._end(stream, ours=True)
        return True

    def _end(self, stream: int, *, ours: bool = False, theirs: bool = False) -> None:
        sides = self._streams[stream]
        sides.ours |= ours
        sides.theirs |= theirs
        if sides.ours and sides.theirs:
            del self._streams[stream]


# type → (bytes of its payload, whether exactly so many). Source: section 2.6.
_SIZES: Mapping[int, tuple[int, bool]] = {
    _SYN_STREAM: (10, False),
    _SYN_REPLY: (4, False),
    _RST_STREAM: (8, True),
    _SETTINGS: (4, False),
    _PING: (4, True),
    _GOAWAY: (8, True),
    _HEADERS: (4, False),
    _WINDOW_UPDATE: (8, True),
}


def _read_settings(payload: bytes) -> dict[int, int]:
    """Return the settings. Source: section 2.6.4: 8 bits of flags, 24 of the number, 32 of the value."""
    (count,) = struct.unpack_from(">I", payload)
    if len(payload) != 4 + 8 * count:
        raise ValueError(f"{count} settings in {len(payload)} bytes")
    rows = struct.iter_unpack(">II", payload[4:])
    return {number & 0xFFFFFF: value for number, value in rows}


def _control(type_: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, type_, flags << 24 | len(payload)) + payload
