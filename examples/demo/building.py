"""Sections about images: the base images, a build in two stages, two containers from one image."""

from __future__ import annotations

import asyncio
import json
import os
import re
import urllib.request
from typing import Any

from examples.base.make import ensure_root_filesystem, import_image
from examples.base.recipes import RECIPES
from examples.demo.stage import EXAMPLE, Stage

# Variables that lead pip to packages where the network needs it; they reach the build as arguments.
NETWORK_VARIABLES = (
    "PIP_INDEX_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
SMALLER = 3.0  # times; what the runtime image must be smaller than the build stage
UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


async def start(stage: Stage) -> None:
    """`pinnace up`."""
    stage.report.section("Start", "One program, one process: no Docker, no cluster.")
    done = await stage.pinnace("up")
    ready = re.search(r"ready in ([\d.]+) s", done.err)
    stage.report.claim(
        f"ready in {ready[1]} s" if ready else "says when it is ready", bool(ready and float(ready[1]) < 5.0)
    )


async def bring_bases(stage: Stage) -> None:
    """The base images."""
    stage.report.section("Base images", "Made of this distribution's packages; no image registry is asked.")
    for recipe in RECIPES:
        path = await asyncio.to_thread(ensure_root_filesystem, recipe, stage.report.note)
        stage.report.command(("pinnace", "import", path.name, recipe.reference))
        image = await asyncio.to_thread(import_image, recipe, path, stage.pinnace_argv, stage.environ)
        stage.report.output(image)


async def build(stage: Stage) -> None:
    """A multi-stage build: v1, then v2 out of the cache."""
    stage.report.section(
        "Build", "The build stage trains a model with scikit-learn; the runtime stage holds what serves it."
    )
    done = await stage.pinnace("build", "--host-ca", *_network_arguments(), "-t", "my-model:v1", str(EXAMPLE))
    sizes = read_stage_sizes(done.err)
    ratio = sizes["builder"] / sizes["runtime"]
    stage.report.claim(
        f"the build stage has {sizes['builder'] / 1e6:.0f} MB, the runtime image {sizes['runtime'] / 1e6:.0f} MB: "
        f"{ratio:.1f} times smaller",
        ratio >= SMALLER,
    )
    words = (
        "--host-ca",
        *_network_arguments(),
        "--build-arg",
        "VERSION=v2",
        "-t",
        "my-model:v2",
        str(EXAMPLE),
    )
    done = await stage.pinnace("build", *words, last=1)
    cached = re.search(r"(\d+) of (\d+) steps cached", done.err)
    stage.report.claim(
        f"for v2, {cached[1]} of {cached[2]} steps come from the cache"
        if cached
        else "v2 comes from the cache",
        bool(cached and int(cached[1]) >= int(cached[2]) - 2),
    )
    await stage.pinnace("images")


async def run_containers(stage: Stage) -> None:
    """`pinnace run`, twice from one image."""
    stage.report.section(
        "Containers", "An image is a blueprint: two containers from one, apart from each other."
    )
    for name in ("container1", "container2"):
        await stage.pinnace("run", "-d", "--name", name, "my-model:v1")
    await stage.pinnace("ps")
    answers = {}
    for name in ("container1", "container2"):
        found = json.loads((await stage.pinnace("inspect", name, show=False)).out)[0]
        address = found["NetworkSettings"]["IPAddress"] or _first_address(found)
        answers[name] = await _ask_until_up(f"http://{address}:8000/predict")
        stage.report.note(f"{name} ({address}): {json.dumps(answers[name])}")
    stage.report.claim(
        "both answer, each as itself", len({answer.get("pod") for answer in answers.values()}) == 2
    )
    await stage.pinnace("exec", "container1", "python3", "-c", "open('/tmp/mine','w'); print('written')")
    done = await stage.pinnace("exec", "container2", "ls", "/tmp")
    stage.report.claim("what one writes, the other doesn't see", "mine" not in done.out)
    await stage.pinnace("rm", "-f", "container1", "container2")


def read_stage_sizes(text: str) -> dict[str, float]:
    """Return the sizes that a build's summary names. Example: "stage runtime: 194MB in 5 layers" → 194e6."""
    found = re.findall(r"^stage (\S+): ([\d.e+]+)(B|kB|MB|GB|TB) in", text, re.MULTILINE)
    return {name: float(number) * UNITS[unit] for name, number, unit in found}


def _network_arguments() -> tuple[str, ...]:
    return tuple(word for name in NETWORK_VARIABLES if os.environ.get(name) for word in ("--build-arg", name))


def _first_address(found: dict[str, Any]) -> str:
    networks = found["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["IPAddress"])


async def _ask_until_up(url: str, timeout_s: float = 30.0) -> dict[str, str]:
    """Return what a URL answers, once it does. Raises: TimeoutError."""

    def ask() -> dict[str, str]:
        with urllib.request.urlopen(url, timeout=5) as answer:
            document = json.load(answer)
        return {
            "species": document["predictions"][0]["species"],
            "pod": document["pod"],
            "version": document["version"],
        }

    async with asyncio.timeout(timeout_s):
        while True:
            try:
                return await asyncio.to_thread(ask)
            except OSError:
                await asyncio.sleep(0.1)
