"""Checks where a container gets its volumes: as folders, or as devices. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateVolumeMounts and ValidateVolumeDevices.
"""

from collections.abc import Mapping

from pinnace.api.validation.paths import has_backsteps, validate_local_path
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import Container, Volume, VolumeDevice, VolumeMount

_PROPAGATION = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")


def validate_mounts(
    container: Container, volumes: Mapping[str, Volume], path: str, problems: Problems
) -> None:
    """Check that every mount names a volume of the pod, and that no two take the same place; `path` is the container's."""
    where = f"{path}.volumeMounts"
    devices = {device.name: device.device_path for device in container.volume_devices}
    places: set[str] = set()
    for index, mount in enumerate(container.volume_mounts):
        at = f"{where}[{index}]"
        if not mount.name:
            problems.required(f"{at}.name")
        if mount.name not in volumes:
            problems.not_found(f"{at}.name", mount.name)
        if not mount.mount_path:
            problems.required(f"{at}.mountPath")
        if mount.mount_path in places:
            problems.invalid(f"{at}.mountPath", mount.mount_path, "must be unique")
        places.add(mount.mount_path)
        if mount.name in devices:
            problems.invalid(f"{at}.name", mount.name, "must not already exist in volumeDevices")
        if mount.mount_path in devices.values():
            words = "must not already exist as a path in volumeDevices"
            problems.invalid(f"{at}.mountPath", mount.mount_path, words)
        if mount.sub_path:
            validate_local_path(mount.sub_path, f"{where}.subPath", problems)
        if mount.sub_path_expr:
            if mount.sub_path:
                words = "subPathExpr and subPath are mutually exclusive"
                problems.invalid(f"{at}.subPathExpr", mount.sub_path_expr, words)
            validate_local_path(mount.sub_path_expr, f"{where}.subPathExpr", problems)
        if mount.mount_propagation:
            _validate_propagation(mount, container, f"{where}.mountPropagation", problems)
        if mount.recursive_read_only:
            _validate_recursive(mount, f"{where}.recursiveReadOnly", problems)


def _validate_propagation(mount: VolumeMount, container: Container, path: str, problems: Problems) -> None:
    if mount.mount_propagation not in _PROPAGATION:
        problems.not_supported(path, mount.mount_propagation, _PROPAGATION)
    security = container.security_context
    if mount.mount_propagation == "Bidirectional" and not (security is not None and security.privileged):
        words = "Bidirectional mount propagation is available only to privileged containers"
        problems.forbidden(path, words)


def _validate_recursive(mount: VolumeMount, path: str, problems: Problems) -> None:
    if mount.recursive_read_only not in _RECURSIVE:
        problems.not_supported(path, mount.recursive_read_only, _RECURSIVE)
    elif mount.recursive_read_only != "Disabled":
        if not mount.read_only:
            problems.forbidden(path, "may only be specified when readOnly is true")
        if mount.mount_propagation not in ("", "None"):
            words = "may only be specified when mountPropagation is None or not specified"
            problems.forbidden(path, words)


def validate_devices(
    container: Container, volumes: Mapping[str, Volume], path: str, problems: Problems
) -> None:
    """Check the block devices; `path` is the container's."""
    mounts = {mount.name: mount.mount_path for mount in container.volume_mounts}
    paths: set[str] = set()
    names: set[str] = set()
    for index, device in enumerate(container.volume_devices):
        at = f"{path}.volumeDevices[{index}]"
        _validate_device_name(device, volumes.get(device.name), names, at, problems)
        if not device.device_path:
            problems.required(f"{at}.devicePath")
        if device.device_path in paths:
            problems.invalid(f"{at}.devicePath", device.device_path, "must be unique")
        if has_backsteps(device.device_path):
            problems.invalid(f"{at}.devicePath", device.device_path, "can not contain backsteps ('..')")
        else:
            paths.add(device.device_path)
        if device.name in mounts:
            problems.invalid(f"{at}.name", device.name, "must not already exist in volumeMounts")
        if device.device_path in mounts.values():
            words = "must not already exist as a path in volumeMounts"
            problems.invalid(f"{at}.devicePath", device.device_path, words)


def _validate_device_name(
    device: VolumeDevice, volume: Volume | None, names: set[str], path: str, problems: Problems
) -> None:
    if not device.name:
        problems.required(f"{path}.name")
    if device.name in names:
        problems.invalid(f"{path}.name", device.name, "must be unique")
    if volume is None:
        problems.not_found(f"{path}.name", device.name)
    elif volume.persistent_volume_claim is None and volume.ephemeral is None:
        words = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
        problems.invalid(f"{path}.name", device.name, words)
    if device.name:
        names.add(device.name)
