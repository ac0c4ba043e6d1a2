import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.kubeapi.command_protocols import (
    BASE64,
    ERROR,
    STDOUT,
    V1,
    V2,
    V3,
    V4,
    V5,
    CommandProtocol,
    SizeReader,
    build_exit_status,
    parse_size,
    unwrap_text,
    wrap_text,
)


@pytest.mark.parametrize(
    ("name", "structured", "resizes", "is_text"),
    [
        ("", False, False, False),
        (V1, False, False, False),
        (V2, False, False, False),
        (V3, False, True, False),
        (V4, True, True, False),
        (V5, True, True, False),
        (BASE64[0], False, False, True),
        (BASE64[1], True, True, True),
    ],
)
def test_what_the_versions_differ_in(name: str, structured: bool, resizes: bool, is_text: bool) -> None:
    protocol = CommandProtocol(name)
    assert (protocol.structured, protocol.resizes, protocol.is_text) == (structured, resizes, is_text)


def test_success_is_silence_before_version_four() -> None:
    success, failure = build_exit_status(0), build_exit_status(3)
    assert CommandProtocol(V1).render_end(success) == b""
    assert CommandProtocol(V3).render_end(failure) == (
        b"command terminated with non-zero exit code: exit status 3"
    )
    assert json.loads(CommandProtocol(V4).render_end(success)) == {"metadata": {}, "status": "Success"}


def test_the_exit_code_is_a_cause() -> None:
    status = build_exit_status(137)
    assert (status["reason"], status["details"]) == (
        "NonZeroExitCode",
        {"causes": [{"reason": "ExitCode", "message": "137"}]},
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (b'{"Width":80,"Height":24}', (80, 24)),
        (b'{"Width":0,"Height":24}', None),
        (b'{"Width":70000,"Height":24}', None),
        (b'{"Width":80}', None),
        (b"[1]", None),
        (b"", None),
        (b"\xff", None),
        (b"[" * 5000, None),
    ],
)
def test_sizes(text: bytes, size: tuple[int, int] | None) -> None:
    assert parse_size(text) == size


def test_sizes_follow_one_another_in_a_stream() -> None:
    reader = SizeReader()
    assert reader.feed(b'{"Width":1,"Height":2}\n{"Width":3,') == [(1, 2)]
    assert reader.feed(b'"Height":4}\n') == [(3, 4)]
    reader.feed(b"x" * 100_000)
    assert len(reader._text) <= 1024  # what never ends is not kept


def test_messages_in_base64_begin_with_a_digit() -> None:
    assert wrap_text(STDOUT, b"hi") == "1aGk="
    assert unwrap_text("1aGk=") == (STDOUT, b"hi")
    assert wrap_text(ERROR, b"") == "3"
    assert (unwrap_text(""), unwrap_text("1!")) == (None, None)


@given(st.integers(0, 9), st.binary(max_size=100))
def test_what_is_wrapped_can_be_unwrapped(channel: int, data: bytes) -> None:
    assert unwrap_text(wrap_text(channel, data)) == (channel, data)
