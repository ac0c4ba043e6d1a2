"""What a person is told when a step fails."""

from __future__ import annotations

import errno

import pytest

from pinnace.base.errors import HostError, UserError
from pinnace.build.execute import CommandFailed
from pinnace.build.failures import place_error
from pinnace.build.steps import Place
from pinnace.dockerfile.source import Source

SOURCE = Source("Dockerfile", "FROM a\n  RUN make \\\n  all\n")
PLACE = Place(line=2, last_line=3, text="RUN make all", stage="a")


def told(code: int = 1, tail: str = "", *, oom: bool = False) -> UserError:
    error = place_error(CommandFailed(code, "make all", tail, oom=oom), PLACE, SOURCE)
    assert isinstance(error, UserError)
    return error


def test_failed_command_is_told_with_its_line_its_last_output_and_a_hint() -> None:
    error = told(2, "\n".join(f"line {number}" for number in range(50)) + "\n")
    lines = error.message.splitlines()
    assert lines[0] == "process 'make all' did not complete successfully: exit code: 2"
    assert lines[1:] == [f"line {number}" for number in range(30, 50)]
    assert error.where == "Dockerfile:2: RUN make \\\n           3: all"
    assert error.hint == "the lines above are the command's last output"


@pytest.mark.parametrize(
    ("code", "tail", "word"),
    [
        (
            1,
            "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
            "--host-ca",
        ),
        (6, "curl: (6) Could not resolve host: pypi.org", "resolv.conf"),
        (1, "wget: bad address 'x'", "resolv.conf"),
        (1, "cp: write error: No space left on device", "disk is full"),
        (127, "/bin/sh: foo: not found", "foo is not in the image"),
        (126, "Permission denied", "may not be executed"),
        (137, "", "killed"),
        (1, "", "by hand"),
    ],
)
def test_hint_says_what_to_do(code: int, tail: str, word: str) -> None:
    assert word in told(code, tail).hint


def test_command_without_memory_is_told_as_that() -> None:
    assert "memory" in told(137, oom=True).hint


def test_other_errors_keep_their_own_place_and_get_one_if_they_have_none() -> None:
    assert place_error(UserError("m", "h"), PLACE, SOURCE).__dict__["where"] == SOURCE.excerpt(2, 3)
    placed = UserError("m", "h", ".dockerignore:1: x")
    assert place_error(placed, PLACE, SOURCE) is placed


def test_what_the_machine_refuses_is_told_with_the_line_too() -> None:
    error = place_error(HostError("No space left on device", errno=errno.ENOSPC), PLACE, SOURCE)
    assert isinstance(error, HostError)
    assert error.message == "Dockerfile:2: RUN make \\: No space left on device"
    assert "pinnace builder prune" in error.hint
