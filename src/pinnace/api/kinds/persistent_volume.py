"""The PersistentVolume's row. Pure. Source: Kubernetes v1.36, pkg/apis/core/validation, ValidatePersistentVolume."""

import posixpath
from typing import Any

from msgspec.structs import fields, replace

from pinnace.api.defaults.quantities import canonical_quantities
from pinnace.api.strategy import Strategy, keep_status, take_status, with_meta
from pinnace.api.validation.cluster_warnings import find_volume_warnings
from pinnace.api.validation.names import check_qualified_name, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.scheduling import validate_node_selector
from pinnace.api.validation.volume_claims import (
    PROTECTS_VOLUME,
    VOLUME_MODES,
    validate_access_modes,
    validate_positive,
)
from pinnace.kube.kinds import PERSISTENT_VOLUME
from pinnace.kube.objects.core_v1 import PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus

RECLAIMS = frozenset({"Delete", "Recycle", "Retain"})
_HOST_PATH_TYPES = frozenset(
    {"", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"}
)
# What is no source of a volume among the spec's fields.
_PLAIN = frozenset(
    {
        "access_modes",
        "capacity",
        "claim_ref",
        "mount_options",
        "node_affinity",
        "persistent_volume_reclaim_policy",
        "storage_class_name",
        "volume_attributes_class_name",
        "volume_mode",
    }
)
_SOURCES = tuple(
    (field.name, field.encode_name) for field in fields(PersistentVolumeSpec) if field.name not in _PLAIN
)


def sources_of(spec: PersistentVolumeSpec) -> list[tuple[str, Any]]:
    """Return the wire names and values of a volume's sources; a valid one has exactly one."""
    found = ((wire, getattr(spec, name)) for name, wire in _SOURCES)
    return [(wire, source) for wire, source in found if source is not None]


def _default(volume: PersistentVolume) -> PersistentVolume:
    spec, status = volume.spec, volume.status
    return replace(
        volume,
        spec=replace(
            spec,
            capacity=canonical_quantities(spec.capacity),
            persistent_volume_reclaim_policy=spec.persistent_volume_reclaim_policy or "Retain",
            volume_mode=spec.volume_mode or "Filesystem",
            host_path=spec.host_path and replace(spec.host_path, type=spec.host_path.type or ""),
        ),
        status=replace(status, phase=status.phase or "Pending"),
    )


def _prepare_create(volume: PersistentVolume) -> PersistentVolume:
    finalizers = volume.metadata.finalizers
    if PROTECTS_VOLUME not in finalizers:
        # Source: plugin/pkg/admission/storage/storageobjectinuseprotection.
        volume = with_meta(volume, finalizers=(*finalizers, PROTECTS_VOLUME))
    return replace(volume, status=PersistentVolumeStatus(phase="Pending"))


def _validate(volume: PersistentVolume, problems: Problems) -> None:
    spec = volume.spec
    if not spec.access_modes:
        problems.required("spec.accessModes")
    validate_access_modes(spec.access_modes, "spec", problems)
    _validate_capacity(spec, problems)
    problems.one_of("spec.persistentVolumeReclaimPolicy", spec.persistent_volume_reclaim_policy, RECLAIMS)
    if spec.node_affinity is not None:
        if spec.node_affinity.required is None:
            problems.required("spec.nodeAffinity.required", "must specify required node constraints")
        else:
            validate_node_selector(spec.node_affinity.required, "spec.nodeAffinity.required", problems)
    _validate_sources(spec, problems)
    if spec.storage_class_name:
        name = spec.storage_class_name
        problems.each("spec.storageClassName", name, check_subdomain(name))
    problems.one_of("spec.volumeMode", spec.volume_mode, VOLUME_MODES)


def _validate_capacity(spec: PersistentVolumeSpec, problems: Problems) -> None:
    if not spec.capacity:
        problems.required("spec.capacity")
    if set(spec.capacity) != {"storage"}:
        problems.not_supported("spec.capacity", spec.capacity, ("storage",))
    for name, amount in spec.capacity.items():
        validate_positive(amount, f"spec.capacity[{name}]", problems)


def _validate_sources(spec: PersistentVolumeSpec, problems: Problems) -> None:
    sources = sources_of(spec)
    if not sources:
        problems.required("spec", "must specify a volume type")
    for wire, _ in sources[1:]:
        problems.forbidden(f"spec.{wire}", "may not specify more than 1 volume type")
    if spec.host_path is not None:
        _validate_path(spec.host_path.path, "spec.hostPath.path", problems)
        problems.one_of("spec.hostPath.type", spec.host_path.type or "", _HOST_PATH_TYPES)
        recycled = spec.persistent_volume_reclaim_policy == "Recycle"
        if recycled and posixpath.normpath(spec.host_path.path) == "/":
            why = "may not be 'recycle' for a hostPath mount of '/'"
            problems.forbidden("spec.persistentVolumeReclaimPolicy", why)
    if spec.local is not None:
        _validate_path(spec.local.path, "spec.local.path", problems)
        if spec.node_affinity is None:
            problems.required("spec.nodeAffinity", "Local volume requires node affinity")
    if spec.nfs is not None:
        for value, name in ((spec.nfs.server, "server"), (spec.nfs.path, "path")):
            if not value:
                problems.required(f"spec.nfs.{name}")
        if spec.nfs.path and not posixpath.isabs(spec.nfs.path):
            problems.invalid("spec.nfs.path", spec.nfs.path, "must be an absolute path")
    if spec.csi is not None:
        if not spec.csi.driver:
            problems.required("spec.csi.driver")
        else:
            problems.each("spec.csi.driver", spec.csi.driver, check_subdomain(spec.csi.driver.lower()))
        if not spec.csi.volume_handle:
            problems.required("spec.csi.volumeHandle")
    if spec.iscsi is not None:
        for value, name in ((spec.iscsi.target_portal, "targetPortal"), (spec.iscsi.iqn, "iqn")):
            if not value:
                problems.required(f"spec.iscsi.{name}")
    if spec.flex_volume is not None and check_qualified_name(spec.flex_volume.driver):
        problems.each(
            "spec.flexVolume.driver", spec.flex_volume.driver, check_qualified_name(spec.flex_volume.driver)
        )


def _validate_path(text: str, path: str, problems: Problems) -> None:
    if not text:
        problems.required(path)
    elif ".." in text.split("/"):
        problems.invalid(path, text, "must not contain '..'")


def _validate_update(new: PersistentVolume, old: PersistentVolume, problems: Problems) -> None:
    if sources_of(new.spec) != sources_of(old.spec):
        problems.forbidden(
            "spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"
        )
    if new.spec.volume_mode != old.spec.volume_mode:
        problems.immutable("volumeMode", new.spec.volume_mode)
    if old.spec.node_affinity is not None and new.spec.node_affinity != old.spec.node_affinity:
        problems.immutable("nodeAffinity", new.spec.node_affinity)


STRATEGY = Strategy(
    kind=PERSISTENT_VOLUME,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate=_validate,
    validate_update=_validate_update,
    warn=find_volume_warnings,
)
