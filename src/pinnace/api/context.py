"""Says on whose behalf a write happens, and how. Built by the edges; everybody else writes as SYSTEM."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pinnace.api.access.users import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One caller's identity and wishes for one request.

    `field_validation` says what unknown fields in a patch's result lead to: "Strict", "Warn" or "Ignore".
    What grows here: `warnings`, sentences that the edge sends back as `Warning` headers, and `notes`, the annotations of
    the request's line in the audit log.
    """

    user: str = ""
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    field_manager: str = ""
    dry_run: bool = False
    field_validation: str = "Ignore"
    warnings: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def caller(self) -> User:
        """Who asks, as authorization knows it."""
        return User(self.user, self.groups, self.uid, self.extra)

    @property
    def reads_warnings(self) -> bool:
        """Whether anybody will see a warning."""
        return True

    def warn(self, sentence: str) -> None:
        """Keep one warning for the answer; the same one is kept once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def note(self, key: str, value: str) -> None:
        """Keep one annotation for the audit log; it makes the request one that has a line there."""
        self.notes[key] = value


class _SystemContext(Context):
    """Pinnace's own components: nobody reads their warnings, so none are kept."""

    __slots__ = ()

    @property
    def reads_warnings(self) -> bool:
        return False

    def warn(self, sentence: str) -> None:
        """Drop the warning; a shared list would only grow."""

    def note(self, key: str, value: str) -> None:
        """Drop the annotation: there is no request."""


SYSTEM = _SystemContext(user="system:pinnace", groups=("system:masters",))
