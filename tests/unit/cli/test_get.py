import json
from collections.abc import Callable
from typing import Any

import pytest

from pinnace.base.errors import HostError
from pinnace.cli.verbs.get import get_command
from tests.unit.cli.conftest import FakeDaemon, Ran

Run = Callable[..., Ran]
PODS = "/api/v1/namespaces/default/pods"
COLUMNS = [
    {"name": "Name", "priority": 0},
    {"name": "Ready", "priority": 0},
    {"name": "Age", "priority": 0},
    {"name": "IP", "priority": 1},
]


def table(*rows: tuple[Any, ...], columns: Any = COLUMNS, labels: Any = None) -> dict[str, Any]:
    return {
        "kind": "Table",
        "metadata": {"resourceVersion": "7"},
        "columnDefinitions": columns,
        "rows": [
            {"cells": row, "object": {"metadata": {"namespace": "default", "labels": labels or {}}}}
            for row in rows
        ],
    }


# Expected texts here: what kubectl 1.37 printed for the same tables.
def test_rows_are_padded_as_kubectl_pads_them(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {PODS}", table(("web-1", "1/1", "5s", "10.0.0.2"), ("b", "0/1", "12m", None)))
    assert run(get_command, "pods") == Ran(
        0, "NAME    READY   AGE\nweb-1   1/1     5s\nb       0/1     12m\n", ""
    )
    assert daemon.asked[0].headers["accept"] == "application/json;as=Table;v=v1;g=meta.k8s.io"


def test_a_short_column_is_six_wide(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {PODS}", table(("a", "1", "5s", None)))
    assert run(get_command, "po", "--no-headers").out == "a     1     5s\n"


def test_wide_shows_every_column_and_missing_cells_as_none(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {PODS}", table(("a", "1/1", "5s", None)))
    assert (
        run(get_command, "po", "-o", "wide").out == "NAME   READY   AGE   IP\na      1/1     5s    <none>\n"
    )


def test_all_namespaces_have_a_column_and_labels_come_last(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer("GET /api/v1/pods", table(("a", "1/1", "5s", None), labels={"b": "2", "a": "1"}))
    ran = run(get_command, "po", "-A", "--show-labels", "-L", "b")
    assert ran.out == (
        "NAMESPACE   NAME   READY   AGE   B     LABELS\n"
        "default     a      1/1     5s    2     a=1,b=2\n"
    )  # fmt: skip


def test_several_kinds_are_a_blank_line_apart_and_say_what_they_are(daemon: FakeDaemon, run: Run) -> None:
    name = [{"name": "Name", "priority": 0}]
    daemon.answer(f"GET {PODS}", table(("a",), columns=name))
    daemon.answer("GET /apis/apps/v1/namespaces/default/deployments", table(("web",), columns=name))
    ran = run(get_command, "po,deploy")
    assert ran.out == "NAME\npod/a\n\nNAME\ndeployment.apps/web\n"


def test_nothing_found_is_told_on_stderr(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {PODS}", table())
    assert run(get_command, "pods") == Ran(0, "", "No resources found in default namespace.\n")
    daemon.answer("GET /api/v1/nodes", table())
    assert run(get_command, "nodes") == Ran(0, "", "No resources found\n")


def test_a_missing_name_is_kubectls_error_and_the_others_are_shown(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {PODS}/a", table(("a", "1/1", "5s", None)))
    daemon.refuse(f"GET {PODS}/x", 404, "NotFound", 'pods "x" not found')
    ran = run(get_command, "pod", "a", "x")
    assert ran == Ran(
        1, "NAME   READY   AGE\na      1/1     5s\n", 'Error from server (NotFound): pods "x" not found\n'
    )
    assert run(get_command, "pod", "x", "--ignore-not-found") == Ran(0, "", "")


DISCOVERED = {
    "items": [
        {
            "metadata": {"name": "stable.example.com"},
            "versions": [
                {
                    "version": "v1",
                    "resources": [
                        {
                            "resource": "crontabs",
                            "singularResource": "crontab",
                            "responseKind": {
                                "group": "stable.example.com",
                                "version": "v1",
                                "kind": "CronTab",
                            },
                            "scope": "Namespaced",
                            "shortNames": ["ct"],
                            "categories": ["mine"],
                            "verbs": ["get", "list", "watch"],
                        }
                    ],
                }
            ],
        }
    ]
}


@pytest.mark.parametrize("word", ["ct", "crontab", "crontabs", "crontabs.v1.stable.example.com", "mine"])
def test_a_kind_that_is_not_built_in_is_found_by_discovery(daemon: FakeDaemon, run: Run, word: str) -> None:
    daemon.answer("GET /apis", DISCOVERED)
    daemon.answer("GET /apis/stable.example.com/v1/namespaces/default/crontabs", table())
    assert run(get_command, word).code == 0
    assert daemon.asked[-1].path == "/apis/stable.example.com/v1/namespaces/default/crontabs"


def test_an_unknown_kind_is_refused_after_asking_what_definitions_add(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer("GET /apis", {"items": []})
    ran = run(get_command, "foo")
    assert ran.code == 1
    assert {asked.path for asked in daemon.asked} == {"/apis"}
    assert ran.err.startswith('error: the server doesn\'t have a resource type "foo"\n')


def test_selectors_are_the_servers_to_judge(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {PODS}", table())
    run(get_command, "pods", "-l", "a=b,c", "--field-selector", "status.phase=Running")
    assert daemon.asked[0].query == {"labelSelector": "a=b,c", "fieldSelector": "status.phase=Running"}


def test_yaml_quotes_what_would_be_read_as_something_else(daemon: FakeDaemon, run: Run) -> None:
    values = {
        "a": "1",
        "b": "true",
        "c": "2026-01-02T03:04:05Z",
        "d": "x: y",
        "e": "one\ntwo\n",
        "f": "plain",
        "g": "y",
    }
    daemon.answer(
        "GET /api/v1/namespaces/default/configmaps/c", {"data": values, "metadata": {"managedFields": []}}
    )
    assert run(get_command, "cm", "c", "-o", "yaml").out == (
        'data:\n  a: "1"\n  b: "true"\n  c: "2026-01-02T03:04:05Z"\n'
        "  d: 'x: y'\n  e: |\n    one\n    two\n  f: plain\n  g: \"y\"\nmetadata: {}\n"
    )


def test_several_objects_are_a_list(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {PODS}", {"kind": "PodList", "items": [{"metadata": {"name": "a"}}]})
    printed = json.loads(run(get_command, "pods", "-o", "json").out)
    assert printed == {
        "apiVersion": "v1",
        "kind": "List",
        "metadata": {"resourceVersion": ""},
        "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}],
    }
    assert run(get_command, "pods", "-o", "name").out == "pod/a\n"


def test_a_watch_prints_the_header_once_and_keeps_widths(daemon: FakeDaemon, run: Run) -> None:
    first, second = table(("long-name", "1/1", "1s", None)), table(("b", "0/1", "2s", None), columns=[])
    daemon.stream(f"GET {PODS}", {"type": "ADDED", "object": first}, {"type": "MODIFIED", "object": second})
    ran = run(get_command, "pods", "-w")
    assert ran.out == "NAME        READY   AGE\nlong-name   1/1     1s\nb           0/1     2s\n"
    assert daemon.asked[0].query == {"watch": "true"}


def test_a_watch_that_the_server_ends_with_an_error_says_so(daemon: FakeDaemon, run: Run) -> None:
    status = {
        "kind": "Status",
        "reason": "Expired",
        "message": "too old resource version: 1 (2)",
        "code": 410,
    }
    daemon.stream(f"GET {PODS}", {"type": "ERROR", "object": status})
    ran = run(get_command, "pods", "-w")
    assert ran == Ran(1, "", "Error from server (Expired): too old resource version: 1 (2)\n")


def test_an_answer_that_is_no_kubernetes_status_is_the_hosts_error(daemon: FakeDaemon, run: Run) -> None:
    with pytest.raises(HostError, match="the daemon answered 500: not asked"):
        run(get_command, "pods")
