"""Compression in and out. The oracles are the system's own programs and the standard library."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import subprocess

import pytest
import zstandard

from pinnace.image.streams import CHUNK, Inflow, Outflow
from pinnace.image.tar_format import TarError

DATA = os.urandom(1 << 20) + bytes(3 << 20) + b"text " * 100_000

PACKED = {
    "": DATA,
    "gzip": gzip.compress(DATA, 1),
    "zstd": zstandard.ZstdCompressor().compress(DATA),
    "xz": lzma.compress(DATA, preset=0),
    "bzip2": bz2.compress(DATA, 1),
}


def read_all(inflow: Inflow) -> bytes:
    parts = []
    while part := inflow.chunk():
        assert len(part) <= CHUNK
        parts.append(part)
    inflow.close()
    return b"".join(parts)


@pytest.mark.parametrize("name", PACKED)
def test_an_archive_is_unpacked_by_what_it_is_and_digested_on_the_way(name: str) -> None:
    inflow = Inflow(io.BytesIO(PACKED[name]), digest_blob=True, digest_tar=True)
    assert read_all(inflow) == DATA
    assert inflow.compression == name
    assert inflow.tar is not None and inflow.tar.digest == "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert (
        inflow.blob is not None and inflow.blob.digest == "sha256:" + hashlib.sha256(PACKED[name]).hexdigest()
    )
    assert inflow.blob.size == len(PACKED[name])


def test_several_gzip_members_and_padding_are_one_stream() -> None:
    data = gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two") + bytes(700)
    assert read_all(Inflow(io.BytesIO(data))) == b"onetwo"


@pytest.mark.parametrize("name", ["gzip", "xz", "bzip2"])  # zstd may end anywhere: the tar reader sees that
def test_cut_off_data_is_an_error_and_not_the_end(name: str) -> None:
    inflow = Inflow(io.BytesIO(PACKED[name][:-100]))
    with pytest.raises(TarError, match="damaged or cut off"):
        read_all(inflow)


def test_a_flipped_byte_is_an_error() -> None:
    data = bytearray(PACKED["gzip"])
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(TarError, match="damaged"):
        read_all(Inflow(io.BytesIO(bytes(data))))


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    inflow = Inflow(io.BytesIO(bytes(64 << 20)))
    inflow.chunk()
    inflow.close()
    assert not inflow._thread.is_alive()


@pytest.mark.parametrize(
    ("name", "unpack"), [("", ["cat"]), ("gzip", ["gzip", "-dc"]), ("zstd", ["zstd", "-dcq"])]
)
def test_what_is_packed_the_usual_programs_unpack(name: str, unpack: list[str]) -> None:
    packed = io.BytesIO()
    outflow = Outflow(packed.write, compression=name)
    for at in range(0, len(DATA), 70_000):
        outflow.put(DATA[at : at + 70_000])
    outflow.finish()
    assert subprocess.run(unpack, input=packed.getvalue(), capture_output=True, check=True).stdout == DATA
    assert outflow.tar.digest == "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert (
        outflow.blob is not None
        and outflow.blob.digest == "sha256:" + hashlib.sha256(packed.getvalue()).hexdigest()
    )


def test_an_error_while_writing_reaches_the_one_who_waits() -> None:
    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    outflow = Outflow(full)
    outflow.put(b"x")
    with pytest.raises(OSError, match="No space"):
        outflow.finish()
