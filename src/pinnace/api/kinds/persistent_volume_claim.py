"""The PersistentVolumeClaim's row. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidatePersistentVolumeClaim."""

from msgspec.structs import replace

from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.strategy import Strategy, with_meta
from pinnace.api.validation.names import check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.quotas import validate_amount
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.api.validation.volume_claims import (
    PROTECTS_CLAIM,
    VOLUME_MODES,
    validate_access_modes,
    validate_positive,
)
from pinnace.kube.kinds import PERSISTENT_VOLUME_CLAIM
from pinnace.kube.objects.core_v1 import (
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
)
from pinnace.kube.quantity import Quantity, QuantityError, QuantityLike, parse_quantity

STORAGE = "storage"
_FIXED = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_REQUESTED = "spec.resources.requests.storage"


def _default(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    return replace(
        claim,
        spec=default_claim_spec(claim.spec),
        status=replace(claim.status, phase=claim.status.phase or "Pending"),
    )


def default_claim_spec(spec: PersistentVolumeClaimSpec) -> PersistentVolumeClaimSpec:
    """Return a claim's spec with its mode, its data source in both places, and canonical amounts."""
    resources = replace(
        spec.resources,
        requests=canonical_quantities(spec.resources.requests),
        limits=canonical_quantities(spec.resources.limits),
    )
    return replace(spec, volume_mode=spec.volume_mode or "Filesystem", resources=resources)


def _prepare_create(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    finalizers = claim.metadata.finalizers
    if PROTECTS_CLAIM not in finalizers:
        # Source: plugin/pkg/admission/storage/storageobjectinuseprotection.
        claim = with_meta(claim, finalizers=(*finalizers, PROTECTS_CLAIM))
    return replace(claim, status=PersistentVolumeClaimStatus(phase="Pending"))


def _prepare_update(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> PersistentVolumeClaim:
    return replace(new, status=old.status)


def _prepare_status(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> PersistentVolumeClaim:
    status = replace(new.status, capacity=canonical_quantities(new.status.capacity))
    return replace(old, status=status)


def _validate(claim: PersistentVolumeClaim, problems: Problems) -> None:
    validate_claim_spec(claim.spec, "spec", problems)


def validate_claim_spec(spec: PersistentVolumeClaimSpec, path: str, problems: Problems) -> None:
    """Check what is claimed; also of a StatefulSet's templates and of generic ephemeral volumes."""
    if not spec.access_modes:
        problems.required(f"{path}.accessModes", "at least 1 access mode is required")
    if spec.selector is not None:
        validate_label_selector(spec.selector, f"{path}.selector", problems)
    validate_access_modes(spec.access_modes, path, problems)
    if STORAGE not in spec.resources.requests:
        problems.required(f"{path}.resources[storage]")
    else:
        validate_positive(spec.resources.requests[STORAGE], f"{path}.resources[storage]", problems)
    if spec.storage_class_name:
        problems.each(
            f"{path}.storageClassName", spec.storage_class_name, check_subdomain(spec.storage_class_name)
        )
    problems.one_of(f"{path}.volumeMode", spec.volume_mode, VOLUME_MODES)
    _validate_sources(spec, path, problems)
    if spec.volume_attributes_class_name:
        name = spec.volume_attributes_class_name
        problems.each(f"{path}.volumeAttributesClassName", name, check_subdomain(name))


def _validate_sources(spec: PersistentVolumeClaimSpec, path: str, problems: Problems) -> None:
    for source, name in ((spec.data_source, "dataSource"), (spec.data_source_ref, "dataSourceRef")):
        if source is None:
            continue
        where = f"{path}.{name}"
        if not source.name:
            problems.required(f"{where}.name")
        if not source.kind:
            problems.required(f"{where}.kind")
        if not source.api_group and source.kind != "PersistentVolumeClaim":
            problems.invalid(
                where, source.kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
            )
    source, reference = spec.data_source, spec.data_source_ref
    if source is not None and reference is not None:
        same = (source.api_group, source.kind, source.name) == (
            reference.api_group,
            reference.kind,
            reference.name,
        )
        if not same:
            problems.invalid(path, f"{path}.dataSource", "must match dataSourceRef")


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
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
)
