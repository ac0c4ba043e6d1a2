"""Keeps pods off nodes where a host port they take is taken. Source: Kubernetes v1.36, plugins/nodeports"""

from pinnace.scheduler.facts import HostPort, NodeFacts, PodFacts
from pinnace.scheduler.framework import NodePlugin, Rejection

EVERY_ADDRESS = "0.0.0.0"


class NodePorts(NodePlugin):
    name = "NodePorts"
    reads_pods = True
    _no = Rejection(name, ("node(s) didn't have free ports for the requested pod ports",), resolvable=True)

    def concerns(self, pod: PodFacts) -> bool:
        return bool(pod.host_ports)

    def filter(self, pod: PodFacts, node: NodeFacts) -> Rejection | None:
        if any(_collide(wanted, taken) for wanted in pod.host_ports for taken in node.host_ports):
            return self._no
        return None


def _collide(one: HostPort, other: HostPort) -> bool:
    """Say whether two pods can't both have their ports: same number and protocol, on an address that both take."""
    if one.port != other.port or one.protocol != other.protocol:
        return False
    return one.ip == other.ip or EVERY_ADDRESS in (one.ip, other.ip)
