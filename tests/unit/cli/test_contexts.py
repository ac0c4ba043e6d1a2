"""What the command makes of contexts. Expected values: docker build, PATH | URL | -; tars written by `tar`."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.contexts import find_agent, is_archive, read_context, read_named_contexts


class Daemon:
    """Takes uploads."""

    def __init__(self) -> None:
        self.received = b""

    def call(self, method: str, path: str, body: Any, *, content_type: str) -> dict[str, str]:
        assert (method, path) == ("POST", "/pinnace/v1/build/contexts")
        self.received = b"".join(body)
        return {"id": "x"}


class Input(io.BytesIO):
    def isatty(self) -> bool:
        return False


def read(context: str, dockerfile: str | None = None, stdin: bytes = b"") -> tuple[dict[str, Any], bytes]:
    daemon = Daemon()
    fields = read_context(context, dockerfile, daemon, Input(stdin))  # type: ignore[arg-type]
    return fields, daemon.received


def test_folder_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(".")[0] == {
        "context": str(tmp_path),
        "dockerfile": str(tmp_path / "Dockerfile"),
        "dockerfile_text": None,
    }
    assert read("sub", "../D")[0]["dockerfile"] == os.path.abspath("../D")
    assert read(".", "-", b"FROM x")[0]["dockerfile_text"] == "FROM x"


def test_dockerfile_may_be_fetched() -> None:
    url = "https://h/Dockerfile"
    assert read("/x", url)[0] | {"dockerfile": ""} == {
        "context": "/x",
        "dockerfile": "",
        "dockerfile_text": None,
        "dockerfile_url": url,
    }


@pytest.mark.parametrize("flag", ["", "-z", "-j", "-J"])
def test_tar_on_standard_input_is_sent_whole(tmp_path: Path, flag: str) -> None:
    (tmp_path / "a").write_bytes(os.urandom(700_000))
    data = subprocess.run(
        ["tar", "c", *flag.split(), "a"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    fields, received = read("-", "x", data)
    assert fields == {"upload": "x", "context": "", "dockerfile": "x"}
    assert received == data


def test_dockerfile_on_standard_input_has_no_context() -> None:
    text = "FROM x\n" + "# long\n" * 1000
    assert read("-", None, text.encode())[0] == {
        "empty": True,
        "context": "",
        "dockerfile": "",
        "dockerfile_text": text,
    }


@pytest.mark.parametrize(
    ("context", "dockerfile", "stdin", "message"),
    [
        ("-", "-", b"", "can't use stdin for both"),
        ("-", None, b"  \n", "standard input is empty"),
        ("-", None, b"\xff" * 1000, "neither a tar nor a Dockerfile"),
        ("-", "x", b"FROM x", "there is no context for -f"),
    ],
)
def test_what_standard_input_cannot_be(
    context: str, dockerfile: str | None, stdin: bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(context, dockerfile, stdin)
    assert caught.value.hint


@pytest.mark.parametrize(
    "context", ["https://h/x.git", "http://h/x.tar", "github.com/a/b", "git@h:x", "ssh://h/x"]
)
def test_addresses_are_left_to_the_daemon(context: str) -> None:
    assert read(context, "D")[0] == {
        "address": context,
        "context": "",
        "dockerfile": "D",
        "dockerfile_text": None,
    }


def test_named_contexts_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "git@h:x").mkdir()
    flags = ("a=sub", "b=oci-layout://l:v1", "c=docker-image://x", "d=git@h:y", "e=git@h:x")
    assert dict(read_named_contexts(flags)) == {
        "a": str(tmp_path / "sub"),
        "b": f"oci-layout://{tmp_path}/l:v1",
        "c": "docker-image://x",
        "d": "git@h:y",
        "e": str(tmp_path / "git@h:x"),
    }
    with pytest.raises(UserError, match="invalid context value"):
        read_named_contexts(("x",))


def test_agent_is_found_for_contexts_over_ssh_only() -> None:
    there = {"SSH_AUTH_SOCK": "/agent"}
    assert find_agent({"address": "git@h:x"}, there) == {"default": "/agent"}
    assert find_agent({"contexts": [["n", "ssh://h/x"]]}, there) == {"default": "/agent"}
    assert find_agent({"address": "https://h/x.git", "contexts": [["n", "/x"]]}, there) == {}
    assert find_agent({"address": "git@h:x", "ssh": {"default": "/other"}}, there) == {}
    assert find_agent({"address": "git@h:x"}, {}) == {}


def test_short_or_odd_data_is_no_tar() -> None:
    assert not is_archive(b"")
    assert not is_archive(b"FROM x" * 200)
    assert not is_archive(b"\0" * 512)
