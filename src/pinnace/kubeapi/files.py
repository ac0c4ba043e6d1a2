"""Writes small private files so that a reader sees the old content or the new one, never half of it."""

import os
import tempfile
from pathlib import Path

Owner = tuple[int, int]
"""A user id and a group id."""


def write_private(path: Path, content: bytes, *, mode: int = 0o600, owner: Owner | None = None) -> None:
    """Replace `path` atomically; it is on disk and has its mode and owner before its name appears."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
