"""Compiles an openAPIV3Schema to nodes that can be walked quickly.

Called once per version of a definition. Never judges the schema: `api/custom/schema_rules.py` does, before it is stored.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apiserver/schema/structural.go
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ABSENT: Final = object()

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Structural:
    """One node of a schema.

    `additional` is the schema of a map's values, True for any value, None where other fields are unknown. `raw` is the
    node as it was written, with all value validations. `has_defaults` says whether there is a default in or below it;
    `prunes` whether there may be something to take out in or below it.
    """

    raw: Json
    type: str = ""
    properties: Mapping[str, Structural] = field(default_factory=dict)
    items: Structural | None = None
    additional: Structural | bool | None = None
    default: Any = ABSENT
    nullable: bool = False
    preserve: bool = False
    embedded: bool = False
    int_or_string: bool = False
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    map_type: str = ""
    has_defaults: bool = False


def compile_structural(raw: Json) -> Structural:
    """Return the compiled schema. Wrong types in it are ignored: a stored definition has none."""
    properties = {
        name: compile_structural(part)
        for name, part in (raw.get("properties") or {}).items()
        if isinstance(part, Mapping)
    }
    given = raw.get("items")
    items = compile_structural(given) if isinstance(given, Mapping) else None
    more = raw.get("additionalProperties")
    additional: Structural | bool | None = None
    if isinstance(more, Mapping):
        additional = compile_structural(more)
    elif more:
        additional = True
    below = (*properties.values(), items, additional)
    default = raw.get("default", ABSENT)
    return Structural(
        raw=raw,
        type=str(raw.get("type") or ""),
        properties=properties,
        items=items,
        additional=additional,
        default=default,
        nullable=bool(raw.get("nullable")),
        preserve=bool(raw.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(raw.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(raw.get("x-kubernetes-int-or-string")),
        list_type=str(raw.get("x-kubernetes-list-type") or ""),
        list_keys=tuple(raw.get("x-kubernetes-list-map-keys") or ()),
        map_type=str(raw.get("x-kubernetes-map-type") or ""),
        has_defaults=default is not ABSENT
        or any(node.has_defaults for node in below if isinstance(node, Structural)),
    )
