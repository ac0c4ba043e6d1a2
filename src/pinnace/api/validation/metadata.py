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
_STANDARD_FINALIZERS = ("kubernetes", ORPHAN_FINALIZER, FOREGROUND_FINALIZER)


def validate_metadata(
    meta: ObjectMeta, *, namespaced: bool, name_rule: NameRule, problems: Problems, custom: bool = False
) -> None:
    """Check the metadata of a new object; a `custom` one may have finalizers without a domain."""
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
    _validate_maps(meta, path, problems, custom)


def validate_metadata_update(
    new: ObjectMeta, old: ObjectMeta, problems: Problems, *, custom: bool = False
) -> None:
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
        _validate_maps(new, path, problems, custom or new.finalizers == old.finalizers)


def validate_labels(labels: Mapping[str, str], path: str, problems: Problems) -> None:
    """Check keys and values of a map of labels."""
    for key, value in labels.items():
        problems.each(path, key, check_qualified_name(key))
        problems.each(path, value, check_label_value(value))


def _validate_maps(meta: ObjectMeta, path: str, problems: Problems, any_finalizer: bool) -> None:
    validate_labels(meta.labels, f"{path}.labels", problems)
    validate_annotations(meta.annotations, f"{path}.annotations", problems)
    if meta.owner_references:
        _validate_owners(meta.owner_references, f"{path}.ownerReferences", problems)
    if meta.finalizers:
        _validate_finalizers(meta.finalizers, f"{path}.finalizers", problems, any_finalizer)


def validate_annotations(annotations: Mapping[str, str], path: str, problems: Problems) -> None:
    """Check keys, and the size of all together."""
    total = 0
    for key, value in annotations.items():
        problems.each(path, key, check_qualified_name(key.lower()))
        total += len(key) + len(value)
    if total > ANNOTATIONS_LIMIT_BYTES:
        problems.too_long(path, ANNOTATIONS_LIMIT_BYTES)


def _validate_owners(owners: tuple[OwnerReference, ...], path: str, problems: Problems) -> None:
    first = ""
    for index, owner in enumerate(owners):
        where = f"{path}[{index}]"
        version = owner.api_version.rpartition("/")[2]
        if not owner.api_version:
            problems.required(f"{where}.apiVersion", "must not be empty")
        elif not version or owner.api_version.count("/") > 1:
            words = "must be <group>/<version> or <version>"
            problems.invalid(f"{where}.apiVersion", owner.api_version, words)
        for field, value in (("kind", owner.kind), ("name", owner.name), ("uid", owner.uid)):
            if not value:
                problems.required(f"{where}.{field}", "must not be empty")
        if (owner.api_version, owner.kind) == ("v1", "Event"):
            problems.invalid(where, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.controller:
            current = f"{owner.kind}/{owner.name}"
            if first:
                problems.invalid(
                    path,
                    owners,
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{first} and {current}",
                )
            first = first or current


def _validate_finalizers(
    finalizers: tuple[str, ...], path: str, problems: Problems, any_finalizer: bool
) -> None:
    for name in finalizers:
        problems.each(path, name, check_qualified_name(name))
    if ORPHAN_FINALIZER in finalizers and FOREGROUND_FINALIZER in finalizers:
        problems.invalid(
            path, finalizers, f"finalizer {ORPHAN_FINALIZER} and {FOREGROUND_FINALIZER} cannot be both set"
        )
    for index, name in enumerate(() if any_finalizer else finalizers):
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            words = "name is neither a standard finalizer name nor is it fully qualified"
            problems.invalid(f"{path}[{index}]", name, words)
