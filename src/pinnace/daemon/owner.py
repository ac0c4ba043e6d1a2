"""Decides to whom sockets and kubeconfigs belong: the person who called sudo, else root."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the instance serves. `ids` is None for root itself."""

    home: Path
    ids: tuple[int, int] | None = None


def find_person(environ: Mapping[str, str] = os.environ) -> Person:
    """Return the invoking user under sudo, else who we are."""
    uid, gid = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and uid.isdigit() and gid.isdigit() and uid != "0":
        try:
            return Person(Path(pwd.getpwuid(int(uid)).pw_dir), (int(uid), int(gid)))
        except KeyError:
            pass
    return Person(Path(environ.get("HOME", "/root")))


def kubeconfig_of(person: Person, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the kubeconfig that the person's kubectl reads: the first of $KUBECONFIG, else ~/.kube/config."""
    named = environ.get("KUBECONFIG", "").split(":")[0]
    return Path(named) if named else person.home / ".kube" / "config"
