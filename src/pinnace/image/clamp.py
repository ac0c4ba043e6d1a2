"""Makes files of a fresh tree no newer than a given time, so that two builds of one tree give one digest.

Runs in the worker process, before a tree becomes a layer. Links are not followed; whiteouts have no time in an archive.
Source: reproducible-builds.org, SOURCE_DATE_EPOCH; BuildKit, docs/build-repro.md (rewrite-timestamp).
"""

from __future__ import annotations

import os
import stat

from pinnace.base.errors import HostError
from pinnace.image.tar_format import show


def clamp_times(root: str, newest_s: int) -> int:
    """Set the times of all that is newer to `newest_s`; return how many. Raises: HostError. Units: unix seconds."""
    newest_ns = newest_s * 1_000_000_000
    changed = 0
    todo = [os.fsencode(root)]
    try:
        while todo:
            with os.scandir(todo.pop()) as found:
                for item in found:
                    state = item.stat(follow_symlinks=False)
                    if stat.S_ISDIR(state.st_mode):
                        todo.append(item.path)
                    if state.st_mtime_ns > newest_ns:
                        os.utime(item.path, ns=(state.st_atime_ns, newest_ns), follow_symlinks=False)
                        changed += 1
    except OSError as error:
        raise HostError(
            f"the time of {show(os.fsencode(error.filename or b''))} can't be set: {error.strerror}",
            errno=error.errno,
        ) from error
    return changed
