"""Image references beside a second reading: the grammar as the distribution project prints it, and Docker's short names."""

from __future__ import annotations

import os
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pinnace.base.errors import UserError
from pinnace.oci.reference import parse_reference

TIMES = int(os.environ.get("PINNACE_FUZZ", "1"))

# Source: distribution/reference v0.6.0, the grammar at the top of reference.go.
COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
HOST = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
DOMAIN = rf"(?:{HOST}(?:\.{HOST})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
GRAMMAR = re.compile(
    rf"((?:{DOMAIN}/)?{COMPONENT}(?:/{COMPONENT})*)(?::([\w][\w.-]{{0,127}}))?(?:@({DIGEST}))?", re.ASCII
)


def read(text: str) -> tuple[str, str, str] | None:
    """Return name, tag and digest as `docker pull` understands them; None for what it refuses.

    Source: distribution/reference v0.6.0, normalize.go, ParseNormalizedNamed and splitDockerDomain.
    """
    if re.fullmatch("[a-f0-9]{64}", text):
        return None
    first, slash, rest = text.partition("/")
    if not slash or not (set(first) & set(".:") or first == "localhost" or first.lower() != first):
        first, rest = "docker.io", text
    first = "docker.io" if first == "index.docker.io" else first
    if first == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    if re.split("[:@]", rest)[0] != re.split("[:@]", rest)[0].lower():
        return None
    match = GRAMMAR.fullmatch(f"{first}/{rest}")
    if match is None or len(match[1]) > 255 or not re.fullmatch(DOMAIN, first):  # no name without a registry
        return None
    return match[1], match[2] or "", match[3] or ""


PIECES = (
    "a",
    "b0",
    "A",
    ".",
    "_",
    "__",
    "-",
    "/",
    ":",
    "@",
    "5000",
    "localhost",
    "docker.io",
    "index.docker.io",
    "library",
)
MORE = ("v1.2", "sha256:" + "a" * 64, "[::1]", "x.y", "é", " ", "", "a" * 130, "..", ":latest", "team/app")


@settings(max_examples=500 * TIMES, deadline=None, derandomize=TIMES == 1)
@given(st.lists(st.sampled_from(PIECES + MORE), max_size=7).map("".join))
@example("a" * 64)
@example("localhost/a")
@example("docker.io/a:b@sha256:" + "0" * 64)
@example("index.docker.io/library/a/b")
def test_reference_is_read_as_docker_reads_it(text: str) -> None:
    expected = read(text)
    try:
        ours = parse_reference(text, default_tag="")
    except UserError:
        assert expected is None or not re.fullmatch(
            "|sha256:[0-9a-f]{64}", expected[2]
        )  # others have no use here
        return
    assert (ours.name, ours.tag, str(ours.digest or "")) == expected


@settings(max_examples=200 * TIMES, deadline=None, derandomize=TIMES == 1)
@given(st.binary(max_size=80))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        reference = parse_reference(data.decode(errors="surrogateescape"))
    except UserError:
        return
    assert parse_reference(str(reference)) == reference
