"""What a container is: flags and image together; and what sandbox and container that means."""

from __future__ import annotations

from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.container.plan import Mount
from pinnace.engine.merge import merge, merge_pairs, parse_signal
from pinnace.engine.request import RunRequest, parse_exec, parse_run
from pinnace.engine.specs import NetworkFacts, compute_container, compute_limits, compute_sandbox
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.kube.objects.pinnace_v1 import Container, ContainerLimits, ContainerSpec
from pinnace.oci.config import ContainerConfig

ID = "ab12" * 16
FACTS = NetworkFacts("10.96.0.10", "10.244.0.1", "nameserver 1.1.1.1\nsearch corp.example\n")


def merged(image: ContainerConfig = ContainerConfig(cmd=("sh",)), **flags: Any) -> ContainerSpec:
    return merge(RunRequest(image="bb", **flags), "sha256:1", image, name="web", cpus=2).spec


BOTH = ContainerConfig(entrypoint=("serve",), cmd=("--help",))


# Source: Docker's documentation, Dockerfile reference, "Understand how CMD and ENTRYPOINT interact".
@pytest.mark.parametrize(
    ("image", "flags", "expected"),
    [
        (BOTH, {}, (("serve",), ("--help",))),
        (BOTH, {"command": ("-v",)}, (("serve",), ("-v",))),
        (BOTH, {"entrypoint": "sh"}, (("sh",), ())),
        (BOTH, {"entrypoint": "sh", "command": ("-c", "x")}, (("sh",), ("-c", "x"))),
        (BOTH, {"entrypoint": "", "command": ("id",)}, ((), ("id",))),
        (ContainerConfig(cmd=("sh",)), {}, ((), ("sh",))),
    ],
)
def test_entrypoint_and_command(image: ContainerConfig, flags: dict[str, Any], expected: object) -> None:
    spec = merged(image, **flags)
    assert (spec.entrypoint, spec.command) == expected


@pytest.mark.parametrize(("image", "entrypoint"), [(ContainerConfig(), None), (BOTH, "")])
def test_nothing_to_run_is_refused(image: ContainerConfig, entrypoint: str | None) -> None:
    with pytest.raises(UserError, match="no command specified"):
        merged(image, entrypoint=entrypoint)


def test_environment_and_labels_of_the_image_yield_to_the_flags() -> None:
    spec = merged(
        ContainerConfig(cmd=("sh",), env=("PATH=/bin", "A=1"), labels={"a": "1", "b": "1"}),
        env=("A=2", "B"),
        labels=("b=2", "c"),
    )
    assert spec.env == ("PATH=/bin", "A=2", "B=")
    assert spec.labels == {"a": "1", "b": "2", "c": ""}


def test_a_variable_without_a_name_is_refused() -> None:
    with pytest.raises(UserError, match="invalid environment variable"):
        merge_pairs(("=x",))


def test_without_memory_swap_as_much_swap_as_memory_may_be_used() -> None:
    assert merged(memory="64m").limits == ContainerLimits(
        memory_bytes=67108864, memory_swap_bytes=134217728, shm_bytes=67108864
    )


def test_ports_mean_nothing_without_the_bridge_and_the_person_is_told() -> None:
    result = merge(RunRequest(image="bb", publish=("80:80",), network="host"), "i", BOTH, name="web", cpus=2)
    assert (result.spec.ports, len(result.warnings)) == ((), 1)


def test_all_exposed_ports_can_be_published() -> None:
    spec = merged(
        ContainerConfig(cmd=("sh",), exposed_ports={"80/tcp": {}, "53/udp": {}}),
        publish_all=True,
        publish=("8080:80",),
    )
    assert [(p.container_port, p.protocol, p.host_port) for p in spec.ports] == [
        (80, "tcp", 8080),
        (53, "udp", 0),
    ]


def test_stdin_closes_with_its_first_client_only_when_one_is_attached() -> None:
    assert merged(stdin=True, attached=True).stdin_once
    assert not merged(stdin=True).stdin_once


@pytest.mark.parametrize(
    "flags",
    [
        {"rm": True, "restart": "always"},
        {"network": "my-net"},
        {"network": "host", "hostname": "x1"},
        {"workdir": "relative"},
        {"labels": ("=x",)},
        {"cap_add": ("FLY",)},
        {"security_opt": ("apparmor=x",)},
        {"sysctls": ("vm.swappiness=1",)},
        {"add_host": ("x",)},
        {"stop_signal": "SIGFOO"},
        {"pid": "container:x"},
        {"memory": "64m", "memory_reservation": "128m"},
    ],
)
def test_flags_that_cannot_be_used_are_refused(flags: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        merged(**flags)


def container(**changes: Any) -> Container:
    return Container(
        metadata=ObjectMeta(name=ID), spec=ContainerSpec(name="web", image_id="sha256:1", **changes)
    )


def test_on_the_bridge_our_name_server_is_asked_and_the_hosts_search_domains_stay() -> None:
    sandbox = compute_sandbox(container(limits=ContainerLimits(shm_bytes=1 << 20)), FACTS)
    assert sandbox.resolv_conf == "nameserver 10.96.0.10\nsearch corp.example\n"
    assert (sandbox.id, sandbox.hostname, sandbox.network, sandbox.shm_bytes) == (
        f"ctr-{ID}",
        ID[:12],
        "pod",
        1 << 20,
    )


def test_with_the_hosts_network_name_and_resolver_are_the_hosts() -> None:
    sandbox = compute_sandbox(container(network="host"), FACTS)
    assert (sandbox.network, sandbox.hostname, sandbox.resolv_conf) == ("host", "", None)


def test_a_host_name_with_dots_has_a_domain_and_host_gateway_is_the_bridge() -> None:
    sandbox = compute_sandbox(container(hostname="web.corp.example", hosts=("up:host-gateway",)), FACTS)
    assert (sandbox.hostname, sandbox.domain) == ("web", "corp.example")
    assert [(entry.ip, entry.names) for entry in sandbox.hosts] == [("10.244.0.1", ("up",))]


def test_mounts_of_each_kind() -> None:
    spec = merged(volumes=("data:/data", "/srv:/srv:ro"), tmpfs=("/run:size=1m,mode=755",))
    made = compute_container(container(mounts=spec.mounts), log_path="/l", volumes={"/data": "/v/data/_data"})
    assert made.mounts == (
        Mount(target="/data", source="/v/data/_data", options=("rbind", "rprivate", "rw")),
        Mount(target="/srv", source="/srv", options=("rbind", "rprivate", "ro")),
        Mount(target="/run", source="tmpfs", type="tmpfs", options=("noexec", "nosuid", "nodev", "size=1m", "mode=755")),
    )  # fmt: skip


def test_limits_that_are_not_given_are_none() -> None:
    limits = compute_limits(ContainerSpec(limits=ContainerLimits(cpu_milli=1500)))
    assert (limits.cpu_limit_milli, limits.memory_bytes, limits.pids) == (1500, None, None)


def test_privileged_and_security_options() -> None:
    assert compute_container(container(privileged=True), log_path="", volumes={}).seccomp == "unconfined"
    made = compute_container(
        container(security=("no-new-privileges", "seccomp=unconfined")), log_path="", volumes={}
    )
    assert (made.no_new_privileges, made.seccomp) == (True, "unconfined")


@pytest.mark.parametrize(("text", "expected"), [("KILL", 9), ("sigterm", 15), ("15", 15), ("SIGUSR1", 10)])
def test_signals_by_name_and_number(text: str, expected: int) -> None:
    assert parse_signal(text) == expected


def test_a_request_with_a_field_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match="unknown field"):
        parse_run(b'{"image": "bb", "gravity": true}')
    with pytest.raises(UserError, match="no exec command"):
        parse_exec(b'{"command": []}')
