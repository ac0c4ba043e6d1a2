"""Decides what `rmi` does: which names go, whether the image goes, or why not. Pure.

Source: moby, daemon/images/image_delete.go (the cases and the words).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pinnace.base.errors import ApiError, Reason
from pinnace.image.views import Image
from pinnace.oci.digest import Digest, short_id
from pinnace.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Use:
    """A container that was made from an image. `pod` is NAMESPACE/NAME, "" for a container that is no pod's."""

    container_id: str
    running: bool
    pod: str = ""

    @property
    def is_called(self) -> str:
        return f"pod {self.pod}" if self.pod else f"container {self.container_id[:12]}"

    def tell_way(self, verb: str) -> str:
        """Return the command that ends the use."""
        namespace, _, name = self.pod.partition("/")
        return (
            f"pinnace delete pod {name} -n {namespace}"
            if self.pod
            else f"pinnace {verb} {self.container_id[:12]}"
        )


InUse = Callable[[Digest], Sequence[Use]]


def in_use_by_nobody(image_id: Digest) -> Sequence[Use]:
    """The answer where there are no containers."""
    return ()


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """`untag`: names that go. `nameless`: whether the image stays behind without one."""

    untag: tuple[Reference, ...]
    nameless: bool


@dataclass(frozen=True, slots=True)
class Removal:
    """What was done, as Docker reports it: names, then ids of the image and its layers. Units: bytes."""

    untagged: tuple[str, ...]
    deleted: tuple[Digest, ...]
    freed_bytes: int


def plan_removal(image: Image, named: Reference | None, uses: Sequence[Use], *, force: bool) -> RemovalPlan:
    """Return what removing `named` (or, by id, the whole image) means.

    Raises: ApiError (Conflict) when containers use the image: a stopped one yields to `force`, a running one only lets
    the name go.
    """
    running = [use for use in uses if use.running]
    if named is not None:
        if len(image.references) > 1:
            return RemovalPlan((named,), nameless=False)
        if uses and not force:
            raise _conflict(
                f"unable to remove repository reference {named.familiar!r} (must force)",
                f"{uses[0].is_called} is using its referenced image {short_id(image.id)}",
                f"remove it first: {uses[0].tell_way('rm')}",
            )
        return RemovalPlan((named,), nameless=bool(running))
    if len({reference.name for reference in image.references}) > 1 and not force:
        raise _conflict(
            f"unable to delete {short_id(image.id)} (must be forced)",
            "image is referenced in multiple repositories",
            "name what to remove: " + ", ".join(reference.familiar for reference in image.references),
        )
    if running:
        raise _conflict(
            f"unable to delete {short_id(image.id)} (cannot be forced)",
            f"image is being used by running {running[0].is_called}",
            f"end it first: {running[0].tell_way('stop')}",
        )
    if uses and not force:
        raise _conflict(
            f"unable to delete {short_id(image.id)} (must be forced)",
            f"image is being used by stopped {uses[0].is_called}",
            f"remove it first: {uses[0].tell_way('rm')}",
        )
    return RemovalPlan(image.references, nameless=False)


def _conflict(what: str, why: str, hint: str) -> ApiError:
    return ApiError(Reason.CONFLICT, f"conflict: {what} - {why}", kind="images", hint=hint)
