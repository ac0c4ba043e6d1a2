"""Bytes in and out of archives: decompression by what the data is, compression, digests on the way, in threads.

Used inside the worker process only. `Inflow` reads and unpacks in a thread while the caller parses; `Outflow` digests
and packs in a thread while the caller reads files: zlib-ng, zstd and hashlib let go of the interpreter's lock.
Invariant: neither holds more than `QUEUED_CHUNKS` chunks, however large the archive is.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import os
import queue
import stat
import threading
from collections.abc import Callable
from types import TracebackType
from typing import IO, Protocol, cast

import zstandard
from zlib_ng import zlib_ng

from pinnace.base.errors import Bug
from pinnace.image.gzip_blocks import GzipBlocks
from pinnace.image.tar_format import TarError
from pinnace.image.zstd_frames import ZstdFrames
from pinnace.oci.digest import Digest

CHUNK = 1 << 20
QUEUED_CHUNKS = 8
WAIT_S = 0.2  # how long a thread waits on the other before it looks whether it was told to stop
ZSTD_LEVEL = 3
XZ_MEMORY_BYTES = (
    80 << 20
)  # what `xz -9` needs to unpack is 65 MiB. Source: xz(1), "Compression preset levels"
# gzip packs zeros 1030 times smaller; real files with their headers never come near.
BOMB_RATIO = 1000
BOMB_FROM_BYTES = 1 << 30

MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)
MAGIC_BYTES = 6


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def compression_of_start(start: bytes) -> str:
    """Return how data that begins with `start` is packed; "" when it is not."""
    return next((name for magic, name in MAGIC if start.startswith(magic)), "")


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write to a descriptor until all is written. Raises: OSError."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


class Digester:
    """A sha256 and a count."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self.size += len(data)

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._hash.hexdigest())


class ArchiveFile:
    """A file, or a part of it. Raises: OSError. Units: bytes."""

    def __init__(self, path: str, offset: int = 0, size: int | None = None) -> None:
        self._file = io.FileIO(path, "r")
        if offset:
            self._file.seek(offset)
        self._left = size

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size if self._left is None else min(size, self._left)) or b""
        if self._left is not None:
            self._left -= len(data)
        return data

    @property
    def is_regular(self) -> bool:
        return stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()

    def __enter__(self) -> ArchiveFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class _Watched:
    """A file whose reads are digested and counted; it can give its first bytes back."""

    def __init__(self, file: Readable, digester: Digester | None) -> None:
        self._file = file
        self._digester = digester
        self._ahead = b""
        self.size = 0

    def peek(self, size: int) -> bytes:
        while len(self._ahead) < size:
            more = self._file.read(size - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(CHUNK if size < 0 else size) if not self._ahead else self._ahead
        self._ahead = b""
        self.size += len(data)
        if self._digester is not None:
            self._digester.update(data)
        return data


class _GzipReader:
    """gzip with several members; zeros after the last one are padding."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._inflate = zlib_ng.decompressobj(wbits=31)
        self._rest = b""
        self._began = False

    def read(self, size: int, /) -> bytes:
        while True:
            if self._inflate.eof:
                self._rest = self._inflate.unused_data
                while not self._rest.strip(b"\0"):
                    self._rest = self._file.read(CHUNK)
                    if not self._rest:
                        return b""
                self._rest = self._rest.lstrip(b"\0")
                self._inflate = zlib_ng.decompressobj(wbits=31)
            data = self._rest or self._file.read(CHUNK)
            if not data:
                raise EOFError
            out: bytes = self._inflate.decompress(data, size)
            self._rest = self._inflate.unconsumed_tail
            if out:
                return out


class _ZstdReader:
    """zstd with several frames, the last of which must be whole."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._frames = ZstdFrames()
        self._reader = zstandard.ZstdDecompressor().stream_reader(
            cast(IO[bytes], _Tapped(file, self._frames.feed)), read_size=CHUNK, read_across_frames=True
        )

    def read(self, size: int, /) -> bytes:
        data: bytes = self._reader.read(size)
        if not data and not self._frames.is_whole:
            raise EOFError
        return data


class _Tapped:
    """A file that shows somebody what is read from it."""

    def __init__(self, file: Readable, tap: Callable[[bytes], None]) -> None:
        self._file = file
        self._tap = tap

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(CHUNK if size < 0 else size)
        self._tap(data)
        return data


class _Decompressor(Protocol):
    """What `lzma` and `bz2` have in common."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _StreamsReader:
    """xz or bzip2 with several streams; zeros after the last one are padding."""

    def __init__(self, file: Readable, make: Callable[[], _Decompressor]) -> None:
        self._file = file
        self._make = make
        self._unpack = make()

    def read(self, size: int, /) -> bytes:
        data = b""
        while True:
            if self._unpack.eof:
                data = self._unpack.unused_data
                while not data.strip(b"\0"):
                    data = self._file.read(CHUNK)
                    if not data:
                        return b""
                data = data.lstrip(b"\0")
                self._unpack = self._make()
            elif self._unpack.needs_input:
                data = self._file.read(CHUNK)
                if not data:
                    raise EOFError
            try:
                out = self._unpack.decompress(data, size)
            except (OSError, ValueError) as error:  # what bz2 says of damage
                raise lzma.LZMAError(str(error)) from error
            data = b""
            if out:
                return out


def _make_xz() -> _Decompressor:
    return cast(_Decompressor, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES))


def _make_bzip2() -> _Decompressor:
    return cast(_Decompressor, bz2.BZ2Decompressor())


def open_packed(file: Readable, compression: str) -> Readable:
    """Return a reader of the unpacked bytes. `compression`: "", "gzip", "zstd", "xz" or "bzip2"."""
    if compression == "gzip":
        return _GzipReader(file)
    if compression == "zstd":
        return _ZstdReader(file)
    if compression == "xz":
        return _StreamsReader(file, _make_xz)
    if compression == "bzip2":
        return _StreamsReader(file, _make_bzip2)
    return file


_DAMAGE: tuple[type[Exception], ...] = (
    cast(type[Exception], zlib_ng.error),
    zstandard.ZstdError,
    lzma.LZMAError,
    EOFError,
)


class Inflow:
    """The unpacked bytes of `file`, read ahead in a thread.

    After the end, `blob` and `tar` hold the digests and sizes of the packed and the unpacked bytes, where asked for.
    """

    def __init__(self, file: Readable, *, digest_blob: bool = False, digest_tar: bool = False) -> None:
        self.blob = Digester() if digest_blob else None
        self.tar = Digester() if digest_tar else None
        self.compression = ""
        self._file = _Watched(file, self.blob)
        self._chunks: queue.Queue[bytes | BaseException] = queue.Queue(QUEUED_CHUNKS)
        self._stopped = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._read, name="inflow", daemon=True)
        self._thread.start()

    def chunk(self) -> bytes:
        """Return the next bytes; empty at the end. Raises: TarError when the packed data is damaged."""
        if self._ended:
            return b""
        item = self._chunks.get()
        if isinstance(item, BaseException):
            raise item
        self._ended = not item
        return item

    def drain(self) -> None:
        """Read to the end, so that the digests are complete."""
        while self.chunk():
            pass
        self._thread.join()

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=2 * WAIT_S)

    def _read(self) -> None:
        try:
            self.compression = compression_of_start(self._file.peek(MAGIC_BYTES))
            reader = open_packed(self._file, self.compression)
            unpacked = 0
            while data := reader.read(CHUNK):
                if self.tar is not None:
                    self.tar.update(data)
                unpacked += len(data)
                if unpacked > BOMB_FROM_BYTES and unpacked > BOMB_RATIO * self._file.size:
                    raise TarError(
                        f"the archive's {self._file.size} bytes of {self.compression} data unpack to more than "
                        f"{unpacked} bytes, over {BOMB_RATIO} times as many: refused",
                        hint="no root file system is packed so well; unpack it by hand if you trust it",
                    )
                self._put(data)
            while self._file.read(CHUNK):
                pass  # what stands behind the packed data belongs to the blob's digest
            self._put(b"")
        except _Stopped:
            return
        except _DAMAGE as error:
            self._put(
                TarError(f"the {self.compression} data is damaged or cut off: {error or 'it ends too early'}")
            )
        except Exception as error:  # noqa: BLE001 (handed to the reader)
            self._put(error)

    def _put(self, item: bytes | BaseException) -> None:
        _put(self._chunks, item, self._stopped)


class _Stopped(Exception):
    pass


def _put(
    chunks: queue.Queue[bytes | BaseException], item: bytes | BaseException, stopped: threading.Event
) -> None:
    while not stopped.is_set():
        try:
            chunks.put(item, timeout=WAIT_S)
            return
        except queue.Full:
            continue
    raise _Stopped


def open_packer(compression: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """Return (pack, finish) for "", "gzip" or "zstd". The same bytes always give the same result."""
    if compression == "gzip":
        blocks = GzipBlocks()
        return blocks.pack, blocks.finish
    if compression == "zstd":
        zstd = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj()
        return zstd.compress, zstd.flush
    if compression:
        raise Bug(f"a layer can't be packed with {compression!r}")
    return (lambda data: data), (lambda: b"")


class Outflow:
    """Takes the bytes of a tar; digests them and, with `write`, packs and writes them, in a thread."""

    def __init__(
        self,
        write: Callable[[bytes], object] | None = None,
        *,
        compression: str = "",
        digest_blob: bool = True,
    ) -> None:
        self.tar = Digester()
        self.blob = Digester() if write is not None and digest_blob else None
        self._write = write
        self._packer = open_packer(compression)
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._error: BaseException | None = None
        self._chunks: queue.Queue[bytes | None] = queue.Queue(QUEUED_CHUNKS)
        self._thread = threading.Thread(target=self._work, name="outflow", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> None:
        """Add bytes. Raises: whatever writing raised."""
        self._buffer.append(data)
        self._buffered += len(data)
        if self._buffered >= CHUNK:
            self._flush()

    def finish(self) -> None:
        """Wait until all is digested and written."""
        self._flush()
        self._chunks.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        self._chunks.put(None)
        self._thread.join()

    def _flush(self) -> None:
        if self._error is not None:
            raise self._error
        if self._buffer:
            self._chunks.put(self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer))
            self._buffer, self._buffered = [], 0

    def _work(self) -> None:
        pack, finish = self._packer
        while True:
            data = self._chunks.get()
            if self._error is None:
                try:
                    if data is not None:
                        self.tar.update(data)
                    if self._write is not None:
                        self._emit(finish() if data is None else pack(data))
                except Exception as error:  # noqa: BLE001 (handed to the writer)
                    self._error = error
            if data is None:
                return

    def _emit(self, packed: bytes) -> None:
        if not packed or self._write is None:
            return
        if self.blob is not None:
            self.blob.update(packed)
        self._write(packed)
