"""A client on the stdio of a container's first process, through its monitor's socket. A doer.

Invariant: the socket is open only while a client is, and is always read: conmon would otherwise stop reading the
container's output. A client that lets more than `BACKLOG_BYTES` pile up is cut off, the container is not held up.
Source: conmon 2.1, src/conn_sock.c: SOCK_SEQPACKET; each packet to us starts with the stream's number; what we send is stdin;
shutting down our writing side closes stdin.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path

from pinnace.base.errors import HostError
from pinnace.container.monitor import render_resize
from pinnace.container.streams import Chunk, Drain, write_all

BACKLOG_BYTES = 16 << 20
_PACKET_BYTES = (
    32 * 1024 + 1
)  # Source: conmon 2.1, src/conn_sock.h, CONN_SOCK_BUF_SIZE; and the stream's number
_STDERR = 3


class Attachment:
    """The stdio of a container; a `Streams`. Made by `attach`.

    `cut_off`: its reader was too slow and has not got everything; the log has.
    """

    def __init__(self, sock: socket.socket, control: Path) -> None:
        self._socket = sock
        self._control = control
        self._drain = Drain(BACKLOG_BYTES)
        self._closed = False
        self.cut_off = False
        asyncio.get_running_loop().add_reader(sock.fileno(), self._on_readable)

    async def read(self) -> Chunk | None:
        return await self._drain.get()

    async def write(self, data: bytes) -> None:
        """Send to stdin; what a process that has ended can't read is dropped."""
        if self._closed:
            return
        try:
            await write_all(self._socket.fileno(), data)
        except (BrokenPipeError, ConnectionResetError):
            return

    async def close_stdin(self) -> None:
        if not self._closed:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                return

    def resize(self, height: int, width: int) -> None:
        send_control(self._control, render_resize(height, width))

    async def close(self) -> None:
        self._end()

    def _on_readable(self) -> None:
        for _ in range(64):  # leave the loop to others in between
            try:
                packet = self._socket.recv(_PACKET_BYTES)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._end()
                return
            chunk = Chunk("stderr" if packet[0] == _STDERR else "stdout", packet[1:])
            if chunk.data and not self._drain.put(chunk):
                self.cut_off = True
                self._end()
                return

    def _end(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._drain.end()


def attach(path: Path, control: Path) -> Attachment:
    """Connect to a monitor's socket. Raises: HostError when the container has no monitor (it has ended)."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        # A path may be longer than the 107 bytes that an address holds; through the folder's descriptor it never is.
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            sock.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except OSError as error:
        sock.close()
        raise HostError(
            f"can't attach to container {path.parent.name}: it is not running", errno=error.errno
        ) from error
    return Attachment(sock, control)


def send_control(control: Path, command: bytes) -> bool:
    """Send a command to a monitor; False when it is gone."""
    try:
        descriptor = os.open(control, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise HostError(f"{control}: {error.strerror}", errno=error.errno) from error
    try:
        os.write(descriptor, command)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
