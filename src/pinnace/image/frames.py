"""The words between the daemon and a worker process: length, then JSON. Pure.

Down: `Request`. Up: any number of `Progress`, then one `Result` or `Failure`. One request at a time; there is no
cancelling word, because a worker that should stop is killed.
"""

from __future__ import annotations

import struct

import msgspec

from pinnace.base.errors import ApiError, Bug, HostError, PinnaceError, Reason, UserError
from pinnace.image.tar_format import TarError

HEADER = struct.Struct(">I")
FRAME_MAX_BYTES = 64 << 20


class Request(msgspec.Struct, frozen=True, tag_field="word", tag="request"):
    """Call `function` ("package.module:name", within pinnace) with its arguments as JSON."""

    function: str
    job: msgspec.Raw


class Progress(msgspec.Struct, frozen=True, tag_field="word", tag="progress"):
    """How far a job is: what it does, how many entries, how many bytes."""

    what: str
    entries: int
    size: int


class Result(msgspec.Struct, frozen=True, tag_field="word", tag="result"):
    """What the function returned, as JSON."""

    value: msgspec.Raw


class Failure(msgspec.Struct, frozen=True, tag_field="word", tag="failure", omit_defaults=True):
    """What the function raised; `type` is the class's name, `trace` is only there for what nobody expected."""

    type: str
    message: str
    hint: str = ""
    where: str = ""
    errno: int | None = None
    reason: str = ""
    trace: str = ""


Answer = Progress | Result | Failure
_ANSWERS: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def render(message: Request | Answer) -> bytes:
    """Return a message as a frame."""
    body = msgspec.json.encode(message)
    return HEADER.pack(len(body)) + body


def parse_answer(body: bytes) -> Answer:
    """Return what a worker said. Raises: Bug."""
    try:
        return _ANSWERS.decode(body)
    except msgspec.MsgspecError as error:
        raise Bug(f"a worker said something unknown: {error}") from error


def parse_length(header: bytes) -> int:
    """Return how long the body is. Raises: Bug when it can't be."""
    (length,) = HEADER.unpack(header)
    if length > FRAME_MAX_BYTES:
        raise Bug(f"a frame of {length} bytes between daemon and worker")
    return int(length)


def describe_error(error: BaseException, trace: str) -> Failure:
    """Return an error as words; `trace` goes along when it is not one of ours."""
    if isinstance(error, PinnaceError):
        return Failure(
            type=type(error).__name__,
            message=error.message,
            hint=error.hint,
            where=getattr(error, "where", ""),
            errno=getattr(error, "errno", None),
            reason=error.reason.name if isinstance(error, ApiError) else "",
        )
    if isinstance(error, OSError):
        return Failure(type="HostError", message=str(error), errno=error.errno, trace=trace)
    return Failure(type="Bug", message=f"{type(error).__name__}: {error}", trace=trace)


def build_error(failure: Failure) -> PinnaceError:
    """Return the error that a worker's words stand for, of the same type."""
    if failure.type == "TarError":
        return TarError(failure.message, failure.hint, failure.where)
    if failure.type == "HostError":
        return HostError(failure.message, errno=failure.errno, hint=failure.hint)
    if failure.type == "ApiError":
        return ApiError(Reason[failure.reason], failure.message, hint=failure.hint)
    if failure.type == "Bug":
        return Bug(f"in a worker: {failure.message}" + (f"\n{failure.trace}" if failure.trace else ""))
    return UserError(failure.message, failure.hint, failure.where)
