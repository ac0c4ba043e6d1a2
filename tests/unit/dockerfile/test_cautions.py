"""What is allowed in a Dockerfile but hardly meant."""

from __future__ import annotations

import pytest

from pinnace.dockerfile.cautions import find_cautions
from pinnace.dockerfile.parse import parse_dockerfile


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "FROM a\nCMD ['python', 'x.py']\n",
            2,
            "CMD is read as a shell command, not as a list: a JSON list has double quotes",
        ),
        ("FROM a\nENTRYPOINT [ ‘a’ ]\n", 2, "ENTRYPOINT is read as a shell command"),
        ('FROM a\nRUN ["a", "b",]\n', 2, "no valid JSON"),
        ('FROM a\nCMD ["a" "b"]\n', 2, "no valid JSON"),
        ('FROM a\nCMD ["c:\\x"]\n', 2, "no valid JSON"),
        ('FROM a\nENTRYPOINT ["a"] # the program\n', 2, "nothing may follow its ]"),
        ("FROM a\nCMD x\nCMD y\n", 2, "only the last one of a stage counts (line 3)"),
        ("FROM a AS b\nFROM a AS B\n", 2, "used twice (line 1)"),
        ("ARG V=1\nFROM a:$V\nRUN echo ${V}\n", 3, "repeat ARG V in it"),
        ("ARG V=1\nFROM a\nENV A=$V\n", 3, "$V is empty here"),
        ("FROM a\r\nRUN <<E\r\nx\r\nE\r\n", 2, "CRLF"),
    ],
)
def test_caution_is_told_on_its_line(text: str, line: int, words: str) -> None:
    (told,) = find_cautions(parse_dockerfile(text))
    assert told.startswith(f"Dockerfile:{line}: ")
    assert words in told


@pytest.mark.parametrize(
    "text",
    [
        'FROM a\nCMD ["x", "y"]\nENTRYPOINT ["z"]\nRUN [ -e /x ] || true\nRUN [[ a == b ]]\nRUN [ "$(x)" = 5 ] && [ "a" = "b" ]\n',
        "FROM a AS x\nCMD x\nFROM x\nCMD y\n",
        "ARG V=1\nFROM a\nARG V\nRUN echo $V\n",
        "ARG V=1\nFROM a\nRUN V=2; echo $V $VERSION ${V2} \\$V\n",
        "ARG TARGETARCH\nFROM a\nRUN x\n",
        "ARG A) B[\nFROM a\nRUN $A) ${B[\n",  # found by atheris
        "FROM a\r\nRUN x \\\r\n y\r\n",
    ],
)
def test_what_is_meant_so_is_not_told(text: str) -> None:
    assert find_cautions(parse_dockerfile(text)) == ()
