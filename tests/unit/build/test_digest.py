"""What changes the digest of a COPY's files, and what doesn't."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pinnace.build.digest import SelectionFacts, digest_sources
from pinnace.build.selection import Selection
from tests.unit.build.trees import grow

CONTEXT = {"dir/a": "one", "dir/sub/b": "two", "dir/l": "-> a", "f": "three", "g": "three"}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return grow(tmp_path / "context", CONTEXT)


def facts(root: Path, *sources: str, ignore: str = "", keep_owner: bool = False) -> SelectionFacts:
    job = Selection(root=str(root), sources=sources, ignore=ignore, keep_owner=keep_owner)
    return digest_sources(job, lambda what, entries, size: None)


def digest(root: Path, *sources: str, ignore: str = "", keep_owner: bool = False) -> str:
    return facts(root, *sources, ignore=ignore, keep_owner=keep_owner).digest


def test_entries_and_bytes_are_counted(context: Path) -> None:
    counted = facts(context, "dir", "f")
    assert (counted.entries, counted.size) == (6, 3 + 3 + 5)  # dir, a, l, sub, sub/b, f


def test_times_do_not_matter(context: Path) -> None:
    before = digest(context, "dir", "f")
    for path in (context / "dir/a", context / "dir", context / "f"):
        os.utime(path, (1, 1))
    assert digest(context, "dir", "f") == before


def test_same_tree_elsewhere_has_the_same_digest(context: Path, tmp_path: Path) -> None:
    assert digest(grow(tmp_path / "other", CONTEXT), "dir") == digest(context, "dir")


def test_every_other_change_matters(context: Path) -> None:
    seen = {digest(context, "dir")}

    def changed() -> None:
        found = digest(context, "dir")
        assert found not in seen
        seen.add(found)

    (context / "dir/a").write_text("ONE")
    changed()
    (context / "dir/a").chmod(0o755)
    changed()
    (context / "dir/sub").chmod(0o700)
    changed()
    (context / "dir/a").rename(context / "dir/z")
    changed()
    (context / "dir/l").unlink()
    (context / "dir/l").symlink_to("z")
    changed()
    (context / "dir/new").mkdir()
    changed()
    (context / "dir/sub/b").rename(context / "dir/new/b")
    changed()


def test_name_of_a_file_matters_and_name_of_a_folder_does_not(context: Path) -> None:
    assert digest(context, "f") != digest(context, "g")
    (context / "dir").rename(context / "renamed")
    before = digest(context, "renamed")
    (context / "renamed").rename(context / "dir")
    assert digest(context, "dir") == before


def test_order_and_grouping_of_sources_matter(context: Path) -> None:
    found = {digest(context, *sources) for sources in (("f", "g"), ("g", "f"), ("f",), ("dir", "f"), (".",))}
    assert len(found) == 5


def test_hidden_files_do_not_matter(context: Path) -> None:
    before = digest(context, ".", ignore="*.log\n")
    (context / "x.log").write_text("x")
    assert digest(context, ".", ignore="*.log\n") == before


def test_owner_matters_only_where_it_is_kept(context: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to change owners")
    before, kept = digest(context, "f"), digest(context, "f", keep_owner=True)
    os.chown(context / "f", 7, 8)
    assert digest(context, "f") == before
    assert digest(context, "f", keep_owner=True) != kept


def test_name_that_is_no_text_is_digested(tmp_path: Path) -> None:
    root = grow(tmp_path / "c", {"d": None})
    with open(os.fsencode(root) + b"/d/\xff\xfe", "w"):
        pass
    assert len(digest(root, "d")) == 64
