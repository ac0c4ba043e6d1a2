"""`--flag=true` and `--flag=false`, as Docker's and Kubernetes' commands take them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pinnace.base.errors import UserError
from pinnace.cli.flag_values import read_flag_values
from pinnace.cli.group import cli

COMMAND = click.Command(
    "build",
    params=[
        click.Option(["--no-cache"], is_flag=True),
        click.Option(["-q", "--quiet"], is_flag=True),
        click.Option(["--color/--no-color"], default=True),
        click.Option(["-t", "--tag"], multiple=True),
        click.Argument(["context"]),
    ],
)
ENDING = click.Command("run", context_settings={"allow_interspersed_args": False}, params=COMMAND.params)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("--no-cache=true .", "--no-cache ."),
        ("--no-cache=1 .", "--no-cache ."),
        ("--no-cache=false .", "."),
        (". --quiet=T", ". --quiet"),
        ("--color=false .", "--no-color ."),
        ("--color=true .", "--color ."),
        ("--no-cache=perhaps .", "--no-cache=perhaps ."),
        ("--tag=true .", "--tag=true ."),
        ("--tag --no-cache=true .", "--tag --no-cache=true ."),
        ("-t --no-cache=true .", "-t --no-cache=true ."),
        ("-qt --no-cache=true .", "-qt --no-cache=true ."),
        ("-q --no-cache=true .", "-q --no-cache ."),
        ("-tx --no-cache=true .", "-tx --no-cache ."),
        ("-- --no-cache=true", "-- --no-cache=true"),
        ("--other=true .", "--other=true ."),
    ],
)
def test_values_of_flags(words: str, meant: str) -> None:
    assert read_flag_values(COMMAND, words.split()) == meant.split()


def test_words_of_a_containers_command_are_its_own() -> None:
    words = ["--quiet=true", "image", "--no-cache=true"]
    assert read_flag_values(ENDING, words) == ["--quiet", "image", "--no-cache=true"]


@pytest.mark.parametrize(
    "words",
    [
        ["build", "--no-cache=true", "--quiet=false", "/there-is-nothing"],
        ["image", "prune", "--force=true", "--all=false"],
        ["builder", "prune", "--force=true"],
    ],
)
def test_verbs_and_groups_take_them(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They come as far as the daemon, which isn't there."""
    monkeypatch.setenv("PINNACE_RUN", str(tmp_path))
    with pytest.raises(UserError):
        cli.main(words, standalone_mode=False)


def test_what_is_no_truth_is_refused() -> None:
    with pytest.raises(click.UsageError):
        cli.main(["build", "--no-cache=perhaps", "."], standalone_mode=False)
