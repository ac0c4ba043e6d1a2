"""Child processes: what they wrote, how they ended, and that a command that hangs is killed with its children."""

import os
import time

import pytest

from pinnace.base.errors import HostError
from pinnace.base.spawn import find_program, run


async def test_what_a_process_wrote_comes_back() -> None:
    done = await run(["sh", "-c", "cat; echo talk >&2"], stdin=b"data")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"data", b"talk\n")


async def test_an_error_shows_the_exact_command_its_code_and_its_words() -> None:
    with pytest.raises(HostError) as caught:
        await run(["sh", "-c", "echo no such thing >&2; exit 3"])
    assert caught.value.message == "sh -c 'echo no such thing >&2; exit 3' ended with code 3: no such thing"
    assert caught.value.returncode == 3


async def test_a_process_that_hangs_is_killed_with_its_children(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pids = tmp_path / "pids"
    began = time.monotonic()
    with pytest.raises(HostError, match=r"did not end within 0\.3 s"):
        await run(["sh", "-c", f"sleep 60 & echo $! > {pids}; sleep 60"], timeout_s=0.3)
    assert time.monotonic() - began < 10
    child = int(pids.read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(200):
            os.kill(child, 0)
            time.sleep(0.01)  # noqa: ASYNC251 - the child is init's now: there is nothing to await


async def test_a_missing_program_is_named_with_what_to_do() -> None:
    with pytest.raises(HostError, match="no-such-program is not installed") as caught:
        find_program("no-such-program")
    assert caught.value.hint == "apt-get install no-such-program"
