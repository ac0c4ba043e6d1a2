"""Decides which ReplicaSet is a deployment's current one, what revision it has, and what a new one looks like.

Pure. Called by `rollout.py`. Invariant: the current set's revision is the greatest of all.
Source: Kubernetes v1.36, pkg/controller/deployment/util/deployment_util.go, SetNewReplicaSetAnnotations.
"""

from collections.abc import Iterable, Sequence

import msgspec

from pinnace.controllers.deployment.counts import (
    DESIRED_REPLICAS_ANNOTATION,
    MAX_REPLICAS_ANNOTATION,
    max_pods,
    replicas_of,
)
from pinnace.controllers.owners import controller_reference
from pinnace.kube.objects.apps_v1 import Deployment, ReplicaSet, ReplicaSetSpec
from pinnace.kube.objects.core_v1 import PodTemplateSpec
from pinnace.kube.objects.meta_v1 import LabelSelector, ObjectMeta

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
REVISION_HISTORY_MAX = 2000  # characters; Source: deployment_util.go, maxRevHistoryLengthInChars
NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS_ANNOTATION,
        MAX_REPLICAS_ANNOTATION,
        "deprecated.deployment.rollback.to",
    }
)
SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # Source: apimachinery/pkg/util/rand, SafeEncodeString

_ENCODER = msgspec.json.Encoder(order="deterministic")


def revision_of(one: ReplicaSet) -> int:
    """Return the set's revision, 0 when it has none."""
    try:
        return int(one.metadata.annotations.get(REVISION, "0"))
    except ValueError:
        return 0


def by_age(sets: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    """Return the sets, oldest first. Times have whole seconds, so the revision breaks ties before the name does."""
    return sorted(
        sets, key=lambda one: (one.metadata.creation_timestamp, revision_of(one), one.metadata.name)
    )


def find_current(deployment: Deployment, sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """Return the set whose template is the deployment's, the oldest if there are several."""
    wanted = _without_hash(deployment.spec.template)
    return next((one for one in by_age(sets) if _without_hash(one.spec.template) == wanted), None)


def _without_hash(template: PodTemplateSpec) -> PodTemplateSpec:
    labels = template.metadata.labels
    if HASH_LABEL not in labels:
        return template
    rest = {key: value for key, value in labels.items() if key != HASH_LABEL}
    return msgspec.structs.replace(template, metadata=msgspec.structs.replace(template.metadata, labels=rest))


def compute_template_hash(template: PodTemplateSpec, collision_count: int | None) -> str:
    """Return the value of the label pod-template-hash: FNV-1a of the template and the collision count, in safe letters.

    The number differs from Kubernetes' (which hashes Go's in-memory form); only its being stable and label-safe matters.
    """
    data = _ENCODER.encode(_without_hash(template))
    if collision_count is not None:
        data += collision_count.to_bytes(8, "little")
    return "".join(SAFE_ALPHABET[ord(digit) % len(SAFE_ALPHABET)] for digit in str(fnv1a_32(data)))


def fnv1a_32(data: bytes) -> int:
    """Return the 32-bit FNV-1a hash. Example: b"a" gives 0xe40c292c (the reference's table)."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def build_replica_set(deployment: Deployment, template_hash: str, revision: int, replicas: int) -> ReplicaSet:
    """Return the set to create for the deployment's present template."""
    spec = deployment.spec
    labels = {**spec.template.metadata.labels, HASH_LABEL: template_hash}
    selector = spec.selector or LabelSelector()
    one = ReplicaSet(
        api_version="apps/v1",
        kind="ReplicaSet",
        metadata=ObjectMeta(
            name=f"{deployment.metadata.name}-{template_hash}",
            namespace=deployment.metadata.namespace,
            labels=labels,
            owner_references=(controller_reference(deployment),),
        ),
        spec=ReplicaSetSpec(
            replicas=replicas,
            min_ready_seconds=spec.min_ready_seconds,
            selector=msgspec.structs.replace(
                selector, match_labels={**selector.match_labels, HASH_LABEL: template_hash}
            ),
            template=msgspec.structs.replace(
                spec.template, metadata=msgspec.structs.replace(spec.template.metadata, labels=labels)
            ),
        ),
    )
    return with_replicas(annotate(deployment, one, revision), deployment, replicas)


def annotate(deployment: Deployment, one: ReplicaSet, revision: int) -> ReplicaSet:
    """Return the current set with the deployment's annotations, and with `revision` if that is greater than its own.

    A set that gets a new revision had another one before: someone rolled back to it, and its history says so.
    """
    annotations = dict(one.metadata.annotations)
    annotations.update({k: v for k, v in deployment.metadata.annotations.items() if k not in NOT_COPIED})
    before = one.metadata.annotations.get(REVISION)
    if revision_of(one) < revision:
        annotations[REVISION] = str(revision)
        if before is not None:
            annotations[REVISION_HISTORY] = _extend_history(annotations.get(REVISION_HISTORY, ""), before)
    return _with_annotations(one, annotations)


def _extend_history(history: str, revision: str) -> str:
    kept = history.split(",") if history else []
    kept.append(revision)
    while len(kept) > 1 and len(",".join(kept)) > REVISION_HISTORY_MAX:
        kept.pop(0)
    return ",".join(kept)


def with_replicas(one: ReplicaSet, deployment: Deployment, replicas: int) -> ReplicaSet:
    """Return the set with another size, and with what the deployment's size was when this was decided."""
    annotations = {
        **one.metadata.annotations,
        DESIRED_REPLICAS_ANNOTATION: str(replicas_of(deployment)),
        MAX_REPLICAS_ANNOTATION: str(max_pods(deployment)),
    }
    sized = msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, replicas=replicas))
    return _with_annotations(sized, annotations)


def _with_annotations(one: ReplicaSet, annotations: dict[str, str]) -> ReplicaSet:
    return msgspec.structs.replace(
        one, metadata=msgspec.structs.replace(one.metadata, annotations=annotations)
    )
