"""The framing of sessions with a container (run, attach, exec) between our command and the daemon. Pure.

A frame is a kind (one byte), a length (four bytes, big-endian) and as many bytes. Both directions of one HTTP exchange are
bodies of frames, at the same time. Invariant: a frame is whole, or it is not there yet.

    client → daemon   REQUEST (JSON, first), STDIN (empty: its end), RESIZE (height, width), SIGNAL (number)
    daemon → client   STARTED (JSON), STDOUT, STDERR, then EXIT (the code) or ERROR (JSON, as our API's errors)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

REQUEST, STDIN, STDOUT, STDERR, RESIZE, SIGNAL, STARTED, EXIT, ERROR = range(9)
_HEADER = struct.Struct(">BI")
_SIZE = struct.Struct(">HH")
_CODE = struct.Struct(">i")
LIMIT_BYTES = 16 << 20


class FrameError(ValueError):
    """What came is not this framing."""


def pack(kind: int, data: bytes = b"") -> bytes:
    """Return one frame. Example: pack(STDIN, b"hi") is b"\\x01\\x00\\x00\\x00\\x02hi"."""
    return _HEADER.pack(kind, len(data)) + data


def pack_size(height: int, width: int) -> bytes:
    """Return a RESIZE frame."""
    return pack(RESIZE, _SIZE.pack(min(height, 65535), min(width, 65535)))


def parse_size(data: bytes) -> tuple[int, int]:
    """Return height and width. Raises: FrameError."""
    if len(data) != _SIZE.size:
        raise FrameError("a size has four bytes")
    height, width = _SIZE.unpack(data)
    return height, width


def pack_code(kind: int, code: int) -> bytes:
    """Return an EXIT or SIGNAL frame."""
    return pack(kind, _CODE.pack(code))


def parse_code(data: bytes) -> int:
    """Return the number in an EXIT or SIGNAL frame. Raises: FrameError."""
    if len(data) != _CODE.size:
        raise FrameError("a number has four bytes")
    (code,) = _CODE.unpack(data)
    return int(code)


class Frames:
    """Takes bytes as they come and gives whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (kind, data) of each frame that is whole now. Raises: FrameError."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= _HEADER.size:
                kind, length = _HEADER.unpack_from(self._buffer, start)
                if length > LIMIT_BYTES:
                    raise FrameError(f"a frame of {length} bytes is longer than {LIMIT_BYTES}")
                end = start + _HEADER.size + length
                if len(self._buffer) < end:
                    return
                yield kind, bytes(self._buffer[start + _HEADER.size : end])
                start = end
        finally:
            del self._buffer[:start]
