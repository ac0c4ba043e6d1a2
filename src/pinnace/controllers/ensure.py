"""Makes what every cluster has from the start: namespaces, priority classes, the Service `kubernetes` with its endpoints.

Called by the daemon and the simulator before the controllers start. Idempotent; what a person added to these objects stays.
"""

import ipaddress
from collections.abc import Sequence
from typing import Any

import msgspec

from pinnace.api.admission.priority import SYSTEM_CLASSES
from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Reason
from pinnace.controllers.endpoints.facts import SERVICE_NAME
from pinnace.kube.objects.core_v1 import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Namespace,
    Service,
    ServicePort,
    ServiceSpec,
)
from pinnace.kube.objects.discovery_v1 import Endpoint, EndpointConditions, EndpointSlice
from pinnace.kube.objects.discovery_v1 import EndpointPort as SlicePort
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.scheduling_v1 import PriorityClass

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
HTTPS = "https"
SKIP_MIRROR = {
    "endpointslice.kubernetes.io/skip-mirror": "true"
}  # Source: Kubernetes v1.36, controlplane/reconcilers


async def ensure_cluster_objects(
    api: Api, *, api_addresses: Sequence[str] = (), api_port: int = 6443
) -> None:
    """Create what is missing, and point the Service `kubernetes` at `api_addresses`.

    Raises: ApiError, StoreFailed. Without addresses (the simulator) the Service has no endpoints.
    """
    for name in NAMESPACES:
        await _ensure(api, Namespace(metadata=ObjectMeta(name=name)))
    for name, value in SYSTEM_CLASSES.items():
        await _ensure(api, _priority_class(name, value))
    first = str(next(ipaddress.ip_network(api.settings.service_range).hosts()))
    await _ensure(api, _service(first, api_port))
    await _point(api, _endpoints(api_addresses, api_port))
    await _point(api, _slice(api_addresses, api_port))


def _priority_class(name: str, value: int) -> PriorityClass:
    # Source: Kubernetes v1.36, pkg/apis/scheduling/v1/helpers.go, SystemPriorityClasses.
    what = {
        "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
        "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved"
        " to another node if necessary.",
    }
    return PriorityClass(
        metadata=ObjectMeta(name=name),
        value=value,
        preemption_policy="PreemptLowerPriority",
        description=what[name],
    )


def _service(address: str, port: int) -> Service:
    return Service(
        metadata=ObjectMeta(
            name="kubernetes",
            namespace="default",
            labels={"component": "apiserver", "provider": "kubernetes"},
        ),
        spec=ServiceSpec(
            type="ClusterIP",
            cluster_ip=address,
            cluster_ips=(address,),
            ports=(ServicePort(name=HTTPS, port=443, protocol="TCP", target_port=port),),
        ),
    )


def _endpoints(addresses: Sequence[str], port: int) -> Endpoints:
    subset = EndpointSubset(
        addresses=tuple(EndpointAddress(ip=address) for address in addresses),
        ports=(EndpointPort(name=HTTPS, port=port, protocol="TCP"),),
    )
    metadata = ObjectMeta(name="kubernetes", namespace="default", labels=SKIP_MIRROR)
    return Endpoints(metadata=metadata, subsets=(subset,) if addresses else ())


def _slice(addresses: Sequence[str], port: int) -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(name="kubernetes", namespace="default", labels={SERVICE_NAME: "kubernetes"}),
        address_type="IPv4",
        endpoints=tuple(
            Endpoint(addresses=(address,), conditions=EndpointConditions(ready=True)) for address in addresses
        ),
        ports=(SlicePort(name=HTTPS, port=port, protocol="TCP"),),
    )


async def _ensure(api: Api, obj: Any) -> None:
    meta = obj.metadata
    if api.find(api.kinds.kind_of(obj), meta.namespace, meta.name) is None:
        try:
            await api.create(obj)
        except ApiError as error:
            if error.reason is not Reason.ALREADY_EXISTS:
                raise


async def _point(api: Api, wanted: Any) -> None:
    """Create `wanted`, or give the object that is there the same endpoints."""
    await _ensure(api, wanted)
    kept = (
        {"subsets": wanted.subsets}
        if isinstance(wanted, Endpoints)
        else {"endpoints": wanted.endpoints, "ports": wanted.ports}
    )
    await api.change(
        api.kinds.kind_of(wanted),
        "default",
        "kubernetes",
        lambda present: msgspec.structs.replace(present, **kept),
    )
