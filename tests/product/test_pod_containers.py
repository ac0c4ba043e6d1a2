"""Containers of one pod, as the kernel runs them: what they share, in which order they come, how they are ended and begun again."""

from __future__ import annotations

import json
import re

import pytest

from tests.product.instance import (
    Object,
    Product,
    condition,
    container_state,
    finished,
    pod_ready,
    read_limits,
    terminated,
    waiting_reason,
)
from tests.product.manifests import WAIT, container, pod, server


def run_to_end(product: Product, ns: str, one: Object) -> Object:
    """Apply a pod and return it as it is when it has finished."""
    product.apply(one, namespace=ns)
    return product.until("pods", one["metadata"]["name"], finished, namespace=ns)


def start(product: Product, ns: str, one: Object) -> Object:
    """Apply a pod and return it as it is when it is ready."""
    product.apply(one, namespace=ns)
    return product.until("pods", one["metadata"]["name"], pod_ready, namespace=ns)


# --- what containers of a pod share -------------------------------------------------------------------------------------


def test_containers_of_a_pod_share_localhost_and_hostname(product: Product, ns: str) -> None:
    asker = container(
        "asker", f"until wget -qO- http://127.0.0.1:8000/cgi-bin/who; do sleep 0.1; done; {WAIT}"
    )
    start(product, ns, pod("pair", server(), asker))
    product.poll(lambda: "pair" in product.kubectl("logs", "pair", "-n", ns, "-c", "asker").splitlines())


def test_containers_of_a_pod_see_their_own_processes_unless_they_are_shared(
    product: Product, ns: str
) -> None:
    start(product, ns, pod("apart", container("a"), container("b", "sleep 7654321 & " + WAIT)))
    assert "7654321" not in product.kubectl("exec", "apart", "-c", "a", "-n", ns, "--", "ps")
    start(
        product,
        ns,
        pod("shared", container("a"), container("b", "sleep 7654321 & " + WAIT), shareProcessNamespace=True),
    )
    assert "7654321" in product.kubectl("exec", "shared", "-c", "a", "-n", ns, "--", "ps")


def test_an_empty_dir_is_shared_and_ends_with_the_pod(product: Product, ns: str) -> None:
    mounts = [{"name": "box", "mountPath": "/box"}, {"name": "ram", "mountPath": "/ram"}]
    one = pod(
        "sharing",
        container("writer", f"echo disk > /box/file; echo memory > /ram/file; {WAIT}", volumeMounts=mounts),
        container(
            "reader", f"until cat /box/file /ram/file; do sleep 0.1; done; {WAIT}", volumeMounts=mounts
        ),
        volumes=[
            {"name": "box", "emptyDir": {}},
            {"name": "ram", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
        ],
    )
    uid = start(product, ns, one)["metadata"]["uid"]
    product.poll(lambda: "disk\nmemory\n" in product.kubectl("logs", "sharing", "-n", ns, "-c", "reader"))
    mounted = product.kubectl("exec", "sharing", "-n", ns, "-c", "reader", "--", "df", "-k", "/ram", "/box")
    assert re.search(r"tmpfs\s+8192 .*/ram", mounted)
    assert not re.search(r"tmpfs.*/box", mounted)
    full = product.try_kubectl(
        "exec",
        "sharing",
        "-n",
        ns,
        "-c",
        "writer",
        "--",
        "dd",
        "if=/dev/zero",
        "of=/ram/big",
        "bs=1M",
        "count=20",
    )
    assert "No space left on device" in full.stderr
    product.kubectl("delete", "pod", "sharing", "-n", ns)
    assert not (product.host.home / "node" / uid).exists()


# --- order ----------------------------------------------------------------------------------------------------------


def test_init_containers_run_one_after_another_before_the_others(product: Product, ns: str) -> None:
    mounts = [{"name": "box", "mountPath": "/box"}]
    one = pod(
        "ordered",
        container("main", "cat /box/order", volumeMounts=mounts),
        initContainers=[
            container("first", "sleep 0.3; echo first >> /box/order", volumeMounts=mounts),
            container("second", "echo second >> /box/order", volumeMounts=mounts),
        ],
        volumes=[{"name": "box", "emptyDir": {}}],
        restartPolicy="Never",
    )
    done = run_to_end(product, ns, one)
    assert done["status"]["phase"] == "Succeeded"
    assert product.kubectl("logs", "ordered", "-n", ns) == "first\nsecond\n"
    assert terminated(done, "first")["reason"] == "Completed"
    assert terminated(done, "first")["finishedAt"] <= terminated(done, "second")["startedAt"]


def test_a_failing_init_container_is_tried_again_and_holds_up_the_pod(product: Product, ns: str) -> None:
    once = "[ -f /box/mark ] && exit 0; touch /box/mark; exit 1"
    mounts = [{"name": "box", "mountPath": "/box"}]
    one = pod(
        "retried",
        initContainers=[container("setup", once, volumeMounts=mounts)],
        volumes=[{"name": "box", "emptyDir": {}}],
    )
    ready = start(product, ns, one)
    assert container_state(ready, "setup")["restartCount"] == 1
    never = pod("stopped", initContainers=[container("setup", "exit 4")], restartPolicy="Never")
    done = run_to_end(product, ns, never)
    assert done["status"]["phase"] == "Failed"
    assert waiting_reason(done, "main") == "PodInitializing"
    assert condition(done, "Initialized") == "False"


def test_a_sidecar_starts_before_and_ends_after_the_others(product: Product, ns: str) -> None:
    mounts = [{"name": "box", "mountPath": "/box"}]
    sidecar = container(
        "sidecar",
        f"touch /box/up; {WAIT}",
        volumeMounts=mounts,
        restartPolicy="Always",
        startupProbe={"exec": {"command": ["test", "-f", "/box/up"]}, "periodSeconds": 1},
    )
    one = pod(
        "helped",
        container("main", "test -f /box/up", volumeMounts=mounts),
        initContainers=[sidecar],
        volumes=[{"name": "box", "emptyDir": {}}],
        restartPolicy="Never",
    )
    done = run_to_end(product, ns, one)
    assert done["status"]["phase"] == "Succeeded"
    done = product.until("pods", "helped", lambda p: terminated(p, "sidecar"), namespace=ns)
    assert terminated(done, "main")["finishedAt"] <= terminated(done, "sidecar")["finishedAt"]


# --- ending and beginning again ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")],
)
def test_a_pod_finishes_as_its_policy_and_exit_code_say(
    product: Product, ns: str, policy: str, code: int, phase: str
) -> None:
    done = run_to_end(product, ns, pod("short", container(command=f"exit {code}"), restartPolicy=policy))
    assert done["status"]["phase"] == phase
    assert terminated(done)["exitCode"] == code
    assert terminated(done)["reason"] == ("Completed" if code == 0 else "Error")
    assert container_state(done)["restartCount"] == 0


def test_a_crashing_container_backs_off_in_kubernetes_words(product: Product, ns: str) -> None:
    product.apply(pod("crasher", container(command="echo oh; exit 3")), namespace=ns)
    one = product.until(
        "pods",
        "crasher",
        lambda p: waiting_reason(p) == "CrashLoopBackOff" and container_state(p)["restartCount"] >= 1,
        namespace=ns,
    )
    state = container_state(one)
    assert state["state"]["waiting"]["message"].startswith(
        "back-off 10s restarting failed container=main pod=crasher_"
    )
    assert state["lastState"]["terminated"]["exitCode"] == 3
    assert one["status"]["phase"] == "Running"
    product.until_event(
        "crasher", "BackOff", namespace=ns, has="Back-off restarting failed container main in pod crasher_"
    )
    assert "CrashLoopBackOff" in product.kubectl("get", "pods", "-n", ns)


def test_a_container_over_its_memory_limit_is_killed_and_named(product: Product, ns: str) -> None:
    eat = "tail /dev/zero"
    done = run_to_end(
        product,
        ns,
        pod("eater", container(command=eat, resources={"limits": {"memory": "16Mi"}}), restartPolicy="Never"),
    )
    assert terminated(done)["reason"] == "OOMKilled"
    assert terminated(done)["exitCode"] == 137
    assert re.search(r"Reason:\s+OOMKilled", product.kubectl("describe", "pod", "eater", "-n", ns))


def test_limits_are_in_the_containers_cgroup(product: Product, ns: str) -> None:
    limits = {"limits": {"cpu": "250m", "memory": "64Mi"}, "requests": {"cpu": "100m"}}
    start(product, ns, pod("limited", container("a", resources=limits), container("b")))
    processes = product.list_processes("limited", ns)
    ids = {
        one["name"]: one["containerID"].removeprefix("pinnace://")
        for one in product.get("pods", "limited", ns)["status"]["containerStatuses"]
    }
    assert read_limits(processes[ids["a"]][0]) == (0.25, 64 << 20)
    cpus, _ = read_limits(processes[ids["b"]][0])
    assert cpus == 0


def test_the_termination_message_is_what_the_container_wrote(product: Product, ns: str) -> None:
    done = run_to_end(
        product,
        ns,
        pod(
            "last",
            container(command="printf 'the disk is full' > /dev/termination-log; exit 1"),
            restartPolicy="Never",
        ),
    )
    assert terminated(done)["message"] == "the disk is full"
    custom = container(command="printf here > /tmp/why; exit 1", terminationMessagePath="/tmp/why")
    assert (
        terminated(run_to_end(product, ns, pod("custom", custom, restartPolicy="Never")))["message"] == "here"
    )
    fallback = container(
        command="echo from the log; exit 1", terminationMessagePolicy="FallbackToLogsOnError"
    )
    assert (
        terminated(run_to_end(product, ns, pod("log", fallback, restartPolicy="Never")))["message"]
        == "from the log\n"
    )


def test_hooks_run_after_the_start_and_before_the_end(product: Product, ns: str) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo started >> /box/said"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >> /box/said"]}},
    }
    loop = "trap 'echo term >> /box/said; exit 0' TERM; while :; do sleep 1 & wait $!; done"
    where = product.host.root / f"said-{ns}"
    where.mkdir()
    one = pod(
        "hooked",
        container(command=loop, lifecycle=hooks, volumeMounts=[{"name": "box", "mountPath": "/box"}]),
        volumes=[{"name": "box", "hostPath": {"path": str(where)}}],
    )
    start(product, ns, one)
    product.kubectl("delete", "pod", "hooked", "-n", ns)
    assert (where / "said").read_text().split() == ["started", "stopping", "term"]


def test_a_failing_post_start_hook_ends_the_container(product: Product, ns: str) -> None:
    hooks = {"postStart": {"exec": {"command": ["sh", "-c", "echo no; exit 9"]}}}
    product.apply(pod("unhooked", container(lifecycle=hooks), restartPolicy="Never"), namespace=ns)
    told = product.until_event("unhooked", "FailedPostStartHook", namespace=ns)
    assert told["message"] == "PostStartHook failed"  # what a hook writes may be secret
    done = product.until("pods", "unhooked", finished, namespace=ns)
    assert terminated(done)["exitCode"] == 0  # it was asked to end as at any other end, and its trap answered


# --- images that aren't there -------------------------------------------------------------------------------------------


def test_a_missing_image_says_what_to_do_and_is_looked_for_again(
    product: Product, ns: str, root_tar: object
) -> None:
    product.apply(pod("waits", {**container(), "image": "later:v1"}), namespace=ns)
    one = product.until("pods", "waits", lambda p: waiting_reason(p) == "ImagePullBackOff", namespace=ns)
    message = container_state(one)["state"]["waiting"]["message"]
    assert "later:v1" in message
    assert "pinnace build -t later:v1" in message and "pinnace import" in message
    product.until_event("waits", "Failed", namespace=ns, has="pinnace build -t later:v1")
    product.pinnace("import", str(root_tar), "later:v1")
    product.until("pods", "waits", pod_ready, namespace=ns)


def test_a_missing_image_that_must_not_be_pulled_says_never(product: Product, ns: str) -> None:
    product.apply(
        pod("never", {**container(), "image": "absent:v1", "imagePullPolicy": "Never"}), namespace=ns
    )
    one = product.until("pods", "never", lambda p: waiting_reason(p) == "ErrImageNeverPull", namespace=ns)
    assert (
        container_state(one)["state"]["waiting"]["message"]
        == 'Container image "absent:v1" is not present with pull policy of Never'
    )


def test_a_name_that_can_be_no_image_is_told(product: Product, ns: str) -> None:
    product.apply(pod("odd", {**container(), "image": "UPPER:v1"}), namespace=ns)
    product.until("pods", "odd", lambda p: waiting_reason(p) == "InvalidImageName", namespace=ns)


def test_a_command_that_is_not_there_is_told(product: Product, ns: str) -> None:
    product.apply(pod("typo", container(command=["no-such-command"])), namespace=ns)
    one = product.until(
        "pods",
        "typo",
        lambda p: waiting_reason(p) in ("RunContainerError", "CreateContainerError", "CrashLoopBackOff"),
        namespace=ns,
    )
    told = json.dumps(container_state(one))
    assert "no-such-command" in told and "not found" in told


# --- who they are -------------------------------------------------------------------------------------------------------


def test_user_groups_and_volume_group_are_set(product: Product, ns: str) -> None:
    one = pod(
        "someone",
        container(
            command="id; ls -ldn /box | awk '{print $1, $4}'; touch /box/f; ls -ln /box/f | awk '{print $3, $4}'",
            volumeMounts=[{"name": "box", "mountPath": "/box"}],
        ),
        securityContext={
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "fsGroup": 3000,
            "supplementalGroups": [4000],
        },
        volumes=[{"name": "box", "emptyDir": {}}],
        restartPolicy="Never",
    )
    run_to_end(product, ns, one)
    identity, folder, file = product.kubectl("logs", "someone", "-n", ns).splitlines()
    assert identity.startswith("uid=1000(app) gid=1000(app) groups=")
    assert {int(n) for n in re.findall(r"(\d+)", identity.split("groups=")[1])} >= {1000, 3000, 4000}
    assert folder == "drwxrwsrwx 3000"
    assert file == "1000 3000"


def test_a_root_image_is_refused_where_root_is_forbidden(product: Product, ns: str) -> None:
    product.apply(pod("norooted", securityContext={"runAsNonRoot": True}), namespace=ns)
    one = product.until(
        "pods", "norooted", lambda p: waiting_reason(p) == "CreateContainerConfigError", namespace=ns
    )
    assert "runAsNonRoot" in container_state(one)["state"]["waiting"]["message"]


def test_a_read_only_root_and_dropped_capabilities_hold(product: Product, ns: str) -> None:
    context = {
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "allowPrivilegeEscalation": False,
    }
    words = "touch /x; grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    run_to_end(
        product, ns, pod("strict", container(command=words, securityContext=context), restartPolicy="Never")
    )
    said = product.kubectl("logs", "strict", "-n", ns)
    assert "Read-only file system" in said
    assert re.search(r"CapEff:\s+0000000000000000", said) and re.search(r"NoNewPrivs:\s+1", said)
