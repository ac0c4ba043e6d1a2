"""The in-memory readings of the log."""

import pytest

from pinnace.base.errors import Bug
from pinnace.store.interface import Change, Header, Key, Record, Revision
from pinnace.store.state import LogLimits, State


def record(revision: int, name: str = "a", size: int = 0) -> Record:
    return Record(Header(key=Key("pods", "default", name)), Revision(revision), b"x" * size)


def test_a_revision_never_goes_back() -> None:
    state = State(Revision(5))
    with pytest.raises(Bug):
        state.apply(Change("ADDED", record(5)))


def test_compaction_names_the_revisions_that_nobody_can_ask_for() -> None:
    state = State()
    a1, a2, b3, b4 = record(1), record(2), record(3, "b"), record(4, "b")
    for change in (
        Change("ADDED", a1),
        Change("MODIFIED", a2, a1),
        Change("ADDED", b3),
        Change("DELETED", b4, b3),
    ):
        state.apply(change)
    assert state.compact(Revision(3)) == [1]  # a at 2 lives; b at 3 is what the deletion at 4 tells
    assert state.compact(Revision(4)) == [3, 4]


def test_log_bytes_count_what_only_the_log_keeps_alive() -> None:
    state = State()
    first, second, last = record(1, size=10), record(2, size=20), record(3, size=5)
    state.apply(Change("ADDED", first))
    assert state.log_bytes == 0
    state.apply(Change("MODIFIED", second, first))
    assert state.log_bytes == 10
    state.apply(Change("DELETED", last, second))
    assert state.log_bytes == 10 + 20 + 5
    state.compact(Revision(2))
    assert state.log_bytes == 25


def test_the_log_is_overdue_beyond_either_limit_and_then_goes_a_tenth_below() -> None:
    state = State()
    for revision in range(1, 22):
        state.apply(Change("ADDED", record(revision, str(revision))))
    assert state.overdue(LogLimits(changes=21)) is None
    assert state.overdue(LogLimits(changes=20)) == 3  # leaves 18
    previous = record(30, "1", 100)
    state.apply(Change("MODIFIED", previous, record(1, "1")))
    state.apply(Change("MODIFIED", record(31, "1"), previous))
    assert state.overdue(LogLimits(value_bytes=99)) == 31
