"""Turns stored records into what a client wants to see: objects, tables, metadata only, as JSON or YAML.

The common case joins stored bytes and decodes nothing. Reads only. Source: Kubernetes v1.36, apiserver/pkg/endpoints/
handlers/response.go, for what a table's rows carry.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import yaml

from pinnace.api.versions import convert, decode_stored, render_stored, stored_kind
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.codec import encode
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.negotiation import YAML, Form, Wanted
from pinnace.kubeapi.query import Query
from pinnace.kubeapi.tables import table_of
from pinnace.store.interface import Record, Revision

log = logging.getLogger("pinnace.kubeapi")

_encode = msgspec.json.Encoder().encode

INCLUDE_OBJECT = ("None", "Metadata", "Object")  # Source: Kubernetes, meta/v1, IncludeObjectPolicy


class _MetadataOnly(msgspec.Struct):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


_decode_metadata = msgspec.json.Decoder(_MetadataOnly).decode


def read_include_object(query: Query) -> str:
    """Return what a table's rows should carry. Raises: ApiError BadRequest."""
    text = query.text("includeObject")
    if text and text not in INCLUDE_OBJECT:
        raise ApiError(Reason.BAD_REQUEST, f"unrecognized value for includeObject: {text!r}")
    return text or "Metadata"


class Presenter:
    """Shows records of one kind in the form that one client wants."""

    def __init__(self, clock: Clock, kind: Kind[Any], wanted: Wanted, query: Query) -> None:
        self._clock = clock
        self._kind = kind
        self._wanted = wanted
        self._include = read_include_object(query)

    @property
    def is_plain(self) -> bool:
        """Whether objects are shown whole, the same for everybody who wants them so."""
        return self._wanted.form is Form.OBJECT

    def one(self, record: Record) -> bytes:
        """Return one object."""
        form = self._wanted.form
        if form is Form.TABLE:
            return self._finish(self.table((record,), {"resourceVersion": str(record.revision)}))
        return self._finish(self._partial(record) if form is Form.PARTIAL else self._object(record))

    def view(self, obj: msgspec.Struct) -> bytes:
        """Return an object that is made for this answer and stored nowhere, such as a Scale."""
        value, form = encode(obj), self._wanted.form
        if form is Form.TABLE:
            table = table_of(self._kind)
            row: dict[str, Any] = {"cells": table.cells(obj, self._clock.now())}
            if self._include != "None":
                row["object"] = msgspec.Raw(value if self._include == "Object" else self._metadata_of(value))
            return self._finish(_encode(self._table_of_rows([row], {}, table.columns)))
        return self._finish(self._metadata_of(value) if form is Form.PARTIAL else value)

    def many(
        self, records: Sequence[Record], revision: Revision, *, next_page: str = "", remaining: int = 0
    ) -> bytes:
        """Return a list. Shape: `next_page` is the continue token, "" on the last page."""
        head: dict[str, Any] = {"resourceVersion": str(revision)}
        if next_page:
            head["continue"] = next_page
            if remaining:
                head["remainingItemCount"] = remaining
        form = self._wanted.form
        if form is Form.TABLE:
            return self._finish(self.table(records, head))
        if form is Form.PARTIAL_LIST:
            document = render_list(form.value, self._meta_version, head, map(self._partial, records))
        else:
            document = render_list(
                self._kind.list_kind, self._kind.api_version, head, map(self._object, records)
            )
        return self._finish(document)

    def in_event(self, record: Record, *, first: bool) -> bytes:
        """Return what stands in a watch event; a table has its columns in the first event only."""
        form = self._wanted.form
        if form is Form.TABLE:
            return self.table((record,), {"resourceVersion": str(record.revision)}, with_columns=first)
        return self._partial(record) if form is Form.PARTIAL else self._object(record)

    def bookmark(self, revision: Revision, annotations: dict[str, str]) -> bytes:
        """Return an object that only says how far the stream has come."""
        meta: dict[str, Any] = {"resourceVersion": str(revision)}
        if annotations:
            meta["annotations"] = annotations
        kind, form = self._kind, self._wanted.form
        partial = {"kind": "PartialObjectMetadata", "apiVersion": self._meta_version, "metadata": meta}
        if form is Form.PARTIAL:
            return _encode(partial)
        if form is Form.TABLE:
            # Only a row has room for annotations.
            rows = [{"cells": [], "object": partial}] if annotations else []
            return _encode(self._table_of_rows(rows, {"resourceVersion": str(revision)}, ()))
        return _encode({"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta})

    def table(self, records: Iterable[Record], head: dict[str, Any], *, with_columns: bool = True) -> bytes:
        """Return a `Table` with a row for each record."""
        table, now = table_of(self._kind), self._clock.now()
        rows: list[dict[str, Any]] = []
        for record in records:
            obj = _decode(self._kind, record)
            try:
                row: dict[str, Any] = {"cells": table.cells(obj, now)}
                conditions = table.conditions(obj) if table.conditions is not None else None
            except Exception:  # whatever somebody wrote into a status, the other rows can be read
                log.warning("%s has no row", record.key, exc_info=True)
                name = record.key.name
                row, conditions = {"cells": [name, *["<invalid>"] * (len(table.columns) - 1)]}, None
            if conditions:
                row["conditions"] = conditions
            if self._include != "None":
                whole = self._include == "Object"
                row["object"] = msgspec.Raw(self._object(record) if whole else self._partial(record))
            rows.append(row)
        return _encode(self._table_of_rows(rows, head, table.columns if with_columns else ()))

    def _table_of_rows(
        self, rows: list[dict[str, Any]], head: dict[str, Any], columns: Any
    ) -> dict[str, Any]:
        return {
            "kind": "Table",
            "apiVersion": self._meta_version,
            "metadata": head,
            "columnDefinitions": [column.definition() for column in columns],
            "rows": rows,
        }

    @property
    def _meta_version(self) -> str:
        return f"meta.k8s.io/{self._wanted.version}"

    def _object(self, record: Record) -> bytes:
        return render_stored(self._kind, record)

    def _partial(self, record: Record) -> bytes:
        return self._metadata_of(record.value)

    def _metadata_of(self, value: bytes) -> bytes:
        return b'{"kind":"PartialObjectMetadata","apiVersion":"%b","metadata":%b}' % (
            self._meta_version.encode(),
            bytes(_decode_metadata(value).metadata),
        )

    def _finish(self, document: bytes) -> bytes:
        return finish(document, self._wanted)


def _decode(kind: Kind[Any], record: Record) -> Any:
    """Return the record's object, in the version in which its kind is kept; a custom one in the kind's own.

    The write path's cache is not used on purpose: a record shown here may be one that the store never held (a dry run, a
    former state).
    """
    obj = decode_stored(stored_kind(kind), record)
    return convert(obj, kind) if kind.custom is not None else obj


def render_list(kind: str, api_version: str, head: dict[str, Any], items: Iterable[bytes]) -> bytes:
    """Return a list of documents that are JSON already."""
    return b"".join(
        (
            b'{"kind":"%b","apiVersion":"%b","metadata":' % (kind.encode(), api_version.encode()),
            _encode(head),
            b',"items":[',
            b",".join(items),
            b"]}\n",
        )
    )


def finish(document: bytes, wanted: Wanted) -> bytes:
    """Return a JSON document in the syntax that is wanted."""
    return document if wanted.media_type != YAML else to_yaml(document)


def to_yaml(document: bytes) -> bytes:
    """Return a JSON document as YAML."""
    text: str = yaml.dump(msgspec.json.decode(document), Dumper=_Dumper, sort_keys=True)
    return text.encode()


_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
