"""Decides what a pod's volumes hold and where they are mounted, and writes them.

The plan is data (`VolumePlan`); `write_volumes` and `make_sub_path` are the doers here, called in a thread. Files of
ConfigMaps, Secrets and the downward API are written into a fresh folder that a link points to, so that a running
container sees all of an update or nothing of it (Kubernetes' AtomicWriter, pkg/volume/util/atomic_writer.go).
It must never touch anything outside the pod's own folder, except to make a hostPath that asks for it.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pinnace.base.errors import UserError
from pinnace.container import system
from pinnace.kube.objects.core_v1 import (
    ConfigMap,
    DownwardAPIVolumeFile,
    KeyToPath,
    Pod,
    Secret,
    ServiceAccountTokenProjection,
    Volume,
)
from pinnace.kube.quantity import to_bytes
from pinnace.node.environment import Lookups, MissingReference, NodeFacts, read_field, read_resource

DEFAULT_FILE_MODE = 0o644
_LINK = "..data"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume; `path` is relative to the volume's root, `owner` the user that it belongs to, if not root."""

    path: str
    data: bytes
    mode: int = DEFAULT_FILE_MODE
    owner: int | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """An emptyDir: a folder, or memory when `memory_bytes` is not None (0: half of the machine's)."""

    name: str
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """A volume made of files that the cluster's objects hold."""

    name: str
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class HostPath:
    """A path of the host; `type` is one of Kubernetes' hostPath types."""

    name: str
    path: str
    type: str = ""


VolumePlan = Directory | Files | HostPath


def plan_volume(volume: Volume, pod: Pod, *, pod_ip: str, node: NodeFacts, lookups: Lookups) -> VolumePlan:
    """Return what a volume of the pod is.

    Raises: MissingReference for a ConfigMap, Secret or key that isn't there; UserError for a type that isn't supported.
    """
    with _naming(volume.name):
        return _plan_volume(volume, pod, pod_ip, node, lookups)


@contextlib.contextmanager
def _naming(volume: str) -> Iterator[None]:
    """Say in errors which volume they are about, in the kubelet's words."""
    try:
        yield
    except UserError as error:
        raise type(error)(f'volume "{volume}" : {error.message}', error.hint) from error
    except OSError as error:
        raise UserError(f'volume "{volume}" : {error.filename or ""} {error.strerror}') from error


def _plan_volume(volume: Volume, pod: Pod, pod_ip: str, node: NodeFacts, lookups: Lookups) -> VolumePlan:
    if volume.empty_dir is not None:
        in_memory = volume.empty_dir.medium == "Memory"
        limit = to_bytes(volume.empty_dir.size_limit) if volume.empty_dir.size_limit else 0
        return Directory(volume.name, limit if in_memory else None)
    if volume.host_path is not None:
        return HostPath(volume.name, volume.host_path.path, volume.host_path.type or "")
    if volume.config_map is not None:
        source = volume.config_map
        mode = source.default_mode if source.default_mode is not None else DEFAULT_FILE_MODE
        return Files(
            volume.name, _config_map_files(source.name, source.items, source.optional, mode, lookups)
        )
    if volume.secret is not None:
        secret = volume.secret
        mode = secret.default_mode if secret.default_mode is not None else DEFAULT_FILE_MODE
        return Files(
            volume.name, _secret_files(secret.secret_name, secret.items, secret.optional, mode, lookups)
        )
    if volume.downward_api is not None:
        mode = volume.downward_api.default_mode or DEFAULT_FILE_MODE
        return Files(volume.name, _downward_files(volume.downward_api.items, mode, pod, pod_ip, node))
    if volume.projected is not None:
        mode = volume.projected.default_mode or DEFAULT_FILE_MODE
        files: list[File] = []
        for part in volume.projected.sources:
            if part.config_map is not None:
                files += _config_map_files(
                    part.config_map.name, part.config_map.items, part.config_map.optional, mode, lookups
                )
            if part.secret is not None:
                files += _secret_files(
                    part.secret.name, part.secret.items, part.secret.optional, mode, lookups
                )
            if part.downward_api is not None:
                files += _downward_files(part.downward_api.items, mode, pod, pod_ip, node)
            if part.service_account_token is not None:
                files.append(_token_file(part.service_account_token, mode, pod, lookups))
            if not any((part.config_map, part.secret, part.downward_api, part.service_account_token)):
                raise UserError(
                    "a projected source has a type that is not supported",
                    hint="supported: configMap, secret, downwardAPI, serviceAccountToken",
                )
        return Files(volume.name, tuple(files))
    raise UserError(
        f"volume {volume.name!r} has a type that is not supported",
        hint="supported: emptyDir, hostPath, configMap, secret, downwardAPI, projected",
    )


def _config_map_files(
    name: str, items: tuple[KeyToPath, ...], optional: bool | None, mode: int, lookups: Lookups
) -> tuple[File, ...]:
    found: ConfigMap | None = lookups.config_map(name)
    if found is None:
        if optional:
            return ()
        raise MissingReference(
            f'configmap "{name}" not found', hint=f"create it: kubectl create configmap {name} …"
        )
    values = {key: text.encode() for key, text in found.data.items()}
    values |= {key: base64.b64decode(text) for key, text in found.binary_data.items()}
    return _pick(values, items, optional, mode, f"configmap {name}")


def _secret_files(
    name: str, items: tuple[KeyToPath, ...], optional: bool | None, mode: int, lookups: Lookups
) -> tuple[File, ...]:
    found: Secret | None = lookups.secret(name)
    if found is None:
        if optional:
            return ()
        raise MissingReference(
            f'secret "{name}" not found', hint=f"create it: kubectl create secret generic {name} …"
        )
    values = {key: base64.b64decode(text) for key, text in found.data.items()}
    return _pick(values, items, optional, mode, f"secret {name}")


def _pick(
    values: Mapping[str, bytes], items: tuple[KeyToPath, ...], optional: bool | None, mode: int, where: str
) -> tuple[File, ...]:
    if not items:
        return tuple(File(key, data, mode) for key, data in sorted(values.items()))
    files = []
    for item in items:
        if item.key in values:
            files.append(File(item.path, values[item.key], mode if item.mode is None else item.mode))
        elif not optional:
            raise MissingReference(f"{where} has no key {item.key!r}")
    return tuple(files)


def _downward_files(
    items: tuple[DownwardAPIVolumeFile, ...], mode: int, pod: Pod, pod_ip: str, node: NodeFacts
) -> tuple[File, ...]:
    files = []
    for item in items:
        text = ""
        if item.field_ref is not None:
            text = read_field(item.field_ref, pod, pod_ip=pod_ip, node=node)
        elif item.resource_field_ref is not None:
            text = read_resource(
                item.resource_field_ref, pod, item.resource_field_ref.container_name, node=node
            )
        files.append(File(item.path, text.encode(), mode if item.mode is None else item.mode))
    return tuple(files)


def _token_file(projection: ServiceAccountTokenProjection, mode: int, pod: Pod, lookups: Lookups) -> File:
    """Return the file of a token: nobody else's where the pod says who its user or group is.

    Source: Kubernetes v1.36, pkg/volume/projected/projected.go, collectData.
    """
    if lookups.token is None:
        raise UserError("nobody here issues tokens of service accounts")
    user = find_only_user(pod)
    security = pod.spec.security_context
    private = user is not None or (security is not None and security.fs_group is not None)
    return File(projection.path, lookups.token(projection), 0o600 if private else mode, user)


def find_only_user(pod: Pod) -> int | None:
    """Return the user that all containers of a pod run as by its own word, None if there are several or it doesn't say.

    Source: Kubernetes v1.36, pkg/volume/util, FsUserFrom.
    """
    shared = pod.spec.security_context.run_as_user if pod.spec.security_context is not None else None
    users = set()
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        own = container.security_context.run_as_user if container.security_context is not None else None
        users.add(shared if own is None else own)
    return users.pop() if len(users) == 1 else None


def write_volumes(root: Path, plans: tuple[VolumePlan, ...], *, group: int | None = None) -> dict[str, Path]:
    """Make the volumes under `root` and return where each of them is.

    Existing ones are kept: an emptyDir keeps its contents and the mode that a container has given it, files are
    replaced at one stroke if they differ. Raises: UserError, naming the volume.
    """
    places = {}
    for plan in plans:
        with _naming(plan.name):
            places[plan.name] = _write_volume(root / plan.name, plan, group)
    return places


def make_sub_path(root: Path, path: Path) -> Path:
    """Return where a path in the volume `root` really is; a folder is made, with the volume's mode, if nothing is there.

    Raises: UserError when links in the volume, which a container may have made, lead out of it; OSError.
    Source: Kubernetes, pkg/volume/util/subpath (SafeMakeDir; CVE-2017-1002101).
    """
    real_root, real = root.resolve(), path.resolve()
    if not real.is_relative_to(real_root):
        raise UserError(f"subPath {path.relative_to(root)} leaves the volume through a link")
    mode = stat.S_IMODE(real_root.stat().st_mode)
    for folder in (*reversed(real.relative_to(real_root).parents), real.relative_to(real_root)):
        place = real_root / folder
        if not place.exists():
            place.mkdir()
            place.chmod(mode)
    return real


def _write_volume(place: Path, plan: VolumePlan, group: int | None) -> Path:
    match plan:
        case Directory():
            if not place.exists() or (plan.memory_bytes is not None and not place.is_mount()):
                _make_directory(place, plan, group)
            return place
        case Files():
            place.mkdir(parents=True, exist_ok=True)
            _write_files(place, plan.files, group)
            return place
        case HostPath():
            return _check_host_path(plan)


def _make_directory(place: Path, plan: Directory, group: int | None) -> None:
    place.mkdir(parents=True, exist_ok=True)
    if plan.memory_bytes is not None:
        system.mount(
            "tmpfs", str(place), "tmpfs", data=f"size={plan.memory_bytes}" if plan.memory_bytes else ""
        )
    if group is not None:
        os.chown(place, -1, group)
    place.chmod(0o2777 if group is not None else 0o777)  # after chown, which takes the bit away


def _write_files(place: Path, files: tuple[File, ...], group: int | None) -> None:
    if _holds(place, files):
        return
    link = place / _LINK
    old = os.readlink(link) if link.is_symlink() else None
    fresh = _fresh_directory(place)
    for file in files:
        target = fresh / file.path
        if ".." in Path(file.path).parts or Path(file.path).is_absolute():
            raise UserError(f"volume path {file.path!r} leaves its volume")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data)
        target.chmod(file.mode | (0o440 if group is not None else 0))
        if group is not None or file.owner is not None:
            owner = -1 if file.owner is None else file.owner
            os.chown(target, owner, -1 if group is None else group)
    fresh.chmod(0o755)
    new_link = place / "..data_tmp"
    new_link.unlink(missing_ok=True)
    new_link.symlink_to(fresh.name)
    new_link.rename(link)
    wanted = {Path(file.path).parts[0] for file in files}
    for name in wanted:
        if not (place / name).is_symlink():
            (place / name).symlink_to(f"{_LINK}/{name}")
    for entry in place.iterdir():
        if not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
    if old is not None:
        shutil.rmtree(place / old, ignore_errors=True)


def _fresh_directory(place: Path) -> Path:
    number = 0
    while True:
        fresh = place / f"..{number}"
        try:
            fresh.mkdir()
        except FileExistsError:
            number += 1
        else:
            return fresh


def _holds(place: Path, files: tuple[File, ...]) -> bool:
    if not (place / _LINK).is_symlink():
        return False
    present = {
        str(path.relative_to(place / _LINK)): path for path in (place / _LINK).rglob("*") if path.is_file()
    }
    return present.keys() == {file.path for file in files} and all(
        present[file.path].read_bytes() == file.data for file in files
    )


def _check_host_path(plan: HostPath) -> Path:
    path = Path(plan.path)
    match plan.type:
        case "DirectoryOrCreate":
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        case "FileOrCreate":
            if not path.exists():
                path.touch(mode=0o644)
        case "Directory" if not path.is_dir():
            raise UserError(f"hostPath type check failed: {plan.path} is not a directory")
        case "File" if not path.is_file():
            raise UserError(f"hostPath type check failed: {plan.path} is not a file")
        case "Socket" if not path.is_socket():
            raise UserError(f"hostPath type check failed: {plan.path} is not a socket file")
        case "CharDevice" if not path.is_char_device():
            raise UserError(f"hostPath type check failed: {plan.path} is not a character device")
        case "BlockDevice" if not path.is_block_device():
            raise UserError(f"hostPath type check failed: {plan.path} is not a block device")
        case "" if not path.exists():
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
    return path
