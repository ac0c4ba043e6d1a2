"""A small WebSocket client for upgrades over the daemon's socket: binary messages, both ways.

One side is a plain codec; `WebSocket` puts it on a connection. Source: RFC 6455, 5.2 (frames) and 5.3 (masking).
"""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections.abc import Iterator

from pinnace.base.errors import HostError
from pinnace.cli.client import Client

BINARY, CLOSE, PING, PONG, CONTINUATION = 0x2, 0x8, 0x9, 0xA, 0x0
_FINAL, _MASKED = 0x80, 0x80


def encode_frame(opcode: int, data: bytes, mask: bytes) -> bytes:
    """Return a frame as a client must send it: whole and masked.

    Example: encode_frame(2, b"", b"abcd") → b"\\x82\\x80abcd".
    """
    size = len(data)
    if size < 126:
        head = bytes((_FINAL | opcode, _MASKED | size))
    elif size < 65536:
        head = bytes((_FINAL | opcode, _MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FINAL | opcode, _MASKED | 127)) + size.to_bytes(8, "big")
    keys = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")
    return head + mask + masked.to_bytes(size, "little")


class Frames:
    """Takes bytes as they come and gives the frames that are whole: opcode and data."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self._buffer += data
        while (frame := self._take()) is not None:
            yield frame

    def _take(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return buffer[0] & 0x0F, buffer[start : start + size]


class WebSocket:
    """An open connection. Sending is safe from several threads; reading belongs to one."""

    def __init__(self, connection: socket.socket, first: bytes = b"") -> None:
        self._connection = connection
        self._first = first
        self._frames = Frames()
        self._lock = threading.Lock()

    def send(self, data: bytes, opcode: int = BINARY) -> None:
        """Send one message. Raises: OSError when the other side has gone."""
        frame = encode_frame(opcode, data, os.urandom(4))
        with self._lock:
            self._connection.sendall(frame)

    def messages(self) -> Iterator[bytes]:
        """Yield messages until the other side closes."""
        data = self._first or self._receive()
        while data:
            for opcode, payload in self._frames.feed(data):
                if opcode == CLOSE:
                    return
                if opcode == PING:
                    self.send(payload, PONG)
                elif opcode in (BINARY, CONTINUATION):
                    yield payload
            data = self._receive()

    def close(self) -> None:
        """Say goodbye and end the connection; a reader then ends too."""
        try:
            self.send(b"\x03\xe8", CLOSE)  # 1000: done
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._connection.close()

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(65536)
        except OSError:
            return b""


def connect(client: Client, path: str, protocol: str) -> WebSocket:
    """Open a WebSocket on a path. Raises: PinnaceError as the daemon said."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Protocol": protocol,
    }
    answer = client.open("GET", path, headers=headers)
    if answer.status != 101:
        raise HostError(f"the daemon answered {answer.status} instead of switching protocols")
    return WebSocket(*answer.raw())
