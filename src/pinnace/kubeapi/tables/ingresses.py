"""The tables of Ingresses and their classes. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go."""

from pinnace.kube.objects.networking_v1 import Ingress, IngressClass, IngressLoadBalancerStatus
from pinnace.kubeapi.tables.columns import AGE, NAME, NONE, Cell, Column, Table, render_since, render_some

_ADDRESS_MOST = 16  # Source: the same file, loadBalancerWidth


def _cells(ingress: Ingress, now: float) -> tuple[Cell, ...]:
    spec = ingress.spec
    hosts = [rule.host for rule in spec.rules if rule.host]
    return (
        ingress.metadata.name,
        spec.ingress_class_name or NONE,
        render_some(hosts, empty="*"),
        _render_address(ingress.status.load_balancer),
        "80, 443" if spec.tls else "80",
        render_since(ingress.metadata.creation_timestamp, now),
    )


def _render_address(status: IngressLoadBalancerStatus) -> str:
    points = [point.ip or point.hostname for point in status.ingress]
    text = ",".join(sorted({point for point in points if point}))
    return f"{text[: _ADDRESS_MOST - 3]}..." if len(text) > _ADDRESS_MOST else text


TABLE = Table(
    columns=(
        NAME,
        Column("Class", "Which controller is to route it."),
        Column("Hosts", "For which hosts."),
        Column("Address", "Where it can be reached."),
        Column("Ports", "On which ports."),
        AGE,
    ),
    cells=_cells,
)


def _class_cells(obj: IngressClass, now: float) -> tuple[Cell, ...]:
    parameters, text = obj.spec.parameters, NONE
    if parameters is not None:
        group = f".{parameters.api_group}" if parameters.api_group else ""
        text = f"{parameters.kind}{group}/{parameters.name}"
    meta = obj.metadata
    return meta.name, obj.spec.controller, text, render_since(meta.creation_timestamp, now)


CLASSES = Table(
    columns=(
        NAME,
        Column("Controller", "Who routes its Ingresses."),
        Column("Parameters", "Where the controller's settings are."),
        AGE,
    ),
    cells=_class_cells,
)
