"""Lets a claim grow only where its class lets volumes grow.

A row of the chain. Pure. Source: Kubernetes v1.36, plugin/pkg/admission/storage/persistentvolume/resize.
"""

from pinnace.api.admission.amounts import parse_amounts
from pinnace.api.admission.attempt import Admission, Attempt, Operation
from pinnace.api.errors import forbidden
from pinnace.kube.kinds import PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS
from pinnace.kube.objects.core_v1 import PersistentVolumeClaim

_NOT_BOUND = "Only bound persistent volume claims can be expanded"
_CLASS = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"


def guard_growth(attempt: Attempt) -> None:
    """Raises: ApiError Forbidden for a claim that wants more than its class can give."""
    new: PersistentVolumeClaim = attempt.object
    old: PersistentVolumeClaim = attempt.old
    wants = parse_amounts(new.spec.resources.requests).get("storage")
    had = parse_amounts(old.spec.resources.requests).get("storage")
    if wants is None or (had is not None and wants <= had):
        return
    if old.status.phase != "Bound":
        raise forbidden(PERSISTENT_VOLUME_CLAIM, attempt.name, _NOT_BOUND)
    name = new.spec.storage_class_name or ""
    found = attempt.facts.find(STORAGE_CLASS, "", name) if name else None
    if found is None or not found.allow_volume_expansion:
        raise forbidden(PERSISTENT_VOLUME_CLAIM, attempt.name, _CLASS)


ROW = Admission(
    name="PersistentVolumeClaimResize",
    validate=guard_growth,
    resources=frozenset({PERSISTENT_VOLUME_CLAIM.resource}),
    operations=frozenset({Operation.UPDATE}),
)
