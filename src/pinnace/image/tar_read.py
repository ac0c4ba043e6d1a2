"""Reads a tar stream entry by entry: names, extended headers, sparse maps, data.

Called by `unpack` and `archive`, in the worker process. It never touches a file system.
Invariant: it holds at most one extended header (bounded) and one chunk; whoever iterates may leave data unread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from pinnace.image.tar_format import (
    BLOCK,
    DIRECTORY,
    GNU_LINK,
    GNU_NAME,
    GNU_SPARSE,
    OLD_REGULAR,
    PAX,
    PAX_GLOBAL,
    REGULAR,
    ZERO_BLOCK,
    Entry,
    TarError,
    apply_records,
    is_sparse_1_0,
    pairs,
    parse_header,
    parse_number,
    parse_old_sparse,
    parse_records,
    show,
)

EXTENDED_MAX_BYTES = 1 << 20  # Source: Go, archive/tar, maxSpecialFileSize
SPARSE_MAX_BYTES = 1 << 24


class Chunks(Protocol):
    def chunk(self) -> bytes: ...


class Seekable(Chunks, Protocol):
    def skip(self, size: int) -> None: ...


class TarReader:
    """Iterates over the entries of a stream. Raises: TarError where the stream is damaged or ends too early.

    `tape` gets all bytes of the stream but those that `read` and `pieces` give out. With `seekable` chunks, contents that
    nobody reads are jumped over.
    """

    def __init__(
        self,
        chunks: Chunks,
        *,
        tape: Callable[[bytes | memoryview], None] | None = None,
        seekable: Seekable | None = None,
    ) -> None:
        self._chunks = chunks
        self._tape = tape
        self._seekable = seekable
        self._chunk = b""
        self._at = 0
        self._before = 0  # bytes in the chunks before this one
        self._left = 0  # of the entry's data
        self._padding = 0

    @property
    def position(self) -> int:
        """How many bytes of the unpacked stream have been read."""
        return self._before + self._at

    def __iter__(self) -> Iterator[Entry]:
        shared: list[tuple[bytes, bytes]] = []
        own: list[tuple[bytes, bytes]] = []
        name = link = b""
        while (block := self._header_block()) is not None:
            entry = parse_header(block)
            self._left, self._padding = entry.size, -entry.size % BLOCK
            if entry.kind in (PAX, PAX_GLOBAL, GNU_NAME, GNU_LINK):
                data = self._extended(entry)
                if entry.kind == PAX:
                    own = parse_records(data)
                elif entry.kind == PAX_GLOBAL:
                    shared += parse_records(data)
                elif entry.kind == GNU_NAME:
                    name = data.split(b"\0", 1)[0]
                else:
                    link = data.split(b"\0", 1)[0]
                continue
            if name:
                entry.name = name
            if link:
                entry.link = link
            records = [*shared, *own] if shared else own
            if records:
                apply_records(entry, records)
                self._left, self._padding = entry.size, -entry.size % BLOCK
            if entry.kind == GNU_SPARSE:
                self._old_sparse(entry, block)
            elif records and is_sparse_1_0(records):
                self._new_sparse(entry)
            own, name, link = [], b"", b""
            _check(entry)
            yield entry
            self.skip()

    def read(self) -> bytes:
        """Return what is left of the entry's data, for small entries."""
        left, self._left = self._left, 0
        return self._take(left)

    def pieces(self, size: int | None = None) -> Iterator[memoryview]:
        """Yield the entry's data (or its next `size` bytes) as it comes."""
        left = self._left if size is None else size
        if left > self._left:
            raise TarError("the archive has a damaged sparse map: it is larger than its data")
        while left:
            if self._at == len(self._chunk):
                self._refill()
            piece = memoryview(self._chunk)[self._at : self._at + left]
            self._at += len(piece)
            self._left -= len(piece)
            left -= len(piece)
            yield piece

    def skip(self) -> None:
        """Go behind the entry's data and padding."""
        if self._left and self._seekable is not None:
            self._jump()
        for piece in self.pieces() if self._left else ():
            if self._tape is not None:
                self._tape(piece)
        if self._padding:
            self._take_taped(self._padding)
            self._padding = 0

    def drain(self) -> None:
        """Read what stands behind the end of the archive."""
        while True:
            rest = memoryview(self._chunk)[self._at :]
            self._at = len(self._chunk)
            if self._tape is not None:
                self._tape(rest)
            if not self._refill(may_end=True):
                return

    def _jump(self) -> None:
        """Go behind the rest of the entry's data without reading it."""
        here = min(self._left, len(self._chunk) - self._at)
        self._at += here
        left, self._left = self._left - here, 0
        if left and self._seekable is not None:
            self._before += len(self._chunk) + left
            self._chunk, self._at = b"", 0
            self._seekable.skip(left)

    def _header_block(self) -> bytes | None:
        block = self._take(BLOCK, may_end=True)
        if self._tape is not None and block is not None:
            self._tape(block)
        # One block of zeros ends an archive (two should); an archive without any just ends.
        return None if block is None or block == ZERO_BLOCK else block

    def _extended(self, entry: Entry) -> bytes:
        if entry.size > EXTENDED_MAX_BYTES:
            raise TarError(
                f"the archive has an extended header of {entry.size} bytes, more than {EXTENDED_MAX_BYTES}"
            )
        left, self._left = self._left, 0
        data = self._take_taped(left)
        self.skip()
        return data

    def _old_sparse(self, entry: Entry, block: bytes) -> None:
        entry.kind = REGULAR
        entry.real_size = parse_number(block[483:495])
        numbers = parse_old_sparse(block, 386, 4)
        extended = block[482]
        while extended:
            block = self._take_taped(BLOCK)
            numbers += parse_old_sparse(block, 0, 21)
            if len(numbers) * 12 > SPARSE_MAX_BYTES:
                raise TarError(f"the archive's entry {show(entry.name)} has a sparse map that is too large")
            extended = block[504]
        entry.sparse = pairs(numbers)

    def _new_sparse(self, entry: Entry) -> None:
        """Read a map of version 1.0: decimal lines, padded to whole blocks, before the data."""
        text = b""
        wanted: int | None = None
        while wanted is None or text.count(b"\n") < wanted:
            if len(text) > SPARSE_MAX_BYTES or self._left < BLOCK:
                raise TarError(f"the archive's entry {show(entry.name)} has a damaged sparse map")
            text += self._take_taped(BLOCK)
            self._left -= BLOCK
            if wanted is None and b"\n" in text:
                wanted = 1 + 2 * _line_number(text.split(b"\n", 1)[0])
        lines = text.split(b"\n")[1:wanted]
        entry.sparse = pairs([_line_number(line) for line in lines])
        entry.size = self._left

    def _take_taped(self, size: int) -> bytes:
        data = self._take(size)
        if self._tape is not None:
            self._tape(data)
        return data

    def _take(self, size: int, *, may_end: bool = False) -> bytes:
        end = self._at + size
        if end <= len(self._chunk):
            data = self._chunk[self._at : end]
            self._at = end
            return data
        parts = [self._chunk[self._at :]]
        missing = size - len(parts[0])
        self._at = len(self._chunk)
        while missing:
            if not self._refill(may_end and missing == size):
                return None  # type: ignore[return-value]
            parts.append(self._chunk[:missing])
            self._at = len(parts[-1])
            missing -= self._at
        return b"".join(parts)

    def _refill(self, may_end: bool = False) -> bool:
        self._before += len(self._chunk)
        self._chunk, self._at = self._chunks.chunk(), 0
        if not self._chunk and not may_end:
            raise TarError(f"the archive is cut off after {self.position} bytes")
        return bool(self._chunk)


def _line_number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise TarError("the archive has a damaged sparse map")
    return int(text)


def _check(entry: Entry) -> None:
    if entry.kind == OLD_REGULAR:
        entry.kind = DIRECTORY if entry.name.endswith(b"/") else REGULAR  # as tar did before ustar
    if b"\0" in entry.name or b"\0" in entry.link:
        raise TarError(f"the archive's entry {show(entry.name)} has a zero byte in its name")
    if entry.sparse and entry.sparse[-1][0] + entry.sparse[-1][1] > entry.real_size:
        raise TarError(
            f"the archive's entry {show(entry.name)} has a sparse map that is larger than the file"
        )
