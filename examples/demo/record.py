"""`python -m examples.demo.record docs/demo.svg`: runs the demo on a terminal of its own and draws what it wrote.

The picture is of a real run, as it was written; only pauses are shortened, and its title says so.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import struct
import sys
import termios
import time
from pathlib import Path

from examples.demo.picture import COLUMNS, ROWS, Chunk, read_lines, render_svg, shorten_pauses

LONGEST_PAUSE_S = 1.2
SPEED = 4.0


def record(argv: list[str]) -> tuple[int, list[Chunk]]:
    """Run a command on a pseudo-terminal; return its exit code and what it wrote."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    began, chunks = time.monotonic(), []
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not data:
            break
        chunks.append((time.monotonic() - began, data))
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), _decode(chunks)


def _decode(chunks: list[tuple[float, bytes]]) -> list[Chunk]:
    """Return texts; a chunk may end within a character, so whole lines are decoded."""
    texts, rest = [], b""
    for at_s, data in chunks:
        whole, newline, rest = (rest + data).rpartition(b"\n")
        texts.append(Chunk(at_s, (whole + newline).decode(errors="replace")))
    return texts


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.demo.record", description="Record the demo as a picture."
    )
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output
    code, chunks = record([sys.executable, "-m", "examples.demo"])
    if code:
        print("error: the demo failed; no picture was written", file=sys.stderr)
        return code
    lines = read_lines(chunks)
    seconds = round(lines[-1].at_s)
    shown = shorten_pauses(lines, longest_s=LONGEST_PAUSE_S, speed=SPEED)
    title = f"make demo: a real run of {seconds // 60} min {seconds % 60} s, shown faster"
    output.write_text(render_svg(shown, title))
    print(f"{output}: {output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
