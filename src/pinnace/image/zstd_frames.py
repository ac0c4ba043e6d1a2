"""Follows the frames of zstd data, to know whether it ends where a frame ends: the library itself takes a cut for the end. Pure.

Source: RFC 8878, 3.1 (frames: magic, header, blocks, checksum; skippable frames).
"""

from __future__ import annotations

import struct
from collections.abc import Generator

MAGIC = 0xFD2FB528
SKIPPABLE, SKIPPABLE_MASK = 0x184D2A50, 0xFFFFFFF0
LAST, RLE = 1, 1
_DICTIONARY = (0, 1, 2, 4)
_CONTENT = (0, 2, 4, 8)

Walk = Generator[int, bytes, None]  # asks for so many bytes; a negative number of them is skipped


class ZstdFrames:
    """Is fed packed bytes; `is_whole` says whether all frames so far are complete."""

    def __init__(self) -> None:
        self.is_whole = True
        self._walk = self._frames()
        self._wanted = next(self._walk)
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Follow more bytes. What is no frame is left for the library to refuse."""
        at = 0
        while at < len(data):
            if self._wanted < 0:
                step = min(-self._wanted, len(data) - at)
                self._wanted += step
                at += step
                if not self._wanted:
                    self._wanted = self._walk.send(b"")
                continue
            piece = data[at : at + self._wanted - len(self._held)]
            self._held += piece
            at += len(piece)
            if len(self._held) == self._wanted:
                held, self._held = self._held, b""
                self._wanted = self._walk.send(held)

    def _frames(self) -> Walk:
        while True:
            self.is_whole = True
            start = yield 1
            self.is_whole = False
            (magic,) = struct.unpack("<I", start + (yield 3))
            if magic & SKIPPABLE_MASK == SKIPPABLE:
                (size,) = struct.unpack("<I", (yield 4))
                if size:
                    yield -size
            elif magic == MAGIC:
                yield from _frame()
            else:
                while True:
                    yield -(1 << 62)


def _frame() -> Walk:
    (descriptor,) = yield 1
    single = descriptor >> 5 & 1
    content = _CONTENT[descriptor >> 6] or (1 if single else 0)
    rest = (0 if single else 1) + _DICTIONARY[descriptor & 3] + content
    if rest:
        yield -rest
    last = False
    while not last:
        header = int.from_bytes((yield 3), "little")
        last = bool(header & LAST)
        size = 1 if header >> 1 & 3 == RLE else header >> 3
        if size:
            yield -size
    if descriptor >> 2 & 1:
        yield -4
