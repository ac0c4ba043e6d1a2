"""Sections about the Service: pods on one image, requests spread over them, pods that die and are replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from examples.demo.stage import DEPLOYMENT, EXAMPLE, Stage, is_ready
from examples.load import Load

RATE_PER_S = 40.0
BACK_S = 20.0  # within this, a pod must be replaced
CRASH_S = 2.0  # within this, no request may reach a process that was killed


async def apply(stage: Stage) -> None:
    """`kubectl apply` of the manifest, as it is or with another port."""
    stage.report.section(
        "Deploy", "Deployment, Service and autoscaler in one manifest, with the real kubectl."
    )
    manifest = EXAMPLE / "service.yaml"
    if stage.port != 80:
        stage.report.note(f"port 80 is taken on this host: the Service takes {stage.port} instead")
        changed = manifest.read_text().replace("port: 80\n", f"port: {stage.port}\n")
        manifest = stage.run_folder / "service.yaml"
        manifest.write_text(changed)
    began = time.monotonic()
    await stage.kubectl("apply", "-f", str(manifest))
    await stage.kubectl("rollout", "status", f"deployment/{DEPLOYMENT}", "--timeout=60s", last=1)
    seconds = time.monotonic() - began
    await stage.kubectl("get", "pods,services")
    await stage.kubectl("get", "hpa")
    pods = await stage.pods()
    images = {pod["status"]["containerStatuses"][0]["imageID"] for pod in pods}
    stage.report.claim(
        f"{len(pods)} pods on one image are ready {seconds:.1f} s after `apply`",
        len(pods) == 3 and len(images) == 1 and all(is_ready(pod) for pod in pods),
    )


async def spread(stage: Stage) -> None:
    """Requests reach all pods."""
    stage.report.section("Spread", "Every request goes through the Service, on a connection of its own.")
    load = Load(stage.url, rate_per_s=100).start()
    await load.wait_for(300)
    tally = await load.stop()
    stage.report.note(f"{stage.url}: {tally.describe()}")
    for pod, count in sorted(tally.pods.items()):
        stage.report.note(f"   {pod}  {count}  {'▇' * (count // 8)}")
    fair = tally.requests / len(tally.pods)
    stage.report.claim(
        f"{len(tally.pods)} pods answered, none less than half of its share, {tally.failed} failed",
        len(tally.pods) >= 2 and min(tally.pods.values()) > fair / 2 and not tally.failed,
    )
    pod = (await stage.pods())[0]["metadata"]["name"]
    code = (
        "import urllib.request as u; "
        f"print(u.urlopen('http://ml-inference-service.default.svc.cluster.local:{stage.port}/healthz').read().decode())"
    )
    done = await stage.kubectl("exec", pod, "--", "python3", "-c", code)
    stage.report.claim("inside of the cluster, the Service has a name", '"ready": true' in done.out)


async def delete_pod(stage: Stage) -> None:
    """A pod is deleted while requests go on."""
    stage.report.section(
        "A pod is deleted", "Requests go on; the pod leaves the Service first, and ends then."
    )
    victim = (await stage.pods())[0]["metadata"]["name"]
    load = Load(stage.url, rate_per_s=RATE_PER_S).start()
    await load.wait_for(20)
    began = time.monotonic()
    await stage.kubectl("delete", "pod", victim)
    seconds = await wait_for_pods(stage, began, lambda pods: victim not in names_of(pods))
    await load.wait_for(20)
    tally = await load.stop()
    stage.report.claim(f"{victim} is replaced, all pods ready after {seconds:.1f} s", seconds < BACK_S)
    stage.report.claim(f"{tally.describe()}", tally.failed == 0)


async def kill_process(stage: Stage) -> None:
    """A container's process is killed while requests go on."""
    stage.report.section("A process is killed", "kill -9, as a crash does it: no time to say goodbye.")
    victim = (await stage.pods())[0]
    name = victim["metadata"]["name"]
    pid = find_process(victim["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2])
    load = Load(stage.url, rate_per_s=RATE_PER_S).start()
    await load.wait_for(20)
    stage.report.command(("kill", "-9", str(pid)))
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    killed_at_s = load.now_s
    seconds = await wait_for_pods(stage, began, lambda pods: restarts_of(pods).get(name, 0) >= 1)
    await load.wait_for(20)
    tally = await load.stop()
    await stage.kubectl("get", "pods")
    last_s = max((failure.at_s - killed_at_s for failure in tally.failures), default=0.0)
    stage.report.claim(f"{name} is restarted, all pods ready after {seconds:.1f} s", seconds < BACK_S)
    stage.report.claim(
        f"{tally.describe()}"
        + (f"; the last failure {max(last_s, 0):.2f} s after the kill" if tally.failed else ""),
        tally.failed == 0 or last_s < CRASH_S,
    )


async def wait_for_pods(stage: Stage, began: float, holds: Any, timeout_s: float = 60.0) -> float:
    """Return how long it took until `holds(pods)`, with as many pods as are wanted, all of them ready."""
    while time.monotonic() - began < timeout_s:
        pods = await stage.pods()
        wanted = (await stage.get("deployment", DEPLOYMENT))["spec"]["replicas"]
        if holds(pods) and len(pods) == wanted and all(is_ready(pod) for pod in pods):
            break
        await asyncio.sleep(0.2)
    return time.monotonic() - began


async def wait_until_old_are_gone(stage: Stage, timeout_s: float = 60.0) -> None:
    """Return when no pod of the Deployment is ending any more. Raises: TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while True:
            everything = (await stage.get("pods", "-l", f"app={DEPLOYMENT}"))["items"]
            if not any("deletionTimestamp" in pod["metadata"] for pod in everything):
                return
            await asyncio.sleep(0.2)


def names_of(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def restarts_of(pods: list[dict[str, Any]]) -> dict[str, int]:
    """Return how often each pod's container was restarted, by pod."""
    return {
        pod["metadata"]["name"]: pod["status"].get("containerStatuses", [{}])[0].get("restartCount", 0)
        for pod in pods
    }


def find_process(container_id: str) -> int:
    """Return the pid of a container's first process, by its cgroup. Raises: LookupError."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if container_id in (entry / "cgroup").read_text():
                    pids.append(int(entry.name))
            except OSError:
                continue  # it has ended meanwhile
    if not pids:
        raise LookupError(f"no process belongs to container {container_id}")
    return min(pids)
