"""How conmon, the monitor of one container, is called and what it answers. Pure.

conmon creates the container through the runtime, holds its stdio, writes its log, and records its exit and OOM in files.
It outlives the daemon. Source: conmon 2.1, conmon(8) and src/conmon.c.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pinnace.base.errors import HostError

# Commands for the ctl fifo. Source: conmon 2.1, src/ctrl.c, process_terminal_ctrl_line.
REOPEN_LOG = b"2 0 0\n"


def render_resize(height: int, width: int) -> bytes:
    """Return the command that sets a terminal's size."""
    return f"1 {height} {width}\n".encode()


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Where the runtime, the monitors and we meet; all of it below the run dir, gone after a reboot."""

    run: Path

    @property
    def runtime_root(self) -> Path:
        return self.run / "runtime"

    @property
    def exits(self) -> Path:
        return self.run / "exits"

    @property
    def sockets(self) -> Path:
        return self.run / "attach"

    def bundle(self, container: str) -> Path:
        return self.run / "containers" / container

    def persist(self, container: str) -> Path:
        return self.run / "persist" / container

    def exit_file(self, container: str) -> Path:
        return self.exits / container

    def oom_file(self, container: str) -> Path:
        return self.persist(container) / "oom"

    def oom_baseline_file(self, container: str) -> Path:
        return self.persist(container) / "oom-kills-before"

    def pid_file(self, container: str) -> Path:
        return self.bundle(container) / "pid"

    def monitor_pid_file(self, container: str) -> Path:
        return self.bundle(container) / "monitor-pid"

    def socket(self, container: str) -> Path:
        return self.bundle(container) / "attach"

    def socket_link(self, container: str) -> Path:
        """Return the link to the bundle that conmon makes, and binds its socket through.

        conmon cuts a name that makes the path too long for an address, and then two containers would share a link: so it
        gets a short name of its own.
        """
        return self.sockets / hashlib.sha256(container.encode()).hexdigest()[:16]

    def control(self, container: str) -> Path:
        return self.bundle(container) / "ctl"


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """What one monitor does with its container's stdio. `stdin_once` closes stdin when the first client leaves."""

    log_path: Path
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    systemd_cgroup: bool = False


def render_monitor_argv(
    monitor: str, runtime: str, container: str, paths: RunPaths, options: MonitorOptions
) -> list[str]:
    """Return conmon's command line."""
    argv = [
        *(monitor, "--api-version", "1", "--cid", container, "--name", container),
        *("--runtime", runtime, "--bundle", str(paths.bundle(container))),
        *("--container-pidfile", str(paths.pid_file(container))),
        *("--conmon-pidfile", str(paths.monitor_pid_file(container))),
        *("--persist-dir", str(paths.persist(container)), "--exit-dir", str(paths.exits)),
        *("--cuuid", paths.socket_link(container).name),
        *("--socket-dir-path", str(paths.sockets), "--log-path", f"k8s-file:{options.log_path}"),
        *("--log-level", "error", "--no-sync-log"),
        *("--runtime-arg", "--root", "--runtime-arg", str(paths.runtime_root)),
        # Without a file of its own, the runtime's warnings would stand in the container's log: they share stderr.
        *("--runtime-arg", "--log", "--runtime-arg", str(paths.bundle(container) / "runtime.log")),
    ]
    if options.systemd_cgroup:
        argv.append("--systemd-cgroup")
    if options.tty:
        argv.append("--terminal")
    if options.stdin:
        argv.append("--stdin")
        if not options.stdin_once:
            argv.append("--leave-stdin-open")
    return argv


class _Answer(msgspec.Struct, frozen=True):
    data: int = -1
    message: str = ""


def parse_created(answer: bytes, argv: tuple[str, ...], stderr: str) -> int:
    """Return the container's pid from what conmon wrote to its sync pipe.

    Raises: HostError with the runtime's own words when the container was not created.
    Example: b'{"data": 4711}' is 4711.
    """
    try:
        said = msgspec.json.decode(answer, type=_Answer)
    except msgspec.DecodeError:
        said = _Answer(message=stderr.strip() or "the monitor ended without an answer")
    if said.data > 0:
        return said.data
    raise HostError(
        f"the container can't be created: {_tidy(said.message)}", argv=argv, stderr=said.message or stderr
    )


def _tidy(message: str) -> str:
    """Return a runtime's message as one line, without its own log prefix."""
    line = " ".join(message.split())
    for prefix in ("runc create failed: ", "Error: ", "OCI runtime error: "):
        line = line.removeprefix(prefix)
    return line


def classify_start_failure(message: str) -> int:
    """Return the exit code that a failed start means. Source: Docker's documentation, docker run, "Exit status".

    127: the command was not found; 126: it can't be invoked; 128: the runtime itself failed.
    """
    text = message.lower()
    if "executable file not found" in text or (
        "no such file or directory" in text and ("exec" in text or "executable" in text)
    ):
        return 127
    if "permission denied" in text or "exec format error" in text or "is a directory" in text:
        return 126
    return 128
