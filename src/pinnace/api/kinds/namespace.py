"""The Namespace's row: it ends only when `spec.finalizers` is empty. Pure.

Source: Kubernetes v1.36, pkg/registry/core/namespace/strategy.go and storage.
"""

from msgspec.structs import replace

from pinnace.api.strategy import Strategy, take_status, with_meta
from pinnace.api.validation.names import check_label_name, check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import NAMESPACE
from pinnace.kube.objects.core_v1 import Namespace, NamespaceStatus

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"


def _default(namespace: Namespace) -> Namespace:
    name = namespace.metadata.name
    if not name or namespace.metadata.labels.get(NAME_LABEL) == name:
        return namespace
    return with_meta(namespace, labels={**namespace.metadata.labels, NAME_LABEL: name})


def _prepare_create(namespace: Namespace) -> Namespace:
    finalizers = namespace.spec.finalizers
    if FINALIZER not in finalizers:
        finalizers = (*finalizers, FINALIZER)
    return replace(
        namespace, spec=replace(namespace.spec, finalizers=finalizers), status=NamespaceStatus(phase="Active")
    )


def _prepare_update(new: Namespace, old: Namespace) -> Namespace:
    return replace(new, spec=replace(new.spec, finalizers=old.spec.finalizers), status=old.status)


def prepare_finalize(new: Namespace, old: Namespace) -> Namespace:
    """Take over `spec.finalizers` and nothing else."""
    return replace(old, spec=replace(old.spec, finalizers=new.spec.finalizers))


def _validate(namespace: Namespace, problems: Problems) -> None:
    for index, name in enumerate(namespace.spec.finalizers):
        problems.each(f"spec.finalizers[{index}]", name, check_qualified_name(name))


def _validate_status(new: Namespace, old: Namespace, problems: Problems) -> None:
    expected = "Terminating" if old.metadata.deletion_timestamp else "Active"
    if new.status.phase != expected:
        why = "is not empty" if expected == "Terminating" else "is empty"
        problems.invalid(
            "status.Phase", new.status.phase, f"may only be '{expected}' if `deletionTimestamp` {why}"
        )


def _begin_deletion(namespace: Namespace) -> Namespace:
    return replace(namespace, status=replace(namespace.status, phase="Terminating"))


STRATEGY = Strategy(
    kind=NAMESPACE,
    name_rule=check_label_name,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=take_status,
    validate=_validate,
    validate_status=_validate_status,
    may_go=lambda namespace: not namespace.spec.finalizers,
    begin_deletion=_begin_deletion,
)
