"""Joins what a command writes to its two streams into one text in which lines stay whole. Pure.

A program writes a line of errors in pieces, while another writes output: told as it comes, the two would run into each other.
Invariant: every character comes out once, in the order of its stream; what waits is little, and all of it comes at the end.
"""

from __future__ import annotations

import codecs

WAITING_MAX = (
    2000  # characters: then a line that doesn't end is broken, so that nothing waits for it for long
)


class Joiner:
    """Takes pieces of two streams; gives what can be shown now."""

    def __init__(self) -> None:
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("out", "err")}
        self._waiting = {"out": "", "err": ""}
        self._open = ""  # the stream whose unfinished line was shown last

    def feed(self, *, is_error: bool, data: bytes) -> str:
        """Return what can be shown. Example: err "+ ", out "hi\\n" shows "+ "; then err "echo\\n" shows "echo\\nhi\\n"."""
        name, other = ("err", "out") if is_error else ("out", "err")
        text = self._decoders[name].decode(data)
        if self._open == other:
            self._waiting[name] += text
            return self._break() if len(self._waiting[name]) > WAITING_MAX else ""
        self._open = name if text and not text.endswith("\n") else "" if text else self._open
        return text if self._open else text + self._release(other)

    def finish(self) -> str:
        """Return what is left."""
        ends = "".join(self._decoders[name].decode(b"", True) for name in ("out", "err"))
        return self._release("out") + self._release("err") + ends

    def _release(self, name: str) -> str:
        text, self._waiting[name] = self._waiting[name], ""
        if text and not text.endswith("\n"):
            self._open = name
        return text

    def _break(self) -> str:
        other = "out" if self._open == "err" else "err"
        self._open = ""
        return "\n" + self._release(other)
