"""The real kubectl on real pods: looking, logs, exec, copying, forwarding, deleting."""

from __future__ import annotations

import os
import pty
import re
import select
import socket
import time
import urllib.request
from pathlib import Path

import pytest

from tests.product.instance import Product, container_state, finished, pod_ready, waiting_reason
from tests.product.manifests import WAIT, container, pod, server


@pytest.fixture
def waiter(product: Product, ns: str) -> str:
    """A running pod `waiter` with one container; returns its namespace."""
    product.apply(pod("waiter"), namespace=ns)
    product.until("pods", "waiter", pod_ready, namespace=ns)
    return ns


# --- looking --------------------------------------------------------------------------------------------------------


def test_get_pods_prints_kubernetes_columns(product: Product, waiter: str) -> None:
    header, row = product.kubectl("get", "pods", "-n", waiter).splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == ["waiter", "1/1", "Running", "0"]


def test_get_wide_shows_address_and_node(product: Product, waiter: str) -> None:
    header, row = product.kubectl("get", "pods", "-n", waiter, "-o", "wide").splitlines()
    assert header.split()[5:7] == ["IP", "NODE"]
    one = product.get("pods", "waiter", waiter)
    assert row.split()[5:7] == [one["status"]["podIP"], one["spec"]["nodeName"]]


def test_watch_prints_each_change_of_a_pod_until_it_is_gone(product: Product, ns: str) -> None:
    with product.kubectl_running("get", "pods", "-n", ns, "-w") as watch:
        product.apply(pod("seen"), namespace=ns)
        product.until("pods", "seen", pod_ready, namespace=ns)
        product.kubectl("delete", "pod", "seen", "-n", ns)
        assert watch.stdout is not None
        states: list[str] = []
        while "Completed" not in states and "Terminating" not in states:
            line = watch.stdout.readline()
            if not line:
                break
            states.append(line.split()[2])
    assert [s for s in states if s in ("Pending", "ContainerCreating", "Running")] == sorted(
        (s for s in states if s in ("Pending", "ContainerCreating", "Running")),
        key=("Pending", "ContainerCreating", "Running").index,
    )
    assert "Running" in states and states[-1] in ("Terminating", "Completed")


def test_describe_tells_state_and_events(product: Product, waiter: str) -> None:
    product.until_event("waiter", "Started", namespace=waiter)
    text = product.kubectl("describe", "pod", "waiter", "-n", waiter)
    assert re.search(r"^Status:\s+Running$", text, re.M)
    assert re.search(r"State:\s+Running", text)
    for reason in ("Scheduled", "Pulled", "Created", "Started"):
        assert re.search(rf"Normal\s+{reason}\s", text), f"no event {reason} in:\n{text}"
    assert f"Successfully assigned {waiter}/waiter to" in text


def test_events_verb_lists_what_happened_to_a_pod(product: Product, waiter: str) -> None:
    product.until_event("waiter", "Started", namespace=waiter)
    text = product.kubectl("events", "-n", waiter, "--for", "pod/waiter")
    assert [line.split()[2] for line in text.splitlines()[1:]].count("Started") == 1


def test_wait_returns_when_the_condition_is_met(product: Product, ns: str) -> None:
    product.apply(
        pod(
            "slow",
            container(
                command=f"sleep 1; touch /tmp/ok; {WAIT}",
                readinessProbe={"exec": {"command": ["test", "-f", "/tmp/ok"]}, "periodSeconds": 1},
            ),
        ),
        namespace=ns,
    )
    assert "condition met" in product.kubectl(
        "wait", "pod/slow", "-n", ns, "--for=condition=Ready", "--timeout=30s"
    )
    assert "condition met" in product.kubectl(
        "wait", "pod/slow", "-n", ns, "--for=jsonpath={.status.phase}=Running"
    )


# --- logs -----------------------------------------------------------------------------------------------------------


def test_logs_prints_both_streams_in_order(product: Product, ns: str) -> None:
    product.apply(
        pod(
            "talker",
            container(command="echo one; sleep 0.1; echo two >&2; sleep 0.1; printf three"),
            restartPolicy="Never",
        ),
        namespace=ns,
    )
    product.until("pods", "talker", finished, namespace=ns)
    assert product.kubectl("logs", "talker", "-n", ns) == "one\ntwo\nthree"
    assert product.kubectl("logs", "talker", "-n", ns, "--tail", "2") == "two\nthree"
    assert product.kubectl("logs", "talker", "-n", ns, "--limit-bytes", "5") == "one\nt"
    stamped = product.kubectl("logs", "talker", "-n", ns, "--timestamps").splitlines()
    assert [
        re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d) ", "", line) for line in stamped
    ] == ["one", "two", "three"]
    assert product.kubectl("logs", "talker", "-n", ns, "--since", "1h").startswith("one")


def test_logs_follow_ends_with_the_container(product: Product, ns: str) -> None:
    product.apply(
        pod(
            "counter", container(command="for i in 1 2 3; do echo $i; sleep 0.3; done"), restartPolicy="Never"
        ),
        namespace=ns,
    )
    product.until("pods", "counter", lambda one: container_state(one).get("containerID"), namespace=ns)
    assert product.kubectl("logs", "-f", "counter", "-n", ns, timeout_s=20) == "1\n2\n3\n"


def test_logs_previous_is_the_log_of_the_attempt_before(product: Product, ns: str) -> None:
    once = "if [ -f /keep/mark ]; then echo second; trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done; fi; touch /keep/mark; echo first; exit 3"
    product.apply(
        pod(
            "again",
            container(command=once, volumeMounts=[{"name": "keep", "mountPath": "/keep"}]),
            volumes=[{"name": "keep", "emptyDir": {}}],
        ),
        namespace=ns,
    )
    product.until(
        "pods",
        "again",
        lambda one: container_state(one).get("restartCount") == 1 and pod_ready(one),
        namespace=ns,
    )
    assert product.kubectl("logs", "again", "-n", ns, "--previous") == "first\n"
    with product.kubectl_running("logs", "-f", "again", "-n", ns) as follow:
        assert follow.stdout is not None and follow.stdout.readline() == "second\n"


def test_logs_of_a_pod_with_several_containers_needs_a_name_or_all(product: Product, ns: str) -> None:
    product.apply(
        pod("pair", container("a", "echo from-a"), container("b", "echo from-b"), restartPolicy="Never"),
        namespace=ns,
    )
    product.until("pods", "pair", finished, namespace=ns)
    assert product.kubectl("logs", "pair", "-n", ns, "-c", "b") == "from-b\n"
    both = product.kubectl("logs", "pair", "-n", ns, "--all-containers", "--prefix").splitlines()
    assert sorted(both) == ["[pod/pair/a] from-a", "[pod/pair/b] from-b"]


def test_logs_of_a_selector_follow_several_pods(product: Product, ns: str) -> None:
    for name in ("a", "b"):
        product.apply(
            pod(name, container(command=f"echo {name}"), labels={"app": "many"}, restartPolicy="Never"),
            namespace=ns,
        )
        product.until("pods", name, finished, namespace=ns)
    assert sorted(product.kubectl("logs", "-l", "app=many", "-n", ns).split()) == ["a", "b"]


def test_logs_of_a_container_that_never_started_says_why(product: Product, ns: str) -> None:
    product.apply(pod("absent", {"name": "main", "image": "no-such-image:v1"}), namespace=ns)
    product.until("pods", "absent", waiting_reason, namespace=ns)
    done = product.try_kubectl("logs", "absent", "-n", ns)
    assert done.returncode == 1
    assert 'container "main" in pod "absent" is waiting to start' in done.stderr


# --- exec -----------------------------------------------------------------------------------------------------------


def test_exec_returns_output_errors_and_exit_code(product: Product, waiter: str) -> None:
    done = product.try_kubectl(
        "exec", "waiter", "-n", waiter, "--", "sh", "-c", "echo out; echo err >&2; exit 7"
    )
    assert (done.stdout, done.returncode) == ("out\n", 7)
    assert done.stderr.splitlines()[0] == "err"


def test_exec_passes_stdin_to_its_end(product: Product, waiter: str) -> None:
    text = "line\n" * 20000
    assert (
        product.kubectl("exec", "-i", "waiter", "-n", waiter, "--", "wc", "-l", stdin=text).strip() == "20000"
    )


def test_exec_passes_much_output_unchanged(product: Product, waiter: str) -> None:
    text = product.kubectl("exec", "waiter", "-n", waiter, "--", "seq", "1", "60000")
    assert text == "".join(f"{n}\n" for n in range(1, 60001))


def test_exec_of_a_command_that_is_not_there_fails_and_names_it(product: Product, waiter: str) -> None:
    done = product.try_kubectl("exec", "waiter", "-n", waiter, "--", "no-such-command")
    assert done.returncode != 0
    assert "no-such-command" in done.stderr


def test_exec_with_a_terminal_is_interactive(product: Product, waiter: str) -> None:
    pid, master = pty.fork()
    if pid == 0:
        os.execve(
            product.kubectl_path, ["kubectl", "exec", "-it", "waiter", "-n", waiter, "--", "sh"], product.env
        )
    try:
        _type_and_expect(master, "tty; stty size; echo done-$((40+2))\n", rb"/dev/pts/\d+.*done-42")
        _type_and_expect(master, "exit 5\n", None)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    finally:
        os.close(master)


def _type_and_expect(master: int, text: str, pattern: bytes | None, timeout_s: float = 20.0) -> None:
    os.write(master, text.encode())
    seen, until = b"", time.monotonic() + timeout_s
    while pattern is not None and not re.search(pattern, seen, re.S):
        assert select.select([master], [], [], max(0.0, until - time.monotonic()))[0], seen
        seen += os.read(master, 65536)


def test_attach_shows_what_the_container_says_from_now_on(product: Product, ns: str) -> None:
    product.apply(
        pod(
            "echo",
            container(
                command="while read line; do echo got $line; [ $line = end ] && exit 0; done", stdin=True
            ),
            restartPolicy="Never",
        ),
        namespace=ns,
    )
    product.until("pods", "echo", pod_ready, namespace=ns)
    out = product.kubectl("attach", "-i", "echo", "-n", ns, stdin="a\nend\n", timeout_s=20)
    assert "got a" in out and "got end" in out


def test_run_starts_a_pod_and_removes_it_again(product: Product, ns: str) -> None:
    out = product.kubectl(
        "run", "quick", "-n", ns, "--image=tiny:v1", "--restart=Never", "--rm", "-i", "--", "echo", "hello"
    )
    assert "hello" in out
    product.until_gone("pods", "quick", namespace=ns)


# --- copying and forwarding -----------------------------------------------------------------------------------------


def test_cp_copies_both_ways(product: Product, waiter: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(os.urandom(300_000))
    product.kubectl("cp", str(tmp_path / "there"), f"{waiter}/waiter:/tmp/there")
    product.kubectl("cp", f"{waiter}/waiter:/tmp/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


@pytest.mark.parametrize("target", ["pod/web", "service/web"])
def test_port_forward_carries_requests(product: Product, ns: str, target: str) -> None:
    product.apply(pod("web", server()), namespace=ns)
    product.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]},
        },
        namespace=ns,
    )
    product.until("pods", "web", pod_ready, namespace=ns)
    port = "80" if target.startswith("service") else "8000"
    with product.kubectl_running("port-forward", target, "-n", ns, f":{port}") as forward:
        assert forward.stdout is not None
        line = forward.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, line
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/cgi-bin/who", timeout=10) as answer:
                assert answer.read() == b"web\n"


def test_port_forward_to_a_port_where_nothing_listens_says_so(product: Product, waiter: str) -> None:
    with product.kubectl_running("port-forward", "pod/waiter", "-n", waiter, ":9999") as forward:
        assert forward.stdout is not None and forward.stderr is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", forward.stdout.readline())
        assert found
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.recv(100) == b""
        assert "9999" in forward.stderr.readline()


# --- deleting -------------------------------------------------------------------------------------------------------


def test_delete_waits_until_the_pod_has_ended(product: Product, waiter: str) -> None:
    assert 'pod "waiter" deleted' in product.kubectl("delete", "pod", "waiter", "-n", waiter)
    assert "NotFound" in product.try_kubectl("get", "pod", "waiter", "-n", waiter).stderr


def test_delete_with_a_short_grace_period_kills_what_does_not_listen(product: Product, ns: str) -> None:
    product.apply(
        pod("deaf", container(command=["sleep", "1000"]), terminationGracePeriodSeconds=100), namespace=ns
    )
    product.until("pods", "deaf", pod_ready, namespace=ns)
    began = time.monotonic()
    product.kubectl("delete", "pod", "deaf", "-n", ns, "--grace-period=1")
    assert time.monotonic() - began < 15


def test_delete_by_force_is_immediate(product: Product, ns: str) -> None:
    product.apply(
        pod("deaf", container(command=["sleep", "1000"]), terminationGracePeriodSeconds=100), namespace=ns
    )
    product.until("pods", "deaf", pod_ready, namespace=ns)
    began = time.monotonic()
    product.kubectl("delete", "pod", "deaf", "-n", ns, "--force", "--grace-period=0")
    assert time.monotonic() - began < 10
    product.until_gone("pods", "deaf", namespace=ns)
