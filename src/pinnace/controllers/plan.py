"""Plans as data: what a decider wants done, as a list that a person can read.

Deciders build these, `apply.py` carries them out. Nothing here does anything.
Invariant: a plan is applied in order, and the first step that fails ends it; the reconcile then comes again with new facts.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Create:
    """Create `object`."""

    object: Any

    def describe(self) -> str:
        return f"create {name_of(self.object)}"


@dataclass(frozen=True, slots=True)
class Change:
    """Turn `before` into `after`, status aside, if `before` is still what is there. `why` completes "change X: ...".

    With `subresource` "status", what may be changed of an object beside its status, as a Deployment's annotations.
    """

    before: Any
    after: Any
    why: str
    subresource: str = ""

    def describe(self) -> str:
        return f"change {name_of(self.before)}: {self.why}"


@dataclass(frozen=True, slots=True)
class SetStatus:
    """Give `object` another status."""

    object: Any
    status: Any

    def describe(self) -> str:
        return f"set status of {name_of(self.object)}"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete `object`, this very one (by uid). Shape: `propagation` as in `Api.delete`."""

    object: Any
    why: str
    propagation: str | None = None
    grace_s: int | None = None

    def describe(self) -> str:
        return f"delete {name_of(self.object)}: {self.why}"


@dataclass(frozen=True, slots=True)
class Record:
    """Record an event about `regarding`. It comes after the step that it tells of."""

    regarding: Any
    type: str
    reason: str
    message: str

    def describe(self) -> str:
        return f"record {self.type} {self.reason} on {name_of(self.regarding)}: {self.message}"


Step: TypeAlias = Create | Change | SetStatus | Delete | Record


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and when to look again even if nothing changes. Units: seconds; None means never."""

    steps: tuple[Step, ...] = ()
    requeue_after_s: float | None = None

    def describe(self) -> str:
        """Return the plan as lines of text."""
        lines = [step.describe() for step in self.steps] or ["nothing to do"]
        if self.requeue_after_s is not None:
            lines.append(f"look again in {self.requeue_after_s:g} s")
        return "\n".join(lines)


def name_of(obj: Any) -> str:
    """Return "Kind namespace/name". Example: "Deployment default/web"."""
    meta = obj.metadata
    name = meta.name or f"{meta.generate_name}*"
    return f"{obj.kind} {meta.namespace}/{name}" if meta.namespace else f"{obj.kind} {name}"


def earliest(*delays: float | None) -> float | None:
    """Return the shortest of the delays that there are."""
    return min((delay for delay in delays if delay is not None), default=None)
