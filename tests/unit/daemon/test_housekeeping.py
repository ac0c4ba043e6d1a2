"""What is done now and then, on virtual time."""

from __future__ import annotations

from pinnace.base.clock import LoopClock
from pinnace.base.virtual import run_virtual
from pinnace.daemon.housekeeping import Housekeeping


class Sandboxes:
    """Remembers when logs were looked at; the first look fails."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.looks: list[float] = []

    def rotate_logs(self) -> tuple[str, ...]:
        self.looks.append(self._clock.now())
        if len(self.looks) == 1:
            raise OSError("no space left on device")
        return ("c",)


def test_logs_are_looked_at_every_ten_seconds_though_one_look_fails() -> None:
    async def main() -> list[float]:
        clock = LoopClock(0.0)
        sandboxes = Sandboxes(clock)
        rounds = Housekeeping(sandboxes, clock)  # type: ignore[arg-type]
        rounds.start()
        await clock.sleep(35)
        await rounds.close()
        return sandboxes.looks

    assert run_virtual(main()) == [10, 20, 30]
