"""JSON paths of printer columns, by the cases of client-go's own tests."""

from typing import Any

import pytest

from pinnace.kube.jsonpath import JsonPathError, find, parse_path

DOCUMENT = {
    "metadata": {"labels": {"app.kubernetes.io/name": "web"}, "name": "a"},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Synced", "status": "False", "n": 3}],
        "list": [1, 2, 3],
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".metadata.name", ["a"]),
        ("{.metadata.name}", ["a"]),
        (".metadata.nothing", []),
        (r".metadata.labels.app\.kubernetes\.io/name", ["web"]),
        (".metadata.labels['app.kubernetes.io/name']", ["web"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Synced')].status", ["False"]),
        (".status.conditions[?(@.n>2)].type", ["Synced"]),
        (".status.conditions[?(@.n)].type", ["Synced"]),
        (".status.conditions[*].type", ["Ready", "Synced"]),
        (".status.conditions[0].type", ["Ready"]),
        (".status.conditions[-1].type", ["Synced"]),
        (".status.list[0:2]", [1, 2]),
        (".status.list[9]", []),
        (".metadata['name','nothing']", ["a"]),
    ],
)
def test_a_path_finds(path: str, found: list[Any]) -> None:
    assert find(path, DOCUMENT) == found


@pytest.mark.parametrize("path", ["..name", ".a[", ".a[x]", ".a[?(@.b==c)]"])
def test_a_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(JsonPathError):
        parse_path(path)
