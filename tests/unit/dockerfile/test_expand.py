"""Variables and quotes in words. Source of every expected value: BuildKit, frontend/dockerfile/shell (envVarTest, wordsTest,
lex_test.go) and the Dockerfile reference, "Environment replacement"."""

from __future__ import annotations

import pytest

from pinnace.dockerfile.expand import (
    AS_WRITTEN,
    HEREDOC_TEXT,
    ExpansionError,
    Rules,
    expand_word,
    expand_words,
)

ENV = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": ""}

WORDS = [
    ("hello", "hello"),
    ("he'll'o", "hello"),
    (r"he\'llo", "he'llo"),
    (r"abc\tdef", "abctdef"),
    (r'"abc\tdef"', r"abc\tdef"),
    (r'"abc\\tdef"', r"abc\tdef"),
    (r"'abc\tdef'", r"abc\tdef"),
    ("hello\\", "hello"),
    ("hello\\\\", "hello\\"),
    ('"hel\'lo"', "hel'lo"),
    ("'hello\\'", "hello\\"),
    (r"'hello\\there'", r"hello\\there"),
    ("\"''\"", "''"),
    ("$.", "$."),
    ("he$1x", "hex"),
    ("he$.x", "he$.x"),
    ("he$pwd.", "he."),
    ("he$PWD", "he/home"),
    (r"he\$PWD", "he$PWD"),
    (r"he\\$PWD", "he\\/home"),
    (r'"he\$PWD"', "he$PWD"),
    (r'"he\\$PWD"', "he\\/home"),
    (r"\${}", "${}"),
    (r"he\${}xx", "he${}xx"),
    ("he${hi}xx", "hexx"),
    ("he${PWD}", "he/home"),
    ("he${XXX:-000}xx", "he000xx"),
    ("he${PWD:-000}xx", "he/homexx"),
    ("he${XXX:-$PWD}xx", "he/homexx"),
    ("he${XXX:-${PWD:-yyy}}xx", "he/homexx"),
    ("he${XXX:-${YYY:-yyy}}xx", "heyyyxx"),
    ("he${PWD?}", "he/home"),
    ("he${NULL?}", "he"),
    ("he${XXX:+${PWD}}xx", "hexx"),
    ("he${PWD:+${XXX}}xx", "hexx"),
    ("he${PWD:+${SHELL}}xx", "hebashxx"),
    ("he${PWD:+000}xx", "he000xx"),
    ("'he${XX}'", "he${XX}"),
    ("\"he'$PWD'\"", "he'/home'"),
    (r"'\$PWD'", r"\$PWD"),
    ("'\"hello\"'", '"hello"'),
    ("he${PWD:+${PWD}:}xx", "he/home:xx"),
    (r"he${XXX:-\$PWD:}xx", "he$PWD:xx"),
    (r"he${XXX:-\${PWD}z}xx", "he${PWDz}xx"),
    ("안'녕'하세요", "안녕하세요"),
    ("안녕$KOREAN", "안녕한국어"),
    ("${aaa}}", "}"),
    ("${aaa:-bbb}}", "bbb}"),
    ("${aaa:-${bbb:-ccc}}", "ccc"),
    ("${aaa:-bbb {foo}", "bbb {foo"),
    # positional and special parameters are never set
    ("${1:+bbb}", ""),
    ("${1:-bbb}", "bbb"),
    ("$999aaa", "aaa"),
    ("${001:-bbb}aaa", "bbbaaa"),
    ("$@@@", "@@"),
    ("${@:-bbb}aaa", "bbbaaa"),
    ("$*$#$?$-$$$!$0", ""),
    ("${#}${?}${-}${$}${!}${0}", ""),
    ("${!:-bbb}", "bbb"),
]

ERRORS = [
    "he'llo",
    r"he\\'llo",
    '"hello',
    '"hello\\"',
    "'hello",
    "${}",
    "he${}xx",
    "he${.}",
    "he${XXX:YYY}",
    "he${XXX?}",
    "he${XXX:?}",
    "he${NULL:?}",
    "he${PWD",
    "he${PWD:=000}xx",
    "${{aaa}",
    "${aaa",
    "${aaa:-bbb",
    "${aaa:-bbb ${foo}",
    "${:}",
    "${:-bbb}",
    "${FOO=aaa}",
    "${FOO:#}",
    "${FOO:%%}",
    "${FOO//ww}",
    "${FOO//}",
    r"${PWD#\x}",
    "${PWD%\\",
]

# word, values, expected
PATTERNS = [
    (r"${FOO#()[]{\}^$.\*\?|\\}", {"FOO": "()[]{}^$.*?|\\x"}, "x"),
    (r"${FOO%%\**}", {"FOO": "xx**"}, "xx"),
    ("${FOO#*x*y}", {"FOO": "xxyy"}, "y"),
    ("${FOO#*}", {"FOO": "xxyy"}, "xxyy"),
    ("${FOO#$BAR}", {"FOO": "xxyy", "BAR": "x"}, "xyy"),
    ("${FOO#$BAR}", {"FOO": "xxyy", "BAR": ""}, "xxyy"),
    ("${FOO##*x}", {"FOO": "xxyy"}, "yy"),
    ("${FOO##}", {"FOO": "xxyy"}, "xxyy"),
    (r"${FOO#?\?}", {"FOO": "???y"}, "?y"),
    ("${ABC:-.}${FOO%x}${ABC:-.}", {"FOO": "xxyy"}, ".xxyy."),
    (r"${FOO%%\**\*}", {"FOO": "a***yy*"}, "a"),
    ("${FOO%%.*}", {"FOO": "model.tar.gz"}, "model"),
    ("${FOO%.*}", {"FOO": "model.tar.gz"}, "model.tar"),
    (
        "${FOO/$NEEDLE/.} - ${FOO//$NEEDLE/.}",
        {"FOO": "/foo*/*/*.txt", "NEEDLE": "\\*/"},
        "/foo.*/*.txt - /foo..*.txt",
    ),
    (
        "${FOO/$NEEDLE/} - ${FOO//$NEEDLE/}",
        {"FOO": "/tmp/tmp/bar.txt", "NEEDLE": "/tmp"},
        "/tmp/bar.txt - /bar.txt",
    ),
    (
        "${FOO/$N/$R} - ${FOO//$N/$R}",
        {"FOO": "/a/foo/b/c.txt", "N": "/?/", "R": "/"},
        "/foo/b/c.txt - /foo/c.txt",
    ),
    (r"${FOO//\//\/}", {"FOO": "/tmp/foo.txt"}, r"\/tmp\/foo.txt"),
    ("${FOO/$BAR/ww}", {"FOO": "xxyy", "BAR": ""}, "wwxxyy"),
    ("${FOO-aaa} ${BAR-bbb} ${BAZ-ccc}", {"FOO": "xxx", "BAR": ""}, "xxx  ccc"),
    ("${FOO+aaa} ${BAR+bbb} ${BAZ+ccc}", {"FOO": "xxx", "BAR": ""}, "aaa bbb "),
    (
        "x-${OS}-${ARCH}${VARIANT:+-${VARIANT}}.tgz",
        {"OS": "linux", "ARCH": "arm", "VARIANT": "v7"},
        "x-linux-arm-v7.tgz",
    ),
]

SPLITS = [
    ("hello${hi}bye", {}, ["hellobye"]),
    ("hello${space}bye", {"space": "abc  def"}, ["helloabc", "defbye"]),
    ('hello"${space}"bye', {"space": "abc  def"}, ["helloabc  defbye"]),
    ('hello "${space}"bye', {"space": "abc  def"}, ["hello", "abc  defbye"]),
    ("hello${leading}def", {"leading": "  ab c"}, ["hello", "ab", "cdef"]),
    ('hello"${leading}" def', {"leading": "  ab c"}, ["hello  ab c", "def"]),
    ("hello${trailing}", {"trailing": "ab c   "}, ["helloab", "c"]),
    ('hello" there  "', {}, ["hello there  "]),
    (r"hello\ there", {}, ["hello there"]),
    (r"hello\" there", {}, ['hello"', "there"]),
]


@pytest.mark.parametrize(("word", "expected"), WORDS)
def test_word_becomes_what_buildkit_makes_of_it(word: str, expected: str) -> None:
    assert expand_word(word, ENV) == expected


@pytest.mark.parametrize("word", ERRORS)
def test_word_that_buildkit_refuses_is_refused(word: str) -> None:
    with pytest.raises(ExpansionError):
        expand_word(word, ENV)


@pytest.mark.parametrize(("word", "values", "expected"), PATTERNS)
def test_patterns_trim_and_replace_as_in_buildkit(word: str, values: dict[str, str], expected: str) -> None:
    assert expand_word(word, values) == expected


@pytest.mark.parametrize(("text", "values", "expected"), SPLITS)
def test_blanks_out_of_variables_split_unless_quoted(
    text: str, values: dict[str, str], expected: list[str]
) -> None:
    assert expand_words(text, values) == expected


def test_demanded_variable_is_named_with_its_message() -> None:
    with pytest.raises(ExpansionError, match=r"^VAR: message herex$"):
        expand_word("${VAR:?message here$ARG}", {"ARG": "x"})
    with pytest.raises(ExpansionError, match=r"^VAR: is not allowed to be empty$"):
        expand_word("${VAR:?}", {"VAR": ""})


def test_backquote_is_the_escape_when_the_directive_says_so() -> None:
    assert expand_word("C:\\dir`$x", {"x": "1"}, Rules(escape="`")) == "C:\\dir$x"


# Source: BuildKit, frontend/dockerfile/dockerfile_heredoc_test.go, testCopyHeredocSpecialSymbols.
@pytest.mark.parametrize(
    ("text", "expected"),
    [('"quotes in file"', '"quotes in file"'), ("\\\n", "\n"), ("\\\\", "\\"), (r"\$", "$"), ("$x", "1")],
)
def test_heredoc_text_keeps_quotes_but_not_escapes(text: str, expected: str) -> None:
    assert expand_word(text, {"x": "1"}, HEREDOC_TEXT) == expected


def test_as_written_text_is_only_split() -> None:
    text = r"""RUN <<EOF "a 'b' c" \$x ${y:-z} << "E F" """
    assert expand_words(text, {}, AS_WRITTEN) == [
        "RUN",
        "<<EOF",
        "\"a 'b' c\"",
        r"\$x",
        "${y:-z}",
        '<< "E F"',
    ]
