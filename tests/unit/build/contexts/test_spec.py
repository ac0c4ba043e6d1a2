"""What flags say of contexts. Expected values: docker buildx build, --build-context."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.build.contexts.layouts import split_value
from pinnace.build.contexts.spec import read_flag
from pinnace.build.named import NamedContext, NamedContexts

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("value", "kind", "rest"),
    [
        ("/x", "folder", "/x"),
        ("docker-image://alpine:3", "image", "alpine:3"),
        ("oci-layout:///x:v1", "layout", "/x:v1"),
        ("https://h/x.git#v1", "remote", "https://h/x.git#v1"),
        ("https://h/x.tar", "remote", "https://h/x.tar"),
        ("git@h:x", "remote", "git@h:x"),
    ],
)
def test_kinds_of_contexts(value: str, kind: str, rest: str) -> None:
    flag = read_flag("n", value)
    assert (flag.kind, flag.value) == (kind, rest)


@pytest.mark.parametrize("value", ["", "ftp://h/x", "target:base", "https://h/x.git#a..b"])
def test_what_is_no_context_is_refused(value: str) -> None:
    with pytest.raises(UserError) as caught:
        read_flag("n", value)
    assert caught.value.hint


def test_layouts_are_named_with_tag_and_digest() -> None:
    assert split_value("/a/b") == ("/a/b", "", "")
    assert split_value("/a/b:v1") == ("/a/b", "v1", "")
    assert split_value(f"/a:1/b@{DIGEST}") == ("/a:1/b", "", DIGEST)
    assert split_value(f"/a/b:v1@{DIGEST}") == ("/a/b", "v1", DIGEST)


@pytest.mark.parametrize(
    ("given", "asked", "found"),
    [
        ("alpine", "alpine", True),
        ("alpine", "alpine:latest", True),
        ("alpine", "docker.io/library/alpine", True),
        ("docker.io/library/alpine:latest", "alpine", True),
        ("alpine:3", "alpine:3", True),
        ("alpine", "alpine:3", False),
        ("alpine:3", "alpine", False),
        ("src", "SRC", True),
        ("src", "0", False),
    ],
)
def test_names_are_found_as_images_are_named(given: str, asked: str, found: bool) -> None:
    assert (NamedContexts((NamedContext(given),)).find(asked) is not None) is found
