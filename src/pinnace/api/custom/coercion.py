"""Brings a custom object into the form that a version's schema gives it, and reads and shows stored ones.

Called by the write path for what comes in and by the reader for what is stored. Pure but for the family's note of which
stored bytes can be served as they are. Invariant: what leaves here holds nothing that its schema doesn't know, and every
default. Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apiserver/customresource_handler.go (schemaCoercingDecoder,
schemaCoercingConverter, unstructuredDefaulter).
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from pinnace.base.errors import Bug
from pinnace.kube.custom import CustomVersion
from pinnace.kube.custom_codec import custom_from_values, encode_custom
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.custom import CustomObject
from pinnace.kube.structural.defaulting import default
from pinnace.kube.structural.pruning import prune
from pinnace.store.interface import Key, Record

CLEAN_NOTES = 200_000


def version_of(kind: Kind[Any]) -> CustomVersion:
    """Return what the definition says of a custom kind."""
    if kind.custom is None:
        raise Bug(f"{kind} is no custom kind")
    return kind.custom


def coerce(kind: Kind[Any], obj: CustomObject) -> CustomObject:
    """Return the object pruned and defaulted by the kind's schema; the same one where nothing changes."""
    schema = version_of(kind).structural
    body = default(prune(obj.body, schema, root=True), schema)
    return obj if body is obj.body else replace(obj, body=body)


def to_version(kind: Kind[Any], obj: CustomObject) -> CustomObject:
    """Return the object in another version: conversion is "None", which changes the apiVersion only."""
    if obj.api_version == kind.api_version:
        return obj
    return coerce(kind, replace(obj, api_version=kind.api_version))


def decode_custom(stored: Kind[Any], record: Record) -> CustomObject:
    """Return a stored record's object in the version in which objects are kept now, whatever version wrote it."""
    family = version_of(stored).family
    value = msgspec.json.decode(record.value)
    written = str(value.get("apiVersion", ""))
    obj = custom_from_values(stored, value, written)
    writer = family.rows.get(written.rpartition("/")[2])
    known = obj if writer is None else coerce(writer, obj)
    found = known if written == stored.api_version else to_version(stored, known)
    if found is obj and writer is stored:
        note_clean(stored, record.header.key, record.value)
    return found


def note_clean(stored: Kind[Any], key: Key, value: bytes) -> None:
    """Note that these bytes are what the present schema makes of them."""
    clean = version_of(stored).family.clean
    if len(clean) >= CLEAN_NOTES:
        clean.clear()  # forgetting costs one decoding each
    clean[key] = hash(value)


def render_custom(kind: Kind[Any], record: Record) -> bytes:
    """Return a stored record as JSON in a version; the stored bytes as they are wherever that is possible."""
    family = version_of(kind).family
    stored = family.stored
    if stored is kind and family.clean.get(record.header.key) == hash(record.value):
        return record.value
    obj = decode_custom(stored, record)
    if stored is kind and family.clean.get(record.header.key) == hash(record.value):
        return record.value
    return encode_custom(to_version(kind, obj))
