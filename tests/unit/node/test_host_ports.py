"""Ports of the host that pods ask for."""

from __future__ import annotations

from pinnace.base.virtual import run_virtual
from pinnace.kube.objects.core_v1 import ContainerPort
from pinnace.node.host_ports import HostPorts, PortMapping, compute_host_ports
from tests.unit.node.builders import container, pod

WEB = ContainerPort(container_port=8000, host_port=80)
DNS = ContainerPort(container_port=53, host_port=53, host_ip="127.0.0.1", protocol="UDP")
INNER = ContainerPort(container_port=9000)


class Publisher:
    def __init__(self) -> None:
        self.published: dict[str, list[tuple[object, ...]]] = {}

    async def publish(self, key: str, *words: object) -> int:
        self.published.setdefault(key, []).append(words)
        return 0

    async def unpublish(self, key: str) -> None:
        del self.published[key]


def test_only_ports_that_name_one_of_the_host_are_led_to_the_pod() -> None:
    assert compute_host_ports(pod(container(ports=(WEB, INNER)), container("dns", ports=(DNS,)))) == (
        PortMapping("", 80, "tcp", 8000),
        PortMapping("127.0.0.1", 53, "udp", 53),
    )


def test_a_pod_on_the_hosts_network_has_its_ports_already() -> None:
    assert compute_host_ports(pod(container(ports=(WEB,)), host_network=True)) == ()


def test_what_was_published_for_a_pod_is_taken_back_once() -> None:
    async def main() -> None:
        publisher = Publisher()
        ports = HostPorts(publisher)
        await ports.publish(pod(container(ports=(WEB,))), "10.0.0.2")
        assert publisher.published == {"pod default/web (u-1)": [("", 80, "tcp", "10.0.0.2", 8000)]}
        await ports.release("u-1")
        await ports.release("u-1")
        assert publisher.published == {}

    run_virtual(main())
