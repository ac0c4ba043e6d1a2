"""What a pod means for sandbox and container."""

from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.kube.objects.core_v1 import (
    EmptyDirVolumeSource,
    EnvVar,
    PodDNSConfig,
    PodDNSConfigOption,
    PodSecurityContext,
    ResourceRequirements,
    SecurityContext,
    Volume,
    VolumeMount,
)
from pinnace.node.specs import (
    DnsFacts,
    compute_container_spec,
    compute_limits,
    compute_pod_limits,
    compute_resolv_conf,
    compute_sandbox_spec,
)
from tests.unit.node.builders import container, pod

DNS = DnsFacts("10.96.0.10", "cluster.local", "nameserver 9.9.9.9\nsearch example.org\noptions edns0\n")


def spec_of(p, c, **more):  # type: ignore[no-untyped-def]
    given = {
        "image_id": "sha256:1",
        "image_user": "",
        "env": {},
        "volumes": {},
        "termination_file": Path("/t"),
        "log_path": Path("/l"),
        "node_memory_bytes": 8 << 30,
    } | more
    return compute_container_spec(p, c, 0, **given)


def test_names_resolve_in_the_cluster_first() -> None:
    # Source: Kubernetes, "DNS for Services and Pods", ClusterFirst.
    assert compute_resolv_conf(pod(), DNS) == (
        "nameserver 10.96.0.10\n"
        "search default.svc.cluster.local svc.cluster.local cluster.local example.org\n"
        "options ndots:5\n"
    )


def test_the_other_dns_policies() -> None:
    assert (
        compute_resolv_conf(pod(dns_policy="Default"), DNS)
        == "nameserver 9.9.9.9\nsearch example.org\noptions edns0\n"
    )
    own = PodDNSConfig(
        nameservers=("1.1.1.1",), searches=("a.b",), options=(PodDNSConfigOption(name="ndots", value="2"),)
    )
    assert (
        compute_resolv_conf(pod(dns_policy="None", dns_config=own), DNS)
        == "nameserver 1.1.1.1\nsearch a.b\noptions ndots:2\n"
    )


def test_requests_are_shares_and_limits_are_bounds() -> None:
    limits = compute_limits(
        container(
            resources=ResourceRequirements(requests={"cpu": "100m"}, limits={"cpu": "2", "memory": "64Mi"})
        )
    )
    assert (limits.cpu_request_milli, limits.cpu_limit_milli, limits.memory_bytes) == (100, 2000, 64 << 20)


def test_a_pod_is_bounded_only_when_each_container_is() -> None:
    bounded = container("a", resources=ResourceRequirements(limits={"cpu": "1", "memory": "1Mi"}))
    free = container("b", resources=ResourceRequirements(requests={"cpu": "500m"}))
    both = compute_pod_limits(pod(bounded, free))
    assert (both.cpu_request_milli, both.cpu_limit_milli, both.memory_bytes) == (1500, None, None)
    assert compute_pod_limits(pod(bounded)).memory_bytes == 1 << 20


def test_command_replaces_the_entrypoint_and_args_the_cmd_with_variables_expanded() -> None:
    c = container(command=("run", "$(A)"), args=("$(B)",), env=(EnvVar(name="A", value="1"),))
    spec = spec_of(pod(c), c, env={"A": "1"})
    assert (spec.command, spec.args, spec.env) == (("run", "1"), ("$(B)",), ("A=1",))


def test_users_come_from_the_container_then_the_pod() -> None:
    c = container(security_context=SecurityContext(run_as_user=7))
    p = pod(
        c,
        security_context=PodSecurityContext(
            run_as_user=1, run_as_group=2, fs_group=3, supplemental_groups=(4,)
        ),
    )
    spec = spec_of(p, c)
    assert (spec.uid, spec.gid, spec.groups) == (7, 2, (4, 3))


def test_a_root_image_is_refused_where_root_is_not_wanted() -> None:
    c = container(security_context=SecurityContext(run_as_non_root=True))
    with pytest.raises(UserError, match="image will run as root"):
        spec_of(pod(c), c)
    with pytest.raises(UserError, match="non-numeric user"):
        spec_of(pod(c), c, image_user="app")
    assert spec_of(pod(c), c, image_user="1000").id.endswith("-app-0")


def test_a_sub_path_stays_in_its_volume() -> None:
    volume = Volume(name="v", empty_dir=EmptyDirVolumeSource())
    c = container(volume_mounts=(VolumeMount(name="v", mount_path="/m", sub_path="a/b"),))
    assert spec_of(pod(c, volumes=(volume,)), c, volumes={"v": Path("/vol")}).mounts[0].source == "/vol/a/b"
    bad = container(volume_mounts=(VolumeMount(name="v", mount_path="/m", sub_path="../x"),))
    with pytest.raises(UserError, match="leaves the volume"):
        spec_of(pod(bad, volumes=(volume,)), bad, volumes={"v": Path("/vol")})


def test_the_sandbox_has_the_pods_name_and_network() -> None:
    spec = compute_sandbox_spec(pod(subdomain="sub"), DNS)
    assert (spec.hostname, spec.domain, spec.network) == ("web", "sub.default.svc.cluster.local", "pod")
    assert compute_sandbox_spec(pod(host_network=True), DNS).network == "host"
