"""Compiles the expressions of policies, and finds what is wrong with them. Pure.

Used by the validation of policies and by their evaluation. Source: Kubernetes v1.37, apiserver/pkg/admission/plugin/cel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from pinnace.api.cel.engine import CelError, Environment, Program, environment
from pinnace.kube.objects.admissionregistration_v1 import ValidatingAdmissionPolicySpec, Variable

VARIABLES = ("authorizer", "namespaceObject", "object", "oldObject", "params", "request", "variables")
_USES = re.compile(r"\bvariables\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")


def policy_environment() -> Environment:
    """Return the environment of all expressions of policies."""
    return environment(**dict.fromkeys(VARIABLES, "dyn"))


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Program:
    """Return a program. Raises: CelError."""
    return policy_environment().compile(text)


def find_fault(
    text: str, returns: str, *, params: bool = True, variables: Iterable[str] | None = None
) -> str:
    """Return why an expression can't be used, "" if it can; `returns` is "BOOL", "STRING" or "" for anything."""
    try:
        program = compile_expression(text)
    except CelError as error:
        return f"compilation failed: {error}"
    if returns and program.returns not in (returns, "DYN"):
        wanted = "bool" if returns == "BOOL" else "string"
        return f"cel expression must evaluate to a {wanted}"
    if not params and re.search(r"(?<![.\w])params\b", text):
        return "compilation failed: undeclared reference to 'params' (in container '')"
    if variables is not None:
        for name in _USES.findall(text):
            if name not in variables:
                return f"compilation failed: undefined field '{name}'"
    return ""


@dataclass(frozen=True, slots=True)
class Check:
    """One validation. `reason` is a status reason."""

    text: str
    program: Program
    message: str
    message_program: Program | None
    reason: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation for the audit log; its value is a string, or null for none."""

    key: str
    text: str
    program: Program
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy, ready to be evaluated; `broken` says why it can't be, "" if it can."""

    conditions: tuple[tuple[str, Program], ...] = ()
    variables: dict[str, tuple[Program, tuple[str, ...]]] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    broken: str = ""


def compile_policy(spec: ValidatingAdmissionPolicySpec) -> Compiled:
    """Return the compiled policy; a stored one has been validated, but maybe by another version of the library."""
    try:
        return _compile(spec)
    except CelError as error:
        return Compiled(broken=f"compilation error: {error}")


def _compile(spec: ValidatingAdmissionPolicySpec) -> Compiled:
    closures = _close(spec.variables)
    variables = {
        variable.name: (compile_expression(variable.expression), closures[variable.name])
        for variable in spec.variables
    }

    def needs(*texts: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for text in texts:
            for name in _USES.findall(text):
                found.update(dict.fromkeys((*closures.get(name, ()), name)))
        return tuple(name for name in found if name in variables)

    checks = tuple(
        Check(
            check.expression.strip(),
            compile_expression(check.expression),
            check.message.strip(),
            compile_expression(check.message_expression) if check.message_expression else None,
            check.reason or "Invalid",
            needs(check.expression, check.message_expression),
        )
        for check in spec.validations
    )
    annotations = tuple(
        Annotation(
            one.key,
            one.value_expression.strip(),
            compile_expression(one.value_expression),
            needs(one.value_expression),
        )
        for one in spec.audit_annotations
    )
    conditions = tuple((one.name, compile_expression(one.expression)) for one in spec.match_conditions)
    return Compiled(conditions, variables, checks, annotations)


def _close(variables: Iterable[Variable]) -> dict[str, tuple[str, ...]]:
    """Return for each variable those that it is made of, in the order in which they are to be evaluated."""
    closures: dict[str, tuple[str, ...]] = {}
    for variable in variables:
        found: dict[str, None] = {}
        for name in _USES.findall(variable.expression):
            if name in closures:
                found.update(dict.fromkeys((*closures[name], name)))
        closures[variable.name] = tuple(found)
    return closures
