"""Speaks netlink: packs requests, sends them over one socket, unpacks answers and errors.

Called by `links`, `conntrack` and `events`. Blocking, so only threads call `request`; nothing here knows what a pod is.
The kernel's own format is a dozen lines, and a library for it costs 24 MiB and 0.13 s of every start.
Invariant: each request is answered (acknowledged or refused) before the next one is sent.

Source: Linux, include/uapi/linux/netlink.h and Documentation/userspace-api/netlink/intro.rst.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ROUTE = 0
NETFILTER = 12

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
NESTED = 0x8000

_SOL_NETLINK = 270
_ADD_MEMBERSHIP, _EXT_ACK, _STRICT_CHECK = 1, 11, 12
_SO_RCVBUFFORCE = 33  # Source: Linux, include/uapi/asm-generic/socket.h
_GROUP_BUFFER_BYTES = 4 << 20  # a table of a thousand Services comes as one burst of events
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_ERROR_CAPPED, _ERROR_HAS_ATTRIBUTES = 0x100, 0x200
_ERROR_TEXT = 1  # NLMSGERR_ATTR_MSG

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ANSWER_TIMEOUT_S = 10.0
_RECEIVE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an answer; `body` is what follows the netlink header."""

    type: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One request that wants an acknowledgement."""

    type: int
    flags: int
    body: bytes


def attribute(kind: int, value: bytes) -> bytes:
    """Pack one attribute, padded to four bytes."""
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """Pack attributes into one attribute."""
    return attribute(kind | NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """Pack a string with its closing zero."""
    return attribute(kind, value.encode() + b"\0")


def u8(kind: int, value: int) -> bytes:
    """Pack one byte."""
    return attribute(kind, struct.pack("=B", value))


def u32(kind: int, value: int) -> bytes:
    """Pack a 32-bit number in the host's order."""
    return attribute(kind, struct.pack("=I", value))


def iter_attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, value) of packed attributes; the flags of the kind are dropped."""
    end = len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += length + (-length % 4)


def parse_attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return packed attributes by kind; of several of one kind, the last."""
    return dict(iter_attributes(data, offset))


def iter_messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield (type, flags, sequence, body) of the messages in one datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += length + (-length % 4)


class NetlinkError(OSError):
    """The kernel refused a request; `detail` is its own explanation, if it gave one."""

    def __init__(self, errno: int, detail: str) -> None:
        super().__init__(errno, os.strerror(errno) + (f" ({detail})" if detail else ""))
        self.detail = detail


class NetlinkSocket:
    """One socket, bound to the network namespace of the thread that made it."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._sequence = 0
        try:
            for option in (_EXT_ACK, _STRICT_CHECK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            self._socket.settimeout(_ANSWER_TIMEOUT_S)
            self._socket.bind((0, 0))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; twice is fine."""
        self._socket.close()

    def request(self, kind: int, flags: int, body: bytes) -> list[Message]:
        """Send one request and return what the kernel answers before it acknowledges.

        Raises: NetlinkError with the kernel's errno.
        """
        self._sequence += 1
        wanted = REQUEST | ACK | flags
        head = _HEADER.pack(_HEADER.size + len(body), kind, wanted, self._sequence, 0)
        self._socket.sendto(head + body, (0, 0))
        answers: list[Message] = []
        while True:
            data = self._socket.recv(_RECEIVE_BYTES)
            for answer_kind, answer_flags, sequence, answer in iter_messages(data):
                if sequence != self._sequence:
                    continue
                if answer_kind == _NLMSG_ERROR:
                    _raise_refusal(answer, answer_flags)
                    return answers
                if answer_kind == _NLMSG_DONE:
                    return answers
                answers.append(Message(answer_kind, answer_flags, answer))


def open_group_socket(protocol: int, groups: Sequence[int]) -> socket.socket:
    """Return a non-blocking socket that receives the events of multicast groups."""
    listener = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol
    )
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _GROUP_BUFFER_BYTES)
        listener.bind((0, 0))
        for group in groups:
            listener.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except OSError:
        listener.close()
        raise
    return listener


def _raise_refusal(body: bytes, flags: int) -> None:
    (code,) = struct.unpack_from("=i", body)
    if code == 0:
        return
    detail = b""
    if flags & _ERROR_HAS_ATTRIBUTES:
        echoed = _HEADER.size if flags & _ERROR_CAPPED else struct.unpack_from("=I", body, 4)[0]
        start = 4 + echoed + (-echoed % 4)
        detail = parse_attributes(body, start).get(_ERROR_TEXT, b"")
    raise NetlinkError(-code, detail.rstrip(b"\0").decode(errors="replace"))
