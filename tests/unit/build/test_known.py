"""Digests that are remembered: used while a file is what it was, and never after."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from pinnace.build import known
from pinnace.build.digest import digest_sources
from pinnace.build.selection import Selection
from tests.unit.build.trees import grow


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(known, "REST_NS", -1_000_000_000)  # files of a test are never old
    return grow(tmp_path / "context", {"d/a": "one", "d/b": "two"})


def digest(context: Path, source: str = "d", memory: str = "memory") -> str:
    job = Selection(root=str(context), sources=(source,), known=str(context.parent / memory))
    return digest_sources(job, lambda what, entries, size: None).digest


def tamper(context: Path) -> None:
    """Make all that is remembered wrong, so that it shows whether it is used."""
    path = context.parent / "memory"
    entries = msgspec.msgpack.decode(path.read_bytes(), type=dict[str, known.Known])
    wrong = {name: msgspec.structs.replace(one, digest="0" * 64) for name, one in entries.items()}
    path.write_bytes(msgspec.msgpack.encode(wrong))


def test_files_that_are_what_they_were_are_not_read_again(context: Path) -> None:
    first = digest(context)
    assert digest(context) == first
    tamper(context)
    assert digest(context) != first


def test_every_change_of_a_file_is_seen(context: Path) -> None:
    file = context / "d/a"

    def same_size_and_time() -> None:
        state = file.stat()
        file.write_text("ONE")
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))

    def replaced_by_a_hard_link() -> None:
        (context / "other").write_text("eno")
        os.replace(context / "other", file)

    seen = {digest(context)}
    for change in (same_size_and_time, replaced_by_a_hard_link, lambda: file.write_text("longer")):
        change()
        found = digest(context)
        assert found not in seen
        assert found == digest(context, memory="none")
        seen.add(found)


def test_file_that_has_just_changed_is_not_remembered(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "REST_NS", 1_000_000_000)
    digest(context)
    assert not (context.parent / "memory").exists()


def test_steps_of_one_context_remember_side_by_side(context: Path) -> None:
    whole, one = digest(context), digest(context, "d/a")
    tamper(context)
    assert digest(context) != whole
    assert digest(context, "d/a") != one


def test_damaged_memory_is_no_memory(context: Path) -> None:
    first = digest(context)
    (context.parent / "memory").write_bytes(b"\xc1garbage")
    assert digest(context) == first
    (context.parent / "memory").unlink()
    (context.parent / "memory").mkdir()  # it can't even be written
    assert digest(context) == first


def test_name_that_is_no_text_is_read_each_time(context: Path) -> None:
    with open(os.fsencode(context) + b"/d/\xff", "w"):
        pass
    assert digest(context) == digest(context)
    tamper(context)


def test_too_many_entries_leave_those_that_were_needed(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "ENTRIES_MAX", 2)
    grow(context, {"e/x": "1", "e/y": "2"})
    digest(context)
    digest(context, "e")
    entries = msgspec.msgpack.decode((context.parent / "memory").read_bytes(), type=dict[str, known.Known])
    assert sorted(Path(name).name for name in entries) == ["x", "y"]
