"""Gives claims and Ingresses that name no class the default one.

Two rows of the chain. Pure. Source: Kubernetes v1.36, plugin/pkg/admission/storage/storageclass/setdefault and
network/defaultingressclass.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from pinnace.api.admission.attempt import Admission, Attempt, Operation
from pinnace.kube.kinds import INGRESS, INGRESS_CLASS, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS, Kind
from pinnace.kube.objects.core_v1 import PersistentVolumeClaim
from pinnace.kube.objects.networking_v1 import Ingress

DEFAULT_FIELD = "isDefaultClass"  # an indexed field of both kinds of classes
_STORAGE_MARKS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_INGRESS_MARK = "ingressclass.kubernetes.io/is-default-class"
_OLD_CLAIM_CLASS = "volume.beta.kubernetes.io/storage-class"
_OLD_INGRESS_CLASS = "kubernetes.io/ingress.class"


def is_default_storage_class(annotations: Mapping[str, str]) -> bool:
    """Say whether a StorageClass is for claims that name none."""
    return any(annotations.get(mark) == "true" for mark in _STORAGE_MARKS)


def is_default_ingress_class(annotations: Mapping[str, str]) -> bool:
    """Say whether an IngressClass is for Ingresses that name none."""
    return annotations.get(_INGRESS_MARK) == "true"


def _find_default(attempt: Attempt, kind: Kind[Any]) -> str:
    """Return the name of the default class, "" if there is none; of several, the newest, then the first by name."""
    found = attempt.facts.by_field(kind, DEFAULT_FIELD, "true")
    if not found:
        return ""
    newest = max(each.metadata.creation_timestamp for each in found)
    name: str = min(each.metadata.name for each in found if each.metadata.creation_timestamp == newest)
    return name


def choose_storage_class(attempt: Attempt) -> PersistentVolumeClaim:
    """Return the claim with the default class, if it names none itself."""
    claim: PersistentVolumeClaim = attempt.object
    if claim.spec.storage_class_name is not None or _OLD_CLAIM_CLASS in claim.metadata.annotations:
        return claim
    name = _find_default(attempt, STORAGE_CLASS)
    if not name:
        return claim
    return replace(claim, spec=replace(claim.spec, storage_class_name=name))


def choose_ingress_class(attempt: Attempt) -> Ingress:
    """Return the Ingress with the default class, if it names none itself."""
    ingress: Ingress = attempt.object
    if ingress.spec.ingress_class_name or _OLD_INGRESS_CLASS in ingress.metadata.annotations:
        return ingress
    name = _find_default(attempt, INGRESS_CLASS)
    if not name:
        return ingress
    return replace(ingress, spec=replace(ingress.spec, ingress_class_name=name))


_CREATE = frozenset({Operation.CREATE})
STORAGE_ROW = Admission(
    name="DefaultStorageClass",
    mutate=choose_storage_class,
    resources=frozenset({PERSISTENT_VOLUME_CLAIM.resource}),
    operations=_CREATE,
)
INGRESS_ROW = Admission(
    name="DefaultIngressClass",
    mutate=choose_ingress_class,
    resources=frozenset({INGRESS.resource}),
    operations=_CREATE,
)
