"""What the real kubectl does with running pods over its streams: WebSocket and SPDY, today's client and the distribution's.

Each test runs with every way to speak that there is: `KUBECTL_REMOTE_COMMAND_WEBSOCKETS` and `KUBECTL_PORT_FORWARD_WEBSOCKETS`
switch today's client; an old one (Debian's kubernetes-client, 1.20) speaks SPDY only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.product.instance import Product, pod_ready
from tests.product.manifests import container, pod, server

PATIENCE_S = 30.0
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Way:
    """A client and how it speaks."""

    binary: str
    env: dict[str, str]

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self.binary, *words], input=stdin, capture_output=True, env=self.env, timeout=60, check=False
        )


@pytest.fixture(params=["websocket", "spdy", "old"])
def way(request: pytest.FixtureRequest, product: Product) -> Way:
    if request.param == "old":
        return Way(request.getfixturevalue("old_kubectl"), product.env)
    on = "true" if request.param == "websocket" else "false"
    switches = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": on, "KUBECTL_PORT_FORWARD_WEBSOCKETS": on}
    return Way(product.kubectl_path, {**product.env, **switches})


@pytest.fixture(scope="module")
def space(product: Product) -> Iterator[str]:
    """A namespace with the pods that the tests of this module share: `web`, that serves on port 8000, and `idle`."""
    product.kubectl("create", "namespace", "streams")
    product.apply(pod("web", server()), pod("idle"), namespace="streams")
    for name in ("web", "idle"):
        product.until("pods", name, pod_ready, namespace="streams")
    yield "streams"
    product.kubectl("delete", "namespace", "streams", "--wait=false")


# --- exec ----------------------------------------------------------------------------------------------------------------


def test_exec_gives_output_errors_and_the_exit_code(way: Way, space: str) -> None:
    done = way.run("-n", space, "exec", "idle", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, b"out\n")
    assert done.stderr == b"err\ncommand terminated with exit code 3\n"


def test_exec_takes_input_to_its_end(way: Way, space: str) -> None:
    done = way.run("-n", space, "exec", "-i", "idle", "--", "md5sum", stdin=b"hello")
    assert done.stdout.split()[0] == hashlib.md5(b"hello").hexdigest().encode()


def test_exec_carries_much_both_ways(way: Way, space: str) -> None:
    data = os.urandom(MIB) * 24
    done = way.run("-n", space, "exec", "-i", "idle", "--", "cat", stdin=data)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("idle", "--", "no-such-program"), b"no-such-program"),
        (("idle", "-c", "other", "--", "true"), b"container other"),
        (("nobody", "--", "true"), b'pods "nobody" not found'),
    ],
)
def test_exec_that_cannot_be_says_why(way: Way, space: str, words: tuple[str, ...], message: bytes) -> None:
    done = way.run("-n", space, "exec", *words)
    assert done.returncode != 0
    assert message in done.stderr


class Terminal:
    """A client on a terminal of its own."""

    def __init__(self, way: Way, *words: str) -> None:
        self.seen = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execve(way.binary, [way.binary, *words], way.env)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def send(self, text: bytes) -> None:
        os.write(self._fd, text)

    def until(self, text: bytes, *, again: bytes = b"") -> None:
        """Wait for output; `again` is typed each second until it comes (a size arrives when it arrives)."""
        end = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self._fd], [], [], 1.0)[0]:
                self.seen += os.read(self._fd, 65536)
            elif again:
                self.send(again)

    def end(self) -> int:
        with contextlib.suppress(OSError):
            while select.select([self._fd], [], [], PATIENCE_S)[0] and os.read(self._fd, 65536):
                pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_exec_on_a_terminal_has_its_size_and_follows_it(way: Way, space: str) -> None:
    terminal = Terminal(way, "-n", space, "exec", "-it", "idle", "--", "sh")
    terminal.until(b"# ")
    terminal.resize(33, 101)
    terminal.until(b"33 101", again=b"stty size\n")
    terminal.resize(44, 55)
    terminal.until(b"44 55", again=b"stty size\n")
    terminal.send(b"exit 5\n")
    assert terminal.end() == 5


# --- attach, cp ----------------------------------------------------------------------------------------------------------


def test_attach_speaks_to_the_main_process_until_it_ends(product: Product, way: Way, ns: str) -> None:
    main = container(
        command='while read line; do echo "got $line"; [ "$line" = end ] && exit 0; done', stdin=True
    )
    product.apply(pod("reader", main, restartPolicy="Never"), namespace=ns)
    product.until("pods", "reader", pod_ready, namespace=ns)
    done = way.run("-n", ns, "attach", "-i", "reader", stdin=b"one\nend\n")
    assert done.returncode == 0, done.stderr
    assert b"got one\ngot end\n" in done.stdout


def test_files_and_folders_are_copied_both_ways(way: Way, space: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "big").write_bytes(os.urandom(2 * MIB))
    (source / "deep" / "small").write_text("x\n")
    assert way.run("-n", space, "cp", str(source), "idle:/tmp/copied").returncode == 0
    back = tmp_path / "back"
    assert way.run("-n", space, "cp", "idle:/tmp/copied", str(back)).returncode == 0
    assert (back / "big").read_bytes() == (source / "big").read_bytes()
    assert (back / "deep" / "small").read_text() == "x\n"
    refused = way.run("-n", space, "cp", str(source), "idle:/proc/nowhere")
    assert refused.returncode != 0
    assert b"tar: " in refused.stderr
    way.run("-n", space, "exec", "idle", "--", "rm", "-r", "/tmp/copied")


# --- port-forward --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def forwarding(way: Way, *words: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A port-forward, and its local ports in the order in which they were named."""
    process = subprocess.Popen(
        [way.binary, "port-forward", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=way.env,
        text=True,
    )
    try:
        ports: list[int] = []
        wanted = sum(word.startswith(":") for word in words)
        assert process.stdout is not None
        while len(ports) < wanted:
            line = process.stdout.readline()
            assert line, "the port-forward ended"
            if found := re.search(r"127\.0\.0\.1:(\d+) ->", line):
                ports.append(int(found[1]))
        yield process, ports
    finally:
        process.kill()
        process.communicate(timeout=10)


def fetch(port: int, path: str = "/cgi-bin/who", *, half_close: bool = False) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


def test_many_connections_are_forwarded_side_by_side(way: Way, space: str) -> None:
    with forwarding(way, "-n", space, "pod/web", ":8000") as (_, (port,)):
        assert fetch(port, half_close=True).endswith(b"\r\n\r\nweb\n")
        answers: list[bytes] = []
        threads = [threading.Thread(target=lambda: answers.append(fetch(port))) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.endswith(b"\r\n\r\nweb\n") for answer in answers] == [True] * 30


def test_a_port_without_a_listener_is_told(way: Way, space: str) -> None:
    with forwarding(way, "-n", space, "pod/web", ":81") as (process, (port,)):
        with contextlib.suppress(ConnectionError):
            assert fetch(port) == b""
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("onnection refused" in line for line in lines)


# --- debug ---------------------------------------------------------------------------------------------------------------


def added(one: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the state of an ephemeral container, {} while there is none."""
    statuses = one["status"].get("ephemeralContainerStatuses", ())
    return next((dict(s["state"]) for s in statuses if s["name"] == name), {})


def ended(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda one: added(one, name).get("terminated")


def test_debug_sees_the_processes_of_its_target(product: Product, ns: str) -> None:
    product.apply(pod("web", server()), namespace=ns)
    product.until("pods", "web", pod_ready, namespace=ns)
    words = ("debug", "web", "--image=tiny:v1", "--target=server", "-c", "look", "--profile=general")
    product.kubectl("-n", ns, *words, "--", "sh", "-c", "ps -o args; ls /proc/1/root/www; exit 4")
    found = product.until("pods", "web", ended("look"), namespace=ns)
    assert ended("look")(found)["exitCode"] == 4
    log = product.kubectl("-n", ns, "logs", "web", "-c", "look")
    assert "httpd -f -p 8000 -h /www" in log and "index.html" in log
    assert pod_ready(found)


def test_debug_container_outlives_the_daemon_and_is_reached_as_any(own: Product) -> None:
    product = own
    product.apply(pod("web", server()))
    product.until("pods", "web", pod_ready)
    product.kubectl(
        "debug", "web", "--image=tiny:v1", "-c", "stay", "--profile=general", "--", "sleep", "300"
    )
    running = product.until("pods", "web", lambda one: added(one, "stay").get("running"))
    product.kill_daemon()
    product.up()
    again = product.until("pods", "web", lambda one: added(one, "stay").get("running"))
    assert added(again, "stay") == added(running, "stay")
    assert product.kubectl("exec", "web", "-c", "stay", "--", "hostname") == "web\n"
    product.kubectl("delete", "pod", "web", "--now")


def test_debug_on_a_terminal_attaches(product: Product, way: Way, ns: str) -> None:
    if way.binary != product.kubectl_path:
        pytest.skip("the old client's debug is another command")
    product.apply(pod("web", server()), namespace=ns)
    product.until("pods", "web", pod_ready, namespace=ns)
    terminal = Terminal(
        way, "-n", ns, "debug", "-it", "web", "--image=tiny:v1", "--profile=general", "-c", "look", "--", "sh"
    )
    terminal.until(b"mark3", again=b"echo mark$((1+2))\n")
    terminal.send(b"exit 0\n")
    assert terminal.end() == 0
    product.until("pods", "web", ended("look"), namespace=ns)


@pytest.mark.parametrize(
    ("profile", "bit"), [("general", 19), ("netadmin", 12), ("sysadmin", 21)]
)  # CAP_SYS_PTRACE, CAP_NET_ADMIN, CAP_SYS_ADMIN
def test_debug_profiles_give_what_they_name(product: Product, space: str, profile: str, bit: int) -> None:
    name = f"as-{profile}"
    words = ("debug", "idle", "--image=tiny:v1", f"--profile={profile}", "-c", name)
    product.kubectl("-n", space, *words, "--", "grep", "CapEff", "/proc/self/status")
    product.until("pods", "idle", ended(name), namespace=space)
    mask = int(product.kubectl("-n", space, "logs", "idle", "-c", name).split()[1], 16)
    assert mask >> bit & 1


def test_debug_copies_a_pod_and_looks_at_a_node(product: Product, ns: str) -> None:
    product.apply(pod("web", server()), namespace=ns)
    product.until("pods", "web", pod_ready, namespace=ns)
    copy = ("--copy-to=copy", "--share-processes", "--image=tiny:v1", "-c", "look", "--profile=general")
    product.kubectl(
        "-n", ns, "debug", "web", *copy, "--", "sh", "-c", "until pgrep httpd; do sleep 0.1; done; sleep 300"
    )
    product.until("pods", "copy", pod_ready, namespace=ns)
    product.poll(lambda: product.kubectl("-n", ns, "logs", "copy", "-c", "look"))  # it has seen the server
    node = product.ask("/api/v1/nodes")["items"][0]["metadata"]["name"]
    said = product.kubectl(
        "-n",
        ns,
        "debug",
        f"node/{node}",
        "--image=tiny:v1",
        "--profile=sysadmin",
        "--",
        "cat",
        "/host/etc/hostname",
    )
    name = said.split()[3]
    product.until("pods", name, lambda one: one["status"].get("phase") == "Succeeded", namespace=ns)
    assert product.kubectl("-n", ns, "logs", name) == Path("/etc/hostname").read_text()


# --- resize --------------------------------------------------------------------------------------------------------------


def resources(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": cpu, "memory": memory}}


def patch(product: Product, ns: str, limits: dict[str, str]) -> str:
    body = {"spec": {"containers": [{"name": "main", "resources": {"limits": limits}}]}}
    return product.kubectl(
        "-n", ns, "patch", "pod", "sized", "--subresource", "resize", "-p", json.dumps(body)
    )


def test_resize_changes_what_the_kernel_allows_a_running_container(product: Product, ns: str) -> None:
    product.apply(pod("sized", container(resources=resources("250m", "64Mi"))), namespace=ns)
    product.until("pods", "sized", pod_ready, namespace=ns)
    before = product.list_processes("sized", ns)
    assert product.read_limits("sized", ns) == (0.25, 64 * MIB)
    for cpu, memory, expected in (("500m", "128Mi", (0.5, 128 * MIB)), ("200m", "48Mi", (0.2, 48 * MIB))):
        patch(product, ns, {"cpu": cpu, "memory": memory})

        def has(one: dict[str, Any], cpu: str = cpu, memory: str = memory) -> bool:
            (status,) = one["status"]["containerStatuses"]
            return bool(status["resources"]["limits"] == {"cpu": cpu, "memory": memory})

        shown = product.until("pods", "sized", has, namespace=ns)
        assert product.read_limits("sized", ns) == expected
        assert shown["status"]["observedGeneration"] == shown["metadata"]["generation"]
    assert product.list_processes("sized", ns).keys() == before.keys()  # never started anew
    refused = product.try_kubectl(
        "-n", ns, "patch", "pod", "sized", "--subresource", "resize", "-p",
        '{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"200m","memory":"48Mi"}}}]}}',
    )  # fmt: skip
    assert "Pod QOS Class may not change as a result of resizing" in refused.stderr


# --- proxy ---------------------------------------------------------------------------------------------------------------


def test_raw_paths_lead_to_pods_services_and_the_node(product: Product, space: str) -> None:
    base = f"/api/v1/namespaces/{space}"
    product.kubectl("-n", space, "expose", "pod", "web", "--name=front", "--port=80", "--target-port=8000")
    product.until_all(
        "endpointslices", lambda found: any(one.get("endpoints") for one in found), namespace=space
    )
    assert product.kubectl("get", "--raw", f"{base}/pods/web:8000/proxy/cgi-bin/who") == "web\n"
    assert product.kubectl("get", "--raw", f"{base}/services/front:80/proxy/index.html") == "ok\n"
    dead = product.try_kubectl("get", "--raw", f"{base}/pods/web:81/proxy/")
    assert "error trying to reach service: dial tcp" in dead.stderr
    node = product.ask("/api/v1/nodes")["items"][0]["metadata"]["name"]
    own = f"/api/v1/nodes/{node}/proxy"
    assert product.kubectl("get", "--raw", f"{own}/healthz") == "ok"
    assert "web" in {
        one["metadata"]["name"] for one in json.loads(product.kubectl("get", "--raw", f"{own}/pods"))["items"]
    }
    summary = json.loads(product.kubectl("get", "--raw", f"{own}/stats/summary"))
    assert summary["node"]["nodeName"] == node
    assert {one["podRef"]["name"] for one in summary["pods"]} >= {"web", "idle"}
    cadvisor = product.kubectl("get", "--raw", f"{own}/metrics/cadvisor")
    assert re.search(r'container_memory_working_set_bytes\{container="server",.*pod="web"\} \d+', cadvisor)
    assert "daemon.log" in product.kubectl("get", "--raw", f"{own}/logs/")


def test_kubectl_proxy_passes_requests_and_pages_on(product: Product, space: str) -> None:
    with product.kubectl_running("proxy", "--port=0") as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        path = f"/api/v1/namespaces/{space}/pods/web:8000/proxy"
        assert fetch(port, f"{path}/cgi-bin/who").endswith(b"web\n")
        assert f"Location: {path}/".encode() in fetch(port, path)


# --- nothing stays ---------------------------------------------------------------------------------------------------------


def test_clients_that_are_killed_at_any_moment_leave_nothing(own: Product) -> None:
    product = own
    product.apply(pod("web", server()), pod("idle"))
    for name in ("web", "idle"):
        product.until("pods", name, pod_ready)
    pid = product.pid
    flood, quiet = "/dev/zero", "/dev/null"
    works = (
        (quiet, ("exec", "-i", "idle", "--", "sleep", "1000")),
        (flood, ("exec", "-i", "idle", "--", "cat")),
        (quiet, ("exec", "idle", "--", "cat", "/dev/zero")),
        (quiet, ("port-forward", "pod/web", "0:8000")),
        (quiet, ("logs", "-f", "web")),
        (quiet, ("attach", "idle")),
        (quiet, ("get", "--raw", "/api/v1/namespaces/default/pods/web:8000/proxy/cgi-bin/slow")),
    )

    def held() -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    def left() -> list[str]:
        """What runs in the container beside its own loop."""
        found = []
        for one in next(iter(product.list_processes("idle").values())):
            with contextlib.suppress(OSError):
                found.append(Path(f"/proc/{one}/cmdline").read_bytes().replace(b"\0", b" ").decode())
        return [line for line in found if "1000" in line or "cat" in line or "runc" in line]

    product.kubectl("exec", "idle", "--", "true")
    before = held()
    for round_ in range(3):
        for number, (source, words) in enumerate(works):
            on = "true" if (round_ + number) % 2 else "false"
            switches = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": on, "KUBECTL_PORT_FORWARD_WEBSOCKETS": on}
            with open(source, "rb") as stdin:
                process = subprocess.Popen(
                    [product.kubectl_path, *words],
                    stdin=stdin,
                    stdout=subprocess.PIPE,  # which nobody reads
                    stderr=subprocess.DEVNULL,
                    env={**product.env, **switches},
                )
                select.select([], [], [], 0.04 + 0.05 * round_)  # from before its request to well within it
                process.kill()
                process.communicate(timeout=10)
    # Who went with more to send than was read is found by the next knock, 10 s later.
    product.poll(lambda: held() <= before + 2 and not left(), timeout_s=25)
