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
    """A container that was made from an image."""

    container_id: str
    running: bool


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
                f"container {uses[0].container_id[:12]} is using its referenced image {short_id(image.id)}",
                f"remove the container first: pinnace rm {uses[0].container_id[:12]}",
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
            f"image is being used by running container {running[0].container_id[:12]}",
            f"stop it first: pinnace stop {running[0].container_id[:12]}",
        )
    if uses and not force:
        raise _conflict(
            f"unable to delete {short_id(image.id)} (must be forced)",
            f"image is being used by stopped container {uses[0].container_id[:12]}",
            f"remove it first: pinnace rm {uses[0].container_id[:12]}",
        )
    return RemovalPlan(image.references, nameless=False)


def _conflict(what: str, why: str, hint: str) -> ApiError:
    return ApiError(Reason.CONFLICT, f"conflict: {what} - {why}", kind="images", hint=hint)
