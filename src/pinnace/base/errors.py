"""The tree of errors, by who must act.

    PinnaceError
    ├── UserError    the person's input: a file, a flag, a name      → exit 1, HTTP 400
    ├── ApiError     an API request, with a reason from a closed set → a Kubernetes Status
    ├── HostError    the machine: errno, or a process with its argv  → exit 2, HTTP 500
    └── Bug          ours

Raised anywhere, translated once at each edge (`kubeapi`, `ownapi`, `cli`). Nothing else is raised across rooms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class PinnaceError(Exception):
    """Whatever Pinnace raises on purpose; `message` names the object and the fact, `hint` says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(PinnaceError):
    """The person's input can't be used; `where` is "FILE:LINE" or the source line, if there is a file."""

    def __init__(self, message: str, hint: str = "", where: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where


class Reason(Enum):
    """The reasons that an API request can fail for, with their HTTP codes.

    Source: Kubernetes, apimachinery/pkg/apis/meta/v1/types.go, StatusReason.
    """

    BAD_REQUEST = ("BadRequest", 400)
    UNAUTHORIZED = ("Unauthorized", 401)
    FORBIDDEN = ("Forbidden", 403)
    NOT_FOUND = ("NotFound", 404)
    METHOD_NOT_ALLOWED = ("MethodNotAllowed", 405)
    NOT_ACCEPTABLE = ("NotAcceptable", 406)
    ALREADY_EXISTS = ("AlreadyExists", 409)
    CONFLICT = ("Conflict", 409)
    GONE = ("Gone", 410)
    EXPIRED = ("Expired", 410)
    REQUEST_ENTITY_TOO_LARGE = ("RequestEntityTooLarge", 413)
    UNSUPPORTED_MEDIA_TYPE = ("UnsupportedMediaType", 415)
    INVALID = ("Invalid", 422)
    TOO_MANY_REQUESTS = ("TooManyRequests", 429)
    INTERNAL_ERROR = ("InternalError", 500)
    SERVICE_UNAVAILABLE = ("ServiceUnavailable", 503)
    TIMEOUT = ("Timeout", 504)

    def __init__(self, wire: str, code: int) -> None:
        self.wire = wire
        self.code = code


@dataclass(frozen=True, slots=True)
class Cause:
    """One of several things that are wrong with one object. `field` is a path like "spec.containers[0].name"."""

    reason: str
    message: str
    field: str = ""


class ApiError(PinnaceError):
    """An API request that fails for a known reason.

    `kind`, `group` and `name` say which object (Kubernetes puts the resource's plural into `kind` for NotFound). `next_page`
    is the token with which a list that expired can be gone on with.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        code: int | None = None,
        causes: Sequence[Cause] = (),
        kind: str = "",
        group: str = "",
        name: str = "",
        uid: str = "",
        retry_after_s: int | None = None,
        next_page: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.code = reason.code if code is None else code
        self.causes = tuple(causes)
        self.kind = kind
        self.group = group
        self.name = name
        self.uid = uid
        self.retry_after_s = retry_after_s
        self.next_page = next_page


class HostError(PinnaceError):
    """The machine refused: a system call (`errno`) or a process (`argv`, `stderr`, `returncode`)."""

    def __init__(
        self,
        message: str,
        *,
        errno: int | None = None,
        argv: Sequence[str] = (),
        stderr: str = "",
        returncode: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.errno = errno
        self.argv = tuple(argv)
        self.stderr = stderr
        self.returncode = returncode


class Bug(PinnaceError):
    """Something that our own code rules out has happened."""
