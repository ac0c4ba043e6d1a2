"""Checks an object's metadata when it is created and when it is changed.

Pure. Source: Kubernetes v1.36, apimachinery/pkg/api/validation/objectmeta.go.
"""

from collections.abc import Mapping

from pinnace.api.validation.names import (
    NameRule,
    as_prefix,
    check_label_name,
    check_label_value,
    check_qualified_name,
)
from pinnace.api.validation.problems import Problems, render_value
from pinnace.kube.objects.meta_v1 import ObjectMeta, OwnerReference

ANNOTATIONS_LIMIT_BYTES = 256 * 1024  # Source: same file, TotalAnnotationSizeLimitB
ORPHAN_FINALIZER = "orphan"
FOREGROUND_FINALIZER = "foregroundDeletion"


def validate_metadata(meta: ObjectMeta, *, namespaced: bool, name_rule: NameRule, problems: Problems) -> None:
    """Check the metadata of a new object."""
    path = "metadata"
    if meta.generate_name:
        problems.each(f"{path}.generateName", meta.generate_name, as_prefix(name_rule)(meta.generate_name))
    if not meta.name:
        problems.required(f"{path}.name", "name or generateName is required")
    else:
        problems.each(f"{path}.name", meta.name, name_rule(meta.name))
    if namespaced:
        if not meta.namespace:
            problems.required(f"{path}.namespace")
        else:
            problems.each(f"{path}.namespace", meta.namespace, check_label_name(meta.namespace))
    elif meta.namespace:
        problems.forbidden(f"{path}.namespace", "not allowed on this type")
    _validate_maps(meta, path, problems)


def validate_metadata_update(new: ObjectMeta, old: ObjectMeta, problems: Problems) -> None:
    """Check what a change did to the metadata."""
    path = "metadata"
    for field, now, before in (
        ("name", new.name, old.name),
        ("namespace", new.namespace, old.namespace),
        ("uid", new.uid, old.uid),
    ):
        if now != before:
            problems.immutable(f"{path}.{field}", now)
    if old.deletion_timestamp and new.finalizers != old.finalizers:
        added = sorted(set(new.finalizers) - set(old.finalizers))
        if added:
            shown = ", ".join(render_value(name) for name in added)
            problems.forbidden(
                f"{path}.finalizers",
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{"
                f"{shown}}}",
            )
    if (
        new.labels is not old.labels
        or new.annotations is not old.annotations
        or new.finalizers != old.finalizers
    ):
        _validate_maps(new, path, problems)


def validate_labels(labels: Mapping[str, str], path: str, problems: Problems) -> None:
    """Check keys and values of a map of labels."""
    for key, value in labels.items():
        problems.each(path, key, check_qualified_name(key))
        problems.each(path, value, check_label_value(value))


def _validate_maps(meta: ObjectMeta, path: str, problems: Problems) -> None:
    validate_labels(meta.labels, f"{path}.labels", problems)
    validate_annotations(meta.annotations, f"{path}.annotations", problems)
    if meta.owner_references:
        _validate_owners(meta.owner_references, f"{path}.ownerReferences", problems)
    if meta.finalizers:
        _validate_finalizers(meta.finalizers, f"{path}.finalizers", problems)


def validate_annotations(annotations: Mapping[str, str], path: str, problems: Problems) -> None:
    """Check keys, and the size of all together."""
    total = 0
    for key, value in annotations.items():
        problems.each(path, key, check_qualified_name(key.lower()))
        total += len(key) + len(value)
    if total > ANNOTATIONS_LIMIT_BYTES:
        problems.too_long(path, ANNOTATIONS_LIMIT_BYTES)


def _validate_owners(owners: tuple[OwnerReference, ...], path: str, problems: Problems) -> None:
    controllers: list[str] = []
    for owner in owners:
        for field, value in (
            ("apiVersion", owner.api_version),
            ("kind", owner.kind),
            ("name", owner.name),
            ("uid", owner.uid),
        ):
            if not value:
                problems.invalid(f"{path}.{field}", value, f"{_OWNER_WORDS[field]} must not be empty")
        if owner.controller:
            controllers.append(owner.name)
    if len(controllers) > 1:
        problems.invalid(
            path,
            owners,
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0]} and {controllers[1]}",
        )


_OWNER_WORDS = {"apiVersion": "version", "kind": "kind", "name": "name", "uid": "uid"}


def _validate_finalizers(finalizers: tuple[str, ...], path: str, problems: Problems) -> None:
    for name in finalizers:
        problems.each(path, name, check_qualified_name(name))
    if ORPHAN_FINALIZER in finalizers and FOREGROUND_FINALIZER in finalizers:
        problems.invalid(
            path, finalizers, f"finalizer {ORPHAN_FINALIZER} and {FOREGROUND_FINALIZER} cannot be both set"
        )
