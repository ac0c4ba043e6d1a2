"""Announces a crowded build context while a COPY begins to read it. A doer; used by `sources`.

Invariant: what is read quickly is not looked over at all, and the build never waits for this nor fails by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator

from pinnace.base.errors import PinnaceError
from pinnace.build.crowd import announce, is_crowded
from pinnace.build.progress import Tell, Warned
from pinnace.build.selection import Selection
from pinnace.build.survey import survey_context
from pinnace.image.workers import Workers

log = logging.getLogger("pinnace.build")

AFTER_S = 0.3  # a context that is read in this time is small
AFTER_KNOWN_S = 3.0  # one that was read before is read anew only where it changed


@contextlib.asynccontextmanager
async def announcing(workers: Workers, selection: Selection, text: str, tell: Tell) -> AsyncIterator[None]:
    """While the body reads a selection for the step `text`, look it over, and tell if it is crowded."""
    if selection.keep_owner:  # files of layers: nobody can leave them out
        yield
        return
    task = asyncio.get_running_loop().create_task(
        _announce(workers, selection, text, tell), name="build/survey"
    )
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _announce(workers: Workers, selection: Selection, text: str, tell: Tell) -> None:
    is_known = bool(selection.known) and os.path.exists(selection.known)
    await asyncio.sleep(AFTER_KNOWN_S if is_known else AFTER_S)
    try:
        facts = await workers.call(survey_context, selection)
    except PinnaceError as error:
        log.warning("looking over %s: %s", selection.root, error)
        return
    if is_crowded(facts.size, facts.files):
        said = announce(
            text,
            facts.size,
            facts.files,
            facts.entries,
            is_whole=facts.is_whole,
            ignore_name=selection.ignore_name,
            has_ignore=bool(selection.ignore),
        )
        tell(Warned(text=said))
