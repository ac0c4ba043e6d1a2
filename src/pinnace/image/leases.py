"""Leases: what a build, an import or a commit in progress needs is kept, although no image names it yet.

They live in memory: after a restart nothing is in progress. What must last longer (a build cache) is a root of its own,
see `ImageStore.add_roots`. What was just made without a lease is kept for `FRESH_S`.
Invariant: nothing that a lease holds, or that is fresh, is collected.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from pinnace.base.clock import Clock
from pinnace.oci.digest import Digest

FRESH_S = 3600.0


class Leases:
    """The leases of one store."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: set[Lease] = set()
        self._fresh: dict[Digest, float] = {}

    def open(self, purpose: str) -> Lease:
        """Begin a lease; end it with `close`, or use it as a context."""
        lease = Lease(self, purpose)
        self._open.add(lease)
        return lease

    def close(self, lease: Lease) -> None:
        self._open.discard(lease)

    def hold(self, lease: Lease | None, *digests: Digest) -> None:
        """Hold something by a lease, or for a while."""
        if lease is not None:
            lease.hold(*digests)
            return
        until = self._clock.monotonic() + FRESH_S
        self._fresh.update(dict.fromkeys(digests, until))

    def release(self, digests: Iterable[Digest]) -> None:
        """Stop holding what is fresh: from now on an image has it."""
        for digest in digests:
            self._fresh.pop(digest, None)

    def held(self) -> frozenset[Digest]:
        """Return all that is held now."""
        now = self._clock.monotonic()
        self._fresh = {digest: until for digest, until in self._fresh.items() if until > now}
        return frozenset(self._fresh).union(*(lease.digests for lease in self._open))


class Lease:
    """Holds layers (by key), images and blobs until it is closed."""

    def __init__(self, leases: Leases, purpose: str) -> None:
        self._leases = leases
        self.purpose = purpose
        self.digests: set[Digest] = set()

    def hold(self, *digests: Digest) -> None:
        self.digests.update(digests)

    def close(self) -> None:
        self._leases.close(self)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
