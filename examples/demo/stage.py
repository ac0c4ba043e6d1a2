"""The demo's own instance, and the commands that are given to it. A doer; everything goes through the real programs.

The instance has a name, folders, ranges and ports of its own, so that it touches nothing of another one.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.demo.report import Report
from examples.kubectl import find_kubectl

EXAMPLE = Path("examples/inference")
DEPLOYMENT = "ml-inference"
TIMEOUT_S = 300.0


class CommandError(Exception):
    """A command ended with another code than 0."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return "\n".join(part.rstrip() for part in (self.err, self.out) if part.strip())


@dataclass(slots=True)
class Stage:
    """Runs `pinnace` and `kubectl` against the demo's instance, and prints what they say."""

    report: Report
    name: str = "demo"
    port: int = 80
    kubectl_path: str = field(default_factory=find_kubectl)

    @property
    def home(self) -> Path:
        return Path(f"/var/lib/pinnace-{self.name}")

    @property
    def run_folder(self) -> Path:
        return Path(f"/run/pinnace-{self.name}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/predict" if self.port != 80 else "http://127.0.0.1/predict"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of every command: it names the instance, and nothing of the caller's own one."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("PINNACE_")}
        return {
            **own,
            "PINNACE_NAME": self.name,
            "PINNACE_HOME": str(self.home),
            "PINNACE_RUN": str(self.run_folder),
            "PINNACE_API_PORT": "0",
            "PINNACE_POD_RANGE": "10.248.0.0/20",
            "PINNACE_SERVICE_RANGE": "10.104.0.0/16",
            "PINNACE_MERGE_KUBECONFIG": "no",
            "KUBECONFIG": str(self.home / "kubeconfig"),
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), own.get("PATH", ""))),
        }

    @property
    def pinnace_argv(self) -> tuple[str, ...]:
        return (str(Path(sys.executable).with_name("pinnace")),)

    async def pinnace(self, *words: str, show: bool = True, last: int = 0, check: bool = True) -> Done:
        """Run a `pinnace` command. Raises: CommandError."""
        return await self._run("pinnace", [*self.pinnace_argv, *words], words, show, last, check)

    async def kubectl(self, *words: str, show: bool = True, last: int = 0, check: bool = True) -> Done:
        """Run a `kubectl` command. Raises: CommandError."""
        return await self._run("kubectl", [self.kubectl_path, *words], words, show, last, check)

    async def get(self, *words: str) -> dict[str, Any]:
        """Return what `kubectl get … -o json` says."""
        document: dict[str, Any] = json.loads(
            (await self.kubectl("get", *words, "-o", "json", show=False)).out
        )
        return document

    async def pods(self) -> list[dict[str, Any]]:
        """Return the Deployment's pods that are not being deleted, the oldest first."""
        found = (await self.get("pods", "-l", f"app={DEPLOYMENT}"))["items"]
        alive = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return sorted(alive, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    async def _run(
        self, program: str, argv: list[str], words: tuple[str, ...], show: bool, last: int, check: bool
    ) -> Done:
        if show:
            self.report.command((program, *words))
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environ,
            start_new_session=True,  # Ctrl-C is for the demo, which ends its commands itself
        )
        live = show and not last
        try:
            async with asyncio.timeout(TIMEOUT_S):
                out, err = await asyncio.gather(
                    self._read(process.stdout, live), self._read(process.stderr, live)
                )
                code = await process.wait()
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        done = Done(code, out, err)
        if show and last and done.text:
            self.report.output(done.text, last=last)
        if check and done.code:
            raise CommandError(
                f"{program} {' '.join(words)} ended with code {done.code}: {done.text[-2000:]}"
            )
        return done

    async def _read(self, stream: asyncio.StreamReader | None, live: bool) -> str:
        """Return what a command writes; print its lines as they come, if `live`."""
        assert stream is not None
        lines = []
        async for line in stream:
            lines.append(line.decode(errors="replace"))
            if live:
                self.report.note(lines[-1].rstrip())
        return "".join(lines)


def is_ready(pod: dict[str, Any]) -> bool:
    """Return whether a pod's Ready condition is true."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def choose_port(wanted: int = 80) -> int:
    """Return `wanted`, or the next free port from 8080 on, as nobody else's port is taken away."""
    candidates: tuple[int, ...] = (wanted, *range(8080, 8180))
    return next(port for port in candidates if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
