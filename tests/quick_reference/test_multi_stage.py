"""The multi-stage Dockerfile of the quick reference, built as printed, from base images that a registry has.

What stands for what is in `bases.py` and `internet.py`: the names in the Dockerfile are the real ones, and reach the
stand-ins by what a person would set, a mirror of docker.io and a proxy.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.product.fixtures import fresh_product
from tests.product.instance import Object, Product
from tests.quick_reference.bases import (
    APT_HOST,
    APT_SUITE,
    DEVEL,
    RUNTIME,
    SECURE_HOSTS,
    SITE_PACKAGES,
    SMALL,
    ensure_bases,
)
from tests.quick_reference.internet import Internet, serve_internet
from tests.quick_reference.registry import serve_registry

DOCKERFILE = Path(__file__).with_name("Dockerfile")
pytestmark = pytest.mark.timeout(900)  # the first time on a machine, the bases are made

BUILT, STAGE = "my-ml-app:v1", "my-ml-app:builder"
SMALLER = 4  # "Result: 8GB → 2GB (4× smaller)"

MODEL = json.dumps({"weights": [1, 2, 6]})
INFERENCE = """import http.server, json, numpy, torch, torchvision
model = torch.load("/app/model.pt")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"mean": numpy.mean(model["weights"]), "torch": torch.__version__}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("", 8000), Handler).serve_forever()
"""


@dataclass
class World:
    """An instance that finds docker.io's images in a local registry, and a proxy that its builds can use."""

    product: Product
    internet: Internet
    proxy: tuple[str, ...]
    context: Path
    said: str = ""

    def build(self, *words: str) -> str:
        """Build; return what the person is told."""
        done = self.product.try_pinnace("build", *self.proxy, *words, str(self.context), timeout_s=300)
        assert done.returncode == 0, done.stderr + "\n".join(self.internet.asked)
        return done.stderr

    def explain(self, context: Path, reference: str) -> str:
        """Build with --explain; return the report."""
        words = ("build", *self.proxy, "--explain", "-t", reference, str(context))
        return self.product.pinnace(*words)

    def size(self, image: str) -> int:
        (document,) = json.loads(self.product.pinnace("inspect", image))
        return int(document["Size"])


@pytest.fixture(scope="module")
def world(kubectl_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    bases = ensure_bases()
    context = tmp_path_factory.mktemp("ml")
    shutil.copy(DOCKERFILE, context)
    for name, text in (
        ("requirements.txt", "numpy==1.26.4\n"),
        ("model.pt", MODEL),
        ("inference.py", INFERENCE),
    ):
        (context / name).write_text(text)
    with serve_registry(bases.storage) as port, fresh_product(kubectl_binary) as product:
        product.up(env={"PINNACE_REGISTRY_MIRRORS": f"http://127.0.0.1:{port}"})
        gateway = str(next(ipaddress.ip_network(product.host.pod_range).hosts()))
        with serve_internet(bases, gateway) as (internet, url):
            proxy = ("--build-arg", f"http_proxy={url}", "--build-arg", f"https_proxy={url}")
            yield World(product, internet, proxy, context)


@pytest.fixture(scope="module")
def built(world: World) -> World:
    """The world with the image built, which the first test looks at."""
    world.said = world.build("-t", BUILT)
    return world


def test_it_builds_as_printed_with_what_the_real_names_led_to(built: World) -> None:
    for step in DOCKERFILE.read_text().splitlines():
        if step.startswith(("RUN", "COPY")):
            assert step in built.said
    asked = built.internet.asked
    assert f"{APT_HOST}/ubuntu/dists/{APT_SUITE}/Release 200" in asked
    assert any(one.startswith(f"{APT_HOST}/ubuntu/pool/g++-") for one in asked)
    assert [one for one in asked if one.startswith(SECURE_HOSTS)] == [
        "download.pytorch.org/whl/cu118/torch/ 200",
        "download.pytorch.org/whl/cu118/torch-2.0.1+cu118-py3-none-any.whl 200",
        "download.pytorch.org/whl/cu118/torchvision/ 200",
        "download.pytorch.org/whl/cu118/torchvision-0.15.2+cu118-py3-none-any.whl 200",
        "pypi.org/simple/numpy/ 200",
        "files.pythonhosted.org/packages/numpy-1.26.4-py3-none-any.whl 200",
    ]


def test_the_runtime_image_is_at_least_four_times_smaller_than_the_build_stage(built: World) -> None:
    said = built.build("--target", "builder", "-t", STAGE)
    assert "4 of 4 steps cached" in said
    stage, image = built.size(STAGE), built.size(BUILT)
    assert stage >= SMALLER * image, f"{stage / 1e6:.0f} MB, {image / 1e6:.0f} MB"


def test_two_containers_of_one_image_run_and_answer(built: World) -> None:
    names = ("container1", "container2")
    for name in names:
        built.product.pinnace("run", "-d", "--name", name, BUILT)
    try:
        for name in names:
            assert built.product.poll(lambda name=name: ask(built, name)) == {
                "mean": 3.0,
                "torch": "2.0.1+cu118",
            }
        # "Each container is isolated": what one writes, the other does not have
        built.product.pinnace("exec", names[0], "touch", "/app/mine")
        assert built.product.try_pinnace("exec", names[1], "ls", "/app/mine").returncode != 0
    finally:
        built.product.pinnace("rm", "-f", *names)


def test_build_tools_are_in_the_build_stage_only(built: World) -> None:
    for image, codes in ((STAGE, (0, 0)), (BUILT, (0, 1))):
        script = f"test -d {SITE_PACKAGES}/torch; a=$?; which g++ cmake >/dev/null; echo $a $?"
        found = built.product.pinnace("run", "--rm", "--entrypoint", "", image, "sh", "-c", script)
        assert tuple(map(int, found.split())) == codes, image


def test_a_second_build_takes_every_step_from_the_cache_and_asks_nobody(built: World) -> None:
    before = list(built.internet.asked)
    first = built.product.pinnace("inspect", "-f", "{{.Id}}", BUILT)
    assert "7 of 7 steps cached" in built.build("-t", BUILT)
    assert built.product.pinnace("inspect", "-f", "{{.Id}}", BUILT) == first
    assert built.internet.asked == before


def test_explain_says_what_the_build_stage_keeps_from_the_image(built: World) -> None:
    """The pitfall "Large images": the tool says what weighs, and which way out there is."""
    stage, image = built.size(STAGE), built.size(BUILT)
    said = built.explain(built.context, BUILT)
    summary = re.search(
        r"(\d+) MB of compilers stay in the builder stage; the image is (\d+) MB, ([\d.]+) times smaller",
        said,
    )
    assert summary, said
    assert int(summary[1]) > 300 and abs(int(summary[2]) - image / 1e6) < 1
    assert abs(float(summary[3]) - stage / image) < 0.1


def test_explain_says_that_one_stage_alone_makes_a_large_image(built: World, tmp_path: Path) -> None:
    context = Path(shutil.copytree(built.context, tmp_path / "one-stage"))
    first, _, second = DOCKERFILE.read_text().partition("# Stage 2")
    last = [line for line in second.splitlines() if line.startswith(("COPY model", "COPY inference", "CMD"))]
    (context / "Dockerfile").write_text(first + "\n".join(last) + "\n")
    said = built.explain(context, "one-stage:v1")
    assert re.search(r"\d+ MB of compilers .* are in the image, and only builds need them", said), said
    assert "FROM … AS builder" in said and "COPY --from=builder" in said


def test_a_file_outside_of_the_context_is_told_with_the_context(built: World, tmp_path: Path) -> None:
    """The pitfall "Confusing build context": where the tool looked, what hides a file, which names are near."""
    context = Path(shutil.copytree(built.context, tmp_path / "context"))
    (context / "inference.py").rename(context / "inferense.py")
    (context / ".dockerignore").write_text("*.pt\n")
    done = built.product.try_pinnace("build", *built.proxy, "-t", "no:v1", str(context))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "COPY model.pt /app/" in done.stderr and ".dockerignore" in done.stderr, done.stderr
    (context / ".dockerignore").unlink()
    done = built.product.try_pinnace("build", *built.proxy, "-t", "no:v1", str(context))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "COPY inference.py /app/" in done.stderr
    assert str(context) in done.stderr and "inferense.py" in done.stderr, done.stderr


@pytest.mark.parametrize("name", [RUNTIME, DEVEL, *SMALL])
def test_common_base_images_are_found_by_the_names_that_the_table_has(world: World, name: str) -> None:
    world.product.pinnace("pull", name)
    (document,) = json.loads(world.product.pinnace("inspect", name))
    assert document["RepoTags"] == [name]
    assert document["RepoDigests"][0].startswith(name.partition(":")[0] + "@sha256:")


def test_the_devel_image_is_the_large_one(world: World) -> None:
    assert world.size(DEVEL) > 3 * world.size(RUNTIME)


def ask(world: World, container: str) -> Object:
    """Return what a container answers on port 8000, {} while it does not."""
    (document,) = json.loads(world.product.pinnace("inspect", container))
    address = document["NetworkSettings"]["IPAddress"]
    try:
        with urllib.request.urlopen(f"http://{address}:8000/", timeout=5) as answer:
            found: Object = json.load(answer)
            return found
    except OSError:
        return {}
