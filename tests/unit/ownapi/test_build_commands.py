"""What a build's request says of its commands."""

from __future__ import annotations

from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.build.run_options import CommandRules
from pinnace.container.cgroup import Limits
from pinnace.container.plan import Rlimit
from pinnace.ownapi.build_commands import read_command_rules, read_limits, read_run_options


def test_request_that_says_nothing() -> None:
    assert read_command_rules({}) == CommandRules()
    options = read_run_options({})
    assert (options.limits, options.rlimits, options.shm_bytes) == (Limits(), (), 0)
    assert (options.secrets, options.ssh) == ({}, {})


def test_host_network_for_the_whole_build_allows_it() -> None:
    assert read_command_rules({"commands": {"network": "host"}}).allow == {"network.host"}
    assert read_command_rules({"commands": {"network": "none"}}).allow == frozenset()


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ({"memory": "512m"}, Limits(memory_bytes=512 << 20)),
        ({"memory": "512m", "memory_swap": "1g"}, Limits(memory_bytes=512 << 20, memory_swap_bytes=1 << 30)),
        ({"cpu_shares": "512"}, Limits(cpu_shares=512)),
        ({"cpu_quota": "50000"}, Limits(cpu_limit_milli=500)),
        ({"cpu_quota": "50000", "cpu_period": "25000"}, Limits(cpu_limit_milli=2000)),
        ({"cpu_quota": "-1"}, Limits()),
        ({"cpuset_cpus": "0", "cpuset_mems": "0"}, Limits(cpuset_cpus="0", cpuset_mems="0")),
    ],
)
def test_limits(commands: dict[str, Any], expected: Limits) -> None:
    assert read_limits(commands) == expected


def test_hosts_ulimits_and_shared_memory() -> None:
    rules = read_command_rules({"commands": {"add_host": ["db:10.0.0.3", "six=[::1]", "me:host-gateway"]}})
    assert rules.hosts == (("db", "10.0.0.3"), ("six", "::1"), ("me", "host-gateway"))
    options = read_run_options({"commands": {"ulimit": ["nofile=1:2"], "shm_size": "1g"}})
    assert (options.rlimits, options.shm_bytes) == ((Rlimit("RLIMIT_NOFILE", 1, 2),), 1 << 30)


def test_secrets_are_shown_by_nothing_that_prints_them() -> None:
    options = read_run_options({"secrets": {"a": "c2VjcmV0"}})
    assert options.secrets == {"a": b"secret"}
    assert "secret'" not in repr(options)
    assert "c2Vj" not in repr(options)


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ({"network": "mine"}, "there is no such network for builds"),
        ({"allow": ["everything"]}, "invalid entitlement"),
        ({"add_host": ["db"]}, "bad format for add-host: 'db'"),
    ],
)
def test_rules_that_cannot_be(commands: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_command_rules({"commands": commands})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"commands": {"memory": "1m"}}, "Minimum memory limit"),
        ({"commands": {"cpu_shares": "many"}}, "--cpu-shares: 'many' is not a number"),
        ({"commands": {"ulimit": ["x"]}}, "invalid ulimit argument: x"),
        ({"secrets": {"a": "%%"}}, "secrets are base64 texts by id"),
        ({"secrets": {"a": "QUFB" * 200_000}}, "invalid secret a"),
    ],
)
def test_options_that_cannot_be(body: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_run_options(body)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("db:10.0.0.3", ("db", "10.0.0.3")),
        ("six=[::1]", ("six", "::1")),
        ("me:host-gateway", ("me", "host-gateway")),
    ],
)
def test_line_of_the_hosts_file(host: str, expected: tuple[str, str]) -> None:
    assert read_command_rules({"commands": {"add_host": [host]}}).hosts == (expected,)


@pytest.mark.parametrize("host", ["db", "db:", ":1.2.3.4", "db:notanip", "db:1.2.3"])
def test_line_of_the_hosts_file_without_an_address_is_refused(host: str) -> None:
    with pytest.raises(UserError) as caught:
        read_command_rules({"commands": {"add_host": [host]}})
    assert "--add-host NAME:IP" in caught.value.hint
