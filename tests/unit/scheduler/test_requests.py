"""What a pod asks for, against the examples of Kubernetes' documentation and hand calculation."""

from typing import Any

import msgspec

from pinnace.kube.objects.core_v1 import PodSpec
from pinnace.scheduler.requests import compute_requests, compute_scoring_requests


def container(cpu: str = "", memory: str = "", **more: Any) -> dict[str, Any]:
    requests = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value}
    return {"name": "c", "resources": {"requests": requests}} | more


def spec(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **more: Any) -> PodSpec:
    return msgspec.convert({"containers": containers, "initContainers": init} | more, PodSpec)


def sidecar(cpu: str) -> dict[str, Any]:
    return container(cpu, restartPolicy="Always")


def test_containers_add_up_and_the_largest_init_container_counts() -> None:
    # The example in the comment of kube-scheduler's computePodResourceRequest: CPU 3, memory 3G.
    made = spec(container("2", "1G"), container("1", "1G"), init=(container("2", "1G"), container("2", "3G")))
    assert compute_requests(made) == {"cpu": 3000, "memory": 3_000_000_000}


def test_sidecars_run_beside_the_containers_and_the_init_containers_after_them() -> None:
    # max(containers 1 + sidecars 2, first init 3, second init 4 beside the sidecar of 2 → 6) = 6
    made = spec(container("1"), init=(container("3"), sidecar("2"), container("4")))
    assert compute_requests(made) == {"cpu": 6000}
    assert compute_requests(spec(container("1"), init=(container("3"), sidecar("2")))) == {"cpu": 3000}
    assert compute_requests(spec(container("2"), init=(container("3"), sidecar("2")))) == {"cpu": 4000}


def test_overhead_comes_on_top_and_pod_level_requests_replace_the_sum() -> None:
    assert compute_requests(spec(container("1"), overhead={"cpu": "250m"})) == {"cpu": 1250}
    pod_level = {"requests": {"cpu": "3"}}
    assert compute_requests(spec(container("1", "1Gi"), resources=pod_level, overhead={"cpu": "250m"})) == {
        "cpu": 3250,
        "memory": 1024**3,
    }


def test_bare_numbers_and_extended_resources_are_whole() -> None:
    gpu = {"name": "c", "resources": {"requests": {"nvidia.com/gpu": 1, "cpu": 0.5}}}
    assert compute_requests(spec(gpu)) == {"nvidia.com/gpu": 1, "cpu": 500}


def test_scores_count_a_container_without_requests_for_a_little() -> None:
    assert compute_requests(spec(container())) == {}
    assert compute_scoring_requests(spec(container(), container("1"))) == (1100, 2 * 200 * 1024**2)
    assert compute_scoring_requests(spec(container("0", "0"))) == (0, 0)  # said, not left out
