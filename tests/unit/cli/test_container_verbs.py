"""What the container verbs decide by themselves: variables, volumes, times, columns, chunks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.session import ChunkedReader
from pinnace.cli.verbs.containers import parse_moment
from pinnace.cli.verbs.ps import render_row, render_status, render_template
from pinnace.cli.verbs.run import read_env_file, resolve_env, resolve_volume

NOW = 1767323045.0  # 2026-01-02T03:04:05Z


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_chunks_are_put_together_however_they_come(step: int) -> None:
    body = b"5\r\nhello\r\n1;x=y\r\n,\r\n6\r\n\r\nbye!\r\n0\r\n\r\n"
    reader = ChunkedReader()
    got = b"".join(p for i in range(0, len(body), step) for p in reader.feed(body[i : i + step]))
    assert got == b"hello,\r\nbye!"


def test_a_variable_without_a_value_takes_ours_or_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    monkeypatch.delenv("NOT_OURS", raising=False)
    assert resolve_env(("A=1", "OURS", "NOT_OURS", "B=")) == ["A=1", "OURS=1", "B="]


def test_an_env_file_has_no_quotes_and_comments_only_at_the_beginning(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text('# talk\n\nA=1 # not a comment\n  B="x"\n')
    assert read_env_file(str(file)) == ["A=1 # not a comment", 'B="x"']


def test_a_wrong_line_of_an_env_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=1\nB C=2\n")
    with pytest.raises(UserError) as caught:
        read_env_file(str(file))
    assert caught.value.where == f"{file}:2"


def test_relative_folders_are_made_absolute_and_names_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/tmp")
    assert [resolve_volume(v) for v in ("./x:/x", ".:/x:ro", "data:/x", "/srv:/x", "/cache")] == [
        "/tmp/x:/x",
        "/tmp:/x:ro",
        "data:/x",
        "/srv:/x",
        "/cache",
    ]


def test_moments() -> None:
    assert parse_moment("1767323045") == NOW
    assert parse_moment("2026-01-02T03:04:05Z") == NOW
    assert abs(parse_moment("1h30m") - (time.time() - 5400)) < 5
    with pytest.raises(UserError):
        parse_moment("yesterday")


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "a" * 64, "name": "web", "image": "bb:v1", "command": ["sh", "-c", "echo a long command"],
        "created": "2026-01-02T03:03:05Z", "state": "running", "exit_code": 0, "ports": "", "labels": {"a": "1"},
        "started_at": "2026-01-02T03:04:02.000000Z", "finished_at": "", "mounts": [], "networks": "bridge", **changes,
    }  # fmt: skip


# Source: the real `docker ps -a`.
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "Up 3 seconds"),
        (
            {"state": "exited", "exit_code": 3, "finished_at": "2026-01-02T03:02:05Z"},
            "Exited (3) 2 minutes ago",
        ),
        (
            {"state": "restarting", "exit_code": 1, "finished_at": "2026-01-02T03:04:04Z"},
            "Restarting (1) 1 second ago",
        ),
        ({"state": "created"}, "Created"),
        ({"state": "exited"}, "Exited (0)"),
    ],
)
def test_status_in_dockers_words(changes: dict[str, Any], expected: str) -> None:
    assert render_status(row(**changes), NOW) == expected


def test_a_long_command_is_cut_at_twenty_characters() -> None:
    cells = render_row(row(), NOW, whole=False)
    assert (cells["ID"], cells["Command"], cells["RunningFor"]) == (
        "a" * 12,
        '"sh -c echo a long c…"',
        "About a minute ago",
    )
    assert render_row(row(), NOW, whole=True)["Command"] == '"sh -c echo a long command"'


def test_templates_name_fields() -> None:
    cells = render_row(row(), NOW, whole=False)
    assert render_template("{{.Names}}: {{ .State }}", cells) == "web: running"
    with pytest.raises(UserError, match="no field 'Nope'"):
        render_template("{{.Nope}}", cells)
