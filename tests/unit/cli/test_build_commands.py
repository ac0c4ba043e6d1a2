"""What `pinnace build` makes of the flags about commands: files and variables are read here, with the person's rights."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from pinnace.base.errors import UserError
from pinnace.cli.build_commands import command_flags, open_commands
from pinnace.cli.verbs.build import build_command

found: dict[str, Any] = {}


@click.command()
@command_flags
def command(commands: dict[str, Any]) -> int:
    found.clear()
    found.update(commands)
    return 0


def body_of(*flags: str) -> contextlib.AbstractContextManager[dict[str, Any]]:
    result = CliRunner().invoke(command, flags)
    assert result.exit_code == 0, result.output
    return open_commands(dict(found))


def refusal(*flags: str) -> UserError:
    with pytest.raises(UserError) as caught, body_of(*flags):
        pass
    return caught.value


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
        yield str(path)


def test_flags_go_as_they_are_written() -> None:
    flags = ["--network=none", "--memory=1g", "--add-host=a:1.2.3.4", "--add-host=b:1.2.3.5", "--allow=x"]
    with body_of(*flags) as body:
        assert body == {
            "commands": {
                "network": "none",
                "memory": "1g",
                "add_host": ("a:1.2.3.4", "b:1.2.3.5"),
                "allow": ("x",),
            },
            "secrets": {},
            "ssh": {},
        }


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("id=a,src={}/file", "a", b"from the file"),
        ("id=a,source={}/file,type=file", "a", b"from the file"),
        ("id=a,env=H4_VARIABLE", "a", b"from a variable"),
        ("id=a,type=env,src=H4_VARIABLE", "a", b"from a variable"),
        ("type=env,id=H4_VARIABLE", "H4_VARIABLE", b"from a variable"),
        ("id=H4_VARIABLE", "H4_VARIABLE", b"from a variable"),
    ],
)
def test_secret_of_a_file_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str, value: bytes
) -> None:
    (tmp_path / "file").write_bytes(b"from the file")
    monkeypatch.setenv("H4_VARIABLE", "from a variable")
    with body_of("--secret", text.format(tmp_path)) as body:
        assert body["secrets"] == {name: base64.b64encode(value).decode()}


def test_secret_that_is_no_variable_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("token").write_text("x")
    with body_of("--secret", "id=token") as body:
        assert body["secrets"] == {"token": base64.b64encode(b"x").decode()}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--secret=src=/x", "it has no id"),
        ("--secret=id", "invalid field 'id' must be a key=value pair"),
        ("--secret=id=a,src=/no/such", "/no/such can't be read: No such file or directory"),
        ("--secret=id=a,env=NO_SUCH", "the environment has no variable NO_SUCH"),
        ("--secret=id=a,file=/x", "unexpected key 'file' in 'file=/x'"),
        ("--secret=id=a,type=vault", 'unsupported secret type "vault"'),
        ("--secret=id=a,src=/dev/zero", "the most is 512000"),
        ("--ssh=default=/no/such", "/no/such can't be used: No such file or directory"),
        ("--cgroup-parent=x", "--cgroup-parent is not supported"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_sent(flag: str, message: str) -> None:
    error = refusal(flag)
    assert message in error.message
    assert error.hint


def test_agent_is_the_environments_or_the_one_that_is_named(
    agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    with body_of("--ssh=default", f"--ssh=other={agent}") as body:
        assert body["ssh"] == {"default": agent, "other": agent}
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert "make sure SSH_AUTH_SOCK is set" in refusal("--ssh=default").message


def test_keys_are_held_by_an_agent_for_as_long_as_the_build(tmp_path: Path) -> None:
    program = shutil.which("ssh-keygen")
    if program is None or shutil.which("ssh-agent") is None:
        pytest.skip("apt-get install openssh-client")
    for name, phrase in (("one", ""), ("locked", "phrase")):
        key = str(tmp_path / name)
        subprocess.run([program, "-q", "-t", "ed25519", "-N", phrase, "-f", key], check=True)
    with body_of(f"--ssh=default={tmp_path}/one") as body:
        path = body["ssh"]["default"]
        listed = subprocess.run(
            ["ssh-add", "-l"], env={**os.environ, "SSH_AUTH_SOCK": path}, capture_output=True, text=True
        )
        assert "ED25519" in listed.stdout
    assert not os.path.exists(path)
    assert "locked can't be used" in refusal(f"--ssh=default={tmp_path}/locked").message


def test_keys_need_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("x")
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refusal(f"--ssh=default={tmp_path}/key")
    assert "ssh-agent is not installed" in error.message


def test_flags_of_the_classic_builder_are_taken_and_do_nothing() -> None:
    result = CliRunner().invoke(build_command, ["--rm", "--force-rm", "--compress", "--help"])
    assert result.exit_code == 0, result.output
    assert "--force-rm" not in result.output
