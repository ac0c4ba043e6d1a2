"""Says what is wrong with the schema of a custom kind: that it is structural, and that its defaults and rules hold.

Pure. Called for each version of a definition that is created or changed. Everything is told at once, but for what only
makes sense once the rest is right: defaults need a structural schema, rules need both.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go and pkg/apiserver/schema
(validation.go, complete.go, defaulting/validation.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pinnace.api.custom.expression_rules import judge_rule, judge_rule_form, judge_rule_types
from pinnace.api.custom.extension_rules import judge_extensions
from pinnace.api.custom.rules import build_rules
from pinnace.api.custom.structural_rules import StructuralJudge
from pinnace.api.custom.values import UNKNOWN, Judge
from pinnace.api.validation.problems import Problems
from pinnace.kube.structural import Structural, compile_structural
from pinnace.kube.structural.keywords import KEYWORDS, NAMED, SCHEMA, SCHEMAS
from pinnace.kube.structural.pruning import prune

TYPES = ("array", "boolean", "integer", "number", "object", "string")
MAX_DEPTH = 100  # levels; deeper ones would be refused by the decoder of objects

# Source: validation.go, allowedFieldsAtRootSchema.
_AT_ROOT = frozenset(
    [
        "description",
        "type",
        "format",
        "title",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "maxItems",
        "minItems",
        "uniqueItems",
        "multipleOf",
        "required",
        "items",
        "properties",
        "externalDocs",
        "example",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    ]
)
_AT_ROOT_SHOWN = (
    "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems "
    "MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]"
)
_HEADER = ("metadata", "kind", "apiVersion")

Raw = Mapping[str, Any]


def clean_schema(raw: Any) -> Any:
    """Return a schema without keywords that there aren't; what has the wrong form is left as it is, to be told."""
    if not isinstance(raw, dict):
        return raw
    return {
        name: _clean(KEYWORDS[name], value)
        for name, value in raw.items()
        if name in KEYWORDS and value is not None
    }


def _clean(form: str, value: Any) -> Any:
    if form == NAMED and isinstance(value, dict):
        return {name: clean_schema(part) for name, part in value.items()}
    if form == SCHEMAS and isinstance(value, list):
        return [clean_schema(part) for part in value]
    return clean_schema(value) if form.startswith(SCHEMA) else value


def schemas_below(raw: Raw) -> Iterator[Raw]:
    """Yield a schema and all in it."""
    yield raw
    for name, value in raw.items():
        form = KEYWORDS.get(name, "")
        if form == NAMED and isinstance(value, dict):
            parts = list(value.values())
        elif form == SCHEMAS and isinstance(value, list):
            parts = value
        else:
            parts = [value] if form.startswith(SCHEMA) else []
        for part in parts:
            if isinstance(part, Mapping):
                yield from schemas_below(part)


def _check_forms(raw: Any, path: str, problems: Problems, depth: int = 0) -> None:
    """Add a problem for each keyword of a wrong form; nothing else can be judged then."""
    if depth > MAX_DEPTH:
        problems.invalid_as_a_whole(path, f"must not be nested more than {MAX_DEPTH} levels deep")
        return
    if not isinstance(raw, dict):
        problems.invalid(path, raw, "must be a schema object")
        return
    for name, value in raw.items():
        form, where = KEYWORDS.get(name), f"{path}.{name}"
        if form and not _has_form(value, form):
            problems.invalid(where, value, f"must be of type {form}")
        elif form == NAMED:
            for field, part in value.items():
                _check_forms(part, f"{where}[{field}]", problems, depth + 1)
        elif form == SCHEMAS:
            for index, part in enumerate(value):
                _check_forms(part, f"{where}[{index}]", problems, depth + 1)
        elif form and form.startswith(SCHEMA) and isinstance(value, dict):
            _check_forms(value, where, problems, depth + 1)


def _has_form(value: Any, form: str) -> bool:
    match form:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "array" | "schemas":
            return isinstance(value, list)
        case "strings":
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case "objects":
            return isinstance(value, list) and all(isinstance(one, dict) for one in value)
        case "schema or boolean":
            return isinstance(value, dict | bool)
        case "schema or array":
            return isinstance(value, dict | list)
    return isinstance(value, dict)


class SchemaJudge:
    """Judges one version's schema."""

    def __init__(self, raw: Raw, path: str, problems: Problems) -> None:
        self._raw = raw
        self._path = path
        self._problems = problems
        self._compiled: dict[int, Structural] = {}

    def _structural(self, raw: Raw) -> Structural:
        """Return the compiled schema of a node; all are compiled in one go."""
        if not self._compiled:
            self._note(compile_structural(self._raw))
        return self._compiled.get(id(raw)) or compile_structural(raw)

    def _note(self, node: Structural) -> None:
        self._compiled[id(node.raw)] = node
        for below in (*node.properties.values(), node.items, node.additional):
            if isinstance(below, Structural):
                self._note(below)

    def judge(self, *, has_status: bool) -> None:
        """Add everything that is wrong with the schema."""
        forms = Problems()
        _check_forms(self._raw, self._path, forms)
        self._problems.found.extend(forms.found)
        if forms:
            return
        if has_status:
            self._judge_root()
        if self._raw.get("nullable"):
            self._problems.forbidden(f"{self._path}.nullable", "nullable cannot be true at the root")
        structural = Problems()
        StructuralJudge(structural).judge(self._raw, self._path)
        structural.found.sort(key=lambda cause: (cause.field, cause.message))
        self._problems.found.extend(structural.found)
        defaults = Problems()
        if not structural:
            self._judge_defaults(self._raw, self._path, defaults)
            self._problems.found.extend(defaults.found)
        with_rules = not structural and not defaults
        self._judge_node(self._raw, self._path, _Place(root=True, rules=with_rules))

    def _judge_root(self) -> None:
        """The schema of status is taken out of the whole, so nothing may stand beside it."""
        if self._raw.get("type") and self._raw["type"] != "object":
            why = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            self._problems.invalid(f"{self._path}.type", self._raw["type"], why)
        elif any(name not in _AT_ROOT and value not in (None, False) for name, value in self._raw.items()):
            why = f"only {_AT_ROOT_SHOWN} fields are allowed at the root of the schema if the status subresource is enabled"
            self._problems.invalid(self._path, dict(self._raw), why)

    # ------------------------------------------------------------------ defaults

    def _judge_defaults(self, raw: Raw, path: str, problems: Problems) -> None:
        if "default" in raw:
            self._judge_default(raw, f"{path}.default", problems)
        if isinstance(items := raw.get("items"), Mapping):
            self._judge_defaults(items, f"{path}.items", problems)
        for name, part in (raw.get("properties") or {}).items():
            self._judge_defaults(part, f"{path}.properties[{name}]", problems)
        # Not below additionalProperties of metadata: defaults are forbidden there.
        if isinstance(more := raw.get("additionalProperties"), Mapping):
            self._judge_defaults(more, f"{path}.additionalProperties", problems)

    def _judge_default(self, raw: Raw, path: str, problems: Problems) -> None:
        value = raw["default"]
        schema = self._structural(raw)
        if prune(value, schema) != value:
            problems.invalid(path, value, "must not have unknown fields")
        found = Problems()
        Judge(raw).judge(value, path, found)
        if not found and (rules := build_rules(schema)) is not None:
            rules.judge(value, value, path, found, known=True)
            rules.judge(value, UNKNOWN, path, found, known=False)
        problems.found.extend(found.found)

    # ------------------------------------------------------------------ each node

    def _judge_node(self, raw: Raw, path: str, place: _Place) -> None:
        problems = self._problems
        before = len(problems.found)
        self._judge_keywords(raw, path, place)
        if raw.get("uniqueItems"):
            why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
            problems.forbidden(f"{path}.uniqueItems", why)
        self._judge_below(raw, path, place)
        judge_extensions(raw, path, problems)
        rules = raw.get("x-kubernetes-validations") or ()
        for index, rule in enumerate(rules):
            judge_rule_form(rule, raw, f"{path}.x-kubernetes-validations[{index}]", problems)
        if place.rules and len(problems.found) == before:
            for index, rule in enumerate(rules):
                where = f"{path}.x-kubernetes-validations[{index}]"
                judge_rule(rule, where, place.uncorrelatable, problems)
                if len(problems.found) == before:
                    judge_rule_types(rule, self._structural(raw), where, place.root, problems)

    def _judge_keywords(self, raw: Raw, path: str, place: _Place) -> None:
        problems = self._problems
        type_ = raw.get("type") or ""
        if type_ == "null":
            why = "type cannot be set to null, use nullable as an alternative"
            problems.forbidden(f"{path}.type", why)
        elif type_ and type_ not in TYPES:
            problems.not_supported(f"{path}.type", type_, TYPES)
        if "default" in raw and place.no_defaults:
            problems.forbidden(f"{path}.default", f"must not be set {place.no_defaults}".strip())
        for keyword in ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"):
            if raw.get(keyword):
                problems.forbidden(f"{path}.{keyword}", f"{keyword} is not supported")
        if isinstance(raw.get("items"), list):
            problems.forbidden(f"{path}.items", "items must be a schema object and not an array")
        if place.in_meta and raw.get("x-kubernetes-embedded-resource"):
            why = "must not be used inside of resource meta"
            problems.forbidden(f"{path}.x-kubernetes-embedded-resource", why)
        if raw.get("additionalProperties") not in (None, True) and raw.get("properties"):
            why = "additionalProperties and properties are mutual exclusive"
            problems.forbidden(f"{path}.additionalProperties", why)

    def _judge_below(self, raw: Raw, path: str, place: _Place) -> None:
        inside = place.inside()
        if isinstance(more := raw.get("additionalProperties"), Mapping):
            why = "inside additionalProperties applying to object metadata" if place.in_meta else ""
            self._judge_node(more, f"{path}.additionalProperties", inside.without_defaults(why))
        whole = place.root or bool(raw.get("x-kubernetes-embedded-resource"))
        for name, part in (raw.get("properties") or {}).items():
            below = inside.uncorrelated(path) if raw.get("x-kubernetes-map-type") == "atomic" else inside
            if whole and name in _HEADER:
                below = below.within_meta()
                below = below.without_defaults(f"in top-level {name}") if place.root else below
            self._judge_node(part, f"{path}.properties[{name}]", below)
        plain = inside.without_rules()
        if isinstance(one := raw.get("not"), Mapping):
            self._judge_node(one, f"{path}.not", plain)
        for keyword in ("allOf", "oneOf", "anyOf"):
            for index, part in enumerate(raw.get(keyword) or ()):
                self._judge_node(part, f"{path}.{keyword}[{index}]", plain)
        if isinstance(items := raw.get("items"), Mapping):
            below = inside if raw.get("x-kubernetes-list-type") == "map" else inside.uncorrelated(path)
            self._judge_node(items, f"{path}.items", below)


class _Place:
    """Where in a schema a node stands."""

    __slots__ = ("in_meta", "no_defaults", "root", "rules", "uncorrelatable")

    def __init__(
        self,
        *,
        root: bool = False,
        rules: bool = False,
        in_meta: bool = False,
        no_defaults: str = "",
        uncorrelatable: str = "",
    ) -> None:
        self.root, self.rules, self.in_meta = root, rules, in_meta
        self.no_defaults, self.uncorrelatable = no_defaults, uncorrelatable

    def _with(self, **changes: Any) -> _Place:
        held: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return _Place(**{**held, **changes})

    def inside(self) -> _Place:
        return self._with(root=False) if self.root else self

    def within_meta(self) -> _Place:
        return self._with(in_meta=True)

    def without_defaults(self, why: str) -> _Place:
        return self._with(no_defaults=why) if why else self

    def without_rules(self) -> _Place:
        return self._with(rules=False)

    def uncorrelated(self, path: str) -> _Place:
        """The outermost place from which on former values can't be told counts."""
        return self if self.uncorrelatable else self._with(uncorrelatable=path)
