"""Writes one line for each request that is refused, or that admission notes something of: who asked what, from where, and
what they were told.

Called by the handler. The file is rotated by size, so that whoever is refused all day fills no disk; a file that can't be
written is told of once and keeps nobody from an answer.
Source: Kubernetes v1.36, audit.k8s.io/v1, Event, at the level Metadata.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from pinnace.api.access.attributes import Attributes
from pinnace.api.access.users import User
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_micro_time
from pinnace.kubeapi.errors import build_status
from pinnace.kubeapi.gate import Passage
from pinnace.kubeapi.request_info import read_attributes
from pinnace.kubeapi.texts import clean

log = logging.getLogger("pinnace.kubeapi")

LIMIT_BYTES = 10 * 1024 * 1024
KEPT = 3  # old files beside the present one
_LONGEST = 2048  # of what a stranger sends

_encode = msgspec.json.Encoder().encode


class AuditLog:
    """The file of one instance."""

    def __init__(self, path: Path, clock: Clock, chance: Chance, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._clock = clock
        self._chance = chance
        self._limit_bytes = limit_bytes
        self._handle = -1
        self._size = 0
        self._told = False

    def record(
        self,
        request: web.BaseRequest,
        passage: Passage,
        error: ApiError | None,
        received: float,
        *,
        status: int = 200,
    ) -> str:
        """Write a request's line; return its id. Units: `received` in unix seconds. `status` counts without an error."""
        audit_id = self._chance.uid()
        event = build_event(request, passage, error, audit_id, received, self._clock.now(), status=status)
        self._write(_encode(event) + b"\n")
        return audit_id

    def close(self) -> None:
        """Let go of the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _write(self, line: bytes) -> None:
        try:
            if self._handle < 0:
                self._open()
            elif self._size + len(line) > self._limit_bytes:
                self._rotate()
            os.write(self._handle, line)
            self._size += len(line)
            self._told = False
        except OSError as error:
            self.close()
            if not self._told:
                self._told = True
                log.error("requests are not recorded: %s: %s", self._path, error.strerror)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._handle).st_size

    def _rotate(self) -> None:
        self.close()
        for number in range(KEPT, 0, -1):
            older = self._numbered(number - 1) if number > 1 else self._path
            if older.exists():
                older.replace(self._numbered(number))
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def is_refused(error: ApiError) -> bool:
    """Say whether an error means that somebody was refused."""
    return error.reason in (Reason.UNAUTHORIZED, Reason.FORBIDDEN)


def build_event(
    request: web.BaseRequest,
    passage: Passage,
    error: ApiError | None,
    audit_id: str,
    received: float,
    now: float,
    *,
    status: int = 200,
) -> dict[str, Any]:
    """Return the Event of one request."""
    path, _, query_text = request.raw_path.partition("?")
    asked = read_attributes(request.method, path, query_text)
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": audit_id,
        "stage": "ResponseComplete",
        "requestURI": clean(request.raw_path)[:_LONGEST],
        "verb": asked.verb,
        "user": render_user(passage.real) if passage.real is not None else {},
    }
    if passage.user is not None and passage.user is not passage.real:
        event["impersonatedUser"] = render_user(passage.user)
    event["sourceIPs"] = [request.remote] if request.remote else []
    event["userAgent"] = clean(request.headers.get("User-Agent", ""))[:_LONGEST]
    if asked.resource:
        event["objectRef"] = _render_target(asked)
    event["responseStatus"] = _render_outcome(error, status)
    event["requestReceivedTimestamp"] = render_micro_time(received)
    event["stageTimestamp"] = render_micro_time(now)
    if error is None or error.reason is not Reason.UNAUTHORIZED:
        event["annotations"] = {
            "authorization.k8s.io/decision": "allow" if passage.passed else "forbid",
            "authorization.k8s.io/reason": "",
            **passage.notes,
        }
    return event


def _render_outcome(error: ApiError | None, status: int) -> dict[str, Any]:
    if error is None:
        return {"metadata": {}, "code": status}
    told = build_status(error)
    return {key: told[key] for key in ("metadata", "status", "message", "reason", "code")}


def render_user(user: User) -> dict[str, Any]:
    """Return a user as Kubernetes' UserInfo."""
    given: Mapping[str, Any] = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    return {key: value for key, value in given.items() if value}


def _render_target(asked: Attributes) -> dict[str, str]:
    given = {
        "resource": asked.resource,
        "namespace": asked.namespace,
        "name": asked.name,
        "apiGroup": asked.group,
        "apiVersion": asked.version,
        "subresource": asked.subresource,
    }
    return {key: value[:_LONGEST] for key, value in given.items() if value}
