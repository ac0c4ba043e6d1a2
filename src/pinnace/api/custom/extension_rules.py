"""Says what is wrong with the `x-kubernetes-` keywords of one node of a custom kind's schema. Pure; for `schema_rules`.

Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go, the parts of
ValidateCustomResourceDefinitionOpenAPISchema that are about list types, map types and patterns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnace.api.cel.engine import check_pattern
from pinnace.api.validation.problems import Problems

Raw = Mapping[str, Any]


def judge_extensions(raw: Raw, path: str, problems: Problems) -> None:
    """Tell what is wrong with what a node says beyond JSON schema: of lists, maps, unknown fields; and with its pattern."""
    if raw.get("x-kubernetes-preserve-unknown-fields") is False:
        why = "must be true or undefined"
        problems.invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, why)
    _judge_map_type(raw, path, problems)
    _judge_list_type(raw, path, problems)
    if (pattern := raw.get("pattern")) and (why := check_pattern(pattern)):
        told = f"must be a valid regular expression, but isn't: error parsing regexp: {why}"
        problems.invalid(f"{path}.pattern", pattern, told)


def _judge_map_type(raw: Raw, path: str, problems: Problems) -> None:
    kind, type_ = raw.get("x-kubernetes-map-type"), raw.get("type") or ""
    if kind is None:
        return
    if type_ != "object":
        why = "must be object if x-kubernetes-map-type is specified"
        _wrong_type(f"{path}.type", type_, why, problems)
    if kind not in ("atomic", "granular"):
        problems.not_supported(f"{path}.x-kubernetes-map-type", kind, ("atomic", "granular"))


def _wrong_type(path: str, type_: str, why: str, problems: Problems) -> None:
    if type_:
        problems.invalid(path, type_, why)
    else:
        problems.required(path, why)


def _judge_list_type(raw: Raw, path: str, problems: Problems) -> None:
    kind, type_, items = raw.get("x-kubernetes-list-type"), raw.get("type") or "", raw.get("items")
    keys = raw.get("x-kubernetes-list-map-keys") or ()
    if kind is not None and type_ != "array":
        _wrong_type(f"{path}.type", type_, "must be array if x-kubernetes-list-type is specified", problems)
    elif kind == "set" and isinstance(items, Mapping):
        _judge_set_items(items, path, problems)
    if kind is not None and kind not in ("atomic", "set", "map"):
        problems.not_supported(f"{path}.x-kubernetes-list-type", kind, ("atomic", "set", "map"))
    if keys and kind != "map":
        why = "must be map if x-kubernetes-list-map-keys is non-empty"
        _wrong_type(f"{path}.x-kubernetes-list-type", kind or "", why, problems)
    if kind == "map":
        _judge_map_keys(keys, items, path, problems)
    if kind in ("set", "map") and isinstance(items, Mapping) and items.get("nullable"):
        why = f"cannot be nullable when x-kubernetes-list-type is {kind}"
        problems.forbidden(f"{path}.items.nullable", why)


def _judge_set_items(items: Raw, path: str, problems: Problems) -> None:
    why = "must be atomic as item of a list with x-kubernetes-list-type=set"
    held = items.get("x-kubernetes-list-type")
    if items.get("type") == "array" and held not in (None, "atomic"):
        problems.invalid(f"{path}.items.x-kubernetes-list-type", held, why)
    elif items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        problems.invalid(f"{path}.items.x-kubernetes-map-type", None, why)


def _judge_map_keys(keys: Any, items: Any, path: str, problems: Problems) -> None:
    where = f"{path}.x-kubernetes-list-map-keys"
    if not keys:
        problems.required(where, "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        problems.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if not isinstance(items, Mapping):
        return
    if items.get("type") != "object":
        why = "must be object if parent array's x-kubernetes-list-type is map"
        problems.invalid(f"{path}.items.type", items.get("type") or "", why)
        return
    properties, required = items.get("properties") or {}, items.get("required") or ()
    for index, key in enumerate(keys):
        below, at = properties.get(key), f"{path}.items.properties[{key}]"
        if below is None:
            problems.invalid(where, list(keys), "entries must all be names of item properties")
            continue
        if below.get("type") in ("array", "object"):
            why = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            problems.invalid(f"{at}.type", below["type"], why)
        if key in keys[:index]:
            problems.invalid(where, list(keys), "must not contain duplicate entries")
        if key not in required and "default" not in below:
            why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            problems.required(f"{at}.default", why)
        if below.get("nullable"):
            why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"
            problems.forbidden(f"{at}.nullable", why)
