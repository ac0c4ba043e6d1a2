"""The CEL rules of a schema (x-kubernetes-validations): compiled once, evaluated for each write.

A rule sees the value it stands at as `self`, and its former state as `oldSelf`. Pure.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apiserver/schema/cel (compilation.go, validation.go, values.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pinnace.api.cel.engine import CelError, Environment, Program, environment
from pinnace.api.cel.names import escape_name
from pinnace.api.custom.values import UNKNOWN, key_of
from pinnace.api.validation.problems import Problems
from pinnace.kube.structural import Structural

MAX_MESSAGE = 5120  # bytes of a messageExpression's outcome. Source: cel/validation.go
_OLD_SELF = re.compile(r"\boldSelf\b")
_LITERALS = re.compile(r"""[rR]?("{3}.*?"{3}|'{3}.*?'{3}|"(\\.|[^"\\])*"|'(\\.|[^'\\])*')""", re.DOTALL)
# Binds oldSelf to an optional value. The library passes plain values only, so the optional is made in the expression.
_OPTIONAL = (
    "(size(oldSelfs) == 0 ? [optional.none()] : [optional.of(oldSelfs[0])]).map(oldSelf, ({rule}\n))[0]"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule. `wrong` says why it can't be used, "" if it can; `wrong_message` the same of its message."""

    text: str
    program: Program | None
    message: str = ""
    message_program: Program | None = None
    reason: str = ""
    field_path: str = ""
    uses_old: bool = False
    optional_old: bool = False
    wrong: str = ""
    wrong_message: str = ""


def uses_old_self(text: str) -> bool:
    """Say whether an expression looks at the former state."""
    return bool(_OLD_SELF.search(_LITERALS.sub('""', text)))


def rule_environment() -> Environment:
    """Return the environment of rules."""
    return environment(self="dyn", oldSelf="dyn", oldSelfs="list")


def compile_rule(raw: Mapping[str, Any]) -> Rule:
    """Return a rule as a schema writes it, compiled; what is wrong with it is in it."""
    text = str(raw.get("rule") or "")
    optional = bool(raw.get("optionalOldSelf"))
    uses_old = uses_old_self(text)
    program, wrong = _compile(text, "BOOL", "cel expression must evaluate to a bool", optional and uses_old)
    message, wrong_message = None, ""
    if expression := str(raw.get("messageExpression") or ""):
        why = "must evaluate to a string"
        message, wrong_message = _compile(expression, "STRING", why, optional and uses_old_self(expression))
    return Rule(
        text=text,
        program=program,
        message=str(raw.get("message") or "").strip(),
        message_program=message,
        reason=str(raw.get("reason") or ""),
        field_path=str(raw.get("fieldPath") or "").strip(),
        uses_old=uses_old,
        optional_old=optional,
        wrong=wrong,
        wrong_message=wrong_message,
    )


def _compile(text: str, returns: str, why: str, optional: bool) -> tuple[Program | None, str]:
    if not text.strip():
        return None, ""
    try:
        program = rule_environment().compile(_OPTIONAL.format(rule=text) if optional else text)
    except CelError as error:
        return None, f"compilation failed: {error}"
    if program.returns not in (returns, "DYN"):
        return None, why
    return program, ""


class RuleNode:
    """The rules of one node of a schema, and of those below it that have some."""

    __slots__ = (
        "_additional",
        "_items",
        "_keys",
        "_list_type",
        "_names",
        "_plain",
        "_properties",
        "_schema",
        "rules",
    )

    def __init__(self, schema: Structural, *, root: bool = False) -> None:
        raw = schema.raw.get("x-kubernetes-validations") or ()
        found = [compile_rule(rule) for rule in raw]
        for branch in schema.raw.get("allOf") or ():
            found += [compile_rule(rule) for rule in branch.get("x-kubernetes-validations") or ()]
        self.rules = tuple(rule for rule in found if rule.program is not None)
        self._schema = schema
        self._names = root
        self._properties = {
            name: node for name, part in schema.properties.items() if (node := build_rules(part)) is not None
        }
        self._items = build_rules(schema.items) if schema.items is not None else None
        more = schema.additional
        self._additional = build_rules(more) if isinstance(more, Structural) else None
        self._list_type, self._keys = schema.list_type, schema.list_keys
        self._plain = not _needs_view(schema)

    @property
    def is_empty(self) -> bool:
        return not (self.rules or self._properties or self._items or self._additional)

    def judge(
        self, value: Any, old: Any, path: str, problems: Problems, *, known: bool, same: bool = False
    ) -> None:
        """Evaluate all rules in and below a node.

        `old` is the former value, UNKNOWN if there is none; `known` says that the node can be told in the former object;
        with `same`, what is around it hasn't changed.
        """
        if value is None:
            return
        same = same or (old is not UNKNOWN and old == value)
        if self.rules:
            self._evaluate(value, old if known else UNKNOWN, path, problems, same)
        if isinstance(value, dict) and (self._properties or self._additional):
            self._judge_map(value, old, path, problems, known, same)
        elif isinstance(value, list) and self._items is not None:
            self._judge_list(value, old, path, problems, known, same)

    def _judge_map(
        self, value: dict[str, Any], old: Any, path: str, problems: Problems, known: bool, same: bool
    ) -> None:
        before = old if isinstance(old, dict) else {}
        prefix = f"{path}." if path else ""
        for name, part in value.items():
            node = self._properties.get(name)
            joined = prefix + name
            if node is None and self._additional is not None and name not in self._schema.properties:
                node, joined = self._additional, f"{path}[{name}]"
            if node is not None:
                node.judge(part, before.get(name, UNKNOWN), joined, problems, known=known, same=same)

    def _judge_list(
        self, value: list[Any], old: Any, path: str, problems: Problems, known: bool, same: bool
    ) -> None:
        assert self._items is not None
        told = known and self._list_type == "map"
        before: dict[Any, Any] = {}
        if told and isinstance(old, list):
            before = {key_of(item, self._keys): item for item in old if isinstance(item, dict)}
        for index, item in enumerate(value):
            was = UNKNOWN
            if told and isinstance(item, dict):
                was = before.get(key_of(item, self._keys), UNKNOWN)
            self._items.judge(item, was, f"{path}[{index}]", problems, known=told, same=same)

    def _evaluate(self, value: Any, old: Any, path: str, problems: Problems, same: bool) -> None:
        env = rule_environment()
        has_old = old is not UNKNOWN and old is not None
        shown = value if self._plain else view(value, self._schema)
        before = (old if self._plain else view(old, self._schema)) if has_old else None
        try:
            activation = env.activate(
                {"self": shown, "oldSelf": before, "oldSelfs": [before] if has_old else []}
            )
        except CelError as error:
            problems.invalid(path or "<nil>", self._schema.type, f"{error} evaluating rules")
            return
        for rule in self.rules:
            if rule.uses_old and not has_old and not rule.optional_old:
                continue
            if same and not rule.uses_old:
                continue  # it was so before, and nothing here has changed
            self._apply(rule, activation, value, path, problems)

    def _apply(self, rule: Rule, activation: Any, value: Any, path: str, problems: Problems) -> None:
        assert rule.program is not None
        try:
            outcome = rule.program.evaluate(activation)
        except CelError as error:
            problems.invalid(path or "<nil>", self._schema.type, _failed(error, rule))
            return
        if outcome.value is True:
            return
        if outcome.value is not False:
            problems.invalid(path or "<nil>", self._schema.type, "cel expression must evaluate to a bool")
            return
        detail = _message(rule, activation)
        where = ".".join(part for part in (path, rule.field_path.lstrip(".")) if part) or "<nil>"
        add_problem(problems, rule.reason, where, value, self._schema.type, detail)


def _failed(error: CelError, rule: Rule) -> str:
    told = rule_name(rule)
    text = str(error)
    if text.startswith("no such overload"):
        return f"'{text}': call arguments did not match a supported operator, function or macro signature for rule: {told}"
    if text.startswith("operation cancelled"):
        return f"'{text}': no further validation rules will be run due to call cost exceeds limit for rule: {told}"
    return f"{text} evaluating rule: {told}"


def rule_name(rule: Rule) -> str:
    """Return what errors call a rule: its message, or else its text."""
    return rule.message or rule.text.strip()


def _message(rule: Rule, activation: Any) -> str:
    if rule.message_program is not None:
        try:
            text = rule.message_program.evaluate(activation).value
        except CelError:
            text = None
        if isinstance(text, str):
            text = text.strip()
            if text and len(text.encode()) <= MAX_MESSAGE and "\n" not in text and "\r" not in text:
                return text
    return rule.message or f"failed rule: {rule.text.strip()}"


def add_problem(problems: Problems, reason: str, path: str, value: Any, type_: str, detail: str) -> None:
    """Add a broken rule, by its reason; a value with parts is not shown."""
    match reason:
        case "FieldValueForbidden":
            problems.forbidden(path, detail)
        case "FieldValueRequired":
            problems.required(path, detail)
        case "FieldValueDuplicate":
            problems.duplicate(path, value)
        case _ if type_ in ("object", "array"):
            problems.invalid_as_a_whole(path, detail)
        case _:
            problems.invalid(path, value, detail)


def build_rules(schema: Structural, *, root: bool = False) -> RuleNode | None:
    """Return the rules in and below a schema, None if there is none."""
    if not _has_rules(schema):
        return None
    node = RuleNode(schema, root=root)
    return None if node.is_empty else node


def _has_rules(schema: Structural) -> bool:
    if schema.raw.get("x-kubernetes-validations") or any(
        branch.get("x-kubernetes-validations") for branch in schema.raw.get("allOf") or ()
    ):
        return True
    return any(_has_rules(below) for below in _below(schema))


def _below(schema: Structural) -> Iterator[Structural]:
    yield from schema.properties.values()
    for one in (schema.items, schema.additional):
        if isinstance(one, Structural):
            yield one


# ---------------------------------------------------------------------------------------------------- values


def _needs_view(schema: Structural) -> bool:
    """Say whether values must be changed before expressions see them: names escaped, whole numbers made doubles."""
    if schema.type == "number" or any(escape_name(name) != name for name in schema.properties):
        return True
    return any(_needs_view(below) for below in _below(schema))


def view(value: Any, schema: Structural) -> Any:
    """Return a value as expressions see it."""
    if schema.type == "number":
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(value, list) and schema.items is not None:
        items = schema.items
        return [view(item, items) for item in value]
    if isinstance(value, dict):
        shown = {}
        for name, part in value.items():
            below = schema.properties.get(name)
            if below is not None:
                escaped = escape_name(name)
                if escaped is not None:
                    shown[escaped] = view(part, below)
            elif isinstance(schema.additional, Structural):
                shown[name] = view(part, schema.additional)
            else:
                shown[name] = part
        return shown
    return value
