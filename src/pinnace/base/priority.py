"""Lets the loop's thread go before whatever else the machine computes: builds and containers must not delay an answer.

Called by `daemon/` for the thread that runs the loop; threads that start processes or do file work go back, so that
nothing that is started inherits it. The loop computes little, so it takes nothing away from anybody.
"""

from __future__ import annotations

import contextlib
import os

LOOP_NICE = -10
_usual = os.getpriority(os.PRIO_PROCESS, 0)


def raise_this_thread() -> None:
    """Give the calling thread a higher priority, if we may. Its session too, where the kernel groups by sessions."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, min(LOOP_NICE, _usual))  # Linux: of the thread, not of the process
    with (
        contextlib.suppress(OSError),
        open("/proc/self/autogroup", "w") as file,
    ):  # sched(7), "The autogroup feature"
        file.write(str(LOOP_NICE))


def lower_this_thread() -> None:
    """Give the calling thread the priority that the process began with."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _usual)
