"""Carries writes to the store: create, update of a part, patch, change, delete.

Used by the facade. Each write reads the newest state (pending writes included), prepares the next one and hands it to
the store before anything else can run, so that a read-modify-write is never lost and hardly ever repeated.
Invariant: what is answered is durable; an error about an object comes when the state it speaks of can be read.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec.structs import replace

from pinnace.api.allocation import Addresses
from pinnace.api.apply.tracking import Author, note_writer
from pinnace.api.context import SYSTEM, Context
from pinnace.api.deletion import Action, DeleteWish, check_preconditions, is_over, plan_deletion
from pinnace.api.errors import already_exists, conflict, not_found, unconditional
from pinnace.api.kinds import strategy_of
from pinnace.api.kinds.event_v1 import check_changed_event, check_new_event
from pinnace.api.patches import Patch, PatchType, apply_new, patch_object
from pinnace.api.prepare import Part, World, admit_delete, prepare_create, prepare_update
from pinnace.api.reads import Reader, header_of, key_of
from pinnace.api.strategy import Strategy, meta_of, with_meta
from pinnace.api.versions import convert, merge_stored, note_written, stored_kind, written_kind
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import codec
from pinnace.kube.kinds import EVENT_V1, RESOURCE_QUOTA, Kind
from pinnace.kube.objects.core_v1 import ResourceQuota, ResourceQuotaStatus
from pinnace.store.interface import (
    Header,
    Key,
    KeyExists,
    KeyMissing,
    Record,
    Revision,
    RevisionConflict,
    Store,
)

T = TypeVar("T")
log = logging.getLogger("pinnace.api")

GENERATE_TRIES = 8  # Source: Kubernetes v1.36, generic/registry/store.go, maxNameGenerationCreateAttempts


class Writer:
    """The only user of the store's writing half. Works on stored versions; the facade converts."""

    def __init__(self, store: Store, reader: Reader, world: World, addresses: Addresses) -> None:
        self._store = store
        self._reader = reader
        self._world = world
        self._addresses = addresses
        self._quotas = world.quotas

    # ------------------------------------------------------------------ create

    async def create(
        self,
        kind: Kind[T],
        obj: T,
        namespace: str | None,
        context: Context,
        author: Author | None = None,
    ) -> T:
        """Store a new object; the author says in which version its creator speaks, if not in the stored one."""
        row = strategy_of(kind)
        tries = GENERATE_TRIES if meta_of(obj).generate_name and not meta_of(obj).name else 1
        while True:
            tries -= 1
            prepared = prepare_create(row, obj, namespace, context, self._world, author)
            meta = meta_of(prepared)
            key = key_of(kind, meta.namespace, meta.name)
            try:
                return await self._create(row, key, self._allocate(row, prepared), context)
            except KeyExists:
                if not tries:
                    raise already_exists(kind, meta.name) from None
            finally:
                self._settle(row, key)

    async def _create(self, row: Strategy[T], key: Key, obj: T, context: Context) -> T:
        if context.dry_run:
            if self._store.latest(key) is not None:
                await self._store.settled(key)
                raise KeyExists(key)
            return obj
        built: list[T] = []
        await self._store.create(key, self._build(row, key, obj, built))
        if row.kind is not RESOURCE_QUOTA and self._quotas.is_about(key):
            await self._publish_quotas(key.namespace)
        return built[0]

    async def _publish_quotas(self, namespace: str) -> None:
        """Let the namespace's quotas show what is used before the creation is answered."""
        names = self._quotas.names_in(namespace)
        await asyncio.gather(*(self.publish_quota(namespace, name) for name in names))

    async def publish_quota(self, namespace: str, name: str) -> None:
        """Write into a quota's status what is used; does nothing when the quota is gone."""

        def counted(quota: ResourceQuota) -> ResourceQuota:
            used = self._quotas.used(namespace, name)
            if used is None:
                return quota
            return replace(quota, status=ResourceQuotaStatus(hard=quota.spec.hard, used=used))

        key = key_of(RESOURCE_QUOTA, namespace, name)
        try:
            await self.change(RESOURCE_QUOTA, key, counted, Part.STATUS, SYSTEM, prepared=True)
        except ApiError as error:
            if error.reason is not Reason.NOT_FOUND:
                raise

    def _build(
        self, row: Strategy[T], key: Key, obj: T, built: list[T], *, gone: bool = False
    ) -> Callable[[Revision], tuple[Header, bytes]]:
        def build(revision: Revision) -> tuple[Header, bytes]:
            stored: Any = with_meta(obj, resource_version=str(revision))
            built.append(stored)
            if row.kind.custom is not None:
                stored = convert(stored, stored_kind(row.kind))
            self._reader.cache.put(key, revision, stored)
            header, value = header_of(row, key, stored), codec.encode(stored)
            if row.kind.custom is not None:
                note_written(row.kind, key, value)
            if self._quotas.is_about(key):
                self._quotas.note(key, None if gone else built[0])
            return header, value

        return build

    # ------------------------------------------------------------------ update

    async def update(
        self,
        kind: Kind[T],
        obj: T,
        namespace: str | None,
        part: Part,
        context: Context,
        author: Author | None = None,
    ) -> T:
        """Replace a part of an object; the object's resourceVersion, if it has one, must be the newest."""
        row = strategy_of(kind)
        meta = meta_of(obj)
        key = key_of(kind, namespace or meta.namespace, meta.name)
        if row.create_on_update and part is Part.MAIN and self._store.latest(key) is None:
            return await self.create(kind, with_meta(obj, resource_version=""), namespace, context, author)

        def supersede(old: T) -> T:
            return obj

        return await self.change(kind, key, supersede, part, context, checked=True, author=author)

    async def change(
        self,
        kind: Kind[T],
        key: Key,
        fn: Callable[[T], T],
        part: Part,
        context: Context,
        *,
        checked: bool = False,
        prepared: bool = False,
        author: Author | None = None,
    ) -> T:
        """Read, apply `fn`, prepare, write; with `checked`, what `fn` returns must carry the newest revision or none.

        `prepared` takes what `fn` returns as it is: for the few writes that rules for callers don't bind. The author says
        in whose terms owners of fields are noted.
        """
        row = strategy_of(kind)
        author = author or Author(kind, part.value)
        while True:
            record = await self._latest(kind, key)
            old = self._reader.decode(kind, record)
            new = fn(old)
            if checked:
                await self._check_revision(row, key, meta_of(new).resource_version, record)
            try:
                if new is old or new == old:
                    await self._store.settled(key)
                    return old
                if not prepared:
                    new = prepare_update(row, new, old, part, context, self._world)
                    new = self._allocate(row, new) if part is Part.MAIN else new
                    new = note_writer(kind, old, new, context, author, self._world.clock.now())
                return await self._replace(row, record, old, new, context)
            except RevisionConflict:
                continue  # the store saw a write that we did not: read again
            except KeyMissing:
                raise not_found(kind, key.name) from None
            finally:
                self._settle(row, key)

    async def _latest(self, kind: Kind[Any], key: Key) -> Record:
        record = self._store.latest(key)
        if record is None:
            await self._store.settled(key)
            raise not_found(kind, key.name)
        return record

    async def _check_revision(self, row: Strategy[Any], key: Key, wanted: str, record: Record) -> None:
        if wanted == str(record.revision):
            return
        if not wanted and not row.unconditional_update:
            await self._store.settled(key)
            raise unconditional(row.kind, key.name)
        if wanted:
            await self._store.settled(key)
            raise conflict(row.kind, key.name)

    async def _replace(self, row: Strategy[T], record: Record, old: T, new: T, context: Context) -> T:
        key = record.header.key
        if new == old:
            await self._store.settled(key)
            return old
        if context.dry_run:
            return new
        built: list[T] = []
        over = is_over(row, new)
        build = self._build(row, key, new, built, gone=over)
        if over:
            await self._store.delete(key, record.revision, build)
            self._reader.cache.forget(key)
        else:
            await self._store.update(key, record.revision, build)
        return built[0]

    # ------------------------------------------------------------------ patch

    async def patch(
        self,
        kind: Kind[T],
        key: Key,
        patch: Patch,
        part: Part,
        context: Context,
        before_create: Callable[[], None] | None = None,
    ) -> T:
        """Apply a patch to the newest state, in the kind's own version. `before_create` may refuse to make what isn't there."""
        if patch.type is PatchType.APPLY and part is Part.MAIN and self._store.latest(key) is None:
            if before_create is not None:
                before_create()
            return await self._create_applied(kind, key, patch, context)
        author = Author(kind, part.value)

        def patched(old: Any) -> Any:
            shown: Any = convert(old, kind)
            new = patch_object(kind, shown, patch, context, author, self._world.clock.now())
            if kind is EVENT_V1:
                check_changed_event(new, shown)
            return merge_stored(new, old)

        written = written_kind(kind)
        return convert(
            await self.change(written, key, patched, part, context, checked=True, author=author), kind
        )

    async def _create_applied(self, kind: Kind[T], key: Key, patch: Patch, context: Context) -> T:
        author = Author(kind)
        obj: Any = apply_new(kind, key.name, patch, context, author, self._world.clock.now())
        if kind is EVENT_V1:
            check_new_event(obj)
        stored = written_kind(kind)
        created = await self.create(stored, convert(obj, stored), key.namespace or None, context, author)
        return convert(created, kind)

    # ------------------------------------------------------------------ delete

    async def delete(self, kind: Kind[T], key: Key, wish: DeleteWish, context: Context) -> tuple[T, bool]:
        """Delete; return the object, and whether it is gone."""
        row = strategy_of(kind)
        while True:
            record = await self._latest(kind, key)
            old = self._reader.decode(kind, record)
            try:
                check_preconditions(row, old, wish)
                admit_delete(row, old, context, self._world)
                if row.orphan_warning and not wish.propagation:
                    context.warn(row.orphan_warning)
                plan = plan_deletion(row, old, wish, self._world.clock.now())
                return await self._carry_out(row, record, plan.action, plan.object, context)
            except RevisionConflict:
                continue
            except KeyMissing:
                raise not_found(kind, key.name) from None
            finally:
                self._settle(row, key)

    async def _carry_out(
        self, row: Strategy[T], record: Record, action: Action, obj: T, context: Context
    ) -> tuple[T, bool]:
        key = record.header.key
        if action is Action.NOTHING or context.dry_run:
            await self._store.settled(key)
            return obj, action is Action.REMOVE
        built: list[T] = []
        build = self._build(row, key, obj, built, gone=action is Action.REMOVE)
        if action is Action.REMOVE:
            await self._store.delete(key, record.revision, build)
            self._reader.cache.forget(key)
        else:
            await self._store.update(key, record.revision, build)
        return built[0], action is Action.REMOVE

    # ------------------------------------------------------------------ addresses

    def _allocate(self, row: Strategy[T], obj: T) -> T:
        return obj if row.allocation is None else row.allocation.allocate(obj, self._addresses)

    def _settle(self, row: Strategy[Any], key: Key) -> None:
        """Let an object hold what its newest state says, whatever became of the write."""
        if row.allocation is None:
            return
        record = self._store.latest(key)
        obj = None if record is None else self._reader.decode(row.kind, record)
        self._addresses.settle(key, row.allocation.claim(obj) if obj is not None else None)
