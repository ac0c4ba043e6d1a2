"""What the base images are made of: one row for each. Pure.

Invariant: a recipe's key changes with everything that its files depend on, apart from the packages' own versions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

# What nobody reads in a container.
EXCLUDED = (
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/doc/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
)

# In bookworm an essential package wants usrmerge, which brings 47 MB of perl, unless mmdebstrap merges /usr itself.
# Ubuntu 24.04 and Debian's later releases are merged from the start, and the hook fails there.
HOOKS = {"bookworm": "/usr/share/mmdebstrap/hooks/maybe-merged-usr"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One base image. `variant` is mmdebstrap's: "essential" has no apt, "minbase" has."""

    reference: str
    variant: str
    packages: tuple[str, ...]
    command: str = "python3"

    def key(self, suite: str, architecture: str) -> str:
        """Return the name that the root filesystem is cached by."""
        parts = (self.variant, *sorted(self.packages), *EXCLUDED, HOOKS.get(suite, ""))
        digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
        name = self.reference.replace(":", "-").replace("/", "-")
        return f"{name}-{suite}-{architecture}-{digest}"

    def argv(self, suite: str, sources: str, output: str) -> list[str]:
        """Return the command that makes the root filesystem as a tar. `sources` is a file in apt's deb822 style."""
        return [
            "mmdebstrap",
            "--quiet",
            f"--variant={self.variant}",
            f"--include={','.join(self.packages)}",
            *((f"--hook-dir={HOOKS[suite]}",) if suite in HOOKS else ()),
            "--aptopt=APT::Install-Recommends false",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
            "--format=tar",
            suite,
            output,
            sources,
        ]


RECIPES = (
    Recipe("python-runtime:3", "essential", ("python3", "libstdc++6")),
    Recipe(
        "python-build:3",
        "minbase",
        ("build-essential", "ca-certificates", "python3", "python3-dev", "python3-pip", "python3-venv"),
    ),
)
