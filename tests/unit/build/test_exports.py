"""Results that a build offers: taken once, whole, and only while it goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from pinnace.base.chance import Chance
from pinnace.base.errors import ApiError, HostError, UserError
from pinnace.build.exports import Exports


async def two_pieces() -> AsyncGenerator[bytes, None]:
    yield b"one"
    yield b"two"


async def broken() -> AsyncGenerator[bytes, None]:
    yield b"one"
    raise HostError("the disk is gone")


async def test_stream_is_taken_once_and_then_the_build_goes_on() -> None:
    exports = Exports(Chance(1))
    async with exports.offer(two_pieces) as (token, taken):
        assert [piece async for piece in exports.take(token)] == [b"one", b"two"]
        await taken
        with pytest.raises(ApiError):
            await anext(exports.take(token))


async def test_who_goes_away_ends_the_build_with_that() -> None:
    exports = Exports(Chance(1))
    async with exports.offer(two_pieces) as (token, taken):
        stream = exports.take(token)
        await anext(stream)
        await stream.aclose()
        with pytest.raises(UserError, match="went away"):
            await taken


async def test_what_fails_while_it_is_made_is_the_builds_error_too() -> None:
    exports = Exports(Chance(1))
    async with exports.offer(broken) as (token, taken):
        with pytest.raises(HostError):
            _ = [piece async for piece in exports.take(token)]
        with pytest.raises(HostError, match="the disk is gone"):
            await taken


async def test_offer_ends_with_its_build_and_tokens_can_not_be_guessed() -> None:
    exports = Exports(Chance())
    async with exports.offer(two_pieces) as (token, _):
        assert len(token) == 32
    for one in (token, "", "0" * 32):
        with pytest.raises(ApiError, match="no such result"):
            await anext(exports.take(one))
