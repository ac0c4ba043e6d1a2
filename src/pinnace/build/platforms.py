"""Decides what a platform's text means, which of its names are the same, and whether this machine can run its programs.

Pure. Source: containerd, platforms (Normalize, the aliases); Linux, Documentation/admin-guide/binfmt-misc.rst; ELF header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pinnace.base.errors import UserError

ALIASES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i486": "386",
    "i686": "386",
    "armhf": "arm",
    "armel": "arm",
}
VARIANT_OF_ALIAS = {"armhf": "v7", "armel": "v6"}
# The variant that an architecture has when none is said, and that is therefore not written.
PLAIN_VARIANT = {"arm64": "v8", "amd64": "v1"}
ARM_VARIANT = "v7"
NATIVE_TOO = {"amd64": ("386",), "arm64": ()}  # what the processor runs without any help

# Source: Linux, include/uapi/linux/elf-em.h; (e_machine, is big-endian).
ELF_MACHINES = {
    "386": (3, False),
    "amd64": (62, False),
    "arm": (40, False),
    "arm64": (183, False),
    "ppc64le": (21, False),
    "riscv64": (243, False),
    "s390x": (22, True),
    "mips64le": (8, False),
    "loong64": (258, False),
}
_MAGIC = re.compile(r"^magic ([0-9a-f]+)$", re.MULTILINE)
HINT = "OS/ARCHITECTURE[/VARIANT], for example linux/amd64 or linux/arm64"


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system, an architecture in Go's words, and a variant ("" where it is the plain one)."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def parse_platform(text: str, here: str) -> Platform:
    """Return what a person wrote; `here` is this machine's architecture. Raises: UserError.

    Example: "arm64" is linux/arm64, "linux/arm64/v8" too; "linux" is linux on this machine's architecture.
    """
    parts = text.strip().lower().split("/")
    if not all(re.fullmatch(r"[a-z0-9_.-]+", part) for part in parts) or len(parts) > 3:
        raise UserError(f"{text!r} is not a platform", HINT)
    if len(parts) == 1:
        if parts[0] in ("local", "linux"):
            return Platform("linux", here)
        parts = ["linux", parts[0]]
    os, architecture = parts[:2]
    if os != "linux":
        raise UserError(f"the platform {text!r} can't be built: only linux images are", HINT)
    variant = parts[2] if len(parts) > 2 else VARIANT_OF_ALIAS.get(architecture, "")
    return normalize(os, ALIASES.get(architecture, architecture), variant)


def normalize(os: str, architecture: str, variant: str = "") -> Platform:
    """Return a platform without what goes without saying."""
    architecture = ALIASES.get(architecture, architecture)
    if variant and not variant.startswith("v"):
        variant = "v" + variant
    if architecture == "arm" and not variant:
        variant = ARM_VARIANT
    return Platform(
        os or "linux", architecture, "" if PLAIN_VARIANT.get(architecture) == variant else variant
    )


def parse_build_platform(texts: Iterable[str], here: str) -> Platform:
    """Return the one platform that a build is for; this machine's if none is said. Raises: UserError for several."""
    wanted = list(dict.fromkeys(one for text in texts for one in text.split(",") if one.strip()))
    platforms = list(dict.fromkeys(parse_platform(text, here) for text in wanted))
    if len(platforms) > 1:
        raise UserError(
            f"one build makes one image, not {len(platforms)} (--platform={','.join(wanted)})",
            "build once for each platform, under a name of its own",
        )
    return platforms[0] if platforms else Platform("linux", here)


def fits(found: Platform, wanted: Platform) -> bool:
    """Say whether an image made for `found` is what somebody who wants `wanted` means."""
    if not found.architecture:
        return True  # root file systems that were imported by other tools may say nothing
    if (found.os, found.architecture) != (wanted.os, wanted.architecture):
        return False
    return found.variant == wanted.variant or not wanted.variant or not found.variant


def needs_emulation(wanted: Platform, here: str) -> bool:
    """Say whether this machine's processor can't run programs of a platform itself."""
    return wanted.architecture != here and wanted.architecture not in NATIVE_TOO.get(here, ())


def is_emulated(wanted: Platform, handlers: Iterable[str]) -> bool:
    """Say whether one of the kernel's binfmt handlers (the texts of their files) takes programs of a platform."""
    machine = ELF_MACHINES.get(wanted.architecture)
    if machine is None:
        return False
    expected = machine[0].to_bytes(2, "big" if machine[1] else "little")
    for handler in handlers:
        magic = _MAGIC.search(handler)
        if magic is None or not handler.startswith("enabled") or len(magic[1]) % 2:
            continue
        data = bytes.fromhex(magic[1])
        if data.startswith(b"\x7fELF") and data[18:20] == expected:
            return True
    return False
