"""Decides whether a volume or a claim that is being deleted may go.

Pure. Source: Kubernetes v1.36, pkg/controller/volume/pvcprotection and pvprotection.
Invariant: what a pod on a node uses stays.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from msgspec.structs import replace

from pinnace.api.validation.volume_claims import PROTECTS_CLAIM, PROTECTS_VOLUME
from pinnace.controllers.plan import Change, Plan
from pinnace.kube.objects.core_v1 import PersistentVolume, PersistentVolumeClaim, Pod

T = TypeVar("T", PersistentVolume, PersistentVolumeClaim)


def reconcile_claim(claim: PersistentVolumeClaim, pods: Iterable[Pod]) -> Plan:
    """Take the protection from a claim that goes and that no pod on a node uses."""
    if not claim.metadata.deletion_timestamp or PROTECTS_CLAIM not in claim.metadata.finalizers:
        return Plan()
    if any(claim.metadata.name in claims_of(pod) for pod in pods if pod.spec.node_name):
        return Plan()
    return Plan((_release(claim, PROTECTS_CLAIM),))


def reconcile_volume(volume: PersistentVolume) -> Plan:
    """Take the protection from a volume that goes and that is bound to no claim."""
    meta = volume.metadata
    if (
        not meta.deletion_timestamp
        or PROTECTS_VOLUME not in meta.finalizers
        or volume.status.phase == "Bound"
    ):
        return Plan()
    return Plan((_release(volume, PROTECTS_VOLUME),))


def claims_of(pod: Pod) -> frozenset[str]:
    """Return the names of the claims that a pod uses; its generic ephemeral volumes are claims of its own."""
    return frozenset(_claim_names(pod))


def _claim_names(pod: Pod) -> Iterator[str]:
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            yield volume.persistent_volume_claim.claim_name
        elif volume.ephemeral is not None:
            yield f"{pod.metadata.name}-{volume.name}"


def _release(obj: T, finalizer: str) -> Change:
    kept = tuple(name for name in obj.metadata.finalizers if name != finalizer)
    return Change(
        obj, replace(obj, metadata=replace(obj.metadata, finalizers=kept)), "nobody uses it any more"
    )
