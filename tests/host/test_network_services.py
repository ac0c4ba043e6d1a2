"""Real rules in front of real servers in namespaces."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pinnace.base.clock import SystemClock
from pinnace.base.errors import UserError
from pinnace.network import conntrack
from pinnace.network.bridge import find_main_address
from pinnace.network.proxy import ServiceProxy
from tests.host.network_bench import (
    INSTANCE,
    ask,
    ask_datagram,
    bench,
    connect,
    count_answers,
    endpoint,
    eventually,
    service,
    sh,
    slice_of,
)

WORLD = "/run/netns/pt-net-world"
CLUSTER_IP = "10.97.0.100"
BALANCED, NODE = 18080, 31080


@contextmanager
def world() -> Iterator[None]:
    """Make another machine, 198.51.100.2, that sees this one as 198.51.100.1."""
    sh("ip netns add pt-net-world")
    try:
        sh("ip link add pt-world type veth peer name eth0 netns pt-net-world")
        sh("ip addr add 198.51.100.1/24 dev pt-world")
        sh("ip link set pt-world up")
        sh("ip -n pt-net-world addr add 198.51.100.2/24 dev eth0")
        sh("ip -n pt-net-world link set eth0 up")
        yield
    finally:
        sh("ip netns del pt-net-world")


async def test_service_answers_from_pod_host_and_localhost_on_all_its_ports() -> None:
    async with bench() as b:
        one, two, client = await b.pod("one"), await b.pod("two"), await b.pod("client", port=None)
        b.api.put(
            service(port=BALANCED, type="LoadBalancer", node_port=NODE), slice_of("web", one.ip, two.ip)
        )
        main = find_main_address()
        await b.api.wait_for(lambda: b.api.ingress("web") == (main,))
        answers = {
            "pod to cluster ip": await ask(CLUSTER_IP, BALANCED, netns=client.netns),
            "host to cluster ip": await ask(CLUSTER_IP, BALANCED),
            "pod to load balancer": await ask(main, BALANCED, netns=client.netns),
            "host to load balancer": await ask(main, BALANCED),
            "localhost": await ask("127.0.0.1", BALANCED),
            "pod to node port": await ask(main, NODE, netns=client.netns),
            "host to node port": await ask(main, NODE),
            "localhost to node port": await ask("127.0.0.1", NODE),
        }
        assert {answer.split()[0] for answer in answers.values()} == {"one", "two"}
        clients = {place: answer.split()[1] for place, answer in answers.items()}
        assert clients == {
            "pod to cluster ip": client.ip,
            "host to cluster ip": b.network.gateway,
            "pod to load balancer": client.ip,
            "host to load balancer": main,
            "localhost": b.network.gateway,
            "pod to node port": client.ip,
            "host to node port": main,
            "localhost to node port": b.network.gateway,
        }
        assert ("Normal", "EnsuredLoadBalancer", f"Ensured load balancer on {main}") in b.api.events


async def test_connections_are_spread_evenly() -> None:
    async with bench() as b:
        pods = [await b.pod(name) for name in ("one", "two", "three")]
        b.api.put(service(), slice_of("web", *(pod.ip for pod in pods)))
        await b.settle()
        counts = await count_answers(CLUSTER_IP, 80, 300)
        assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 9.21  # chi-square, 2 degrees, 1 %
        assert len(counts) == 3


async def test_client_affinity_keeps_a_client_with_its_pod() -> None:
    async with bench() as b:
        pods = [await b.pod(name) for name in ("one", "two", "three")]
        b.api.put(service(session_affinity="ClientIP"), slice_of("web", *(pod.ip for pod in pods)))
        await b.settle()
        assert len(await count_answers(CLUSTER_IP, 80, 30)) == 1


async def test_removed_pod_keeps_its_connection_and_gets_no_new_one() -> None:
    async with bench() as b:
        old, new, client = await b.pod("old"), await b.pod("new"), await b.pod("client", port=None)
        b.api.put(service(), slice_of("web", old.ip))
        await b.settle()
        with await asyncio.to_thread(connect, CLUSTER_IP, 80, netns=client.netns) as connection:
            stream = connection.makefile("rw")
            assert (await asyncio.to_thread(stream.readline)).split()[0] == "old"
            assert await b.proxy.open_connections(old.ip) == 1
            b.api.put(slice_of("web", new.ip, endpoint(old.ip, ready=False, terminating=True)))
            assert await b.proxy.settled(old.ip, timeout_s=5)
            assert set(await count_answers(CLUSTER_IP, 80, 40, netns=client.netns)) == {"new"}
            assert await asyncio.to_thread(_echo, stream, "still here\n") == "still here\n"
            assert await b.proxy.drained(old.ip, timeout_s=0.2) == 1
            stream.close()
        assert await b.proxy.drained(old.ip, timeout_s=5) == 0


def _echo(stream, text: str) -> str:  # type: ignore[no-untyped-def]
    stream.write(text)
    stream.flush()
    return str(stream.readline())


async def test_terminating_pod_serves_on_when_nothing_is_ready_and_counts_as_settled() -> None:
    async with bench() as b:
        last = await b.pod("last")
        b.api.put(service(), slice_of("web", last.ip))
        await b.settle()
        b.api.put(slice_of("web", endpoint(last.ip, ready=False, terminating=True)))
        assert await b.proxy.settled(last.ip, timeout_s=5)
        assert (await ask(CLUSTER_IP, 80)).startswith("last")


async def test_waiting_for_a_pod_that_stays_ready_ends_with_the_time() -> None:
    async with bench() as b:
        pod = await b.pod("one")
        b.api.put(service(), slice_of("web", pod.ip))
        await b.settle()
        assert not await b.proxy.settled(pod.ip, timeout_s=0.1)


async def test_service_without_ready_pods_refuses_at_once() -> None:
    async with bench() as b:
        client = await b.pod("client", port=None)
        b.api.put(service(port=BALANCED, type="LoadBalancer"), slice_of("web"))
        await b.settle()
        for place, netns in ((CLUSTER_IP, client.netns), (CLUSTER_IP, None), ("127.0.0.1", None)):
            with pytest.raises(ConnectionRefusedError):
                await ask(place, BALANCED, netns=netns)
        with pytest.raises(ConnectionRefusedError):  # a port that the Service doesn't have
            await ask(CLUSTER_IP, 81, netns=client.netns)
        with pytest.raises(OSError, match="No route to host"):  # no Service has this address
            await ask("10.97.200.200", 80, netns=client.netns)


async def test_pod_reaches_itself_through_its_service() -> None:
    async with bench() as b:
        one = await b.pod("one")
        b.api.put(service(port=BALANCED, type="LoadBalancer"), slice_of("web", one.ip))
        await b.settle()
        assert await ask(CLUSTER_IP, BALANCED, netns=one.netns) == f"one {b.network.gateway}"
        assert await ask(find_main_address(), BALANCED, netns=one.netns) == f"one {b.network.gateway}"


async def test_pods_reach_each_other_with_their_own_addresses() -> None:
    async with bench() as b:
        one, client = await b.pod("one"), await b.pod("client", port=None)
        assert await ask(one.ip, 8080, netns=client.netns) == f"one {client.ip}"


async def test_outward_traffic_has_the_hosts_address() -> None:
    async with bench() as b:
        client = await b.pod("client", port=None)
        with world():
            server = await asyncio.to_thread(_listen_in, WORLD)
            with server, await asyncio.to_thread(connect, "198.51.100.2", 7000, netns=client.netns):
                accepted, peer = server.accept()
                accepted.close()
                assert peer[0] == "198.51.100.1"


async def test_client_outside_keeps_its_address_at_the_load_balancer() -> None:
    async with bench() as b:
        one = await b.pod("one")
        b.api.put(service(port=BALANCED, type="LoadBalancer"), slice_of("web", one.ip))
        with world():
            await b.settle()
            assert await ask("198.51.100.1", BALANCED, netns=WORLD) == "one 198.51.100.2"
            narrowed = service(
                port=BALANCED, type="LoadBalancer", load_balancer_source_ranges=("203.0.113.0/24",)
            )
            b.api.put(narrowed)
            await b.settle()
            with pytest.raises(TimeoutError):
                await ask("198.51.100.1", BALANCED, netns=WORLD, timeout_s=0.5)
            assert (await ask("127.0.0.1", BALANCED)).startswith("one")


def _listen_in(netns: str) -> socket.socket:
    from pinnace.network import links

    with links.inside(netns):
        server = socket.create_server(("0.0.0.0", 7000))
    server.settimeout(5)
    return server


async def test_pods_never_reach_the_hosts_loopback() -> None:
    async with bench() as b:
        client = await b.pod("client", port=None)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            inside = f"nsenter --net={client.netns}"
            sh(f"{inside} sysctl -qw net.ipv4.conf.eth0.route_localnet=1")
            sh(f"{inside} ip route del local 127.0.0.0/8 dev lo table local")
            sh(f"{inside} ip route add 127.0.0.0/8 via 10.245.0.1 dev eth0")
            with pytest.raises(OSError):
                await ask("127.0.0.1", port, netns=client.netns, timeout_s=0.5)


async def test_taken_port_leaves_the_service_pending_and_names_who_has_it() -> None:
    async with bench() as b:
        one = await b.pod("one")
        with socket.create_server(("127.0.0.1", BALANCED)):
            b.api.put(service(port=BALANCED, type="LoadBalancer"), slice_of("web", one.ip))
            await b.api.wait_for(lambda: bool(b.api.events))
            level, reason, message = b.api.events[0]
            assert (level, reason) == ("Warning", "SyncLoadBalancerFailed")
            assert f"port {BALANCED}/tcp of the host is held by " in message
            assert f"(pid {os.getpid()})" in message
            assert b.api.ingress("web") == ()
            assert (await ask(CLUSTER_IP, BALANCED)).startswith("one")
        await b.api.wait_for(lambda: b.api.ingress("web") == (find_main_address(),))
        assert (await ask("127.0.0.1", BALANCED)).startswith("one")


async def test_second_service_on_a_port_waits_for_the_first() -> None:
    async with bench() as b:
        one = await b.pod("one")
        first = service(port=BALANCED, type="LoadBalancer")
        b.api.put(first, slice_of("web", one.ip))
        await b.api.wait_for(lambda: bool(b.api.ingress("web")))
        b.api.put(service("other", "10.97.0.101", BALANCED, type="LoadBalancer"), slice_of("other", one.ip))
        await b.api.wait_for(
            lambda: any("held by Service default/web" in message for _, _, message in b.api.events)
        )
        b.api.remove(first)
        await b.api.wait_for(lambda: bool(b.api.ingress("other")))


async def test_held_port_is_free_again_when_the_service_is_gone() -> None:
    async with bench() as b:
        balanced = service(port=BALANCED, type="LoadBalancer")
        b.api.put(balanced, slice_of("web"))
        await b.settle()
        with pytest.raises(OSError, match="Address already in use"):
            socket.create_server(("0.0.0.0", BALANCED)).close()
        b.api.remove(balanced)
        await b.settle()
        socket.create_server(("0.0.0.0", BALANCED)).close()


async def test_published_port_leads_to_its_container_and_a_taken_one_is_refused() -> None:
    async with bench() as b:
        one = await b.pod("one")
        assert await b.proxy.publish("container one", "127.0.0.1", BALANCED, "tcp", one.ip, 8080) == BALANCED
        assert (await ask("127.0.0.1", BALANCED)).startswith("one")
        with pytest.raises(
            UserError, match=f"port 127.0.0.1:{BALANCED}/tcp of the host is held by container one"
        ):
            await b.proxy.publish("container two", "127.0.0.1", BALANCED, "tcp", one.ip, 8080)
        chosen = await b.proxy.publish("container one", "", 0, "tcp", one.ip, 8080)
        assert (await ask(find_main_address(), chosen)).startswith("one")
        await b.proxy.unpublish("container one")
        with pytest.raises(ConnectionRefusedError):
            await ask("127.0.0.1", BALANCED)


async def test_datagrams_move_on_when_their_pod_leaves() -> None:
    async with bench() as b:
        old, new, client = await b.pod("old"), await b.pod("new"), await b.pod("client", port=None)
        b.api.put(service(protocol="UDP"), slice_of("web", old.ip, protocol="UDP"))
        await b.settle()
        sender = await asyncio.to_thread(connect, CLUSTER_IP, 80, netns=client.netns, kind=socket.SOCK_DGRAM)
        with sender:
            assert await asyncio.to_thread(_send, sender) == f"old {client.ip}"
            b.api.put(slice_of("web", new.ip, protocol="UDP"))
            await b.proxy.settled(old.ip)
            await eventually(lambda: not conntrack.list_flows(conntrack.UDP, server=old.ip))
            assert await asyncio.to_thread(_send, sender) == f"new {client.ip}"
        assert (await ask_datagram(CLUSTER_IP, 80)).startswith("new")


def _send(sender: socket.socket) -> str:
    sender.send(b"?")
    return sender.recv(100).decode().strip()


async def test_no_new_connection_is_lost_while_backends_come_and_go() -> None:
    async with bench() as b:
        pods = [await b.pod(name) for name in ("one", "two", "three")]
        b.api.put(service(), slice_of("web", pods[0].ip))
        await b.settle()
        asking = asyncio.create_task(count_answers(CLUSTER_IP, 80, 2000))
        changes = 0
        while not asking.done():
            first, second = pods[changes % 3], pods[(changes + 1) % 3]
            b.api.put(slice_of("web", first.ip, second.ip))
            assert await b.proxy.settled(pods[(changes + 2) % 3].ip, timeout_s=5)
            changes += 1
        assert (await asking).total() == 2000
        assert changes > 5


async def test_next_daemon_takes_over_rules_and_open_connections() -> None:
    async with bench() as b:
        one, client = await b.pod("one"), await b.pod("client", port=None)
        b.api.put(service(port=BALANCED, type="LoadBalancer"), slice_of("web", one.ip))
        await b.settle()
        with await asyncio.to_thread(connect, CLUSTER_IP, BALANCED, netns=client.netns) as connection:
            stream = connection.makefile("rw")
            assert (await asyncio.to_thread(stream.readline)).split()[0] == "one"
            await b.proxy.close()
            assert (await ask("127.0.0.1", BALANCED)).startswith(
                "one"
            )  # nobody holds the rules, and they work
            b.proxy = ServiceProxy(b.api, b.network, SystemClock(), dns_ip="10.97.0.10")  # type: ignore[arg-type]
            try:
                await b.proxy.start()
                assert await asyncio.to_thread(_echo, stream, "still here\n") == "still here\n"
                assert (await ask("127.0.0.1", BALANCED)).startswith("one")
            finally:
                stream.close()
                await b.proxy.close()


async def test_silent_connections_can_be_left_out_of_the_count() -> None:
    async with bench() as b:
        one = await b.pod("one")
        b.api.put(service(), slice_of("web", one.ip))
        await b.settle()
        with await asyncio.to_thread(connect, CLUSTER_IP, 80):
            assert await b.proxy.open_connections(one.ip, active_within_s=30) == 1
            assert await b.proxy.drained(one.ip, timeout_s=10, active_within_s=0.5) == 0
            assert await b.proxy.open_connections(one.ip) == 1


async def test_flushed_rules_are_put_back() -> None:
    async with bench() as b:
        one = await b.pod("one")
        b.api.put(service(), slice_of("web", one.ip))
        await b.settle()
        for command in (f"nft delete table ip {INSTANCE}", f"nft flush chain ip {INSTANCE} output"):
            sh(command)
            await eventually(lambda: "vmap" in _list_chain("output"))
            assert (await ask(CLUSTER_IP, 80)).startswith("one")


def _list_chain(chain: str) -> str:
    return sh(f"nft list chain ip {INSTANCE} {chain}", check=False)


async def test_no_table_bridge_or_socket_is_left_afterwards() -> None:
    async with bench() as b:
        one = await b.pod("one")
        b.api.put(service(port=BALANCED, type="LoadBalancer", node_port=NODE), slice_of("web", one.ip))
        await b.settle()
    assert INSTANCE not in sh("nft list tables")
    for port in (BALANCED, NODE):
        socket.create_server(("0.0.0.0", port)).close()
