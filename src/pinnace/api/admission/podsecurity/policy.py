"""Reads a namespace's labels: which level of which version is enforced, audited and warned of.

Pure. Source: Kubernetes v1.37, pod-security-admission/api/helpers.go. Invariant: labels that can't be read mean the
strictest enforcement.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pinnace.api.validation.problems import Problems

PREFIX = "pod-security.kubernetes.io/"
PRIVILEGED, BASELINE, RESTRICTED = "privileged", "baseline", "restricted"
LEVELS = (PRIVILEGED, BASELINE, RESTRICTED)  # from lax to strict
LATEST = 10**6  # a minor version beyond all others

_VERSION = re.compile(r"v1\.(0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Standard:
    """A level as a version of Kubernetes defines it. Units: `minor` counts from v1.0; LATEST is the newest."""

    level: str = PRIVILEGED
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a namespace wants of its pods."""

    enforce: Standard = Standard()
    audit: Standard = Standard()
    warn: Standard = Standard()

    @property
    def is_open(self) -> bool:
        """Whether every pod is welcome, and nothing has to be said of it."""
        return {self.enforce.level, self.audit.level, self.warn.level} == {PRIVILEGED}


OPEN = Policy()


def is_stricter(one: str, other: str) -> bool:
    """Say whether a level asks for more than another."""
    return LEVELS.index(one) > LEVELS.index(other)


def read_policy(labels: Mapping[str, str], problems: Problems | None = None) -> Policy:
    """Return what the labels say; what is wrong with them goes into `problems`.

    A namespace that enforces a level warns of it as well, unless it says otherwise.
    """
    if not any(label.startswith(PREFIX) for label in labels):
        return OPEN
    wrong = Problems() if problems is None else problems
    before = len(wrong.found)
    enforce = _read_standard(labels, "enforce", RESTRICTED, wrong)
    known = len(wrong.found) == before or labels.get(f"{PREFIX}enforce") in LEVELS
    audit = _read_standard(labels, "audit", PRIVILEGED, wrong)
    warn = _read_standard(labels, "warn", PRIVILEGED, wrong)
    named = f"{PREFIX}enforce" in labels and known
    if named and f"{PREFIX}warn" not in labels and is_stricter(enforce.level, warn.level):
        minor = warn.minor if f"{PREFIX}warn-version" in labels else enforce.minor
        warn = replace(warn, level=enforce.level, minor=minor)
    return Policy(enforce, audit, warn)


def _read_standard(labels: Mapping[str, str], mode: str, if_wrong: str, problems: Problems) -> Standard:
    level, minor = PRIVILEGED, LATEST
    label = f"{PREFIX}{mode}"
    if label in labels:
        level = labels[label]
        if level not in LEVELS:
            problems.invalid(f"metadata.labels[{label}]", level, f"must be one of {', '.join(LEVELS)}")
            level = if_wrong
    label = f"{PREFIX}{mode}-version"
    if label in labels and labels[label] != "latest":
        match = _VERSION.fullmatch(labels[label])
        if match is None:
            problems.invalid(f"metadata.labels[{label}]", labels[label], 'must be "latest" or "v1.x"')
        else:
            minor = int(match[1])
    return Standard(level, minor)
