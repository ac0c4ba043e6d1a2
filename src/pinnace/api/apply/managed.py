"""Reads and writes `metadata.managedFields`: who owns which fields of an object.

Pure. In memory it is a table of owners; on the wire a list in a fixed order. An entry that nobody has touched is written
as it was. Source: Kubernetes v1.37, apimachinery/pkg/util/managedfields/internal (managedfields.go, capmanagers.go)
Invariant: read_managed(write_managed(managed)) == managed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from pinnace.api.apply.sets import Fields, difference, intersection, parse, render, union
from pinnace.kube.objects.meta_v1 import ManagedFieldsEntry

APPLY, UPDATE = "Apply", "Update"
FIELDS_V1: Final = "FieldsV1"
UNKNOWN: Final = "unknown"  # Source: buildmanagerinfo.go
MAX_UPDATERS: Final = 10  # Source: fieldmanager.go, DefaultMaxUpdateManagers
ANCIENT: Final = "ancient-changes"  # Source: capmanagers.go
BEFORE_FIRST_APPLY: Final = "before-first-apply"  # Source: skipnonapplied.go

# What every document says, or only we may say: nobody owns it. Source: stripmeta.go
_NOT_OWNED_META: Final = frozenset(
    {
        ".",
        "f:name",
        "f:namespace",
        "f:creationTimestamp",
        "f:selfLink",
        "f:uid",
        "f:clusterName",
        "f:generation",
        "f:managedFields",
        "f:resourceVersion",
    }
)


def ownable(fields: Fields) -> Fields:
    """Return the set without what nobody owns."""
    left = {step: below for step, below in fields.items() if step not in ("f:apiVersion", "f:kind")}
    meta = left.pop("f:metadata", None)
    kept = {} if not meta else {step: below for step, below in meta.items() if step not in _NOT_OWNED_META}
    return {"f:metadata": kept, **left} if kept else left


class Owner(NamedTuple):
    """Who owns fields. `api_version` is "" for appliers: they are the same one in whatever version they apply."""

    manager: str
    operation: str
    api_version: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """What somebody owns, in the terms of one version; `raw` is the set as it stands on the wire, if it was read."""

    fields: Fields
    api_version: str
    time: str = ""
    raw: Raw | None = None

    def less(self, fields: Fields) -> Owned:
        """Return what is left without some fields."""
        if not fields or not intersection(self.fields, fields):
            return self
        return replace(self, fields=difference(self.fields, fields), raw=None)


Managed = dict[Owner, Owned]


def applier(manager: str, subresource: str = "") -> Owner:
    """Return who applies by that name."""
    return Owner(manager or UNKNOWN, APPLY, "", subresource)


def updater(manager: str, api_version: str, subresource: str = "") -> Owner:
    """Return who writes by that name, in one version."""
    return Owner(manager or UNKNOWN, UPDATE, api_version, subresource)


def read_managed(entries: Iterable[ManagedFieldsEntry], *, as_given: bool = False) -> Managed:
    """Return the table of owners; `as_given` says that the entries come from a client, who may write sets in any form.

    Raises: ValueError for an entry that can't be understood.
    """
    managed: Managed = {}
    for at, entry in enumerate(entries):
        if entry.operation not in (APPLY, UPDATE):
            raise ValueError("operation must be `Apply` or `Update`")
        if not entry.api_version:
            raise ValueError("apiVersion must not be empty")
        if entry.fields_type != FIELDS_V1:
            raise ValueError(f"invalid fieldsType {entry.fields_type!r} in managed fields entry {at}")
        owner = Owner(
            entry.manager,
            entry.operation,
            "" if entry.operation == APPLY else entry.api_version,
            entry.subresource,
        )
        raw = entry.fields_v1
        managed[owner] = Owned(parse(bytes(raw)), entry.api_version, entry.time, None if as_given else raw)
    return managed


def write_managed(managed: Mapping[Owner, Owned]) -> tuple[ManagedFieldsEntry, ...]:
    """Return the entries: appliers first, each sort by time."""
    entries = [
        ManagedFieldsEntry(
            manager=owner.manager,
            operation=owner.operation,
            api_version=owned.api_version,
            time=owned.time,
            fields_type=FIELDS_V1,
            fields_v1=owned.raw if owned.raw is not None else share(render(owned.fields)),
            subresource=owner.subresource,
        )
        for owner, owned in managed.items()
    ]
    if len(entries) > 1:
        entries.sort(key=_place)
    return tuple(entries)


def _place(entry: ManagedFieldsEntry) -> tuple[str, ...]:
    return (entry.operation, entry.time, entry.manager, entry.api_version, entry.subresource)


SHARED = 2048
_shared: dict[bytes, Raw] = {}


def share(fields: bytes) -> Raw:
    """Return the set as it stands on the wire; objects of one make share it in memory."""
    raw = _shared.get(fields)
    if raw is None:
        if len(_shared) >= SHARED:
            _shared.pop(next(iter(_shared)))
        raw = _shared[fields] = Raw(fields)
    return raw


def share_entries(entries: tuple[ManagedFieldsEntry, ...]) -> tuple[ManagedFieldsEntry, ...]:
    """Return the same entries with their sets shared."""
    return tuple(
        msgspec.structs.replace(entry, fields_v1=share(bytes(entry.fields_v1)))
        if bytes(entry.fields_v1)
        else entry
        for entry in entries
    )


def cap_updaters(managed: Managed) -> Managed:
    """Return the table with at most ten updaters: the oldest ones of a version become one."""
    updaters = [owner for owner in managed if owner.operation == UPDATE]
    surplus = len(updaters) - MAX_UPDATERS
    if surplus <= 0:
        return managed
    capped = dict(managed)
    first_of: dict[str, Owner] = {}
    for owner in sorted(updaters, key=lambda owner: (managed[owner].time, owner)):
        owned = capped[owner]
        version = owned.api_version
        if version not in first_of:
            first_of[version] = owner
            continue
        bucket = Owner(ANCIENT, UPDATE, version)
        if bucket not in capped:
            capped[bucket] = capped.pop(first_of[version])
        if bucket != owner:
            together = union(owned.fields, capped[bucket].fields)
            del capped[owner]
            capped[bucket] = Owned(together, version, owned.time)
            surplus -= 1
        if not surplus:
            break
    return capped


def same_but_for_times(one: Iterable[ManagedFieldsEntry], other: Iterable[ManagedFieldsEntry]) -> bool:
    """Say whether entries say the same of the same owners."""
    return _timeless(one) == _timeless(other)


def _timeless(entries: Iterable[ManagedFieldsEntry]) -> dict[tuple[str, ...], Raw]:
    return {(e.manager, e.operation, e.api_version, e.subresource): e.fields_v1 for e in entries}


def is_reset(entries: tuple[ManagedFieldsEntry, ...]) -> bool:
    """Say whether a writer asks to forget all owners: a list of one empty entry."""
    return len(entries) == 1 and entries[0] == _EMPTY


_EMPTY = ManagedFieldsEntry()
