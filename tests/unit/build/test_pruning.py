"""What of the cache goes: by age, by size, never what is used."""

from __future__ import annotations

from typing import Any

import pytest

from pinnace.build.pruning import Bounds, CacheRecord, compute_limit, plan_prune, weigh

NOW = 1000.0


def record(name: str, *, used: float, size: int = 10, **fields: Any) -> CacheRecord:
    values: dict[str, Any] = {"type": "regular", "text": "RUN x", "created": 0.0, "group": name, **fields}
    return CacheRecord(id=name, used=used, size=size, **values)


def pruned(records: list[CacheRecord], **bounds: Any) -> list[str]:
    return [one.id for one in plan_prune(records, Bounds(**bounds), NOW)]


def test_everything_goes_that_is_neither_used_nor_an_images_too() -> None:
    records = [
        record("b", used=2),
        record("a", used=1),
        record("s", used=0, shared=True),
        record("u", used=0, in_use=True),
    ]
    assert pruned(records) == ["a", "b"]
    assert pruned(records, every=True) == ["s", "a", "b"]


def test_age_is_counted_from_the_last_use() -> None:
    records = [record("old", used=NOW - 60), record("edge", used=NOW - 50), record("new", used=NOW - 49)]
    assert pruned(records, older_than_s=50) == ["old", "edge"]


def test_oldest_go_until_the_rest_fits() -> None:
    records = [record("c", used=3, size=30), record("a", used=1, size=10), record("b", used=2, size=20)]
    assert pruned(records, max_bytes=60) == []
    assert pruned(records, max_bytes=59) == ["a"]
    assert pruned(records, max_bytes=30) == ["a", "b"]
    assert pruned(records, max_bytes=0) == ["a", "b", "c"]


def test_layer_of_two_steps_weighs_once_and_is_free_when_the_second_is_gone() -> None:
    records = [record("a", used=1, group="x"), record("b", used=2, group="x"), record("c", used=3)]
    assert weigh(records) == 20
    assert pruned(records, max_bytes=15) == ["a", "b"]
    assert weigh([record("s", used=1, shared=True)]) == 0


def test_ids_and_types_narrow_it_down() -> None:
    records = [record("abc", used=1), record("abd", used=1, type="exec.cachemount")]
    assert pruned(records, ids=("abc",)) == ["abc"]
    assert pruned(records, types=("exec.cachemount",)) == ["abd"]


def test_size_and_age_together_take_only_what_is_old() -> None:
    records = [record("a", used=1), record("b", used=NOW)]
    assert pruned(records, max_bytes=0, older_than_s=10) == ["a"]


@pytest.mark.parametrize(
    ("used", "free", "limit"),
    [
        (30, 15, 25),  # 5 short of 20 free
        (30, 20, 30),
        (30, 50, 60),  # there is room, up to what is the most
        (70, 20, 60),
        (12, 5, 10),  # 15 short, but a tenth stays
        (3, 0, 10),
    ],
)
def test_size_follows_from_the_disk_when_nobody_set_it(used: int, free: int, limit: int) -> None:
    assert compute_limit(used, 100, free) == limit
