"""The Event's row: field selectors by the object it is about. Pure. Source: Kubernetes v1.36, pkg/registry/core/event."""

from collections.abc import Mapping

from pinnace.api.strategy import Strategy
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import EVENT
from pinnace.kube.objects.core_v1 import Event


def _validate(event: Event, problems: Problems) -> None:
    involved = event.involved_object.namespace
    if involved != event.metadata.namespace and not (not involved and event.metadata.namespace == "default"):
        problems.invalid("involvedObject.namespace", involved, "does not match event.namespace")


def _select(event: Event) -> Mapping[str, str]:
    about = event.involved_object
    return {
        "involvedObject.kind": about.kind,
        "involvedObject.namespace": about.namespace,
        "involvedObject.name": about.name,
        "involvedObject.uid": about.uid,
        "involvedObject.apiVersion": about.api_version,
        "involvedObject.resourceVersion": about.resource_version,
        "involvedObject.fieldPath": about.field_path,
        "reason": event.reason,
        "reportingComponent": event.reporting_component,
        "source": event.source.component or event.reporting_component,
        "type": event.type,
    }


STRATEGY = Strategy(
    kind=EVENT,
    validate=_validate,
    select=_select,
    indexed=("involvedObject.name", "involvedObject.uid"),
    create_on_update=True,
)
