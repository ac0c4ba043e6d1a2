"""Names and numbers of signals, as images (STOPSIGNAL), pods and `docker kill` write them. Pure."""

from __future__ import annotations

import re
import signal

from pinnace.base.errors import UserError


def parse_signal(text: str) -> int:
    """Return a signal's number. Raises: UserError.

    Example: "TERM", "SIGTERM", "sigterm" and "15" are 15; "SIGRTMIN+3" (what systemd wants) is 37.
    """
    name = text.strip().upper()
    if name.isdecimal() and 0 < int(name) < signal.NSIG:
        return int(name)
    if not name.startswith("SIG"):
        name = f"SIG{name}"
    real_time = re.fullmatch(r"SIGRT(MIN|MAX)([+-]\d+)?", name)
    if real_time:
        base = signal.SIGRTMIN if real_time[1] == "MIN" else signal.SIGRTMAX
        number = base + int(real_time[2] or 0)
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    elif name in signal.Signals.__members__:
        return signal.Signals[name]
    raise UserError(f"invalid signal: {text}", hint="see kill -l for the names")


def render_signal(number: int) -> str:
    """Return a signal's name. Example: 15 is "SIGTERM", 37 is "SIGRTMIN+3"."""
    if signal.SIGRTMIN < number < signal.SIGRTMAX:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return signal.Signals(number).name
