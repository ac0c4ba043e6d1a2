"""Removes what is in the trash, in processes of their own: a large tree must not hold up the loop.

Invariant: only paths below `trash/` are ever removed, and never across a mount.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pinnace.base import spawn
from pinnace.base.errors import Bug
from pinnace.base.tasks import Tasks
from pinnace.image.layout import Layout

REMOVE_TIMEOUT_S = 3600.0


class Trash:
    """The directory that things are moved to before they are removed."""

    def __init__(self, layout: Layout) -> None:
        self._root = layout.trash
        self._tasks = Tasks("image/trash")

    def remove_later(self, paths: Iterable[Path | None]) -> None:
        """Start removing; what a crash leaves is found at the next start."""
        found = [path for path in paths if path is not None]
        if found:
            self._tasks.spawn(self.remove(found), "remove")

    async def remove(self, paths: list[Path]) -> None:
        """Remove now."""
        for path in paths:
            if path.parent != self._root:
                raise Bug(f"{path} is not in the trash")
        await spawn.run(
            ["rm", "-rf", "--one-file-system", "--", *map(str, paths)], timeout_s=REMOVE_TIMEOUT_S
        )

    def leftovers(self) -> list[Path]:
        return [Path(entry.path) for entry in os.scandir(self._root)]

    async def close(self) -> None:
        """Stop removing; the rest is found at the next start."""
        await self._tasks.close()

    async def settled(self) -> None:
        """Wait until nothing is left to remove."""
        while left := self.leftovers():
            await self.remove(left)
