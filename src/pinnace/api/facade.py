"""The one write path: everybody who changes an object does it through `Api`, and everybody reads through it.

Called by the edges, controllers, scheduler, node and simulator. Reads come from memory and are always current; a write
returns when it is on disk. It must never be bypassed: nobody else writes to the store.
Invariant: what the store holds is defaulted, valid, and carries its own revision.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pinnace.api import events as occurrences
from pinnace.api.access.authorizer import Authorizer
from pinnace.api.admission.quota.ledger import Ledger
from pinnace.api.allocation import Addresses
from pinnace.api.apply.tracking import Author
from pinnace.api.bindings import bind_pod
from pinnace.api.context import SYSTEM, Context
from pinnace.api.custom.definitions import Definitions
from pinnace.api.deletion import DeleteWish
from pinnace.api.eviction import Evictor
from pinnace.api.kinds.event_v1 import check_changed_event, check_new_event
from pinnace.api.kinds.service_addresses import claim_of
from pinnace.api.patches import Patch, PatchType, patch_document
from pinnace.api.prepare import Part, World, admit_connect, part_of
from pinnace.api.reads import LabelPredicate, Reader, key_of
from pinnace.api.recorder import Recorder
from pinnace.api.scale import apply_scale, read_scale, write_scale
from pinnace.api.settings import ApiSettings
from pinnace.api.strategy import meta_of, with_meta
from pinnace.api.versions import convert, merge_stored, written_kind
from pinnace.api.watches import ObjectChange, ObjectWatch
from pinnace.api.write import Writer
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import codec
from pinnace.kube.kind_table import KindTable
from pinnace.kube.kinds import (
    CUSTOM_RESOURCE_DEFINITION,
    EVENT,
    NAMESPACE,
    POD,
    RESOURCE_QUOTA,
    SCALE,
    SERVICE,
    Kind,
)
from pinnace.kube.objects import events_v1
from pinnace.kube.objects.apiextensions_v1 import CustomResourceDefinition
from pinnace.kube.objects.autoscaling_v1 import Scale
from pinnace.kube.objects.core_v1 import Event, Namespace, Pod
from pinnace.store.interface import Key, Listing, Record, Revision, Store

T = TypeVar("T")
log = logging.getLogger("pinnace.api")

__all__ = ["Api", "Deletion", "ObjectChange", "ObjectWatch"]


@dataclass(frozen=True, slots=True)
class Deletion(Generic[T]):
    """What a delete did: `object` as it is now (or was, when `gone`)."""

    object: T
    gone: bool


class Api:
    """Reads and writes objects of every kind."""

    def __init__(
        self, store: Store, clock: Clock, chance: Chance, settings: ApiSettings = ApiSettings()
    ) -> None:
        self.store = store
        self.clock = clock
        self.chance = chance
        self.settings = settings
        self.kinds = KindTable()
        self._reader = Reader(store, settings.cache_size, self.kinds)
        self._addresses = Addresses(settings, chance)
        self.access = Authorizer(self._reader)
        self._world = World(self._reader, clock, chance, quotas=Ledger(self._reader), access=self.access)
        self._writer = Writer(store, self._reader, self._world, self._addresses)
        self._recorder = Recorder(self._reader, self._writer, clock)
        self._evictor = Evictor(self._reader, self._writer, clock)
        for quota in self._reader.list(RESOURCE_QUOTA, None, None, None):
            meta = quota.metadata
            self._world.quotas.note(key_of(RESOURCE_QUOTA, meta.namespace, meta.name), quota)
        self._definitions = Definitions(
            self.kinds,
            lambda: self._reader.list(CUSTOM_RESOURCE_DEFINITION, None, None, None),
            self._change_definition,
            self._reader.cache.forget_resource,
            clock.now,
        )
        self._definitions.follow()
        for service in self._reader.list(SERVICE, None, None, None):
            key = key_of(SERVICE, service.metadata.namespace, service.metadata.name)
            self._addresses.settle(key, claim_of(service))

    # ------------------------------------------------------------------ reads: synchronous, always current

    def get(self, kind: Kind[T], namespace: str, name: str) -> T:
        """Return the object. Raises: ApiError NotFound. `namespace` is "" for kinds that have none."""
        return self._reader.get(kind, namespace, name)

    def find(self, kind: Kind[T], namespace: str, name: str) -> T | None:
        """Return the object, or None."""
        return self._reader.find(kind, namespace, name)

    def list(
        self,
        kind: Kind[T],
        namespace: str | None = None,
        *,
        labels: LabelPredicate | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> tuple[T, ...]:
        """Return the objects, ordered by namespace and name; None and "" mean all namespaces."""
        return self._reader.list(kind, namespace, labels, fields)

    def owned_by(self, uid: str, kind: Kind[T]) -> tuple[T, ...]:
        """Return the objects of one kind that name `uid` among their owners."""
        return self._reader.owned_by(uid, kind)

    def dependents_of(self, uid: str) -> tuple[Key, ...]:
        """Return the keys of the objects of all kinds that name `uid` among their owners."""
        return tuple(record.header.key for record in self.store.by_owner(uid))

    def pods_on(self, node_name: str) -> tuple[Pod, ...]:
        """Return the pods bound to a node; with "", those that are bound to none."""
        return self._reader.by_field(POD, "spec.nodeName", node_name)

    def watch(
        self, kind: Kind[T], namespace: str | None = None, *, since: Revision | None = None
    ) -> ObjectWatch[T]:
        """Iterate over changes for ever; with `since=None` first every present object as ADDED. No gap, no duplicate.

        End it with `close()` or `await aclose()`; one that is dropped (its task was cancelled) ends too.
        Raises: ApiError Expired when `since` is compacted.
        """
        return ObjectWatch(self.store, self._reader, kind, namespace, since)

    def get_raw(self, kind: Kind[Any], namespace: str, name: str) -> Record:
        """Return the stored record. Raises: ApiError NotFound."""
        return self._reader.get_record(kind, namespace, name)

    def list_raw(
        self,
        kind: Kind[Any],
        namespace: str | None = None,
        *,
        after: Key | None = None,
        limit: int | None = None,
        at: Revision | None = None,
    ) -> Listing:
        """Return stored records and the revision they were read at; `at` asks for a past one.

        Raises: Compacted, RevisionAhead.
        """
        return self.store.list(kind.resource, namespace or None, after=after, limit=limit, at=at)

    def decode(self, kind: Kind[T], record: Record) -> T:
        """Return a record's object in the kind's version, through the cache."""
        return self._reader.decode(kind, record)

    def fields_of(self, kind: Kind[Any], record: Record) -> Mapping[str, str]:
        """Return the fields of a record that field selectors may ask for."""
        return self._reader.fields_of(kind, record)

    # ------------------------------------------------------------------ writes

    async def create(self, obj: T, *, namespace: str | None = None, context: Context = SYSTEM) -> T:
        """Default, admit, validate and store a new object; return it as stored.

        Raises: ApiError AlreadyExists, Invalid, NotFound (its namespace), Forbidden, BadRequest.
        """
        kind = self._kind_of(obj)
        stored = written_kind(kind)
        author = None if kind is stored else Author(kind)
        if isinstance(obj, events_v1.Event):
            check_new_event(obj)
        created = await self._writer.create(stored, convert(obj, stored), namespace, context, author)
        return convert(await self._settled(kind, created, context), kind)

    def _kind_of(self, obj: T) -> Kind[T]:
        try:
            return self.kinds.kind_of(obj)
        except KeyError:
            why = "the server could not find the requested resource"
            raise ApiError(Reason.NOT_FOUND, why) from None

    async def _settled(self, kind: Kind[T], obj: T, context: Context) -> T:
        """Put a definition that was written in force before its writer goes on; return it as it is then."""
        if kind is not CUSTOM_RESOURCE_DEFINITION or context.dry_run:
            return obj
        await self._definitions.settle()
        return self.find(kind, "", meta_of(obj).name) or obj

    async def _change_definition(
        self, name: str, fn: Callable[[CustomResourceDefinition], CustomResourceDefinition]
    ) -> None:
        key = key_of(CUSTOM_RESOURCE_DEFINITION, "", name)
        await self._writer.change(CUSTOM_RESOURCE_DEFINITION, key, fn, Part.STATUS, SYSTEM)

    async def settle_definitions(self) -> None:
        """Give every CustomResourceDefinition the status that it should have; the controller of definitions calls it."""
        await self._definitions.settle()

    async def update(self, obj: T, *, namespace: str | None = None, context: Context = SYSTEM) -> T:
        """Replace the object except its status; without a resourceVersion, whatever is there is replaced.

        Raises: ApiError NotFound, Conflict, Invalid.
        """
        return await self._update(obj, namespace, Part.MAIN, context)

    async def update_status(self, obj: T, *, namespace: str | None = None, context: Context = SYSTEM) -> T:
        """Replace the object's status and nothing else. Raises: as `update`."""
        return await self._update(obj, namespace, Part.STATUS, context)

    async def update_part(
        self, obj: T, subresource: str, *, namespace: str | None = None, context: Context = SYSTEM
    ) -> T:
        """Replace the part of the object that a subresource of its kind names. Raises: as `update`, MethodNotAllowed."""
        return await self._update(obj, namespace, part_of(subresource), context)

    async def finalize(self, obj: Namespace, *, context: Context = SYSTEM) -> Namespace:
        """Replace `spec.finalizers` of a Namespace; one that is terminating and has none left goes."""
        return await self._writer.update(NAMESPACE, obj, None, Part.FINALIZE, context)

    async def _update(self, obj: T, namespace: str | None, part: Part, context: Context) -> T:
        kind = self._kind_of(obj)
        stored = written_kind(kind)
        if kind is stored:
            updated = await self._writer.update(kind, obj, namespace, part, context)
            return await self._settled(kind, updated, context)
        meta = meta_of(obj)
        found = self._reader.find(stored, namespace or meta.namespace, meta.name)
        if isinstance(obj, events_v1.Event) and found is not None:
            before: Any = convert(found, kind)
            check_changed_event(obj, before)
        whole = convert(obj, stored) if found is None else merge_stored(obj, found)
        author = Author(kind, part.value)
        return convert(await self._writer.update(stored, whole, namespace, part, context, author), kind)

    async def patch(
        self,
        kind: Kind[T],
        namespace: str,
        name: str,
        patch: Patch,
        *,
        subresource: str = "",
        context: Context = SYSTEM,
        before_create: Callable[[], None] | None = None,
    ) -> T:
        """Apply a patch to what is there; a patch that names a resourceVersion wants to find that one.

        Shape: `subresource` is "", "status" or "finalize"; for "scale" call `patch_scale`. `before_create` is called when an
        apply is about to create, and may refuse.
        Raises: ApiError NotFound, Conflict, Invalid, BadRequest, UnsupportedMediaType.
        """
        key = key_of(kind, namespace, name)
        patched = await self._writer.patch(kind, key, patch, part_of(subresource), context, before_create)
        return await self._settled(kind, patched, context)

    async def change(
        self,
        kind: Kind[T],
        namespace: str,
        name: str,
        fn: Callable[[T], T],
        *,
        subresource: str = "",
        context: Context = SYSTEM,
    ) -> T:
        """Read, apply `fn`, write; nothing is written when `fn` returns an equal object.

        `fn` gets the newest state, writes on their way to disk included; it may be called several times and must be
        pure. What it raises ends the change.
        """
        key, part = key_of(kind, namespace, name), part_of(subresource)
        stored = written_kind(kind)
        if kind is stored:
            after = await self._writer.change(kind, key, fn, part, context)
            return await self._settled(kind, after, context)

        def changed(old: Any) -> Any:
            return merge_stored(fn(convert(old, kind)), old)

        author = Author(kind, part.value)
        return convert(await self._writer.change(stored, key, changed, part, context, author=author), kind)

    async def delete(
        self,
        kind: Kind[T],
        namespace: str,
        name: str,
        *,
        grace_s: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = None,
        context: Context = SYSTEM,
    ) -> Deletion[T]:
        """Delete, gracefully where the kind has grace, and after the finalizers where there are some.

        Shape: `propagation` is "Background", "Foreground", "Orphan" or None for the kind's default (background).
        Raises: ApiError NotFound, Conflict (preconditions), Forbidden, Invalid.
        """
        wish = DeleteWish(
            grace_s=grace_s, uid=uid, resource_version=resource_version, propagation=propagation
        )
        key = key_of(kind, namespace, name)
        obj, gone = await self._writer.delete(written_kind(kind), key, wish, context)
        await self._settled(kind, obj, context)
        return Deletion(convert(obj, kind), gone)

    # ------------------------------------------------------------------ pods

    async def bind(
        self, namespace: str, pod_name: str, node_name: str, *, uid: str = "", context: Context = SYSTEM
    ) -> Pod:
        """Assign a pod to a node, once. Raises: ApiError NotFound, Conflict, Invalid."""
        key, now = key_of(POD, namespace, pod_name), self.clock.now()

        def bound(pod: Pod) -> Pod:
            return bind_pod(pod, node_name, uid, now)

        return await self._writer.change(POD, key, bound, Part.MAIN, context, prepared=True)

    async def evict(
        self,
        namespace: str,
        pod_name: str,
        *,
        grace_s: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = None,
        context: Context = SYSTEM,
    ) -> Deletion[Pod]:
        """Delete a pod on behalf of somebody who drains its node, if its disruption budget allows it.

        Raises: ApiError NotFound, Conflict, TooManyRequests (the budget), InternalError (several budgets).
        """
        wish = DeleteWish(
            grace_s=grace_s, uid=uid, resource_version=resource_version, propagation=propagation
        )
        return Deletion(*await self._evictor.evict(namespace, pod_name, wish, context))

    def on_quota_change(self, listener: Callable[[str, str], None]) -> None:
        """Call `listener(namespace, name)` whenever what is used of a ResourceQuota changes."""
        self._world.quotas.on_change(listener)

    async def publish_quota(self, namespace: str, name: str, *, recount: bool = False) -> None:
        """Write what is used of a ResourceQuota into its status; with `recount`, after counting everything anew."""
        if recount:
            self._world.quotas.recount(namespace)
        await self._writer.publish_quota(namespace, name)

    def admit_connect(
        self,
        kind: Kind[Any],
        namespace: str,
        name: str,
        subresource: str,
        *,
        options: Any = None,
        context: Context = SYSTEM,
    ) -> None:
        """Ask admission whether somebody may exec in, attach to, forward to or proxy to an object.

        Raises: ApiError of the first row that says no.
        """
        admit_connect(kind, namespace, name, subresource, options, context, self._world)

    async def finish_deletion(self, pod: Pod) -> None:
        """Remove a pod for good: its node has ended it. Does nothing when it is gone or another one has its name."""
        meta = pod.metadata
        try:
            await self.delete(POD, meta.namespace, meta.name, grace_s=0, uid=meta.uid)
        except ApiError as error:
            if error.reason not in (Reason.NOT_FOUND, Reason.CONFLICT):
                raise

    # ------------------------------------------------------------------ scale

    def get_scale(self, kind: Kind[Any], namespace: str, name: str) -> Scale:
        """Return the `scale` view of a Deployment or ReplicaSet. Raises: ApiError NotFound."""
        return read_scale(kind, self.get(kind, namespace, name))

    async def update_scale(self, kind: Kind[Any], scale: Scale, *, context: Context = SYSTEM) -> Scale:
        """Set `spec.replicas` through the `scale` view. Raises: ApiError NotFound, Conflict, Invalid."""
        return await self._change_scale(
            kind, scale.metadata.namespace, scale.metadata.name, lambda current: scale, context
        )

    async def patch_scale(
        self, kind: Kind[Any], namespace: str, name: str, patch: Patch, *, context: Context = SYSTEM
    ) -> Scale:
        """Patch the `scale` view. Raises: as `update_scale`, BadRequest."""

        def patched(current: Scale) -> Scale:
            return codec.from_json(SCALE, patch_document(SCALE, codec.to_json(current), patch, context))

        if patch.type is not PatchType.APPLY:
            return await self._change_scale(kind, namespace, name, patched, context)
        author = Author(kind, "scale")

        def applied(old: Any) -> Any:
            return apply_scale(kind, old, patch, context, author, self.clock.now())

        key = key_of(kind, namespace, name)
        changed = await self._writer.change(
            kind, key, applied, Part.SCALE, context, checked=True, author=author
        )
        return read_scale(kind, changed)

    async def _change_scale(
        self, kind: Kind[Any], namespace: str, name: str, fn: Callable[[Scale], Scale], context: Context
    ) -> Scale:
        def scaled(old: Any) -> Any:
            scale = fn(read_scale(kind, old))
            return with_meta(write_scale(kind, old, scale), resource_version=scale.metadata.resource_version)

        key = key_of(kind, namespace, name)
        author = Author(kind, "scale")
        changed = await self._writer.change(
            kind, key, scaled, Part.SCALE, context, checked=True, author=author
        )
        return read_scale(kind, changed)

    # ------------------------------------------------------------------ events

    async def record_event(
        self,
        regarding: Any,
        type: str,
        reason: str,
        message: str,
        *,
        component: str,
        host: str = "",
        action: str = "",
    ) -> Event | None:
        """Record what happened to an object; an equal event is counted, not repeated. Never fails its caller.

        Shape: `type` is "Normal" or "Warning"; with `action` the event has the form of events.k8s.io/v1. None when it
        was not kept: its source has said too much already, or the log says why.
        """
        return await self._recorder.record(
            regarding, type, reason, message, component=component, host=host, action=action
        )

    async def expire_events(self) -> int:
        """Remove events older than the settings allow; return how many. The daemon calls it about once a minute."""
        now, ttl = self.clock.now(), self.settings.event_ttl_s
        old = [event for event in self.list(EVENT) if occurrences.is_expired(event, ttl, now)]
        for event in old:
            await self.delete(EVENT, event.metadata.namespace, event.metadata.name)
        return len(old)
