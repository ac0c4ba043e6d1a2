"""The table of Nodes."""

from pinnace.kube.objects.core_v1 import Node
from pinnace.kubeapi.tables.columns import AGE, NAME, NONE, UNKNOWN, Cell, Column, Table, render_since

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE_LABEL = "kubernetes.io/role"


def _render_status(node: Node) -> str:
    ready = [c.status for c in node.status.conditions if c.type == "Ready"]
    word = "Unknown" if not ready else "Ready" if ready[-1] == "True" else "NotReady"
    return f"{word},SchedulingDisabled" if node.spec.unschedulable else word


def _render_roles(node: Node) -> str:
    labels = node.metadata.labels
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)}
    roles.add(labels.get(_ROLE_LABEL, ""))
    return ",".join(sorted(roles - {""})) or NONE


def _find_address(node: Node, kind: str) -> str:
    return next((a.address for a in node.status.addresses if a.type == kind), NONE)


def _cells(node: Node, now: float) -> tuple[Cell, ...]:
    info = node.status.node_info
    return (
        node.metadata.name,
        _render_status(node),
        _render_roles(node),
        render_since(node.metadata.creation_timestamp, now),
        info.kubelet_version,
        _find_address(node, "InternalIP"),
        _find_address(node, "ExternalIP"),
        info.os_image or UNKNOWN,
        info.kernel_version or UNKNOWN,
        info.container_runtime_version or UNKNOWN,
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Status", "Whether pods can run there."),
        Column("Roles", "What the node is for."),
        AGE,
        Column("Version", "The version of the node's agent."),
        Column("Internal-IP", "Its address inside the cluster.", priority=1),
        Column("External-IP", "Its address outside the cluster.", priority=1),
        Column("OS-Image", "The operating system.", priority=1),
        Column("Kernel-Version", "The kernel.", priority=1),
        Column("Container-Runtime", "What runs the containers.", priority=1),
    ),
    cells=_cells,
)
