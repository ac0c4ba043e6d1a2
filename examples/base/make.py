"""Makes the base images' root filesystems with mmdebstrap, keeps them in a cache, brings them into an instance. A doer.

Needs root, as mmdebstrap does. Invariant: a file in the cache is complete; it is written beside and renamed.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from examples.base.recipes import Recipe
from examples.base.sources import Source, choose_sources, render_sources

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LOG_LINES = 15

Say = Callable[[str], None]


def find_cache() -> Path:
    """Return the folder where root filesystems are kept; it is outside of the checkout, and outlives `down --wipe`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pinnace" / "bases"


def ensure_root_filesystem(recipe: Recipe, say: Say, *, fresh: bool = False) -> Path:
    """Return the tar of a recipe's root filesystem, made now or before. Raises: SystemExit with what to do."""
    suite = read_codename()
    architecture = ARCHITECTURES.get(platform.machine(), platform.machine())
    path = find_cache() / f"{recipe.key(suite, architecture)}.tar"
    if path.exists() and not fresh:
        say(f"{recipe.reference}: in the cache ({path.stat().st_size / 1e6:.0f} MB of {suite})")
        return path
    _check_host()
    say(f"{recipe.reference}: making it of {suite}'s packages: {' '.join(recipe.packages)} …")
    began = time.monotonic()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=path.parent) as folder:
        sources = Path(folder) / "host.sources"
        sources.write_text(render_sources(_read_host_sources(suite)))
        output = Path(folder) / "root.tar"
        done = subprocess.run(
            recipe.argv(suite, str(sources), str(output)), capture_output=True, text=True, check=False
        )
        if done.returncode:
            tail = "\n".join(done.stderr.rstrip().splitlines()[-LOG_LINES:])
            raise SystemExit(
                f"{tail}\nerror: {recipe.reference} could not be made: mmdebstrap ended with code {done.returncode}\n"
                "hint: `apt-get update` must work on this host; the image is made from the same sources"
            )
        os.replace(output, path)
    say(f"{recipe.reference}: made in {time.monotonic() - began:.0f} s, {path.stat().st_size / 1e6:.0f} MB")
    return path


def import_image(recipe: Recipe, path: Path, pinnace: Sequence[str], environ: dict[str, str]) -> str:
    """Bring a root filesystem into an instance under the recipe's name; returns the image's id."""
    argv = [
        *(*pinnace, "import", "--change", f'CMD ["{recipe.command}"]'),
        *("--message", f"{recipe.variant} {' '.join(recipe.packages)}", str(path), recipe.reference),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, env=environ, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.rstrip() or f"pinnace import ended with code {done.returncode}")
    return done.stdout.strip()


def read_codename() -> str:
    """Return the host's release, for example "bookworm" or "noble"."""
    for line in Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "VERSION_CODENAME":
            return value.strip('"')
    raise SystemExit(
        "error: /etc/os-release names no release of Debian or Ubuntu\nhint: bring a base in by hand: pinnace import"
    )


def _read_host_sources(suite: str) -> tuple[Source, ...]:
    folder = Path("/etc/apt/sources.list.d")
    paths = [Path("/etc/apt/sources.list"), *folder.glob("*.list"), *folder.glob("*.sources")]
    texts = {str(path): path.read_text() for path in paths if path.is_file()}
    sources = choose_sources(texts, suite)
    if not sources:
        raise SystemExit(
            f"error: no apt source of this host has the suite {suite} with its component main\nhint: look at {', '.join(texts)}"
        )
    return sources


def _check_host() -> None:
    if shutil.which("mmdebstrap") is None:
        raise SystemExit("error: mmdebstrap is not installed\nhint: sudo apt-get install mmdebstrap")
    if os.geteuid() != 0:
        raise SystemExit("error: making a root filesystem needs root\nhint: use sudo")
