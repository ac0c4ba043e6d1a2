"""Says what is wrong with the schema of a custom kind: that it is structural, and that its defaults and rules hold.

Pure. Called for each version of a definition that is created or changed. Everything is told at once, but for what only
makes sense once the rest is right: defaults need a structural schema, rules need both.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go and pkg/apiserver/schema
(validation.go, complete.go, defaulting/validation.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pinnace.api.cel.engine import check_pattern
from pinnace.api.custom.rule_types import find_type_fault
from pinnace.api.custom.rules import build_rules, compile_rule
from pinnace.api.custom.structural_rules import StructuralJudge
from pinnace.api.custom.values import UNKNOWN, Judge
from pinnace.api.validation.problems import Problems
from pinnace.kube.structural import Structural, compile_structural
from pinnace.kube.structural.keywords import KEYWORDS, NAMED, SCHEMA, SCHEMAS
from pinnace.kube.structural.pruning import prune

TYPES = ("array", "boolean", "integer", "number", "object", "string")
REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
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
        _judge_extensions(raw, path, problems)
        rules = raw.get("x-kubernetes-validations") or ()
        for index, rule in enumerate(rules):
            _judge_rule_form(rule, raw, f"{path}.x-kubernetes-validations[{index}]", problems)
        if place.rules and len(problems.found) == before:
            for index, rule in enumerate(rules):
                where = f"{path}.x-kubernetes-validations[{index}]"
                _judge_rule(rule, where, place.uncorrelatable, problems)
                if len(problems.found) == before:
                    _judge_types(rule, self._structural(raw), where, place.root, problems)

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


def _judge_extensions(raw: Raw, path: str, problems: Problems) -> None:
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
        _judge_map_keys(raw, keys, items, path, problems)
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


def _judge_map_keys(raw: Raw, keys: Any, items: Any, path: str, problems: Problems) -> None:
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


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _judge_rule_form(rule: Raw, raw: Raw, path: str, problems: Problems) -> None:
    text, message = str(rule.get("rule") or "").strip(), str(rule.get("message") or "")
    if not text:
        problems.required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        problems.invalid(f"{path}.message", message, "must be non-empty if specified")
    elif _has_lines(message.strip()):
        problems.invalid(f"{path}.message", message, "must not contain line breaks")
    elif _has_lines(text) and not message.strip():
        problems.required(f"{path}.message", "message must be specified if rule contains line breaks")
    expression = str(rule.get("messageExpression") or "")
    if expression and not expression.strip():
        problems.required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    reason = rule.get("reason")
    if reason is not None and reason not in REASONS:
        problems.not_supported(f"{path}.reason", reason, REASONS)
    field = str(rule.get("fieldPath") or "")
    if field and not field.strip():
        problems.invalid(f"{path}.fieldPath", field, "must be non-empty if specified")
    elif field and _has_lines(field):
        problems.invalid(f"{path}.fieldPath", field, "must not contain line breaks")
    elif field and not _leads_somewhere(raw, field):
        problems.invalid(f"{path}.fieldPath", field, "must be a valid path")


def _leads_somewhere(raw: Raw, field: str) -> bool:
    """Say whether a path like ".spec.tags['a']" names a field of a schema."""
    rest = field.strip()
    if not rest.startswith((".", "[")):
        return False
    while rest:
        if rest.startswith("['") and "']" in rest:
            name, _, rest = rest[2:].partition("']")
        elif rest.startswith("."):
            stop = min((at for at in (rest.find(".", 1), rest.find("[", 1)) if at > 0), default=len(rest))
            name, rest = rest[1:stop], rest[stop:]
        else:
            return False
        properties, more = raw.get("properties") or {}, raw.get("additionalProperties")
        if name in properties:
            raw = properties[name]
        elif not properties and isinstance(more, Mapping):
            raw = more
        else:
            return False
    return True


def _judge_rule(rule: Raw, path: str, uncorrelatable: str, problems: Problems) -> None:
    compiled = compile_rule(rule)
    if compiled.wrong:
        problems.invalid(f"{path}.rule", dict(rule), compiled.wrong)
        return
    if compiled.wrong_message:
        problems.invalid(f"{path}.messageExpression", dict(rule), compiled.wrong_message)
    if compiled.uses_old and uncorrelatable:
        why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelatable}"
        problems.invalid(f"{path}.rule", compiled.text, why)
    elif not compiled.uses_old and rule.get("optionalOldSelf") is not None:
        why = "may not be set if oldSelf is not used in rule"
        problems.invalid(f"{path}.optionalOldSelf", rule["optionalOldSelf"], why)


def _judge_types(rule: Raw, schema: Structural, path: str, root: bool, problems: Problems) -> None:
    """Check the rule, and its message's expression, against the schema."""
    compiled = compile_rule(rule)
    for program, keyword in ((compiled.program, "rule"), (compiled.message_program, "messageExpression")):
        if program is None or program.text != rule.get(keyword):
            continue  # one that is wrapped, to make oldSelf optional
        if fault := find_type_fault(program.tree(), program.text, schema, root=root):
            problems.invalid(f"{path}.{keyword}", dict(rule), fault)
