"""Signals by name and number. Expected values: `kill -l`."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.container.signals import parse_signal, render_signal


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigkill", 9),
        ("1", 1),
        ("SIGRTMIN+3", 37),
        ("RTMAX", 64),
        ("SIGRTMAX-1", 63),
    ],
)
def test_signal(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "999", "SIGNOPE", "SIGRTMIN+99", "TERM+1"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="invalid signal"):
        parse_signal(text)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGRTMIN+3", "SIGRTMIN", "SIGRTMAX", "SIGKILL"])
def test_names_come_back(name: str) -> None:
    assert render_signal(parse_signal(name)) == name
