"""Decides whom we serve: the person who called sudo, else who we are. Sockets, kubeconfigs and credentials are hers.

Used by `cli/` and `daemon/`; reads the environment and the password database only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Person(NamedTuple):
    """Whom we serve. `ids` is None for who we are already (root itself, or a person without sudo)."""

    home: Path
    ids: tuple[int, int] | None = None


def find_person(environ: Mapping[str, str] = os.environ) -> Person:
    """Return the invoking user under sudo, else who we are."""
    uid, gid = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and uid.isdigit() and gid.isdigit() and uid != "0":
        import pwd

        try:
            return Person(Path(pwd.getpwuid(int(uid)).pw_dir), (int(uid), int(gid)))
        except KeyError:
            pass
    return Person(Path(environ.get("HOME", "/root")))


def docker_config_of(person: Person, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the config.json that the person's docker reads: in $DOCKER_CONFIG, else in ~/.docker."""
    folder = environ.get("DOCKER_CONFIG", "")
    return (Path(folder) if folder else person.home / ".docker") / "config.json"
