"""Builds small trees of files, and shows them as lines: what the tests of sources arrange and compare."""

from __future__ import annotations

import os
import stat
from pathlib import Path

Tree = dict[str, str | None]


def grow(root: Path, tree: Tree) -> Path:
    """Make files: `None` is a folder, "-> x" a link, "=> x" a hard link to a file made before, else it is the text."""
    os.umask(0o022)  # a copy sets the umask of its whole process
    root.mkdir(parents=True, exist_ok=True)
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        elif content.startswith("-> "):
            path.symlink_to(content[3:])
        elif content.startswith("=> "):
            os.link(root / content[3:], path)
        else:
            path.write_text(content)
    return root


def show(root: Path) -> list[str]:
    """Return a line for each file: its name, what it is, its mode and owner where they are not the usual ones."""
    lines = []
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            lines.append(_line(path, str(path.relative_to(root))))
    return sorted(lines)


def _line(path: Path, name: str) -> str:
    info = path.lstat()
    mode = stat.S_IMODE(info.st_mode)
    if stat.S_ISLNK(info.st_mode):
        text, usual = f"-> {os.readlink(path)}", 0o777
    elif stat.S_ISDIR(info.st_mode):
        text, usual = "/", 0o755
    else:
        text, usual = repr(path.read_text()), 0o644
    owner = f"{info.st_uid}:{info.st_gid}"
    extra = ([] if mode == usual else [f"{mode:o}"]) + ([] if owner == "0:0" else [owner])
    return " ".join([f"{name} {text}" if text != "/" else f"{name}/", *extra])
