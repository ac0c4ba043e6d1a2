"""`pinnace run`, `exec` and `logs` with real containers: exit codes, streams, terminal, ports, volumes, limits."""

from __future__ import annotations

import itertools
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.engine import Terminal, inspect, run, started, state, wait_for
from tests.product.instance import Product

_numbers = itertools.count()


@pytest.fixture
def name(product: Product) -> Iterator[str]:
    """A container's name that one test has for itself; the container goes with the test."""
    one = f"test-{next(_numbers)}"
    yield one
    product.try_pinnace("rm", "-f", "-v", one)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("tiny:v1", "true"), 0),
        (("tiny:v1", "sh", "-c", "exit 7"), 7),
        (("tiny:v1", "sh", "-c", "sh -c 'kill -9 $$' 2>&-; exit $?"), 137),
        (("tiny:v1", "no-such-program"), 127),
        (("tiny:v1", "/bin/no/such"), 127),
        (("tiny:v1", "/etc/passwd"), 126),
        (("no-such-image", "true"), 125),
        (("--memory", "1m", "tiny:v1", "true"), 125),
        (("tiny:v1",), 125),
    ],
)
def test_the_exit_code_is_the_commands_or_says_who_failed(
    product: Product, words: tuple[str, ...], expected: int
) -> None:
    code, output, talk = run(product, "run", "--rm", *words)
    assert (code, output) == (expected, ""), talk
    assert ("hint: " in talk) is (expected in (125, 126, 127)), talk


def test_an_image_that_is_missing_is_named_with_what_to_do(product: Product) -> None:
    _, _, talk = run(product, "run", "no-such-image")
    assert "Unable to find image 'no-such-image:latest' locally" in talk
    assert "hint: " in talk and "pinnace import" in talk


def test_output_and_errors_of_a_command_that_ends_at_once_are_whole_and_apart(product: Product) -> None:
    for _ in range(5):
        assert run(product, "run", "--rm", "tiny:v1", "sh", "-c", "echo out; echo err >&2") == (
            0,
            "out\n",
            "err\n",
        )


def test_a_reader_who_is_slow_gets_everything(product: Product) -> None:
    """More than the daemon holds for a reader: what is too much for it comes from the log."""
    with started(product, "run", "--rm", "tiny:v1", "sh", "-c", "seq 1 4000000") as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdin.close()
        process.stdin = None
        wait_for("the container to end", lambda: product.pinnace("ps", "-q") == "")
        output = process.stdout.read()
        assert process.wait() == 0
    assert output.count(b"\n") == 4000000
    assert output.endswith(b"3999999\n4000000\n")


def test_standard_input_reaches_the_command_and_its_end_too(product: Product) -> None:
    data = os.urandom(300_000).hex().encode()
    code, output, _ = run(product, "run", "-i", "--rm", "tiny:v1", "md5sum", stdin=data)
    import hashlib

    assert (code, output.split()[0]) == (0, hashlib.md5(data).hexdigest())


def test_nothing_of_a_removed_container_is_left(product: Product) -> None:
    run(product, "run", "--rm", "-v", "/anonymous", "tiny:v1", "true")
    assert product.pinnace("ps", "-a", "-q") == ""
    wait_for("the volume to go", lambda: product.pinnace("volume", "ls", "-q") == "")
    wait_for("the sandbox to go", lambda: not list(product.settings.home_path.glob("pods/ctr-*")))
    assert not list(product.settings.home_path.glob("containers/*"))


def test_flags_reach_the_container(product: Product, tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    env_file.write_text("FROM_FILE=yes\n")
    script = 'id -u; pwd; hostname; echo $A $FROM_FILE; grep CapEff /proc/self/status; touch /x || echo "read-only"; df /run | tail -1 | cut -d" " -f1; ulimit -n'
    code, output, _ = run(
        product,
        *("run", "--rm", "-u", "app", "-w", "/www", "-h", "here", "-e", "A=1", "--env-file", str(env_file)),
        *("--cap-drop", "ALL", "--read-only", "--tmpfs", "/run", "--ulimit", "nofile=100", "tiny:v1", "sh", "-c", script),
    )  # fmt: skip
    assert code == 0
    assert output.splitlines() == [
        *("1000", "/www", "here", "1 yes", "CapEff:\t0000000000000000", "read-only", "tmpfs", "100"),
    ]


def test_the_entrypoint_can_be_replaced(product: Product) -> None:
    assert run(product, "run", "--rm", "--entrypoint", "echo", "my-model:v1", "hi")[1] == "hi\n"


def test_network_modes(product: Product) -> None:
    def links(mode: str) -> str:
        return run(product, "run", "--rm", "--network", mode, "tiny:v1", "ls", "/sys/class/net")[1]

    assert links("none").split() == ["lo"]
    assert "eth0" in links("bridge").split()
    assert set(links("host").split()) >= set(os.listdir("/sys/class/net")) - {
        "veth"
    } or product.host.name in links("host")


def test_containers_find_services_and_the_world_by_name(product: Product) -> None:
    code, output, talk = run(
        product, "run", "--rm", "tiny:v1", "nslookup", "kubernetes.default.svc.cluster.local"
    )
    assert code == 0, output + talk
    assert "Address" in output


def test_a_published_port_answers_on_localhost_and_is_shown(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, "-p", "8000", "my-model:v1")
    ports = inspect(product, name)["NetworkSettings"]["Ports"]["8000/tcp"]
    port = ports[0]["HostPort"]

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                return bool(answer.read() == b"ok\n")
        except OSError:
            return False

    wait_for("the port to answer", answers)
    assert f"0.0.0.0:{port}->8000/tcp" in product.pinnace("ps")
    product.pinnace("stop", name)
    assert not answers()


def test_a_port_that_is_taken_is_told_with_its_holder(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, "-p", "8000", "my-model:v1")
    port = inspect(product, name)["NetworkSettings"]["Ports"]["8000/tcp"][0]["HostPort"]
    code, _, talk = run(product, "run", "--rm", "-p", f"{port}:80", "tiny:v1", "true")
    assert code == 125
    assert port in talk and "container" in talk


def test_a_named_volume_keeps_what_was_written_and_starts_with_what_the_image_has(product: Product) -> None:
    assert (
        run(
            product,
            "run",
            "--rm",
            "-v",
            "data:/www",
            "tiny:v1",
            "sh",
            "-c",
            "cat /www/index.html; echo kept > /www/new",
        )[1]
        == "ok\n"
    )
    assert run(product, "run", "--rm", "-v", "data:/d:ro", "tiny:v1", "cat", "/d/new")[1] == "kept\n"
    assert run(product, "run", "--rm", "-v", "data:/d:ro", "tiny:v1", "touch", "/d/x")[0] == 1
    assert product.pinnace("volume", "ls", "-q") == "data\n"
    product.pinnace("volume", "rm", "data")
    assert product.pinnace("volume", "ls", "-q") == ""


def test_a_folder_of_the_host_is_shared(product: Product, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    run(product, "run", "--rm", "-v", f"{folder}:/data", "tiny:v1", "sh", "-c", "echo hi > /data/x")
    assert (folder / "x").read_text() == "hi\n"
    code, _, talk = run(
        product, "run", "--rm", "--mount", "type=bind,source=/no/such,target=/x", "tiny:v1", "true"
    )
    assert code == 125
    assert "bind source path does not exist: /no/such" in talk


def test_a_volume_in_use_is_not_removed(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, "-v", "used:/d", "my-model:v1")
    code, _, talk = run(product, "volume", "rm", "used")
    assert code == 1
    assert "volume is in use" in talk
    product.pinnace("rm", "-f", name)
    product.pinnace("volume", "rm", "used")


def test_memory_that_runs_out_is_137_and_named(product: Product, name: str) -> None:
    code, _, _ = run(
        product, "run", "--name", name, "--memory", "16m", "tiny:v1", "sh", "-c", "exec tail /dev/zero"
    )
    found = state(product, name)
    assert (code, found["OOMKilled"], found["ExitCode"]) == (137, True, 137)


def test_cpus_are_bounded(product: Product, name: str) -> None:
    product.pinnace(
        "run", "-d", "--name", name, "--cpus", "0.25", "tiny:v1", "sh", "-c", "while :; do :; done"
    )
    host = inspect(product, name)["HostConfig"]
    assert host["NanoCpus"] == 250_000_000
    container = inspect(product, name)["Id"]
    folders = Path("/sys/fs/cgroup").rglob(f"*{container}*")
    quotas = [
        f.read_text().split()[0] for d in folders for f in (*d.glob("cpu.cfs_quota_us"), *d.glob("cpu.max"))
    ]
    assert "25000" in quotas


def test_shm_size(product: Product) -> None:
    output = run(product, "run", "--rm", "--shm-size", "32m", "tiny:v1", "df", "-k", "/dev/shm")[1]
    assert output.splitlines()[-1].split()[1] == str(32 * 1024)


def test_a_name_in_use_is_refused_in_dockers_words(product: Product, name: str) -> None:
    product.pinnace("run", "--name", name, "tiny:v1", "true")
    code, _, talk = run(product, "run", "--name", name, "tiny:v1", "true")
    assert code == 125
    assert f'Conflict. The container name "/{name}" is already in use by container "' in talk


def test_an_unknown_container_is_refused_in_dockers_words(product: Product) -> None:
    for words in (
        ("stop", "nope"),
        ("rm", "nope"),
        ("logs", "nope"),
        ("exec", "nope", "true"),
        ("start", "nope"),
    ):
        code, _, talk = run(product, *words)
        assert code == 1
        assert "No such container: nope" in talk


def test_names_and_beginnings_of_ids_mean_the_container(product: Product, name: str) -> None:
    whole = product.pinnace("run", "-d", "--name", name, "tiny:v1", "sleep", "100").strip()
    assert len(whole) == 64
    for reference in (whole, whole[:12], whole[:6], name, f"/{name}"):
        assert inspect(product, reference)["Id"] == whole


# --- exec, logs, attach ------------------------------------------------------------------------------------------------


def test_exec_has_the_commands_exit_code_streams_and_input(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, "-e", "A=1", "tiny:v1", "sleep", "100")
    assert run(product, "exec", "-e", "B=2", name, "sh", "-c", "echo $A$B; echo err >&2; exit 5") == (
        5,
        "12\n",
        "err\n",
    )
    assert run(product, "exec", "-i", name, "cat", stdin=b"to and fro") == (0, "to and fro", "")
    assert run(product, "exec", name, "no-such-program")[0] == 127
    assert (
        run(product, "exec", "-u", "app", "-w", "/www", name, "sh", "-c", "id -u; pwd")[1] == "1000\n/www\n"
    )


def test_exec_in_a_container_that_has_ended_is_refused(product: Product, name: str) -> None:
    product.pinnace("run", "--name", name, "tiny:v1", "true")
    code, _, talk = run(product, "exec", name, "true")
    assert code == 1
    assert "is not running" in talk


def test_logs_follow_to_the_end(product: Product, name: str) -> None:
    script = "echo one; echo err >&2; read x < /tmp/go; echo two"
    product.pinnace("run", "-d", "--name", name, "tiny:v1", "sh", "-c", f"mkfifo /tmp/go; {script}")
    with started(product, "logs", "-f", name) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"one\n"
        product.pinnace("exec", name, "sh", "-c", "echo > /tmp/go")
        assert process.stdout.read() == b"two\n"
        assert process.stderr.read() == b"err\n"
        assert process.wait() == 0
    assert run(product, "logs", "--tail", "1", name)[1] == "two\n"
    stamped = run(product, "logs", "-t", name)[1].splitlines()[0]
    assert stamped.endswith("Z one") and stamped.startswith("20")
    assert run(product, "logs", "--since", "1h", name)[1] == "one\ntwo\n"


def test_a_terminal_is_raw_sized_and_restored(product: Product) -> None:
    terminal = Terminal(product, "run", "-it", "--rm", "tiny:v1", "sh", height=31, width=101)
    try:
        terminal.type("stty size\n")
        terminal.expect("31 101")
        terminal.resize(42, 142)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.type("sleep 0.3; stty size\n")
        terminal.expect("42 142")
        terminal.type("trap 'echo caught' INT; sleep 5\n\x03")  # ctrl-c goes to the container
        terminal.expect("caught")
        terminal.type("exit 3\n")
        assert terminal.end() == 3
        import termios

        assert termios.tcgetattr(terminal.slave) == terminal.before
    finally:
        terminal.close()


def test_exec_on_a_terminal(product: Product, name: str) -> None:
    product.pinnace("run", "-d", "--name", name, "tiny:v1", "sleep", "100")
    terminal = Terminal(product, "exec", "-it", name, "sh", height=33, width=93)
    try:
        terminal.expect("# ")
        # runc sets the size just after it has started the process, and tells nobody.
        terminal.type("tty; sleep 0.3; stty size; exit 4\n")
        terminal.expect("/dev/pts/")
        terminal.expect("33 93")
        assert terminal.end() == 4
    finally:
        terminal.close()


def test_the_detach_keys_leave_the_container_running(product: Product, name: str) -> None:
    terminal = Terminal(product, "run", "-it", "--name", name, "tiny:v1", "sh")
    try:
        terminal.type("echo he''re\n")
        terminal.expect("here")
        terminal.type("\x10\x11")
        assert terminal.end() == 0
    finally:
        terminal.close()
    assert state(product, name)["Running"] is True
    again = Terminal(product, "attach", name)
    try:
        again.type("echo ag''ain\n")
        again.expect("again")
        again.type("exit 6\n")
        assert again.end() == 6
    finally:
        again.close()


def test_signals_to_the_command_go_to_the_container(product: Product, name: str) -> None:
    script = "trap 'echo got it; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    with started(product, "run", "--name", name, "tiny:v1", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"got it\n"
        assert process.wait() == 9


def test_a_client_that_is_killed_leaves_its_container_running(product: Product, name: str) -> None:
    with started(product, "run", "--name", name, "tiny:v1", "sh", "-c", "echo ready; sleep 100") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        process.wait()
    assert state(product, name)["Running"] is True
