"""Decides where the kubeconfig of the person whom the instance serves is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pinnace.base.person import Person, find_person

__all__ = ["Person", "find_person", "kubeconfig_of"]


def kubeconfig_of(person: Person, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the kubeconfig that the person's kubectl reads: the first of $KUBECONFIG, else ~/.kube/config."""
    named = environ.get("KUBECONFIG", "").split(":")[0]
    return Path(named) if named else person.home / ".kube" / "config"
