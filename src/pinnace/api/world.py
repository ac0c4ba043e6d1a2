"""Declares what the write path's readers need from the world: logs, exec, attach, port-forward, usage.

`node/` implements these with real containers, `simulate/` with pretended ones; the edges call them. Nothing here does
anything. Invariant: no type of a room above `api/` appears in a signature.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from pinnace.kube.objects.core_v1 import Pod


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """What part of a container's log is asked for.

    Units: `since_time` in unix seconds; `tail_lines` and `limit_bytes` count from the end and from the start.
    Source: Kubernetes v1, PodLogOptions.
    """

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since_s: int | None = None
    since_time: float | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None


@runtime_checkable
class PodLogs(Protocol):
    """Reads what containers wrote."""

    def read_logs(self, pod: Pod, options: LogOptions) -> AsyncIterator[bytes]:
        """Yield the log in chunks of whole lines; with `follow` until the container has ended.

        Raises: ApiError BadRequest when the container is unknown, or has not started yet.
        """
        ...


@dataclass(frozen=True, slots=True)
class Output:
    """One piece of what a process wrote; with a terminal all of it is `stdout`."""

    channel: Literal["stdout", "stderr"]
    data: bytes


class Session(Protocol):
    """One running exec or attach: input, output, terminal size, end."""

    async def write_stdin(self, data: bytes) -> None:
        """Hand bytes to the process; returns when they are taken."""
        ...

    async def close_stdin(self) -> None:
        """Tell the process that no more input comes."""
        ...

    def output(self) -> AsyncIterator[Output]:
        """Yield output until both streams have ended."""
        ...

    async def resize(self, width: int, height: int) -> None:
        """Set the terminal's size in characters; does nothing without a terminal."""
        ...

    async def wait(self) -> int:
        """Return the exit code; 128 + n for a process ended by signal n."""
        ...

    async def close(self) -> None:
        """Let go of the process (exec: kill it if it runs; attach: leave it running)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecOptions:
    """How to run one command in a container. Source: Kubernetes v1, PodExecOptions."""

    command: tuple[str, ...] = ()
    container: str = ""
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


@runtime_checkable
class PodExec(Protocol):
    """Runs one more command in a running container."""

    async def exec(self, pod: Pod, options: ExecOptions) -> Session:
        """Start the command.

        Raises: ApiError BadRequest when the container is unknown or not running.
        """
        ...


@runtime_checkable
class PodAttach(Protocol):
    """Connects to the main process of a running container."""

    async def attach(self, pod: Pod, options: ExecOptions) -> Session:
        """Connect; `options.command` is ignored.

        Raises: ApiError BadRequest when the container is unknown or not running.
        """
        ...


@runtime_checkable
class PodPortForward(Protocol):
    """Opens connections to a port inside a pod."""

    async def connect(self, pod: Pod, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open one TCP connection from inside the pod's network to its 127.0.0.1 or address.

        Raises: ApiError InternalError when nobody listens there.
        """
        ...


@runtime_checkable
class Dialer(Protocol):
    """Opens connections into the cluster's network, as a request to a `proxy` subresource needs them."""

    async def dial(
        self, host: str, port: int, *, tls: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to an address; with `tls` whatever certificate is there is taken. Raises: OSError, TimeoutError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRequest:
    """What a client asks a node's own server. Shape: `path` begins with a slash and is still percent-encoded."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAnswer:
    """What a node's own server says; a body that comes piece by piece is an iterator, which its user closes."""

    body: bytes | AsyncIterator[bytes] = b""
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class NodeServer(Protocol):
    """Answers what is asked of a node itself: its pods, metrics, logs, settings."""

    async def answer(self, node: str, request: NodeRequest) -> NodeAnswer:
        """Answer a request. Raises: ApiError NotFound for another node, BadRequest."""
        ...


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """What one container used.

    Units: `cpu_milli` averaged over `window_s`; `memory_bytes` the working set; `at` unix seconds of the sample.
    """

    cpu_milli: int
    memory_bytes: int
    at: float
    window_s: float = 15.0


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """What one node used, with the same units as `ContainerUsage`."""

    cpu_milli: int
    memory_bytes: int
    at: float
    window_s: float = 15.0


@runtime_checkable
class Usage(Protocol):
    """Measures pods and nodes, from cgroups in life and from a load model in the simulator."""

    def pod_usage(self, namespace: str, name: str) -> Mapping[str, ContainerUsage]:
        """Return the last sample by container name; empty while there is none."""
        ...

    def node_usage(self, name: str) -> NodeUsage | None:
        """Return the last sample of the node, None while there is none."""
        ...
