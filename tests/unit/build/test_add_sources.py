"""Sources of COPY and ADD. Expected values: BuildKit, dockerfile2llb/convert.go, dispatchCopy, and what it says."""

from __future__ import annotations

import pytest

from pinnace.build.add_sources import SourceError, Sources, read_sources
from pinnace.build.remote.addresses import GitSource, HttpSource

SUM = "sha256:" + "0" * 64


def read(*words: str, is_add: bool = True, checksum: str = "", unpack: bool | None = None) -> Sources:
    return read_sources(words, is_add=is_add, checksum=checksum, unpack=unpack)


def test_sources_keep_their_order() -> None:
    assert read("a", "https://h/f", "b") == ("a", HttpSource(url="https://h/f", name="f"), "b")


def test_flags_go_to_the_sources_that_they_are_about() -> None:
    assert read("https://h/f", unpack=True, checksum=SUM) == (
        HttpSource(url="https://h/f", name="f", unpack=True, checksum=SUM),
    )
    assert read("https://h/x.git", checksum="be1f38efe73c") == (
        GitSource(url="https://h/x.git", checksum="be1f38efe73c"),
    )


@pytest.mark.parametrize(
    ("words", "is_add", "checksum", "message"),
    [
        (["https://h/f"], False, "", "source can't be a URL for COPY"),
        (["git@h:x.git"], False, "", "source can't be a git ref for COPY"),
        (["a"], True, SUM, r"checksum requires HTTP\(S\) or Git sources"),
        (["https://h/f", "https://h/g"], True, SUM, "checksum can't be specified for multiple sources"),
        (["https://h/f"], True, "sha256:12", "invalid checksum"),
        (["https://h/f"], True, "md5:" + "0" * 32, "invalid checksum"),
        (["https://h/x.git"], True, "xyz", "invalid checksum"),
        (["https://h/f g"], True, "", "blanks"),
    ],
)
def test_what_cannot_be_added_is_refused(words: list[str], is_add: bool, checksum: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read(*words, is_add=is_add, checksum=checksum)
    assert caught.value.hint
