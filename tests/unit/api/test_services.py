"""Services: defaults, addresses, node ports, type changes, validation."""

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.facade import Api
from pinnace.api.settings import ApiSettings
from pinnace.base.chance import Chance
from pinnace.base.errors import ApiError
from pinnace.kube.kinds import SERVICE
from tests.unit.api.builders import document, make_api, service


async def test_a_cluster_ip_service_is_filled_in_as_a_real_server_does() -> None:
    api, _ = await make_api()
    stored = document(await api.create(service()))
    address = stored["spec"]["clusterIP"]
    assert address.startswith("10.96.")
    # By hand, from `kubectl get service -o yaml`.
    assert stored["spec"] == {
        "clusterIP": address,
        "clusterIPs": [address],
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "selector": {"app": "web"},
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    assert stored["status"] == {"loadBalancer": {}}


async def test_a_load_balancer_has_node_ports_and_says_that_it_has() -> None:
    api, _ = await make_api()
    stored = await api.create(service(type="LoadBalancer", ports=[{"port": 80, "targetPort": 8000}]))
    (port,) = stored.spec.ports
    assert port.node_port is not None
    assert 30000 <= port.node_port <= 32767
    assert stored.spec.allocate_load_balancer_node_ports is True
    assert stored.spec.external_traffic_policy == "Cluster"


async def test_the_first_address_is_for_the_service_kubernetes_only() -> None:
    api, _ = await make_api()
    stored = await api.create(service("kubernetes"))
    assert stored.spec.cluster_ip == "10.96.0.1"


async def test_dns_gets_the_address_that_it_asks_for() -> None:
    api, _ = await make_api("kube-system")
    stored = await api.create(service(clusterIP="10.96.0.10"))
    assert stored.spec.cluster_ips == ("10.96.0.10",)


async def test_no_two_services_share_an_address_and_a_deleted_one_frees_it() -> None:
    api, _ = await make_api()
    await api.create(service("a", clusterIP="10.96.7.7"))
    with pytest.raises(ApiError) as caught:
        await api.create(service("b", clusterIP="10.96.7.7"))
    assert [(cause.field, cause.message) for cause in caught.value.causes] == [
        (
            "spec.clusterIPs",
            'Invalid value: ["10.96.7.7"]: failed to allocate IP 10.96.7.7: provided IP is already allocated',
        )
    ]
    await api.delete(SERVICE, "default", "a")
    await api.create(service("b", clusterIP="10.96.7.7"))


async def test_an_address_outside_of_the_range_is_refused() -> None:
    api, _ = await make_api()
    with pytest.raises(
        ApiError, match=r"the provided IP \(10\.1\.1\.1\) is not in the valid range. The range of valid"
    ):
        await api.create(service(clusterIP="10.1.1.1"))


async def test_a_full_range_says_so() -> None:
    # A /29 has 6 addresses; the first and the DNS address are not for anybody.
    settings = ApiSettings(service_range="10.200.0.0/29", dns_ip="10.200.0.2")
    api, _ = await make_api(settings=settings)
    addresses = {(await api.create(service(f"s{n}"))).spec.cluster_ip for n in range(4)}
    assert addresses == {"10.200.0.3", "10.200.0.4", "10.200.0.5", "10.200.0.6"}
    with pytest.raises(ApiError, match="failed to allocate a serviceIP for s9: range is full"):
        await api.create(service("s9"))
    await api.delete(SERVICE, "default", "s0")
    await api.create(service("s9"))


async def test_a_refused_service_keeps_no_claim() -> None:
    api, _ = await make_api()
    await api.create(service("a", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    with pytest.raises(
        ApiError, match=r"spec.ports\[0\].nodePort: Invalid value: 30080: provided port is already"
    ):
        await api.create(
            service("b", clusterIP="10.96.9.9", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
        )
    await api.create(service("c", clusterIP="10.96.9.9"))


async def test_a_second_service_of_one_name_leaves_the_first_its_claim() -> None:
    api, _ = await make_api()
    first = await api.create(service("a"))
    with pytest.raises(ApiError, match="already exists"):
        await api.create(service("a"))
    with pytest.raises(ApiError, match="already allocated"):
        await api.create(service("b", clusterIP=first.spec.cluster_ip))


async def test_node_ports_stay_in_their_range() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(service(type="NodePort", ports=[{"port": 80, "nodePort": 80}]))
    assert [cause.message for cause in caught.value.causes] == [
        "Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"
    ]


async def test_tcp_and_udp_of_one_port_share_a_node_port() -> None:
    api, _ = await make_api()
    ports = [{"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 53, "protocol": "TCP"}]
    stored = await api.create(service(type="NodePort", ports=ports))
    assert stored.spec.ports[0].node_port == stored.spec.ports[1].node_port


async def test_a_headless_service_has_no_address() -> None:
    api, _ = await make_api()
    stored = await api.create(service(clusterIP="None"))
    assert (stored.spec.cluster_ip, stored.spec.cluster_ips) == ("None", ("None",))


async def test_the_address_may_not_change_but_may_be_left_out() -> None:
    api, _ = await make_api()
    stored = await api.create(service())
    again = await api.update(service(ports=[{"port": 81}]))
    assert again.spec.cluster_ip == stored.spec.cluster_ip
    with pytest.raises(ApiError) as caught:
        await api.update(service(clusterIP="10.96.3.3"))
    assert [(cause.field, cause.message) for cause in caught.value.causes] == [
        ("spec.clusterIPs[0]", 'Invalid value: ["10.96.3.3"]: may not change once set')
    ]


async def test_a_type_change_takes_and_frees_node_ports() -> None:
    api, _ = await make_api()
    stored = await api.create(service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    kept = await api.update(replace(stored, spec=replace(stored.spec, type="LoadBalancer")))
    assert kept.spec.ports[0].node_port == 30080
    plain = await api.update(replace(kept, spec=replace(kept.spec, type="ClusterIP")))
    assert (plain.spec.ports[0].node_port, plain.spec.external_traffic_policy) == (None, "")
    assert plain.spec.cluster_ip == stored.spec.cluster_ip
    await api.create(service("other", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))


async def test_an_external_name_gives_its_address_back() -> None:
    api, _ = await make_api()
    stored = await api.create(service())
    spec = replace(stored.spec, type="ExternalName", external_name="example.com")
    named = await api.update(replace(stored, spec=spec))
    assert (named.spec.cluster_ip, named.spec.cluster_ips, named.spec.ip_families) == ("", (), ())
    await api.create(service("other", clusterIP=stored.spec.cluster_ip))


async def test_the_table_of_addresses_is_rebuilt_from_the_store() -> None:
    api, clock = await make_api()
    held = await api.create(service("a", type="NodePort"))
    again = Api(api.store, clock, Chance(1))
    with pytest.raises(ApiError, match="already allocated"):
        await again.create(service("b", clusterIP=held.spec.cluster_ip))
    with pytest.raises(ApiError, match="already allocated"):
        await again.create(
            service("b", type="NodePort", ports=[{"port": 1, "nodePort": held.spec.ports[0].node_port}])
        )


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        ({"ports": []}, [("spec.ports", "Required value")]),
        (
            {"ports": [{"port": 80}, {"port": 81}]},
            [("spec.ports[0].name", "Required value"), ("spec.ports[1].name", "Required value")],
        ),
        (
            {"ports": [{"port": 0}]},
            [
                ("spec.ports[0].port", "Invalid value: 0: must be between 1 and 65535, inclusive"),
                ("spec.ports[0].targetPort", "Invalid value: 0: must be between 1 and 65535, inclusive"),
            ],
        ),
        (
            {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]},
            [("spec.ports[1]", 'Duplicate value: {"port":80,"protocol":"TCP"}')],
        ),
        (
            {"type": "Balancer"},
            [
                (
                    "spec.type",
                    'Unsupported value: "Balancer": supported values: "ClusterIP", "ExternalName", "LoadBalancer",'
                    ' "NodePort"',
                )
            ],
        ),
        (
            {"ports": [{"port": 80, "nodePort": 30080}]},
            [("spec.ports[0].nodePort", "Forbidden: may not be used when `type` is 'ClusterIP'")],
        ),
        ({"type": "ExternalName"}, [("spec.externalName", "Required value")]),
        (
            {"clusterIP": "None", "type": "NodePort"},
            [
                (
                    "spec.clusterIPs[0]",
                    "Invalid value: \"None\": may not be set to 'None' for NodePort services",
                )
            ],
        ),
        (
            {"clusterIP": "somewhere"},
            [
                (
                    "spec.clusterIPs[0]",
                    'Invalid value: "somewhere": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
                )
            ],
        ),
    ],
)
async def test_wrong_services(spec: dict[str, Any], causes: list[tuple[str, str]]) -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(service(**spec))
    assert [(cause.field, cause.message) for cause in caught.value.causes] == causes


async def test_a_service_is_named_like_a_host() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError, match="a DNS-1035 label must consist of lower case alphanumeric characters"):
        await api.create(service("1web"))
