"""Names, Services and the real API together: what a pod sees of `kubernetes`, of a Service, and of the world."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network

import pytest
from dnslib import DNSRecord
from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.api.settings import ApiSettings
from pinnace.base.chance import Chance
from pinnace.base.clock import SystemClock
from pinnace.kube.kinds import ENDPOINT_SLICE, EVENT, NAMESPACE, SERVICE
from pinnace.kube.objects.core_v1 import Namespace, Service, ServicePort, ServiceSpec
from pinnace.kube.objects.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.network import Network
from pinnace.network.bridge import find_main_address
from pinnace.network.dns import Dns
from pinnace.network.proxy import ServiceProxy
from pinnace.store.memory import MemoryStore
from tests.host.network_bench import INSTANCE, PODS_RANGE, SERVICES_RANGE, Bench, ask, connect

DNS_IP = "10.97.0.10"


@asynccontextmanager
async def instance() -> AsyncIterator[tuple[Bench, Api]]:
    clock, store = SystemClock(), MemoryStore()
    api = Api(store, clock, Chance(7), ApiSettings(service_range=SERVICES_RANGE, dns_ip=DNS_IP))
    if api.find(NAMESPACE, "", "default") is None:
        await api.create(Namespace(metadata=ObjectMeta(name="default")))
    network = Network(INSTANCE, pods_range=PODS_RANGE, services_range=SERVICES_RANGE)
    await network.ensure()
    ranges = (IPv4Network(PODS_RANGE), IPv4Network(SERVICES_RANGE))
    dns = Dns(api, service_ip=DNS_IP, ranges=ranges)
    port = await dns.start(network.gateway)
    proxy = ServiceProxy(api, network, clock, dns_ip=DNS_IP, dns_port=port)
    bench = Bench(network, None, proxy)  # type: ignore[arg-type]
    try:
        await proxy.start()
        yield bench, api
    finally:
        for name in list(bench.pods):
            await bench.remove(name)
        await proxy.remove_all()
        await dns.close()
        await network.remove_all()
        await network.close()
        await store.close()


def service(name: str, type: str = "ClusterIP", port: int = 80, **spec: object) -> Service:
    ports = (ServicePort(name="http", port=port, protocol="TCP", target_port=8080),)
    return Service(
        metadata=ObjectMeta(namespace="default", name=name),
        spec=ServiceSpec(type=type, ports=ports, **spec),  # type: ignore[arg-type]
    )


def slice_of(name: str, *addresses: str) -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(
            namespace="default", name=f"{name}-x", labels={"kubernetes.io/service-name": name}
        ),
        address_type="IPv4",
        endpoints=tuple(
            Endpoint(addresses=(a,), conditions=EndpointConditions(ready=True)) for a in addresses
        ),
        ports=(EndpointPort(name="http", port=8080, protocol="TCP"),),
    )


async def resolve(name: str, netns: str, *, by_tcp: bool = False) -> list[str]:
    def work() -> list[str]:
        packet = bytes(DNSRecord.question(name).pack())
        kind = socket.SOCK_STREAM if by_tcp else socket.SOCK_DGRAM
        with connect(DNS_IP, 53, netns=netns, kind=kind) as client:
            client.send(struct.pack("!H", len(packet)) + packet if by_tcp else packet)
            data = client.recv(4096)
        return [str(rr.rdata) for rr in DNSRecord.parse(data[2:] if by_tcp else data).rr]

    return await asyncio.to_thread(work)


async def wait_for_ingress(api: Api, name: str) -> str:
    async with asyncio.timeout(10):
        async for change in api.watch(SERVICE):
            ingress = change.object.status.load_balancer.ingress
            if change.object.metadata.name == name and ingress:
                return ingress[0].ip
    raise AssertionError("the watch ended")


async def test_pod_finds_a_service_by_its_name_and_reaches_it() -> None:
    async with instance() as (b, api):
        one, client = await b.pod("one"), await b.pod("client", port=None)
        web = await api.create(service("web", type="LoadBalancer", port=18080))
        await api.create(slice_of("web", one.ip))
        assert await wait_for_ingress(api, "web") == find_main_address()
        for by_tcp in (False, True):
            found = await resolve("web.default.svc.cluster.local", client.netns, by_tcp=by_tcp)
            assert found == [web.spec.cluster_ip]
        await b.settle()
        assert await ask(web.spec.cluster_ip, 18080, netns=client.netns) == f"one {client.ip}"
        assert (await ask("127.0.0.1", 18080)).startswith("one")


async def test_headless_service_gives_the_pods_themselves() -> None:
    async with instance() as (b, api):
        client = await b.pod("client", port=None)
        await api.create(service("db", cluster_ip="None"))
        await api.create(slice_of("db", "10.245.0.8", "10.245.0.9"))
        found = await resolve("db.default.svc.cluster.local", client.netns)
        assert sorted(found) == ["10.245.0.8", "10.245.0.9"]


async def test_service_that_stops_being_a_load_balancer_loses_its_ingress_and_its_port() -> None:
    async with instance() as (b, api):
        await api.create(service("web", type="LoadBalancer", port=18080))
        await wait_for_ingress(api, "web")
        await api.change(
            SERVICE, "default", "web", lambda s: replace(s, spec=replace(s.spec, type="ClusterIP"))
        )
        async with asyncio.timeout(10):
            async for change in api.watch(SERVICE):
                if change.object.metadata.name == "web" and not change.object.status.load_balancer.ingress:
                    break
        await b.settle()
        socket.create_server(("0.0.0.0", 18080)).close()


async def test_taken_port_is_an_event_on_the_service() -> None:
    async with instance() as (_, api):
        with socket.create_server(("0.0.0.0", 18080)):
            await api.create(service("web", type="LoadBalancer", port=18080))
            async with asyncio.timeout(10):
                async for change in api.watch(EVENT):
                    if change.object.reason == "SyncLoadBalancerFailed":
                        break
        event = change.object
        assert event.involved_object.name == "web"
        assert event.type == "Warning"
        assert "port 18080/tcp of the host is held by" in event.message


async def test_slice_that_is_deleted_takes_its_pods_out_of_the_rules() -> None:
    async with instance() as (b, api):
        one = await b.pod("one")
        web = await api.create(service("web"))
        await api.create(slice_of("web", one.ip))
        await b.settle()
        await api.delete(ENDPOINT_SLICE, "default", "web-x")
        assert await b.proxy.settled(one.ip, timeout_s=5)
        with pytest.raises(ConnectionRefusedError):
            await ask(web.spec.cluster_ip, 80)
