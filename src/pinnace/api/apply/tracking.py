"""Notes with each object who owns which of its fields: for creates, for ordinary writes, and for applies.

Called by the write path. Pure. What our own components write is nobody's until it takes a field from somebody: their
objects carry no owners, and a node's status costs nothing here. What a person creates or changes is theirs, as on a
cluster. What a new object owns is remembered by the form of its document, since most are made from few templates.
Source: Kubernetes v1.37, apimachinery/pkg/util/managedfields/internal (fieldmanager.go, managedfieldsupdater.go)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from pinnace.api.apply.comparing import created
from pinnace.api.apply.last_applied import keep_last_applied
from pinnace.api.apply.managed import (
    FIELDS_V1,
    UNKNOWN,
    UPDATE,
    Managed,
    Owned,
    Owner,
    is_reset,
    ownable,
    read_managed,
    same_but_for_times,
    share,
    updater,
    write_managed,
)
from pinnace.api.apply.schema_changes import reconcile
from pinnace.api.apply.server_side import (
    STATUS,
    Applied,
    Document,
    Terms,
    apply,
    note_taking,
    note_update,
)
from pinnace.api.apply.sets import render, without
from pinnace.api.apply.types import Record, type_of
from pinnace.api.context import Context
from pinnace.api.memo import Memo, spec_key
from pinnace.api.versions import convert, stored_kind
from pinnace.base.times import render_time
from pinnace.kube import codec, kinds
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.core_v1 import Pod, PodSpec
from pinnace.kube.objects.custom import CustomObject
from pinnace.kube.objects.meta_v1 import ManagedFieldsEntry, ObjectMeta

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Author:
    """In whose terms a write is noted: the version and part that the caller speaks of.

    `owners` is what an apply has made of the object's owners, None for all other writes; whoever applies sets it.
    """

    kind: Kind[Any]
    subresource: str = ""
    owners: tuple[ManagedFieldsEntry, ...] | None = None


def manager_of(context: Context, kind: Kind[Any]) -> str:
    """Return the name by which a caller owns fields."""
    if context.field_manager:
        return context.field_manager
    if context.reads_warnings:
        return UNKNOWN
    # Our own components go by the names that people know from clusters.
    return "kubelet" if kind is kinds.POD or kind is kinds.NODE else "kube-controller-manager"


# ---------------------------------------------------------------------------------------------------- terms


def terms_of(kind: Kind[Any]) -> Terms:
    """Return what documents of a kind are like."""

    def in_version(document: Document, api_version: str) -> tuple[Document, Record] | None:
        written = document.get("apiVersion") or kind.api_version
        target = kind if api_version == kind.api_version else _version(kind, api_version)
        if target is None:
            return None
        if written == api_version:
            return document, type_of(target)
        source = kind if written == kind.api_version else _version(kind, str(written))
        if source is None:
            return None
        obj: Any = codec.from_json(source, document)
        stored = stored_kind(kind)
        return codec.to_json(convert(convert(obj, stored), target)), type_of(target)

    return Terms(type_of(kind), in_version, kind.has_status)


def _version(kind: Kind[Any], api_version: str) -> Kind[Any] | None:
    group, _, version = api_version.rpartition("/")
    if kind.custom is not None:
        return kind.custom.family.rows.get(version) if group == kind.group else None
    found = kinds.by_gvk(group, version, kind.kind)
    return found if found is not None and found.resource == kind.resource else None


# ---------------------------------------------------------------------------------------------------- create

_CREATED: Memo[msgspec.Raw] = Memo(1024)
REMEMBERED_BYTES = 16_384


def note_creator(kind: Kind[Any], obj: T, context: Context, author: Author | None, now: float) -> T:
    """Return a new object, defaults filled in, with its creator as the owner of all that it has."""
    seen = author.kind if author is not None else kind
    if author is not None and author.owners is not None:
        return _with_owners(obj, author.owners)
    if not context.reads_warnings:
        return _with_owners(obj, ()) if _meta(obj).managed_fields else obj
    subject: Any = obj if seen is kind else convert(obj, seen)
    entry = ManagedFieldsEntry(
        manager=manager_of(context, kind),
        operation=UPDATE,
        api_version=seen.api_version,
        time=render_time(now),
        fields_type=FIELDS_V1,
        fields_v1=_created_fields(seen, subject),
    )
    return _with_owners(obj, (entry,) if entry.fields_v1 != _EMPTY_SET else ())


_EMPTY_SET = msgspec.Raw(b"{}")


def _created_fields(kind: Kind[Any], obj: Any) -> msgspec.Raw:
    meta = _meta(obj)
    bare = ObjectMeta(
        labels=dict.fromkeys(meta.labels, ""),
        annotations=dict.fromkeys(meta.annotations, ""),
        finalizers=meta.finalizers,
        owner_references=meta.owner_references,
        generate_name=meta.generate_name,
    )
    form = replace(obj, metadata=bare)
    key = (kind.api_version, *_keys_of(form))
    remembered = kind.custom is None and sum(map(len, key)) <= REMEMBERED_BYTES
    known = _CREATED.get(key) if remembered else None
    if known is None:
        fields = created(codec.to_json(form), type_of(kind))
        if kind.has_status:
            fields = without(fields, ("f:status",))
        known = share(render(ownable(fields)))
        if remembered:
            _CREATED.put(key, known)
    return known


def _keys_of(form: Any) -> tuple[bytes, ...]:
    """Return what is equal for equal forms; a spec that is one for many pods isn't written out for each of them."""
    if type(form) is not Pod:
        return (codec.encode(form),)
    return codec.encode(replace(form, spec=_NO_SPEC)), spec_key(form.spec)


_NO_SPEC = PodSpec()


# ---------------------------------------------------------------------------------------------------- other writes


def note_writer(kind: Kind[Any], old: T, new: T, context: Context, author: Author, now: float) -> T:
    """Return a changed object, ready to be stored, with its owners as they are after this write.

    It is the old object itself if nothing but times of owners would change.
    """
    held, given = _meta(old).managed_fields, _meta(new).managed_fields
    if author.owners is not None:
        return _settle(old, _with_owners(new, author.owners))
    managed, explicit = _read(held, given, author.subresource)
    if is_reset(given) and explicit:
        return _with_owners(new, ())
    if not managed:
        return new if not given else _with_owners(new, ())
    ours = not context.reads_warnings
    if ours and author.subresource == STATUS and not any(b'"f:status"' in bytes(e.fields_v1) for e in held):
        return new if given is held else _with_owners(new, held)
    after = _note(kind, old, new, managed, context, author, now, ours=ours)
    if after is managed:
        owners = write_managed(managed) if explicit else held
        return _settle(old, _with_owners(new, owners)) if owners is not given else new
    return _settle(old, _with_owners(new, write_managed(after)))


def _read(
    held: tuple[ManagedFieldsEntry, ...], given: tuple[ManagedFieldsEntry, ...], subresource: str
) -> tuple[Managed, bool]:
    """Return the owners that a write starts from, and whether the writer has given them."""
    if given is not held and given and not subresource and given != held:
        if is_reset(given):
            return {}, True
        try:
            managed = read_managed(given, as_given=True)
        except ValueError:
            managed = {}
        if managed:
            return managed, True
    try:
        return read_managed(held), False
    except ValueError:
        return {}, False


def _note(
    kind: Kind[Any],
    old: Any,
    new: Any,
    managed: Managed,
    context: Context,
    author: Author,
    now: float,
    *,
    ours: bool,
) -> Managed:
    seen = author.kind
    if seen is not kind:
        old, new = convert(old, seen), convert(new, seen)
    one_version = all(owned.api_version == seen.api_version for owned in managed.values())
    before, after = _documents(seen, old, new, whole=not one_version)
    if before == after:
        return managed
    me: Owner = updater(manager_of(context, kind), seen.api_version, author.subresource)
    note = note_taking if ours else note_update
    noted = note(terms_of(seen), before, after, managed, me, render_time(now))
    return managed if noted == managed else noted


def _documents(kind: Kind[Any], old: Any, new: Any, *, whole: bool) -> tuple[Document, Document]:
    """Return two states as documents; of an object of one version only those parts that differ."""
    if isinstance(old, CustomObject):
        parts = [
            ({"metadata": _bare(old)}, {"metadata": _bare(new)}),
            (old.body, new.body),
        ]
        before, after = ({**parts[0][at], **parts[1][at]} for at in (0, 1))
    elif whole:
        before, after = codec.to_json(_stripped(old)), codec.to_json(_stripped(new))
    else:
        before, after = differing(old, new)
    before["apiVersion"] = after["apiVersion"] = kind.api_version
    before["kind"] = after["kind"] = kind.kind
    return before, after


_NOT_COMPARED = frozenset({"managed_fields", "resource_version", "generation", "self_link"})


def differing(old: Any, new: Any) -> tuple[Document, Document]:
    """Return what differs of two objects, or of their metadata, on both sides."""
    before: Document = {}
    after: Document = {}
    for name, wire in zip(old.__struct_fields__, old.__struct_encode_fields__, strict=True):
        one, other = getattr(old, name), getattr(new, name)
        if one is other or name in _NOT_COMPARED or one == other:
            continue
        if name == "metadata":
            before[wire], after[wire] = differing(one, other)
        else:
            _put(before, wire, one)
            _put(after, wire, other)
    return before, after


def _put(document: Document, wire: str, value: Any) -> None:
    if value is None or value == "" or value == () or value == {}:
        return
    document[wire] = msgspec.json.decode(msgspec.json.encode(value))


def _stripped(obj: Any) -> Any:
    return replace(obj, metadata=replace(_meta(obj), managed_fields=()))


def _bare(obj: Any) -> Document:
    meta = replace(_meta(obj), managed_fields=(), resource_version="", generation=None, self_link="")
    document: Document = msgspec.json.decode(codec.encode(meta))
    return document


def _settle(old: T, new: T) -> T:
    """Return the old object if the new one differs in the times of owners at most."""
    held, given = _meta(old).managed_fields, _meta(new).managed_fields
    if held == given:
        return new
    if same_but_for_times(held, given) and _with_owners(new, held) == old:
        return old
    return new


# ---------------------------------------------------------------------------------------------------- applies


def apply_to(
    kind: Kind[Any],
    live: Any | None,
    document: Document,
    context: Context,
    author: Author,
    now: float,
    *,
    force: bool,
) -> Document:
    """Return the document after an apply to an object (None: there is none yet); the author has the owners then.

    Raises: ApiError Conflict, BadRequest.
    """
    before: Document = {} if live is None else codec.to_json(_stripped(live))
    managed: Managed = {} if live is None else _read(_meta(live).managed_fields, (), "")[0]
    terms = terms_of(kind)
    if kind.custom is not None:
        managed = _reconciled(kind, managed)
    applied = Applied(context.field_manager, document, kind.api_version, author.subresource, force)
    outcome = apply(terms, before, managed, applied, render_time(now))
    result = outcome.document
    if context.field_manager == "kubectl" and not author.subresource:
        result = keep_last_applied(result, document)
    author.owners = write_managed(outcome.managed)
    return result


def _reconciled(kind: Kind[Any], managed: Managed) -> Managed:
    settled: Managed = {}
    for owner, owned in managed.items():
        version = kind if owned.api_version == kind.api_version else _version(kind, owned.api_version)
        fields = owned.fields if version is None else reconcile(owned.fields, type_of(version))
        settled[owner] = owned if fields is owned.fields else Owned(fields, owned.api_version, owned.time)
    return settled


def _meta(obj: Any) -> ObjectMeta:
    meta: ObjectMeta = obj.metadata
    return meta


def _with_owners(obj: T, owners: tuple[ManagedFieldsEntry, ...]) -> T:
    changed: Any = replace(obj, metadata=replace(_meta(obj), managed_fields=owners))  # type: ignore[type-var]
    result: T = changed
    return result
