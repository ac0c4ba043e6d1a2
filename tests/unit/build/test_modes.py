"""`--chmod`. Expected values: chmod(1) of coreutils with a umask of 0, run on the same modes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pinnace.build.modes import ModeError, parse_chmod

SYMBOLIC = [
    "u=rwX,go=rX",
    "+x",
    "a-w",
    "go=",
    "u+s,g+s",
    "+t",
    "g=u",
    "o=g,g-r",
    "u=rw,g=r",
    "=",
    "ugo+X",
    "a=rX,u+w",
    "u-x+X",
    "u+t",
    "o+s",
    "u=g,o=u,g=",
]
MODES = (0o600, 0o644, 0o755, 0o711, 0o4755, 0o1777, 0o000)


@pytest.mark.parametrize("text", [*SYMBOLIC, "755", "0644", "7", "4755", "07777"])
def test_mode_is_what_chmod_makes_of_it(text: str, tmp_path: Path) -> None:
    made: list[int] = []
    expected: list[int] = []
    for number, mode in enumerate(MODES):
        for is_folder in (False, True):
            path = tmp_path / f"{number}{is_folder}"
            path.mkdir() if is_folder else path.touch()
            path.chmod(mode)
            subprocess.run(["chmod", text, path], check=True, preexec_fn=lambda: os.umask(0))
            mask = (
                0o1777 if is_folder else 0o7777
            )  # chmod(1) keeps a folder's set-id bits; POSIX leaves that open
            expected.append(path.stat().st_mode & mask)
            made.append(parse_chmod(text).apply(mode, is_folder=is_folder) & mask)
    assert made == expected


def test_no_mode_keeps_what_is_there() -> None:
    assert parse_chmod("").apply(0o2751, is_folder=False) == 0o2751


@pytest.mark.parametrize(
    "text", ["888", "u=rwQ", "x", "u", "17777777", "0o644", "u=rw,,g=r", "ug", "u=rw;g=r", "64 4"]
)
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(ModeError, match="invalid chmod parameter"):
        parse_chmod(text)
