"""Looks whether this machine's kernel can run programs made for another processor. A doer (reads files)."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pinnace.base.errors import UserError
from pinnace.build.platforms import is_emulated, needs_emulation, parse_platform

HANDLERS = Path("/proc/sys/fs/binfmt_misc")


def check_runnable(platform: str, here: str, handlers: Path = HANDLERS) -> None:
    """Raises: UserError when programs of `platform` can't run on a machine of the architecture `here`."""
    wanted = parse_platform(platform, here)
    if not needs_emulation(wanted, here) or is_emulated(wanted, _read(handlers)):
        return
    raise UserError(
        f"commands of {wanted} can't run on this machine (linux/{here})",
        "apt-get install qemu-user-static binfmt-support; or run it in a stage FROM --platform=$BUILDPLATFORM and COPY --from it",
    )


def _read(folder: Path) -> list[str]:
    texts = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name not in ("register", "status"):
                with contextlib.suppress(OSError, UnicodeDecodeError):
                    texts.append(path.read_text())
    return texts
