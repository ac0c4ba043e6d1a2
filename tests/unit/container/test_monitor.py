"""What conmon is told and what it answers, and which programs are chosen. Expected values: conmon 2.1 and runc 1.1 themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnace.base.errors import HostError, UserError
from pinnace.container.cgroup import CgroupHost
from pinnace.container.exits import ExitFact, parse_exit
from pinnace.container.monitor import (
    MonitorOptions,
    RunPaths,
    classify_start_failure,
    parse_created,
    render_monitor_argv,
)
from pinnace.container.programs import choose_programs

V1, V2 = CgroupHost(1, "cgroupfs", {}), CgroupHost(2, "systemd", {})


def test_monitor_argv() -> None:
    options = MonitorOptions(Path("/l/log"), tty=True, stdin=True, systemd_cgroup=True)
    argv = render_monitor_argv("conmon", "/usr/bin/runc", "c1", RunPaths(Path("/run/p")), options)
    text = " ".join(argv)
    assert "--cid c1" in text
    assert "--log-path k8s-file:/l/log" in text
    assert "--runtime-arg --root --runtime-arg /run/p/runtime" in text
    assert argv[-4:] == ["--systemd-cgroup", "--terminal", "--stdin", "--leave-stdin-open"]


def test_stdin_once_lets_the_first_client_close_it() -> None:
    options = MonitorOptions(Path("/l"), stdin=True, stdin_once=True)
    assert "--leave-stdin-open" not in render_monitor_argv("c", "r", "c1", RunPaths(Path("/r")), options)


def test_socket_links_are_short_whatever_the_container_is_called() -> None:
    paths = RunPaths(Path("/run/pinnace"))
    names = {paths.socket_link(f"pod-{'x' * 150}-{number}").name for number in range(3)}
    assert len(names) == 3
    assert all(len(name) == 16 for name in names)


def test_created_answer_is_the_pid() -> None:
    assert parse_created(b'{"data": 4711}\n', (), "") == 4711


def test_refused_creation_carries_the_runtimes_words() -> None:
    answer = b'{"data": -1, "message": "runc create failed: unable to start container process: exec: \\"x\\": executable file not found in $PATH\\n"}\n'
    with pytest.raises(HostError, match=r'exec: "x": executable file not found in \$PATH') as caught:
        parse_created(answer, ("conmon", "-c"), "")
    assert caught.value.argv == ("conmon", "-c")
    with pytest.raises(HostError, match="no such option"):
        parse_created(b"", (), "no such option")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('exec: "x": executable file not found in $PATH: unknown', 127),
        ("executable file `x` not found in $PATH: No such file or directory", 127),
        ('exec: "/x": stat /x: no such file or directory', 127),
        ('exec: "/etc/passwd": permission denied', 126),
        ("exec /x: exec format error", 126),
        ("error mounting something", 128),
    ],
)
def test_start_failures_have_dockers_codes(message: str, code: int) -> None:
    assert classify_start_failure(message) == code


@pytest.mark.parametrize(
    ("text", "code", "signal"),
    [("0", 0, 0), ("137", 137, 9), ("143\n", 143, 15), ("128", 128, 0), ("255", 255, 0)],
)
def test_exit_file(text: str, code: int, signal: int) -> None:
    expected = ExitFact(container_id="c", exit_code=code, signal=signal, oom_killed=True, finished_at=5.0)
    assert parse_exit("c", text, 5.0, oom_killed=True) == expected


def installed(*names: str) -> dict[str, str]:
    return {name: f"/usr/bin/{name}" for name in names}


def test_runc_is_the_default_and_crun_a_choice_on_v2() -> None:
    both = installed("runc", "crun", "conmon")
    assert choose_programs("", V2, find=both.get).runtime == "runc"
    assert choose_programs("crun", V2, find=both.get).runtime == "crun"
    assert choose_programs("", V2, find=installed("crun", "conmon").get).runtime == "crun"


def test_crun_gives_way_to_runc_on_v1_and_says_so() -> None:
    chosen = choose_programs("crun", V1, find=installed("runc", "crun", "conmon").get)
    assert chosen.runtime == "runc"
    assert "crun does not run on cgroup v1" in chosen.describe()


@pytest.mark.parametrize(
    ("wanted", "there", "message"),
    [
        ("", ("conmon",), "no OCI runtime is installed: runc was not found"),
        ("crun", ("runc", "conmon"), "no OCI runtime is installed: crun was not found"),
        ("", ("runc",), "conmon, which watches containers, is not installed"),
    ],
)
def test_missing_program_is_one_sentence_with_a_hint(
    wanted: str, there: tuple[str, ...], message: str
) -> None:
    with pytest.raises(HostError, match=message) as caught:
        choose_programs(wanted, V2, find=installed(*there).get)
    assert caught.value.hint.startswith("apt-get install")


def test_unknown_runtime_is_a_user_error() -> None:
    with pytest.raises(UserError, match="kata"):
        choose_programs("kata", V2, find=installed("runc", "conmon").get)
