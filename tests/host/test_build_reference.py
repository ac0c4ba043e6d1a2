"""What commands of a Dockerfile write, against what a real `docker build` was measured to write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pinnace.base.errors import PinnaceError, UserError
from tests.host.build_world import BuildWorld, Told
from tests.host.conftest import Instance
from tests.unit.build.measured import OUTPUTS, REFUSED, Args
from tests.unit.build.test_reference import LATER


@pytest.fixture
async def world(instance: Instance, busybox_root: Path) -> AsyncIterator[BuildWorld]:
    one = BuildWorld(instance)
    one.context.mkdir()
    await one.start()
    await one.bring_base(busybox_root)
    yield one
    left = one.leftovers()
    await one.close()
    assert left == [], "the build left something behind"


async def test_commands_write_what_they_write_with_docker(world: BuildWorld) -> None:
    async def check(number: int) -> tuple[str, Args, str] | None:
        (text, args, expected), told = OUTPUTS[number], Told()
        place = {"file": f"Dockerfile.{number}", "name": f"case-{number}:v1"}
        try:
            await world.build(text, told=told, build_args=args, no_cache=True, **place)  # type: ignore[arg-type]
        except PinnaceError as error:
            return text, args, error.message
        return None if sorted(told.output.splitlines()) == expected else (text, args, told.output)

    found = await asyncio.gather(*(check(number) for number in range(len(OUTPUTS))))
    assert [one for one in found if one is not None] == []


@pytest.mark.parametrize("text", [text for text in REFUSED if any(mark in text for mark in LATER)])
async def test_what_fails_with_docker_fails_on_its_line(world: BuildWorld, text: str) -> None:
    with pytest.raises(UserError) as caught:
        await world.build(text)
    assert caught.value.where.startswith("Dockerfile:")
    assert caught.value.hint
