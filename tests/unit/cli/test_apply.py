import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinnace.cli.kube.lines import find_line
from pinnace.cli.verbs.apply import apply_command
from tests.unit.cli.conftest import FakeDaemon, Ran

Run = Callable[..., Ran]
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
ONE = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata: {x: z}\n"
TWO = """\
# a comment
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---

apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: -1
  template:
    spec:
      containers:
      - name: one
        image: x
      - name: two
        imagePullPolicy: Never
"""


def write(folder: Path, text: str, name: str = "a.yaml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def stored(revision: str) -> dict[str, Any]:
    return {"metadata": {"name": "a", "resourceVersion": revision}}


@pytest.mark.parametrize(
    ("before", "after", "word"), [("", "5", "created"), ("4", "5", "configured"), ("4", "4", "unchanged")]
)
def test_the_revision_says_what_an_apply_did(
    daemon: FakeDaemon, run: Run, tmp_path: Path, before: str, after: str, word: str
) -> None:
    if before:
        daemon.answer(f"GET {CONFIG_MAPS}/a", stored(before))
    else:
        daemon.refuse(f"GET {CONFIG_MAPS}/a", 404, "NotFound", 'configmaps "a" not found')
    daemon.answer(f"PATCH {CONFIG_MAPS}/a", stored(after))
    assert run(apply_command, "-f", write(tmp_path, ONE)) == Ran(0, f"configmap/a {word}\n", "")
    patch = daemon.asked[-1]
    assert patch.headers["content-type"] == "application/apply-patch+yaml"
    assert patch.query == {"fieldManager": "pinnace", "force": "true", "fieldValidation": "Strict"}
    assert patch.json["data"] == {"x": "z"}


def test_each_wrong_field_is_told_with_its_line_and_the_rest_is_applied(
    daemon: FakeDaemon, run: Run, tmp_path: Path
) -> None:
    daemon.answer(f"GET {CONFIG_MAPS}/a", stored("4"))
    daemon.answer(f"PATCH {CONFIG_MAPS}/a", stored("4"))
    daemon.refuse(f"GET {DEPLOYMENTS}/web", 404, "NotFound", "")
    causes = [{"field": "spec.replicas"}, {"field": "spec.template.spec.containers[1].image"}]
    daemon.refuse(
        f"PATCH {DEPLOYMENTS}/web", 422, "Invalid", 'Deployment.apps "web" is invalid', causes=causes
    )
    path = write(tmp_path, TWO)
    assert run(apply_command, "-f", path) == Ran(
        1,
        "configmap/a unchanged\n",
        f'Error from server (Invalid): error when creating "{path}": Deployment.apps "web" is invalid\n'
        f"  {path}:12: spec.replicas\n"
        f"  {path}:18: spec.template.spec.containers[1].image\n",
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: b\n c: d\n", "error: mapping values are not allowed in this context\n  STDIN:2\n"),
        ("---\n\nkind: Pod\n", "error: Object 'apiVersion' is missing\n  STDIN:3\n"),
        (
            "apiVersion: x/v1\nkind: Foo\nmetadata: {name: a}\n",
            'error: resource mapping not found for name: "a": no matches for kind "Foo" in version "x/v1"\n  STDIN:1\n',
        ),
        ("apiVersion: v1\nkind: Pod\n", "error: resource name may not be empty\n  STDIN:1\n"),
        ("# nothing\n", "error: no objects passed to apply\n"),
    ],
)
def test_what_is_no_manifest_is_refused_at_its_line(
    daemon: FakeDaemon, run: Run, monkeypatch: pytest.MonkeyPatch, text: str, error: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    ran = run(apply_command, "-f", "-")
    assert (ran.code, ran.out, daemon.asked) == (1, "", [])
    assert ran.err.partition("hint:")[0] == error


def test_a_namespace_given_twice_must_be_the_same(daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    text = ONE.replace("name: a", "name: a\n  namespace: one")
    path = write(tmp_path, text)
    ran = run(apply_command, "-n", "two", "-f", path)
    assert ran.err.startswith(
        'error: the namespace from the provided object "one" does not match the namespace "two"'
    )
    daemon.answer("GET /api/v1/namespaces/one/configmaps/a", stored("1"))
    daemon.answer("PATCH /api/v1/namespaces/one/configmaps/a", stored("1"))
    assert run(apply_command, "-f", path).code == 0


def test_a_folder_is_read_in_order_and_lists_are_taken_apart(
    daemon: FakeDaemon, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    item = {"apiVersion": "v1", "kind": "ConfigMap"}
    write(
        tmp_path / "m",
        f"apiVersion: v1\nkind: List\nitems: [{item | {'metadata': {'name': 'b'}}}]\n",
        "2.yml",
    )
    write(tmp_path / "m", ONE, "1.yaml")
    write(tmp_path / "m", "no: manifest", "readme.md")
    for name in "ab":
        daemon.answer(f"GET {CONFIG_MAPS}/{name}", stored("1"))
        daemon.answer(f"PATCH {CONFIG_MAPS}/{name}", stored("1"))
    assert (
        run(apply_command, "-f", str(tmp_path / "m")).out == "configmap/a unchanged\nconfigmap/b unchanged\n"
    )


def test_the_servers_warnings_are_told(daemon: FakeDaemon, run: Run, tmp_path: Path) -> None:
    daemon.answer(f"GET {CONFIG_MAPS}/a", stored("1"))
    daemon.answer(f"PATCH {CONFIG_MAPS}/a", stored("2"), headers=(r'Warning: 299 - "say \"x\""',))
    assert run(apply_command, "-f", write(tmp_path, ONE)).err == 'Warning: say "x"\n'


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 7),
        ("metadata.name", 10),
        ("spec.template.spec.containers[0]", 16),
        ("spec.template.spec.containers[1].imagePullPolicy", 19),
        ("spec.template.spec.containers[7].image", 15),
        ("spec.selector.matchLabels", 11),
    ],
)
def test_a_field_is_found_or_else_the_nearest_part_of_its_path(path: str, line: int) -> None:
    assert find_line(TWO, 7, path) == line
