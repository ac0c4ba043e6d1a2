"""CEL's authorizer: what an expression asks about rights. The one function of CEL that looks at the world.

Source: Kubernetes v1.37, apiserver/pkg/cel/library/authz.go. Who may be asked is set for the time of one evaluation, since
the library passes only plain values to functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pinnace.api.access.attributes import Attributes
from pinnace.api.access.users import User
from pinnace.api.cel.tagged import tag, type_of

if TYPE_CHECKING:
    from pinnace.api.access.escalation import Access
    from pinnace.api.admission.attempt import Attempt

_AUTHORIZER = "kubernetes.authorization.Authorizer"
_PATH = "kubernetes.authorization.PathCheck"
_GROUP = "kubernetes.authorization.GroupCheck"
_RESOURCE = "kubernetes.authorization.ResourceCheck"
_DECISION = "kubernetes.authorization.Decision"

_asked: ContextVar[tuple[Access, User] | None] = ContextVar("pinnace_cel_authorizer", default=None)


def make_authorizer(attempt: Attempt) -> Any:
    """Return the value of `authorizer`, and have the caller of this attempt asked about; null if nobody decides."""
    if attempt.access is None:
        _asked.set(None)
        return None
    _asked.set((attempt.access, attempt.context.caller))
    kind = attempt.kind
    resource = _check(
        _RESOURCE,
        group=kind.group,
        resource=kind.plural,
        subresource=attempt.subresource,
        namespace=attempt.namespace,
        name=attempt.name,
    )
    return {**tag(_AUTHORIZER, ""), "requestResource": resource}


def _check(type_: str, **fields: str) -> dict[str, Any]:
    return {**tag(type_, ""), **fields}


def _need(value: Any, *types: str) -> Mapping[str, Any]:
    if type_of(value) not in types:
        raise ValueError("no such overload")
    found: Mapping[str, Any] = value
    return found


def path(value: Any, text: str) -> Any:
    _need(value, _AUTHORIZER)
    if not text:
        raise ValueError("path must not be empty")
    return _check(_PATH, path=text, user=value.get("user", ""))


def group(value: Any, name: str) -> Any:
    _need(value, _AUTHORIZER)
    return _check(_GROUP, group=name, user=value.get("user", ""))


def service_account(value: Any, namespace: str, name: str) -> Any:
    """Return an authorizer that is asked about a service account instead of the caller."""
    _need(value, _AUTHORIZER)
    return {**tag(_AUTHORIZER, ""), "user": f"system:serviceaccount:{namespace}:{name}"}


def resource(value: Any, name: str) -> Any:
    found = _need(value, _GROUP)
    return _check(_RESOURCE, group=found["group"], resource=name, user=found.get("user", ""))


def _with(field: str) -> Any:
    def change(value: Any, text: str) -> Any:
        return {**_need(value, _RESOURCE), field: text}

    return change


subresource, namespace, name = _with("subresource"), _with("namespace"), _with("name")


def check(value: Any, verb: str) -> Any:
    """Return the decision."""
    found = _need(value, _RESOURCE, _PATH)
    asked = _asked.get()
    if asked is None:
        raise ValueError("nobody decides about rights here")
    access, user = asked
    if account := found.get("user"):
        user = _account(str(account))
    fields = ("group", "resource", "subresource", "namespace", "name", "path")
    decision = access.decide(user, Attributes(verb, **{field: found.get(field, "") for field in fields}))
    return {**tag(_DECISION, str(decision.allowed)), "allowed": decision.allowed, "reason": decision.reason}


def _account(text: str) -> User:
    namespace_ = text.split(":")[2]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace_}", "system:authenticated")
    return User(text, groups)


def allowed(value: Any) -> bool:
    return bool(_need(value, _DECISION)["allowed"])


def reason(value: Any) -> str:
    return str(_need(value, _DECISION)["reason"])


def errored(value: Any) -> bool:
    _need(value, _DECISION)
    return False


def error(value: Any) -> str:
    _need(value, _DECISION)
    return ""
