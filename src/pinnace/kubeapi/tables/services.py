"""The table of Services."""

from pinnace.kube.objects.core_v1 import Service, ServicePort
from pinnace.kubeapi.tables.columns import (
    AGE,
    NAME,
    NONE,
    SELECTOR,
    UNKNOWN,
    Cell,
    Column,
    Table,
    render_labels,
    render_since,
)


def _render_external(service: Service) -> str:
    given = service.spec.external_ips
    match service.spec.type:
        case "ClusterIP" | "NodePort":
            return ",".join(given) or NONE
        case "LoadBalancer":
            ingress = service.status.load_balancer.ingress
            assigned = sorted({point.ip or point.hostname for point in ingress} - {""})
            return ",".join((*assigned, *given)) or "<pending>"
        case "ExternalName":
            return service.spec.external_name
        case _:
            return UNKNOWN


def _render_port(port: ServicePort) -> str:
    node_port = f":{port.node_port}" if port.node_port else ""
    return f"{port.port}{node_port}/{port.protocol}"


def _cells(service: Service, now: float) -> tuple[Cell, ...]:
    spec = service.spec
    return (
        service.metadata.name,
        spec.type,
        spec.cluster_ips[0] if spec.cluster_ips else spec.cluster_ip or NONE,
        _render_external(service),
        ",".join(map(_render_port, spec.ports)) or NONE,
        render_since(service.metadata.creation_timestamp, now),
        render_labels(spec.selector),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Type", "How the Service is exposed."),
        Column("Cluster-IP", "Its address inside the cluster."),
        Column("External-IP", "Its addresses outside the cluster."),
        Column("Port(s)", "Its ports, with the node's port where there is one."),
        AGE,
        SELECTOR,
    ),
    cells=_cells,
)
