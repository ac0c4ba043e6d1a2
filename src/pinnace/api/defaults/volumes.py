"""Fills in volumes. Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go, SetDefaults_Volume and its kin."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from pinnace.api.defaults.claims import default_claim_spec
from pinnace.api.defaults.images import compute_pull_policy
from pinnace.api.defaults.quantities import canonical_quantity
from pinnace.kube.objects.core_v1 import (
    DownwardAPIVolumeFile,
    EmptyDirVolumeSource,
    ProjectedVolumeSource,
    Volume,
    VolumeProjection,
)

FILE_MODE = 0o644
CERTIFICATE_EXPIRATION_S = 24 * 60 * 60
TOKEN_EXPIRATION_S = 3600
# The sources that have something to fill in; a volume without one of these, and without any other, is an emptyDir.
_MODED = ("config_map", "secret", "downward_api", "projected")


# What else a type gets: attribute of the source -> value. Source: same file, SetDefaults_ISCSIVolumeSource and its kin.
_FILLED: Mapping[str, Mapping[str, Any]] = {
    "azure_disk": {"caching_mode": "ReadWrite", "kind": "Shared", "fs_type": "ext4", "read_only": False},
    "iscsi": {"iscsi_interface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "scale_io": {"storage_mode": "ThinProvisioned", "fs_type": "xfs"},
}


def default_volume(volume: Volume) -> Volume:
    """Return the volume with its source filled in."""
    for attribute in _MODED:
        source: Any = getattr(volume, attribute)
        if source is None:
            continue
        changes: dict[str, Any] = {}
        if source.default_mode is None:
            changes["default_mode"] = FILE_MODE
        if attribute == "downward_api":
            changes["items"] = _default_files(source.items)
        elif attribute == "projected":
            changes["sources"] = _default_projections(source)
        return replace(volume, **{attribute: replace(source, **changes)}) if changes else volume
    if volume == Volume(name=volume.name):
        return replace(volume, empty_dir=EmptyDirVolumeSource())
    return _fill(volume)


def _fill(volume: Volume) -> Volume:
    """Fill in the types that are rarely met."""
    if volume.image is not None and not volume.image.pull_policy:
        policy = compute_pull_policy(volume.image.reference)
        return replace(volume, image=replace(volume.image, pull_policy=policy))
    if volume.ephemeral is not None and volume.ephemeral.volume_claim_template is not None:
        template = volume.ephemeral.volume_claim_template
        template = replace(template, spec=default_claim_spec(template.spec))
        return replace(volume, ephemeral=replace(volume.ephemeral, volume_claim_template=template))
    if volume.empty_dir is not None and volume.empty_dir.size_limit is not None:
        limit = canonical_quantity(volume.empty_dir.size_limit)
        return replace(volume, empty_dir=replace(volume.empty_dir, size_limit=limit))
    for attribute, values in _FILLED.items():
        source: Any = getattr(volume, attribute)
        if source is not None:
            missing = {name: value for name, value in values.items() if getattr(source, name) in (None, "")}
            return replace(volume, **{attribute: replace(source, **missing)})
    return volume


def _default_files(files: tuple[DownwardAPIVolumeFile, ...]) -> tuple[DownwardAPIVolumeFile, ...]:
    return tuple(
        replace(file, field_ref=replace(file.field_ref, api_version="v1"))
        if file.field_ref is not None and not file.field_ref.api_version
        else file
        for file in files
    )


def _default_projections(source: ProjectedVolumeSource) -> tuple[VolumeProjection, ...]:
    return tuple(_default_projection(part) for part in source.sources)


def _default_projection(part: VolumeProjection) -> VolumeProjection:
    if part.downward_api is not None:
        return replace(
            part, downward_api=replace(part.downward_api, items=_default_files(part.downward_api.items))
        )
    token = part.service_account_token
    if token is not None and token.expiration_seconds is None:
        return replace(part, service_account_token=replace(token, expiration_seconds=TOKEN_EXPIRATION_S))
    certificate = part.pod_certificate
    if certificate is not None and certificate.max_expiration_seconds is None:
        long = replace(certificate, max_expiration_seconds=CERTIFICATE_EXPIRATION_S)
        return replace(part, pod_certificate=long)
    return part
