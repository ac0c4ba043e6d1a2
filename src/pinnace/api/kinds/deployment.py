"""The Deployment's row. Pure. Source: Kubernetes v1.36, pkg/apis/apps/v1/defaults.go and pkg/apis/apps/validation."""

from msgspec.structs import replace

from pinnace.api.defaults.pods import default_template
from pinnace.api.kinds.replicas import validate_selector, validate_template
from pinnace.api.strategy import Scaling, Strategy
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.warnings import find_pod_warnings
from pinnace.kube.kinds import DEPLOYMENT
from pinnace.kube.objects.apps_v1 import (
    Deployment,
    DeploymentStatus,
    DeploymentStrategy,
    RollingUpdateDeployment,
)
from pinnace.kube.selectors import selector_of

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


def _prepare_create(deployment: Deployment) -> Deployment:
    return replace(deployment, status=DeploymentStatus())


def _prepare_update(new: Deployment, old: Deployment) -> Deployment:
    return replace(new, status=old.status)


def _prepare_status(new: Deployment, old: Deployment) -> Deployment:
    return replace(old, status=new.status)


def _validate(deployment: Deployment, problems: Problems) -> None:
    spec = deployment.spec
    problems.not_negative("spec.replicas", spec.replicas)
    validate_selector(spec.selector, spec.template, "deployment", problems)
    validate_template(spec.template, "Deployment", problems)
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
        problems.not_supported(f"{path}.type", strategy.type, ("Recreate", "RollingUpdate"))
        return
    rolling = strategy.rolling_update
    if rolling is None:
        problems.required(f"{path}.rollingUpdate", "this should be defaulted and never be nil")
        return
    unavailable = _validate_share(rolling.max_unavailable, f"{path}.rollingUpdate.maxUnavailable", problems)
    surge = _validate_share(rolling.max_surge, f"{path}.rollingUpdate.maxSurge", problems)
    if unavailable == 0 and surge == 0:
        problems.invalid(
            f"{path}.rollingUpdate.maxUnavailable",
            rolling.max_unavailable,
            "may not be 0 when `maxSurge` is 0",
        )
    if isinstance(rolling.max_unavailable, str) and unavailable is not None and unavailable > 100:
        problems.invalid(
            f"{path}.rollingUpdate.maxUnavailable", rolling.max_unavailable, "must not be greater than 100%"
        )


def _validate_share(share: int | str | None, path: str, problems: Problems) -> int | None:
    """Check a count or percentage; return its number, None when it has none."""
    if isinstance(share, str):
        digits = share.removesuffix("%")
        if share == digits or not digits.isdigit():
            problems.invalid(
                path,
                share,
                "a valid percent string must be a numeric value followed by an ending '%' (e.g. '1%',  or '93%', "
                "regex used for validation is '[0-9]+%')",
            )
            return None
        return int(digits)
    problems.not_negative(path, share)
    return share


def _validate_update(new: Deployment, old: Deployment, problems: Problems) -> None:
    if new.spec.selector != old.spec.selector:
        problems.immutable("spec.selector", new.spec.selector)


def _read_scale(deployment: Deployment) -> tuple[int, int, str]:
    selector = str(selector_of(deployment.spec.selector))
    return deployment.spec.replicas or 0, deployment.status.replicas or 0, selector


def _write_scale(deployment: Deployment, replicas: int) -> Deployment:
    return replace(deployment, spec=replace(deployment.spec, replicas=replicas))


STRATEGY = Strategy(
    kind=DEPLOYMENT,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    generation=True,
    warn=lambda deployment: find_pod_warnings(deployment.spec.template.spec, "spec.template.spec"),
    scaling=Scaling(read=_read_scale, write=_write_scale),
)
