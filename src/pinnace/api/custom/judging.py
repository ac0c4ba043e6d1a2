"""Says what is wrong with a custom object, in Kubernetes' words: its values, its lists, its rules, in that order.

Called for each write of a custom object. Pure. With the former state at hand, what was wrong before and hasn't changed is
let be (ratcheting). Source: Kubernetes v1.37, apiextensions-apiserver/pkg/registry/customresource/strategy.go, Validate and
ValidateUpdate.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from pinnace.api.custom.coercion import version_of
from pinnace.api.custom.embedded import has_embedded, judge_embedded
from pinnace.api.custom.lists import has_unique_lists, judge_lists
from pinnace.api.custom.rules import RuleNode, build_rules
from pinnace.api.custom.values import UNKNOWN, Judge, value_at
from pinnace.api.validation.problems import Problems
from pinnace.kube.custom import ScalePaths
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.custom import CustomObject

# What keeps rules from being evaluated: they count on values of the declared form.
_BLOCKING = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
_BLOCKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)
_MAX_REPLICAS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Court:
    """What judges objects of one kind in one version."""

    values: Judge
    rules: RuleNode | None
    lists: bool
    embedded: bool


def _court_of(kind: Kind[Any]) -> _Court:
    memory = version_of(kind).family.memory
    key = ("court", kind.version)
    if key not in memory:
        schema = version_of(kind).structural
        memory[key] = _Court(
            Judge(schema.raw), build_rules(schema, root=True), has_unique_lists(schema), has_embedded(schema)
        )
    court: _Court = memory[key]
    return court


def judge_object(kind: Kind[Any], new: CustomObject, old: CustomObject | None, problems: Problems) -> None:
    """Add everything that the kind's schema has against an object."""
    court, version = _court_of(kind), version_of(kind)
    value, before = document_of(new), UNKNOWN if old is None else document_of(old)
    first = len(problems.found)
    court.values.judge(value, "", problems, before)
    if version.scale is not None:
        _judge_scale(value, version.scale, problems)
    if court.embedded:
        judge_embedded(value, version.structural, "", problems)
    if court.lists:
        _judge_lists(kind, value, before, problems)
    if court.rules is not None:
        if any(cause.reason in _BLOCKING for cause in problems.found[first:]):
            problems.invalid("<nil>", "", _BLOCKED)
        else:
            court.rules.judge(value, before, "", problems, known=old is not None)


def document_of(obj: CustomObject) -> dict[str, Any]:
    """Return an object as its schema sees it; of metadata only what a schema may speak of."""
    meta = obj.metadata
    named = {"name": meta.name, "generateName": meta.generate_name}
    return {
        "apiVersion": obj.api_version,
        "kind": obj.kind,
        "metadata": {name: text for name, text in named.items() if text},
        **obj.body,
    }


def whole_document_of(obj: CustomObject) -> dict[str, Any]:
    """Return an object as plain values, with all of its metadata but who manages what."""
    meta: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(obj.metadata, managed_fields=()))
    return {"apiVersion": obj.api_version, "kind": obj.kind, "metadata": meta, **obj.body}


def _judge_lists(kind: Kind[Any], value: Any, before: Any, problems: Problems) -> None:
    """Duplicates that were there before are let be."""
    schema = version_of(kind).structural
    if before is not UNKNOWN:
        was = Problems()
        judge_lists(before, schema, "", was)
        if was:
            return
    judge_lists(value, schema, "", problems)


def _judge_scale(value: Any, paths: ScalePaths, problems: Problems) -> None:
    """Source: registry/customresource/validator.go, ValidateScaleSpec and ValidateScaleStatus."""
    for path in (paths.spec_replicas, paths.status_replicas):
        replicas = value_at(value, path)
        if isinstance(replicas, bool) or not isinstance(replicas, int):
            continue
        where = "." + ".".join(path)
        if replicas < 0:
            problems.invalid(where, replicas, "should be a non-negative integer")
        elif replicas > _MAX_REPLICAS:
            problems.invalid(where, replicas, f"should be less than or equal to {_MAX_REPLICAS}")
