"""`pinnace build` with what it says of commands, against a real daemon: secrets, keys, networks, limits; a daemon that is killed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.host.test_build_daemon import Daemon, daemon, read_until

__all__ = ["daemon"]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("ssh-keygen is not installed: apt-get install openssh-client")
    path = tmp_path / "key"
    subprocess.run([program, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def output_of(daemon: Daemon, body: str, *flags: str, code: int = 0) -> list[str]:
    context = daemon.write(f"FROM busybox:v1\n{body}\n")
    told = daemon.run("build", "--progress=plain", *flags, context, code=code).stderr
    return [line.partition(" ")[2] for line in told.splitlines() if line.startswith("#1 ")][1:-1]


@pytest.mark.short
def test_what_a_person_says_of_commands_reaches_them(daemon: Daemon, key: Path) -> None:
    (daemon.instance.root / "token").write_text("from a file")
    daemon.env["MY_TOKEN"] = "from the environment"
    flags = [
        "--secret=id=a,src=" + str(daemon.instance.root / "token"),
        "--secret=id=b,env=MY_TOKEN",
        "--secret=id=MY_TOKEN",
        f"--ssh=default={key}",
        "--add-host=db:10.1.2.3",
        "--add-host=me=host-gateway",
        "--shm-size=8m",
        "--ulimit=nofile=77:88",
        "--memory=64m",
        "--cpu-quota=50000",
        "--tag=made:v1",
    ]
    told = output_of(
        daemon,
        "RUN --mount=type=secret,id=a --mount=type=secret,id=b,env=B --mount=type=secret,id=MY_TOKEN,env=C "
        "--mount=type=ssh cat /run/secrets/a; echo; echo $B; echo $C; test -S $SSH_AUTH_SOCK && echo agent; "
        "grep -cw db /etc/hosts; grep -w me /etc/hosts | cut -f1; df -m /dev/shm | awk 'NR==2{print $2}'; ulimit -n; "
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true",
        *flags,
    )
    gateway = daemon.instance.pod_range.rsplit(".", 1)[0] + ".1"
    assert told == [
        *("from a file", "from the environment", "from the environment", "agent", "1", gateway),
        *("8", "77", str(64 << 20)),
    ]
    assert "from a file" not in daemon.run("inspect", "made:v1").stdout


def test_rights_must_be_given(daemon: Daemon) -> None:
    host_only = "RUN --network=host ls /sys/class/net"
    context = daemon.write(f"FROM busybox:v1\n{host_only}\n")
    error = daemon.run("build", context, code=1).stderr
    assert "network.host is not allowed" in error
    assert "--allow network.host" in error
    (ours,) = daemon.instance.find_links()[:1]
    assert ours in output_of(daemon, host_only, "--allow=network.host")
    assert ours in output_of(daemon, "RUN ls /sys/class/net; true", "--network=host")
    assert output_of(daemon, "RUN ls /sys/class/net", "--network=none") == ["lo"]
    insecure = "RUN --security=insecure mount -t tmpfs none /mnt 2>/dev/null || mkdir /mnt && mount -t tmpfs none /mnt && echo root"
    assert (
        "security.insecure is not allowed"
        in daemon.run("build", daemon.write(f"FROM busybox:v1\n{insecure}\n"), code=1).stderr
    )
    assert output_of(daemon, insecure, "--allow=security.insecure") == ["root"]


def test_mounts_of_a_daemon_that_was_killed_go_when_the_next_one_starts(daemon: Daemon) -> None:
    (daemon.instance.root / "token").write_text("secret")
    body = (
        "FROM busybox:v1\nRUN --mount=type=secret,id=a --mount=type=cache,target=/c --mount=target=/w,rw "
        "echo kept > /c/f; echo begun; sleep 98765\n"
    )
    build = daemon.start(
        "build", "--progress=plain", f"--secret=id=a,src={daemon.instance.root}/token", daemon.write(body)
    )
    read_until(build, "begun")
    assert any(point.endswith(".secrets") for point in daemon.instance.find_mounts())
    daemon.kill()
    build.wait()
    assert build.stderr is not None
    build.stderr.close()
    daemon.run("up")
    assert daemon.leftovers() == []
    assert not [point for point in daemon.instance.find_mounts() if "build" in point]
    assert output_of(daemon, "RUN --mount=type=cache,target=/c cat /c/f") == ["kept"]
