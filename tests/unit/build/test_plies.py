"""Layers that are away come once, in runs of one place, and only when they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from pinnace.base.errors import ApiError, Reason
from pinnace.build.plies import Ply, Shelf, ply_of
from pinnace.image.layers import Layer
from pinnace.image.leases import Lease
from pinnace.image.store import ImageStore
from pinnace.oci.digest import Digest

A, B, C, D = (Digest("sha256:" + letter * 64) for letter in "abcd")


def layer(diff_id: Digest) -> Layer:
    return Layer(diff_id=diff_id, key=diff_id, size=5, tar_size=9, entries=1)


class Layers:
    """What is in the store."""

    def __init__(self, *there: Digest) -> None:
        self.there = {one: layer(one) for one in there}

    def find(self, diff_id: Digest, chain_id: Digest | None = None) -> Layer | None:
        return self.there.get(diff_id)

    def stack(self, diff_ids: Sequence[Digest]) -> tuple[Layer, ...]:
        for one in diff_ids:
            if one not in self.there:
                raise ApiError(Reason.NOT_FOUND, f"{one} is gone")
        return tuple(self.there[one] for one in diff_ids)


class Store:
    def __init__(self, *there: Digest) -> None:
        self.layers = Layers(*there)


class Held:
    """A lease."""

    def __init__(self) -> None:
        self.digests: set[Digest] = set()

    def hold(self, *digests: Digest) -> None:
        self.digests.update(digests)


class Away:
    """A place that has layers; it notes what it was asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.asked: list[tuple[str, int]] = []

    async def bring(self, diff_ids: Sequence[Digest], start: int) -> None:
        self.asked.append(("".join(one[7] for one in diff_ids), start))
        await asyncio.sleep(0)
        assert all(one in self.store.layers.there for one in diff_ids[:start])
        self.store.layers.there |= {one: layer(one) for one in diff_ids[start:]}


def shelf_of(store: Store) -> tuple[Shelf, Held]:
    held = Held()
    return Shelf(cast(ImageStore, cast(Any, store)), cast(Lease, cast(Any, held))), held


async def test_runs_of_one_place_come_together_in_order() -> None:
    store = Store(B)
    one, two = Away(store), Away(store)
    shelf, held = shelf_of(store)
    plies = [Ply(A, source=one), ply_of(layer(B)), Ply(C, source=two), Ply(D, source=two)]
    found = await shelf.bring(plies)
    assert [layer.diff_id for layer in found] == [A, B, C, D]
    assert (one.asked, two.asked) == ([("a", 0)], [("abcd", 2)])
    assert held.digests == {A, B, C, D}


async def test_two_who_need_the_same_fetch_it_once() -> None:
    store = Store()
    away = Away(store)
    shelf, _ = shelf_of(store)
    await asyncio.gather(*(shelf.bring([Ply(A, source=away)]) for _ in range(3)))
    assert away.asked == [("a", 0)]


async def test_nothing_is_fetched_for_what_is_only_looked_at() -> None:
    store = Store(A)
    away = Away(store)
    shelf, held = shelf_of(store)
    plies = [Ply(A, 100, source=away), Ply(B, 7, source=away)]
    assert [one.diff_id for one in shelf.present(plies)] == [A]
    assert shelf.sizes(plies) == 5 + 7
    assert (away.asked, held.digests) == ([], {A})


async def test_layer_that_is_gone_and_has_no_source_is_told() -> None:
    shelf, _ = shelf_of(Store(A))
    with pytest.raises(ApiError, match="gone"):
        await shelf.bring([Ply(A), Ply(B)])
