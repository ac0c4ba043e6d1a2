"""The StatefulSet's row. Pure.

Source: Kubernetes v1.36, pkg/apis/apps/v1/defaults.go, pkg/registry/apps/statefulset/strategy.go, pkg/apis/apps/validation.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from pinnace.api.defaults.claims import default_claim
from pinnace.api.defaults.pods import default_template
from pinnace.api.kinds.replicas import (
    share_value,
    validate_available,
    validate_collisions,
    validate_counts,
    validate_endless,
    validate_most,
    validate_selector,
    validate_share,
    validate_share_most,
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
from pinnace.api.validation.names import check_label_name
from pinnace.api.validation.pods import validate_pod_template
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.warnings import find_template_warnings
from pinnace.kube.kinds import STATEFUL_SET
from pinnace.kube.objects.apps_v1 import (
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetUpdateStrategy,
)
from pinnace.kube.objects.core_v1 import PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume

HISTORY_LIMIT = 10
_MANAGEMENT = ("OrderedReady", "Parallel")
_RETENTION = ("Retain", "Delete")
_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_COUNTS = (
    ("replicas", "replicas"),
    ("ready_replicas", "readyReplicas"),
    ("current_replicas", "currentReplicas"),
    ("updated_replicas", "updatedReplicas"),
    ("available_replicas", "availableReplicas"),
    ("observed_generation", "observedGeneration"),
    ("collision_count", "collisionCount"),
)
_WITHIN = _COUNTS[1:5]


def _default(stateful_set: StatefulSet) -> StatefulSet:
    spec = stateful_set.spec
    kept = spec.persistent_volume_claim_retention_policy or StatefulSetPersistentVolumeClaimRetentionPolicy()
    limit = spec.revision_history_limit
    return replace(
        stateful_set,
        spec=replace(
            spec,
            pod_management_policy=spec.pod_management_policy or "OrderedReady",
            update_strategy=_default_strategy(spec.update_strategy),
            persistent_volume_claim_retention_policy=replace(
                kept,
                when_deleted=kept.when_deleted or "Retain",
                when_scaled=kept.when_scaled or "Retain",
            ),
            replicas=1 if spec.replicas is None else spec.replicas,
            revision_history_limit=HISTORY_LIMIT if limit is None else limit,
            template=default_template(spec.template),
            volume_claim_templates=tuple(map(default_claim, spec.volume_claim_templates)),
        ),
    )


def _default_strategy(strategy: StatefulSetUpdateStrategy) -> StatefulSetUpdateStrategy:
    kind, rolling = strategy.type or "RollingUpdate", strategy.rolling_update
    if rolling is None and not strategy.type:
        rolling = RollingUpdateStatefulSetStrategy()
    if rolling is not None and kind == "RollingUpdate" and rolling.partition is None:
        rolling = replace(rolling, partition=0)
    return StatefulSetUpdateStrategy(type=kind, rolling_update=rolling)


def _validate(stateful_set: StatefulSet, problems: Problems) -> None:
    spec = stateful_set.spec
    if spec.pod_management_policy not in _MANAGEMENT:
        words = "must be 'OrderedReady' or 'Parallel'"
        problems.invalid("spec.podManagementPolicy", spec.pod_management_policy, words)
    _validate_strategy(spec.update_strategy, "spec.updateStrategy", problems)
    kept = spec.persistent_volume_claim_retention_policy
    if kept is not None:
        for name, policy in (("whenDeleted", kept.when_deleted), ("whenScaled", kept.when_scaled)):
            if policy not in _RETENTION:
                path = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
                problems.not_supported(path, policy, _RETENTION)
    problems.not_negative("spec.replicas", spec.replicas)
    problems.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    if spec.ordinals is not None:
        problems.not_negative("spec.ordinals.start", spec.ordinals.start)
    if spec.service_name:
        problems.each("spec.serviceName", spec.service_name, check_label_name(spec.service_name))
    validate_selector(spec.selector, spec.template, problems, kind="statefulset", unreadable="")
    _validate_claims(spec, problems)
    validate_pod_template(_with_claims(spec), "spec.template", problems)
    validate_endless(spec.template, "StatefulSet", problems)


def _validate_strategy(strategy: StatefulSetUpdateStrategy, path: str, problems: Problems) -> None:
    rolling = strategy.rolling_update
    if strategy.type == "OnDelete":
        if rolling is not None:
            words = "only allowed for updateStrategy 'RollingUpdate'"
            problems.invalid(f"{path}.rollingUpdate", rolling, words)
    elif strategy.type != "RollingUpdate":
        problems.invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")
    elif rolling is not None:
        problems.not_negative(f"{path}.rollingUpdate.partition", rolling.partition)
        share, where = rolling.max_unavailable, f"{path}.rollingUpdate.maxUnavailable"
        if share is not None:
            validate_share(share, where, problems)
            if share_value(share) == 0:
                problems.invalid(where, share, "cannot be 0")
            validate_share_most(share, where, problems)


def _validate_claims(spec: StatefulSetSpec, problems: Problems) -> None:
    """Check that each claim can be a pod's volume by its name."""
    names: set[str] = set()
    for index, claim in enumerate(spec.volume_claim_templates):
        path = f"spec.volumeClaimTemplates[{index}].metadata.name"
        name = claim.metadata.name
        if not name:
            problems.required(path)
        else:
            problems.each(path, name, check_label_name(name))
        if name in names:
            problems.duplicate(path, name)
        names.add(name)


def _with_claims(spec: StatefulSetSpec) -> PodTemplateSpec:
    """Return the template as its pods get it: with a volume for each claim."""
    pod = spec.template.spec
    present = {volume.name for volume in pod.volumes}
    names = {claim.metadata.name for claim in spec.volume_claim_templates if claim.metadata.name} - present
    if not names:
        return spec.template
    added = tuple(
        Volume(name=name, persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=name))
        for name in sorted(names)
        if not check_label_name(name)
    )
    return replace(spec.template, spec=replace(pod, volumes=(*pod.volumes, *added)))


def _validate_update(new: StatefulSet, old: StatefulSet, problems: Problems) -> None:
    before = old.spec
    fixed = replace(
        new.spec,
        replicas=before.replicas,
        ordinals=before.ordinals,
        template=before.template,
        update_strategy=before.update_strategy,
        revision_history_limit=before.revision_history_limit,
        persistent_volume_claim_retention_policy=before.persistent_volume_claim_retention_policy,
        min_ready_seconds=before.min_ready_seconds,
    )
    if fixed != before:
        problems.forbidden("spec", _FIXED)


def _validate_status(new: StatefulSet, old: StatefulSet, problems: Problems) -> None:
    validate_counts(new.status, _COUNTS, problems)
    validate_most(new.status, _WITHIN, problems)
    validate_available(new.status, problems, "cannot be greater than status.readyReplicas")
    validate_collisions(new, old, problems)


def _warn(stateful_set: StatefulSet) -> Iterator[str]:
    spec = stateful_set.spec
    yield from find_template_warnings(spec.template, "spec.template")
    if (spec.revision_history_limit or 0) < 0:
        yield (
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; "
            "a value >= 0 is recommended"
        )


STRATEGY = Strategy(
    kind=STATEFUL_SET,
    name_rule=check_label_name,
    default=_default,
    prepare_create=drop_status,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    generation=True,
    warn=_warn,
    scaling=Scaling(read=read_replicas, write=write_replicas),
)
