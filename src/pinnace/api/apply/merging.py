"""Merges what somebody applies into a document, takes out what nobody wants any more, and reads values at paths.

Pure; documents are plain JSON values, and none is changed.
Source: Kubernetes v1.36, sigs.k8s.io/structured-merge-diff/v6/typed (merge.go, remove.go).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pinnace.api.apply.fieldsets import (
    ROOT_FIELD,
    Path,
    child_field,
    is_granular,
    item_step,
    shape_of_kind,
)
from pinnace.kube.kinds import Kind
from pinnace.kube.schema import FieldSchema

ABSENT: Final = object()


def _root(kind: Kind[Any]) -> FieldSchema:
    return FieldSchema(ROOT_FIELD, ROOT_FIELD, shape_of_kind(kind))


def merge_applied(kind: Kind[Any], live: Mapping[str, Any], applied: Mapping[str, Any]) -> dict[str, Any]:
    """Return the live document with everything that is applied in it."""
    merged: dict[str, Any] = _merge(dict(live), dict(applied), _root(kind))
    return merged


def _merge(live: Any, applied: Any, field: FieldSchema | None) -> Any:
    if field is None or not is_granular(applied, field) or type(live) is not type(applied):
        return applied
    if isinstance(applied, dict):
        merged = dict(live)
        for name, part in applied.items():
            merged[name] = _merge(live[name], part, child_field(field.shape, name)) if name in live else part
        return merged
    return _merge_list(live, applied, field)


def _merge_list(live: list[Any], applied: list[Any], field: FieldSchema) -> list[Any]:
    wanted = {item_step(item, field): item for item in applied}
    item_field = (
        None if field.shape.item is None else FieldSchema(field.wire, field.attribute, field.shape.item)
    )
    merged = []
    for item in live:
        update = wanted.pop(item_step(item, field), ABSENT)
        merged.append(item if update is ABSENT else _merge(item, update, item_field))
    return [*merged, *wanted.values()]


def remove_paths(kind: Kind[Any], document: Mapping[str, Any], paths: Iterable[Path]) -> dict[str, Any]:
    """Return the document without what stands at the paths; what becomes empty by that goes too."""
    result: Any = dict(document)
    gone = frozenset(paths)
    for path in gone:
        if not any(
            path[:length] in gone for length in range(1, len(path))
        ):  # else it goes with what it is part of
            result = _remove(result, path, _root(kind))
    removed: dict[str, Any] = result
    return removed


def _remove(value: Any, path: Path, field: FieldSchema | None) -> Any:
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and step.startswith("f:"):
        name = step[2:]
        if name not in value:
            return value
        below = (
            _remove(value[name], rest, child_field(field.shape if field else None, name)) if rest else ABSENT
        )
        if below is ABSENT or (below in ({}, []) and value[name] not in ({}, [])):
            return {key: part for key, part in value.items() if key != name}
        return {**value, name: below}
    if isinstance(value, list) and field is not None:
        item_field = (
            None if field.shape.item is None else FieldSchema(field.wire, field.attribute, field.shape.item)
        )
        kept = []
        for item in value:
            if item_step(item, field) != step:
                kept.append(item)
            elif rest:
                kept.append(_remove(item, rest, item_field))
        return kept
    return value


def value_at(kind: Kind[Any], document: Mapping[str, Any], path: Path) -> Any:
    """Return what stands at a path, or ABSENT."""
    value: Any = document
    field: FieldSchema | None = _root(kind)
    for step in path:
        if isinstance(value, dict) and step.startswith("f:"):
            name = step[2:]
            value, field = value.get(name, ABSENT), child_field(field.shape if field else None, name)
        elif isinstance(value, list) and field is not None:
            of_list = field
            value = next((item for item in value if item_step(item, of_list) == step), ABSENT)
            field = None if of_list.shape.item is None else FieldSchema("", "", of_list.shape.item)
        else:
            return ABSENT
        if value is ABSENT:
            return ABSENT
    return value
