"""The one write path: everybody who changes an object does it through `Api`, and everybody reads through it.

Called by the edges, controllers, scheduler, node and simulator. Reads come from memory and are always current; a write
returns when it is on disk. It must never be bypassed: nobody else writes to the store.
Invariant: what the store holds is defaulted, valid, and carries its own revision.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pinnace.api.context import SYSTEM, Context
from pinnace.api.patches import Patch
from pinnace.api.settings import ApiSettings
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.autoscaling_v1 import Scale
from pinnace.kube.objects.core_v1 import Event, Pod
from pinnace.store.interface import Key, Listing, Record, Revision, Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectChange(Generic[T]):
    """One change of one object. `type` is "ADDED", "MODIFIED" or "DELETED"; `previous` is what it was, if anything."""

    type: str
    object: T
    previous: T | None = None


@dataclass(frozen=True, slots=True)
class Deletion(Generic[T]):
    """What a delete did: `object` as it is now (or was, when `gone`)."""

    object: T
    gone: bool


class Api:
    """Reads and writes objects of every kind."""

    def __init__(self, store: Store, clock: Clock, chance: Chance, settings: ApiSettings = ApiSettings()) -> None:
        self.store = store
        self.clock = clock
        self.chance = chance
        self.settings = settings

    # ------------------------------------------------------------------ reads: synchronous, always current

    def get(self, kind: Kind[T], namespace: str, name: str) -> T:
        """Return the object. Raises: ApiError NotFound. `namespace` is "" for kinds that have none."""
        raise NotImplementedError

    def find(self, kind: Kind[T], namespace: str, name: str) -> T | None:
        """Return the object, or None."""
        raise NotImplementedError

    def list(
        self,
        kind: Kind[T],
        namespace: str | None = None,
        *,
        labels: Callable[[Mapping[str, str]], bool] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> tuple[T, ...]:
        """Return the objects, ordered by namespace and name; None and "" mean all namespaces."""
        raise NotImplementedError

    def owned_by(self, uid: str, kind: Kind[T]) -> tuple[T, ...]:
        """Return the objects of one kind that name `uid` among their owners."""
        raise NotImplementedError

    def pods_on(self, node_name: str) -> tuple[Pod, ...]:
        """Return the pods bound to a node."""
        raise NotImplementedError

    def watch(
        self, kind: Kind[T], namespace: str | None = None, *, since: Revision | None = None
    ) -> "AsyncIterator[ObjectChange[T]]":
        """Yield changes for ever; with `since=None` first every present object as ADDED. No gap, no duplicate.

        Raises: ApiError Expired when `since` is compacted. End it with `aclose()` or by cancelling the task.
        """
        raise NotImplementedError

    def get_raw(self, kind: Kind[Any], namespace: str, name: str) -> Record:
        """Return the stored record, whose `value` can be served as it is. Raises: ApiError NotFound."""
        raise NotImplementedError

    def list_raw(
        self, kind: Kind[Any], namespace: str | None = None, *, after: Key | None = None, limit: int | None = None
    ) -> Listing:
        """Return stored records and the revision they were read at."""
        raise NotImplementedError

    # ------------------------------------------------------------------ writes

    async def create(self, obj: T, *, namespace: str | None = None, context: Context = SYSTEM) -> T:
        """Default, admit, validate and store a new object; return it as stored.

        Raises: ApiError AlreadyExists, Invalid, NotFound (its namespace), Forbidden.
        """
        raise NotImplementedError

    async def update(self, obj: T, *, namespace: str | None = None, context: Context = SYSTEM) -> T:
        """Replace the object except its status; without a resourceVersion, whatever is there is replaced.

        Raises: ApiError NotFound, Conflict, Invalid.
        """
        raise NotImplementedError

    async def update_status(self, obj: T, *, namespace: str | None = None, context: Context = SYSTEM) -> T:
        """Replace the object's status and nothing else. Raises: as `update`."""
        raise NotImplementedError

    async def patch(
        self,
        kind: Kind[T],
        namespace: str,
        name: str,
        patch: Patch,
        *,
        subresource: str = "",
        context: Context = SYSTEM,
    ) -> T:
        """Apply a patch to what is there, retried on conflict unless the patch names a resourceVersion.

        Shape: `subresource` is "", "status" or "finalize"; for "scale" call `patch_scale`.
        """
        raise NotImplementedError

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
        """Read, apply `fn`, write; retried on conflict. Nothing is written when `fn` returns an equal object.

        `fn` may be called several times and must be pure; what it raises ends the change.
        """
        raise NotImplementedError

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

        Shape: `propagation` is "Background", "Foreground", "Orphan" or None for the kind's default.
        """
        raise NotImplementedError

    async def delete_collection(
        self,
        kind: Kind[T],
        namespace: str | None = None,
        *,
        labels: Callable[[Mapping[str, str]], bool] | None = None,
        fields: Mapping[str, str] | None = None,
        grace_s: int | None = None,
        propagation: str | None = None,
        context: Context = SYSTEM,
    ) -> tuple[T, ...]:
        """Delete every object that matches; return them."""
        raise NotImplementedError

    async def finalize(self, obj: T, *, context: Context = SYSTEM) -> T:
        """Replace `spec.finalizers` of a Namespace; one that is terminating and has none left goes."""
        raise NotImplementedError

    async def bind(self, namespace: str, pod_name: str, node_name: str, *, uid: str = "", context: Context = SYSTEM) -> Pod:
        """Assign a pod to a node, once. Raises: ApiError NotFound, Conflict."""
        raise NotImplementedError

    async def evict(
        self, namespace: str, pod_name: str, *, grace_s: int | None = None, uid: str | None = None, context: Context = SYSTEM
    ) -> Deletion[Pod]:
        """Delete a pod on behalf of somebody who drains its node."""
        raise NotImplementedError

    async def finish_deletion(self, pod: Pod) -> None:
        """Remove a pod for good: its node has ended it. Does nothing when it is gone or another one has its name."""
        raise NotImplementedError

    def get_scale(self, kind: Kind[Any], namespace: str, name: str) -> Scale:
        """Return the `scale` view of a Deployment or ReplicaSet."""
        raise NotImplementedError

    async def update_scale(self, kind: Kind[Any], scale: Scale, *, context: Context = SYSTEM) -> Scale:
        """Set `spec.replicas` through the `scale` view."""
        raise NotImplementedError

    async def patch_scale(
        self, kind: Kind[Any], namespace: str, name: str, patch: Patch, *, context: Context = SYSTEM
    ) -> Scale:
        """Patch the `scale` view."""
        raise NotImplementedError

    async def record_event(
        self, regarding: Any, type: str, reason: str, message: str, *, component: str, host: str = ""
    ) -> Event | None:
        """Record what happened to an object; an equal event is counted, not repeated. Never fails its caller.

        Shape: `type` is "Normal" or "Warning".
        """
        raise NotImplementedError

    async def expire_events(self) -> int:
        """Remove events older than the settings allow; return how many. The daemon calls it about once a minute."""
        raise NotImplementedError


__all__ = ["Api", "Deletion", "ObjectChange"]
