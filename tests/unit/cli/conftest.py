"""A daemon that a test scripts: it answers on a Unix socket with what it was told, and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import click
import pytest


class Asked(NamedTuple):
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Ran(NamedTuple):
    """What a verb printed, and its exit code."""

    code: int
    out: str
    err: str


class FakeDaemon:
    """Answers "METHOD /path" with the next of its scripted answers; the last one stays."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[str, list[bytes]] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "kube.sock"))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def answer(
        self, route: str, document: Any = None, *, status: int = 200, headers: tuple[str, ...] = ()
    ) -> None:
        """Script an answer with a JSON document, or with bytes as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
        self._answers.setdefault(route, []).append("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def refuse(self, route: str, status: int, reason: str, message: str, **details: Any) -> None:
        """Script a Status."""
        document = {
            "kind": "Status",
            "reason": reason,
            "message": message,
            "code": status,
            "details": details,
        }
        self.answer(route, document, status=status)

    def stream(self, route: str, *documents: Any) -> None:
        """Script a chunked answer of one document a line."""
        lines = [json.dumps(document).encode() + b"\n" for document in documents]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in lines)
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        self._answers.setdefault(route, []).append(head + chunks + b"0\r\n\r\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                asked = _read(file)
                self.asked.append(asked)
                scripted = self._answers.get(f"{asked.method} {asked.path}")
                if not scripted:
                    connection.sendall(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nnot asked")
                    continue
                connection.sendall(scripted.pop(0) if len(scripted) > 1 else scripted[0])


def _read(file: Any) -> Asked:
    method, target, _ = file.readline().decode().split(" ")
    headers: dict[str, str] = {}
    for line in iter(file.readline, b"\r\n"):
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    path, _, query = target.partition("?")
    body = file.read(int(headers.get("content-length", 0)))
    return Asked(method, path, dict(parse_qsl(query)), headers, body)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """A scripted daemon that the verbs of this test speak to."""
    monkeypatch.setenv("PINNACE_RUN", str(tmp_path))
    fake = FakeDaemon(tmp_path)
    yield fake
    fake.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command as `pinnace` does."""

    def run(command: click.Command, *words: str) -> Ran:
        capsys.readouterr()
        code = command.main(list(words), standalone_mode=False)
        out, err = capsys.readouterr()
        return Ran(code or 0, out, err)

    return run
