"""Looks for what an instance has on this machine: processes, mounts, links, namespaces, rules, cgroups, folders.

It reads the machine only, and asks nothing of Pinnace: it is the witness for `pinnace down --wipe`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path


def find_leftovers(name: str, folders: tuple[Path, ...]) -> list[str]:
    """Return one line for each thing that belongs to an instance; empty when nothing is left."""
    return [
        *(f"folder {folder}" for folder in folders if folder.exists()),
        *_find_processes(name, folders),
        *_find_mounts(folders),
        *(f"link {link}" for link in sorted(os.listdir("/sys/class/net")) if link == f"{name}0"),
        *_find_tables(name),
        *_find_cgroups(name),
    ]


def _find_processes(name: str, folders: tuple[Path, ...]) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            cgroups = (entry / "cgroup").read_text()
            is_daemon = "pinnace.daemon" in words and f'"name": "{name}"' in words
            if not words or not (
                is_daemon
                or any(f"{folder}/" in words for folder in folders)
                or any(f"/{part}/" in f"{cgroups}/" for part in _cgroup_names(name))
            ):
                continue
            found.append(f"process {entry.name}: {words[:100]}")
    return found


def _find_mounts(folders: tuple[Path, ...]) -> list[str]:
    """Mounted root filesystems, volumes and the network namespaces, which are mounts too."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [f"mount {point}" for point in points if any(point.startswith(f"{folder}/") for folder in folders)]


def _find_tables(name: str) -> list[str]:
    nft = shutil.which("nft")
    if nft is None:
        return []
    listed = subprocess.run([nft, "list", "tables"], capture_output=True, text=True, check=False).stdout
    return [f"nft {line}" for line in listed.splitlines() if line.split()[-1:] == [name]]


def _cgroup_names(name: str) -> tuple[str, ...]:
    return (name, f"{name.replace('-', '_')}.slice")


def _find_cgroups(name: str) -> list[str]:
    root = Path("/sys/fs/cgroup")
    roots = [root, *(path for path in root.iterdir() if path.is_dir())]
    return sorted(
        {f"cgroup {top / part}" for top in roots for part in _cgroup_names(name) if (top / part).is_dir()}
    )
