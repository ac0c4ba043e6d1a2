"""One session with a container from a terminal or a pipe: `run`, `attach`, `exec`, `start -a`, `logs`.

The terminal is raw while the session lasts and restored however it ends. One loop over descriptors, no threads; signals
arrive through a pipe. Invariant: nothing that the container wrote before its end is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Iterator
from typing import Any

from pinnace.base import frames
from pinnace.base.errors import HostError
from pinnace.cli.client import Client, parse_error

READ_BYTES = 64 * 1024
DETACH_KEYS = b"\x10\x11"  # Source: Docker's documentation, docker attach: ctrl-p, ctrl-q
# What a person or a supervisor sends us is meant for the container. Source: docker/cli, run, --sig-proxy
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCONT")
PATIENCE = 3  # so many SIGINT or SIGTERM that change nothing end us


class Detached(Exception):
    """The person has pressed the detach keys."""


class SessionFailed(Exception):
    """The daemon has ended the session with an error; `code` is the exit code that Docker gives it."""

    def __init__(self, error: Exception, code: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.code = code


class ChunkedReader:
    """Takes the bytes of a chunked HTTP body as they come and gives what is in them."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0
        self._over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._rest += data
        while self._rest and not self._over:
            if self._left > 2:  # the chunk, then its line end
                piece = self._rest[: self._left - 2]
                self._rest = self._rest[len(piece) :]
                self._left -= len(piece)
                yield piece
            elif self._left:
                gone = min(self._left, len(self._rest))
                self._rest, self._left = self._rest[gone:], self._left - gone
            else:
                line, found, rest = self._rest.partition(b"\r\n")
                if not found:
                    return
                self._rest, size = rest, int(line.split(b";")[0], 16)
                self._over = size == 0
                self._left = size + 2


class Session:
    """A session that is being held. `stdin` says whether ours is sent; `tty` whether it is a terminal to be made raw."""

    def __init__(
        self, client: Client, path: str, request: Any, *, stdin: bool, tty: bool, signals: bool
    ) -> None:
        self._stdin = 0 if stdin else -1
        self._tty = tty and os.isatty(0)
        self._signals = signals
        self._frames = frames.Frames()
        self._body = ChunkedReader()
        self._pressed = b""
        self._impatient = 0
        self.code: int | None = None
        if self._tty:
            height, width = terminal_size()
            path += ("&" if "?" in path else "?") + f"height={height}&width={width}"
        answer = client.stream(path)
        self._socket: socket.socket = answer.connection
        self._send(frames.pack(frames.REQUEST, json.dumps(request).encode()))
        self._answer = answer  # keeps what was read with the headers

    def _send(self, frame: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.setblocking(True)
            self._socket.sendall(b"%x\r\n%b\r\n" % (len(frame), frame))
            self._socket.setblocking(False)

    def run(self) -> int:
        """Hold the session to its end and return the exit code. Raises: SessionFailed, Detached, HostError."""
        with _raw_terminal(self._tty), _caught_signals(self._signals, self._tty) as wakeup:
            self._socket.setblocking(False)
            buffered = self._answer.raw()[1]
            self._take(buffered)
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if wakeup >= 0:
                poll.register(wakeup, select.POLLIN)
            if self._stdin >= 0:
                poll.register(self._stdin, select.POLLIN)
            while self.code is None:
                for descriptor, _ in poll.poll():
                    if descriptor == self._socket.fileno():
                        self._receive()
                    elif descriptor == wakeup:
                        for number in os.read(wakeup, 64):
                            self._forward(number)
                    elif not self._read_stdin():
                        poll.unregister(self._stdin)
                        self._stdin = -1
        self._socket.close()
        return self.code

    def _receive(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise HostError(
                "the daemon closed the session", hint="see `pinnace status`; the container may go on"
            )
        self._take(data)

    def _take(self, data: bytes) -> None:
        for piece in self._body.feed(data):
            for kind, payload in self._frames.feed(piece):
                if kind == frames.STDOUT:
                    write_all(1, payload)
                elif kind == frames.STDERR:
                    write_all(2, payload)
                elif kind == frames.EXIT:
                    self.code = frames.parse_code(payload)
                elif kind == frames.ERROR:
                    code = int(json.loads(payload).get("exit_code", 125))
                    raise SessionFailed(parse_error(0, payload), code)

    def _read_stdin(self) -> bool:
        try:
            data = os.read(self._stdin, READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._send(frames.pack(frames.STDIN))
            return False
        if self._tty:
            data = self._watch_keys(data)
        if data:
            self._send(frames.pack(frames.STDIN, data))
        return True

    def _watch_keys(self, data: bytes) -> bytes:
        """Hold back the beginning of the detach keys until it is known what follows."""
        whole = self._pressed + data
        before, found, _ = whole.partition(DETACH_KEYS)
        if found:
            if before:
                self._send(frames.pack(frames.STDIN, before))
            raise Detached
        self._pressed = DETACH_KEYS[:1] if whole.endswith(DETACH_KEYS[:1]) else b""
        return whole[: len(whole) - len(self._pressed)]

    def _forward(self, number: int) -> None:
        if number == signal.SIGWINCH:
            self._send(frames.pack_size(*terminal_size()))
            return
        if number in (signal.SIGINT, signal.SIGTERM):
            self._impatient += 1
            if self._impatient >= PATIENCE:
                raise KeyboardInterrupt
        self._send(frames.pack_code(frames.SIGNAL, number))


def terminal_size() -> tuple[int, int]:
    """Return height and width of our terminal."""
    try:
        size = os.get_terminal_size(0)
    except OSError:
        return 24, 80
    return size.lines, size.columns


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, waiting where a pipe is full."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


@contextlib.contextmanager
def _raw_terminal(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    try:
        tty.setraw(0, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _caught_signals(forward: bool, tty: bool) -> Iterator[int]:
    """Catch signals to a pipe whose reading end is given; -1 when none is caught."""
    names = [*(FORWARDED if forward else ()), *(("SIGWINCH",) if tty else ())]
    if not names:
        yield -1
        return
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before = {}
    try:
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for name in names:
            number = signal.Signals[name]
            before[number] = signal.signal(number, lambda *_: None)
        yield reader
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
