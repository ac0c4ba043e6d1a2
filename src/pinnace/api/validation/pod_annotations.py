"""Checks the annotations of a pod that mean something, and that they don't contradict its spec. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidatePodSpecificAnnotations, ValidatePodSpecificAnnotationUpdates,
validateSeccompAnnotationsAndFields and validateAppArmorAnnotationsAndFieldsMatchOnCreate.
"""

import re
from collections.abc import Iterator

from pinnace.api.validation.paths import validate_local_path
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import AppArmorProfile, PodSpec, SeccompProfile
from pinnace.kube.objects.meta_v1 import ObjectMeta

_COST = "controller.kubernetes.io/pod-deletion-cost"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_MIRROR = "kubernetes.io/config.mirror"
_LOCAL = "localhost/"


def validate_pod_annotations(
    meta: ObjectMeta, spec: PodSpec, path: str, annotations_path: str, problems: Problems
) -> None:
    """Check all of them; `path` is what the spec stands in, "" for a pod itself."""
    annotations = meta.annotations
    if _MIRROR in annotations and not spec.node_name:
        words = "must set spec.nodeName if mirror pod annotation is set"
        problems.invalid(f"{annotations_path}[{_MIRROR}]", annotations[_MIRROR], words)
    cost = annotations.get(_COST)
    if cost is not None and not _is_cost(cost):
        problems.invalid(f"{annotations_path}[{_COST}]", cost, "must be a 32bit integer")
    for key, value in annotations.items():
        if key == _SECCOMP_POD or key.startswith(_SECCOMP):
            _validate_seccomp(value, f"{annotations_path}.{key}", problems)
    names = {name for name, _, _, _ in _profiles(spec, "")}
    for key, value in annotations.items():
        if not key.startswith(_APPARMOR):
            continue
        where, name = f"{annotations_path}[{key}]", key.removeprefix(_APPARMOR)
        if name not in names:
            problems.invalid(where, name, "container not found")
        if value not in ("", "runtime/default", "unconfined") and not value.startswith(_LOCAL):
            problems.invalid(where, value, f'invalid AppArmor profile name: "{value}"')
    _validate_agreement(meta, spec, f"{path}.spec" if path else "spec", problems)


def validate_annotation_update(new: ObjectMeta, old: ObjectMeta, problems: Problems) -> None:
    """Check that what a pod's node has read already stays."""
    now, before = new.annotations, old.annotations
    for key in before:
        if now.get(key) != before[key]:
            _refuse_change(key, "may not remove or update", problems)
    for key in now:
        if key not in before:
            _refuse_change(key, "may not add", problems)


def _refuse_change(key: str, words: str, problems: Problems) -> None:
    if key.startswith(_APPARMOR):
        problems.forbidden(f"metadata.annotations[{key}]", f"{words} AppArmor annotations")
    if key == _MIRROR:
        problems.forbidden(f"metadata.annotations[{key}]", f"{words} mirror pod annotation")


def _is_cost(text: str) -> bool:
    return bool(re.fullmatch("0|-?[1-9][0-9]{0,9}", text)) and -(2**31) <= int(text) < 2**31


def _validate_seccomp(value: str, path: str, problems: Problems) -> None:
    if value in ("runtime/default", "docker/default", "unconfined"):
        return
    if value.startswith(_LOCAL):
        validate_local_path(value.removeprefix(_LOCAL), path, problems)
    else:
        problems.invalid(path, value, "must be a valid seccomp profile")


def _profiles(
    spec: PodSpec, path: str
) -> Iterator[tuple[str, str, SeccompProfile | None, AppArmorProfile | None]]:
    """Yield each container's name, the path of its context, and its own profiles."""
    for wire, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(containers):
            own = container.security_context
            yield (
                container.name,
                f"{path}.{wire}[{index}].securityContext",
                None if own is None else own.seccomp_profile,
                None if own is None else own.app_armor_profile,
            )


def _validate_agreement(meta: ObjectMeta, spec: PodSpec, path: str, problems: Problems) -> None:
    pod = spec.security_context
    if pod is not None and pod.seccomp_profile is not None and _SECCOMP_POD in meta.annotations:
        where = f"{path}.securityContext.seccompProfile"
        _compare("seccomp", meta.annotations[_SECCOMP_POD], pod.seccomp_profile, where, problems)
    inherited = None if pod is None else pod.app_armor_profile
    for name, where, seccomp, apparmor in _profiles(spec, path):
        note = meta.annotations.get(_SECCOMP + name)
        if note is not None and seccomp is not None:
            _compare("seccomp", note, seccomp, f"{where}.seccompProfile", problems)
        note, profile = meta.annotations.get(_APPARMOR + name), apparmor or inherited
        if note is not None and profile is not None:
            _compare("apparmor", note, profile, f"{where}.appArmorProfile", problems)


def _compare(
    what: str, note: str, profile: SeccompProfile | AppArmorProfile, path: str, problems: Problems
) -> None:
    """Compare an annotation with the field that took its place."""
    words = f"{what} type in annotation and field must match"
    expected = {"Unconfined": ("unconfined",), "RuntimeDefault": ("runtime/default", "docker/default")}
    if profile.type in expected:
        if note not in expected[profile.type]:
            problems.forbidden(f"{path}.type", words)
    elif profile.type == "Localhost":
        if not note.startswith(_LOCAL):
            problems.forbidden(f"{path}.type", words)
        elif note.removeprefix(_LOCAL) != profile.localhost_profile:
            problems.forbidden(
                f"{path}.localhostProfile", f"{what} profile in annotation and field must match"
            )
