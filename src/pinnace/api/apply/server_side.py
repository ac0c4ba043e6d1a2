"""Decides what an apply makes of an object, and who owns which field afterwards; and the same for any other write.

Pure: documents and owners in, the next document and owners out. What a manager applied before, and names no more, goes
unless somebody else owns it; what others own and the apply wants otherwise is a conflict, or theirs no longer.
Source: structured-merge-diff v6, merge/update.go; Kubernetes v1.37, apimachinery/pkg/util/managedfields/internal
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pinnace.api.apply.collecting import Faults, collect, fields_of
from pinnace.api.apply.comparing import Comparison, compare, created
from pinnace.api.apply.conflicts import conflict_error
from pinnace.api.apply.items import BadItem
from pinnace.api.apply.last_applied import allowed_conflicts
from pinnace.api.apply.managed import (
    BEFORE_FIRST_APPLY,
    Managed,
    Owned,
    Owner,
    applier,
    cap_updaters,
    ownable,
    updater,
)
from pinnace.api.apply.merging import merge
from pinnace.api.apply.removing import remove, with_named_fields
from pinnace.api.apply.sets import Fields, difference, intersection, only, union, without
from pinnace.api.apply.types import Record
from pinnace.base.errors import ApiError, Reason

Document = dict[str, Any]
# A document in another version, and that version's type; None when nobody knows the version any longer.
InVersion = Callable[[Document, str], tuple[Document, Record] | None]

KUBECTL: Final = "kubectl"
STATUS: Final = "status"


@dataclass(frozen=True, slots=True)
class Applied:
    """One apply: who wants what of which part, in which version, and whether it takes fields away from others."""

    manager: str
    document: Document
    api_version: str
    subresource: str = ""
    force: bool = False

    @property
    def owner(self) -> Owner:
        return applier(self.manager, self.subresource)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The next document, without its managedFields, and the owners then. `same` says that the document is as it was."""

    document: Document
    managed: Managed
    same: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What a kind's documents are like: its type, how to see them in other versions, and which part a write is about."""

    of: Record
    in_version: InVersion
    has_status: bool = True

    def part_of(self, document: Document, subresource: str) -> Document:
        """Return what of an applied document counts: every write of a part keeps the rest as it is."""
        if not self.has_status:
            return document
        if subresource == STATUS:
            return {name: part for name, part in document.items() if name in _STATUS_PART}
        if "status" not in document:
            return document
        return {name: part for name, part in document.items() if name != "status"}

    def owned_by_part(self, fields: Fields, subresource: str) -> Fields:
        """Return the fields of a set that a write of this part can own at all."""
        if not self.has_status:
            return fields
        if subresource == STATUS:
            return only(fields, _STATUS_FIELD)
        return without(fields, ("f:status",)) if "f:status" in fields else fields


_STATUS_PART: Final = frozenset({"apiVersion", "kind", "status"})
_STATUS_FIELD: Final = frozenset({"f:status"})


def apply(terms: Terms, live: Document, managed: Managed, applied: Applied, now: str) -> Outcome:
    """Return what the apply makes of the live document (empty for a new object).

    Raises: ApiError Conflict when others own fields and want them otherwise, BadRequest for a document that doesn't fit.
    """
    fields = _collect_applied(terms, applied)
    if not managed and live:
        managed = _found_before(terms, live, applied, now)
    try:
        return _apply(terms, live, managed, applied, fields, now)
    except _Conflicts as found:
        if applied.manager == KUBECTL and (allowed := allowed_conflicts(live, terms.of, applied.api_version)):
            left = {owner: difference(theirs, allowed) for owner, theirs in found.conflicts.items()}
            left = {owner: theirs for owner, theirs in left.items() if theirs}
            if not left:
                forced = replace(applied, force=True)
                return _apply(terms, live, managed, forced, fields, now)
            raise conflict_error(left) from None
        raise conflict_error(found.conflicts) from None


class _Conflicts(Exception):
    def __init__(self, conflicts: Mapping[Owner, Fields]) -> None:
        self.conflicts = conflicts


def _collect_applied(terms: Terms, applied: Applied) -> Fields:
    faults = Faults()
    fields = collect(applied.document, terms.of, faults)
    if faults:
        document = applied.document
        meta = document.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        group, _, version = str(document.get("apiVersion", "")).rpartition("/")
        shown = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {group}/{version}, Kind={document.get('kind', '')}"
        why = f"failed to create typed patch object ({shown}): {faults.render()}"
        raise ApiError(Reason.BAD_REQUEST, why)
    return terms.owned_by_part(fields, applied.subresource)


def _found_before(terms: Terms, live: Document, applied: Applied, now: str) -> Managed:
    """Return the owner of what an object has whose owners nobody has noted so far."""
    fields = terms.owned_by_part(created(live, terms.of), applied.subresource)
    fields = ownable(fields)
    if not fields:
        return {}
    owner = updater(BEFORE_FIRST_APPLY, applied.api_version, applied.subresource)
    return {owner: Owned(fields, applied.api_version, now)}


def _apply(
    terms: Terms, live: Document, managed: Managed, applied: Applied, fields: Fields, now: str
) -> Outcome:
    me = applied.owner
    last = managed.get(me)
    mine = Owned(fields, applied.api_version, last.time if last else "")
    managed = {**managed, me: mine}
    try:
        merged = merge(live, terms.part_of(applied.document, applied.subresource), terms.of)
    except BadItem as error:
        raise ApiError(Reason.BAD_REQUEST, f"failed to merge config: {error}") from None
    owned = ownable(fields)
    if last is not None and last.fields != owned:
        merged = _prune(terms, merged, managed, last)
    if len(managed) > 1:
        version = applied.api_version
        managed = _take_from_others(terms, live, merged, version, managed, me, force=applied.force)[0]
    same = live == merged
    if not owned:
        del managed[me]
    elif last is not None and last.fields == owned and last.api_version == applied.api_version:
        managed[me] = last if same else replace(last, time=now)
    else:
        managed[me] = replace(mine, fields=owned, time=now)
    return Outcome(merged, managed, same)


# ---------------------------------------------------------------------------------------------------- giving up


def _prune(terms: Terms, merged: Document, managed: Managed, last: Owned) -> Document:
    """Return the merged document without what this manager owned last time and nobody owns any longer."""
    if not difference(last.fields, managed_union(managed)):
        return merged
    seen = terms.in_version(merged, last.api_version)
    if seen is None:
        return merged
    document, of = seen
    named_last = with_named_fields(last.fields, of)
    pruned = remove(document, named_last, of)
    by_version: dict[str, Fields] = {}
    for owned in managed.values():
        by_version[owned.api_version] = union(by_version.get(owned.api_version, {}), owned.fields)
    # The version of what is given up comes first: others may not be reachable without what was taken out of it.
    for version in sorted(by_version, key=lambda version: version != last.api_version):
        pruned = _add_back(terms, document, pruned, version, last.api_version, by_version[version])
    have = with_named_fields(fields_of(pruned, of), of)
    had = with_named_fields(fields_of(document, of), of)
    left = remove(document, intersection(difference(had, have), named_last), of)
    back = terms.in_version(left, str(merged.get("apiVersion", last.api_version)))
    return left if back is None else back[0]


def managed_union(managed: Managed) -> Fields:
    """Return what anybody owns."""
    fields: Fields = {}
    for owned in managed.values():
        fields = union(fields, owned.fields)
    return fields


def _add_back(
    terms: Terms, merged: Document, pruned: Document, version: str, pruned_version: str, owned: Fields
) -> Document:
    """Return the pruned document with what was taken out of it and somebody owns."""
    full, less = terms.in_version(merged, version), terms.in_version(pruned, version)
    if full is None or less is None:
        return pruned
    of = full[1]
    had = with_named_fields(fields_of(full[0], of), of)
    have = union(with_named_fields(fields_of(less[0], of), of), with_named_fields(owned, of))
    left = remove(full[0], difference(had, have), of)
    back = terms.in_version(left, pruned_version)
    return pruned if back is None else back[0]


# ---------------------------------------------------------------------------------------------------- taking over


def _take_from_others(
    terms: Terms,
    live: Document,
    new: Document,
    api_version: str,
    managed: Managed,
    me: Owner | None,
    *,
    force: bool,
) -> tuple[Managed, Comparison]:
    """Return the owners without what is no longer theirs, and what has changed.

    Raises: _Conflicts when others own what was changed, and it isn't taken by force.
    """
    change = compare(live, new, terms.of)
    changes: dict[str, Comparison | None] = {api_version: change}
    conflicts: dict[Owner, Fields] = {}
    left: Managed = {}
    for owner, owned in managed.items():
        if owner == me:
            left[owner] = owned
            continue
        if owned.api_version not in changes:
            changes[owned.api_version] = _compare_in(terms, live, new, owned.api_version)
        seen = changes[owned.api_version]
        if seen is None:
            continue  # nobody knows that version any longer
        if lost := intersection(owned.fields, seen.written):
            conflicts[owner] = lost
            owned = owned.less(lost)
        owned = owned.less(seen.removed)
        if owned.fields:
            left[owner] = owned
    if conflicts and not force:
        raise _Conflicts(conflicts)
    return left, change


def _compare_in(terms: Terms, live: Document, new: Document, version: str) -> Comparison | None:
    old_seen, new_seen = terms.in_version(live, version), terms.in_version(new, version)
    if old_seen is None or new_seen is None:
        return None
    return compare(old_seen[0], new_seen[0], new_seen[1])


# ---------------------------------------------------------------------------------------------------- other writes


def note_update(
    terms: Terms, live: Document, new: Document, managed: Managed, me: Owner, now: str
) -> Managed:
    """Return the owners after an ordinary write: its author owns what it changed, and nobody else does."""
    left, change = _take_from_others(terms, live, new, me.api_version, managed, me, force=True)
    mine = ownable(terms.owned_by_part(change.written, me.subresource))
    return cap_updaters(_owning(left, me, mine, change.removed, now))


def note_taking(
    terms: Terms, live: Document, new: Document, managed: Managed, me: Owner, now: str
) -> Managed:
    """Return the owners after a write of one of our own parts, which owns only what it takes from others."""
    everybody = managed_union(managed)
    left, change = _take_from_others(terms, live, new, me.api_version, managed, me, force=True)
    taken = intersection(everybody, terms.owned_by_part(change.written, me.subresource))
    return cap_updaters(_owning(left, me, taken, change.removed, now))


def _owning(managed: Managed, me: Owner, mine: Fields, removed: Fields, now: str) -> Managed:
    """Return the owners with one who has just written some fields, and taken others away."""
    before = managed.get(me)
    kept = None if before is None else before.less(removed)
    if not mine:
        if kept is before or kept is None:
            return managed
        return {**managed, me: kept} if kept.fields else {o: owned for o, owned in managed.items() if o != me}
    if kept is None:
        return {**managed, me: Owned(mine, me.api_version, now)}
    if not difference(mine, kept.fields):
        return {**managed, me: replace(kept, time=now)}
    return {**managed, me: Owned(union(kept.fields, mine), me.api_version, now)}
