import json
import logging

import pytest

from pinnace.base.errors import ApiError, Bug, Cause, HostError, Reason, UserError
from pinnace.kubeapi.answers import answer_error, render_warning
from pinnace.kubeapi.errors import build_status, to_api_error
from pinnace.store.interface import (
    Compacted,
    Key,
    KeyMissing,
    Revision,
    RevisionAhead,
    SlowWatcher,
    StoreFailed,
)


@pytest.mark.parametrize(
    ("error", "code", "reason", "message"),
    [
        (ApiError(Reason.NOT_FOUND, 'pods "a" not found'), 404, "NotFound", 'pods "a" not found'),
        (
            UserError("no such file", hint="look", where="a.yaml:3"),
            400,
            "BadRequest",
            "a.yaml:3: no such file (hint: look)",
        ),
        (Compacted(Revision(3), Revision(9)), 410, "Expired", "too old resource version: 3 (9)"),
        (
            RevisionAhead(Revision(9), Revision(3)),
            504,
            "Timeout",
            "Timeout: Too large resource version: 9, current: 3",
        ),
        (SlowWatcher(Revision(3), 10), 410, "Expired", None),
        (StoreFailed("disk full"), 500, "InternalError", "Internal error occurred: disk full"),
        (KeyMissing(Key("pods", "a", "b")), 500, "InternalError", None),
        (HostError("runc failed"), 500, "InternalError", "Internal error occurred: runc failed"),
        (Bug("impossible"), 500, "InternalError", "Internal error occurred: impossible"),
        (ZeroDivisionError("by zero"), 500, "InternalError", "Internal error occurred: by zero"),
    ],
)
def test_every_error_becomes_a_status(
    error: Exception, code: int, reason: str, message: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    status = build_status(to_api_error(error))
    assert (status["code"], status["reason"], status["status"]) == (code, reason, "Failure")
    assert message is None or status["message"] == message


def test_every_reason_has_its_code() -> None:
    for reason in Reason:
        assert build_status(ApiError(reason, "x"))["code"] == reason.code


def test_details_name_the_object_and_all_causes() -> None:
    error = ApiError(
        Reason.INVALID,
        "bad",
        kind="Pod",
        name="web",
        causes=[Cause("FieldValueRequired", "Required value", "spec.containers")],
    )
    assert build_status(error) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "bad",
        "reason": "Invalid",
        "details": {
            "name": "web",
            "kind": "Pod",
            "causes": [
                {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers"}
            ],
        },
        "code": 422,
    }


def test_an_error_that_will_pass_says_when_to_try_again() -> None:
    response = answer_error(to_api_error(RevisionAhead(Revision(9), Revision(3))))
    assert response.headers["Retry-After"] == "1"
    assert json.loads(bytes(response.body))["details"] == {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }  # type: ignore[arg-type]


def test_a_warning_cannot_break_its_header() -> None:
    assert render_warning('unknown field "a"\r\nX: y\\') == '299 - "unknown field \\"a\\"  X: y\\\\"'
