"""Measures server-side applies over TLS: of a 1.5 kB pod and of a Deployment, that change something and that don't.

Run: python -m benchmarks.applies [SECONDS] [--profile]

The server and the client are those of benchmarks.api: a durable store, 16 kept connections with client certificates, one
request under way on each. `apply-new` creates; `apply` changes one of a thousand objects by the manager that made it;
`apply-other` is another manager, who owns one annotation beside; `apply-same` says again what is there already.
Peer: kube-apiserver 1.36 with etcd gave 469 merge patches/s on this class of machine; its applies were not measured.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable

import uvloop

from benchmarks import api
from benchmarks.api import PODS, Server, pod, request

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
COUNT = 1000
TARGET = 1000
APPLY = "application/apply-patch+yaml"


def deployment(name: str, turn: int) -> dict[str, object]:
    made = json.loads(pod(name))
    labels = {"app": "ml-inference"}
    template = {"metadata": {"labels": labels, "annotations": {"turn": str(turn)}}, "spec": made["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }


def applied_pod(name: str, turn: int) -> dict[str, object]:
    made: dict[str, object] = json.loads(pod(name))
    made["metadata"] = {"name": name, "labels": {"app": "ml-inference"}, "annotations": {"turn": str(turn)}}
    return made


def annotation(name: str, turn: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": {"other": str(turn)}},
    }


def apply(path: str, name: str, document: dict[str, object], manager: str) -> bytes:
    query = f"fieldManager={manager}&force=false&fieldValidation=Strict"
    body = json.dumps(document, separators=(",", ":")).encode()
    return request("PATCH", f"{path}/{name}?{query}", body, APPLY)


def rows() -> list[tuple[str, Callable[[], bytes]]]:
    """Return each measurement's name and the requests that it sends, in the order in which they build on each other."""
    fresh, turn = itertools.count(), itertools.count()

    def any_name() -> str:
        return f"web-{next(turn) * 7919 % COUNT}"

    def new() -> bytes:
        name = f"web-{next(fresh)}"
        return apply(PODS, name, applied_pod(name, 0), "benchmark")

    def changing() -> bytes:
        name = any_name()
        return apply(PODS, name, applied_pod(name, next(turn)), "benchmark")

    def other() -> bytes:
        name = any_name()
        return apply(PODS, name, annotation(name, next(turn)), "other")

    def same() -> bytes:
        return apply(PODS, "steady", applied_pod("steady", 1), "benchmark")

    def changing_deployment() -> bytes:
        name = any_name()
        return apply(DEPLOYMENTS, name, deployment(name, next(turn)), "benchmark")

    return [
        ("apply-new", new),
        ("apply", changing),
        ("apply-other", other),
        ("apply-same", same),
        ("apply-deploy", changing_deployment),
    ]


async def drive(server: Server, seconds: float, wanted: tuple[str, ...]) -> None:
    print(
        f"{'verb':<12} {'kube-apiserver':>18} {'pinnace':>14} {'target':>12} {'answer':>10} {'server CPU':>14} {'failed':>7}"
    )
    for verb, requests in rows():
        api.PEER.setdefault(verb, 0)
        api.TARGET.setdefault(verb, TARGET)
        if not wanted or verb in wanted or verb == "apply-new":
            await api.measure(verb, server, requests, seconds)


def main() -> None:
    profiled = "--profile" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--profile"]
    seconds = next((float(argument) for argument in arguments if argument.replace(".", "").isdigit()), 5.0)
    wanted = tuple(argument for argument in arguments if argument.startswith("apply"))
    with api.served(profiled=profiled) as server:
        uvloop.run(drive(server, seconds, wanted))


if __name__ == "__main__":
    main()
