"""What a node says of its measures, and what its server shows of the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pinnace.api.world import NodeRequest
from pinnace.base.errors import ApiError
from pinnace.node.measures import (
    ContainerMeasure,
    NodeMeasure,
    build_summary,
    render_cadvisor_metrics,
    render_kubelet_metrics,
    render_resource_metrics,
)
from pinnace.node.node_server import _show_path, read_log_query

NODE = NodeMeasure("n1", 0.0, 100.0, 1500, 3 << 30, 2.0, 8 << 30, 1)
APP = ContainerMeasure(
    namespace="default",
    pod="web",
    uid="u-1",
    container="app",
    container_id="c-1",
    image='odd"name\n',
    started_at=10.0,
    at=100.0,
    cpu_ns=2_500_000_000,
    memory_bytes=300,
    working_set_bytes=200,
    pids=3,
    cpu_milli=250,
    cpu_limit_milli=500,
    memory_limit_bytes=1000,
)


def lines(text: bytes) -> set[str]:
    return {line for line in text.decode().splitlines() if not line.startswith("#")}


def test_resource_metrics_are_by_container_and_by_pod() -> None:
    other = ContainerMeasure(**{**{n: getattr(APP, n) for n in APP.__slots__}, "container": "side"})
    shown = lines(render_resource_metrics(NODE, (APP, other)))
    assert 'container_cpu_usage_seconds_total{container="app",namespace="default",pod="web"} 2.5' in shown
    assert 'pod_memory_working_set_bytes{namespace="default",pod="web"} 400' in shown
    assert f"node_memory_working_set_bytes {3 << 30}" in shown


def test_cadvisor_metrics_carry_limits_and_escape_names() -> None:
    shown = lines(render_cadvisor_metrics(NODE, (APP,)))
    labels = 'container="app",id="/pinnace/podu-1/c-1",image="odd\\"name\\n",name="c-1",namespace="default",pod="web"'
    assert f"container_spec_cpu_quota{{{labels}}} 50000" in shown
    assert f"container_spec_memory_limit_bytes{{{labels}}} 1000" in shown
    assert "machine_cpu_cores 2.0" in shown


def test_every_series_says_what_it_is() -> None:
    for text in (
        render_kubelet_metrics(NODE, (APP,), "v1"),
        render_cadvisor_metrics(NODE, ()),
        render_resource_metrics(NODE, ()),
    ):
        rows = text.decode().splitlines()
        named = [row.split()[2] for row in rows if row.startswith("# TYPE")]
        assert len(named) == len(set(named)) == sum(row.startswith("# HELP") for row in rows)


def test_the_summary_adds_up_the_containers_of_a_pod() -> None:
    found = build_summary(NODE, (APP, APP))
    assert found["node"]["cpu"]["usageNanoCores"] == 1_500_000_000
    (pod,) = found["pods"]
    assert pod["podRef"] == {"name": "web", "namespace": "default", "uid": "u-1"}
    assert (pod["cpu"]["usageNanoCores"], pod["memory"]["workingSetBytes"]) == (500_000_000, 400)
    assert pod["containers"][0]["memory"]["availableBytes"] == 800


def ask(**query: str) -> NodeRequest:
    return NodeRequest(method="GET", path="/", query=tuple(query.items()))


def test_log_queries() -> None:
    options = read_log_query(ask(follow="true", tailLines="5", sinceTime="1970-01-01T00:00:09Z"), "app")
    assert (options.container, options.follow, options.tail_lines, options.since_time) == (
        "app",
        True,
        5,
        9.0,
    )
    for query in ({"tailLines": "x"}, {"sinceTime": "yesterday"}):
        with pytest.raises(ApiError):
            read_log_query(ask(**query), "app")


async def read(body: Any) -> bytes:
    return body if isinstance(body, bytes) else b"".join([piece async for piece in body])


async def test_only_what_lies_below_a_pods_logs_is_shown(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    (root / "app").mkdir(parents=True)
    (root / "app" / "0.log").write_text("hello\n")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    assert await read(_show_path(root, ["app", "0.log"]).body) == b"hello\n"
    assert b'<a href="app/">app/</a>' in await read(_show_path(root, []).body)
    for parts in (["..", "secret"], ["link"], ["nothing"], ["app", "..", "..", "secret"]):
        assert _show_path(root, parts).status == 404
