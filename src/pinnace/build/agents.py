"""Lets commands talk to a person's ssh agent: a socket of ours for each command, each connection passed on. A doer.

Called by `run_mounts`. The agent's own socket can't be mounted: it belongs to the person, and an agent answers only them and
root; a command may run as anybody. Keys never come here: an agent signs, and gives no key away.
Invariant: when the context ends, the socket is gone and every connection is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from pinnace.base.errors import HostError, UserError

DEFAULT_MODE = 0o600  # Source: Dockerfile reference, RUN --mount=type=ssh
CHUNK_BYTES = 64 << 10


@contextlib.asynccontextmanager
async def offered(
    path: Path, agent: str, *, mode: int = -1, uid: int = -1, gid: int = -1
) -> AsyncIterator[None]:
    """Listen at a socket `path` and pass all on to the agent. Raises: UserError when the agent doesn't answer."""
    await _try(agent)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await _pass_on(reader, writer, agent)
        finally:
            connections.discard(task)

    bound = _bind(path, DEFAULT_MODE if mode < 0 else mode & 0o777, uid, gid)
    try:
        server = await asyncio.start_unix_server(serve, sock=bound)
    except BaseException:
        bound.close()
        raise
    try:
        yield
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


async def _try(agent: str) -> None:
    try:
        _, writer = await asyncio.open_unix_connection(agent)
    except OSError as error:
        raise UserError(
            f"the ssh agent at {agent} does not answer: {error.strerror or error}",
            'is it running? eval "$(ssh-agent)" && ssh-add',
        ) from None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str) -> None:
    try:
        from_agent, to_agent = await asyncio.open_unix_connection(agent)
    except OSError:
        writer.close()
        return
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, to_agent), name="build/ssh-there")
            group.create_task(_pump(from_agent, writer), name="build/ssh-back")
    except* OSError:
        pass  # one of the two hung up
    finally:
        to_agent.close()
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _bind(path: Path, mode: int, uid: int, gid: int) -> socket.socket:
    """Return a bound socket. An address holds 107 bytes of path; through the folder's descriptor it is always short."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.chown(path, max(uid, 0), max(gid, 0))
        os.chmod(path, mode)
    except OSError as error:
        bound.close()
        raise HostError(f"{path} can't be made: {error.strerror}", errno=error.errno) from error
    finally:
        os.close(folder)
    return bound
