"""How a place in a Dockerfile is shown."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.dockerfile.parse import parse_dockerfile
from pinnace.dockerfile.source import Source, decode_source, suggest

TEXT = "FROM a\n  RUN x \\\n    && y \\\n  && z\n" + "RUN a \\\n" + "  b \\\n" * 12 + "  c\n"


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (1, 1, "Dockerfile:1: FROM a"),
        (1, 0, "Dockerfile:1: FROM a"),
        (2, 4, "Dockerfile:2: RUN x \\\n           3:   && y \\\n           4: && z"),
        (99, 99, "Dockerfile:99: "),
    ],
)
def test_instruction_is_shown_with_all_of_its_lines(first: int, last: int, expected: str) -> None:
    assert Source("Dockerfile", TEXT).excerpt(first, last) == expected


def test_long_instruction_is_cut() -> None:
    shown = Source("D", TEXT).excerpt(5, 18).splitlines()
    assert shown[0] == "D:5: RUN a \\"
    assert shown[1:] == [*(f"  {number}:   b \\" for number in range(6, 15)), "  … to line 18"]


@pytest.mark.parametrize(
    ("line", "carets"),
    [
        ("COPPY a b", "^^^^^"),
        ("onbuild runn a", "        ^^^^"),
        ("  coppy a b", "^^^^^"),
        ("COPY --form=a b c", "     ^^^^^^"),
        ("COPY --chmod=7 --chmod=8 b c", "               ^^^^^^^^^"),
        ("COPY --link=no b c", "     ^^^^^^^^^"),
        ("ENV A=1 B C=2", "        ^"),
        ("FROM a AS 1", "          ^"),
    ],
)
def test_carets_stand_below_what_is_wrong(line: str, carets: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_dockerfile(f"FROM a\n{line}\n")
    shown, below = caught.value.where.split("\n")
    assert shown == f"Dockerfile:2: {line.strip()}"
    assert below == " " * len("Dockerfile:2: ") + carets


def test_comment_may_be_in_any_encoding_and_nothing_else() -> None:
    text = decode_source("# Größe\nFROM a\n".encode("latin-1"), "Dockerfile")
    assert text == "# Gr\ufffd\ufffde\nFROM a\n"
    with pytest.raises(UserError) as caught:
        decode_source("FROM a\nENV A=Größe\n".encode("latin-1"), "Dockerfile")
    assert caught.value.where == "Dockerfile:2: ENV A=Gr\ufffd\ufffde"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_other_encoding_is_told_by_its_name(encoding: str) -> None:
    data = "\ufeffFROM a\n".encode(encoding) if encoding == "utf-16-be" else "FROM a\n".encode(encoding)
    with pytest.raises(UserError, match="UTF-16"):
        decode_source(data, "Dockerfile")


def test_ignore_file_in_another_encoding_is_told_with_its_line() -> None:
    with pytest.raises(UserError) as caught:
        decode_source("*.o\nGröße\n".encode("latin-1"), ".dockerignore", "the ignore file")
    assert caught.value.message == "failed to read the ignore file: this line is not UTF-8"
    assert caught.value.where == ".dockerignore:2: Gr\ufffd\ufffde"


def test_nearest_name_is_never_the_one_that_was_written() -> None:
    assert suggest("app", ["app", "apt"]) == "did you mean apt?"
    assert suggest("a", ["a"]) == ""
