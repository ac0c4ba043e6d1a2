"""A bench for network tests: namespaces that pose as pods, servers in them, clients anywhere, an API of a few dicts."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pinnace.api.facade import ObjectChange
from pinnace.base import children
from pinnace.base.clock import SystemClock
from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import ENDPOINT_SLICE, SERVICE, Kind
from pinnace.kube.objects.core_v1 import Service, ServicePort, ServiceSpec
from pinnace.kube.objects.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.network import Network, links
from pinnace.network.proxy import ServiceProxy

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000

INSTANCE = "pt-net"
PODS_RANGE = "10.245.0.0/20"
SERVICES_RANGE = "10.97.0.0/16"

# Answers each connection with its name and who it thinks the client is, then echoes. Datagrams likewise.
_SERVER = """
import socket, sys, threading
name, port = sys.argv[1], int(sys.argv[2])
def serve(client, peer):
    client.sendall(f"{name} {peer[0]}\\n".encode())
    while data := client.recv(4096):
        client.sendall(data)
    client.close()
def datagrams():
    while True:
        data, peer = udp.recvfrom(4096)
        udp.sendto(f"{name} {peer[0]}\\n".encode(), peer)
tcp = socket.create_server(("0.0.0.0", port), backlog=256)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("0.0.0.0", port))
threading.Thread(target=datagrams, daemon=True).start()
print("ready", flush=True)
while True:
    client, peer = tcp.accept()
    threading.Thread(target=serve, args=(client, peer), daemon=True).start()
"""


class FakeApi:
    """Services and EndpointSlices in dicts, with the reads, the watch and the writes that the network room uses."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Any] = {}
        self.events: list[tuple[str, str, str]] = []
        self._watches: list[tuple[str, asyncio.Queue[ObjectChange[Any]]]] = []
        self._written = asyncio.Condition()

    def find(self, kind: Kind[T], namespace: str, name: str) -> T | None:
        return self.objects.get((kind.resource, namespace, name))

    def list(self, kind: Kind[T], namespace: str | None = None, **_: Any) -> tuple[T, ...]:
        return tuple(
            item
            for (resource, ns, _), item in self.objects.items()
            if resource == kind.resource and namespace in (None, "", ns)
        )

    async def watch(self, kind: Kind[T], namespace: str | None = None) -> AsyncIterator[ObjectChange[T]]:
        queue: asyncio.Queue[ObjectChange[Any]] = asyncio.Queue()
        for item in self.list(kind):
            queue.put_nowait(ObjectChange("ADDED", item))
        entry = (kind.resource, queue)
        self._watches.append(entry)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watches.remove(entry)

    def put(self, *items: Any) -> None:
        for item in items:
            kind = SERVICE if isinstance(item, Service) else ENDPOINT_SLICE
            self.objects[kind.resource, item.metadata.namespace, item.metadata.name] = item
            self._tell(kind.resource, "MODIFIED", item)

    def remove(self, item: Any) -> None:
        kind = SERVICE if isinstance(item, Service) else ENDPOINT_SLICE
        if self.objects.pop((kind.resource, item.metadata.namespace, item.metadata.name), None) is not None:
            self._tell(kind.resource, "DELETED", item)

    async def change(
        self, kind: Kind[T], namespace: str, name: str, fn: Callable[[T], T], *, subresource: str = ""
    ) -> T:
        current = self.find(kind, namespace, name)
        if current is None:
            raise ApiError(Reason.NOT_FOUND, f"{name} not found")
        changed = fn(current)
        if changed != current:
            self.put(changed)
        async with self._written:
            self._written.notify_all()
        return changed

    async def record_event(
        self, regarding: Any, type: str, reason: str, message: str, *, component: str
    ) -> None:
        self.events.append((type, reason, message))
        async with self._written:
            self._written.notify_all()

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10) -> None:
        async with asyncio.timeout(timeout_s), self._written:
            await self._written.wait_for(condition)

    def ingress(self, name: str, namespace: str = "default") -> tuple[str, ...]:
        service = self.find(SERVICE, namespace, name)
        return tuple(each.ip for each in service.status.load_balancer.ingress) if service else ()

    def _tell(self, resource: str, type: str, item: Any) -> None:
        for watched, queue in self._watches:
            if watched == resource:
                queue.put_nowait(ObjectChange(type, item))


@dataclass
class Pod:
    """A namespace with a link and a server."""

    name: str
    netns: str
    ip: str
    process: subprocess.Popen[bytes] | None = None


@dataclass
class Bench:
    """One instance's network with its proxy; everything made here is gone when `bench` ends."""

    network: Network
    api: FakeApi
    proxy: ServiceProxy
    pods: dict[str, Pod] = field(default_factory=dict)

    async def pod(self, name: str, port: int | None = 8080) -> Pod:
        """Make a namespace, link it, start a server in it."""
        netns = f"{INSTANCE}-{name}"
        await asyncio.to_thread(subprocess.run, ["ip", "netns", "add", netns], check=True)
        pod = self.pods[name] = Pod(name, f"/run/netns/{netns}", "")
        pod.ip = (await self.network.attach(pod.netns, name, hostname=name)).ip
        if port is not None:
            await asyncio.to_thread(self._serve, pod, port)
        return pod

    @staticmethod
    def _serve(pod: Pod, port: int) -> None:
        argv = ["nsenter", f"--net={pod.netns}", sys.executable, "-c", _SERVER, pod.name, str(port)]
        pod.process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert pod.process.stdout is not None
        assert pod.process.stdout.readline() == b"ready\n"

    async def remove(self, name: str) -> None:
        pod = self.pods.pop(name)
        if pod.process is not None:
            pod.process.kill()
            pod.process.wait()
            assert pod.process.stdout is not None
            pod.process.stdout.close()
        with suppress(Exception):
            await self.network.detach(name)
        await asyncio.to_thread(subprocess.run, ["ip", "netns", "del", f"{INSTANCE}-{name}"], check=True)

    async def settle(self) -> None:
        """Wait until everything that was put is applied."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await self.proxy.settled("0.0.0.0")


@asynccontextmanager
async def bench(**options: Any) -> AsyncIterator[Bench]:
    """Yield a running bench; remove everything at the end, also on failure."""
    network = Network(INSTANCE, pods_range=PODS_RANGE, services_range=SERVICES_RANGE)
    await network.ensure()
    api = FakeApi()
    proxy = ServiceProxy(api, network, SystemClock(), dns_ip="10.97.0.10", **options)  # type: ignore[arg-type]
    made = Bench(network, api, proxy)
    try:
        await proxy.start()
        yield made
    finally:
        for name in list(made.pods):
            await made.remove(name)
        await proxy.remove_all()
        await network.remove_all()
        await network.close()


def service(
    name: str = "web",
    ip: str = "10.97.0.100",
    port: int = 80,
    *,
    type: str = "ClusterIP",
    protocol: str = "TCP",
    **spec: Any,
) -> Service:
    """Return a Service with one port."""
    node_port = spec.pop("node_port", None)
    return Service(
        metadata=ObjectMeta(namespace="default", name=name, uid=f"uid-{name}"),
        spec=ServiceSpec(
            cluster_ip=ip,
            cluster_ips=(ip,),
            type=type,
            ports=(ServicePort(name="main", port=port, protocol=protocol, node_port=node_port),),
            **spec,
        ),
    )


def slice_of(name: str, *endpoints: str | Endpoint, port: int = 8080, protocol: str = "TCP") -> EndpointSlice:
    """Return the slice of a Service; a string is a ready address."""
    return EndpointSlice(
        metadata=ObjectMeta(
            namespace="default", name=f"{name}-x", labels={"kubernetes.io/service-name": name}
        ),
        address_type="IPv4",
        endpoints=tuple(endpoint(each) if isinstance(each, str) else each for each in endpoints),
        ports=(EndpointPort(name="main", port=port, protocol=protocol),),
    )


def endpoint(ip: str, *, ready: bool = True, serving: bool = True, terminating: bool = False) -> Endpoint:
    return Endpoint(
        addresses=(ip,), conditions=EndpointConditions(ready=ready, serving=serving, terminating=terminating)
    )


async def ask(address: str, port: int, *, netns: str | None = None, timeout_s: float = 3) -> str:
    """Connect from a namespace (or the host) and return "NAME CLIENT" that the server says."""
    return await asyncio.to_thread(_ask, address, port, netns, timeout_s)


async def ask_datagram(address: str, port: int, *, netns: str | None = None) -> str:
    def work() -> str:
        with connect(address, port, netns=netns, kind=socket.SOCK_DGRAM) as client:
            client.send(b"?")
            return client.recv(100).decode().strip()

    return await asyncio.to_thread(work)


def connect(
    address: str, port: int, *, netns: str | None = None, timeout_s: float = 3, kind: int = socket.SOCK_STREAM
) -> socket.socket:
    """Return a connected socket that lives in a namespace. Blocking."""
    client = make_socket(netns, kind)
    client.settimeout(timeout_s)
    try:
        client.connect((address, port))
    except BaseException:
        client.close()
        raise
    return client


def make_socket(netns: str | None, kind: int = socket.SOCK_STREAM) -> socket.socket:
    if netns is None:
        return socket.socket(socket.AF_INET, kind)
    with links.inside(netns):
        return socket.socket(socket.AF_INET, kind)


async def count_answers(address: str, port: int, times: int, *, netns: str | None = None) -> Counter[str]:
    """Ask many times, one after the other, and count who answered."""

    def work() -> Counter[str]:
        return Counter(_ask(address, port, netns, 3).split()[0] for _ in range(times))

    return await asyncio.to_thread(work)


@contextmanager
def own_namespace() -> Iterator[None]:
    """Let the test, its threads and its processes live in a network namespace of their own, with nothing but lo."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        assert _libc.unshare(_CLONE_NEWNET) == 0, "unshare"
        _renew_spawning_threads()
        try:
            sh("ip link set lo up")
            yield
        finally:
            assert _libc.setns(home, _CLONE_NEWNET) == 0, "setns"
            _renew_spawning_threads()
    finally:
        os.close(home)


def _renew_spawning_threads() -> None:
    """Let children start from new threads: those that are there stay in the namespace that they began in."""
    children._threads.shutdown()
    children._threads = ThreadPoolExecutor(children.THREADS, thread_name_prefix="spawn")


def sh(command: str, *, check: bool = True) -> str:
    """Run a command line (split at spaces) and return what it printed."""
    return subprocess.run(command.split(), check=check, capture_output=True, text=True).stdout


async def eventually(check: Callable[[], Any], timeout_s: float = 10) -> None:
    """Wait for what only the kernel knows, and tells nobody of."""
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def _ask(address: str, port: int, netns: str | None, timeout_s: float) -> str:
    with connect(address, port, netns=netns, timeout_s=timeout_s) as client:
        return client.makefile().readline().strip()
