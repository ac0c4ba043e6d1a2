"""The Role's row. Pure."""

from pinnace.api.strategy import Strategy
from pinnace.api.validation.names import check_path_segment
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.rbac import validate_rules
from pinnace.kube.kinds import ROLE
from pinnace.kube.objects.rbac_v1 import Role


def _validate(role: Role, problems: Problems) -> None:
    validate_rules(role.rules, problems, namespaced=True)


STRATEGY = Strategy(kind=ROLE, name_rule=check_path_segment, validate=_validate)
