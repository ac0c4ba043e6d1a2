"""Which machine this is, and whether an image is for one that was asked for. Pure, but for the kernel's word on the machine."""

from __future__ import annotations

import platform

from pinnace.base.errors import ApiError, Reason
from pinnace.image.registry.platforms import normalize, parse_platform, render_platform
from pinnace.image.views import Image
from pinnace.oci.config import ImageConfig
from pinnace.oci.manifest import Platform

# Source: Go's GOARCH names, as OCI image-spec v1.1, config.md asks for.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def host_architecture() -> str:
    """Return this machine's architecture in OCI's words. Example: "amd64"."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def is_for(config: ImageConfig, wanted: Platform) -> bool:
    """Say whether an image is for exactly this platform."""
    found = Platform(os=config.os, architecture=config.architecture, variant=config.variant)
    return normalize(found) == normalize(wanted)


def check_platform(image: Image, text: str) -> None:
    """Refuse an image that is for another platform than `text` names ("" is any). Raises: UserError, ApiError (NotFound)."""
    if not text:
        return
    wanted = parse_platform(text, host_architecture())
    if not is_for(image.config, wanted):
        raise ApiError(
            Reason.NOT_FOUND,
            f"image with reference {image.familiar} was found but does not provide the specified platform"
            f" ({render_platform(wanted)})",
            kind="images",
            name=image.familiar,
            hint=f"it is for {image.config.os}/{image.config.architecture}",
        )
