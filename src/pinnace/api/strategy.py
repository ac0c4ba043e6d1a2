"""What is particular about one kind on its way into the store: one `Strategy` row, made of plain functions.

The rows live in `kinds/`, one file each; `write.py` walks through them. All functions are pure: an object in, an object
out. What a row leaves out is what most kinds do.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from msgspec.structs import replace

from pinnace.api.allocation import Addresses, Claim
from pinnace.api.context import Context
from pinnace.api.validation.names import NameRule, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.selectors import selector_of

T = TypeVar("T")
S = TypeVar("S")


class Facts(Protocol):
    """What admission may ask about the rest of the world."""

    def find(self, kind: Kind[S], namespace: str, name: str) -> S | None:
        """Return an object, or None."""
        ...


def _same(obj: T) -> T:
    return obj


def _keep_new(new: T, old: T) -> T:
    return new


def _admit_all(obj: T, facts: Facts, context: Context) -> T:
    return obj


def _nothing_wrong(obj: Any, problems: Problems) -> None:
    return


def _nothing_changed(new: Any, old: Any, problems: Problems) -> None:
    return


def _no_warnings(obj: Any) -> Iterable[str]:
    return ()


def _no_fields(obj: Any) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Scaling(Generic[T]):
    """How the `scale` view reads and writes one kind."""

    read: Callable[[T], tuple[int, int, str]]
    """Returns spec.replicas, status.replicas, and the selector as text."""
    write: Callable[[T, int], T]


@dataclass(frozen=True, kw_only=True)
class Allocation(Generic[T]):
    """How a kind gets what must be unique in the cluster."""

    allocate: Callable[[T, Addresses], T]
    """Returns the object with what it lacks, claimed; raises ApiError Invalid."""
    claim: Callable[[T], Claim]
    """Returns everything that a stored object holds."""


@dataclass(frozen=True, kw_only=True)
class Subpart(Generic[T]):
    """How a part of a kind is written that has an address of its own and shares the object's form."""

    keep: Callable[[T, T], T]
    """Returns, of (new, old), the old object with that part of the new one."""
    validate: Callable[[T, T, Problems], None]


@dataclass(frozen=True, kw_only=True)
class Strategy(Generic[T]):
    """One kind's row.

    `default` fills in what is missing (also for updates and patches). `admit` may consult other objects, on create only;
    it raises ApiError Forbidden. `prepare_create` drops what a creator may not set; `prepare_update` and
    `prepare_status` (new, old) keep what this kind of write may not touch. `index` gives those selectable fields that the
    store shall find without looking at every object. `validate_change` (new, old or None) is for rules that creation and
    change don't share; it runs right after `validate`. `validate_annotations` (new, old) runs for changes of the metadata
    alone too, which the others are spared. `orphans` says that a deletion without a wish leaves the dependents, and
    `orphan_warning` what its caller is told. `grace` says how many seconds a deletion waits, given the wish; None means
    that the kind knows no grace. `may_go` says whether an object that is being deleted, and has no finalizers, can be
    removed. `counts_annotations` says that a change of annotations is one of the generation, too.
    """

    kind: Kind[T]
    name_rule: NameRule = check_subdomain
    default: Callable[[T], T] = _same
    admit: Callable[[T, Facts, Context], T] = _admit_all
    prepare_create: Callable[[T], T] = _same
    prepare_update: Callable[[T, T], T] = _keep_new
    prepare_status: Callable[[T, T], T] = _keep_new
    validate: Callable[[T, Problems], None] = _nothing_wrong
    validate_change: Callable[[T, T | None, Problems], None] = _nothing_changed
    validate_update: Callable[[T, T, Problems], None] = _nothing_changed
    validate_annotations: Callable[[T, T, Problems], None] = _nothing_changed
    validate_status: Callable[[T, T, Problems], None] = _nothing_changed
    index: Callable[[T], Mapping[str, str]] = _no_fields
    generation: bool = False
    counts_annotations: bool = False
    create_on_update: bool = False
    unconditional_update: bool = True
    orphans: bool = False
    orphan_warning: str = ""
    grace: Callable[[T, int | None], int] | None = None
    may_go: Callable[[T], bool] = lambda obj: True
    begin_deletion: Callable[[T], T] = _same
    allocation: Allocation[T] | None = None
    warn: Callable[[T], Iterable[str]] = _no_warnings
    scaling: Scaling[T] | None = None
    subparts: Mapping[str, Subpart[T]] = field(default_factory=dict)


def meta_of(obj: Any) -> ObjectMeta:
    """Return the metadata of an object of any kind."""
    meta: ObjectMeta = obj.metadata
    return meta


def with_meta(obj: T, **changes: Any) -> T:
    """Return the object with changed metadata."""
    changed: Any = replace(obj, metadata=replace(meta_of(obj), **changes))  # type: ignore[type-var]
    result: T = changed
    return result


def drop_status(obj: T) -> T:
    """Return a new object without a status: who creates it does not set one."""
    changed: Any = obj
    result: T = replace(changed, status=type(changed.status)())
    return result


def keep_status(new: T, old: T) -> T:
    """Return the new object with the old one's status: it has a way of its own."""
    changed: Any = new
    former: Any = old
    result: T = replace(changed, status=former.status)
    return result


def take_status(new: T, old: T) -> T:
    """Return the old object with the new one's status: a write of the status changes nothing else."""
    return keep_status(old, new)


def read_replicas(obj: Any) -> tuple[int, int, str]:
    """Return what the `scale` view shows of a kind with replicas and a label selector."""
    return obj.spec.replicas or 0, obj.status.replicas or 0, str(selector_of(obj.spec.selector))


def write_replicas(obj: T, replicas: int) -> T:
    """Return the object with another number of replicas."""
    changed: Any = obj
    result: T = replace(changed, spec=replace(changed.spec, replicas=replicas))
    return result
