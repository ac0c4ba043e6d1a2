"""Evaluates a policy for one attempt: conditions, variables, validations; says what is decided.

Pure but for the authorizer, which an expression may ask. Called by the admission row.
Source: Kubernetes v1.37, apiserver/pkg/admission/plugin/policy/validating/validator.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pinnace.api.admission.attempt import Attempt, Operation
from pinnace.api.cel.authorizing import make_authorizer
from pinnace.api.cel.engine import CelError, Program
from pinnace.api.custom.judging import whole_document_of
from pinnace.api.policies.compiling import Annotation, Check, Compiled, policy_environment
from pinnace.api.policies.matching import namespace_of
from pinnace.kube import codec
from pinnace.kube.kinds import SCALE
from pinnace.kube.objects.custom import CustomObject

MAX_ANNOTATION = 10 * 1024  # bytes. Source: policy/validating/dispatcher.go, maxAuditAnnotationValueLength
MAX_MESSAGE = 5120  # bytes. Source: apiserver/pkg/cel/limits


@dataclass(frozen=True, slots=True)
class Violation:
    """What a policy has against an attempt. `failed` says that it could not be evaluated; `index` which check it was."""

    message: str
    reason: str = "Invalid"
    failed: bool = False
    index: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """What a policy wants to have in the audit log."""

    key: str
    value: str


class Scene:
    """The values that all expressions about one attempt see; made once, when the first policy matches."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    @cached_property
    def base(self) -> dict[str, Any]:
        """The variables that are the same for all policies."""
        attempt = self._attempt
        return {
            "object": _shown(attempt.object),
            "oldObject": _shown(attempt.old),
            "request": _request_of(attempt),
            "namespaceObject": _shown(namespace_of(attempt)),
            "authorizer": make_authorizer(attempt),
        }

    def activate(self, params: Any, variables: dict[str, Any]) -> Any:
        """Return what programs are evaluated with."""
        return policy_environment().activate({**self.base, "params": params, "variables": variables})


def _shown(obj: Any) -> Any:
    if obj is None:
        return None
    return whole_document_of(obj) if isinstance(obj, CustomObject) else codec.to_json(obj)


def _request_of(attempt: Attempt) -> dict[str, Any]:
    """Source: admission/v1, AdmissionRequest."""
    kind, context = attempt.kind, attempt.context
    shown = SCALE if attempt.subresource == "scale" else kind
    gvk = {"group": shown.group, "version": shown.version, "kind": shown.kind}
    gvr = {"group": kind.group, "version": kind.version, "resource": kind.plural}
    user = {
        "username": context.user,
        "uid": context.uid,
        "groups": list(context.groups),
        "extra": {name: list(values) for name, values in context.extra.items()},
    }
    return {
        "kind": gvk,
        "resource": gvr,
        "subResource": attempt.subresource,
        "requestKind": gvk,
        "requestResource": gvr,
        "requestSubResource": attempt.subresource,
        "name": attempt.name,
        "namespace": attempt.namespace,
        "operation": attempt.operation.value,
        "userInfo": user,
        "dryRun": attempt.dry_run,
        "options": _shown(attempt.object) if attempt.operation is Operation.CONNECT else {},
    }


def evaluate(compiled: Compiled, scene: Scene, params: Any) -> Iterator[Violation | Note]:
    """Yield what a policy has against an attempt or notes of it, for one parameter object; None for a policy without."""
    if compiled.broken:
        yield Violation(compiled.broken, failed=True)
        return
    try:
        plain = scene.activate(params, {})
    except CelError as error:
        yield Violation(str(error), failed=True)
        return
    failure = None
    for name, program in compiled.conditions:
        try:
            if program.evaluate(plain).value is not True:
                return
        except CelError as error:
            failure = failure or Violation(
                f"match condition '{name}' resulted in error: {error}", failed=True
            )
    if failure is not None:
        yield failure
        return
    known: dict[str, Any] = {}
    for index, check in enumerate(compiled.checks):
        found = _judge(index, check, compiled, scene, params, known)
        if found is not None:
            yield found
    for annotation in compiled.annotations:
        noted = _annotate(annotation, compiled, scene, params, known)
        if noted is not None:
            yield noted


def _annotate(
    annotation: Annotation, compiled: Compiled, scene: Scene, params: Any, known: dict[str, Any]
) -> Violation | Note | None:
    try:
        activation = _with_variables(annotation.needs, compiled, scene, params, known)
        value = annotation.program.evaluate(activation).value
    except CelError as error:
        return Violation(f"expression '{annotation.text}' resulted in error: {error}", failed=True)
    if value is None:
        return None
    if not isinstance(value, str):
        return Violation(
            f"valueExpression '{annotation.text}' resulted in unsupported return type: must evaluate to string or null",
            failed=True,
        )
    text = value.strip()
    return Note(annotation.key, text.encode()[:MAX_ANNOTATION].decode(errors="ignore")) if text else None


def _judge(
    index: int, check: Check, compiled: Compiled, scene: Scene, params: Any, known: dict[str, Any]
) -> Violation | None:
    try:
        activation = _with_variables(check.needs, compiled, scene, params, known)
        holds = check.program.evaluate(activation).value
    except CelError as error:
        return Violation(f"expression '{check.text}' resulted in error: {error}", failed=True)
    if holds is True:
        return None
    return Violation(_message_of(check, activation), check.reason, index=index)


def _with_variables(
    needs: tuple[str, ...], compiled: Compiled, scene: Scene, params: Any, known: dict[str, Any]
) -> Any:
    """Return an activation with the variables that an expression needs; each is evaluated once."""
    for name in needs:
        if name in known:
            continue
        program, _ = compiled.variables[name]
        try:
            known[name] = program.evaluate(scene.activate(params, known)).value
        except CelError as error:
            raise CelError(f'composited variable "{name}" fails to evaluate: {error}') from None
    return scene.activate(params, known)


def _message_of(check: Check, activation: Any) -> str:
    """Return what the policy's author says, or else the expression."""
    text = _evaluate_message(check.message_program, activation)
    return text or check.message or f"failed expression: {check.text}"


def _evaluate_message(program: Program | None, activation: Any) -> str:
    if program is None:
        return ""
    try:
        text = program.evaluate(activation).value
    except CelError:
        return ""
    if not isinstance(text, str) or len(text.encode()) > MAX_MESSAGE or "\n" in text.strip():
        return ""
    return text.strip()
