"""What sources of ADD and contexts mean. Expected values: BuildKit, util/gitutil and dfgitutil (its tests' tables); the reference."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.build.remote.addresses import (
    AddressError,
    GitSource,
    HttpSource,
    hide_secrets,
    parse_context,
    parse_source,
)

COMMIT = "be1f38efe73c6a93cc429a0488ad6e1db663398c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://h.io/a/b.git", GitSource(url="https://h.io/a/b.git")),
        ("https://h.io/a/b.git#main", GitSource(url="https://h.io/a/b.git", ref="main")),
        ("https://h.io/a/b.git#:sub", GitSource(url="https://h.io/a/b.git", folder="sub")),
        ("https://h.io/a/b.git#v1:x/y/", GitSource(url="https://h.io/a/b.git", ref="v1", folder="x/y")),
        (f"https://h.io/b.git#{COMMIT}", GitSource(url="https://h.io/b.git", ref=COMMIT)),
        ("git@h.io:a/b.git#x", GitSource(url="git@h.io:a/b.git", ref="x")),
        ("git@h.io:a/b", GitSource(url="git@h.io:a/b")),
        ("ssh://git@h.io:22/a/b#x:y", GitSource(url="ssh://git@h.io:22/a/b", ref="x", folder="y")),
        ("git://h.io/a/b", GitSource(url="git://h.io/a/b")),
        (
            "https://h.io/b.git?tag=v1&subdir=d&keep-git-dir=1",
            GitSource(url="https://h.io/b.git", ref="refs/tags/v1", folder="d", keep_git_dir=True),
        ),
        ("https://h.io/b.git?submodules=false", GitSource(url="https://h.io/b.git", submodules=False)),
        ("https://h.io/a/f.tar.gz?x=1#y", HttpSource(url="https://h.io/a/f.tar.gz?x=1", name="f.tar.gz")),
        ("http://h.io/a%20b", HttpSource(url="http://h.io/a%20b", name="a b")),
        ("http://h.io", HttpSource(url="http://h.io")),
        ("http://h.io/a/", HttpSource(url="http://h.io/a/")),
        ("http://h.io/a%2Fb", HttpSource(url="http://h.io/a%2Fb")),
        ("HTTPS://h.io/F", HttpSource(url="https://h.io/F", name="F")),
        ("b.git", None),
        ("./git@x:y", None),
        ("github.com/a/b", None),
        ("file:///x.git", None),
        ("a/https://h.io/x", None),
    ],
)
def test_source_is_a_repository_a_url_or_a_path(text: str, expected: object) -> None:
    assert parse_source(text) == expected


def test_context_may_also_be_a_known_host_or_a_repository_here() -> None:
    assert parse_context("github.com/a/b#x") == GitSource(url="https://github.com/a/b", ref="x")
    assert parse_context("file:///srv/x.git") == GitSource(url="file:///srv/x.git")
    assert parse_context("folder") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https:///x", "names no host"),
        ("https://h.io/x y", "blanks"),
        ("https://h.io:port/x", "port"),
        ("https://h.io/x.git#-upload-pack=x", "no name of a branch"),
        ("https://h.io/x.git#a..b", "no name of a branch"),
        ("https://h.io/x.git#main:../..", r"can't have \.\. in it"),
        ("https://h.io/x.git?what=1", "means nothing"),
        ("https://h.io/x.git?ref=a#b", "twice"),
        ("ssh://-oProxyCommand=x/y", "dash"),
    ],
)
def test_address_that_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(AddressError, match=message):
        parse_source(text)


def test_passwords_are_not_shown() -> None:
    assert hide_secrets("https://me:pass@h.io/x") == "https://me:xxxxx@h.io/x"
    assert hide_secrets("https://token@h.io/x") == "https://xxxxx@h.io/x"
    assert hide_secrets("ssh://git@h.io/x") == "ssh://git@h.io/x"
    assert hide_secrets("git@h.io:x") == "git@h.io:x"


@given(
    st.text(),
    st.sampled_from(["", "https://", "http://h/", "git@", "ssh://", "https://h/x.git#", "https://h/x.git?"]),
)
def test_any_text_is_read_or_refused(text: str, start: str) -> None:
    for parse in (parse_source, parse_context):
        with contextlib.suppress(AddressError):
            parse(start + text)
