"""From an applied pod to Ready, one at a time and a hundred replicas at once; memory per container.

Run: python -m benchmarks.pods
"""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks.harness import Bench, Figures, bench, median, percentile, pids_of, read_pss

PODS = 40
REPLICAS = 100
MIB = 1 << 20


def main() -> Figures:
    figures = Figures("Pods")
    with bench("bench-pods") as one:
        one.up("--node-capacity", "cpu=64,memory=256Gi")
        one.bring_image()
        _one_pod(one, "warm-up")
        times = [_one_pod(one, f"pod-{number}") for number in range(PODS)]
        figures.add("pod applied to Ready, median", f"{median(times):.3f} s")
        figures.add(
            "pod applied to Ready, p99",
            f"{percentile(times, 0.99):.3f} s",
            "5 s (Kubernetes' objective)",
            "<= 0.25 s",
        )
        for number in range(PODS):
            one.client.delete(f"/api/v1/namespaces/default/pods/pod-{number}?gracePeriodSeconds=0")
        one.client.delete("/api/v1/namespaces/default/pods/warm-up?gracePeriodSeconds=0")
        _wait_gone(one)
        before = sum(read_pss(pid) for pid in pids_of("pinnace.daemon", str(one.folder)))
        took = _replicas(one, REPLICAS)
        figures.add(f"{REPLICAS} replicas Ready", f"{took:.2f} s", "", "<= 6 s")
        time.sleep(2.0)
        monitors = sum(read_pss(pid) for pid in pids_of("conmon", str(one.folder)))
        after = sum(read_pss(pid) for pid in pids_of("pinnace.daemon", str(one.folder)))
        each = (monitors + after - before) / REPLICAS / MIB
        figures.add("memory per running container", f"{each:.2f} MiB", "", "<= 1.5 MiB")
        figures.add("of it, the monitor", f"{monitors / REPLICAS / MIB:.2f} MiB")
        figures.add("daemon with 100 pods", f"{after / MIB:.0f} MiB")
    return figures


def _pod(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "app", "image": "bb:v1"}]},
    }


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ())
    )


def _one_pod(one: Bench, name: str) -> float:
    """Return the seconds from sending the pod to seeing it Ready on a watch that was open before."""
    seen = threading.Event()
    opened = one.client.open(
        "GET", f"/api/v1/namespaces/default/pods?watch=1&fieldSelector=metadata.name={name}"
    )

    def follow() -> None:
        for change in opened.lines():
            if change["type"] in ("ADDED", "MODIFIED") and _is_ready(change["object"]):
                seen.set()
                return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    began = time.perf_counter()
    one.client.post("/api/v1/namespaces/default/pods", _pod(name))
    if not seen.wait(30):
        raise SystemExit(f"pod {name} did not become Ready within 30 s")
    took = time.perf_counter() - began
    opened.connection.close()
    return took


def _replicas(one: Bench, count: int) -> float:
    spec = _pod("x")["spec"]
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "many"},
        "spec": {
            "replicas": count,
            "selector": {"matchLabels": {"app": "many"}},
            "template": {"metadata": {"labels": {"app": "many"}}, "spec": spec},
        },
    }
    began = time.perf_counter()
    one.client.post("/apis/apps/v1/namespaces/default/deployments", body)
    path = "/apis/apps/v1/namespaces/default/deployments?watch=1&fieldSelector=metadata.name=many"
    for change in one.watch(path):
        if change["object"].get("status", {}).get("readyReplicas", 0) >= count:
            return time.perf_counter() - began
    raise SystemExit("the watch ended")


def _wait_gone(one: Bench) -> None:
    for _ in range(600):
        if not one.client.get("/api/v1/namespaces/default/pods")["items"]:
            return
        time.sleep(0.05)
    raise SystemExit("pods did not go")


if __name__ == "__main__":
    main()
