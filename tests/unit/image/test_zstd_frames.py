"""Where zstd data may end: the oracle is the library, which wrote it."""

from __future__ import annotations

import struct

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pinnace.image.zstd_frames import ZstdFrames


def is_whole(data: bytes, step: int) -> bool:
    frames = ZstdFrames()
    for at in range(0, len(data), step):
        frames.feed(data[at : at + step])
    return frames.is_whole


@given(
    bodies=st.lists(st.binary(max_size=300) | st.just(b"z" * 300_000), min_size=1, max_size=3),
    checksum=st.booleans(),
    sized=st.booleans(),
    step=st.integers(1, 400),
    data=st.data(),
)
def test_only_whole_frames_are_whole(
    bodies: list[bytes], checksum: bool, sized: bool, step: int, data: st.DataObject
) -> None:
    packer = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=sized)
    frames = [packer.compress(body) for body in bodies]
    skippable = struct.pack("<II", 0x184D2A53, 5) + b"hello"
    packed = frames[0] + skippable + b"".join(frames[1:])
    assert is_whole(packed, step)
    ends = {0, len(frames[0]), len(frames[0]) + len(skippable)}
    for frame in frames[1:]:
        ends.add(max(ends) + len(frame))
    cut = data.draw(st.integers(0, len(packed)))
    assert is_whole(packed[:cut], step) == (cut in ends)
