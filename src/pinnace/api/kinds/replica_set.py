"""The ReplicaSet's row. Pure. Source: Kubernetes v1.36, pkg/apis/apps/v1/defaults.go and pkg/apis/apps/validation."""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from pinnace.api.defaults.pods import default_template
from pinnace.api.kinds.replicas import (
    find_name_warnings,
    validate_available,
    validate_counts,
    validate_most,
    validate_selector,
    validate_template,
)
from pinnace.api.strategy import (
    Scaling,
    Strategy,
    drop_status,
    keep_status,
    read_replicas,
    take_status,
    write_replicas,
)
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.warnings import find_template_warnings
from pinnace.kube.kinds import REPLICA_SET
from pinnace.kube.objects.apps_v1 import ReplicaSet


def _default(replica_set: ReplicaSet) -> ReplicaSet:
    spec = replica_set.spec
    template = default_template(spec.template)
    replicas = 1 if spec.replicas is None else spec.replicas
    if template is spec.template and replicas == spec.replicas:
        return replica_set
    return replace(replica_set, spec=replace(spec, replicas=replicas, template=template))


def _validate(replica_set: ReplicaSet, problems: Problems) -> None:
    spec = replica_set.spec
    problems.not_negative("spec.replicas", spec.replicas)
    problems.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    validate_selector(spec.selector, spec.template, problems)
    validate_template(spec.template, "ReplicaSet", problems)


def _validate_update(new: ReplicaSet, old: ReplicaSet, problems: Problems) -> None:
    if new.spec.selector != old.spec.selector:
        problems.immutable("spec.selector", new.spec.selector)


_COUNTS = (
    ("replicas", "replicas"),
    ("fully_labeled_replicas", "fullyLabeledReplicas"),
    ("ready_replicas", "readyReplicas"),
    ("available_replicas", "availableReplicas"),
    ("observed_generation", "observedGeneration"),
)
_WITHIN = _COUNTS[1:4]


def validate_replica_status(new: Any, old: Any, problems: Problems) -> None:
    """Check the status of a ReplicaSet, or of a ReplicationController."""
    validate_counts(new.status, _COUNTS, problems)
    validate_most(new.status, _WITHIN, problems)
    validate_available(new.status, problems)


def _warn(replica_set: ReplicaSet) -> Iterator[str]:
    yield from find_name_warnings(replica_set.metadata)
    yield from find_template_warnings(replica_set.spec.template, "spec.template")


STRATEGY = Strategy(
    kind=REPLICA_SET,
    default=_default,
    prepare_create=drop_status,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=validate_replica_status,
    generation=True,
    warn=_warn,
    scaling=Scaling(read=read_replicas, write=write_replicas),
)
