"""The tar format. The oracles are Python's `tarfile` and GNU tar."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.image.tar_format import (
    CHARACTER,
    DIRECTORY,
    LINK,
    PAX,
    REGULAR,
    SYMLINK,
    Entry,
    TarError,
    parse_number,
    parse_records,
    render_header,
    render_record,
)
from pinnace.image.tar_read import TarReader

END = bytes(1024)


class Pieces:
    """A stream that comes in pieces of any size."""

    def __init__(self, data: bytes, size: int = 1000) -> None:
        self._file = io.BytesIO(data)
        self._size = size

    def chunk(self) -> bytes:
        return self._file.read(self._size)


def entries(data: bytes, size: int = 1000) -> list[tuple[Entry, bytes]]:
    reader = TarReader(Pieces(data, size))
    return [(entry, reader.read()) for entry in reader]


@pytest.mark.parametrize(
    ("field", "number"),
    [
        (b"0000644\0", 0o644),
        (b"   644 \0", 0o644),
        (b"\0\0\0\0\0\0\0\0", 0),
        (b"\x80\0\0\0\0\0\1\0", 256),  # base 256, by hand
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", -1),
        (b"\x80\0\0\x02\0\0\0\0\0\0\0\0", 2 << 64),
    ],
)
def test_numbers_are_octal_or_base_256(field: bytes, number: int) -> None:
    assert parse_number(field) == number


@given(st.binary(min_size=1, max_size=20).filter(lambda key: b"=" not in key), st.binary(max_size=200))
def test_every_pax_record_is_read_back(key: bytes, value: bytes) -> None:
    assert parse_records(render_record(key, value)) == [(key, value)]


def test_a_pax_records_length_counts_its_own_digits() -> None:
    assert render_record(b"path", b"a/b") == b"12 path=a/b\n"  # pax specification's way of counting, by hand
    assert render_record(b"a", b"x" * 93) == b"99 a=" + b"x" * 93 + b"\n"
    assert render_record(b"a", b"x" * 94) == b"101 a=" + b"x" * 94 + b"\n"


@pytest.mark.parametrize(
    "damaged", [b"x", b"5 a", b"99 a=b\n", b"6 a=b", b"0 a=b\n", b"5 ab\n", b"-6 a=b\n", b"6 a=b\nx"]
)
def test_a_damaged_extended_header_is_refused(damaged: bytes) -> None:
    with pytest.raises(TarError):
        parse_records(damaged)


_name = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name)


@given(
    name=_name,
    kind=st.sampled_from([REGULAR, SYMLINK, LINK, DIRECTORY, CHARACTER]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    seconds=st.integers(-(2**40), 2**40),
    link=st.binary(max_size=300).filter(lambda name: b"\0" not in name),
    xattrs=st.dictionaries(st.sampled_from([b"user.a", b"security.capability"]), st.binary(max_size=99)),
)
def test_every_header_is_read_back(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    seconds: int,
    link: bytes,
    xattrs: dict[bytes, bytes],
) -> None:
    entry = Entry(name, kind, mode, uid, gid, 0, seconds * 10**9, link, xattrs=xattrs)
    if kind == CHARACTER:
        entry.major, entry.minor = 5, 77
    assert entries(render_header(entry) + END) == [(entry, b"")]


@given(st.lists(st.tuples(_name, st.binary(max_size=2000)), max_size=5), st.integers(1, 3000))
def test_contents_come_whole_however_the_stream_is_cut(files: list[tuple[bytes, bytes]], size: int) -> None:
    data = b"".join(
        render_header(Entry(name, size=len(body))) + body + bytes(-len(body) % 512) for name, body in files
    )
    assert [(entry.name, body) for entry, body in entries(data + END, size)] == files


@given(st.binary(max_size=3000))
def test_any_bytes_are_an_archive_or_a_tar_error(data: bytes) -> None:
    try:
        entries(data)
    except TarError:
        return


def test_a_header_is_what_pythons_tarfile_reads() -> None:
    entry = Entry(
        b"d/" + b"n" * 150,
        SYMLINK,
        0o777,
        70000,
        3_000_000,
        0,
        1_700_000_000 * 10**9,
        b"t" * 120,
        xattrs={b"user.k": b"v"},
    )
    with tarfile.open(fileobj=io.BytesIO(render_header(entry) + END)) as tar:
        member = tar.next()
    assert member is not None
    assert (member.name, member.linkname, member.uid, member.gid, member.mtime, member.type) == (
        "d/" + "n" * 150,
        "t" * 120,
        70000,
        3_000_000,
        1_700_000_000,
        tarfile.SYMTYPE,
    )
    assert member.pax_headers["SCHILY.xattr.user.k"] == "v"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_pythons_tarfile_writes_is_read(form: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        long = tarfile.TarInfo("a" * 90 + "/" + "b" * 90)
        long.size, long.mtime = 700, 12
        tar.addfile(long, io.BytesIO(b"z" * 700))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.LNKTYPE, "c" * (99 if form == tarfile.USTAR_FORMAT else 150)
        tar.addfile(link)
    (first, body), (second, _) = entries(buffer.getvalue())
    assert (first.name, body, first.mtime_ns) == (b"a" * 90 + b"/" + b"b" * 90, b"z" * 700, 12 * 10**9)
    assert (second.kind, len(second.link)) == (LINK, 99 if form == tarfile.USTAR_FORMAT else 150)


@pytest.mark.parametrize(
    "form", ["gnu", "posix --sparse-version=0.0", "posix --sparse-version=0.1", "posix --sparse-version=1.0"]
)
def test_sparse_files_are_read_in_all_of_gnu_tars_ways(form: str, tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as file:
        for block in range(12):
            file.seek(block * 40960 + 8192)
            file.write(b"%04d" % block * 1024)
        file.truncate(1_000_000)
    argv = ["tar", "-C", str(tmp_path), "--sparse", "-cf", "-", *f"--format={form}".split(), "holes"]
    data = subprocess.run(argv, check=True, capture_output=True).stdout
    ((entry, body),) = entries(data, 4096)
    whole = bytearray(entry.real_size)
    at = 0
    for offset, length in entry.sparse or ():
        whole[offset : offset + length] = body[at : at + length]
        at += length
    assert entry.name == b"holes"
    assert bytes(whole) == (tmp_path / "holes").read_bytes()
    assert len(data) < 200_000


def test_a_cut_off_archive_is_refused_with_where() -> None:
    data = render_header(Entry(b"a", size=1000)) + b"x" * 400
    with pytest.raises(TarError, match="cut off after 912 bytes"):
        entries(data)


def test_a_wrong_checksum_is_refused() -> None:
    header = bytearray(render_header(Entry(b"a")))
    header[0] ^= 1
    with pytest.raises(TarError, match="checksum"):
        entries(bytes(header) + END)


def test_a_huge_extended_header_is_refused_before_it_is_read() -> None:
    with pytest.raises(TarError, match="extended header of 1073741824 bytes"):
        entries(render_header(Entry(b"x", PAX, size=1 << 30)) + b"9 ")


def test_sparse_maps_that_overlap_or_exceed_the_file_are_refused() -> None:
    for records in ([b"5,5,1,1", b"20"], [b"0,30", b"20"], [b"0", b"20"]):
        data = render_record(b"GNU.sparse.map", records[0]) + render_record(b"GNU.sparse.size", records[1])
        archive = (
            render_header(Entry(b"x", PAX, size=len(data)))
            + data.ljust(512, b"\0")
            + render_header(Entry(b"f"))
        )
        with pytest.raises(TarError, match="sparse map"):
            entries(archive + END)
