"""Probes on real containers: what each kind of check sees, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.product.instance import Product, condition, container_state, pod_ready
from tests.product.manifests import WAIT, container, pod, server


@pytest.mark.parametrize(
    "check",
    [
        {"httpGet": {"path": "/index.html", "port": "http"}},
        {"tcpSocket": {"port": 8000}},
        {"exec": {"command": ["wget", "-qO-", "http://127.0.0.1:8000/"]}},
    ],
    ids=["http", "tcp", "exec"],
)
def test_a_readiness_check_passes_when_the_server_answers(
    product: Product, ns: str, check: dict[str, Any]
) -> None:
    product.apply(pod("web", server(readinessProbe={**check, "periodSeconds": 1})), namespace=ns)
    product.until("pods", "web", pod_ready, namespace=ns)


def test_a_readiness_check_that_fails_takes_the_pod_out_and_says_why(product: Product, ns: str) -> None:
    probe = {"httpGet": {"path": "/index.html", "port": 8000}, "periodSeconds": 1, "failureThreshold": 1}
    product.apply(pod("web", server(readinessProbe=probe)), namespace=ns)
    product.until("pods", "web", pod_ready, namespace=ns)
    product.kubectl("exec", "web", "-n", ns, "--", "mv", "/www/index.html", "/www/away")
    one = product.until("pods", "web", lambda p: not pod_ready(p), namespace=ns)
    assert condition(one, "ContainersReady") == "False"
    product.until_event(
        "web", "Unhealthy", namespace=ns, has="Readiness probe failed: HTTP probe failed with statuscode: 404"
    )
    product.kubectl("exec", "web", "-n", ns, "--", "mv", "/www/away", "/www/index.html")
    one = product.until("pods", "web", pod_ready, namespace=ns)
    assert container_state(one)["restartCount"] == 0


def test_a_liveness_check_that_fails_restarts_the_container(product: Product, ns: str) -> None:
    probe = {"exec": {"command": ["test", "!", "-f", "/tmp/sick"]}, "periodSeconds": 1, "failureThreshold": 2}
    product.apply(pod("patient", container(livenessProbe=probe)), namespace=ns)
    product.until("pods", "patient", pod_ready, namespace=ns)
    product.kubectl("exec", "patient", "-n", ns, "--", "touch", "/tmp/sick")
    one = product.until(
        "pods",
        "patient",
        lambda p: container_state(p).get("restartCount") == 1 and pod_ready(p),
        namespace=ns,
    )
    assert container_state(one)["lastState"]["terminated"]["exitCode"] == 0  # its trap answered SIGTERM
    product.until_event("patient", "Unhealthy", namespace=ns, has="Liveness probe failed")
    product.until_event("patient", "Killing", namespace=ns, has="failed liveness probe, will be restarted")


def test_a_start_up_check_holds_back_the_others(product: Product, ns: str) -> None:
    started = {"exec": {"command": ["test", "-f", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 60}
    alive = {"exec": {"command": ["test", "-f", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 1}
    product.apply(
        pod(
            "slow",
            container(command=f"sleep 2.5; touch /tmp/up; {WAIT}", startupProbe=started, livenessProbe=alive),
        ),
        namespace=ns,
    )
    one = product.until("pods", "slow", pod_ready, namespace=ns)
    assert container_state(one)["restartCount"] == 0
    assert container_state(one)["started"] is True


def test_a_start_up_check_that_never_passes_restarts_the_container(product: Product, ns: str) -> None:
    probe = {"tcpSocket": {"port": 9999}, "periodSeconds": 1, "failureThreshold": 2}
    product.apply(pod("stuck", container(startupProbe=probe)), namespace=ns)
    product.until("pods", "stuck", lambda p: container_state(p).get("restartCount", 0) >= 1, namespace=ns)
    product.until_event("stuck", "Unhealthy", namespace=ns, has="Startup probe failed: dial tcp")


def test_a_check_that_takes_too_long_counts_as_failed(product: Product, ns: str) -> None:
    probe = {
        "exec": {"command": ["sleep", "30"]},
        "periodSeconds": 1,
        "timeoutSeconds": 1,
        "failureThreshold": 1,
    }
    product.apply(pod("sleepy", container(readinessProbe=probe)), namespace=ns)
    product.until_event("sleepy", "Unhealthy", namespace=ns, has="timed out after 1s")
    assert not pod_ready(product.get("pods", "sleepy", ns))
    # What the check left running in the container is ended with it.
    product.poll(lambda: product.kubectl("exec", "sleepy", "-n", ns, "--", "ps").count("sleep 30") <= 1)
