"""Reads `--chmod`: octal and symbolic modes, and computes what a file's mode becomes. Pure.

Source: Dockerfile reference, COPY --chmod; POSIX, chmod (the symbolic form), with a umask of 0.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass

_OCTAL = re.compile(r"0?[0-7]{1,4}")
_CLAUSE = re.compile(r"(?P<who>[ugoa]*)(?P<actions>(?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}
_SPECIAL = {"u": stat.S_ISUID, "g": stat.S_ISGID, "o": stat.S_ISVTX}
_LETTERS = {"u": "s", "g": "s", "o": "t"}  # which letter sets whose special bit


class ModeError(ValueError):
    """A mode that can't be read."""


@dataclass(frozen=True, slots=True)
class _Action:
    who: str
    sign: str
    what: str


@dataclass(frozen=True, slots=True)
class Chmod:
    """What `--chmod` says: a mode, or changes of the mode that a file has."""

    octal: int = -1
    actions: tuple[_Action, ...] = ()

    def apply(self, mode: int, *, is_folder: bool) -> int:
        """Return a file's new permission bits. Example: "u=rwX,go=rX" makes 0600 0644, and a folder's 0700 0755."""
        if self.octal >= 0:
            return self.octal
        mode = stat.S_IMODE(mode)
        for action in self.actions:
            mode = _act(mode, action, is_folder=is_folder)
        return mode


KEEP = Chmod()


def parse_chmod(text: str) -> Chmod:
    """Return what a text says; "" keeps modes as they are. Raises: ModeError."""
    if not text:
        return KEEP
    if _OCTAL.fullmatch(text):
        return Chmod(octal=int(text, 8))
    if text[0].isdigit():
        raise ModeError(f"invalid chmod parameter: {text!r}: it should be octal and between 0 and 07777")
    actions: list[_Action] = []
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise ModeError(f"invalid chmod parameter: {text!r}: {clause!r} is neither octal nor like u=rwX")
        who = "ugo" if not match["who"] or "a" in match["who"] else match["who"]
        actions += [_Action(who, sign, what) for sign, what in _ACTION.findall(match["actions"])]
    return Chmod(actions=tuple(actions))


def _act(mode: int, action: _Action, *, is_folder: bool) -> int:
    bits, mask = _bits_of(mode, action, is_folder=is_folder), 0
    for who in action.who:
        mask |= 7 << _SHIFTS[who] | _SPECIAL[who]
    match action.sign:
        case "+":
            return mode | bits
        case "-":
            return mode & ~bits
        case _:
            return mode & ~mask | bits


def _bits_of(mode: int, action: _Action, *, is_folder: bool) -> int:
    if action.what in _SHIFTS:  # permissions of somebody else: g=u
        value = mode >> _SHIFTS[action.what] & 7
    else:
        value = sum(_BITS[letter] for letter in set(action.what) if letter in _BITS)
        if "X" in action.what and (is_folder or mode & 0o111):
            value |= 1
    bits = 0
    for who in action.who:
        bits |= value << _SHIFTS[who]
        if _LETTERS[who] in action.what:
            bits |= _SPECIAL[who]
    return bits
