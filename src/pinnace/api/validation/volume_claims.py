"""Rules that volumes and claims share. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation."""

from pinnace.api.validation.names import check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import validate_label_selector
from pinnace.kube.objects.core_v1 import PersistentVolumeClaimSpec
from pinnace.kube.quantity import FORMAT_MESSAGE, QuantityError, QuantityLike, canonical, parse_quantity

_STORAGE = "storage"
ACCESS_MODES = frozenset({"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"})
VOLUME_MODES = frozenset({"Block", "Filesystem"})
# Source: pkg/volume/util, PVCProtectionFinalizer and PVProtectionFinalizer.
PROTECTS_CLAIM = "kubernetes.io/pvc-protection"
PROTECTS_VOLUME = "kubernetes.io/pv-protection"


def validate_access_modes(modes: tuple[str, ...], path: str, problems: Problems) -> None:
    """Check each mode, and that the one for a single pod stands alone."""
    for mode in modes:
        if mode not in ACCESS_MODES:
            problems.not_supported(f"{path}.accessModes", mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES - {"ReadWriteOncePod"} for mode in modes):
        problems.forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes")


def validate_positive(amount: QuantityLike, path: str, problems: Problems) -> None:
    """Check an amount of something that there must be some of."""
    try:
        nano = parse_quantity(amount).nano
    except QuantityError:
        problems.invalid(path, amount, FORMAT_MESSAGE)
        return
    if nano <= 0:
        problems.invalid(path, canonical(amount), "must be greater than zero")


def validate_claim_spec(spec: PersistentVolumeClaimSpec, path: str, problems: Problems) -> None:
    """Check what is claimed; also of a StatefulSet's templates and of generic ephemeral volumes."""
    if not spec.access_modes:
        problems.required(f"{path}.accessModes", "at least 1 access mode is required")
    if spec.selector is not None:
        validate_label_selector(spec.selector, f"{path}.selector", problems)
    validate_access_modes(spec.access_modes, path, problems)
    if _STORAGE not in spec.resources.requests:
        problems.required(f"{path}.resources[storage]")
    else:
        validate_positive(spec.resources.requests[_STORAGE], f"{path}.resources[storage]", problems)
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
