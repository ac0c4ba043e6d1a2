"""Which pods are endpoints, and in which slices."""

import msgspec

from pinnace.controllers.endpoints.facts import find_members, has_endpoints, resolve_ports
from pinnace.controllers.endpoints.legacy import reconcile_endpoints
from pinnace.controllers.endpoints.slices import MAX_ENDPOINTS, SliceFacts, reconcile_slices
from pinnace.controllers.plan import Change, Create, Delete, Plan
from pinnace.kube.objects.core_v1 import ContainerPort, Endpoints, Pod, Service, ServicePort
from pinnace.kube.objects.discovery_v1 import EndpointSlice
from tests.unit.controllers.builders import pod, service, with_meta, with_ports


def decide(svc: Service, pods: list[Pod], slices: list[EndpointSlice] | None = None) -> Plan:
    return reconcile_slices(SliceFacts(svc, find_members(svc, pods), tuple(slices or ())))


def stored(plan: Plan, before: list[EndpointSlice] | None = None) -> list[EndpointSlice]:
    """The slices that there are after the plan."""
    found = {one.metadata.name: one for one in before or []}
    for number, step in enumerate(plan.steps):
        if isinstance(step, Create):
            name = f"{step.object.metadata.generate_name}{len(found)}{number}"
            found[name] = with_meta(step.object, name=name, generate_name="", uid=name)
        elif isinstance(step, Change):
            found[step.before.metadata.name] = step.after
        elif isinstance(step, Delete):
            del found[step.object.metadata.name]
    return list(found.values())


def endpoints(svc: Service, pods: list[Pod], present: Endpoints | None) -> Plan:
    return reconcile_endpoints(svc, find_members(svc, pods), present)


def conditions(one: EndpointSlice) -> dict[str, tuple[bool | None, bool | None, bool | None]]:
    return {
        e.target_ref.name: (e.conditions.ready, e.conditions.serving, e.conditions.terminating)
        for e in one.endpoints
        if e.target_ref is not None
    }


def test_slice_names_each_pod_with_its_conditions() -> None:
    pods = [
        pod("a", ip="10.0.0.1"),
        pod("b", ip="10.0.0.2", ready=False),
        pod("c", ip="10.0.0.3", deleting=True),
        pod("d", ip="10.0.0.4", deleting=True, ready=False),
        pod("e", ip=""),
        pod("f", ip="10.0.0.6", phase="Failed"),
        pod("g", ip="10.0.0.7", labels={"app": "other"}),
    ]
    (one,) = stored(decide(service(), pods))
    # Source: Kubernetes, "EndpointSlices", section "Conditions": ready = serving and not terminating.
    assert conditions(one) == {
        "a": (True, True, False),
        "b": (False, False, False),
        "c": (False, True, True),
        "d": (False, False, True),
    }
    assert one.metadata.labels == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert [(p.name, p.port, p.protocol) for p in one.ports] == [("http", 8000, "TCP")]
    assert (one.address_type, one.endpoints[0].addresses, one.endpoints[0].node_name) == (
        "IPv4",
        ("10.0.0.1",),
        "n1",
    )


def test_nothing_changes_when_nothing_changed() -> None:
    pods = [pod("a"), pod("b", ready=False)]
    slices = stored(decide(service(), pods))
    assert decide(service(), pods, slices) == Plan()


def test_pod_that_becomes_ready_changes_its_slice_in_place() -> None:
    slices = stored(decide(service(), [pod("a", ready=False)]))
    after = stored(decide(service(), [pod("a")], slices), slices)
    assert [one.metadata.name for one in after] == [one.metadata.name for one in slices]
    assert conditions(after[0]) == {"a": (True, True, False)}


def test_no_slice_has_more_than_a_hundred_endpoints_and_endpoints_stay_where_they_are() -> None:
    pods = [pod(f"p{n:03}", ip=f"10.0.1.{n}") for n in range(150)]
    slices = stored(decide(service(), pods))
    assert sorted(len(one.endpoints) for one in slices) == [50, MAX_ENDPOINTS]
    fewer = stored(decide(service(), pods[10:], slices), slices)
    where = {uid: one.metadata.name for one in slices for uid in _uids(one)}
    assert all(where[uid] == one.metadata.name for one in fewer for uid in _uids(one))
    assert sum(len(one.endpoints) for one in fewer) == 140


def _uids(one: EndpointSlice) -> list[str]:
    return [e.target_ref.uid for e in one.endpoints if e.target_ref is not None]


def test_service_without_endpoints_keeps_one_empty_slice() -> None:
    (empty,) = stored(decide(service(), []))
    assert (empty.endpoints, empty.ports) == ((), ())
    slices = stored(decide(service(), [pod("a")], [empty]), [empty])
    assert [len(one.endpoints) for one in slices] == [1]
    assert [len(one.endpoints) for one in stored(decide(service(), [], slices), slices)] == [0]


def test_named_target_port_is_looked_up_in_each_pod() -> None:
    svc = service(ports=(ServicePort(port=80, protocol="TCP", target_port="web"),))
    old = with_ports(pod("a", ip="10.0.0.1"), ContainerPort(name="web", container_port=8000, protocol="TCP"))
    new = with_ports(pod("b", ip="10.0.0.2"), ContainerPort(name="web", container_port=9000, protocol="TCP"))
    none = pod("c", ip="10.0.0.3")
    slices = stored(decide(svc, [old, new, none]))
    assert sorted((tuple(p.port for p in one.ports), len(one.endpoints)) for one in slices) == [
        ((), 1),
        ((8000,), 1),
        ((9000,), 1),
    ]


def test_target_port_is_the_service_port_when_it_is_absent() -> None:
    (port,) = resolve_ports((ServicePort(port=80),), pod())
    assert (port.port, port.protocol) == (80, "TCP")


def test_target_name_is_found_only_for_the_same_protocol() -> None:
    udp = with_ports(pod(), ContainerPort(name="dns", container_port=53, protocol="UDP"))
    assert resolve_ports((ServicePort(port=53, protocol="TCP", target_port="dns"),), udp) == ()


def test_unready_pods_are_published_where_the_service_says_so() -> None:
    (one,) = stored(decide(service(publish_not_ready=True), [pod("a", ready=False), pod("b", deleting=True)]))
    assert conditions(one) == {"a": (True, False, False), "b": (True, True, True)}


def test_headless_service_labels_its_slices_and_gives_hostnames() -> None:
    named = pod("a")
    named = msgspec.structs.replace(
        named, spec=msgspec.structs.replace(named.spec, hostname="zero", subdomain="web")
    )
    (one,) = stored(decide(service(headless=True), [named]))
    assert one.metadata.labels["service.kubernetes.io/headless"] == ""
    assert one.endpoints[0].hostname == "zero"


def test_services_without_selector_and_aliases_have_no_endpoints_of_ours() -> None:
    assert not has_endpoints(service(selector={}))
    alias = service()
    alias = msgspec.structs.replace(alias, spec=msgspec.structs.replace(alias.spec, type="ExternalName"))
    assert not has_endpoints(alias)
    assert has_endpoints(service())


def test_endpoints_object_splits_ready_from_not_ready_and_leaves_terminating_pods_out() -> None:
    pods = [
        pod("a", ip="10.0.0.1"),
        pod("b", ip="10.0.0.2", ready=False),
        pod("c", ip="10.0.0.3", deleting=True),
    ]
    (step,) = endpoints(service(labels={"team": "x"}), pods, None).steps
    assert isinstance(step, Create)
    made = step.object
    assert isinstance(made, Endpoints)
    (subset,) = made.subsets
    assert [a.ip for a in subset.addresses] == ["10.0.0.1"]
    assert [a.ip for a in subset.not_ready_addresses] == ["10.0.0.2"]
    assert made.metadata.labels == {"team": "x", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    assert endpoints(service(labels={"team": "x"}), pods, made) == Plan()


def test_endpoints_object_is_emptied_not_deleted() -> None:
    (step,) = endpoints(service(), [pod("a")], None).steps
    assert isinstance(step, Create)
    (change,) = endpoints(service(), [], step.object).steps
    assert isinstance(change, Change)
    assert change.after.subsets == ()
