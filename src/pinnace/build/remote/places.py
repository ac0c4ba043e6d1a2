"""Looks at folders that hold what was fetched. A doer."""

from __future__ import annotations

import contextlib
from pathlib import Path


def list_folders(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing when there is none."""
    with contextlib.suppress(FileNotFoundError):
        return list(folder.iterdir())
    return []
