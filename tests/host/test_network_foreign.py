"""Other programs' firewalls: one written by hand, and Docker's own with dockerd running."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pinnace.base.clock import SystemClock
from pinnace.network.foreign import ForeignFirewalls
from tests.host.network_bench import Bench, ask, bench, eventually, own_namespace, service, sh, slice_of

CLUSTER_IP = "10.97.0.100"


@asynccontextmanager
async def guarded(**options: object) -> AsyncIterator[tuple[Bench, ForeignFirewalls, list[str]]]:
    reports: list[str] = []
    async with bench() as b:
        foreign = ForeignFirewalls(b.network, SystemClock(), on_report=reports.append, **options)  # type: ignore[arg-type]
        try:
            yield b, foreign, reports
        finally:
            await foreign.remove_all()


async def reaches(client: str) -> bool:
    try:
        return (await ask(CLUSTER_IP, 80, netns=client, timeout_s=0.5)).startswith("one")
    except OSError:
        return False


async def test_chain_that_drops_gets_our_rules_again_whenever_it_loses_them(namespace: None) -> None:
    async with guarded(ports=(("tcp", 6443),)) as (b, foreign, reports):
        one, client = await b.pod("one"), await b.pod("client", port=None)
        b.api.put(service(), slice_of("web", one.ip))
        await b.settle()
        sh("nft add table inet pt-firewall")
        try:
            for chain in ("forward", "input"):
                sh(f"nft add chain inet pt-firewall {chain} {{ type filter hook {chain} priority 0; }}")
            sh("nft add rule inet pt-firewall forward counter drop")
            assert not await reaches(client.netns)
            await foreign.start()
            assert await reaches(client.netns)
            assert foreign.status() == (f"inet pt-firewall forward: 2 accept rules for {b.network.bridge}",)
            sh("nft flush chain inet pt-firewall forward")
            sh("nft add rule inet pt-firewall forward counter drop")
            await eventually(lambda: len(reports) == 2)
            assert reports == [
                f"inet pt-firewall forward drops packets of pods: accept rules for {b.network.bridge} were put there",
                f"inet pt-firewall forward drops packets of pods: accept rules for {b.network.bridge} were put back there",
            ]
            assert await reaches(client.netns)
            sh("nft add rule inet pt-firewall input drop")
            await eventually(lambda: "tcp dport 6443 accept" in sh("nft list chain inet pt-firewall input"))
            await foreign.remove_all()
            assert b.network.bridge + ":" not in sh("nft list table inet pt-firewall")
        finally:
            sh("nft delete table inet pt-firewall")


async def test_host_without_firewalls_is_left_as_it_is(namespace: None) -> None:
    async with guarded() as (_, foreign, reports):
        before = sh("nft list tables")
        await foreign.start()
        assert foreign.status() == ()
        assert sh("nft list tables") == before
        assert reports == []


@pytest.fixture
def namespace() -> Iterator[None]:
    """A namespace of its own: dropping firewalls harm nobody else on this machine, and are gone with it."""
    with own_namespace():
        yield


@pytest.fixture
def dockerd(namespace: None) -> Iterator[str]:
    """A Docker daemon with folders, bridge and range of its own."""
    for program in ("dockerd", "iptables-nft"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pt-dockerd-"))
    sh("ip link add pt-docker0 type bridge")
    sh("ip addr add 10.245.250.1/24 dev pt-docker0")
    # Docker drops what it does not know only where it switched forwarding on itself.
    sh("sysctl -qw net.ipv4.ip_forward=0")
    argv = ["dockerd", "--bridge", "pt-docker0", "--host", f"unix://{folder}/docker.sock"]
    argv += ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*argv, "--storage-driver", "vfs"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 40
        while not (folder / "docker.sock").exists() or "DOCKER-USER" not in sh(
            "iptables-nft -S", check=False
        ):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.skip("dockerd does not start here: " + (folder / "log").read_text()[-400:])
            time.sleep(0.1)
        yield "iptables-nft"
    finally:
        process.terminate()
        process.wait(30)
        mounts = [
            line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line
        ]
        for mount in reversed(mounts):
            sh(f"umount -l {mount}", check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
async def test_docker_on_the_same_host_leaves_pods_reachable(dockerd: str) -> None:
    async with guarded() as (b, foreign, reports):
        one, client = await b.pod("one"), await b.pod("client", port=None)
        b.api.put(service(), slice_of("web", one.ip))
        await b.settle()
        assert "-P FORWARD DROP" in sh(f"{dockerd} -S FORWARD")
        assert not await reaches(client.netns)
        await foreign.start()
        assert await reaches(client.netns)
        assert any("DOCKER-USER (iptables-nft): 2 accept rules" in line for line in foreign.status())
        sh(f"{dockerd} -F DOCKER-USER")
        assert not await reaches(client.netns)
        await eventually(lambda: any("put back" in report for report in reports))
        assert await reaches(client.netns)
        await foreign.remove_all()
        assert b.network.bridge not in sh(f"{dockerd} -S")
