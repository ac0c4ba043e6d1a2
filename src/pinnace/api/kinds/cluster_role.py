"""The ClusterRole's row. Pure. Rules of an aggregated one are its controller's; nobody is kept from writing them."""

from pinnace.api.strategy import Strategy
from pinnace.api.validation.names import check_path_segment
from pinnace.api.validation.problems import Problems
from pinnace.api.validation.rbac import validate_aggregation, validate_rules
from pinnace.kube.kinds import CLUSTER_ROLE
from pinnace.kube.objects.rbac_v1 import ClusterRole


def _validate(role: ClusterRole, problems: Problems) -> None:
    validate_rules(role.rules, problems, namespaced=False)
    validate_aggregation(role.aggregation_rule, problems)


STRATEGY = Strategy(kind=CLUSTER_ROLE, name_rule=check_path_segment, validate=_validate)
