"""A context that is so large that a person should know: what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnace.build import survey
from pinnace.build.crowd import announce, choose_entries, choose_lines, is_crowded
from pinnace.build.selection import Selection
from pinnace.build.survey import Entry, SurveyFacts, survey_context
from pinnace.dockerfile.ignore import parse_ignore
from tests.unit.build.trees import Tree, grow

GB = 10**9


def folder(path: str, size: int, files: int = 1) -> Entry:
    return Entry(path, size, files, True)


@pytest.mark.parametrize(
    ("size", "files", "expected"),
    [(500_000_000, 50_000, False), (500_000_001, 1, True), (1, 50_001, True)],
)
def test_bounds(size: int, files: int, expected: bool) -> None:
    assert is_crowded(size, files) == expected


PROJECT = (
    folder(".git", 2 * GB, 900),
    folder(".git/objects", 2 * GB, 800),
    folder("data", 12 * GB, 3),
    folder("data/raw", 12 * GB, 3),
    folder("web", GB // 2, 60_000),
    folder("web/node_modules", GB // 2, 59_000),
    folder("src", 1_000_000, 100),
    folder("src/app", 900_000, 80),
    folder("src/__pycache__", 10_000, 5),
    Entry("model.safetensors", 5 * GB, 1, False),
)


def test_announcement_names_the_largest_and_gives_the_lines_to_copy() -> None:
    said = announce(
        "COPY . .",
        19 * GB + GB // 2,
        61_004,
        PROJECT,
        is_whole=True,
        ignore_name=".dockerignore",
        has_ignore=False,
    )
    assert said.splitlines() == [
        "COPY . . takes 19.5 GB in 61,004 files of the build context; most of it:",
        "    500 MB  web/node_modules/ (59,000 files)",
        "     12 GB  data/raw/ (3 files)",
        "      5 GB  model.safetensors",
        "      2 GB  .git/ (900 files)",
        "lines for .dockerignore (there is none yet):",
        "  **/node_modules",
        "  .git",
        "  **/__pycache__",
        "  # unless the image needs it:",
        "  data",
        "  *.safetensors",
    ]


def test_what_was_not_seen_whole_is_told_as_that() -> None:
    said = announce("COPY . .", GB, 9, (), is_whole=False, ignore_name="x", has_ignore=True)
    assert said == "COPY . . takes more than 1 GB in 9 files of the build context; most of it:"


def test_small_file_beside_few_others_is_not_named() -> None:
    entries = (folder("data", GB), Entry("data/raw.bin", GB, 1, False), Entry("src/a.py", 2, 1, False))
    assert [one.path for one in choose_entries(entries, GB + 2, 2)] == ["data/raw.bin"]


def test_part_that_makes_almost_all_of_a_folder_is_named_instead() -> None:
    entries = (folder("a", 100), folder("a/b", 99), folder("a/b/c", 50), folder("a/b/d", 49))
    assert [one.path for one in choose_entries(entries, 100, 4)] == ["a/b"]


def test_lines_hide_what_was_shown() -> None:
    shown = choose_entries(PROJECT, 19 * GB, 61_004)
    never, often = choose_lines(shown, PROJECT)
    rules = parse_ignore("\n".join((*never, *often)))
    assert all(rules.hidden_by(f"{one.path}/x" if one.is_folder else one.path) for one in shown)


def look(root: Path, ignore: str = "", sources: tuple[str, ...] = (".",)) -> SurveyFacts:
    return survey_context(
        Selection(root=str(root), sources=sources, ignore=ignore), lambda what, entries, size: None
    )


TREE: Tree = {"a": "12345", "data/x/1": "123", "data/x/2": "1", "data/y/z/w/deep": "12", ".git/o": "1234567"}


def test_survey_counts_what_the_copy_would_take(tmp_path: Path) -> None:
    facts = look(grow(tmp_path, TREE), ".git\n")
    assert (facts.size, facts.files, facts.is_whole) == (11, 4, True)
    assert set(facts.entries) == {
        Entry("a", 5, 1, False),
        Entry("data", 6, 3, True),
        Entry("data/x", 4, 2, True),
        Entry("data/y", 2, 1, True),
        Entry("data/x/1", 3, 1, False),
        Entry("data/x/2", 1, 1, False),
        Entry("data/y/z", 2, 1, True),
    }


def test_survey_of_named_sources_and_of_nothing(tmp_path: Path) -> None:
    root = grow(tmp_path, TREE)
    assert look(root, sources=("a", "data/x")).size == 9
    assert look(root, sources=("ghost",)) == SurveyFacts(size=0, files=0, entries=(), is_whole=False)


def test_survey_ends_in_time_with_what_it_has_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "TIME_MAX_S", -1.0)
    for number in range(1500):
        (tmp_path / str(number)).touch()
    facts = look(tmp_path)
    assert (facts.files, facts.is_whole) == (1000, False)
