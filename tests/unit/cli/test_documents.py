"""The documents say what the code is: generated pages are current, and what pages name is there."""

import re
import sys
from pathlib import Path

import pytest

from pinnace.controllers import table
from pinnace.scheduler.plugins import NODE_PLUGINS, PODS_PLUGINS

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *(DOCS / "adr").glob("*.md"), *ROOT.glob("*.md")])


def test_generated_pages_are_what_the_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import generate_docs

    assert generate_docs.find_outdated() == [], "run: python tools/generate_docs.py"
    sys.modules.pop("generate_docs")


def test_each_controller_has_its_section() -> None:
    sections = re.findall(r"^## (\w+)$", (DOCS / "controllers.md").read_text(), re.MULTILINE)
    rows = [name for name in vars(table) if name.endswith("Controller") and name != "Controller"]
    assert sorted(sections) == sorted(rows)


def test_each_plugin_has_its_section_in_order() -> None:
    sections = re.findall(r"^## (\w+)$", (DOCS / "scheduler.md").read_text(), re.MULTILINE)
    assert sections == [plugin.name for plugin in (*NODE_PLUGINS, *PODS_PLUGINS)]


def test_decisions_are_numbered_without_gap_or_double() -> None:
    numbers = [int(path.name[:4]) for path in sorted((DOCS / "adr").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
    for path in (DOCS / "adr").glob("*.md"):
        text = path.read_text()
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        assert all(f"**{part}.**" in text for part in ("Decided", "Considered", "What follows")), path.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    inside = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_files_that_contributing_names_are_there() -> None:
    named = re.findall(
        r"`((?:src|tests|tools|docs|benchmarks|\.ci)/[\w./-]*)`", (ROOT / "CONTRIBUTING.md").read_text()
    )
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
