"""Which files the sources of a COPY mean. Expected values: `docker build` (20.10) on the same trees, where nothing else is said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build.places import make_folders, resolve_inside
from pinnace.build.selection import Findings, Selection, find_sources
from pinnace.build.walk import walk
from pinnace.dockerfile.ignore import parse_excludes, parse_ignore
from tests.unit.build.trees import grow

CONTEXT = {
    "a.txt": "1",
    "b.txt": "2",
    "dir/a.txt": "3",
    "dir/sub/c.md": "4",
    "dir/sub/deep/d.txt": "5",
    "empty": None,
    "[x]": "6",
    "link": "-> dir/a.txt",
    "folder-link": "-> dir",
    "absolute": "-> /a.txt",
    "out": "-> ../../../../etc/passwd",
    "loop": "-> loop",
    "package.json": "{}",
}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return grow(tmp_path / "context", CONTEXT)


def find(context: Path, *sources: str, ignore: str = "", exclude: tuple[str, ...] = ()) -> Findings:
    return find_sources(Selection(root=str(context), sources=sources, ignore=ignore, exclude=exclude))


def paths(context: Path, *sources: str, ignore: str = "", exclude: tuple[str, ...] = ()) -> list[str]:
    return [one.path for one in find(context, *sources, ignore=ignore, exclude=exclude).found]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (".", [""]),
        ("/", [""]),
        ("./a.txt", ["a.txt"]),
        ("dir/", ["dir"]),
        ("*.txt", ["a.txt", "b.txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("[^a].txt", ["b.txt"]),
        ("*/*.txt", ["dir/a.txt"] * 2),  # dir, and folder-link
        ("dir/*", ["dir/a.txt", "dir/sub"]),
        ("\\[x]", ["[x]"]),
        ("../a.txt", ["a.txt"]),
        ("dir/../a.txt", ["a.txt"]),
        ("../../../../etc/../a.txt", ["a.txt"]),
        ("link", ["dir/a.txt"]),
        ("folder-link/sub", ["dir/sub"]),
        ("absolute", ["a.txt"]),
    ],
)
def test_source_means_these_files(context: Path, source: str, expected: list[str]) -> None:
    assert paths(context, source) == expected


def test_copy_of_a_link_keeps_the_links_name(context: Path) -> None:
    (found,) = find(context, "link").found
    assert (found.name, found.path, found.is_folder) == ("link", "dir/a.txt", False)


def test_pattern_may_match_nothing_and_is_told(context: Path) -> None:
    # "COPY package.json package-lock.json* ./" must go. Source: BuildKit, AllowEmptyWildcard
    findings = find(context, "package.json", "package-lock.json*")
    assert [one.path for one in findings.found] == ["package.json"]
    assert findings.unmatched == ("package-lock.json*",)


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("a.tx", "'a.tx' is not in the build context", "did you mean a.txt?"),
        (
            "zzz",
            "'zzz' is not in the build context",
            "sources are looked up in the build context, not beside the Dockerfile; it has [x], a.txt, absolute, b.txt, dir,"
            " empty, folder-link, link and 3 more",
        ),
        ("dir/sub/e.md", "'dir/sub/e.md' is not in the build context", "did you mean dir/sub/c.md?"),
        (
            "out",
            "'out' is a link to '../../../../etc/passwd', which is not in the build context",
            "links are followed inside of it only: copy the file itself there",
        ),
    ],
)
def test_source_that_is_not_there_is_told_with_what_is_near(
    context: Path, source: str, message: str, hint: str
) -> None:
    with pytest.raises(UserError) as caught:
        find(context, source)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_loop_of_links_and_bad_pattern_are_refused(context: Path) -> None:
    for source in ("loop", "[a"):
        with pytest.raises(UserError):
            find(context, source)


def test_hidden_source_is_told_with_the_line_that_hides_it(context: Path) -> None:
    with pytest.raises(UserError) as caught:
        find(context, "dir/sub", ignore="# c\n*.md\ndir/s*\n")
    assert caught.value.message == "'dir/sub' is in the build context, but .dockerignore hides it"
    assert caught.value.hint == "line 3 of .dockerignore is 'dir/s*'; add a line !dir/sub"


def test_link_to_a_hidden_file_is_hidden(context: Path) -> None:
    with pytest.raises(UserError) as caught:
        find(context, "link", ignore="dir/a.txt\n")
    assert "hides it" in caught.value.message


def test_hidden_files_do_not_match_a_pattern(context: Path) -> None:
    assert paths(context, "dir/*", ignore="dir/sub\n") == ["dir/a.txt"]
    assert paths(context, "*.txt", exclude=("b*",)) == ["a.txt"]


def test_hidden_folder_with_something_brought_back_is_found(context: Path) -> None:
    assert paths(context, "dir/sub", ignore="dir/sub\n!dir/sub/deep/d.txt\n") == ["dir/sub"]


# --- walking -------------------------------------------------------------------------------------------------------------


def names(root: Path, ignore: str = "", *exclude: str, start: str = "") -> list[str]:
    rules = parse_ignore(ignore)
    return [item.name for item in walk(str(root / start), start, rules, parse_excludes(exclude))]


def test_walk_is_sorted_and_goes_into_folders_before_the_next_name(context: Path) -> None:
    assert names(context, "", start="dir") == ["a.txt", "sub", "sub/c.md", "sub/deep", "sub/deep/d.txt"]


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        ("*\n!dir/sub/deep\n", ["dir", "dir/sub", "dir/sub/deep", "dir/sub/deep/d.txt"]),
        ("**\n!dir/a.txt\n", ["dir", "dir/a.txt"]),
        ("*\n!dir\ndir/sub\n", ["dir", "dir/a.txt"]),
        ("*\n!**/d.txt\n", ["dir", "dir/sub", "dir/sub/deep", "dir/sub/deep/d.txt"]),
        ("*\n!nothing\n", []),
        ("*\n!empty\n", ["empty"]),
    ],
)
def test_what_is_brought_back_comes_with_its_folders_only(
    context: Path, ignore: str, expected: list[str]
) -> None:
    assert names(context, ignore) == expected


def test_excludes_look_at_names_below_the_source(context: Path) -> None:
    assert names(context, "", "sub", start="dir") == ["a.txt"]
    assert names(context, "", "**/*.txt", start="dir") == ["sub", "sub/c.md", "sub/deep"]
    assert names(context, "", "sub", "!sub/deep", start="dir") == [
        "a.txt",
        "sub",
        "sub/deep",
        "sub/deep/d.txt",
    ]
    assert names(context, "dir/a.txt", "sub/*", "!sub/c.md", start="dir") == ["sub", "sub/c.md"]


def test_very_deep_tree_is_walked(tmp_path: Path) -> None:
    path = tmp_path
    for _ in range(1200):
        path = path / "d"
        if len(str(path)) > 3900:
            break
        path.mkdir()
    try:
        assert len(names(tmp_path)) > 1000
    finally:
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # too deep for pytest's own clearing


# --- places --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/x/y", "/x/y"),
        ("x/../../../y", "/y"),
        ("/abs/z", "/usr/lib/z"),
        ("/rel/z", "/usr/z"),
        ("/up/z", "/z"),
        ("/chain", "/usr/lib"),
        ("/", ""),
    ],
)
def test_links_are_followed_as_if_the_root_were_the_top(tmp_path: Path, path: str, expected: str) -> None:
    root = grow(
        tmp_path / "root",
        {
            "usr/lib/f": "",
            "abs": "-> /usr/lib",
            "rel": "-> usr",
            "up": "-> ../../../../..",
            "chain": "-> abs",
        },
    )
    assert resolve_inside(str(root), path) == str(root) + expected


def test_last_link_can_be_left_alone(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {"l": "-> /etc"})
    assert resolve_inside(str(root), "/l", follow_last=False) == f"{root}/l"


def test_file_in_the_way_of_a_folder_is_told(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {"f": "x"})
    for path in ("/f", "/f/g"):
        with pytest.raises(UserError, match="cannot copy to non-directory: /f is a file"):
            make_folders(str(root), path, -1, -1)


def test_folder_behind_a_link_to_nothing_is_made_where_it_leads(tmp_path: Path) -> None:
    root = grow(tmp_path / "root", {"data": "-> /mnt/far/data"})
    assert make_folders(str(root), "/data/x", -1, -1)
    assert (root / "mnt/far/data/x").is_dir()
