"""The plugins, in the order in which filters are asked: one row each.

Source: Kubernetes v1.36, pkg/scheduler/apis/config/v1/default_plugins.go (order and weights)
"""

from pinnace.scheduler.framework import NodePlugin, PodsPlugin
from pinnace.scheduler.plugins.balanced_allocation import BalancedAllocation
from pinnace.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from pinnace.scheduler.plugins.node_affinity import NodeAffinity
from pinnace.scheduler.plugins.node_name import NodeName
from pinnace.scheduler.plugins.node_ports import NodePorts
from pinnace.scheduler.plugins.node_unschedulable import NodeUnschedulable
from pinnace.scheduler.plugins.pod_topology_spread import PodTopologySpread
from pinnace.scheduler.plugins.resources_fit import NodeResourcesFit
from pinnace.scheduler.plugins.taint_toleration import TaintToleration

NODE_PLUGINS: tuple[NodePlugin, ...] = (
    NodeUnschedulable(),
    NodeName(),
    TaintToleration(),
    NodeAffinity(),
    NodePorts(),
    NodeResourcesFit(),
    BalancedAllocation(),
)

PODS_PLUGINS: tuple[PodsPlugin, ...] = (PodTopologySpread(), InterPodAffinity())
