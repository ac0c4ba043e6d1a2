"""The ControllerRevision's row: a state that a controller keeps, and that never changes. Pure.

Source: Kubernetes v1.36, pkg/apis/apps/validation, ValidateControllerRevision.
"""

from pinnace.api.strategy import Strategy
from pinnace.api.validation.problems import Problems
from pinnace.kube.kinds import CONTROLLER_REVISION
from pinnace.kube.objects.apps_v1 import ControllerRevision


def _validate(revision: ControllerRevision, problems: Problems) -> None:
    if not revision.data:
        problems.required("data", "data is mandatory")
    problems.not_negative("revision", revision.revision)


def _validate_update(new: ControllerRevision, old: ControllerRevision, problems: Problems) -> None:
    if new.data != old.data:
        problems.immutable("data", new.data)


STRATEGY = Strategy(kind=CONTROLLER_REVISION, validate=_validate, validate_update=_validate_update)
