"""Gives a record's bytes in the version that a client asked for. Pure.

Most kinds have one version, and then the stored bytes are the answer as they are: nothing is decoded. The write path's
cache is not used on purpose: a record shown here may be one that the store never held (a dry run, a former state).
"""

from typing import Any

from pinnace.api.versions import convert, decode_stored, render_stored, stored_kind
from pinnace.kube.kinds import Kind
from pinnace.store.interface import Record


def decode_record(kind: Kind[Any], record: Record) -> Any:
    """Return the record's object, in the version in which its kind is kept; a custom one in the kind's own."""
    obj = decode_stored(stored_kind(kind), record)
    return convert(obj, kind) if kind.custom is not None else obj


def render_record(kind: Kind[Any], record: Record) -> bytes:
    """Return the record's object as JSON in the kind's version."""
    return render_stored(kind, record)
