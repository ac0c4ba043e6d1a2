"""An ssh agent is reached through a socket of ours: both ways, by many, and not after the command."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.build.agents import offered


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(100_000):
                writer.write(data.upper())
                await writer.drain()
        writer.close()

    path = str(tmp_path / "agent")
    server = await asyncio.start_unix_server(serve, path=path)
    yield path
    server.close()


async def ask(path: Path, text: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(text)
    answer = await reader.readexactly(len(text))
    writer.close()
    await writer.wait_closed()
    return answer


async def test_questions_and_answers_pass_for_many_at_once(tmp_path: Path, agent: str) -> None:
    path = tmp_path / "ours"
    async with asyncio.timeout(10), offered(path, agent, mode=0o640):
        assert os.stat(path).st_mode & 0o777 == 0o640
        texts = [b"x" * 300_000, *(b"question %d" % number for number in range(20))]
        answers = await asyncio.gather(*(ask(path, text) for text in texts))
    assert answers == [text.upper() for text in texts]
    assert not path.exists()


async def test_connections_end_with_the_command(tmp_path: Path, agent: str) -> None:
    path = tmp_path / "ours"
    async with asyncio.timeout(10):
        async with offered(path, agent):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"hi")
            assert await reader.readexactly(2) == b"HI"
        assert await reader.read() == b""
        writer.close()


async def test_long_folder_is_no_obstacle(tmp_path: Path, agent: str) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    async with offered(folder / "ours", agent):
        assert (folder / "ours").is_socket()


async def test_agent_that_is_gone_is_told_before_the_command_begins(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not answer") as caught:
        async with offered(tmp_path / "ours", str(tmp_path / "nobody")):
            pass
    assert "ssh-agent" in caught.value.hint
    assert not (tmp_path / "ours").exists()
