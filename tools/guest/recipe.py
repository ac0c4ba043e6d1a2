"""What the guest's image is made of, and the key under which it is cached. Pure.

Invariant: two recipes with the same key give the same image; whatever changes the image changes the key.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

SUITE = "bookworm"
PYTHON = "3.11"  # the suite's; our dependencies are installed for it, whatever Python runs this program
FORMAT = 4  # raise it when `image.py` builds something else from the same recipe
PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "conmon",
    "conntrack",
    "crun",
    "dbus",
    "e2fsprogs",
    "iproute2",
    "iptables",
    "kmod",
    "linux-image-cloud-amd64",
    "mount",
    "nftables",
    "procps",
    "psmisc",
    "python3",
    "runc",
    "systemd",
    "systemd-sysv",
    "udev",
    "util-linux",
)
# Loaded by our initrd, in this order, with what they need; the root file system is on a virtio disk.
BOOT_MODULES = ("virtio_pci", "virtio_blk", "ext4")
TEST_REQUIREMENTS = ("pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "kubernetes", "lightkube")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The inputs of an image."""

    suite: str
    packages: tuple[str, ...]
    python: str
    requirements: tuple[str, ...]
    format: int

    @property
    def key(self) -> str:
        """Return a name for the image. Example: "bookworm-3f2a91c07be4"."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.suite}-{digest[:12]}"


def read_recipe(checkout: Path) -> Recipe:
    """Return the recipe for a checkout: its own dependencies are part of it."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    return Recipe(SUITE, PACKAGES, PYTHON, (*project["dependencies"], *TEST_REQUIREMENTS), FORMAT)
