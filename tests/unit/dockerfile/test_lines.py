"""Logical lines: directives, continuations, comments, here-documents."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.dockerfile.lines import Heredoc, Lines, parse_heredoc, split_lines
from pinnace.dockerfile.source import Source


def lines_of(text: str) -> Lines:
    return split_lines(Source("Dockerfile", text))


def rows(text: str) -> list[tuple[str, str, int, int]]:
    return [(line.keyword, line.rest, line.first, line.last) for line in lines_of(text).instructions]


def test_comments_and_empty_lines_do_not_end_a_continuation() -> None:
    text = "FROM a\nRUN one && \\\n  # why\n\n  two && \\\n\t# and why\n  three\nRUN four\n"
    assert rows(text) == [
        ("FROM", "a", 1, 1),
        ("RUN", "one &&   two &&   three", 2, 7),
        ("RUN", "four", 8, 8),
    ]


def test_blanks_after_the_escape_still_continue() -> None:
    assert rows("RUN a \\ \t\n b\n") == [("RUN", "a  b", 1, 2)]


def test_escaped_escape_at_the_end_does_not_continue() -> None:
    assert rows("RUN a \\\\\nRUN b\n") == [("RUN", "a \\\\", 1, 1), ("RUN", "b", 2, 2)]


def test_comment_sign_inside_a_line_is_text() -> None:
    assert rows("RUN echo a # b\n  # c\n") == [("RUN", "echo a # b", 1, 1)]


def test_escape_directive_changes_the_continuation() -> None:
    text = "# escape=`\nFROM a\nRUN dir C:\\ `\n /s\n"
    assert lines_of(text).directives == {"escape": "`"}
    assert rows(text)[1] == ("RUN", "dir C:\\  /s", 3, 4)


def test_directive_after_anything_else_is_a_comment() -> None:
    assert lines_of("# hello\n# escape=`\nFROM a\n").escape == "\\"
    assert lines_of("\n# escape=`\nFROM a\n").escape == "\\"
    assert lines_of("# unknown=1\n# escape=`\nFROM a\n").escape == "\\"


def test_windows_line_ends_and_byte_order_mark_are_no_part_of_the_text() -> None:
    assert rows("\ufeffFROM a\r\nRUN b \\\r\n  c\r\n") == [("FROM", "a", 1, 1), ("RUN", "b   c", 2, 3)]


def test_only_a_newline_ends_a_line() -> None:
    assert rows("RUN a\x0cb\u2028c\nRUN d\n") == [("RUN", "a\x0cb\u2028c", 1, 1), ("RUN", "d", 2, 2)]


def test_several_heredocs_are_read_one_after_the_other() -> None:
    text = 'COPY <<a <<-"b" /x/\n$1\na\n\t$2\n\tb\nRUN c\n'
    first, second = lines_of(text).instructions
    assert first.heredocs == (Heredoc("a", "$1\n"), Heredoc("b", "\t$2\n", expand=False, chomp=True))
    assert first.heredocs[1].data == "$2\n"
    assert (first.first, first.last, second.first) == (1, 5, 6)


def test_heredoc_holds_what_looks_like_instructions_comments_and_continuations() -> None:
    text = "RUN <<EOF\nFROM x\n# y \\\n\nEOF\nRUN z\n"
    assert lines_of(text).instructions[0].heredocs[0].text == "FROM x\n# y \\\n\n"
    assert len(lines_of(text).instructions) == 2


@pytest.mark.parametrize(
    "text",
    [
        "ENV a=<<EOF\n",  # an instruction that takes none
        "RUN echo '<<EOF'\n",  # between quotes
        "RUN cat <<<EOF\n",  # a here-string
        "RUN echo $((1<<2))\n",  # a shift
        "RUN a<<EOF\n",  # not a word of its own
        "RUN it's <<EOF\n",  # a quote without its end: the line can't be split
    ],
)
def test_these_are_no_heredocs(text: str) -> None:
    assert lines_of(text).instructions[0].heredocs == ()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("<<EOF", Heredoc("EOF")),
        ("<<-EOF", Heredoc("EOF", chomp=True)),
        ("3<<EOF", Heredoc("EOF", file_descriptor=3)),
        ('<<"EOF"', Heredoc("EOF", expand=False)),
        ("<<'EOF'", Heredoc("EOF", expand=False)),
        ('<<E"O"F', Heredoc("EOF", expand=False)),
        ("<< EOF", Heredoc("EOF")),
        ("<<EOF>out", Heredoc("EOF>out")),
        ("<<", None),
        ("EOF", None),
    ],
)
def test_heredoc_word(word: str, expected: Heredoc | None) -> None:
    assert parse_heredoc(word) == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("FROM a\nRUN <<EOF\nhi\n", 2, "the here-document EOF has no end"),
        ("# escape=x\nFROM a\n", 1, "invalid escape token 'x'"),
        ("# escape=`\n# Escape=`\nFROM a\n", 2, "only one escape parser directive can be used"),
    ],
)
def test_what_cannot_be_read_is_told_on_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(UserError) as caught:
        lines_of(text)
    assert caught.value.message == message
    assert caught.value.where.startswith(f"Dockerfile:{line}: ")
    assert caught.value.hint
