"""Decides which manifest of an index is for a machine. Pure.

Source: containerd/platforms v1, compare.go (platformVector) and database.go (normalizing names).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pinnace.base.errors import ApiError, Reason, UserError
from pinnace.oci.manifest import Descriptor, Platform

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armhf": "arm",
    "armel": "arm",
    "i386": "386",
    "i686": "386",
}
_NEWEST = {"arm64": "v8", "arm": "v7"}  # what no variant means


def parse_platform(text: str, host_architecture: str) -> Platform:
    """Return the platform that "OS/ARCH[/VARIANT]" or "ARCH" names; "" is this machine. Raises: UserError."""
    if not text:
        return normalize(Platform(os="linux", architecture=host_architecture))
    parts = text.lower().split("/")
    if not all(parts) or len(parts) > 3:
        raise UserError(
            f"{text!r} is no platform", hint="write OS/ARCH[/VARIANT], for example linux/arm64/v8"
        )
    if len(parts) == 1:
        parts = [parts[0], host_architecture] if parts[0] == "linux" else ["linux", parts[0]]
    return normalize(
        Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else "")
    )


def render_platform(platform: Platform) -> str:
    """Return "OS/ARCH[/VARIANT]"."""
    return "/".join(part for part in (platform.os, platform.architecture, platform.variant) if part)


def normalize(platform: Platform) -> Platform:
    """Return the platform with the names and the variant that are usual. Example: aarch64 is arm64/v8."""
    architecture = _ARCHITECTURES.get(platform.architecture.lower(), platform.architecture.lower())
    variant = platform.variant.lower()
    if platform.architecture.lower() == "armel":
        variant = "v6"
    elif architecture == "amd64":
        variant = "" if variant == "v1" else variant
    elif architecture in _NEWEST:
        variant = f"v{variant}" if variant.isdigit() else variant or _NEWEST[architecture]
    return Platform(os=platform.os.lower() or "linux", architecture=architecture, variant=variant)


def compute_wishes(wanted: Platform) -> tuple[Platform, ...]:
    """Return what a machine can run, best first.

    Example: linux/amd64/v3 can run v3, v2, plain amd64 and 386.
    """
    architecture, variant = wanted.architecture, wanted.variant
    number = int(variant[1:].split(".")[0]) if variant[1:].split(".")[0].isdigit() else 0
    pairs = [(architecture, variant)]
    if architecture == "amd64":
        pairs += [(architecture, f"v{one}" if one > 1 else "") for one in range(number - 1, 0, -1)]
        pairs.append(("386", ""))
    elif architecture == "arm64":
        pairs += [(architecture, f"v{one}") for one in range(number - 1, 7, -1)]
        pairs += [("arm", f"v{one}") for one in range(8, 4, -1)]
    elif architecture == "arm":
        pairs += [(architecture, f"v{one}") for one in range(number - 1, 4, -1)]
    return tuple(Platform(os=wanted.os, architecture=one, variant=kind) for one, kind in pairs)


def choose_manifest(entries: Sequence[Descriptor], wanted: Platform, name: str) -> Descriptor:
    """Return the entry of an index that fits best; of equals the first.

    Raises: ApiError (NotFound), saying what there is.
    """
    for wish in compute_wishes(wanted):
        for entry in entries:
            if entry.platform is not None and normalize(entry.platform) == wish:
                return entry
    silent = [entry for entry in entries if entry.platform is None]
    if len(silent) == 1:
        return silent[0]
    raise ApiError(
        Reason.NOT_FOUND,
        f"no matching manifest for {render_platform(wanted)} in the manifest list entries of {name}",
        kind="images",
        name=name,
        hint=f"there is one for: {describe(entries)}",
    )


def fits(wanted: Platform, found: Platform) -> bool:
    """Say whether an image for `found` is one of those that were wished for."""
    return normalize(found) in compute_wishes(wanted)


def describe(entries: Iterable[Descriptor]) -> str:
    """Return the platforms of an index for a person; attestations ("unknown") are none."""
    found = {
        render_platform(normalize(entry.platform))
        for entry in entries
        if entry.platform and entry.platform.os != "unknown"
    }
    return ", ".join(sorted(found)) or "no platform that it would name"
