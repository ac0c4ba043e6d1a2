"""The other blocks of the quick reference: resources, GPUs, the training job, the Dockerfile, the docker commands."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.product.fixtures import import_images
from tests.product.instance import Object, Product, condition, pod_ready

HERE = Path(__file__).parent
GIB = 1 << 30


def read(name: str) -> str:
    return (HERE / name).read_text()


def unschedulable(pod: Object) -> str:
    """Return why a pod isn't scheduled, "" while nobody said so."""
    for found in pod.get("status", {}).get("conditions", ()):
        if found["type"] == "PodScheduled" and found["status"] == "False":
            return str(found["message"])
    return ""


@pytest.fixture(scope="module")
def training_image(product: Product, root_tar: Path) -> str:
    """`my-training-image:v1`, whose `python` writes its arguments down and waits."""
    wait = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"]
    return product.pinnace("import", str(root_tar), "my-training-image:v1", "-c", f"CMD {as_json(wait)}")


def as_json(words: list[str]) -> str:
    import json

    return json.dumps(words)


def test_the_resource_pod_gets_what_it_asks_for(product: Product, ns: str, training_image: str) -> None:
    product.apply(read("pod_with_resources.yaml"), namespace=ns)
    one = product.until("pods", "ml-training-pod", pod_ready, namespace=ns)
    assert one["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "2", "memory": "8Gi"},
        "limits": {"cpu": "4", "memory": "16Gi"},
    }
    assert product.read_limits("ml-training-pod", ns) == (4.0, 16 * GIB)
    described = product.kubectl("describe", "node")
    assert re.search(
        rf"{ns}\s+ml-training-pod\s+2 \(12%\)\s+4 \(25%\)\s+8Gi \(12%\)\s+16Gi \(25%\)", described
    )


def test_the_gpu_pod_waits_on_a_node_without_gpus_and_says_for_what(
    product: Product, ns: str, training_image: str
) -> None:
    product.apply(read("pod_with_gpu.yaml"), namespace=ns)
    one = product.until("pods", "ml-training-pod", unschedulable, namespace=ns)
    assert unschedulable(one).startswith("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    assert one["status"]["phase"] == "Pending"
    # "K8s automatically sets requests = limits for GPUs"
    assert one["spec"]["containers"][0]["resources"]["requests"]["nvidia.com/gpu"] == "1"
    event = product.until_event("ml-training-pod", "FailedScheduling", namespace=ns)
    assert event["message"] == unschedulable(one)


def test_a_fraction_of_a_gpu_is_invalid(product: Product, ns: str) -> None:
    half = read("pod_with_gpu.yaml").replace("nvidia.com/gpu: 1", "nvidia.com/gpu: 500m")
    done = product.try_kubectl("apply", "-n", ns, "-f", "-", stdin=half)
    assert done.returncode == 1
    assert 'The Pod "ml-training-pod" is invalid' in done.stderr
    assert "spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value" in done.stderr
    assert "must be an integer" in done.stderr


def test_a_gpu_belongs_to_one_pod_at_a_time(make_product: Callable[[], Product], root_tar: Path) -> None:
    own = make_product()
    own.up(
        "--node-capacity",
        "cpu=16,memory=64Gi,nvidia.com/gpu=1",
        "--node-label",
        "accelerator=nvidia-tesla-a100",
    )
    import_images(own, root_tar)
    own.pinnace("tag", "my-model:v1", "my-training-image:v1")
    own.apply(read("pod_with_gpu.yaml"))
    own.until("pods", "ml-training-pod", pod_ready)
    own.apply(read("pod_with_gpu.yaml").replace("ml-training-pod", "second"))
    waits = own.until("pods", "second", unschedulable)
    assert unschedulable(waits).startswith("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    own.kubectl("delete", "pod", "ml-training-pod", "--grace-period=1")
    own.until("pods", "second", pod_ready)
    labels = own.list("nodes")[0]["metadata"]["labels"]
    assert labels["accelerator"] == "nvidia-tesla-a100"


def test_the_autoscaler_block_alone_waits_for_its_target(product: Product, ns: str) -> None:
    product.apply(read("autoscaler.yaml"), namespace=ns)
    hpa = product.until(
        "horizontalpodautoscalers",
        "ml-inference-hpa",
        lambda one: condition(one, "AbleToScale") == "False",
        namespace=ns,
    )
    (able,) = (c for c in hpa["status"]["conditions"] if c["type"] == "AbleToScale")
    assert able["reason"] == "FailedGetScale"
    assert 'deployments.apps "ml-inference" not found' in able["message"]


def test_the_training_job_is_refused_in_clear_words_while_jobs_are_not_served(
    product: Product, ns: str
) -> None:
    if "jobs" in product.kubectl("api-resources", "--api-group=batch"):
        pytest.skip("jobs are served: their own tests say more")
    done = product.try_kubectl("apply", "-n", ns, "-f", "-", stdin=read("pattern_2.yaml"))
    assert done.returncode == 1
    assert 'no matches for kind "Job" in version "batch/v1"' in done.stderr


# --- docker ---------------------------------------------------------------------------------------------------------


APT_GET = '#!/bin/sh\necho "apt-get $*" >> /build.log\n'
PIP = '#!/bin/sh\nmkdir -p /usr/local/lib/python3.10/site-packages/torch\necho "pip $*" >> /build.log\ntouch /usr/local/lib/python3.10/site-packages/torch/__init__.py\n'
PYTHON = "#!/bin/sh\necho \"serving $1 with $(cat /app/model.pt)\"\nls /usr/local/lib/python3.10/site-packages\nls /build.log 2>/dev/null\ntrap 'exit 0' TERM; while :; do sleep 1 & wait $!; done\n"


@pytest.fixture
def ml_folder(product: Product, root_tar: Path, tmp_path: Path) -> Path:
    """A build context for the Dockerfile, and stand-ins for its base images: their apt-get, pip and python are scripts."""
    bases = {"devel": {"apt-get": APT_GET, "pip": PIP}, "runtime": {"python": PYTHON}}
    for flavour, scripts in bases.items():
        tar = tmp_path / f"{flavour}.tar"
        shutil.copy(root_tar, tar)
        with tarfile.open(tar, "a") as archive:
            for name, text in scripts.items():
                entry = tarfile.TarInfo(f"bin/{name}")
                entry.mode, entry.size = 0o755, len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        product.pinnace("import", str(tar), f"nvidia/cuda:11.8.0-{flavour}-ubuntu22.04")
    folder = tmp_path / "context"
    folder.mkdir()
    shutil.copy(HERE / "Dockerfile", folder)
    for name, text in (
        ("requirements.txt", "numpy\n"),
        ("model.pt", "weights\n"),
        ("inference.py", "pass\n"),
    ):
        (folder / name).write_text(text)
    return folder


def test_the_dockerfile_builds_a_runtime_image_without_the_build_stage(
    product: Product, ns: str, ml_folder: Path
) -> None:
    product.pinnace("build", "-t", "my-ml-app:v1", str(ml_folder))
    product.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "app"},
            "spec": {"containers": [{"name": "c", "image": "my-ml-app:v1"}]},
        },
        namespace=ns,
    )
    product.until("pods", "app", pod_ready, namespace=ns)
    lines = product.poll(lambda: product.kubectl("logs", "app", "-n", ns)).splitlines()
    assert lines == ["serving /app/inference.py with weights", "torch"]  # and no /build.log


def test_a_copy_of_what_is_not_in_the_context_fails_on_its_line(product: Product, ml_folder: Path) -> None:
    (ml_folder / "model.pt").unlink()
    done = product.try_pinnace("build", "-t", "my-ml-app:v2", str(ml_folder))
    assert done.returncode == 1
    assert "COPY model.pt /app/" in done.stderr and "model.pt" in done.stderr.splitlines()[-1] + done.stderr
    assert "Traceback" not in done.stderr


def test_two_containers_run_from_one_image(product: Product, ml_folder: Path) -> None:
    if product.try_pinnace("run", "--help").returncode:
        pytest.skip("there is no `pinnace run` yet")
    product.pinnace("build", "-t", "my-ml-app:v1", str(ml_folder))
    for name in ("container1", "container2"):
        product.pinnace("run", "-d", "--name", name, "my-ml-app:v1")
    rows = product.pinnace("ps").splitlines()
    assert {row.split()[-1] for row in rows[1:]} >= {"container1", "container2"}
    product.pinnace("rm", "-f", "container1", "container2")
