"""Checks paths of files that a volume puts somewhere. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, validateLocalDescendingPath and its kin.
"""

from pinnace.api.validation.problems import Problems

NO_BACKSTEPS = "must not contain '..'"


def has_backsteps(text: str) -> bool:
    """Say whether a path leaves a folder by one of its parts."""
    return ".." in text and ".." in text.split("/")


def validate_no_backsteps(text: str, path: str, problems: Problems) -> None:
    """Check that no part of a path is ".."."""
    if has_backsteps(text):
        problems.invalid(path, text, NO_BACKSTEPS)


def validate_local_path(text: str, path: str, problems: Problems) -> None:
    """Check a path that must stay below where it is put."""
    if text.startswith("/"):
        problems.invalid(path, text, "must be a relative path")
    validate_no_backsteps(text, path, problems)


def validate_unreserved_path(text: str, path: str, problems: Problems) -> None:
    """Check a local path that no name of ours can clash with: ours begin with two dots."""
    validate_local_path(text, path, problems)
    if text.startswith("..") and not text.startswith("../"):
        problems.invalid(path, text, "must not start with '..'")


def validate_mode(mode: int | None, path: str, problems: Problems) -> None:
    """Check the permissions of a file; None is fine."""
    if mode is not None and not 0 <= mode <= 0o777:
        problems.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")
