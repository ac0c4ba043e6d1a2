"""The Deployment's row. Pure. Source: Kubernetes v1.36, pkg/apis/apps/v1/defaults.go and pkg/apis/apps/validation."""

from collections.abc import Iterator

from msgspec.structs import replace

from pinnace.api.defaults.pods import default_template
from pinnace.api.kinds.replicas import (
    find_name_warnings,
    share_value,
    validate_available,
    validate_collisions,
    validate_counts,
    validate_most,
    validate_selector,
    validate_share,
    validate_share_most,
    validate_template,
)
from pinnace.api.strategy import Scaling, Strategy, drop_status, keep_status, read_replicas, write_replicas
from pinnace.api.validation.metadata import validate_metadata_update
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.warnings import find_template_warnings
from pinnace.kube.kinds import DEPLOYMENT
from pinnace.kube.objects.apps_v1 import (
    Deployment,
    DeploymentStrategy,
    RollingUpdateDeployment,
)

DEFAULT_SHARE = "25%"
HISTORY_LIMIT = 10
PROGRESS_DEADLINE_S = 600


def _default(deployment: Deployment) -> Deployment:
    spec = deployment.spec
    return replace(
        deployment,
        spec=replace(
            spec,
            replicas=1 if spec.replicas is None else spec.replicas,
            revision_history_limit=HISTORY_LIMIT
            if spec.revision_history_limit is None
            else spec.revision_history_limit,
            progress_deadline_seconds=PROGRESS_DEADLINE_S
            if spec.progress_deadline_seconds is None
            else spec.progress_deadline_seconds,
            strategy=_default_strategy(spec.strategy),
            template=default_template(spec.template),
        ),
    )


def _default_strategy(strategy: DeploymentStrategy) -> DeploymentStrategy:
    kind = strategy.type or "RollingUpdate"
    if kind != "RollingUpdate":
        return strategy
    rolling = strategy.rolling_update or RollingUpdateDeployment()
    return DeploymentStrategy(
        type=kind,
        rolling_update=RollingUpdateDeployment(
            max_surge=DEFAULT_SHARE if rolling.max_surge is None else rolling.max_surge,
            max_unavailable=DEFAULT_SHARE if rolling.max_unavailable is None else rolling.max_unavailable,
        ),
    )


def _prepare_status(new: Deployment, old: Deployment) -> Deployment:
    """A status write keeps its annotations: so the controller notes revisions without counting a generation."""
    if new.metadata.annotations == old.metadata.annotations:
        return replace(old, status=new.status)
    metadata = replace(old.metadata, annotations=new.metadata.annotations)
    return replace(old, status=new.status, metadata=metadata)


def _validate(deployment: Deployment, problems: Problems) -> None:
    spec = deployment.spec
    problems.not_negative("spec.replicas", spec.replicas)
    validate_selector(spec.selector, spec.template, problems)
    validate_template(spec.template, "ReplicaSet", problems)
    _validate_strategy(spec.strategy, problems)
    problems.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    problems.not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)
    problems.not_negative("spec.progressDeadlineSeconds", spec.progress_deadline_seconds)
    deadline = spec.progress_deadline_seconds
    if deadline is not None and deadline <= (spec.min_ready_seconds or 0):
        problems.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _validate_strategy(strategy: DeploymentStrategy, problems: Problems) -> None:
    path = "spec.strategy"
    if strategy.type == "Recreate":
        if strategy.rolling_update is not None:
            problems.forbidden(
                f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"
            )
        return
    if strategy.type != "RollingUpdate":
        problems.not_supported(path, strategy, ("Recreate", "RollingUpdate"))
        return
    rolling = strategy.rolling_update
    if rolling is None:
        problems.required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
        return
    where = f"{path}.rollingUpdate"
    validate_share(rolling.max_unavailable, f"{where}.maxUnavailable", problems)
    validate_share(rolling.max_surge, f"{where}.maxSurge", problems)
    if share_value(rolling.max_unavailable) == 0 and share_value(rolling.max_surge) == 0:
        problems.invalid(
            f"{where}.maxUnavailable", rolling.max_unavailable, "may not be 0 when `maxSurge` is 0"
        )
    validate_share_most(rolling.max_unavailable, f"{where}.maxUnavailable", problems)


def _validate_update(new: Deployment, old: Deployment, problems: Problems) -> None:
    if new.spec.selector != old.spec.selector:
        problems.immutable("spec.selector", new.spec.selector)


_COUNTS = (
    ("observed_generation", "observedGeneration"),
    ("replicas", "replicas"),
    ("updated_replicas", "updatedReplicas"),
    ("ready_replicas", "readyReplicas"),
    ("available_replicas", "availableReplicas"),
    ("unavailable_replicas", "unavailableReplicas"),
    ("collision_count", "collisionCount"),
)
_WITHIN = (
    ("updated_replicas", "updatedReplicas"),
    ("ready_replicas", "readyReplicas"),
    ("available_replicas", "availableReplicas"),
)


def _validate_status(new: Deployment, old: Deployment, problems: Problems) -> None:
    validate_metadata_update(new.metadata, old.metadata, problems)
    validate_counts(new.status, _COUNTS, problems)
    validate_most(new.status, _WITHIN, problems)
    validate_available(new.status, problems)
    validate_collisions(new, old, problems)


def _warn(deployment: Deployment) -> Iterator[str]:
    yield from find_name_warnings(deployment.metadata)
    yield from find_template_warnings(deployment.spec.template, "spec.template")


STRATEGY = Strategy(
    kind=DEPLOYMENT,
    default=_default,
    prepare_create=drop_status,
    prepare_update=keep_status,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    generation=True,
    counts_annotations=True,
    warn=_warn,
    scaling=Scaling(read=read_replicas, write=write_replicas),
)
