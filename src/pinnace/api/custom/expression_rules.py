"""Says what is wrong with one rule (`x-kubernetes-validations`) of a custom kind's schema. Pure; for `schema_rules`.

Three questions, each only worth asking once the one before has been answered well: is the rule whole, do its expressions
compile, and do they suit the schema's types.
Source: Kubernetes v1.37, apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go, the part of
ValidateCustomResourceDefinitionOpenAPISchema that is about XValidations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnace.api.custom.rule_types import find_type_fault
from pinnace.api.custom.rules import compile_rule
from pinnace.api.validation.problems import Problems
from pinnace.kube.structural import Structural

Raw = Mapping[str, Any]

REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def judge_rule_form(rule: Raw, raw: Raw, path: str, problems: Problems) -> None:
    """Tell what is wrong with a rule before its expressions are looked at; `raw` is the node that it stands at."""
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


def judge_rule(rule: Raw, path: str, uncorrelatable: str, problems: Problems) -> None:
    """Tell whether the rule's expressions are none; `uncorrelatable` is the place below which former values can't be told."""
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


def judge_rule_types(rule: Raw, schema: Structural, path: str, root: bool, problems: Problems) -> None:
    """Check the rule, and its message's expression, against the schema."""
    compiled = compile_rule(rule)
    for program, keyword in ((compiled.program, "rule"), (compiled.message_program, "messageExpression")):
        if program is None or program.text != rule.get(keyword):
            continue  # one that is wrapped, to make oldSelf optional
        if fault := find_type_fault(program.tree(), program.text, schema, root=root):
            problems.invalid(f"{path}.{keyword}", dict(rule), fault)
