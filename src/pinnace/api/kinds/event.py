"""The Event's row: field selectors by the object it is about. Pure. Source: Kubernetes v1.36, pkg/registry/core/event."""

from collections.abc import Mapping

from pinnace.api.events import MESSAGE_MOST
from pinnace.api.strategy import Strategy
from pinnace.api.validation.names import check_qualified_name
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import EVENT
from pinnace.kube.objects.core_v1 import Event

_LONGEST = 128  # Source: pkg/apis/core/validation/events.go, ReportingInstanceLengthLimit and the other two


def _validate(event: Event, problems: Problems) -> None:
    involved = event.involved_object.namespace
    if not event.event_time:
        if involved != event.metadata.namespace and not (
            not involved and event.metadata.namespace == "default"
        ):
            problems.invalid("involvedObject.namespace", involved, "does not match event.namespace")
        return
    if not involved and event.metadata.namespace not in ("default", "kube-system"):
        problems.invalid("involvedObject.namespace", involved, "does not match event.namespace")
    controller = event.reporting_component
    if not controller:
        problems.required("reportingController")
    problems.each("reportingController", controller, check_qualified_name(controller))
    for field, value in (
        ("reportingInstance", event.reporting_instance),
        ("action", event.action),
        ("reason", event.reason),
    ):
        if not value:
            problems.required(field)
        elif len(value) > _LONGEST:
            problems.invalid(field, "", f"can have at most {_LONGEST} characters")
    if len(event.message) > MESSAGE_MOST:
        problems.invalid("message", "", f"can have at most {MESSAGE_MOST} characters")


def _index(event: Event) -> Mapping[str, str]:
    about = event.involved_object
    return {"involvedObject.name": about.name, "involvedObject.uid": about.uid}


STRATEGY = Strategy(
    kind=EVENT,
    validate=_validate,
    index=_index,
    create_on_update=True,
)
