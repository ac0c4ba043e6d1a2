"""The Dockerfile's front end under any input: an answer or a `UserError`, and the same as outside tools where they answer.

Bounded: some 1,000 examples in the normal run. PINNACE_FUZZ multiplies that, for a run by hand over hours.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinnace.base.errors import UserError
from pinnace.build.plan import BuildOptions, plan_build
from pinnace.dockerfile.cautions import find_cautions
from pinnace.dockerfile.expand import ExpansionError, Rules, expand_word, expand_words
from pinnace.dockerfile.parse import parse_dockerfile
from pinnace.dockerfile.source import decode_source
from tests.unit.dockerfile.test_wild import BASE, WILD

TIMES = int(os.environ.get("PINNACE_FUZZ", "1"))


def bounded(examples: int) -> settings:
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        derandomize=TIMES == 1,  # the normal run is the same each time; new ground is for runs by hand
        suppress_health_check=[HealthCheck.too_slow],
    )


def read_all(data: bytes) -> str:
    """Do all that is done with a Dockerfile before a build; return "planned" or the refusal."""
    try:
        file = parse_dockerfile(decode_source(data, "Dockerfile"))
        find_cautions(file)
        plan_build(file, BuildOptions(build_args={"A": "1"}, labels={"l": "1"}), lambda name, platform: BASE)
    except UserError as error:
        return error.message
    return "planned"


@bounded(150)
@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    read_all(data)
    read_all(b"FROM a\n" + data)


KEYWORDS = [
    "FROM",
    "RUN",
    "COPY",
    "ADD",
    "ENV",
    "LABEL",
    "ARG",
    "WORKDIR",
    "USER",
    "EXPOSE",
    "VOLUME",
    "CMD",
    "ENTRYPOINT",
    "SHELL",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ONBUILD",
]
PIECES = (
    *("a", "b/c", "/d/", ".", "..", "*", "[a-b]", "$A", "${A}", "${A:-b}", "${A#?}", "${A/a/b}", "${", "$", "'", '"', "\\"),
    *("\\\n", " \\\n# c\n", "=", "A=b", "--from=a", "--chown=1:2", "--chmod=u+x", "--mount=type=cache,target=/c", "--link"),
    *("--exclude=*", "--parents", "--checksum=sha256:a", "--network=none", "--platform=linux/arm64", "--interval=1s"),
    *("<<E", "<<-'E'", "\nE\n", "#", "`", '["a", "b"]', "['a']", "[", "]", "AS b", "NONE", "CMD", "80/tcp", "1-5", "é", "\t", " "),
    *("https://x/y.git#v:z", "http://x/y.tar", "git@x:y", "\x00", "\x0b", "\u2028", "\r\n", "\ufeff", "\ud7ff", "SIGTERM", "99"),
)  # fmt: skip


def lines() -> st.SearchStrategy[str]:
    rest = st.lists(st.sampled_from(PIECES), max_size=6).flatmap(
        lambda pieces: st.sampled_from((" ", "")).map(lambda blank: blank.join(pieces))
    )
    return st.tuples(st.sampled_from(KEYWORDS), rest).map(" ".join)


@bounded(300)
@given(st.sampled_from(("", "# escape=`\n", "ARG A=1\n", "ARG A( B[\n")), st.lists(lines(), max_size=6))
def test_lines_of_the_grammar_are_read_or_refused(top: str, rows: list[str]) -> None:
    read_all((top + "FROM a AS a\n" + "\n".join(rows)).encode())


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a wild Dockerfile of which pieces were cut out, doubled, or replaced by pieces of others."""
    texts = [text for text, _ in WILD.values()]
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 30)))
        other = draw(st.sampled_from(("", text[start:end] * 2, draw(st.sampled_from(PIECES)))))
        text = text[:start] + other + text[end:]
    return text


@bounded(300)
@given(mutated())
def test_damaged_dockerfile_is_read_or_refused(text: str) -> None:
    read_all(text.encode(errors="surrogatepass"))


@bounded(300)
@given(mutated())
def test_damaged_dockerfile_is_read_as_buildkit_reads_it(text: str) -> None:
    from tests.unit.dockerfile.oracle import LATER, compare, oracle

    if "\ufeff" in text or "\x00" in text or ("escape" in text and "--" in text):
        return  # the mark is taken away before parsing; a C string ends at NUL; the wheel's flags know one escape only
    if "<<" in text and ("${A#" in text or "${A/" in text or re.search(r"<<-?[\s\\]", text)):
        return  # the wheel's BuildKit is older than these, and finds no here-document in such a line
    if re.search(r"--\S*[^\x00-\x7f]|--[\u2028]", text):
        return  # the wheel takes the bytes of a flag for characters
    try:
        oracle.parse_string(text)
    except oracle.GoParseError:
        with pytest.raises(UserError):
            parse_dockerfile(text)
        return
    refusal = ""
    try:
        compare(text)
    except UserError as error:
        refusal = error.message
    assert not refusal or any(words in refusal for words in (*LATER, *LATER_TOO)), refusal


LATER_TOO = (
    "no build stage in current context",
    "the Dockerfile has no FROM",
    "FROM requires either one or three",
    "invalid field",
    "invalid network mode",
    "unsupported mount type",
    "must have two arguments",
    "Syntax error - can't find =",
    "Unknown type",
    "arrays must be comprised of strings",
)


# --- expansion -----------------------------------------------------------------------------------------------------------

VALUES = {"A": "abcab", "B": "", "C": "a b"}


@bounded(300)
@given(st.text(alphabet="ABX${}:-+?#%/*'\"\\<a ", max_size=14), st.booleans(), st.booleans())
def test_any_word_is_expanded_or_refused(word: str, keep: bool, quotes: bool) -> None:
    rules = Rules(keep_unset=keep, quotes=quotes, keep_quotes=keep, keep_escapes=keep)
    try:
        assert isinstance(expand_word(word, VALUES, rules), str)
        assert all(expand_words(word, VALUES, rules))
    except ExpansionError:
        pass


def parts() -> st.SearchStrategy[tuple[str, str]]:
    """Pieces of a word, each with what it must become."""
    plain = st.text("abc./=-", min_size=1, max_size=4).map(lambda text: (text, text))
    names = st.sampled_from(("A", "B", "C", "UNSET"))
    variable = names.map(lambda name: (f"${{{name}}}", VALUES.get(name, "")))
    single = st.text("ab $\\", max_size=4).map(lambda text: (f"'{text}'", text))
    escaped = st.sampled_from("$'\"\\ ").map(lambda char: (f"\\{char}", char))
    leaf = plain | variable | single | escaped

    def deeper(inner: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
        words = st.lists(inner, max_size=3).map(_joined)
        double = st.lists(plain | variable, max_size=3).map(_joined).map(lambda one: (f'"{one[0]}"', one[1]))
        return double | st.builds(_default, names, st.sampled_from((":-", "-", ":+", "+")), words)

    return st.recursive(leaf, deeper, max_leaves=6)


def _joined(pieces: list[tuple[str, str]]) -> tuple[str, str]:
    return "".join(text for text, _ in pieces), "".join(value for _, value in pieces)


def _default(name: str, operator: str, word: tuple[str, str]) -> tuple[str, str]:
    value = VALUES.get(name)
    is_there = bool(value) if ":" in operator else value is not None
    wanted = (value or "") if is_there else word[1]
    if operator.endswith("+"):
        wanted = word[1] if is_there else ""
    return f"${{{name}{operator}{word[0]}}}", wanted


@bounded(200)
@given(st.lists(parts(), max_size=5).map(_joined))
def test_word_becomes_what_its_pieces_become(word: tuple[str, str]) -> None:
    assert expand_word(word[0], VALUES) == word[1]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is the outside truth here")
def test_patterns_in_braces_mean_what_they_mean_in_bash() -> None:
    chance = random.Random(20_260_101)
    words = []
    for _ in range(600 * TIMES):
        pattern = "".join(chance.choice("abc*?") for _ in range(chance.randint(1, 4)))
        operator = chance.choice(("#", "##", "%", "%%", "/", "//"))
        tail = "/" + chance.choice(("", "x", "yz")) if operator[0] == "/" else ""
        if operator[0] != "/" and pattern[0] == operator[0]:
            continue
        words.append(f"${{{chance.choice('AB')}{operator}{pattern}{tail}}}")
    script = "A=abcab B=abacabb\n" + "\n".join(f"printf '%s\\n' \"{word}\"" for word in words)
    told = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True).stdout
    ours = [expand_word(word, {"A": "abcab", "B": "abacabb"}) for word in words]
    assert dict(zip(words, ours, strict=True)) == dict(zip(words, told.split("\n"), strict=False))
