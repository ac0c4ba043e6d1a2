"""Holds what one row of the table of fields that nothing acts on says. See `unacted.py`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Unacted:
    """One field of one stored resource that is kept and not acted on.

    Shape: `path` has "[]" behind a list and "[key]" behind a map, like "spec.volumes[].nfs"; "" is the whole kind. `why` is
    half a sentence for the person who wrote the field. `only` limits the row to some values; otherwise every value counts
    but for false and 0. `when` looks at the struct around the field. Example of a resource: "apps/deployments".
    """

    resource: str
    path: str
    why: str
    only: tuple[Any, ...] = ()
    when: Callable[[Any], bool] | None = None

    def concerns(self, owner: Any, value: Any) -> bool:
        """Say whether this value, which is present, is one to warn of; `owner` is the struct around it."""
        if self.only:
            return value in self.only
        if value is False or value == 0 or value == {}:
            return False
        return self.when is None or self.when(owner)

    def at(self, resource: str, prefix: str) -> "Unacted":
        """Return the row at another place: that of a pod's spec in a template."""
        return replace(self, resource=resource, path=f"{prefix}.{self.path}")
