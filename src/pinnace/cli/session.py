"""One session with a container from a terminal or a pipe: `run`, `attach`, `exec`, `start -a`, `logs`.

The terminal is raw while the session lasts and restored however it ends. One loop over descriptors, no threads; signals
arrive through a pipe. Imports next to nothing, because `run` starts with it. Invariant: nothing that the container wrote
before its end is lost.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator

from pinnace.base import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

READ_BYTES = 64 * 1024
DETACH_KEYS = b"\x10\x11"  # Source: Docker's documentation, docker attach: ctrl-p, ctrl-q
# What a person or a supervisor sends us is meant for the container. Source: docker/cli, run, --sig-proxy
FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCONT")
PATIENCE = 3  # so many SIGINT or SIGTERM that change nothing end us


class Detached(Exception):
    """The person has pressed the detach keys."""


class SessionFailed(Exception):
    """The daemon has refused the session, or ended it with an error: `document` says which, `code` is its exit code."""

    def __init__(self, document: bytes, code: int) -> None:
        super().__init__(document)
        self.document = document
        self.code = code

    @property
    def lacks_image(self) -> bool:
        """Say whether it failed for want of an image."""
        told = json.loads(self.document)
        return bool(told.get("reason") == "NotFound" and told.get("details", {}).get("kind") == "images")


class SessionLost(Exception):
    """The daemon has gone."""


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
        self,
        connection: socket.socket,
        path: str,
        request: Any,
        *,
        stdin: bool = False,
        tty: bool = False,
        signals: bool = False,
        on_started: Callable[[dict[str, Any]], None] | None = None,
        patient: bool = False,
    ) -> None:
        """Begin. `patient`: our input is not touched before the container has started, so that a refusal leaves it whole."""
        self._socket = connection
        self._stdin = 0 if stdin else -1
        self._may_read = not patient
        self._reading = False
        self._tty = tty and os.isatty(0)
        self._signals = signals
        self._on_started = on_started
        self._head: bytes | None = b""
        self._frames = frames.Frames()
        self._body = ChunkedReader()
        self._pressed = b""
        self._impatient = 0
        self.code: int | None = None
        if self._tty:
            height, width = terminal_size()
            path += ("&" if "?" in path else "?") + f"height={height}&width={width}"
        first = frames.pack(frames.REQUEST, json.dumps(request).encode())
        head = (
            f"POST {path} HTTP/1.1\r\nHost: pinnace\r\nContent-Type: application/vnd.pinnace.frames\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        )
        self._send(first, before=head.encode())

    def _send(self, frame: bytes, before: bytes = b"") -> None:
        try:
            self._socket.setblocking(True)
            self._socket.sendall(b"%b%x\r\n%b\r\n" % (before, len(frame), frame))
            self._socket.setblocking(False)
        except (BrokenPipeError, ConnectionResetError):
            return  # what the daemon said before is still to be read

    def run(self) -> int:
        """Hold the session to its end and return the exit code. Raises: SessionFailed, SessionLost, Detached."""
        with RawTerminal(self._tty), CaughtSignals(self._signals, self._tty) as wakeup:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if wakeup >= 0:
                poll.register(wakeup, select.POLLIN)
            while self.code is None:
                if self._stdin >= 0 and self._may_read and not self._reading:
                    poll.register(self._stdin, select.POLLIN)
                    self._reading = True
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
        except ConnectionResetError:
            data = b""
        if not data:
            raise SessionLost
        if self._head is not None:
            self._head += data
            data = self._read_head()
        if data:
            self._take(data)

    def _read_head(self) -> bytes:
        """Read the answer's head once it is whole; return what follows it. Raises: SessionFailed."""
        assert self._head is not None
        head, found, rest = self._head.partition(b"\r\n\r\n")
        if not found:
            return b""
        if int(head.split(b" ", 2)[1]) >= 400:
            lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
            length = next((int(value) for name, _, value in lines if name == b"content-length"), 0)
            if len(rest) < length:
                return b""
            raise SessionFailed(rest[:length], 1)
        self._head = None
        return rest

    def _take(self, data: bytes) -> None:
        for piece in self._body.feed(data):
            for kind, payload in self._frames.feed(piece):
                if kind == frames.STDOUT:
                    write_all(1, payload)
                elif kind == frames.STDERR:
                    write_all(2, payload)
                elif kind == frames.STARTED:
                    self._may_read = True
                    if self._on_started is not None:
                        self._on_started(json.loads(payload))
                elif kind == frames.EXIT:
                    self.code = frames.parse_code(payload)
                elif kind == frames.ERROR:
                    raise SessionFailed(payload, int(json.loads(payload).get("exit_code", 1)))

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


class RawTerminal:
    """A context in which our terminal is raw, if that is wanted."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._before: list[Any] = []

    def __enter__(self) -> None:
        if self._wanted:
            import termios
            import tty

            self._before = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)

    def __exit__(self, *_: object) -> None:
        if self._before:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._before)


class CaughtSignals:
    """A context in which signals come through a pipe, whose reading end it gives; -1 when none is to be caught."""

    def __init__(self, forward: bool, tty: bool) -> None:
        self._names = [*(FORWARDED if forward else ()), *(("SIGWINCH",) if tty else ())]
        self._ends: tuple[int, ...] = ()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> int:
        if not self._names:
            return -1
        self._ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)
        for name in self._names:
            number = getattr(signal, name)
            self._before[number] = signal.signal(number, lambda *_: None)
        return self._ends[0]

    def __exit__(self, *_: object) -> None:
        if self._ends:
            signal.set_wakeup_fd(-1)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            for end in self._ends:
                os.close(end)
