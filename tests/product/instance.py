"""A real Pinnace for tests: the real command, the real daemon, a name, ranges and folders of its own.

Tests speak to it as a person does (`pinnace`, `kubectl`) and wait on the API's own watch, never on a clock. Whatever a
test did, `end` takes everything back and returns what is left on the machine, which must be nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from pinnace.base.settings import Settings, read_settings
from tests.host.conftest import Instance

Object = dict[str, Any]

_SCRIPT = Path(sys.executable).parent / "pinnace"
PINNACE = (str(_SCRIPT),) if _SCRIPT.exists() else (sys.executable, "-m", "pinnace.cli.main")
PATIENCE = float(os.environ.get("PINNACE_TEST_PATIENCE", "1"))  # more of it in an emulated machine
WAIT_S = 40.0  # on two cores, shared with whatever else runs: never reached when all is well
_SETTLE_S = 3.0 * PATIENCE

_PATHS = {
    "nodes": "/api/v1/nodes",
    "namespaces": "/api/v1/namespaces",
    "pods": "/api/v1/namespaces/{ns}/pods",
    "services": "/api/v1/namespaces/{ns}/services",
    "events": "/api/v1/namespaces/{ns}/events",
    "configmaps": "/api/v1/namespaces/{ns}/configmaps",
    "deployments": "/apis/apps/v1/namespaces/{ns}/deployments",
    "replicasets": "/apis/apps/v1/namespaces/{ns}/replicasets",
    "endpointslices": "/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices",
    "horizontalpodautoscalers": "/apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers",
}


class Product:
    """One instance, driven from outside."""

    def __init__(self, kubectl: Path, number: int) -> None:
        name = f"pp{os.getpid() % 10000}x{number}"
        self.host = Instance(
            name,
            Path(tempfile.mkdtemp(prefix=f"{name}-")),
            f"10.248.{number}.0/24",
            f"10.100.{number}.0/24",
        )
        (self.host.root / "user").mkdir()
        self._kubectl = kubectl
        self.env = {
            **self.host.env,
            "PINNACE_API_PORT": "0",
            "PINNACE_POD_RANGE": self.host.pod_range,
            "PINNACE_SERVICE_RANGE": self.host.service_range,
            "PINNACE_MERGE_KUBECONFIG": "0",
            "KUBECONFIG": str(self.host.home / "kubeconfig"),
        }

    # --- the command -------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        return read_settings({}, self.env)

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return int((self.host.run / "pinnace.pid").read_text())

    @property
    def log(self) -> str:
        """What the daemon wrote so far."""
        path = self.host.run / "daemon.log"
        return path.read_text() if path.exists() else ""

    def try_pinnace(
        self, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None, timeout_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `pinnace` and return what came of it."""
        done = subprocess.run(
            [*PINNACE, *words],
            input=stdin,
            capture_output=True,
            env={**self.env, **(env or {})},
            timeout=timeout_s * PATIENCE,
            check=False,
        )
        return _as_text(done)

    def pinnace(self, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> str:
        """Run `pinnace`, which must succeed, and return its output."""
        return _expect(self.try_pinnace(*words, stdin=stdin, env=env))

    def up(self, *flags: str, env: dict[str, str] | None = None) -> str:
        """Start the daemon; return what the person is told."""
        done = self.try_pinnace("up", *flags, env=env)
        assert done.returncode == 0, f"{done.stderr}\n{self.log}"
        return done.stderr

    def kill_daemon(self) -> None:
        """kill -9, and wait until the process is gone."""
        pid = self.pid
        fd = os.pidfd_open(pid)
        os.kill(pid, 9)
        select.select([fd], [], [], 10)
        os.close(fd)

    def end(self) -> list[str]:
        """`down --wipe`, then return what is left on the machine."""
        try:
            done = self.try_pinnace("down", "--wipe")
            left = [] if done.returncode == 0 else [f"down --wipe: {done.stderr}"]
            if self.host.home.exists():
                left += [f"file {path}" for path in self.host.home.iterdir()]
            if self.host.run.exists():
                left += [f"file {path}" for path in self.host.run.iterdir()]
            until = time.monotonic() + _SETTLE_S
            while (found := self.host.find_leftovers()) and time.monotonic() < until:
                time.sleep(0.05)
            return left + found
        finally:
            self.host.sweep()
            shutil.rmtree(self.host.root, ignore_errors=True)

    # --- the real kubectl --------------------------------------------------------------------------------------------

    def try_kubectl(
        self, *words: str, stdin: str = "", timeout_s: float = 90.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `kubectl` and return what came of it."""
        done = subprocess.run(
            [self._kubectl, *words],
            input=stdin.encode(),
            capture_output=True,
            env=self.env,
            timeout=timeout_s * PATIENCE,
            check=False,
        )
        return _as_text(done)

    def kubectl(self, *words: str, stdin: str = "", timeout_s: float = 90.0) -> str:
        """Run `kubectl`, which must succeed, and return its output."""
        return _expect(self.try_kubectl(*words, stdin=stdin, timeout_s=timeout_s))

    @contextlib.contextmanager
    def kubectl_running(self, *words: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """A `kubectl` that goes on beside the test (a watch, a follow); it is ended at the end of the block."""
        process = subprocess.Popen(
            [self._kubectl, *words],
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
            text=True,
            bufsize=1,
            **options,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=10)

    @property
    def kubectl_path(self) -> str:
        return str(self._kubectl)

    # --- objects, through the daemon's socket ------------------------------------------------------------------------

    def apply(self, *objects: Object | str, namespace: str = "default") -> str:
        """`kubectl apply` of manifests, given as text or as objects."""
        text = "\n---\n".join(
            one if isinstance(one, str) else yaml.safe_dump(one, sort_keys=False) for one in objects
        )
        return self.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)

    def get(self, resource: str, name: str, namespace: str = "default") -> Object:
        """Return one object, which must be there."""
        return self.ask(f"{_path(resource, namespace)}/{name}")

    def list(self, resource: str, namespace: str = "default", labels: str = "") -> list[Object]:
        """Return the objects of a namespace."""
        query = "?" + urlencode({"labelSelector": labels}) if labels else ""
        items: list[Object] = self.ask(_path(resource, namespace) + query)["items"]
        return items

    def ask(self, path: str) -> Object:
        """GET a path of the API, which must answer with 200."""
        with contextlib.closing(_Socket(self.settings.kube_socket, WAIT_S * PATIENCE)) as connection:
            connection.request("GET", path, headers={"Accept": "application/json"})
            with connection.getresponse() as answer:
                text = answer.read().decode()
        assert answer.status == 200, f"GET {path}: {answer.status} {text}"
        found: Object = json.loads(text)
        return found

    def read_limits(self, pod: str, namespace: str = "default") -> tuple[float, int]:
        """Return what the kernel lets a pod's first container use: CPUs, and bytes of memory."""
        (container,) = self.list_processes(pod, namespace).values()
        return read_limits(container[0])

    def list_processes(self, pod: str, namespace: str = "default") -> dict[str, list[int]]:
        """Return the host's pids of each container of a pod, by container id."""
        ids = [
            one["containerID"].removeprefix("pinnace://")
            for one in self.get("pods", pod, namespace)["status"].get("containerStatuses", ())
            if one.get("containerID")
        ]
        found: dict[str, list[int]] = {one: [] for one in ids}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                groups = (entry / "cgroup").read_text() if entry.name.isdigit() else ""
                for one in ids:
                    if f"{one}\n" in groups.replace(".scope\n", "\n"):
                        found[one].append(int(entry.name))
        return {one: sorted(pids) for one, pids in found.items()}

    def until(
        self,
        resource: str,
        name: str,
        holds: Callable[[Object], Any],
        *,
        namespace: str = "default",
        timeout_s: float = WAIT_S,
    ) -> Object:
        """Watch one object until something holds of it, and return it as it was then."""
        query = {"watch": "1", "fieldSelector": f"metadata.name={name}"}
        last: Object = {}
        with contextlib.closing(self._watch(_path(resource, namespace), query, timeout_s)) as changes:
            for change in changes:
                last = change["object"]
                if change["type"] != "DELETED" and holds(last):
                    return last
        raise AssertionError(
            f"{resource} {name} is still\n{_show(last)}\n{self._tell_events(namespace, name)}"
        )

    def until_all(
        self,
        resource: str,
        holds: Callable[[list[Object]], Any],
        *,
        namespace: str = "default",
        labels: str = "",
        timeout_s: float = WAIT_S,
    ) -> list[Object]:
        """Watch the objects of a namespace until something holds of all of them, and return them."""
        query = {"labelSelector": labels} if labels else {}
        listed = self.ask(f"{_path(resource, namespace)}?{urlencode(query)}")
        present: dict[str, Object] = {one["metadata"]["uid"]: one for one in listed["items"]}
        if holds(list(present.values())):
            return list(present.values())
        query |= {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
        with contextlib.closing(self._watch(_path(resource, namespace), query, timeout_s)) as changes:
            for change in changes:
                uid = change["object"]["metadata"]["uid"]
                if change["type"] == "DELETED":
                    present.pop(uid, None)
                else:
                    present[uid] = change["object"]
                if holds(list(present.values())):
                    return list(present.values())
        raise AssertionError("\n".join(_show(one) for one in present.values()))

    def until_gone(
        self, resource: str, name: str, *, namespace: str = "default", timeout_s: float = WAIT_S
    ) -> None:
        """Wait until an object is no more."""
        self.until_all(
            resource,
            lambda found: all(one["metadata"]["name"] != name for one in found),
            namespace=namespace,
            timeout_s=timeout_s,
        )

    def until_event(
        self, name: str, reason: str, *, namespace: str = "default", timeout_s: float = WAIT_S, has: str = ""
    ) -> Object:
        """Wait for an Event about the object `name`, and return it."""

        def about(event: Object) -> bool:
            return bool(
                event["involvedObject"].get("name") == name
                and event.get("reason") == reason
                and has in event.get("message", "")
            )

        found = self.until_all(
            "events", lambda events: any(map(about, events)), namespace=namespace, timeout_s=timeout_s
        )
        return next(filter(about, found))

    def poll(self, holds: Callable[[], Any], *, timeout_s: float = WAIT_S) -> Any:
        """Look again and again until something holds: only for what nothing tells of (a file, a metric)."""
        until = time.monotonic() + timeout_s * PATIENCE
        while not (found := holds()):
            assert time.monotonic() < until, f"still not: {holds}"
            time.sleep(0.1)
        return found

    def _watch(self, path: str, query: dict[str, str], timeout_s: float) -> Generator[Object, None, None]:
        timeout_s *= PATIENCE
        until = time.monotonic() + timeout_s
        with contextlib.closing(_Socket(self.settings.kube_socket, timeout_s)) as connection:
            connection.request("GET", f"{path}?{urlencode(query)}")
            stream = connection.sock  # the response takes it over, and its time-out with it
            with connection.getresponse() as answer, contextlib.suppress(TimeoutError):
                for line in answer:
                    yield json.loads(line)
                    left_s = until - time.monotonic()
                    if left_s <= 0:
                        return
                    stream.settimeout(left_s)

    def _tell_events(self, namespace: str, name: str) -> str:
        events = [
            e for e in self.list("events", namespace) if e["involvedObject"].get("name", "").startswith(name)
        ]
        return "\n".join(f"{e.get('reason')}: {e.get('message')}" for e in events)


class _Socket(http.client.HTTPConnection):
    """HTTP over the daemon's socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("pinnace", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def read_limits(pid: int) -> tuple[float, int]:
    """Return the limits of a process's cgroup: CPUs, and bytes of memory; 0 where there is none."""
    cpus, memory = 0.0, 0
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" and (folder := Path(f"/sys/fs/cgroup{path}")).joinpath("memory.max").exists():
            limit = (folder / "memory.max").read_text().strip()
            quota, period = (folder / "cpu.max").read_text().split()
            return (0.0 if quota == "max" else int(quota) / int(period), 0 if limit == "max" else int(limit))
        if "memory" in controllers.split(","):
            memory = int(Path(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read_text())
        if "cpu" in controllers.split(","):
            folder = Path(f"/sys/fs/cgroup/cpu{path}")
            quota_us = int((folder / "cpu.cfs_quota_us").read_text())
            cpus = max(0, quota_us) / int((folder / "cpu.cfs_period_us").read_text())
    return cpus, memory


def pod_ready(pod: Object) -> bool:
    """Say whether a pod is Ready."""
    return condition(pod, "Ready") == "True"


def condition(one: Object, kind: str) -> str:
    """Return the status of one of an object's conditions, "" when it has none such."""
    for found in one.get("status", {}).get("conditions", ()):
        if found["type"] == kind:
            return str(found["status"])
    return ""


def container_state(pod: Object, name: str = "") -> Object:
    """Return the state of a container (the first, when none is named) as its status shows it."""
    status = pod.get("status", {})
    for found in (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())):
        if not name or found["name"] == name:
            return dict(found)
    return {}


def waiting_reason(pod: Object, name: str = "") -> str:
    """Return why a container waits."""
    return str(container_state(pod, name).get("state", {}).get("waiting", {}).get("reason", ""))


def terminated(pod: Object, name: str = "") -> Object:
    """Return how a container ended, {} while it runs."""
    return dict(container_state(pod, name).get("state", {}).get("terminated", {}))


def finished(pod: Object) -> bool:
    """Say whether a pod has run to its end."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _path(resource: str, namespace: str) -> str:
    return _PATHS[resource].format(ns=namespace)


def _as_text(done: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def _expect(done: subprocess.CompletedProcess[str]) -> str:
    words = " ".join(str(word) for word in done.args)
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _show(one: Object) -> str:
    short = {
        "name": one.get("metadata", {}).get("name"),
        "status": one.get("status"),
        "spec": one.get("spec"),
    }
    return json.dumps(short, indent=1)[:4000]
