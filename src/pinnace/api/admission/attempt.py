"""What admission looks at: one attempt to change something, and the shape of a row of the chain.

Used by the rows beside this file and by `chain.py`. Pure data. Invariant: a row sees only attempts that it is made for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from pinnace.api.access.escalation import Access
from pinnace.api.context import Context
from pinnace.api.strategy import Facts
from pinnace.kube.kinds import Kind

S = TypeVar("S")


class Operation(StrEnum):
    """What somebody wants to do; the value is Kubernetes' word."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CONNECT = "CONNECT"


class AdmissionFacts(Facts, Protocol):
    """What the rows may ask about the rest of the world."""

    def list_in(self, kind: Kind[S], namespace: str) -> tuple[S, ...]:
        """Return the objects of one kind in a namespace; "" for a kind that has none."""
        ...

    def by_field(self, kind: Kind[S], field: str, value: str) -> tuple[S, ...]:
        """Return the objects with this value of an indexed field."""
        ...

    def kind_named(self, api_version: str, kind: str) -> Kind[Any] | None:
        """Return the row of an apiVersion and kind, custom ones too."""
        ...

    def versions_of(self, kind: Kind[Any]) -> tuple[str, ...]:
        """Return the names of all versions in which a kind is served."""
        ...


class QuotaBook(Protocol):
    """What quota admission asks: see `quota/ledger.py`."""

    def check(self, attempt: "Attempt") -> None:
        """Raise unless the namespace's quotas have room. Raises: ApiError Forbidden."""
        ...


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One attempt to create, update, delete, or connect to an object.

    `object` is what is to be stored (None for DELETE, the options for CONNECT); a mutating row's result replaces it.
    `old` is what is stored (None for CREATE and CONNECT). `subresource` is "" for the object itself.
    """

    kind: Kind[Any]
    operation: Operation
    namespace: str
    name: str
    object: Any
    old: Any
    subresource: str
    context: Context
    facts: AdmissionFacts
    quotas: QuotaBook | None = None
    access: Access | None = None

    @property
    def dry_run(self) -> bool:
        """Whether nothing will be stored."""
        return self.context.dry_run


_ALWAYS = frozenset({""})


@dataclass(frozen=True, kw_only=True)
class Admission:
    """One row of the chain.

    `mutate` returns the object as it is to be; it runs before the kind's own validation. `validate` raises ApiError; it
    runs after it, and nothing is changed any more. Both also run for dry runs, and must change nothing but the context's
    warnings. `resources` are stored resources ("pods", "apps/deployments"); None means all, custom ones too. A row is
    called for the object itself unless `subresources` says otherwise; None means all of them.
    """

    name: str
    mutate: Callable[[Attempt], Any] | None = None
    validate: Callable[[Attempt], None] | None = None
    resources: frozenset[str] | None = None
    operations: frozenset[Operation] = frozenset({Operation.CREATE, Operation.UPDATE})
    subresources: frozenset[str] | None = _ALWAYS

    def looks_at(self, resource: str, operation: Operation, subresource: str) -> bool:
        """Say whether the row is made for such attempts."""
        return (
            operation in self.operations
            and (self.resources is None or resource in self.resources)
            and (self.subresources is None or subresource in self.subresources)
        )
