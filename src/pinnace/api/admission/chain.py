"""Runs the rows of admission that are made for an attempt.

Called by the write path between defaulting and storing. Who is interested in what is found once per kind of attempt, so
that a kind that no row looks at costs one look into a dictionary.
Invariant: mutating rows run in the order of the table, then the kind's validation, then validating rows in that order.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from pinnace.api.admission.attempt import Admission, Attempt, Operation


class Steps(NamedTuple):
    """What is to be called for one kind of attempt, in order."""

    mutates: tuple[Callable[[Attempt], Any], ...]
    validates: tuple[Callable[[Attempt], None], ...]


class Chain:
    """The table of rows, asked by kind of attempt."""

    def __init__(self, rows: tuple[Admission, ...]) -> None:
        self.rows = rows
        self._steps: dict[tuple[str, Operation, str], Steps | None] = {}

    def find_steps(self, resource: str, operation: Operation, subresource: str = "") -> Steps | None:
        """Return what is to be called, None when no row is interested."""
        key = (resource, operation, subresource)
        try:
            return self._steps[key]
        except KeyError:
            found = self._steps[key] = self._choose(*key)
            return found

    def _choose(self, resource: str, operation: Operation, subresource: str) -> Steps | None:
        rows = [row for row in self.rows if row.looks_at(resource, operation, subresource)]
        steps = Steps(
            tuple([row.mutate for row in rows if row.mutate is not None]),
            tuple([row.validate for row in rows if row.validate is not None]),
        )
        return steps if steps.mutates or steps.validates else None


def mutate(steps: Steps, attempt: Attempt) -> Any:
    """Return the object as the rows make it. Raises: ApiError."""
    for step in steps.mutates:
        attempt.object = step(attempt)
    return attempt.object


def validate(steps: Steps, attempt: Attempt) -> None:
    """Raises: ApiError of the first row that says no."""
    for step in steps.validates:
        step(attempt)
