"""gzip in blocks: what any other reader unpacks, and always the same."""

from __future__ import annotations

import gzip
import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.image import gzip_blocks
from pinnace.image.gzip_blocks import BLOCK_BYTES, GzipBlocks, is_dense
from pinnace.image.streams import open_packer


def pack(data: bytes, piece: int) -> bytes:
    packer = GzipBlocks()
    ready = [packer.pack(data[at : at + piece]) for at in range(0, len(data), piece)]
    return b"".join((*ready, packer.finish()))


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 7])
def test_other_readers_unpack_it_as_one_member(size: int) -> None:
    data = (b"some text that repeats itself " * (size // 30 + 1))[:size]
    packed = pack(data, 100_000)
    assert gzip.decompress(packed) == data
    one = zlib.decompressobj(31)
    assert one.decompress(packed) + one.flush() == data and one.eof and one.unused_data == b""


@settings(max_examples=10, deadline=None)
@given(piece=st.integers(10_000, 3_000_000), threads=st.integers(1, 5))
def test_the_result_depends_on_the_bytes_alone(piece: int, threads: int) -> None:
    data = os.urandom(64) * 40_000
    before, gzip_blocks.THREADS = gzip_blocks.THREADS, threads
    try:
        assert pack(data, piece) == pack(data, 700_000)
    finally:
        gzip_blocks.THREADS = before


def test_what_is_dense_already_is_stored_and_hardly_grows() -> None:
    noise = os.urandom(2 * BLOCK_BYTES)
    assert is_dense(noise) and not is_dense(noise[: BLOCK_BYTES // 2] + bytes(BLOCK_BYTES // 2))
    assert len(pack(noise, BLOCK_BYTES)) < len(noise) * 1.001


def test_layers_are_packed_so() -> None:
    pack_, finish = open_packer("gzip")
    assert gzip.decompress(pack_(b"abc" * 1000) + finish()) == b"abc" * 1000
