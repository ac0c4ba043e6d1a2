"""Where a COPY or ADD reads from: folders, the files of layers, what was fetched; each as one part of what it takes.

Made by `origins` for a step. A part gives the digest of what is taken, for the step's cache key, and then
the selection that the copy reads; a step that is cached never asks for the second. A doer: reading is done in workers.
Invariant: parts come in the order in which the Dockerfile names them: later ones replace files of earlier ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from pinnace.build.announcing import announcing
from pinnace.build.digest import SelectionFacts, digest_sources
from pinnace.build.keys import compute_selection_key
from pinnace.build.progress import Listed, StepNews, Tell, Warned
from pinnace.build.selection import Selection
from pinnace.build.steps import Copy
from pinnace.image.workers import Workers


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that files are copied from. `what` names it in errors; `known` is where digests of its files are kept.

    `ignore` is the text of its ignore file. `is_fixed`: nobody changes it while the build goes on.
    For errors: `shown` is its path if that means something to a person, `beside` the Dockerfile's folder.
    """

    path: Path
    what: str
    ignore: str = ""
    ignore_name: str = ".dockerignore"
    known: str = ""
    is_fixed: bool = False
    shown: str = ""
    beside: str = ""


class Part(Protocol):
    """One of the places that a step reads from."""

    @property
    def is_fixed(self) -> bool:
        """Say that what is copied is what was digested."""

    async def digest(self, news: StepNews) -> str:
        """Return the digest of what is taken. Raises: UserError, HostError."""

    async def selection(self) -> Selection:
        """Return what to take from where. Raises: UserError, HostError."""


class DigestMemory(Protocol):
    """What is known of the digests of files taken from layers."""

    def find_digest(self, key: str) -> str | None: ...

    def remember_digest(self, key: str, digest: str) -> None: ...


class CopySource:
    """All that one step takes."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = tuple(parts)

    @property
    def is_fixed(self) -> bool:
        """Say that what is copied is what was digested."""
        return all(part.is_fixed for part in self._parts)

    async def digest(self, news: StepNews) -> str:
        """Return the digest of everything that is taken. Raises: UserError, HostError."""
        found = [await part.digest(news) for part in self._parts]
        return found[0] if len(found) == 1 else hashlib.sha256("\0".join(found).encode()).hexdigest()

    async def selections(self) -> tuple[Selection, ...]:
        """Return what to take from where, in order; what has to be mounted stays so until the step is done."""
        return tuple([await part.selection() for part in self._parts])


class Reader:
    """Digests selections in worker processes, and tells of it."""

    def __init__(self, workers: Workers, tell: Tell) -> None:
        self._workers = workers
        self._tell = tell

    async def digest(self, selection: Selection, step: Copy, news: StepNews) -> SelectionFacts:
        """Return what a selection holds. Raises: UserError, HostError."""
        async with announcing(self._workers, selection, step.place.text, self._tell):
            facts = await self._workers.call(
                digest_sources,
                selection,
                lambda progress: self._tell(replace(news, state="reading", bytes=progress.size)),
            )
        self._tell(Listed(id=news.id, listing=facts.listing))
        for pattern in facts.unmatched:
            self._tell(Warned(text=f"{step.place.text}: nothing in {selection.what} matches {pattern}"))
        return facts


class FolderPart:
    """Files of a folder: of the build context, or of a named one."""

    def __init__(self, reader: Reader, step: Copy, sources: Sequence[str], folder: Folder) -> None:
        self._reader = reader
        self._step = step
        self._folder = folder
        self._selection = Selection(
            root=str(folder.path),
            sources=tuple(sources),
            exclude=step.exclude,
            ignore=folder.ignore,
            ignore_name=folder.ignore_name,
            what=folder.what,
            known=folder.known,
            shown=folder.shown,
            beside=folder.beside,
            parents=step.parents,
            unpack=step.unpack,
            is_fixed=folder.is_fixed,
        )

    @property
    def is_fixed(self) -> bool:
        return self._folder.is_fixed

    async def digest(self, news: StepNews) -> str:
        return (await self._reader.digest(self._selection, self._step, news)).digest

    async def selection(self) -> Selection:
        return self._selection


class LayersPart:
    """Files of a stage or an image: mounted only when something has to be read, and never changing."""

    def __init__(
        self,
        reader: Reader,
        cache: DigestMemory,
        step: Copy,
        sources: Sequence[str],
        what: str,
        layer_keys: Sequence[str],
        mount: Callable[[AsyncExitStack], Awaitable[Path]],
        stack: AsyncExitStack,
    ) -> None:
        self._reader = reader
        self._cache = cache
        self._step = step
        self._sources = tuple(sources)
        self._what = what
        self._layer_keys = tuple(layer_keys)
        self._mount = mount
        self._stack = stack
        self._selection: Selection | None = None

    @property
    def is_fixed(self) -> bool:
        return True

    async def digest(self, news: StepNews) -> str:
        key = compute_selection_key(self._layer_keys, self._step)
        known = self._cache.find_digest(key)
        if known is None:
            known = (await self._reader.digest(await self.selection(), self._step, news)).digest
            self._cache.remember_digest(key, known)
        return known

    async def selection(self) -> Selection:
        if self._selection is None:
            self._selection = Selection(
                root=str(await self._mount(self._stack)),
                sources=self._sources,
                exclude=self._step.exclude,
                what=self._what,
                keep_owner=True,
                parents=self._step.parents,
                unpack=self._step.unpack,
                is_fixed=True,
            )
        return self._selection
