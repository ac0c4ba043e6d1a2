"""Keeps an instance's table of kinds in step with the CustomResourceDefinitions in its store.

Owned by the facade, which calls `follow` at the start and `settle` after each write of a definition, before the write is
answered: who has created a definition finds its kind served. Writes nothing but definitions' statuses.
Invariant: the table holds exactly the kinds of the established definitions; a definition that hasn't changed keeps its
very rows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from pinnace.api.custom.building import build_family
from pinnace.api.custom.conditions import decide_status, is_established
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.custom import Family
from pinnace.kube.kind_table import KindTable, version_order
from pinnace.kube.objects.apiextensions_v1 import CustomResourceDefinition

log = logging.getLogger("pinnace.api")

ListDefinitions = Callable[[], tuple[CustomResourceDefinition, ...]]
ChangeStatus = Callable[[str, Callable[[CustomResourceDefinition], CustomResourceDefinition]], Awaitable[Any]]
Forget = Callable[[str], None]

SETTLE_ROUNDS = 8  # names that go free let another definition in, which may free others


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a family was built of."""

    said: tuple[Any, ...]
    family: Family


class Definitions:
    """Follows the definitions. `forget` drops what is remembered of a resource's objects."""

    def __init__(
        self,
        kinds: KindTable,
        listed: ListDefinitions,
        change: ChangeStatus,
        forget: Forget,
        now: Callable[[], float],
    ) -> None:
        self._kinds = kinds
        self._list = listed
        self._change = change
        self._forget = forget
        self._now = now
        self._entries: dict[str, _Entry] = {}
        self._settling = asyncio.Lock()

    def follow(self) -> None:
        """Bring the table in step with the store."""
        entries: dict[str, _Entry] = {}
        for crd in filter(is_established, self._list()):
            said = (
                crd.metadata.uid,
                crd.spec,
                crd.status.accepted_names,
                bool(crd.metadata.deletion_timestamp),
            )
            name = crd.metadata.name
            known = self._entries.get(name)
            if known is not None and known.said == said:
                entries[name] = known
            elif (family := _build(crd)) is not None:
                entries[name] = _Entry(said, family)
        before, self._entries = self._entries, entries
        changed = [name for name in {**before, **entries} if before.get(name) is not entries.get(name)]
        if not changed:
            return
        for name in changed:
            for entry in (before.get(name), entries.get(name)):
                if entry is not None:
                    self._forget(entry.family.stored.resource)
        families = [entry.family for entry in entries.values()]
        served = [
            family.rows[version]
            for family in families
            for version in sorted(family.served, key=version_order)
        ]
        self._kinds.set_custom(served, [family.stored for family in families])

    async def settle(self) -> None:
        """Give every definition the status that it should have, and follow. One at a time: names are given out here."""
        async with self._settling:
            for _ in range(SETTLE_ROUNDS):
                if not await self._settle_once():
                    break
            self.follow()

    async def _settle_once(self) -> bool:
        """Say whether a status changed. Those that hold their names already come first."""
        moved = False
        for crd in sorted(
            self._list(), key=lambda one: (not is_established(one), one.metadata.creation_timestamp)
        ):
            status = decide_status(crd, self._others(crd), self._now())
            if status == crd.status:
                continue
            moved = True
            try:
                await self._change(crd.metadata.name, self._judge)
            except ApiError as error:
                if error.reason is not Reason.NOT_FOUND:
                    raise
        return moved

    def _judge(self, crd: CustomResourceDefinition) -> CustomResourceDefinition:
        return replace(crd, status=decide_status(crd, self._others(crd), self._now()))

    def _others(self, crd: CustomResourceDefinition) -> list[CustomResourceDefinition]:
        return [other for other in self._list() if other.metadata.uid != crd.metadata.uid]


def _build(crd: CustomResourceDefinition) -> Family | None:
    """Return the rows of a definition; None for one that can't be put in force, which must not keep others from it."""
    try:
        return build_family(crd)
    except Exception:  # stored by another version, or by hand
        log.exception("the definition %s can't be put in force", crd.metadata.name)
        return None
