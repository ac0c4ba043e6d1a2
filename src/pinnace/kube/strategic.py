"""Strategic merge patch: a merge that knows which lists are sets and by which key their items are told apart.

Pure, on plain JSON values with a kind's schema; neither document nor patch is changed.
Source: Kubernetes v1.36, apimachinery/pkg/util/strategicpatch/patch.go, StrategicMergePatch

Directives in a patch: `$patch: replace|delete|merge` in a map or a list's item, `$setElementOrder/LIST`,
`$deleteFromPrimitiveList/LIST`, `$retainKeys`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import msgspec

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.go_text import plain, type_name
from pinnace.kube.schema import FieldSchema, Form, Shape, schema_of

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
ORDER = "$setElementOrder/"
DELETE_FROM = "$deleteFromPrimitiveList/"

_FREE = Shape(Form.FREE)
_UNKNOWN = FieldSchema("", "", _FREE)

JsonObject = dict[str, Any]
JsonList = list[Any]


def strategic_merge(document: Any, patch: Any, struct: type[Any]) -> Any:
    """Return the document with the patch merged in.

    Raises: ApiError BadRequest for a patch whose directives make no sense.
    """
    if not isinstance(patch, dict):
        raise _bad("invalid JSON document")
    return _merge_map(document, patch, Shape(Form.STRUCT, struct=struct))


def _bad(message: str) -> ApiError:
    return ApiError(Reason.BAD_REQUEST, message)


def _field(shape: Shape, name: str) -> FieldSchema:
    if shape.struct is not None:
        return schema_of(shape.struct).fields.get(name, _UNKNOWN)
    return FieldSchema(name, name, shape.item) if shape.form is Form.MAP and shape.item else _UNKNOWN


def _merge_map(original: JsonObject, patch: JsonObject, shape: Shape) -> JsonObject:
    if DIRECTIVE in patch:
        return _whole(patch)
    result, rest = _retained(original, patch), dict(patch)
    rest.pop(RETAIN_KEYS, None)
    for key in [key for key in rest if key.startswith(ORDER)]:
        name = key.removeprefix(ORDER)
        _merge_ordered(result, name, rest.pop(key), rest.pop(name, None), _field(shape, name))
    for key, value in rest.items():
        if key.startswith(DELETE_FROM):
            _delete_from(result, key.removeprefix(DELETE_FROM), value)
        elif value is None or (key not in result and _is_deletion(value)):
            result.pop(key, None)
        else:
            result[key] = _merge_value(result.get(key), value, _field(shape, key))
    return result


def _whole(patch: JsonObject) -> JsonObject:
    match patch[DIRECTIVE]:
        case "replace":
            return {
                key: _plain(value) for key, value in patch.items() if key != DIRECTIVE and value is not None
            }
        case "delete":
            return {}
        case other:
            raise _bad(f"unknown patch type: {plain(other)} in map: {plain(patch)}")


def _merge_value(original: Any, patch: Any, field: FieldSchema) -> Any:
    if isinstance(original, dict) and isinstance(patch, dict) and "replace" not in field.strategies:
        return _merge_map(original, patch, field.shape)
    if isinstance(original, list) and isinstance(patch, list) and "merge" in field.strategies:
        return _merge_list(original, patch, field)
    return _plain(patch)


def _plain(patch: Any) -> Any:
    """Return a patch's value as a value of its own: without nulls in maps, and without directives."""
    if isinstance(patch, dict):
        return {
            key: _plain(value)
            for key, value in patch.items()
            if not (value is None or _is_directive(key) or _is_deletion(value))
        }
    if isinstance(patch, list):
        return [_plain(item) for item in patch if not (isinstance(item, dict) and DIRECTIVE in item)]
    return patch


def _is_directive(key: str) -> bool:
    return key in (DIRECTIVE, RETAIN_KEYS) or key.startswith((ORDER, DELETE_FROM))


def _is_deletion(value: Any) -> bool:
    return isinstance(value, dict) and value.get(DIRECTIVE) == "delete"


def _retained(original: JsonObject, patch: JsonObject) -> JsonObject:
    keys = patch.get(RETAIN_KEYS)
    if keys is None:
        return dict(original)
    named = (key for key, value in patch.items() if value is not None and not _is_directive(key))
    if not isinstance(keys, list) or any(key not in keys for key in named):
        raise _bad("invalid patch format of retainKeys")
    return {key: value for key, value in original.items() if key in keys}


def _delete_from(result: JsonObject, name: str, gone: Any) -> None:
    if not isinstance(gone, list):
        raise _bad("invalid patch format of primitive list")
    if isinstance(current := result.get(name), list):
        tokens = set(map(_token, gone))
        result[name] = [item for item in current if _token(item) not in tokens]


# --- lists ---

Token = Hashable
Identity = Callable[[Any], Token]  # what tells a list's items apart


def _token(value: Any) -> Token:
    """Return something hashable that is equal for equal JSON values only (in Python, True == 1)."""
    return (
        (type(value) is bool, value)
        if isinstance(value, Hashable)
        else msgspec.json.encode(value, order="sorted")
    )


def _merge_list(original: JsonList, patch: JsonList, field: FieldSchema) -> JsonList:
    """Return both lists' items: those of the patch in its order, the others in the original's, interleaved."""
    original, patch, merged = _merge_items(original, patch, field)
    return _arranged(merged, patch, original, _identity(field, merged))


def _merge_items(
    original: JsonList, patch: JsonList, field: FieldSchema
) -> tuple[JsonList, JsonList, JsonList]:
    """Return (original, patch, merged), the first two without what special items took away."""
    _check_alike(original, patch)
    if not any(isinstance(item, dict) for item in (*original, *patch)):
        unique: dict[Token, Any] = {}
        for item in (*original, *patch):
            unique.setdefault(_token(item), item)
        return original, patch, list(unique.values())
    if not field.merge_key:
        raise _bad(f"cannot merge lists without merge key for {field.wire}")
    original, patch = _apply_special(original, patch, field.merge_key)
    identity, item_shape = _identity(field, [{}]), field.shape.item or _FREE
    merged = list(original)
    places = {identity(item): at for at, item in reversed(list(enumerate(original)))}
    for item in patch:
        at = places.setdefault(identity(item), len(merged))
        if at == len(merged):
            merged.append(_plain(item))
        else:
            merged[at] = _merge_map(merged[at], item, item_shape)
    return original, patch, merged


def _check_alike(original: JsonList, patch: JsonList) -> None:
    forms = {type(item) for item in (*original, *patch)}
    if len(forms) > 1:
        raise _bad(f"list element types are not identical: [{plain(original)} {plain(patch)}]")
    if forms == {list}:
        raise ApiError(Reason.INVALID, "lists of lists are not supported")


def _apply_special(original: JsonList, patch: JsonList, merge_key: str) -> tuple[JsonList, JsonList]:
    """Carry out `$patch` items: some delete an item, one replaces the whole list."""
    kept, gone, replace = [], set(), False
    for item in patch:
        match item.get(DIRECTIVE) if isinstance(item, dict) else None:
            case None:
                kept.append(item)
            case "delete":
                gone.add(_key_of(item, merge_key))
            case "replace":
                replace = True
            case "merge":
                raise _bad("merging lists cannot yet be specified in the patch")
            case other:
                raise _bad(f"unknown patch type: {plain(other)} in map: {plain(item)}")
    if replace:
        return _plain(kept), []
    return [item for item in original if _key_of(item, merge_key) not in gone] if gone else original, kept


def _merge_ordered(result: JsonObject, name: str, order: Any, patch: Any, field: FieldSchema) -> None:
    """Merge a list and put it in the order that `$setElementOrder` gives."""
    original = result.get(name)
    for value in (order, original, patch):
        if not isinstance(value, list) and (value is order or value is not None):
            raise _bad(f"expected a []interface {{}}, but received a {type_name(value)}")
    identity = _identity(field, order)
    _check_order(patch or (), order, identity)
    if patch is None and original is None:
        return
    if original is None:
        merged = _plain(patch)
    elif patch is None:
        merged = original
    else:
        merged = _merge_value(original, patch, field)
    result[name] = _arranged(merged, order, original or [], identity)


def _identity(field: FieldSchema, items: Sequence[Any]) -> Identity:
    """Return the merge key's value as an item's identity; plain values are their own."""
    if field.merge_key and any(isinstance(item, dict) for item in items):
        return lambda item: _key_of(item, field.merge_key)
    return _token


def _arranged(merged: JsonList, order: Sequence[Any], live: Sequence[Any], identity: Identity) -> JsonList:
    """Return items in `order`; those that it doesn't name are put in where the live list had them, as far as possible."""
    ordered, known = _places(order, identity), _places(live, identity)
    named = sorted((i for i in merged if identity(i) in ordered), key=lambda i: ordered[identity(i)])
    others = sorted(
        (i for i in merged if identity(i) not in ordered), key=lambda i: known.get(identity(i), len(known))
    )
    arranged: JsonList = []
    at = 0
    for item in named:
        place = known.get(identity(item), -1)
        while at < len(others) and known.get(identity(others[at]), place) < place:
            arranged.append(others[at])
            at += 1
        arranged.append(item)
    return [*arranged, *others[at:]]


def _places(items: Sequence[Any], identity: Identity) -> dict[Token, int]:
    places: dict[Token, int] = {}
    for at, item in enumerate(items):
        places.setdefault(identity(item), at)
    return places


def _check_order(patch: Iterable[Any], order: JsonList, identity: Identity) -> None:
    places, last = _places(order, identity), -1
    for item in patch:
        if isinstance(item, dict) and item.get(DIRECTIVE) is not None:
            continue
        place = places.get(identity(item), -1)
        if place < max(last, 0):
            shown = f"The order in patch list:\n{plain(list(patch))}\n doesn't match {ORDER[:-1]} list:\n{plain(order)}\n"
            raise _bad(shown)
        last = place


def _key_of(item: Any, merge_key: str) -> Token:
    if not isinstance(item, dict) or merge_key not in item:
        raise _bad(f"map: {plain(item)} does not contain declared merge key: {merge_key}")
    return _token(item[merge_key])
