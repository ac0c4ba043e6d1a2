"""Translates every error into a Kubernetes `Status`, in one total table.

Called once per failed request, by the handler, and by the watch for errors inside a stream. Pure. Invariant: whatever
is raised, the client gets a `Status` whose `code` is the HTTP status; only our own mistakes are logged.
"""

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from pinnace.base.errors import ApiError, Bug, Cause, HostError, PinnaceError, Reason, UserError
from pinnace.store.interface import Compacted, RevisionAhead, SlowWatcher, StoreError, StoreFailed

log = logging.getLogger("pinnace.kubeapi")

# Source: Kubernetes v1.36, apimachinery/pkg/api/errors, NewTooManyRequests' and NewTimeoutError's usual advice.
_RETRY_S = 1


def to_api_error(error: BaseException) -> ApiError:
    """Return the API's view of any error."""
    for kind, translate in _TABLE:
        if isinstance(error, kind):
            return translate(error)
    log.error("request failed: %r", error, exc_info=error)
    return ApiError(Reason.INTERNAL_ERROR, f"Internal error occurred: {error}")


def _from_user(error: UserError) -> ApiError:
    where = f"{error.where}: " if error.where else ""
    return ApiError(Reason.BAD_REQUEST, _with_hint(f"{where}{error.message}", error))


def _from_compacted(error: Compacted) -> ApiError:
    # Source: Kubernetes v1.36, apiserver/pkg/storage/cacher, NewTooOldError's words.
    return ApiError(Reason.EXPIRED, f"too old resource version: {error.since} ({error.compacted})")


def _from_ahead(error: RevisionAhead) -> ApiError:
    # Source: Kubernetes v1.36, apiserver/pkg/storage/errors.go, NewTooLargeResourceVersionError.
    return ApiError(
        Reason.TIMEOUT,
        f"Timeout: Too large resource version: {error.since}, current: {error.revision}",
        causes=(Cause("ResourceVersionTooLarge", "Too large resource version"),),
        retry_after_s=_RETRY_S,
    )


def _from_slow(error: SlowWatcher) -> ApiError:
    return ApiError(Reason.EXPIRED, f"too old resource version: {error.message}")


def _from_failed_store(error: StoreFailed) -> ApiError:
    return ApiError(Reason.INTERNAL_ERROR, _with_hint(f"Internal error occurred: {error.message}", error))


def _from_store(error: StoreError) -> ApiError:
    log.error("the write path let a store error through: %s", error.message, exc_info=error)
    return ApiError(Reason.INTERNAL_ERROR, f"Internal error occurred: {error.message}")


def _from_host(error: HostError) -> ApiError:
    return ApiError(Reason.INTERNAL_ERROR, _with_hint(f"Internal error occurred: {error.message}", error))


def _from_bug(error: Bug) -> ApiError:
    log.error("request failed: %s", error.message, exc_info=error)
    return ApiError(Reason.INTERNAL_ERROR, f"Internal error occurred: {error.message}")


def _with_hint(message: str, error: PinnaceError) -> str:
    return f"{message} (hint: {error.hint})" if error.hint else message


# The first row that matches counts: children before parents.
_TABLE: tuple[tuple[type[BaseException], Callable[[Any], ApiError]], ...] = (
    (ApiError, lambda error: error),
    (UserError, _from_user),
    (Compacted, _from_compacted),
    (RevisionAhead, _from_ahead),
    (SlowWatcher, _from_slow),
    (StoreFailed, _from_failed_store),
    (StoreError, _from_store),
    (HostError, _from_host),
    (Bug, _from_bug),
)


def build_status(error: ApiError) -> dict[str, Any]:
    """Return the `Status` of a failure. Source: Kubernetes, meta/v1, Status."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {"continue": error.next_page} if error.next_page else {},
        "status": "Failure",
        "message": error.message,
        "reason": error.reason.wire,
    }
    details = _build_details(error)
    if details:
        status["details"] = details
    status["code"] = error.code
    return status


def _build_details(error: ApiError) -> dict[str, Any]:
    causes = [
        {"reason": cause.reason, "message": cause.message, **({"field": cause.field} if cause.field else {})}
        for cause in error.causes
    ]
    given = {
        "name": error.name,
        "group": error.group,
        "kind": error.kind,
        "uid": error.uid,
        "causes": causes,
        "retryAfterSeconds": error.retry_after_s,
    }
    return {key: value for key, value in given.items() if value}


def build_success(*, kind: str = "", group: str = "", name: str = "", uid: str = "") -> dict[str, Any]:
    """Return the `Status` of something done that leaves no object to show, like a deletion."""
    given = {"name": name, "group": group, "kind": kind, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in given.items() if value},
    }


def render_status(error: ApiError) -> bytes:
    """Return the `Status` of a failure as JSON, ended by a line feed as Kubernetes' own answers are."""
    return msgspec.json.encode(build_status(error)) + b"\n"
