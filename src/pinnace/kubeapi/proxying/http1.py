"""Writes requests and reads answers of HTTP/1.1, as a client that passes on what others say. Pure.

Used by `passing.py`. Invariant: an answer's head and the lines of a chunked body are bounded; what can't be read is an
`HttpError`, never a guess.
Source: RFC 9112, 2 to 7; RFC 9110, 7.6.1 (what belongs to one hop only).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pinnace.kubeapi.texts import clean

MAX_HEAD_BYTES = 64 * 1024
MAX_CHUNK_LINE_BYTES = 4 * 1024

Headers = tuple[tuple[str, str], ...]

# Source: RFC 9110, 5.1 and 5.5. What else stands in a head could be taken for a part of our own answer.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# Source: RFC 9110, 7.6.1, and those that older senders name; Go's net/http/httputil has the same.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "proxy-connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# What says where a body ends is never taken off it by a sender's word: what follows would look like another request.
_FRAMING = frozenset({"content-length", "host"})


class HttpError(ValueError):
    """The answer is no HTTP/1."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first part of an answer."""

    status: int
    reason: str
    headers: Headers
    version: tuple[int, int] = (1, 1)

    def get(self, name: str) -> str:
        """Return a header's values, joined by commas; "" when it is not there."""
        return ", ".join(value for key, value in self.headers if key.lower() == name)


def drop_hop_by_hop(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers that are meant for who comes next."""
    given = tuple(headers)
    named = {
        word.strip().lower()
        for key, value in given
        if key.lower() == "connection"
        for word in value.split(",")
    } - _FRAMING
    return tuple((key, value) for key, value in given if key.lower() not in _HOP_BY_HOP | named)


def render_request(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a request's head. Raises: HttpError for what would be more than one line."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise HttpError("a header holds a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def parse_head(data: bytes) -> Head:
    """Return an answer's head from its bytes up to the empty line. Raises: HttpError."""
    lines = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").rstrip("\n").split("\n")
    words = lines[0].split(" ", 2)
    known = len(words) > 1 and words[0] in ("HTTP/1.0", "HTTP/1.1") and _is_status(words[1])
    if not known or _CONTROL.search(lines[0]):
        raise HttpError(f'malformed HTTP response "{clean(lines[0][:80])}"')
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise HttpError(f'malformed MIME header line: "{clean(line[:80])}"')
        headers.append((name, value.strip()))
    version = (1, 0) if words[0] == "HTTP/1.0" else (1, 1)
    return Head(int(words[1]), words[2] if len(words) > 2 else "", tuple(headers), version)


def _is_status(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isdigit() and text >= "100"


def body_length(method: str, head: Head) -> int | None:
    """Return how many bytes follow a head; None for chunks, -1 for all up to the end. Source: RFC 9112, 6.3.

    Raises: HttpError.
    """
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        return 0
    if "chunked" in head.get("transfer-encoding").lower():
        return None
    lengths = {part.strip() for part in head.get("content-length").split(",") if part.strip()}
    if not lengths:
        return -1
    length = lengths.pop()
    if lengths or not (length.isascii() and length.isdigit()):
        raise HttpError(f'bad Content-Length "{clean(head.get("content-length"))}"')
    return int(length)


class ChunkReader:
    """Takes the framing off a chunked body. `over` once its end was read; trailers are dropped."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self._state = "size"
        self.over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the bytes carry. Raises: HttpError."""
        self._buffer += data
        while self._buffer and not self.over:
            if self._state == "data":
                piece = bytes(self._buffer[: self._left])
                del self._buffer[: len(piece)]
                self._left -= len(piece)
                if not self._left:
                    self._state = "gap"
                yield piece
                continue
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > MAX_CHUNK_LINE_BYTES:
                    raise HttpError("a line of a chunked body is too long")
                return
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            self._read_line(line)

    def _read_line(self, line: bytes) -> None:
        if self._state == "gap":
            if line:
                raise HttpError("malformed chunked encoding")
            self._state = "size"
        elif self._state == "trailer":
            self.over = not line
        else:
            digits = line.partition(b";")[0].strip()
            if not digits or len(digits) > 16 or digits.strip(b"0123456789abcdefABCDEF"):
                raise HttpError("invalid byte in chunk length")
            self._left = int(digits, 16)
            self._state = "data" if self._left else "trailer"


def render_chunk(data: bytes) -> bytes:
    """Return bytes as one chunk; b"" is the end of the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
