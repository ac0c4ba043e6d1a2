"""The DaemonSet's row. Pure.

Source: Kubernetes v1.36, pkg/apis/apps/v1/defaults.go and conversion.go, pkg/registry/apps/daemonset/strategy.go,
pkg/apis/apps/validation.
"""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from pinnace.api.defaults.pods import default_template
from pinnace.api.kinds.replicas import (
    NO_MATCH,
    read_selector,
    share_value,
    validate_collisions,
    validate_counts,
    validate_share,
    validate_share_most,
    validate_template,
)
from pinnace.api.strategy import Strategy, take_status, with_meta
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.selectors import is_empty_selector, validate_label_selector
from pinnace.api.validation.warnings import find_template_warnings
from pinnace.kube.kinds import DAEMON_SET
from pinnace.kube.objects.apps_v1 import (
    DaemonSet,
    DaemonSetStatus,
    DaemonSetUpdateStrategy,
    RollingUpdateDaemonSet,
)

HISTORY_LIMIT = 10
# How often the template was changed, for clients of old versions; the server counts.
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"

_COUNTS = (
    ("current_number_scheduled", "currentNumberScheduled"),
    ("number_misscheduled", "numberMisscheduled"),
    ("desired_number_scheduled", "desiredNumberScheduled"),
    ("number_ready", "numberReady"),
    ("observed_generation", "observedGeneration"),
    ("updated_number_scheduled", "updatedNumberScheduled"),
    ("number_available", "numberAvailable"),
    ("number_unavailable", "numberUnavailable"),
    ("collision_count", "collisionCount"),
)


def _default(daemon_set: DaemonSet) -> DaemonSet:
    spec = daemon_set.spec
    kept = spec.revision_history_limit
    return replace(
        daemon_set,
        spec=replace(
            spec,
            template=default_template(spec.template),
            update_strategy=_default_strategy(spec.update_strategy),
            revision_history_limit=HISTORY_LIMIT if kept is None else kept,
        ),
    )


def _default_strategy(strategy: DaemonSetUpdateStrategy) -> DaemonSetUpdateStrategy:
    kind = strategy.type or "RollingUpdate"
    if kind != "RollingUpdate":
        return strategy
    rolling = strategy.rolling_update or RollingUpdateDaemonSet()
    return DaemonSetUpdateStrategy(
        type=kind,
        rolling_update=RollingUpdateDaemonSet(
            max_surge=0 if rolling.max_surge is None else rolling.max_surge,
            max_unavailable=1 if rolling.max_unavailable is None else rolling.max_unavailable,
        ),
    )


def _prepare_create(daemon_set: DaemonSet) -> DaemonSet:
    return _count_templates(replace(daemon_set, status=DaemonSetStatus()), 1)


def _prepare_update(new: DaemonSet, old: DaemonSet) -> DaemonSet:
    count = _template_generation(old)
    if new.spec.template != old.spec.template:
        count += 1
    return _count_templates(replace(new, status=old.status), count)


def _template_generation(daemon_set: DaemonSet) -> int:
    text = daemon_set.metadata.annotations.get(TEMPLATE_GENERATION, "")
    return int(text) if text.isascii() and text.isdigit() else 1


def _count_templates(daemon_set: DaemonSet, count: int) -> DaemonSet:
    annotations = daemon_set.metadata.annotations
    if annotations.get(TEMPLATE_GENERATION) == str(count):
        return daemon_set
    return with_meta(daemon_set, annotations={**annotations, TEMPLATE_GENERATION: str(count)})


def _validate(daemon_set: DaemonSet, problems: Problems) -> None:
    spec = daemon_set.spec
    if spec.selector is not None:
        validate_label_selector(spec.selector, "spec.selector", problems)
    selector = read_selector(spec.selector)
    if selector is not None and not selector.matches(spec.template.metadata.labels):
        problems.invalid("spec.template.metadata.labels", spec.template.metadata.labels, NO_MATCH)
    if spec.selector is not None and is_empty_selector(spec.selector):
        problems.invalid("spec.selector", spec.selector, "empty selector is invalid for daemonset")
    validate_template(spec.template, "DaemonSet", problems)
    problems.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    _validate_strategy(spec.update_strategy, "spec.updateStrategy", problems)
    problems.not_negative("spec.revisionHistoryLimit", spec.revision_history_limit)


def _validate_strategy(strategy: DaemonSetUpdateStrategy, path: str, problems: Problems) -> None:
    if strategy.type == "OnDelete":
        return
    if strategy.type != "RollingUpdate":
        problems.not_supported(path, strategy, ("RollingUpdate", "OnDelete"))
        return
    rolling, path = strategy.rolling_update, f"{path}.rollingUpdate"
    if rolling is None:
        problems.required(path)
        return
    names = (("maxUnavailable", rolling.max_unavailable), ("maxSurge", rolling.max_surge))
    for name, share in names:
        validate_share(share, f"{path}.{name}", problems)
    for name, share in names:
        validate_share_most(share, f"{path}.{name}", problems)
    unavailable, surge = share_value(rolling.max_unavailable), share_value(rolling.max_surge)
    if unavailable and surge:
        words = "may not be set when maxUnavailable is non-zero"
        problems.invalid(f"{path}.maxSurge", rolling.max_surge, words)
    elif not unavailable and not surge:
        problems.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")


def _validate_update(new: DaemonSet, old: DaemonSet, problems: Problems) -> None:
    if new.spec.selector != old.spec.selector:
        problems.immutable("spec.selector", new.spec.selector)


def _validate_status(new: Any, old: Any, problems: Problems) -> None:
    validate_counts(new.status, _COUNTS, problems)
    validate_collisions(new, old, problems)


def _warn(daemon_set: DaemonSet) -> Iterator[str]:
    yield from find_template_warnings(daemon_set.spec.template, "spec.template")


STRATEGY = Strategy(
    kind=DAEMON_SET,
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=take_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_status=_validate_status,
    generation=True,
    warn=_warn,
)
