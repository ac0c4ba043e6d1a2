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


def _index(event: Event) -> Mapping[str, str]:
    about = event.involved_object
    return {"involvedObject.name": about.name, "involvedObject.uid": about.uid}


STRATEGY = Strategy(
    kind=EVENT,
    validate=_validate,
    index=_index,
    create_on_update=True,
)
