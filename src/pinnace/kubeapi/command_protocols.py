"""Decides what the versions of the remote command protocol differ in: names, channels, how an end is told. Pure.

Source: Kubernetes v1.36, apimachinery/pkg/util/remotecommand/constants.go; kubelet/pkg/cri/streaming/remotecommand
(httpstream.go, websocket.go: which streams there are, who writes a status how) and apimachinery/pkg/util/httpstream/wsstream.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import msgspec

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255

V1, V2, V3, V4, V5 = (
    "channel.k8s.io",
    "v2.channel.k8s.io",
    "v3.channel.k8s.io",
    "v4.channel.k8s.io",
    "v5.channel.k8s.io",
)
SPDY_PROTOCOLS = (V4, V3, V2, V1)
BASE64 = ("base64.channel.k8s.io", "v4.base64.channel.k8s.io")
SOCKET_PROTOCOLS = (V5, V4, BASE64[1], V1, BASE64[0])

# What a SPDY stream's header `streamtype` says → its channel.
STREAM_TYPES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}


@dataclass(frozen=True, slots=True)
class CommandProtocol:
    """One version: `structured` says that the end is told as a Status in JSON, `resizes` that there is a stream of sizes."""

    name: str

    @property
    def structured(self) -> bool:
        return self.name in (V5, V4, BASE64[1])

    @property
    def resizes(self) -> bool:
        return self.name not in (V1, V2, BASE64[0], "")

    @property
    def is_text(self) -> bool:
        return self.name in BASE64

    @property
    def closes(self) -> bool:
        """Whether a client can say that its input has ended; a server of v4 does not know it, but nothing speaks against it."""
        return self.name in (V5, V4)

    def render_end(self, status: dict[str, Any]) -> bytes:
        """Return what the error channel carries in the end; b"" where success is silence."""
        if self.structured:
            return msgspec.json.encode(status)
        return b"" if status.get("status") == "Success" else str(status.get("message", "")).encode()


def build_exit_status(code: int) -> dict[str, Any]:
    """Return the Status that carries an exit code.

    Source: Kubernetes v1.36, apimachinery/pkg/util/remotecommand, NonZeroExitCodeReason and ExitCodeCauseType.
    """
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def parse_size(data: bytes) -> tuple[int, int] | None:
    """Return a terminal's width and height, None for what is none. Source: client-go, remotecommand, TerminalSize."""
    try:
        size = json.loads(data)
        width, height = int(size["Width"]), int(size["Height"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (width, height) if 0 < width < 65536 and 0 < height < 65536 else None


def wrap_text(channel: int, data: bytes) -> str:
    """Return a message of the base64 protocols: the channel's digit, then the data. Source: wsstream, Conn.write."""
    return chr(ord("0") + channel) + base64.standard_b64encode(data).decode("ascii")


def unwrap_text(message: str | bytes) -> tuple[int, bytes] | None:
    """Return channel and data of such a message, None for what is none."""
    text = message.encode() if isinstance(message, str) else message
    try:
        return text[0] - ord("0"), base64.b64decode(text[1:], validate=True)
    except (IndexError, binascii.Error):
        return None


class SizeReader:
    """Finds the sizes in a SPDY stream, where they follow one another as JSON documents."""

    def __init__(self) -> None:
        self._text = b""

    def feed(self, data: bytes) -> list[tuple[int, int]]:
        """Return the sizes that are complete now."""
        self._text += data
        sizes: list[tuple[int, int]] = []
        while (end := self._text.find(b"}")) >= 0:
            size = parse_size(self._text[: end + 1])
            if size is not None:
                sizes.append(size)
            self._text = self._text[end + 1 :].lstrip()
        self._text = self._text[-1024:]  # what never ends is not kept
        return sizes
