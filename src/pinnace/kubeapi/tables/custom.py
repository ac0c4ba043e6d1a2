"""The table of a custom kind: its name, and the columns that its definition gives. Pure.

Source: Kubernetes v1.37, apiextensions-apiserver/pkg/registry/customresource/tableconvertor/tableconvertor.go.
"""

from functools import lru_cache
from typing import Any

import msgspec

from pinnace.api.custom.judging import whole_document_of
from pinnace.base.times import parse_time
from pinnace.kube.custom import PrinterColumn
from pinnace.kube.jsonpath import JsonPathError, find
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.custom import CustomObject
from pinnace.kubeapi.durations import render_duration
from pinnace.kubeapi.tables.columns import NAME, Cell, Column, Table

INVALID = "<invalid>"


@lru_cache(maxsize=256)
def custom_table(kind: Kind[Any]) -> Table[CustomObject]:
    """Return the table of a custom kind in one version."""
    assert kind.custom is not None
    given = kind.custom.columns
    columns = tuple(
        Column(
            one.name,
            one.description or f"{one.path} of the object.",
            one.type,
            one.format,
            one.priority,
        )
        for one in given
    )

    def cells(obj: CustomObject, now: float) -> tuple[Cell, ...]:
        document = whole_document_of(obj)
        return (obj.metadata.name, *(_cell(document, column, now) for column in given))

    return Table(columns=(NAME, *columns), cells=cells)


def _cell(document: dict[str, Any], column: PrinterColumn, now: float) -> Cell:
    try:
        found = find(column.path, document)
    except JsonPathError:
        return None
    if not found or found[0] is None:
        return None
    return _render(found[0], column.type, now)


def _render(value: Any, type_: str, now: float) -> Cell:
    match type_:
        case "string":
            if isinstance(value, str):
                return value
            return msgspec.json.encode(value).decode()
        case "integer":
            return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "number":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return value if number else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return _age(value, now)
    return None


def _age(value: Any, now: float) -> str:
    try:
        return render_duration(now - parse_time(value)) if isinstance(value, str) else INVALID
    except ValueError:
        return INVALID
