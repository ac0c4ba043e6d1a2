"""Clears away what builds of a daemon that was killed left: their sandboxes, with what runs in them, and their mounts.

Called when a builder starts, and when an instance is cleared; both after sandboxes were adopted. No build is going on then.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from pinnace.build import secret_files
from pinnace.build.execute import ID_PREFIX
from pinnace.image.store import ImageStore
from pinnace.sandbox.sandboxes import Sandboxes

log = logging.getLogger("pinnace.build")


async def clear_leftovers(images: ImageStore, sandboxes: Sandboxes, work: Path) -> None:
    """End and remove all of it; `work` is where builds have their files. Raises: HostError when something can't be removed."""
    found = [one.id for one in sandboxes.list_sandboxes() if one.id.startswith(ID_PREFIX)]
    for sandbox_id in found:
        log.warning("removing %s, which a build of an earlier daemon left", sandbox_id)
    await asyncio.gather(*(sandboxes.remove_sandbox(sandbox_id) for sandbox_id in found))
    await asyncio.to_thread(secret_files.clear, work)
    stacks = {record.id for record in images.roots.records()} | images.roots.mounted()
    for name in sorted(stacks):
        if name.startswith(ID_PREFIX):
            await images.release(name)
