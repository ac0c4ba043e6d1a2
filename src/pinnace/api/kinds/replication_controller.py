"""The ReplicationController's row. Pure.

Source: Kubernetes v1.36, pkg/apis/core/v1/defaults.go, pkg/registry/core/replicationcontroller/strategy.go,
pkg/apis/core/validation, ValidateReplicationControllerSpec.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from pinnace.api.defaults.pods import default_template
from pinnace.api.kinds.replica_set import validate_replica_status
from pinnace.api.kinds.replicas import find_name_warnings, validate_match, validate_template
from pinnace.api.strategy import (
    Scaling,
    Strategy,
    drop_status,
    keep_status,
    take_status,
    with_meta,
    write_replicas,
)
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.warnings import find_template_warnings
from pinnace.kube.kinds import REPLICATION_CONTROLLER
from pinnace.kube.objects.core_v1 import PodTemplateSpec, ReplicationController
from pinnace.kube.selectors import selector_of_map


def _default(controller: ReplicationController) -> ReplicationController:
    """Fill in; a selector and labels that aren't there are the template's labels."""
    spec = controller.spec
    template = spec.template if spec.template == PodTemplateSpec() else default_template(spec.template)
    labels = template.metadata.labels
    filled = replace(
        controller,
        spec=replace(
            spec,
            template=template,
            selector=spec.selector or dict(labels),
            replicas=1 if spec.replicas is None else spec.replicas,
        ),
    )
    return with_meta(filled, labels=dict(labels)) if labels and not controller.metadata.labels else filled


def _validate(controller: ReplicationController, problems: Problems) -> None:
    spec = controller.spec
    problems.not_negative("spec.minReadySeconds", spec.min_ready_seconds)
    if not spec.selector:
        problems.required("spec.selector")
    problems.not_negative("spec.replicas", spec.replicas)
    if spec.template == PodTemplateSpec():
        problems.required("spec.template")
        return
    if spec.selector:
        validate_match(selector_of_map(spec.selector), spec.template, problems)
    validate_template(spec.template, "ReplicationController", problems)


def _warn(controller: ReplicationController) -> Iterator[str]:
    yield from find_name_warnings(controller.metadata)
    yield from find_template_warnings(controller.spec.template, "spec.template")


def _read_scale(controller: ReplicationController) -> tuple[int, int, str]:
    selector = str(selector_of_map(controller.spec.selector))
    return controller.spec.replicas or 0, controller.status.replicas, selector


STRATEGY = Strategy(
    kind=REPLICATION_CONTROLLER,
    default=_default,
    prepare_create=drop_status,
    prepare_update=keep_status,
    prepare_status=take_status,
    validate=_validate,
    validate_status=validate_replica_status,
    generation=True,
    orphans=True,
    warn=_warn,
    scaling=Scaling(read=_read_scale, write=write_replicas),
)
