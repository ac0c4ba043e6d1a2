"""`.dockerignore`. Source of the tables: moby/patternmatcher, patternmatcher_test.go, and Go's path/filepath tests."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.dockerfile.ignore import parse_ignore
from pinnace.dockerfile.patterns import PatternError, match_name

# pattern, path, is it hidden (itself, or by a folder above it)
TABLE = [
    ("**", "file", True),
    ("**/", "file", True),
    ("**", "dir/file", True),
    ("**/**", "dir/file", True),
    ("dir/**", "dir/file", True),
    ("dir/**", "dir/dir2/file", True),
    ("**/dir", "dir", True),
    ("**/dir", "dir/file", True),
    ("**/dir2/*", "dir/dir2/file", True),
    ("**/dir2/**", "dir/dir2/dir3/file", True),
    ("**file", "file", True),
    ("**file", "dir/file", True),
    ("**file", "myfile", True),
    ("**/file", "dir/dir/file", True),
    ("**/file", "myfile", False),
    ("**/file*", "dir/dir/file.txt", True),
    ("**/file*.txt*", "dir/dir/file.txt", True),
    ("**/**/*.txt", "dir/dir/file.txt", True),
    ("**/**/*.txt2", "dir/dir/file.txt", False),
    ("**/*.txt", "file.txt", True),
    ("a**/*.txt", "a/file.txt", True),
    ("a**/*.txt", "a/dir/dir/file.txt", True),
    ("a/*.txt", "a/dir/file.txt", False),
    ("a/*.txt**", "a/file.txt", True),
    ("a[b-d]e", "ae", False),
    ("a[b-d]e", "ace", True),
    ("a[b-d]e", "aae", False),
    ("a[^b-d]e", "aze", True),
    (".*", ".foo", True),
    (".*", "foo", False),
    ("abc.def", "abcdef", False),
    ("abc.def", "abcZdef", False),
    ("abc?def", "abcZdef", True),
    ("**/foo/bar", "dir/dir2/foo/bar", True),
    ("abc/**", "abc", False),
    ("abc/**", "abc/def/ghi", True),
    ("**/.foo", ".foo", True),
    ("**/.foo", "bar.foo", False),
    ("a(b)c/def", "a(b)c/def", True),
    ("a(b)c/def", "a(b)c/xyz", False),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
    ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", True),
    ("a\\\\", "a\\", True),
    ("a\\*b", "a*b", True),
    ("a\\*b", "ab", False),
    # of whole lines. Source: Dockerfile reference, ".dockerignore file"
    ("docs/", "docs/x", True),
    ("/docs", "docs/x", True),
    ("./docs", "docs", True),
    ("x/../docs", "docs", True),
    ("temp?", "tempa", True),
    ("*/temp*", "a/temporary.txt", True),
    ("*/temp*", "a/b/temp", False),
    ("  docs  ", "docs", True),
    ("# docs", "# docs", False),
    (".", "docs", False),
]

# Source: Go, path/filepath/match_test.go. None is a pattern that can't be read.
NAMES = [
    ("abc", "abc", True),
    ("*", "abc", True),
    ("*c", "abc", True),
    ("a*", "a", True),
    ("a*b?c*x", "abxbbxdbxebxczzx", True),
    ("a*b?c*x", "abxbbxdbxebxczzy", False),
    ("ab[c]", "abc", True),
    ("ab[b-d]", "abc", True),
    ("ab[^e-g]", "abc", True),
    ("a?b", "a☺b", True),
    ("a???b", "a☺b", False),
    ("[a-ζ]*", "α", True),
    ("*[a-ζ]", "A", False),
    ("[\\]a]", "]", True),
    ("[\\-]", "-", True),
    ("[x\\-]", "-", True),
    ("[\\-x]", "a", False),
    ("[]a]", "]", None),
    ("[-]", "-", None),
    ("[x-]", "x", None),
    ("[-x]", "x", None),
    ("\\", "a", None),
    ("[a-b-c]", "a", None),
    ("[", "a", None),
    ("[^", "a", None),
    ("[^bc", "a", None),
    ("a[", "ab", None),
    ("**", "a", True),
]


@pytest.mark.parametrize(("pattern", "path", "hidden"), TABLE)
def test_pattern_hides_what_patternmatcher_hides(pattern: str, path: str, hidden: bool) -> None:
    assert (parse_ignore(pattern).hidden_by(path) is not None) == hidden


@pytest.mark.parametrize(("pattern", "name", "expected"), NAMES)
def test_copy_pattern_matches_as_go_does(pattern: str, name: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(PatternError):
            match_name(pattern, name)
    else:
        assert match_name(pattern, name) == expected


@pytest.mark.parametrize(
    ("lines", "path", "hidden"),
    [
        (["**", "!util/docker/web"], "util/docker/web/foo", False),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", True),
        (["**", "!dist/*.whl"], "dist/a.whl", False),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs/", "!docs/README.md"], "docs/README.md", False),
        (["docs/*", "!docs/README.md"], "docs/README.md", False),
        (["!fileutils.go", "*.go"], "fileutils.go", True),
        (["*.go", "!fileutils.go"], "fileutils.go", False),
        (["*.md", "!README*.md", "README-secret.md"], "README-secret.md", True),
        (["*.md", "README-secret.md", "!README*.md"], "README-secret.md", False),
        (["a", "  ! a/b "], "a/b", False),
    ],
)
def test_last_line_that_matches_decides(lines: list[str], path: str, hidden: bool) -> None:
    assert (parse_ignore("\n".join(lines)).hidden_by(path) is not None) == hidden


def test_rule_that_hides_knows_its_line() -> None:
    rule = parse_ignore("\ufeff# comment\n\n*.log\r\n").hidden_by("a.log")
    assert rule is not None
    assert (rule.line, rule.text) == (3, "*.log")


def test_hidden_folder_is_entered_only_where_something_may_come_back() -> None:
    rules = parse_ignore("*\n!src/app\n!**/keep")
    without_globs = parse_ignore("*\n!src/app")
    for folder, expected in (("src", True), ("src/app", False), ("node_modules", False), ("src/lib", False)):
        hits = without_globs.hits_of(folder)
        assert without_globs.may_show_below(folder, hits) == expected, folder
    assert rules.may_show_below("node_modules", rules.hits_of("node_modules"))


@pytest.mark.parametrize("text", ["ok\n!\n", "ok\n[\n", "ok\na[b-\n"])
def test_pattern_that_cannot_be_read_is_told_on_its_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_ignore(text)
    assert caught.value.where.startswith(".dockerignore:2: ")
    assert caught.value.hint
