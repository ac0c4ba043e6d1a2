"""`pinnace build` of streams and addresses against a real daemon: what a person sees, and what is left after a crash."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from tests.host.conftest import Instance
from tests.host.test_build_daemon import Daemon, wait_for
from tests.host.web import Page, Web, serving
from tests.product.instance import PINNACE
from tests.unit.build.trees import grow


@pytest.fixture
def daemon(instance: Instance) -> Iterator[Daemon]:
    one = Daemon(instance)
    one.run("up")
    yield one
    one.run("down", "--wipe")


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as one:
        yield one


def build(daemon: Daemon, *words: str, stdin: bytes = b"", code: int = 0) -> str:
    """Run a build; return what it said."""
    done = subprocess.run(
        [*PINNACE, "build", *words], env=daemon.env, input=stdin, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr.decode()
    return done.stderr.decode()


def tar_of(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


DOCKERFILE = "FROM scratch\nCOPY a /a\n"


@pytest.mark.short
def test_every_kind_of_context_makes_the_same_image(daemon: Daemon, web: Web) -> None:
    folder = str(grow(daemon.context, {"Dockerfile": DOCKERFILE, "a": "1"}))
    web.pages["/c.tgz"] = Page(tar_of(a="1", Dockerfile=DOCKERFILE))
    said = [
        build(daemon, folder),
        build(daemon, "-", stdin=tar_of(a="1", Dockerfile=DOCKERFILE)),
        build(daemon, "-f", "other", "-", stdin=tar_of(a="1", other=DOCKERFILE)),
        build(daemon, "-f", "-", folder, stdin=DOCKERFILE.encode()),
        build(daemon, f"{web.url}/c.tgz"),
        build(
            daemon, "--build-context", f"more={folder}", "-", stdin=b"FROM scratch\nCOPY --from=more a /a\n"
        ),
    ]
    images = {text.partition("built ")[2].split()[0] for text in said[:-1]}
    assert len(images) == 1
    assert all("CACHED" in text for text in said[1:])


def test_what_is_wrong_with_a_context_is_told_with_what_to_do(daemon: Daemon, web: Web) -> None:
    assert "can't use stdin for both" in build(daemon, "-f", "-", "-", code=1)
    assert "Dockerfile does not exist in the context" in build(daemon, "-", stdin=tar_of(a="1"), code=1)
    broken = build(daemon, "-", stdin=tar_of(a="1" * 9999)[:60], code=1)
    assert broken.startswith("error: the build context is no tar that can be read: ")
    missing = build(daemon, f"{web.url}/none.tar", code=1)
    assert missing.splitlines() == [
        f"error: {web.url}/none.tar: invalid response status 404 Not Found",
        "hint: is the address right? curl -fsSLI URL shows what the server says",
    ]
    assert "--build-context x: path '/none' is not a folder" in build(
        daemon, "--build-context", "x=/none", "-", stdin=b"FROM scratch\n", code=1
    )


def test_stream_of_a_client_or_a_daemon_that_dies_leaves_nothing(daemon: Daemon) -> None:
    work = daemon.instance.home / "build" / "work"

    def begin() -> subprocess.Popen[bytes]:
        client = subprocess.Popen(
            [*PINNACE, "build", "-"], env=daemon.env, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert client.stdin is not None
        client.stdin.write(tar_of(a="1" * 100)[:100] + b"\0" * 600)
        client.stdin.flush()
        wait_for(lambda: list(work.glob("upload-*")), "the upload did not begin")
        return client

    client = begin()
    client.kill()
    client.wait()
    wait_for(lambda: not list(work.glob("upload-*")), "the upload of a client that died was kept")
    client = begin()
    daemon.kill()
    client.kill()
    client.wait()
    assert list(work.glob("upload-*"))
    daemon.run("up")
    assert not list(work.glob("upload-*"))
