"""The OCI configuration of a plan. Expected values: the runtime specification's own schema and examples."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pinnace.container.cgroup import CgroupHost, Limits
from pinnace.container.config import DEFAULT_MASKED_PATHS, DaemonRights, render_config, render_process
from pinnace.container.plan import ContainerPlan, Device, Mount, ProcessPlan, Rlimit, User, bind
from pinnace.container.seccomp import render_default_profile

V1 = CgroupHost(1, "cgroupfs", {})
ALL = DaemonRights()


def plan(**changes: Any) -> ContainerPlan:
    basic: dict[str, Any] = {
        "rootfs": "/roots/c1",
        "process": ProcessPlan(
            argv=("sh", "-c", "true"), env=("A=1",), user=User(5, 6, (7,)), capabilities=("CAP_CHOWN",)
        ),
        "cgroups_path": "/pinnace/p/c1",
        "namespaces": {"pid": "", "network": "/run/net", "mount": ""},
        "masked_paths": DEFAULT_MASKED_PATHS,
    }
    return ContainerPlan(**{**basic, **changes})


def render(rights: DaemonRights = ALL, **changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = msgspec.json.decode(render_config(plan(**changes), V1, rights))
    return config


def test_process_section() -> None:
    assert render()["process"] == {
        "terminal": False,
        "user": {"uid": 5, "gid": 6, "additionalGids": [7]},
        "args": ["sh", "-c", "true"],
        "env": ["A=1"],
        "cwd": "/",
        "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"]},
        "noNewPrivileges": False,
    }


def test_namespaces_with_a_path_are_joined_and_the_others_are_new() -> None:
    assert render()["linux"]["namespaces"] == [
        {"type": "mount"},
        {"type": "network", "path": "/run/net"},
        {"type": "pid"},
    ]


def test_hard_limits_and_oom_score_never_ask_for_more_than_the_daemon_has() -> None:
    rights = DaemonRights(frozenset(), {"RLIMIT_NOFILE": 20_000}, oom_score_adj=0, may_raise_limits=False)
    process = ProcessPlan(
        argv=("x",),
        rlimits=(Rlimit("RLIMIT_NOFILE", 1_000_000, 1_000_000), Rlimit("RLIMIT_CORE", -1, -1)),
        oom_score_adj=-997,
        capabilities=("CAP_CHOWN",),
    )
    rendered = render_process(process, rights)
    assert rendered["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "hard": 20_000, "soft": 20_000},
        {"type": "RLIMIT_CORE", "hard": 2**64 - 1, "soft": 2**64 - 1},
    ]
    assert rendered["oomScoreAdj"] == 0
    assert rendered["capabilities"]["effective"] == []
    assert render_process(process, ALL)["oomScoreAdj"] == -997


def test_a_daemon_with_all_rights_may_raise_limits() -> None:
    process = ProcessPlan(argv=("x",), rlimits=(Rlimit("RLIMIT_NOFILE", 5, 9),))
    assert render_process(process, DaemonRights(hard_limits={"RLIMIT_NOFILE": 1}))["rlimits"][0]["hard"] == 9


def test_devices_are_denied_but_for_the_specifications_and_the_given() -> None:
    linux = render(devices=(Device("/dev/nvidia0", "c", 195, 0, access="rw"),))["linux"]
    rules = linux["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert rules[-1] == {"allow": True, "type": "c", "major": 195, "minor": 0, "access": "rw"}
    assert linux["devices"] == [
        {"path": "/dev/nvidia0", "type": "c", "major": 195, "minor": 0, "fileMode": 0o666, "uid": 0, "gid": 0}
    ]
    assert render(privileged=True)["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_own_mount_replaces_the_systems() -> None:
    targets = [mount["destination"] for mount in render(mounts=(Mount("/dev/shm", "/host/shm"),))["mounts"]]
    assert targets.count("/dev/shm") == 1
    assert targets[-1] == "/dev/shm"


def test_host_network_binds_the_hosts_sys() -> None:
    mounts = {mount["destination"]: mount for mount in render(namespaces={"mount": ""})["mounts"]}
    assert mounts["/sys"]["type"] == "bind"
    assert {mount["destination"]: mount for mount in render()["mounts"]}["/sys"]["type"] == "sysfs"


def test_limits_are_in_the_resources() -> None:
    assert render(limits=Limits(pids=3))["linux"]["resources"]["pids"] == {"limit": 3}


def test_shared_mounts_need_a_root_that_receives_them() -> None:
    assert render(mounts=(bind("/a", "/a", propagation="rslave"),))["linux"]["rootfsPropagation"] == "rslave"
    assert "rootfsPropagation" not in render(mounts=(bind("/a", "/a"),))["linux"]


@pytest.mark.parametrize(
    ("changes", "has_filter"), [({}, True), ({"seccomp": "unconfined"}, False), ({"privileged": True}, False)]
)
def test_filter_unless_privileged_or_told_not_to(changes: dict[str, Any], has_filter: bool) -> None:
    assert ("seccomp" in render(**changes)["linux"]) is has_filter


def test_filter_gives_calls_back_with_the_capability_that_guards_them() -> None:
    refused = render_default_profile(())["syscalls"][0]["names"]
    assert {"mount", "bpf", "keyctl", "kexec_load", "init_module"} <= set(refused)
    assert "mount" not in render_default_profile(("CAP_SYS_ADMIN",))["syscalls"][0]["names"]
    clone = [rule for rule in render_default_profile(())["syscalls"] if rule["names"] == ["clone"]]
    assert sorted(rule["args"][0]["value"] for rule in clone) == [
        0x20000,  # CLONE_NEWNS, and so on. Source: Linux, include/uapi/linux/sched.h
        0x2000000,
        0x4000000,
        0x8000000,
        0x10000000,
        0x20000000,
        0x40000000,
    ]


def test_plan_is_described_in_lines() -> None:
    assert plan(mounts=(bind("/srv", "/data", read_only=True),), limits=Limits(pids=3)).describe() == [
        "run sh -c true as 5:6 in /",
        "root /roots/c1",
        "namespaces: mount new, network /run/net, pid new",
        "cgroup /pinnace/p/c1: pids=3",
        "bind /srv -> /data (rbind, rprivate, ro)",
    ]
