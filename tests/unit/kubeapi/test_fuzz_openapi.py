"""Requests made from our own OpenAPI documents, right and wrong ones: no answer is a 5xx, and every refusal is a Status.

A few seconds' worth, the same each time; `python -m tests.unit.kubeapi.fuzzing --seconds 300` looks for more.
"""

import asyncio
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.api.test_every_kind import SAMPLES
from tests.unit.kubeapi.fuzzing import Target, make_request


class Fuzzed:
    """A target with its loop, for tests that are no coroutines."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.target = Target(SAMPLES)
        self._folder = tempfile.TemporaryDirectory()
        self.loop.run_until_complete(self.target.open(Path(self._folder.name)))

    def close(self) -> None:
        self.loop.run_until_complete(self.target.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self._folder.cleanup()


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Fuzzed]:
    fuzzed = Fuzzed()
    yield fuzzed
    fuzzed.close()


@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(dice=st.randoms(use_true_random=False))
def test_no_request_is_answered_with_a_fault_of_ours(fuzzed: Fuzzed, dice: random.Random) -> None:
    request = make_request(dice, fuzzed.target.operations, fuzzed.target.samples)
    _, problem = fuzzed.loop.run_until_complete(fuzzed.target.ask(request))
    assert not problem, f"{problem}\n{request}"


def test_a_thousand_more_and_everything_is_readable_after_them(fuzzed: Fuzzed) -> None:
    async def ask() -> list[str]:
        wrong = []
        for number in range(1500):
            request = make_request(
                random.Random(f"suite/{number}"), fuzzed.target.operations, fuzzed.target.samples
            )
            _, problem = await fuzzed.target.ask(request)
            if problem:
                wrong.append(f"suite/{number}: {problem}\n{request}")
        return wrong + await fuzzed.target.read_everything()

    assert fuzzed.loop.run_until_complete(ask()) == []
