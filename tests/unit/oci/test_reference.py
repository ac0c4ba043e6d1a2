"""References. Expected values: the tables in distribution/reference, normalize_test.go and reference_test.go."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pinnace.base.errors import UserError
from pinnace.oci import Digest, Reference, parse_reference

DIGEST = Digest("sha256:" + "0123456789abcdef" * 4)


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("my-model:v1", "docker.io/library/my-model:v1", "my-model:v1"),
        ("my-model", "docker.io/library/my-model:latest", "my-model:latest"),
        ("docker.io/fooo", "docker.io/library/fooo:latest", "fooo:latest"),
        ("index.docker.io/library/foo", "docker.io/library/foo:latest", "foo:latest"),
        ("team/foo", "docker.io/team/foo:latest", "team/foo:latest"),
        ("library/foo/bar", "docker.io/library/foo/bar:latest", "library/foo/bar:latest"),
        ("localhost/foo", "localhost/foo:latest", "localhost/foo:latest"),
        ("localhost:5000/foo:v2", "localhost:5000/foo:v2", "localhost:5000/foo:v2"),
        ("Localhost/foo", "Localhost/foo:latest", "Localhost/foo:latest"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest", "127.0.0.1:5000/a/b/c:latest"),
        ("[2001:db8::1]:5000/repo", "[2001:db8::1]:5000/repo:latest", "[2001:db8::1]:5000/repo:latest"),
        ("ghcr.io/me/llm:2.1-cu118", "ghcr.io/me/llm:2.1-cu118", "ghcr.io/me/llm:2.1-cu118"),
        (f"foo@{DIGEST}", f"docker.io/library/foo@{DIGEST}", f"foo@{DIGEST}"),
        (f"foo:v1@{DIGEST}", f"docker.io/library/foo:v1@{DIGEST}", f"foo:v1@{DIGEST}"),
        ("a__b/c-----d/e.f:X", "docker.io/a__b/c-----d/e.f:X", "a__b/c-----d/e.f:X"),
        ("foo:5000", "docker.io/library/foo:5000", "foo:5000"),
    ],
)
def test_short_names_are_completed_and_shortened_again(text: str, full: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert (str(reference), reference.familiar) == (full, familiar)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("a" * 64, "image id"),
        ("MyModel:v1", r"repository name \(MyModel\) must be lowercase"),
        ("repo:", "tag ''"),
        (":v1", "':v1'"),
        ("repo:-x", "tag '-x'"),
        ("repo:" + "x" * 129, "tag"),
        ("a..b", "'a..b'"),
        ("a___b", "'a___b'"),
        ("-foo", "'-foo'"),
        ("foo/", "'foo/'"),
        ("foo//bar", "'foo//bar'"),
        ("foo bar", "'foo bar'"),
        ("foo@sha256:12", "64 lower-case"),
        ("foo@md5:" + "a" * 32, "unknown algorithm 'md5'"),
        ("foo@", "not a digest"),
        ("-bad-.example.com/foo", "registry's address"),
        ("example.com:port/foo", "registry's address"),
        ("x" * 300, "255"),
        ("../../etc/passwd", "invalid reference format"),
    ],
)
def test_a_wrong_reference_is_refused_with_the_part_that_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_reference(text)


def test_a_reference_takes_another_tag_or_a_digest() -> None:
    reference = parse_reference(f"me/llm:v1@{DIGEST}")
    assert reference.with_tag("v2").familiar == "me/llm:v2"
    assert reference.with_digest(DIGEST) == Reference("docker.io", "me/llm", "", DIGEST)
    with pytest.raises(UserError, match="tag"):
        reference.with_tag("a/b")


_component = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
_domain = st.sampled_from(
    ["", "docker.io/", "index.docker.io/", "localhost/", "localhost:80/", "gcr.io/", "A/", "[::1]:1/"]
)
_tag = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}", fullmatch=True)


@given(_domain, st.lists(_component, min_size=1, max_size=4), st.none() | _tag, st.none() | st.just(DIGEST))
def test_every_reference_survives_both_renderings(
    domain: str, path: list[str], tag: str | None, digest: str | None
) -> None:
    assume(domain or len(path) == 1 or "." not in path[0])  # else the first part is a domain
    text = domain + "/".join(path) + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    reference = parse_reference(text)
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.familiar) == reference
    assert reference.path.startswith("library/") or "/" in reference.path or reference.domain != "docker.io"


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_user_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UserError:
        return
    assert parse_reference(str(reference)) == reference
