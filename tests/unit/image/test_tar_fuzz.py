"""The tar reader on what nobody wrote: random bytes, archives with bytes changed, and archives that Python's tarfile wrote.

The oracle is `tarfile`; what neither refuses, both must read the same.
"""

from __future__ import annotations

import io
import tarfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.image.recipe import RecipeWriter
from pinnace.image.tar_format import TarError
from pinnace.image.tar_read import TarReader

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
CONTENTS_MAX = 1 << 22
names = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0/"), min_size=1, max_size=120
).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


class Pieces:
    """A stream that comes in pieces of one size."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = [data[at : at + size] for at in range(0, len(data), size)]

    def chunk(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def read_all(data: bytes, size: int = 700) -> list[tuple[Any, ...]]:
    """Return all entries with their contents. Raises: TarError."""
    found = []
    reader = TarReader(Pieces(data, size))
    for entry in reader:
        body = b"".join(map(bytes, reader.pieces())) if entry.size <= CONTENTS_MAX else b""
        found.append((entry.name, entry.kind, entry.mode, entry.uid, entry.gid, entry.link, body))
    return found


@st.composite
def archives(draw: st.DrawFn) -> tuple[bytes, list[tarfile.TarInfo]]:
    buffer = io.BytesIO()
    members = []
    form = draw(st.sampled_from(FORMATS))
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for _ in range(draw(st.integers(0, 5))):
            info = tarfile.TarInfo(draw(paths))
            info.type = draw(
                st.sampled_from(
                    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
                )
            )
            info.mode = draw(st.integers(0, 0o7777))
            info.uid = draw(st.sampled_from([0, 1, 1000, 0o7777777]))
            info.gid = draw(st.sampled_from([0, 5, 0o7777777]))
            info.mtime = draw(st.integers(0, 2**33 - 1))
            body = b""
            if info.type == tarfile.REGTYPE:
                body = draw(st.binary(max_size=1500))
                info.size = len(body)
            elif info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = draw(paths)
            try:
                tar.addfile(info, io.BytesIO(body))
            except ValueError:
                continue  # ustar can't say it
            members.append((info, body))
    return buffer.getvalue(), members


@given(archive=archives(), size=st.integers(1, 3000))
@settings(max_examples=80, deadline=None)
def test_what_tarfile_writes_is_read_as_it_was_meant(
    archive: tuple[bytes, list[tuple[tarfile.TarInfo, bytes]]], size: int
) -> None:
    data, members = archive
    assert read_all(data, size) == [
        (
            (info.name + "/" if info.type == tarfile.DIRTYPE else info.name).encode(errors="surrogateescape"),
            info.type,
            info.mode,
            info.uid,
            info.gid,
            info.linkname.encode(errors="surrogateescape"),
            body,
        )
        for info, body in members
    ]


@given(st.binary(max_size=4096))
@settings(max_examples=150, deadline=None)
def test_bytes_are_an_archive_or_a_tar_error(data: bytes) -> None:
    try:
        read_all(data)
    except TarError:
        pass


def fix_checksums(data: bytearray) -> bytes:
    """Give each block that looks like a header the checksum that it should have, so that changes get past it."""
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


@given(
    archive=archives(),
    changes=st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.integers(0, 1 << 14),
)
@settings(max_examples=150, deadline=None)
def test_a_changed_archive_is_read_or_refused_and_its_recipe_is_it(
    archive: tuple[bytes, list[tuple[tarfile.TarInfo, bytes]]], changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(archive[0])
    for at, value in changes:
        data[at % len(data)] = value
    whole = fix_checksums(data)
    whole = whole[: cut or None] if cut % 4 == 0 else whole
    tape = bytearray()
    reader = TarReader(Pieces(whole, 512), tape=tape.extend)
    try:
        for entry in reader:
            if entry.size <= CONTENTS_MAX:
                tape += b"".join(map(bytes, reader.pieces()))
        reader.drain()
    except TarError:
        return
    assert bytes(tape) == whole, "headers, contents and what is between them are all of it"


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=200)), max_size=20))
@settings(max_examples=60, deadline=None)
def test_a_recipe_holds_what_is_put_into_it(parts: list[tuple[bool, bytes]]) -> None:
    from pinnace.image.recipe import FILE, RAW, _records

    file = io.BytesIO()
    writer = RecipeWriter(file)
    expected: list[tuple[int, int, bytes]] = []
    for is_file, data in parts:
        if is_file:
            writer.contents(b"p/" + data, 7)
            expected.append((FILE, 7, b"p/" + data))
        elif data:
            writer.raw(data)
            if expected and expected[-1][0] == RAW:
                expected[-1] = (RAW, 0, expected[-1][2] + data)
            else:
                expected.append((RAW, 0, data))
    writer.close()
    file.seek(0)
    assert list(_records(file, "recipe")) == expected
