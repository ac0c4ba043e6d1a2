"""Checks a pod's volumes, and the mounts that refer to them. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateVolumes and ValidateVolumeMounts.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import astuple, fields

from pinnace.api.validation.names import check_label_name, check_subdomain
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.resources import validate_quantity
from pinnace.kube.objects.core_v1 import (
    DownwardAPIVolumeFile,
    KeyToPath,
    ProjectedVolumeSource,
    Volume,
    VolumeMount,
)

_HOST_PATH_TYPES = (
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
)
_DOWNWARD_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)

# Every volume source that the types know, and its name on the wire.
_WIRE_NAMES = {field.name: field.encode_name for field in fields(Volume)}
_ATTRIBUTES = tuple(_WIRE_NAMES)


def get_sources(volume: Volume) -> list[tuple[str, Any]]:
    """Return the wire names and values of the sources that a volume has; a valid one has exactly one."""
    return [
        (_WIRE_NAMES[attribute], value)
        for attribute, value in zip(_ATTRIBUTES, astuple(volume), strict=True)
        if value is not None and attribute != "name"
    ]


def validate_volumes(volumes: tuple[Volume, ...], path: str, problems: Problems) -> Mapping[str, Volume]:
    """Check names and sources; return the volumes by name, for the mounts."""
    by_name: dict[str, Volume] = {}
    for index, volume in enumerate(volumes):
        where = f"{path}[{index}]"
        if not volume.name:
            problems.required(f"{where}.name")
        else:
            problems.each(f"{where}.name", volume.name, check_label_name(volume.name))
        if volume.name in by_name:
            problems.duplicate(f"{where}.name", volume.name)
        sources = get_sources(volume)
        if not sources:
            problems.required(where, "must specify a volume type")
        for wire, _ in sources[1:]:
            problems.forbidden(f"{where}.{wire}", "may not specify more than 1 volume type")
        if sources:
            _validate_source(volume, sources[0][0], f"{where}.{sources[0][0]}", problems)
        by_name[volume.name] = volume
    return by_name


def _validate_source(volume: Volume, wire: str, path: str, problems: Problems) -> None:
    if wire == "emptyDir" and volume.empty_dir is not None:
        validate_quantity(volume.empty_dir.size_limit, f"{path}.sizeLimit", problems)
    elif wire == "hostPath" and volume.host_path is not None:
        _validate_host_path(volume.host_path.path, volume.host_path.type or "", path, problems)
    elif wire == "configMap" and volume.config_map is not None:
        if not volume.config_map.name:
            problems.required(f"{path}.name")
        _validate_mode(volume.config_map.default_mode, f"{path}.defaultMode", problems)
        _validate_items(volume.config_map.items, f"{path}.items", problems)
    elif wire == "secret" and volume.secret is not None:
        if not volume.secret.secret_name:
            problems.required(f"{path}.secretName")
        _validate_mode(volume.secret.default_mode, f"{path}.defaultMode", problems)
        _validate_items(volume.secret.items, f"{path}.items", problems)
    elif wire == "downwardAPI" and volume.downward_api is not None:
        _validate_mode(volume.downward_api.default_mode, f"{path}.defaultMode", problems)
        _validate_downward(volume.downward_api.items, f"{path}.items", problems)
    elif wire == "projected" and volume.projected is not None:
        _validate_projected(volume.projected, path, problems)
    elif volume.persistent_volume_claim is not None and not volume.persistent_volume_claim.claim_name:
        problems.required(f"{path}.claimName")


def _validate_host_path(path_text: str, kind: str, path: str, problems: Problems) -> None:
    if not path_text:
        problems.required(f"{path}.path")
    elif ".." in path_text.split("/"):
        problems.invalid(f"{path}.path", path_text, "must not contain '..'")
    problems.one_of(f"{path}.type", kind, _HOST_PATH_TYPES)


def _validate_mode(mode: int | None, path: str, problems: Problems) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        problems.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")


def validate_local_path(text: str, path: str, problems: Problems, *, empty: bool = False) -> None:
    """Check a path that must stay below where it is put."""
    if not text:
        if not empty:
            problems.required(path)
        return
    if text.startswith("/"):
        problems.invalid(path, text, "must be a relative path")
    if ".." in text.split("/"):
        problems.invalid(path, text, "must not contain '..'")
    elif text.startswith("..") and not empty:
        problems.invalid(path, text, "must not start with '..'")


def _validate_items(items: tuple[KeyToPath, ...], path: str, problems: Problems) -> None:
    for index, item in enumerate(items):
        where = f"{path}[{index}]"
        if not item.key:
            problems.required(f"{where}.key")
        validate_local_path(item.path, f"{where}.path", problems)
        _validate_mode(item.mode, f"{where}.mode", problems)


def _validate_downward(items: tuple[DownwardAPIVolumeFile, ...], path: str, problems: Problems) -> None:
    for index, item in enumerate(items):
        where = f"{path}[{index}]"
        validate_local_path(item.path, f"{where}.path", problems)
        if item.field_ref is not None:
            field_path = item.field_ref.field_path
            if not field_path:
                problems.required(f"{where}.fieldRef.fieldPath")
            elif field_path.split("[", 1)[0] not in _DOWNWARD_FIELDS:
                problems.not_supported(f"{where}.fieldRef.fieldPath", field_path, _DOWNWARD_FIELDS)
            if item.resource_field_ref is not None:
                problems.invalid(
                    where, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"
                )
        elif item.resource_field_ref is not None:
            if not item.resource_field_ref.container_name:
                problems.required(f"{where}.resourceFieldRef.containerName")
            if not item.resource_field_ref.resource:
                problems.required(f"{where}.resourceFieldRef.resource")
        else:
            problems.required(where, "one of fieldRef and resourceFieldRef is required")
        _validate_mode(item.mode, f"{where}.mode", problems)


def _validate_projected(source: ProjectedVolumeSource, path: str, problems: Problems) -> None:
    _validate_mode(source.default_mode, f"{path}.defaultMode", problems)
    for index, part in enumerate(source.sources):
        where = f"{path}.sources[{index}]"
        if part.config_map is not None:
            if not part.config_map.name:
                problems.required(f"{where}.configMap.name")
            _validate_items(part.config_map.items, f"{where}.configMap.items", problems)
        if part.secret is not None:
            if not part.secret.name:
                problems.required(f"{where}.secret.name")
            _validate_items(part.secret.items, f"{where}.secret.items", problems)
        if part.downward_api is not None:
            _validate_downward(part.downward_api.items, f"{where}.downwardAPI.items", problems)
        if part.service_account_token is not None:
            token = part.service_account_token
            if token.expiration_seconds is not None and token.expiration_seconds < 600:
                problems.invalid(
                    f"{where}.serviceAccountToken.expirationSeconds",
                    token.expiration_seconds,
                    "may not specify a duration less than 10 minutes",
                )
            validate_local_path(token.path, f"{where}.serviceAccountToken.path", problems)


def validate_mounts(
    mounts: tuple[VolumeMount, ...], volumes: Mapping[str, Volume], path: str, problems: Problems
) -> None:
    """Check that every mount names a volume of the pod, and that no two take the same place."""
    places: set[str] = set()
    for index, mount in enumerate(mounts):
        where = f"{path}[{index}]"
        if not mount.name:
            problems.required(f"{where}.name")
        elif mount.name not in volumes:
            problems.not_found(f"{where}.name", mount.name)
        if not mount.mount_path:
            problems.required(f"{where}.mountPath")
        if mount.mount_path in places:
            problems.invalid(f"{where}.mountPath", mount.mount_path, "must be unique")
        places.add(mount.mount_path)
        if mount.sub_path and mount.sub_path_expr:
            problems.invalid(
                f"{where}.subPathExpr", mount.sub_path_expr, "subPathExpr and subPath are mutually exclusive"
            )
        validate_local_path(mount.sub_path, f"{where}.subPath", problems, empty=True)
        problems.one_of(
            f"{where}.mountPropagation", mount.mount_propagation, ("Bidirectional", "HostToContainer", "None")
        )


def validate_secret_name(name: str, path: str, problems: Problems) -> None:
    """Check a reference to a Secret."""
    if not name:
        problems.required(f"{path}.name")
    else:
        problems.each(f"{path}.name", name, check_subdomain(name))
