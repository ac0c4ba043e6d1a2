"""What the container verbs decide by themselves: variables, volumes, times, columns, chunks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.quick import socket_path
from pinnace.cli.run_flags import parse_quickly, read_env_file, resolve_env, resolve_volume
from pinnace.cli.session import ChunkedReader
from pinnace.cli.verbs.containers import parse_moment
from pinnace.cli.verbs.ps import render_row, render_status, render_template

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


@pytest.mark.parametrize(
    "words",
    [
        ["bb"],
        ["--rm", "-it", "bb", "sh", "-c", "x"],
        ["-e", "A=1", "-eB=2", "--env=C=3", "--name", "web", "--name=web2", "bb", "-x", "--rm"],
        [
            "-tie",
            "A=1",
            "--cpus=1.5",
            "-m512m",
            "-p",
            "80:80",
            "-p8080:8080",
            "-u",
            "app",
            "--",
            "bb",
            "--",
            "y",
        ],
        ["--stop-timeout", "3", "--cpu-shares=2", "--entrypoint", "", "-P", "--read-only", "bb"],
    ],
)
def test_the_quick_way_finds_the_flags_that_click_finds(words: list[str]) -> None:
    from pinnace.cli.verbs.run import run_command

    context = run_command.make_context("run", list(words))
    expected = {k: v for k, v in context.params.items() if k not in ("detach", "sig_proxy", "cidfile")}
    assert parse_quickly(words) == expected


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--rm"],
        ["--help"],
        ["-d", "bb"],
        ["--nope", "bb"],
        ["--rm=1", "bb"],
        ["--name"],
        ["--cpu-shares", "x", "bb"],
        ["-ex"],
    ],
)
def test_whatever_is_not_plain_is_left_to_click(words: list[str]) -> None:
    assert parse_quickly(words) is None


@pytest.mark.parametrize(
    "env", [{}, {"PINNACE_NAME": "two"}, {"PINNACE_RUN": "/tmp/x"}, {"PINNACE_NAME": ""}]
)
def test_the_quick_way_finds_the_socket_that_the_settings_name(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pinnace.base.settings import read_settings

    for name in ("PINNACE_NAME", "PINNACE_RUN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert socket_path() == str(read_settings({}).kube_socket)
