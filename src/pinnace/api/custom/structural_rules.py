"""Says where a schema is not structural: every value must have one place in it that says its type.

Pure; called by `schema_rules.py`. Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apiserver/schema/validation.go and
complete.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnace.api.validation.problems import Problems

Raw = Mapping[str, Any]

_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_EMPTY = {
    "root": "must not be empty at the root",
    "item": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
# Keyword -> why it may not stand in a junctor.
_FORBIDDEN = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    "x-kubernetes-preserve-unknown-fields": "must be false to be structural",
    "x-kubernetes-embedded-resource": "must be false to be structural",
    "x-kubernetes-int-or-string": "must be false to be structural",
    "x-kubernetes-list-map-keys": "must be empty to be structural",
    "x-kubernetes-list-type": "must be undefined to be structural",
    "x-kubernetes-map-type": "must be undefined to be structural",
}


class StructuralJudge:
    """Collects what keeps a schema from being structural."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems

    def judge(self, raw: Raw, path: str) -> None:
        """Add everything for a whole schema."""
        self._judge(raw, path, "root")
        self._complete(raw, raw, path, path)

    def _judge(self, raw: Raw, path: str, level: str) -> None:
        problems, type_ = self._problems, raw.get("type") or ""
        items = raw.get("items")
        if type_ == "array" and items is None:
            problems.required(f"{path}.items", "must be specified")
        if isinstance(items, Mapping):
            self._judge(items, f"{path}.items", "item")
        properties = raw.get("properties") or {}
        for name, part in properties.items():
            self._judge(part, f"{path}.properties[{name}]", "field")
        if (more := raw.get("additionalProperties")) is not None:
            if level == "root":
                problems.forbidden(f"{path}.additionalProperties", "must not be used at the root")
            if isinstance(more, Mapping):
                self._judge(more, f"{path}.additionalProperties", "field")
        self._judge_extensions(raw, path)
        self._judge_junctors(raw, path, skip_int_or_string=bool(raw.get("x-kubernetes-int-or-string")))
        self._judge_type(raw, path, level, type_)
        self._judge_header(raw, path, level, properties)

    def _judge_extensions(self, raw: Raw, path: str) -> None:
        if not raw.get("x-kubernetes-int-or-string"):
            return
        for keyword in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
            if raw.get(keyword):
                why = "must be false if x-kubernetes-int-or-string is true"
                self._problems.invalid(f"{path}.{keyword}", True, why)

    def _judge_type(self, raw: Raw, path: str, level: str, type_: str) -> None:
        problems, embedded = self._problems, raw.get("x-kubernetes-embedded-resource")
        preserves = raw.get("x-kubernetes-preserve-unknown-fields")
        if embedded and type_ != "object":
            why = "must be object if x-kubernetes-embedded-resource is true"
            if type_:
                problems.invalid(f"{path}.type", type_, why)
            else:
                problems.required(f"{path}.type", why)
        elif not type_ and not raw.get("x-kubernetes-int-or-string") and not preserves:
            problems.required(f"{path}.type", _EMPTY[level])
        if embedded and raw.get("additionalProperties") is not None:
            why = "must not be used if x-kubernetes-embedded-resource is set"
            problems.forbidden(f"{path}.additionalProperties", why)
        if level == "root" and type_ and type_ != "object":
            problems.invalid(f"{path}.type", type_, "must be object at the root")
        if embedded and not preserves and not raw.get("properties"):
            why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
            problems.required(f"{path}.properties", why)

    def _judge_header(self, raw: Raw, path: str, level: str, properties: Raw) -> None:
        problems = self._problems
        whole = level == "root" or bool(raw.get("x-kubernetes-embedded-resource"))
        for name in ("kind", "apiVersion"):
            if whole and name in properties and properties[name].get("type") != "string":
                given = properties[name].get("type") or ""
                problems.invalid(f"{path}.properties[{name}].type", given, "must be string")
        meta = properties.get("metadata")
        if meta is None:
            return
        where = f"{path}.properties[metadata]"
        if whole and meta.get("type") != "object":
            problems.invalid(f"{where}.type", meta.get("type") or "", "must be object")
        if level == "root":
            names = set(meta.get("properties") or {})
            others = {key for key, value in meta.items() if value not in (None, False, "", [], {})}
            if others - {"type", "default", "properties"} or not names <= {"name", "generateName"}:
                why = "must not specify anything other than name and generateName, but metadata is implicitly specified"
                problems.forbidden(where, why)

    # ------------------------------------------------------------------ junctors

    def _judge_junctors(self, raw: Raw, path: str, *, skip_int_or_string: bool) -> None:
        if not (skip_int_or_string and raw.get("anyOf") == _INT_OR_STRING):
            for index, part in enumerate(raw.get("anyOf") or ()):
                self._judge_nested(part, f"{path}.anyOf[{index}]")
        for index, part in enumerate(raw.get("allOf") or ()):
            skip = skip_int_or_string and index == 0 and part.get("anyOf") == _INT_OR_STRING
            self._judge_nested(part, f"{path}.allOf[{index}]", skip_any_of=skip, in_all_of=True)
        for index, part in enumerate(raw.get("oneOf") or ()):
            self._judge_nested(part, f"{path}.oneOf[{index}]")
        if isinstance(part := raw.get("not"), Mapping):
            self._judge_nested(part, f"{path}.not")

    def _judge_nested(
        self, raw: Raw, path: str, *, skip_any_of: bool = False, in_all_of: bool = False
    ) -> None:
        problems = self._problems
        if skip_any_of:
            self._judge_junctors(
                {k: v for k, v in raw.items() if k != "anyOf"}, path, skip_int_or_string=False
            )
        else:
            self._judge_junctors(raw, path, skip_int_or_string=False)
        if isinstance(items := raw.get("items"), Mapping):
            self._judge_nested(items, f"{path}.items", in_all_of=in_all_of)
        properties = raw.get("properties") or {}
        for name, part in properties.items():
            self._judge_nested(part, f"{path}.properties[{name}]", in_all_of=in_all_of)
        for keyword, why in _FORBIDDEN.items():
            given = raw.get(keyword)
            if given not in (None, False, "", []) or (keyword == "default" and "default" in raw):
                problems.forbidden(f"{path}.{keyword}", why)
        if raw.get("x-kubernetes-validations"):
            problems.forbidden(f"{path}.x-kubernetes-validations", "must be empty to be structural")
        if "metadata" in properties:
            problems.forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")

    # ------------------------------------------------------------------ completeness

    def _complete(self, values: Raw, structure: Raw, path: str, at: str) -> None:
        """Each field that a junctor speaks of must be in the structure; `path` is the structure's, `at` the junctor's."""
        if isinstance(part := values.get("not"), Mapping):
            self._complete_nested(part, structure, path, f"{at}.not")
        for keyword in ("allOf", "anyOf", "oneOf"):
            for index, part in enumerate(values.get(keyword) or ()):
                self._complete_nested(part, structure, path, f"{at}.{keyword}[{index}]")

    def _complete_nested(self, values: Raw, structure: Raw, path: str, at: str) -> None:
        self._complete(values, structure, path, at)
        if isinstance(items := values.get("items"), Mapping):
            below = structure.get("items")
            if isinstance(below, Mapping):
                self._complete_nested(items, below, f"{path}.items", f"{at}.items")
            else:
                self._problems.required(f"{path}.items", f"because it is defined in {at}.items")
        known = structure.get("properties") or {}
        for name, part in (values.get("properties") or {}).items():
            where, said = f"{path}.properties[{name}]", f"{at}.properties[{name}]"
            if name in known:
                self._complete_nested(part, known[name], where, said)
            else:
                self._problems.required(where, f"because it is defined in {said}")
