"""Checks the metadata of objects that are embedded in custom objects. Pure.

Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apiserver/schema/objectmeta/validation.go.
"""

from typing import Any

import msgspec

from pinnace.api.validation.metadata import validate_metadata
from pinnace.api.validation.names import check_label_1035, check_path_segment
from pinnace.api.validation.problems import Problems
from pinnace.base.errors import Cause
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.structural import Structural


def has_embedded(schema: Structural) -> bool:
    """Say whether an object may be embedded in or below a schema."""
    if schema.embedded:
        return True
    below = (*schema.properties.values(), schema.items, schema.additional)
    return any(isinstance(one, Structural) and has_embedded(one) for one in below)


def judge_embedded(value: Any, schema: Structural, path: str, problems: Problems) -> None:
    """Add what is wrong with the header and metadata of each embedded object."""
    if isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            judge_embedded(item, schema.items, f"{path}[{index}]", problems)
        return
    if not isinstance(value, dict):
        return
    if schema.embedded:
        _judge_object(value, path, problems)
    more = schema.additional if isinstance(schema.additional, Structural) else None
    for name, part in value.items():
        below = schema.properties.get(name, more)
        if below is not None:
            judge_embedded(part, below, f"{path}.{name}" if path else name, problems)


def _judge_object(value: dict[str, Any], path: str, problems: Problems) -> None:
    prefix = f"{path}." if path else ""
    api_version, kind = value.get("apiVersion"), value.get("kind")
    if not api_version:
        problems.required(f"{prefix}apiVersion", "must not be empty")
    elif not isinstance(api_version, str) or api_version.count("/") > 1:
        problems.invalid(f"{prefix}apiVersion", api_version, f"unexpected GroupVersion string: {api_version}")
    if not kind:
        problems.required(f"{prefix}kind", "must not be empty")
    elif not isinstance(kind, str) or check_label_1035(kind.lower()):
        sentences = ",".join(check_label_1035(str(kind).lower()))
        problems.invalid(
            f"{prefix}kind", kind, f"may have mixed case, but should otherwise match: {sentences}"
        )
    meta = value.get("metadata")
    if meta is None:
        return
    try:
        typed = msgspec.convert(meta, ObjectMeta)
    except msgspec.ValidationError as error:
        problems.invalid(f"{prefix}metadata", meta, str(error))
        return
    found = Problems()
    if typed.name or typed.generate_name:
        validate_metadata(
            typed, namespaced=bool(typed.namespace), name_rule=check_path_segment, problems=found
        )
    problems.found.extend(Cause(one.reason, one.message, prefix + one.field) for one in found.found)
