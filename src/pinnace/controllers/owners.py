"""Decides which objects belong to a controller object: which to adopt, which to release.

Pure. Called by the Deployment and ReplicaSet deciders.
Invariant: an object has at most one controlling owner, and one that another controls is never touched.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from pinnace.kube.objects.meta_v1 import OwnerReference

T = TypeVar("T")
Labels = Mapping[str, str]


def controller_of(obj: Any) -> OwnerReference | None:
    """Return the reference to the owner that controls `obj`, if one does."""
    return next((ref for ref in obj.metadata.owner_references if ref.controller), None)


def controller_reference(owner: Any) -> OwnerReference:
    """Return the reference by which `owner` controls what it makes."""
    return OwnerReference(
        api_version=owner.api_version,
        kind=owner.kind,
        name=owner.metadata.name,
        uid=owner.metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )


@dataclass(frozen=True, slots=True)
class Claims(Generic[T]):
    """`owned` are controlled already and rightly so; `adopt` and `release` hold (before, after)."""

    owned: tuple[T, ...] = ()
    adopt: tuple[tuple[T, T], ...] = ()
    release: tuple[tuple[T, T], ...] = ()


def compute_claims(owner: Any, candidates: Iterable[T], matches: Callable[[Labels], bool]) -> Claims[T]:
    """Sort `candidates` (all of one namespace) into owned, to adopt, to release; the rest is others'.

    Source: Kubernetes v1.36, pkg/controller/controller_ref_manager.go, BaseControllerRefManager.ClaimObject.
    """
    owned: list[T] = []
    adopt: list[tuple[T, T]] = []
    release: list[tuple[T, T]] = []
    leaving = bool(owner.metadata.deletion_timestamp)
    for obj in candidates:
        meta = obj.metadata  # type: ignore[attr-defined]
        controller = controller_of(obj)
        fits = matches(meta.labels)
        if controller is not None:
            if controller.uid != owner.metadata.uid:
                continue
            if fits:
                owned.append(obj)
            elif not leaving:
                release.append((obj, _without_owner(obj, owner.metadata.uid)))
        elif fits and not leaving and not meta.deletion_timestamp:
            adopt.append((obj, _with_owner(obj, owner)))
    return Claims(tuple(owned), tuple(adopt), tuple(release))


def _with_owner(obj: Any, owner: Any) -> Any:
    refs = tuple(ref for ref in obj.metadata.owner_references if ref.uid != owner.metadata.uid)
    return with_owners(obj, (*refs, controller_reference(owner)))


def _without_owner(obj: Any, uid: str) -> Any:
    return with_owners(obj, tuple(ref for ref in obj.metadata.owner_references if ref.uid != uid))


def with_owners(obj: Any, refs: tuple[OwnerReference, ...]) -> Any:
    """Return the object with these owner references."""
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, owner_references=refs))
