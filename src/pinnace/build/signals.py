"""Knows which signals STOPSIGNAL may name. Pure. Source: Docker, pkg/signal (behaviour): a number, or a name with or without SIG."""

from __future__ import annotations

import re
import signal

_REAL_TIME = re.compile(r"RT(MIN(\+\d{1,2})?|MAX(-\d{1,2})?)")


def is_signal(text: str) -> bool:
    """Say whether a text names a signal. Example: "SIGQUIT", "quit", "3", "SIGRTMIN+3"."""
    if text.isdecimal():
        return 0 < int(text) <= signal.NSIG
    name = text.upper().removeprefix("SIG")
    return f"SIG{name}" in signal.Signals.__members__ or _REAL_TIME.fullmatch(name) is not None
