"""A layer's archive without its files' contents: how an archive that came from elsewhere is written again, byte for byte.

`RecipeWriter` is filled while a layer is unpacked: headers, padding and whatever else stands between contents go in as they
are, and each file's contents as the name of the file in the tree. `cook` puts both together again. So such a layer takes
its disk once, and need not be packed into anything before somebody asks for its archive.
Invariant: a recipe is kept only when every content that it names is, unchanged, under that name in the tree.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import IO, cast

import zstandard

from pinnace.base.errors import HostError
from pinnace.image.pack import PROGRESS_EVERY, Packed, Progress, pack
from pinnace.image.tar_format import show
from pinnace.image.tree import open_in_root

NAME = "recipe"
RAW, FILE = 0, 1
_HEADER = struct.Struct("<BQI")  # kind, bytes of contents, bytes that follow
LEVEL = 1  # headers are mostly zeros
FLUSH_BYTES = 1 << 18
READ_BYTES = 1 << 20


class RecipeWriter:
    """Writes a recipe to `file`. `spoiled` is set when a content that it names is no longer in the tree."""

    def __init__(self, file: IO[bytes]) -> None:
        self._packer = zstandard.ZstdCompressor(level=LEVEL).stream_writer(file, closefd=False)
        self._raw = bytearray()
        self.spoiled = False

    def raw(self, data: bytes | memoryview) -> None:
        """Add bytes as they are."""
        self._raw += data
        if len(self._raw) >= FLUSH_BYTES:
            self._flush()

    def contents(self, path: bytes, size: int) -> None:
        """Add the whole contents of a file in the tree."""
        if size:
            self._flush()
            self._packer.write(_HEADER.pack(FILE, size, len(path)) + path)

    def close(self) -> None:
        self._flush()
        self._packer.flush(zstandard.FLUSH_FRAME)

    def _flush(self) -> None:
        if self._raw:
            self._packer.write(_HEADER.pack(RAW, 0, len(self._raw)) + self._raw)
            self._raw.clear()


def recipe_of(tree: str) -> str:
    """Return where the recipe of a layer's tree is, if it has one: beside it."""
    return os.path.join(os.path.dirname(tree), NAME)


def pack_layer(tree: str, put: Callable[[bytes], None], progress: Progress | None = None) -> Packed:
    """Hand the archive of a layer's tree to `put`: by its recipe, if it has one, else our own. Raises: what `pack` and `cook` do."""
    recipe = recipe_of(tree)
    return cook(recipe, tree, put, progress) if os.path.exists(recipe) else pack(tree, put, progress)


def cook(recipe: str, tree: str, put: Callable[[bytes], None], progress: Progress | None = None) -> Packed:
    """Hand the archive that a recipe describes to `put`. Raises: HostError when recipe or tree are not what they were."""
    done = Packed()
    root = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(recipe, "rb") as file:
            for kind, length, data in _records(file, recipe):
                if kind == RAW:
                    put(data)
                    continue
                _put_contents(root, data, length, put)
                done.entries, done.size = done.entries + 1, done.size + length
                if progress is not None and not done.entries % PROGRESS_EVERY:
                    progress(done.entries, done.size)
    except zstandard.ZstdError as error:
        raise _damaged(recipe) from error
    finally:
        os.close(root)
    return done


def _records(file: IO[bytes], name: str) -> Iterator[tuple[int, int, bytes]]:
    reader = cast(IO[bytes], zstandard.ZstdDecompressor().stream_reader(file, read_size=READ_BYTES))
    while header := _read(reader, _HEADER.size):
        if len(header) < _HEADER.size:
            raise _damaged(name)
        kind, length, size = _HEADER.unpack(header)
        data = _read(reader, size)
        if len(data) < size or kind not in (RAW, FILE):
            raise _damaged(name)
        yield kind, length, data


def _read(reader: IO[bytes], size: int) -> bytes:
    parts: list[bytes] = []
    while size and (part := reader.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _put_contents(root: int, path: bytes, size: int, put: Callable[[bytes], None]) -> None:
    try:
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise HostError(
            f"the file {show(path)} of a layer can't be read: {error.strerror}", errno=error.errno
        ) from error
    try:
        left = size
        while left:
            data = os.read(fd, min(left, READ_BYTES))
            if not data:
                raise HostError(f"the file {show(path)} of a layer is shorter than it was")
            left -= len(data)
            put(data)
    finally:
        os.close(fd)


def _damaged(name: str) -> HostError:
    return HostError(
        f"the recipe {name} of a layer is damaged",
        hint="remove the images that use the layer, and load or import them anew",
    )
