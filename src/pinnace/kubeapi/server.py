"""Puts the handler behind sockets: TLS for clients and pods, a Unix socket for our own command.

Built by `daemon/`. Invariant: the Unix socket's name appears only once its owner and mode are right, because whoever can
open it is the administrator.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from pinnace.api.access.tokens import Tokens
from pinnace.api.facade import Api
from pinnace.base.errors import HostError
from pinnace.base.tasks import Tasks
from pinnace.kubeapi.audit import AuditLog
from pinnace.kubeapi.calls import Means
from pinnace.kubeapi.files import Owner
from pinnace.kubeapi.handler import Handler, Mount
from pinnace.kubeapi.settings import ServerSettings, World

# A client that stops reading holds its own stream only; these bound what an idle or half-open one costs.
_KEEPALIVE_S = 300.0
# Watches and logs never end by themselves; what else is under way gets this long, and writes a little more.
_SHUTDOWN_S = 0.2
_WRITES_S = 5.0
_BACKLOG = 512
# A long command to run, or a selector of many names, stands in the path.
_LINE_MOST = 256 * 1024


class KubeServer:
    """The Kubernetes API of one instance.

    `mounts` are other rooms' callables by path prefix, like {"/pinnace/v1/": own_api}. Without `tokens` there are no
    service accounts' callers, without `audit` refused requests leave no line.
    """

    def __init__(
        self,
        api: Api,
        world: World,
        settings: ServerSettings = ServerSettings(),
        *,
        mounts: Mapping[str, Mount] | None = None,
        tokens: Tokens | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        self._tasks = Tasks("kubeapi")
        self._writes: set[asyncio.Task[Any]] = set()
        self._audit = audit
        means = Means(api, world, settings, self._tasks, self._writes, tokens=tokens)
        self.handler = Handler(means, mounts, audit)
        self._runner = web.ServerRunner(
            web.Server(
                self.handler,
                # A watch, a log or an exec ends with its client; writes are carried through (see `complete`).
                handler_cancellation=True,
                access_log=None,
                keepalive_timeout=_KEEPALIVE_S,
                tcp_keepalive=True,
                max_line_size=_LINE_MOST,
                max_field_size=_LINE_MOST,
                auto_decompress=False,  # no client of Kubernetes sends packed bodies, and packed ones know no bound
            ),
            shutdown_timeout=_SHUTDOWN_S,
        )
        self._started = False
        self._unix_paths: list[Path] = []

    async def serve_tls(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen with TLS and return the port (chosen by the system for port 0). Raises: HostError."""
        await self._start()
        listener = _listen_tcp(host, port)
        await web.SockSite(self._runner, listener, ssl_context=context, backlog=_BACKLOG).start()
        return int(listener.getsockname()[1])

    async def serve_unix(self, path: Path, owner: Owner | None = None) -> None:
        """Listen on a Unix socket that only `owner` (else we ourselves) may open. Raises: HostError."""
        await self._start()
        listener = _listen_unix(path, owner)
        await web.SockSite(self._runner, listener, backlog=_BACKLOG).start()
        self._unix_paths.append(path)

    async def close(self) -> None:
        """Stop listening, end the streams, finish the writes."""
        self.handler.health.stopping = True
        for path in self._unix_paths:
            path.unlink(missing_ok=True)
        if self._started:
            await self._runner.cleanup()
        if self._writes:
            await asyncio.wait(self._writes, timeout=_WRITES_S)
        await self._tasks.close()
        if self._audit is not None:
            self._audit.close()

    async def _start(self) -> None:
        if not self._started:
            self._started = True
            await self._runner.setup()


def _listen_tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise HostError(
            f"the Kubernetes API can't listen on {host}:{port}: {error.strerror}",
            errno=error.errno,
            hint=f"see who has it: ss -ltnp 'sport = :{port}'",
        ) from error
    return listener


def _listen_unix(path: Path, owner: Owner | None) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        old = os.umask(0o177)
        try:
            listener.bind(str(temporary))
        finally:
            os.umask(old)
        if owner is not None:
            os.chown(temporary, *owner)
        listener.setblocking(False)
        listener.listen(_BACKLOG)
        os.replace(temporary, path)
    except OSError as error:
        listener.close()
        temporary.unlink(missing_ok=True)
        raise HostError(
            f"the Kubernetes API can't listen on {path}: {error.strerror}", errno=error.errno
        ) from error
    return listener
