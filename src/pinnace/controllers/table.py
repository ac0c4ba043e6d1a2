"""The table of controllers: one row each. The daemon and the simulator build their runner from it.

The next controller costs one file, one row here, one test, one page.
"""

from pinnace.api.access.tokens import Tokens
from pinnace.api.facade import Api
from pinnace.api.world import Usage
from pinnace.base.clock import Clock
from pinnace.controllers.access.account_tokens import AccountTokensController
from pinnace.controllers.access.aggregation import ClusterRoleAggregationController
from pinnace.controllers.definitions.controller import DefinitionController
from pinnace.controllers.deployment.controller import DeploymentController
from pinnace.controllers.disruption.controller import DisruptionController
from pinnace.controllers.disruption.stale import StaleDisruptionController
from pinnace.controllers.endpoints.controller import EndpointsController
from pinnace.controllers.events import EventExpiryController
from pinnace.controllers.garbage.controller import GarbageController
from pinnace.controllers.hpa.controller import HpaController
from pinnace.controllers.namespace.contents import NamespaceContentsController
from pinnace.controllers.namespace.controller import NamespaceController
from pinnace.controllers.nodes.health import NodeHealthController
from pinnace.controllers.nodes.podgc import PodGarbageController
from pinnace.controllers.protection.controller import (
    ClaimProtectionController,
    VolumeProtectionController,
)
from pinnace.controllers.quota.controller import QuotaController
from pinnace.controllers.replicaset.controller import ReplicaSetController
from pinnace.controllers.runner import Controller


def build_controllers(
    api: Api, clock: Clock, usage: Usage, *, ca_text: str, tokens: Tokens | None = None
) -> tuple[Controller, ...]:
    """Return all controllers. `ca_text`: the cluster's CA certificate as PEM, for `kube-root-ca.crt`.

    Without `tokens` (the simulator) no Secret is filled with one.
    """
    return (
        DeploymentController(api, clock),
        ReplicaSetController(api, clock),
        EndpointsController(api, clock),
        HpaController(api, clock, usage),
        NamespaceContentsController(api, ca_text),
        NamespaceController(api, clock),
        GarbageController(api),
        PodGarbageController(api, clock),
        NodeHealthController(api, clock),
        EventExpiryController(api),
        DefinitionController(api, clock),
        DisruptionController(api, clock),
        StaleDisruptionController(api, clock),
        QuotaController(api, clock),
        ClaimProtectionController(api),
        VolumeProtectionController(api),
        ClusterRoleAggregationController(api),
        *((AccountTokensController(api, tokens, ca_text),) if tokens is not None else ()),
    )
