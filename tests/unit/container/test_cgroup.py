"""Versions, drivers, names and limits of cgroups, decided from text. Expected values: kernel pages, runc's and kubelet's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnace.base.clock import FrozenClock
from pinnace.base.errors import HostError
from pinnace.container.cgroup import (
    CgroupHost,
    Cgroups,
    Limits,
    compute_quota_us,
    compute_shares,
    compute_weight,
    parse_mountinfo,
    render_resources,
)

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = (
    "24 23 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "25 24 0:21 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "26 24 0:22 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "27 24 0:23 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd\n"
    "28 24 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
HOST_V1 = CgroupHost(1, "cgroupfs", {"cpu": "/c"}, swap_accounting=True)
HOST_V2 = CgroupHost(2, "systemd", {"": "/sys/fs/cgroup"}, swap_accounting=True)


def test_unified_tree_under_systemd_uses_its_driver() -> None:
    assert parse_mountinfo(V2, systemd=True) == CgroupHost(2, "systemd", {"": "/sys/fs/cgroup"})
    assert parse_mountinfo(V2, systemd=False).driver == "cgroupfs"


def test_hybrid_is_v1_also_under_systemd() -> None:
    host = parse_mountinfo(HYBRID, systemd=True)
    assert (host.version, host.driver, host.describe()) == (1, "cgroupfs", "cgroup v1, cgroupfs driver")
    assert host.mounts == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "memory": "/sys/fs/cgroup/memory",
        "name=systemd": "/sys/fs/cgroup/systemd",
        "unified": "/sys/fs/cgroup/unified",
    }


def test_no_cgroups_is_an_error_with_a_hint() -> None:
    with pytest.raises(HostError, match="no cgroup file system") as caught:
        parse_mountinfo("24 23 0:20 / /proc rw - proc proc rw\n", systemd=False)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("milli", "shares"), [(0, 2), (1, 2), (100, 102), (500, 512), (1000, 1024), (1_000_000, 262_144)]
)
def test_shares_for_a_request(milli: int, shares: int) -> None:
    assert compute_shares(milli) == shares


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (102, 4), (262_144, 10_000)])
def test_weight_is_what_runc_makes_of_shares(shares: int, weight: int) -> None:
    assert compute_weight(shares) == weight


@pytest.mark.parametrize(("milli", "quota"), [(1, 1000), (250, 25_000), (1500, 150_000)])
def test_quota_for_a_limit(milli: int, quota: int) -> None:
    assert compute_quota_us(milli) == quota


def test_limits_as_oci_resources() -> None:
    limits = Limits(
        cpu_request_milli=500, cpu_limit_milli=250, memory_bytes=100, pids=7, oom_group=True, cpuset_cpus="0"
    )
    assert render_resources(limits, HOST_V2) == {
        "cpu": {"shares": 512, "quota": 25_000, "period": 100_000, "cpus": "0"},
        "memory": {"limit": 100, "swap": 100},
        "pids": {"limit": 7},
        "unified": {"memory.oom.group": "1"},
    }
    assert "unified" not in render_resources(limits, HOST_V1)
    assert render_resources(Limits(), HOST_V1) == {}
    assert render_resources(Limits(memory_bytes=5), CgroupHost(1, "cgroupfs", {})) == {"memory": {"limit": 5}}


def test_names_with_the_systemd_driver_nest_by_dashes() -> None:
    cgroups = Cgroups(HOST_V2, "pinnace", FrozenClock())
    assert cgroups.oci_path("pod-a-b", "pod-a-b-web-0") == "pinnace-pod_a_b.slice:pinnace:pod-a-b-web-0"
    assert cgroups.folder("pod-a-b", "pod-a-b-web-0") == (
        "/pinnace.slice/pinnace-pod_a_b.slice/pinnace-pod-a-b-web-0.scope"
    )
    assert cgroups.monitors_folder == "/pinnace.slice/pinnace-monitors.scope"


def test_names_with_cgroupfs_are_a_path() -> None:
    cgroups = Cgroups(HOST_V1, "pinnace", FrozenClock())
    assert cgroups.oci_path("pod-a", "web") == cgroups.folder("pod-a", "web") == "/pinnace/pod-a/web"
    assert cgroups.oci_path("", "web") == "/pinnace/web"


def _tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_usage_is_read_from_v2(tmp_path: Path) -> None:
    _tree(
        tmp_path / "pinnace/p/c",
        {
            "cpu.stat": "usage_usec 1500\nuser_usec 1000\n",
            "memory.current": "1000\n",
            "memory.stat": "anon 1\ninactive_file 300\n",
            "pids.current": "4\n",
            "memory.events": "low 0\noom 1\noom_kill 2\n",
        },
    )
    cgroups = Cgroups(CgroupHost(2, "cgroupfs", {"": str(tmp_path)}), "pinnace", FrozenClock())
    usage = cgroups.read_usage("/pinnace/p/c")
    assert usage is not None
    assert (usage.cpu_ns, usage.memory_bytes, usage.memory_working_set_bytes, usage.pids) == (
        1_500_000,
        1000,
        700,
        4,
    )
    assert cgroups.count_oom_kills("/pinnace/p/c") == 2
    assert cgroups.read_usage("/pinnace/p/gone") is None
    assert cgroups.count_oom_kills("/pinnace/p/gone") == 0


def test_usage_is_read_from_v1(tmp_path: Path) -> None:
    _tree(tmp_path / "cpuacct/p/c", {"cpuacct.usage": "77\n"})
    _tree(
        tmp_path / "memory/p/c",
        {
            "memory.usage_in_bytes": "10\n",
            "memory.stat": "total_inactive_file 30\n",
            "memory.oom_control": "under_oom 0\noom_kill 1\n",
        },
    )
    host = CgroupHost(1, "cgroupfs", {name: str(tmp_path / name) for name in ("cpuacct", "memory", "pids")})
    usage = Cgroups(host, "p", FrozenClock()).read_usage("/p/c")
    assert usage is not None
    assert (usage.cpu_ns, usage.memory_working_set_bytes, usage.pids) == (77, 0, 0)
    assert Cgroups(host, "p", FrozenClock()).count_oom_kills("/p/c") == 1
