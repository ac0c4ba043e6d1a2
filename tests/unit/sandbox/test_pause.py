"""The pause program: an executable that the kernel takes, and that only a signal ends."""

from __future__ import annotations

import platform
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from pinnace.base.errors import HostError
from pinnace.sandbox.pause import render_pause_program


@pytest.mark.parametrize(
    ("machine", "number"), [("x86_64", 62), ("aarch64", 183)]
)  # Source: elf.h, EM_X86_64, EM_AARCH64
def test_program_is_a_small_elf_file_with_its_action_aligned(machine: str, number: int) -> None:
    program = render_pause_program(machine)
    assert program[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", program, 18)[0] == number
    assert len(program) < 256
    assert (len(program) - 32) % 8 == 0  # struct sigaction, at the end


def test_other_machines_are_refused_with_a_hint() -> None:
    with pytest.raises(HostError, match="riscv64") as caught:
        render_pause_program("riscv64")
    assert caught.value.hint


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"), reason="there is no code for this machine"
)
def test_program_sleeps_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pause"
    path.write_bytes(render_pause_program())
    path.chmod(0o755)
    process = subprocess.Popen([path])
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        ignored = next(
            line
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
            if line.startswith("SigIgn")
        )
        assert int(ignored.split()[1], 16) >> (signal.SIGCHLD - 1) & 1
    finally:
        process.kill()
        process.wait()
