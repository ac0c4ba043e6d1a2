"""The framing of sessions: whole frames or nothing, however the bytes come."""

from __future__ import annotations

import pytest

from pinnace.base import frames


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_frames_are_whole_however_the_bytes_come(step: int) -> None:
    sent = [(frames.STDOUT, b"hello"), (frames.STDIN, b""), (frames.STDERR, b"x" * 300)]
    text = b"".join(frames.pack(kind, data) for kind, data in sent)
    reader, got = frames.Frames(), []
    for start in range(0, len(text), step):
        got += list(reader.feed(text[start : start + step]))
    assert got == sent


def test_sizes_and_codes_come_back() -> None:
    ((kind, data),) = frames.Frames().feed(frames.pack_size(24, 80))
    assert (kind, frames.parse_size(data)) == (frames.RESIZE, (24, 80))
    ((kind, data),) = frames.Frames().feed(frames.pack_code(frames.EXIT, 137))
    assert (kind, frames.parse_code(data)) == (frames.EXIT, 137)


def test_a_length_that_nobody_sends_is_refused() -> None:
    with pytest.raises(frames.FrameError):
        list(frames.Frames().feed(b"\x01\xff\xff\xff\xff"))


def test_a_size_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(frames.FrameError):
        frames.parse_size(b"\x00")
