"""Fills in volumes. Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go, SetDefaults_Volume and its kin."""

from typing import Any

from msgspec.structs import replace

from pinnace.kube.objects.core_v1 import (
    DownwardAPIVolumeFile,
    EmptyDirVolumeSource,
    ProjectedVolumeSource,
    Volume,
    VolumeProjection,
)

FILE_MODE = 0o644
TOKEN_EXPIRATION_S = 3600
# The sources that have something to fill in; a volume without one of these, and without any other, is an emptyDir.
_MODED = ("config_map", "secret", "downward_api", "projected")


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
    return part
