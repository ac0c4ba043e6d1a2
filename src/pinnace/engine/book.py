"""What the engine knows of each container now, and who waits for it to change. No I/O.

The newest status stands here first; `records` brings it to the store. Invariant: a name belongs to one container, and is
free as soon as its container is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from msgspec.structs import replace

from pinnace.base.errors import ApiError, Reason
from pinnace.engine.lookup import find_container
from pinnace.engine.status import is_running
from pinnace.kube.objects.pinnace_v1 import Container, ContainerSpec, ContainerStatus


class Entry:
    """One container. `idle` is set while it neither runs nor is about to, `gone` once it is removed.

    `held`: a person restarts it, so that its end is not its removal. `timer` waits to start it again. `unread` is set
    while no client that was attached from the start still reads: only then its log may go.
    """

    def __init__(self, container: Container) -> None:
        self.container = container
        self.idle = asyncio.Event()
        self.gone = asyncio.Event()
        self.ended = (
            asyncio.Event()
        )  # replaced at each start: tells the next end, also when a restart follows
        self.timer: asyncio.Task[None] | None = None
        self.held = False
        self.readers = 0
        self.unread = asyncio.Event()
        self.unread.set()
        self._mark()

    @property
    def id(self) -> str:
        return self.container.metadata.name

    @property
    def spec(self) -> ContainerSpec:
        return self.container.spec

    @property
    def status(self) -> ContainerStatus:
        return self.container.status

    @property
    def is_running(self) -> bool:
        return is_running(self.status)

    def count_reader(self, change: int) -> None:
        """Note that a client begins (1) or ends (-1) to read."""
        self.readers += change
        if self.readers:
            self.unread.clear()
        else:
            self.unread.set()

    def set_status(self, status: ContainerStatus) -> None:
        """Change the status, and wake who waits."""
        began = status.state == "running" and self.status.state != "running"
        self.container = replace(self.container, status=status)
        if began:
            self.ended = asyncio.Event()
        elif status.state != "running":
            self.ended.set()
        self._mark()

    def _mark(self) -> None:
        if self.is_running:
            self.idle.clear()
        else:
            self.idle.set()


class Book:
    """All containers of one instance."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, str] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    @property
    def names(self) -> dict[str, str]:
        """Names → ids."""
        return self._names

    def add(self, container: Container) -> Entry:
        """Take a container in. Raises: ApiError Conflict when its name is taken, in Docker's words."""
        name = container.spec.name
        if name in self._names:
            raise ApiError(
                Reason.CONFLICT,
                f'Conflict. The container name "/{name}" is already in use by container "{self._names[name]}". '
                "You have to remove (or rename) that container to be able to reuse that name.",
                kind="containers",
                name=name,
                hint=f"pinnace rm -f {name}",
            )
        entry = Entry(container)
        self._entries[entry.id] = entry
        self._names[name] = entry.id
        return entry

    def get(self, container_id: str) -> Entry | None:
        return self._entries.get(container_id)

    def find(self, reference: str) -> Entry:
        """Return the container that a name, an id or the start of an id means. Raises: ApiError."""
        return self._entries[find_container(reference, self._entries, self._names)]

    def forget(self, entry: Entry) -> None:
        """Drop a container; its name is free then, and who waits for its removal is woken."""
        if self._entries.pop(entry.id, None) is not None:
            self._names.pop(entry.spec.name, None)
        entry.ended.set()
        entry.idle.set()
        entry.gone.set()
