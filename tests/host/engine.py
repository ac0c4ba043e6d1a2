"""What the engine's tests on the real host share: running the real command, with and without a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.product.instance import PINNACE, Product

WAIT_S = 30.0


def run(product: Product, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run `pinnace` and return exit code, output and talk."""
    done = product.try_pinnace(*words, stdin=stdin)
    return done.returncode, done.stdout, done.stderr


def inspect(product: Product, name: str) -> dict[str, Any]:
    import json

    document: dict[str, Any] = json.loads(product.pinnace("inspect", "--type", "container", name))[0]
    return document


def state(product: Product, name: str) -> dict[str, Any]:
    found: dict[str, Any] = inspect(product, name)["State"]
    return found


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    """Look until it holds: for what another process decides when to do, and tells nobody."""
    until = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < until, f"{what}: not within {WAIT_S:g} s"
        time.sleep(0.05)


@contextlib.contextmanager
def started(product: Product, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `pinnace` that runs in the background; killed in the end."""
    process = subprocess.Popen(
        [*PINNACE, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=product.env,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class Terminal:
    """A `pinnace` on a terminal of its own."""

    def __init__(self, product: Product, *words: str, height: int = 30, width: int = 100) -> None:
        self.master, slave = pty.openpty()
        self.resize(height, width)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(
            [*PINNACE, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**product.env, "TERM": "xterm"},
            start_new_session=True,
        )
        self.output = b""

    def resize(self, height: int, width: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str) -> str:
        """Read until `text` was printed; return everything so far."""
        until = time.monotonic() + WAIT_S
        while text.encode() not in self.output:
            left = until - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], (
                f"{text!r} is not in {self.output!r}"
            )
            self.output += os.read(self.master, 65536)
        return self.output.decode(errors="replace")

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(WAIT_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)
