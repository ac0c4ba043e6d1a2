"""How the Kubernetes verbs speak of errors: in kubectl's words, then where, then what to do.

`guarded` runs a verb; an error of the API that nobody handled ends it with exit code 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from pinnace.base.errors import ApiError, PinnaceError, UserError
from pinnace.cli.output import print_error, say

F = TypeVar("F", bound=Callable[..., Any])


def render_error(error: PinnaceError, doing: str = "") -> str:
    """Return an error as kubectl words it.

    Example: 'Error from server (NotFound): pods "web" not found'; `doing` is like 'error when deleting "a.yaml"'.
    """
    if isinstance(error, ApiError):
        return f"Error from server ({error.reason.wire}): {doing + ': ' if doing else ''}{error.message}"
    return f"error: {error.message}"


def report(error: PinnaceError, *, where: str = "", doing: str = "") -> None:
    """Print an error, where it is, and what to do."""
    if not isinstance(error, ApiError):
        print_error(error.message, where=where or getattr(error, "where", ""), hint=error.hint)
        return
    say(render_error(error, doing))
    if where:
        say(f"  {where}")
    if error.hint:
        say(f"hint: {error.hint}")


def guarded(verb: F) -> F:
    """Make a verb say the API's errors in kubectl's words; its exit code is then 1."""

    @functools.wraps(verb)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return verb(*arguments, **options)
        except (ApiError, UserError) as error:
            report(error)
            return 1

    return run  # type: ignore[return-value]
