"""Field selectors: their text, and which fields of which kind they may name.

Pure; called for lists and watches. The store indexes some of these fields.
Source: Kubernetes v1.36, apimachinery/pkg/fields/selector.go; the fields are those of pkg/apis/*/v1/conversion.go
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import Kind
from pinnace.kube.schema import Form, Shape, schema_of


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One condition on one field: equal to a value, or not."""

    path: str
    value: str
    equal: bool = True

    def matches(self, fields: Mapping[str, str]) -> bool:
        return (fields.get(self.path, "") == self.value) is self.equal


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A predicate over fields: all requirements hold."""

    requirements: tuple[FieldRequirement, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        return all(requirement.matches(fields) for requirement in self.requirements)

    @property
    def equals(self) -> dict[str, str]:
        """The fields that must have a certain value, for a look-up in an index."""
        return {r.path: r.value for r in self.requirements if r.equal}


_FIELD_PARTS = re.compile(r"((?:\\.|[^\\,])*)(?:,|$)", re.DOTALL)
_FIELD_TERM = re.compile(r"((?:\\.|[^\\=!])*)(==|!=|=)(.*)", re.DOTALL)


def parse_fields(text: str) -> FieldSelector:
    """Return the predicate of a field selector's text; backslashes escape commas, equals signs and themselves.

    Raises: ApiError BadRequest in Kubernetes' words.
    Example: "spec.nodeName=here,status.phase!=Failed".
    """
    terms = [part for part in _FIELD_PARTS.findall(text) if part]
    return FieldSelector(tuple(_field_requirement(text, term) for term in terms))


def _field_requirement(text: str, term: str) -> FieldRequirement:
    match = _FIELD_TERM.fullmatch(term)
    if match is None:
        raise ApiError(Reason.BAD_REQUEST, f"invalid selector: '{text}'; can't understand '{term}'")
    path, symbol, value = match.groups()
    return FieldRequirement(path.strip(), re.sub(r"\\([\\,=])", r"\1", value), symbol != "!=")


# Beside metadata.name and metadata.namespace, which every kind has.
SELECTABLE: Mapping[str, tuple[str, ...]] = {
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "pods": (
        "spec.hostNetwork",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.nominatedNodeName",
        "status.phase",
        "status.podIP",
    ),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "apps/replicasets": ("status.replicas",),
    "batch/jobs": ("status.successful",),
    "replicationcontrollers": ("status.replicas",),
}
# Where the name of a field is not its path.
_PATHS: Mapping[tuple[str, str], str] = {
    ("batch/jobs", "status.successful"): "status.succeeded",
    ("events", "source"): "source.component",
}


# What fields are called in a version that isn't the stored one. Source: pkg/apis/events/v1/conversion.go
_ALIASES: Mapping[str, Mapping[str, str]] = {
    "events.k8s.io/v1": {
        **{
            f"regarding.{name}": f"involvedObject.{name}"
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        },
        "reportingController": "reportingComponent",
        **{name: name for name in ("reason", "type", "metadata.name", "metadata.namespace")},
    }
}


def translate_fields(kind: Kind[Any], selector: FieldSelector) -> FieldSelector:
    """Return a selector on a kind in its stored version's words. Raises: ApiError BadRequest."""
    aliases = _ALIASES.get(kind.api_version)
    if aliases is None:
        return selector
    for requirement in selector.requirements:
        if requirement.path not in aliases:
            raise ApiError(Reason.BAD_REQUEST, f"field label not supported: {requirement.path}")
    return FieldSelector(tuple(replace(r, path=aliases[r.path]) for r in selector.requirements))


def selectable_fields(kind: Kind[Any]) -> tuple[str, ...]:
    """Return the fields that a selector on this kind may name."""
    own = SELECTABLE.get(kind.resource, ()) if kind.custom is None else tuple(kind.custom.selectable)
    return ("metadata.name", *(("metadata.namespace",) if kind.namespaced else ()), *own)


def fields_of(kind: Kind[Any], obj: Any) -> dict[str, str]:
    """Return an object's selectable fields with their values as text: "" for what is not set, "false" for a boolean."""
    if kind.custom is not None:
        return _fields_of_custom(kind.custom.selectable, obj)
    found = {}
    for name, read, empty in _readers(kind):
        value = read(obj)
        found[name] = empty if value is None else value if isinstance(value, str) else _render(value)
    return found


def _fields_of_custom(selectable: Mapping[str, tuple[str, ...]], obj: Any) -> dict[str, str]:
    found = {"metadata.name": obj.metadata.name, "metadata.namespace": obj.metadata.namespace}
    for name, path in selectable.items():
        value: Any = obj.body
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        found[name] = "" if value is None else _render(value)
    return found


_NOT_SET = {Form.BOOLEAN: "false", Form.INTEGER: "0"}  # everything else is "" when it is not set


def _render(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_fields(kind: Kind[Any], selector: FieldSelector) -> None:
    """Refuse a selector that names a field that this kind can't be selected by.

    Raises: ApiError BadRequest in Kubernetes' words.
    """
    known = selectable_fields(kind)
    for requirement in selector.requirements:
        if requirement.path not in known:
            if kind.resource in SELECTABLE or kind.custom is not None:
                raise ApiError(Reason.BAD_REQUEST, f"field label not supported: {requirement.path}")
            # Source: apimachinery/pkg/runtime/conversion.go, DefaultMetaV1FieldSelectorConversion
            why = 'is not a known field selector: only "metadata.name", "metadata.namespace"'
            raise ApiError(Reason.BAD_REQUEST, f'"{requirement.path}" {why}')


@cache
def _readers(kind: Kind[Any]) -> tuple[tuple[str, attrgetter[Any], str], ...]:
    return tuple(
        (name, *_reader(kind.type, _PATHS.get((kind.resource, name), name)))
        for name in selectable_fields(kind)
    )


def _reader(struct: type[Any], path: str) -> tuple[attrgetter[Any], str]:
    """Return how to read a wire path, and its text when it is not set. All structs on the way always exist."""
    attributes, shape = [], Shape(Form.STRUCT, struct=struct)
    for wire in path.split("."):
        assert shape.struct is not None
        field = schema_of(shape.struct).fields[wire]
        attributes.append(field.attribute)
        shape = field.shape
    return attrgetter(".".join(attributes)), _NOT_SET.get(shape.form, "")
