"""The folders of an instance: made with the right modes, remembered, and removed without what isn't ours.

Both dirs may be traversed by everybody, since the kubeconfig and the socket in them belong to the person who called
sudo; what lies below is root's. A dir that somebody made for us keeps its mode.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pinnace.base.errors import HostError
from pinnace.base.settings import Settings, parse_settings, render_settings
from pinnace.daemon.lock import InstanceLock
from pinnace.node.host import remove_folder

STATE_FOLDERS = ("build", "containers", "images", "node", "pki", "pods", "volumes")
# kubeapi/audit.py keeps three old ones.
AUDIT_FILES = ("audit.log", "audit.log.1", "audit.log.2", "audit.log.3")
STATE_FILES = (*AUDIT_FILES, "kubeconfig", "state.db", "state.db-shm", "state.db-wal")
RUN_FOLDERS = ("attach", "containers", "exits", "persist", "pods", "runtime")
SETTINGS_FILE = "settings.json"
RUN_FILES = ("daemon.log", "kube.sock", SETTINGS_FILE)


def prepare_folders(settings: Settings) -> None:
    """Make what is missing. Raises: HostError."""
    private = [settings.home_path / name for name in STATE_FOLDERS]
    for folder, mode in [
        (settings.home_path, 0o711),
        (settings.run_path, 0o711),
        *((p, 0o700) for p in private),
    ]:
        try:
            folder.mkdir(parents=True)
            folder.chmod(mode)
        except FileExistsError:
            pass
        except OSError as error:
            raise HostError(f"{folder} can't be made: {error.strerror}", errno=error.errno) from error


def remember_settings(settings: Settings) -> None:
    """Keep what the instance runs with, for a `down` that is called with other flags or variables."""
    path = settings.run_path / SETTINGS_FILE
    beside = path.with_suffix(".new")
    beside.write_text(render_settings(settings))
    os.replace(beside, path)


def recall_settings(settings: Settings) -> Settings:
    """Return what the instance at this run dir was last started with; the given ones when nothing is known."""
    try:
        last = parse_settings((settings.run_path / SETTINGS_FILE).read_text())
    except (OSError, ValueError, TypeError):
        return settings
    return replace(last, name=settings.name, run=settings.run, debug=settings.debug)


def remove_state(home: Path) -> bool:
    """Remove what an instance keeps; say whether the dir is gone too: not if somebody else's files are in it.

    Raises: HostError when something of ours stays.
    """
    for name in STATE_FOLDERS:
        remove_folder(home / name)
    for name in STATE_FILES:
        (home / name).unlink(missing_ok=True)
    with suppress(OSError):
        home.rmdir()
    return not home.exists()


def remove_run(run: Path, lock: InstanceLock) -> None:
    """Remove what an instance has in its run dir, the lock as the last thing, and the dir if nothing else is in it.

    Raises: HostError when something of ours stays.
    """
    for name in RUN_FOLDERS:
        remove_folder(run / name)
    for name in RUN_FILES:
        (run / name).unlink(missing_ok=True)
    lock.release()
    with suppress(OSError):
        run.rmdir()
