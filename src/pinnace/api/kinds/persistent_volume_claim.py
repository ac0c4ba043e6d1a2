"""The PersistentVolumeClaim's row. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidatePersistentVolumeClaim."""

from msgspec.structs import replace

from pinnace.api.defaults.claims import default_claim
from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.strategy import Strategy, with_meta
from pinnace.api.validation.cluster_warnings import find_claim_warnings
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.quotas import validate_amount
from pinnace.api.validation.volume_claims import PROTECTS_CLAIM, validate_claim_spec
from pinnace.kube.kinds import PERSISTENT_VOLUME_CLAIM
from pinnace.kube.objects.core_v1 import (
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
    TypedLocalObjectReference,
    TypedObjectReference,
)
from pinnace.kube.quantity import Quantity, QuantityError, QuantityLike, parse_quantity

STORAGE = "storage"
_FIXED = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_REQUESTED = "spec.resources.requests.storage"


def _prepare_create(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    finalizers = claim.metadata.finalizers
    if PROTECTS_CLAIM not in finalizers:
        # Source: plugin/pkg/admission/storage/storageobjectinuseprotection.
        claim = with_meta(claim, finalizers=(*finalizers, PROTECTS_CLAIM))
    return replace(
        claim, spec=mirror_sources(claim.spec), status=PersistentVolumeClaimStatus(phase="Pending")
    )


def mirror_sources(spec: PersistentVolumeClaimSpec) -> PersistentVolumeClaimSpec:
    """Return the spec with its data source under both names, for clients that know only one.

    Source: Kubernetes v1.36, pkg/api/persistentvolumeclaim, NormalizeDataSources.
    """
    source, reference = spec.data_source, spec.data_source_ref
    if source is not None and reference is None:
        same = TypedObjectReference(kind=source.kind, name=source.name, api_group=source.api_group)
        return replace(spec, data_source_ref=same)
    if reference is not None and source is None and not reference.namespace:
        local = TypedLocalObjectReference(
            kind=reference.kind, name=reference.name, api_group=reference.api_group
        )
        return replace(spec, data_source=local)
    return spec


def _prepare_update(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> PersistentVolumeClaim:
    return replace(new, spec=mirror_sources(new.spec), status=old.status)


def _prepare_status(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> PersistentVolumeClaim:
    status = replace(new.status, capacity=canonical_quantities(new.status.capacity))
    return replace(old, status=status)


def _validate(claim: PersistentVolumeClaim, problems: Problems) -> None:
    validate_claim_spec(claim.spec, "spec", problems)


def _validate_update(new: PersistentVolumeClaim, old: PersistentVolumeClaim, problems: Problems) -> None:
    if _fixed(new, old) != _fixed(old, old):
        problems.forbidden("spec", _FIXED)
    asked, had = _storage(new.spec.resources.requests), _storage(old.spec.resources.requests)
    least = _storage(old.status.capacity) or Quantity(0)
    if asked is not None and had is not None and asked < had and asked <= least:
        problems.forbidden(_REQUESTED, "field can not be less than status.capacity")
    if new.spec.volume_mode != old.spec.volume_mode:
        problems.immutable("volumeMode", new.spec.volume_mode)


def _fixed(claim: PersistentVolumeClaim, old: PersistentVolumeClaim) -> PersistentVolumeClaimSpec:
    """Return the spec with what may still change as it was."""
    spec, before = claim.spec, old.spec
    changes: dict[str, object] = {}
    if not before.volume_name:
        changes["volume_name"] = ""
    if before.storage_class_name is None:
        changes["storage_class_name"] = None  # a default class may come later
    if old.status.phase == "Bound":
        changes["resources"] = replace(spec.resources, requests=before.resources.requests)
        changes["volume_attributes_class_name"] = before.volume_attributes_class_name
    return replace(spec, **changes)


def _storage(amounts: dict[str, QuantityLike]) -> Quantity | None:
    try:
        return parse_quantity(amounts[STORAGE]) if STORAGE in amounts else None
    except QuantityError:
        return None


def _validate_status(new: PersistentVolumeClaim, old: PersistentVolumeClaim, problems: Problems) -> None:
    for name, amount in new.status.capacity.items():
        validate_amount(name, amount, f"status.capacity[{name}]", problems)


STRATEGY = Strategy(
    kind=PERSISTENT_VOLUME_CLAIM,
    default=default_claim,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    warn=find_claim_warnings,
)
