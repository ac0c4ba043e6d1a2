"""The Dockerfile reference, instruction by instruction, against what a real `docker build` was measured to do."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from pinnace.base.errors import UserError
from pinnace.build.plan import BuildOptions, plan_build
from pinnace.dockerfile.parse import parse_dockerfile
from pinnace.oci.config import ContainerConfig, ImageConfig, RootFs
from tests.unit.build.measured import CONFIGS, REFUSED, Args

IMAGE = ImageConfig(architecture="amd64", os="linux", config=ContainerConfig(), rootfs=RootFs())
# Found only when the commands run, or when files are copied: tests/host/test_build_reference.py.
LATER = ("USER nobodyhere", "USER app:nogroup", "source=nope", "/etc/passwd\n")


def config_of(text: str, args: Args) -> dict[str, Any]:
    """Return an image's configuration as Docker's inspect shows it, without PATH and what is empty."""
    options = BuildOptions(build_args=args)
    plan = plan_build(parse_dockerfile(text), options, lambda name, platform: IMAGE)
    config: dict[str, Any] = json.loads(msgspec.json.encode(plan.stage(plan.target).config))
    config["Env"] = [entry for entry in config.get("Env", []) if not entry.startswith("PATH=")]
    for name in ("ExposedPorts", "Volumes"):
        config[name] = sorted(config.get(name, {}))
    return {name: value for name, value in config.items() if value}


@pytest.mark.parametrize(("text", "args", "expected"), CONFIGS)
def test_configuration_is_that_of_docker(text: str, args: Args, expected: dict[str, Any]) -> None:
    assert config_of(text, args) == expected


@pytest.mark.parametrize("text", [text for text in REFUSED if not any(mark in text for mark in LATER)])
def test_what_docker_refuses_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(UserError) as caught:
        config_of(text, {})
    assert caught.value.hint
