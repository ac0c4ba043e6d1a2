"""SOURCE_DATE_EPOCH: what is read, what is clamped. Source: reproducible-builds.org/specs/source-date-epoch."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.build.epoch import clamp_history, read_epoch
from pinnace.build.keys import compute_key
from pinnace.build.steps import Place, Run
from pinnace.oci.config import History

RUN = Run(place=Place(line=1, text="RUN x", stage="0"), argv=("x",), env=(), cwd="/", user="")


def test_epoch_is_a_number_of_seconds_and_may_be_absent() -> None:
    assert read_epoch({}) is None
    assert read_epoch({"SOURCE_DATE_EPOCH": ""}) is None
    assert read_epoch({"SOURCE_DATE_EPOCH": "0"}) == 0
    assert read_epoch({"SOURCE_DATE_EPOCH": "1700000000"}) == 1700000000


@pytest.mark.parametrize("text", ["-1", "now", "1.5", "9" * 13, "²"])
def test_other_values_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="invalid SOURCE_DATE_EPOCH"):
        read_epoch({"SOURCE_DATE_EPOCH": text})


def test_history_has_nothing_later_and_keeps_what_is_earlier_or_strange() -> None:
    history = [
        History(created="2020-01-01T00:00:00Z", created_by="old"),
        History(created="2030-01-01T00:00:00.5Z", created_by="new"),
        History(created="yesterday", created_by="odd"),
        History(created_by="none"),
    ]
    clamped = clamp_history(history, 1700000000)
    assert [one.created for one in clamped] == [
        "2020-01-01T00:00:00Z",
        "2023-11-14T22:13:20.000000Z",  # date -u -d @1700000000
        "yesterday",
        "",
    ]
    assert clamp_history(history, None) == tuple(history)


def test_layers_with_and_without_an_epoch_are_different_ones() -> None:
    keys = {compute_key(RUN, [], "", epoch) for epoch in (None, 0, 1)}
    assert len(keys) == 3
    assert compute_key(RUN, []) in keys
