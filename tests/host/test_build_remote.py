"""ADD from elsewhere: a real web server, real repositories. Expected values: the Dockerfile reference; BuildKit where it is silent."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.build.remote.download import DownloadJob, download
from pinnace.build.run_options import RunOptions
from tests.host.build_world import BuildWorld, Told, built
from tests.host.conftest import Instance
from tests.host.registries import free_port
from tests.host.web import GIT_HTTP_BACKEND, Page, Repository, Web, serving

MODIFIED, MODIFIED_S = "Wed, 21 Oct 2015 07:28:00 GMT", 1445412480


@pytest.fixture
async def world(instance: Instance) -> AsyncIterator[BuildWorld]:
    async with built(instance) as one:
        yield one


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as one:
        yield one


def tar_of(**files: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def place_of(world: BuildWorld, path: str) -> Path:
    image = world.image()
    for layer in reversed(world.images.catalog.layers(image.config)):
        place = world.images.layers.tree(layer) / path
        if os.path.lexists(place):
            return place
    raise AssertionError(f"{path} is not in the image")


# --- URLs ----------------------------------------------------------------------------------------------------------------


async def test_downloaded_file_has_the_urls_name_mode_600_and_the_servers_time(
    world: BuildWorld, web: Web
) -> None:
    web.pages["/pub/tool%201.txt"] = Page(b"text", headers={"Last-Modified": MODIFIED})
    await world.build(f"FROM scratch\nADD {web.url}/pub/tool%201.txt?x=1 /opt/\n")
    info = place_of(world, "opt/tool 1.txt").stat()
    assert (info.st_mode & 0o7777, info.st_uid, info.st_gid, info.st_mtime) == (0o600, 0, 0, MODIFIED_S)


async def test_name_comes_from_the_server_where_the_url_has_none_and_else_must_be_given(
    world: BuildWorld, web: Web
) -> None:
    web.pages["/"] = Page(b"text", headers={"Content-Disposition": 'attachment; filename="../../a b.txt"'})
    web.pages["/none/"] = Page(b"text")
    await world.build(f"FROM scratch\nADD {web.url}/ /x/\n")
    assert world.read("/x/a b.txt") == "text"
    await world.build(f"FROM scratch\nADD --chmod=u=rw,go=r --chown=3:4 {web.url} /x/named\n")
    info = place_of(world, "x/named").stat()
    assert (info.st_mode & 0o7777, info.st_uid, info.st_gid) == (0o644, 3, 4)


async def test_archive_is_unpacked_only_if_that_is_said(world: BuildWorld, web: Web) -> None:
    web.pages["/a.tgz"] = Page(tar_of(inner="in"))
    await world.build(f"FROM scratch\nADD {web.url}/a.tgz /x/\n")
    assert world.layers() == [["x/", "x/a.tgz"]]
    await world.build(f"FROM scratch\nADD --unpack {web.url}/a.tgz /x/\n")
    assert world.layers() == [["x/", "x/inner"]]


@pytest.mark.parametrize("header", [{"ETag": '"1"'}, {"Last-Modified": MODIFIED}, {}])
async def test_unchanged_file_is_a_hit_and_is_asked_for_with_what_its_server_said(
    world: BuildWorld, web: Web, header: dict[str, str]
) -> None:
    dockerfile = f"FROM scratch\nADD {web.url}/f /f\n"
    web.pages["/f"] = Page(b"one", headers=header)
    await world.build(dockerfile)
    told = Told()
    built = await world.build(dockerfile, told=told)
    assert (built.cached, told.steps("running")) == (1, [])
    asked = {name for _, _, headers in web.asked for name in headers if name.startswith("if-")}
    assert asked == ({"if-none-match"} if "ETag" in header else {"if-modified-since"} if header else set())
    web.pages["/f"] = Page(b"two", headers={name: value.replace("1", "3") for name, value in header.items()})
    assert (await world.build(dockerfile)).cached == 0
    assert world.read("/f") == "two"


async def test_redirects_are_followed_to_the_web_only(world: BuildWorld, web: Web) -> None:
    web.pages["/old"] = Page(status=302, headers={"Location": "/new"})
    web.pages["/new"] = Page(b"here")
    web.pages["/out"] = Page(status=302, headers={"Location": "file:///etc/passwd"})
    web.pages["/round"] = Page(status=302, headers={"Location": "/round"})
    await world.build(f"FROM scratch\nADD {web.url}/old /d/\n")
    assert world.read("/d/old") == "here"
    for path in ("/out", "/round"):
        with pytest.raises(UserError, match="302"):
            await world.build(f"FROM scratch\nADD {web.url}{path} /d/\n")


async def test_checksum_is_verified_and_a_known_file_needs_no_server(world: BuildWorld, web: Web) -> None:
    web.pages["/f"] = Page(b"right")
    right, wrong = (hashlib.sha256(data).hexdigest() for data in (b"right", b"wrong"))
    with pytest.raises(UserError, match=f"digest mismatch sha256:{right}: sha256:{wrong}"):
        await world.build(f"FROM scratch\nADD --checksum=sha256:{wrong} {web.url}/f /f\n")
    dockerfile = f"FROM scratch\nARG SUM=sha256:{right}\nADD --checksum=$SUM {web.url}/f /f\n"
    await world.build(dockerfile)
    count = len(web.asked)
    web.pages["/f"] = Page(b"changed")
    assert (await world.build(dockerfile)).cached == 1
    await world.build(dockerfile, no_cache=True)
    assert (len(web.asked), world.read("/f")) == (count, "right")


@pytest.mark.parametrize(
    ("page", "error", "message", "hint"),
    [
        (Page(status=404), UserError, "invalid response status 404 Not Found", "is the address right?"),
        (Page(status=401), UserError, "401", "wants a login"),
        (Page(status=503), HostError, "503", "the server fails"),
        (Page(b"half", headers={"Content-Length": "10"}), HostError, "after 4 of 10 bytes", "try again"),
        (Page(headers={"Content-Length": str(1 << 60)}), HostError, "there is room for", "free some space"),
    ],
)
async def test_what_a_server_refuses_is_told_on_the_line(
    world: BuildWorld,
    web: Web,
    monkeypatch: pytest.MonkeyPatch,
    page: Page,
    error: type[PinnaceError],
    message: str,
    hint: str,
) -> None:
    web.pages["/f"] = page
    with pytest.raises(error) as caught:
        await world.build(f"FROM scratch\nADD {web.url}/f /f\n")
    told = f"{getattr(caught.value, 'where', '')} {caught.value.message}"
    assert "Dockerfile:2: ADD" in told
    assert message in told
    assert hint in caught.value.hint


async def test_server_that_fails_once_is_asked_again(world: BuildWorld, web: Web) -> None:
    answers = [Page(status=503), Page(b"half", headers={"Content-Length": "5"}), Page(b"whole")]
    web.pages["/f"] = lambda headers: answers.pop(0)
    await world.build(f"FROM scratch\nADD {web.url}/f /f\n")
    assert world.read("/f") == "whole"


async def test_server_that_stalls_and_one_that_is_not_there(world: BuildWorld, web: Web) -> None:
    def slow() -> Iterator[bytes]:
        yield b"some"
        web.stopped.wait(20)

    world.builder._remote.http._stall_s = 0.3
    web.pages["/slow"] = Page(slow)
    with pytest.raises(HostError, match=r"sent nothing for 0\.3 s"):
        await world.build(f"FROM scratch\nADD {web.url}/slow /f\n")
    with pytest.raises(HostError, match=r"127\.0\.0\.1 can't be reached: Connection refused"):
        await world.build("FROM scratch\nADD http://127.0.0.1:1/f /f\n")


async def test_endless_file_and_a_disk_without_room_are_told(
    world: BuildWorld, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless() -> Iterator[bytes]:
        while not web.stopped.is_set():
            yield b"x" * 100_000

    web.pages["/endless"] = Page(endless)
    target = world.instance.root / "target"
    job = DownloadJob(url=f"{web.url}/endless", target=str(target), max_bytes=1_000_000)
    with pytest.raises(HostError, match="there is room for 1000000"):
        await asyncio.to_thread(download, job, lambda what, entries, size: None)
    monkeypatch.setattr("os.statvfs", lambda path: os.statvfs_result((1, 1, 100, 4, 4, 0, 0, 0, 0, 255)))
    with pytest.raises(HostError, match="there is room for 0"):
        await asyncio.to_thread(download, job, lambda what, entries, size: None)


async def test_name_that_no_file_system_takes_is_not_used(world: BuildWorld, web: Web) -> None:
    web.pages["/" + "x" * 300] = Page(b"text")
    await world.build(f"FROM scratch\nADD {web.url}/{'x' * 300} /short\n")
    assert world.read("/short") == "text"
    with pytest.raises(UserError, match="cannot determine filename for url"):
        await world.build(f"FROM scratch\nADD {web.url}/{'x' * 300} /d/\n")


async def test_login_in_the_url_is_sent_and_never_shown(world: BuildWorld, web: Web) -> None:
    seen: list[str] = []

    def page(headers: dict[str, str]) -> Page:
        seen.append(headers.get("authorization", ""))
        return Page(b"secret") if seen[-1] == "Basic bWU6cEBzcw==" else Page(status=401)

    web.pages["/f"] = page
    host = web.url.removeprefix("http://")
    await world.build(f"FROM scratch\nADD http://me:p%40ss@{host}/f /f\n")
    with pytest.raises(UserError) as caught:
        await world.build(f"FROM scratch\nADD http://me:other@{host}/f /f\n")
    assert "other" not in caught.value.message
    assert "xxxxx" in caught.value.message


async def test_download_goes_through_the_proxy_that_the_build_was_given(world: BuildWorld, web: Web) -> None:
    web.pages["http://example.invalid/f"] = Page(b"by proxy")
    await world.build("FROM scratch\nADD http://example.invalid/f /f\n", build_args={"HTTP_PROXY": web.url})
    assert world.read("/f") == "by proxy"
    with pytest.raises(HostError, match="can't be resolved"):
        await world.build(
            "FROM scratch\nADD http://example.invalid/f /f\n",
            build_args={"HTTP_PROXY": web.url, "NO_PROXY": "example.invalid"},
            no_cache=True,
        )


async def test_server_must_have_a_certificate_that_this_host_trusts(world: BuildWorld, web: Web) -> None:
    web.pages["/f"] = Page(b"safe")
    authority = web.use_tls(world.instance.root)
    with pytest.raises(HostError, match="certificate can't be verified") as caught:
        await world.build(f"FROM scratch\nADD {web.url}/f /f\n")
    assert "update-ca-certificates" in caught.value.hint
    shutil.copy(authority, world.ca_bundle)
    await world.build(f"FROM scratch\nADD {web.url}/f /f\n")
    if os.path.exists(GIT_HTTP_BACKEND):
        web.git_root = world.instance.root / "git"
        Repository(web.git_root / "x.git").commit({"a": "1"})
        await world.build(f"FROM scratch\nADD {web.url}/git/x.git /src\n")
        assert world.read("/src/a") == "1"


async def test_build_that_is_ended_ends_its_download_and_its_clone(world: BuildWorld, web: Web) -> None:
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow() -> Iterator[bytes]:
        yield b"some"
        loop.call_soon_threadsafe(began.set)
        web.stopped.wait(20)

    web.pages["/slow"] = web.pages["/git/x.git/info/refs"] = Page(slow)
    for path in ("slow", "git/x.git"):
        began.clear()
        building = asyncio.create_task(world.build(f"FROM scratch\nADD {web.url}/{path} /f\n"))
        await began.wait()
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
    remote = world.instance.home / "build" / "remote"
    assert list(remote.rglob("*.data")) == []


async def test_slow_server_does_not_hold_up_other_builds(world: BuildWorld, web: Web) -> None:
    def slow() -> Iterator[bytes]:
        yield b"some"
        web.stopped.wait(20)

    web.pages["/slow"] = Page(slow)
    waiting = [
        asyncio.create_task(world.build(f"FROM scratch\nADD {web.url}/slow?{n} /f\n", file=f"D{n}"))
        for n in range(5)
    ]
    while len(web.asked) < 4:  # noqa: ASYNC110 (requests have no event)
        await asyncio.sleep(0.01)
    await asyncio.wait_for(world.build("FROM scratch\nCOPY f /f\n", {"f": "1"}), 10)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_one_add_takes_local_and_fetched_files_in_order(world: BuildWorld, web: Web) -> None:
    web.pages["/f"] = Page(b"fetched")
    await world.build(f"FROM scratch\nADD f {web.url}/f /d/\n", {"f": "local", "g": "other"})
    assert world.read("/d/f") == "fetched"
    assert (await world.build(f"FROM scratch\nADD f {web.url}/f /d/\n")).cached == 1
    await world.build(f"FROM scratch\nADD {web.url}/f f g /d/\n")
    assert (world.read("/d/f"), world.read("/d/g")) == ("local", "other")


async def test_pruning_forgets_downloads(world: BuildWorld, web: Web) -> None:
    web.pages["/f"] = Page(b"x" * 1000)
    await world.build(f"FROM scratch\nADD {web.url}/f /f\n")
    await world.builder.prune()
    assert list((world.instance.home / "build" / "remote" / "http").iterdir()) == []


async def test_files_that_nobody_asked_for_longest_go_when_there_are_too_many(
    world: BuildWorld, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinnace.build.remote.http_files.KEPT_BYTES", 3000)
    kept = world.instance.home / "build" / "remote" / "http"
    for name in ("old", "new"):
        web.pages[f"/{name}"] = Page(name.encode() * 500)
        await world.build(f"FROM scratch\nADD {web.url}/{name} /\n")
        for place in kept.iterdir():
            os.utime(place, (1, 1))
    assert len(list(kept.iterdir())) == 1
    await world.build(f"FROM scratch\nADD {web.url}/old /\n", no_cache=True)
    assert web.paths() == ["/old", "/new", "/old"]


# --- repositories ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(instance: Instance, web: Web) -> Repository:
    if not os.path.exists(GIT_HTTP_BACKEND):
        pytest.skip("git is not installed")
    web.git_root = instance.root / "git"
    return Repository(web.git_root / "x.git")


async def test_repository_is_copied_without_its_git_folder_and_its_commit_is_the_key(
    world: BuildWorld, web: Web, repository: Repository
) -> None:
    repository.commit({"a": "1", "docs/b": "2", "run": "#!", "link": "-> a"})
    (repository.place / "run").chmod(0o755)
    first = repository.commit({})
    dockerfile = f"FROM scratch\nADD {web.url}/git/x.git /src\n"
    built = await world.build(dockerfile)
    assert world.layers() == [["src/", "src/a", "src/docs/", "src/docs/b", "src/link", "src/run"]]
    run = place_of(world, "src/run").stat()
    assert (run.st_mode & 0o7777, run.st_mtime) == (0o755, 1577934245)
    again = await world.build(dockerfile)
    assert (again.image, again.cached) == (built.image, 1)
    repository.commit({"a": "new"})
    assert (await world.build(dockerfile)).cached == 0
    assert world.read("/src/a") == "new"
    await world.build(f"FROM scratch\nADD {web.url}/git/x.git#{first}:docs /src\n")
    assert world.layers() == [["src/", "src/b"]]
    await world.build(dockerfile, no_cache=True)
    assert place_of(world, "src/docs/b").stat().st_mtime == 1577934245


async def test_ref_may_be_a_branch_a_tag_or_the_start_of_a_commit(
    world: BuildWorld, web: Web, repository: Repository
) -> None:
    old = repository.commit({"v": "old"})
    repository.git("tag", "-a", "v1", "-m", "one")
    repository.git("checkout", "-q", "-b", "side")
    repository.commit({"v": "side"})
    repository.git("checkout", "-q", "main")
    repository.commit({"v": "new"})
    for ref, text in (
        ("v1", "old"),
        ("side", "side"),
        ("refs/heads/main", "new"),
        (old[:9], "old"),
        (old, "old"),
    ):
        await world.build(f"FROM scratch\nADD {web.url}/git/x.git#{ref} /\n")
        assert world.read("/v") == text, ref
    with pytest.raises(UserError, match="repository does not contain ref nope") as caught:
        await world.build(f"FROM scratch\nADD {web.url}/git/x.git#nope /\n")
    assert caught.value.where.startswith("Dockerfile:2: ADD")
    with pytest.raises(UserError, match="has no folder 'sub'"):
        await world.build(f"FROM scratch\nADD {web.url}/git/x.git#main:sub /\n")


async def test_commit_is_checked_and_the_git_folder_kept_on_demand(
    world: BuildWorld, web: Web, repository: Repository
) -> None:
    commit = repository.commit({"a": "1"})
    host = web.url.removeprefix("http://")
    await world.build(
        f"FROM scratch\nADD --keep-git-dir --checksum={commit} http://u:p@{host}/git/x.git#main /src\n"
    )
    source = place_of(world, "src")
    said = await asyncio.to_thread(
        subprocess.run,
        ["git", "-c", "safe.directory=*", "log", "-1", "--format=%H %an"],
        cwd=source,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == f"{commit} a"
    config = (source / ".git/config").read_text()
    assert f"http://{host}/git/x.git" in config
    assert "u:p" not in config
    with pytest.raises(UserError, match=f"expected checksum to match {'1' * 40}, got {commit}"):
        await world.build(f"FROM scratch\nADD --checksum={'1' * 40} {web.url}/git/x.git#main /src\n")


async def test_submodules_come_along_over_the_web_only(
    world: BuildWorld, web: Web, repository: Repository
) -> None:
    assert web.git_root is not None
    Repository(web.git_root / "inner.git").commit({"in": "inner"})
    repository.git("submodule", "-q", "add", "../inner.git", "parts/inner")
    repository.git("config", "-f", ".gitmodules", "submodule.parts/inner.url", "../inner.git")
    repository.commit({"a": "1"})
    await world.build(f"FROM scratch\nADD {web.url}/git/x.git /src\n")
    assert world.read("/src/parts/inner/in") == "inner"
    assert ".git" not in " ".join(world.layers()[0]).replace(".gitmodules", "")
    repository.git(
        "config", "-f", ".gitmodules", "submodule.parts/inner.url", f"file://{web.git_root}/inner.git"
    )
    repository.commit({})
    with pytest.raises(PinnaceError, match="transport 'file' not allowed"):
        await world.build(f"FROM scratch\nADD {web.url}/git/x.git /src\n")


async def test_nothing_that_a_repository_or_a_user_brings_is_run(
    world: BuildWorld, web: Web, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = world.instance.root / "ran"
    home = world.instance.root / "home-of-user"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[filter "x"]\n\tsmudge = touch {mark}; cat\n[core]\n\tsshCommand = touch {mark}\n\tfsmonitor = touch {mark}\n'
        f"[credential]\n\thelper = !touch {mark}\n[init]\n\ttemplateDir = {home}/template\n"
    )
    (home / "template/hooks").mkdir(parents=True)
    (home / "template/hooks/post-checkout").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (home / "template/hooks/post-checkout").chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    repository.commit({".gitattributes": "* filter=x\n", "a": "1"})
    await world.build(f"FROM scratch\nADD {web.url}/git/x.git /src\n")
    web.git_root = None
    web.pages["/git/x.git/info/refs"] = Page(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
    with pytest.raises(UserError) as caught:
        await world.build(f"FROM scratch\nADD {web.url}/git/x.git#other /src\n")
    assert "wants a login" in caught.value.hint
    assert not mark.exists()


async def test_server_that_only_gives_files_is_read_too(
    world: BuildWorld, web: Web, repository: Repository
) -> None:
    """The dumb protocol: a repository as plain files, which can't be fetched shallow."""
    repository.commit({"a": "1"})
    repository.git("update-server-info")
    for path in (repository.place / ".git").rglob("*"):
        if path.is_file():
            web.pages[f"/plain/x.git/{path.relative_to(repository.place / '.git')}"] = Page(path.read_bytes())
    await world.build(f"FROM scratch\nADD {web.url}/plain/x.git#main /src\n")
    assert world.read("/src/a") == "1"


async def test_git_daemon_is_read_too(world: BuildWorld, web: Web, repository: Repository) -> None:
    repository.commit({"a": "1"})
    with free_git_daemon(repository.place.parent) as port:
        await world.build(f"FROM scratch\nADD git://127.0.0.1:{port}/x.git /src\n")
        assert world.read("/src/a") == "1"
        with pytest.raises(UserError, match="not exported"):
            await world.build(f"FROM scratch\nADD git://127.0.0.1:{port}/missing.git /src\n")


async def test_secret_logs_in_to_the_server_and_no_other_way_is_tried(
    world: BuildWorld, web: Web, repository: Repository
) -> None:
    repository.commit({"a": "1"})
    web.git_login = "basic eC1hY2Nlc3MtdG9rZW46dG9r"  # x-access-token:tok
    dockerfile = f"FROM scratch\nADD {web.url}/git/x.git /src\n"
    with pytest.raises(UserError) as caught:
        await world.build(dockerfile)
    assert "wants a login" in caught.value.hint
    for name in ("GIT_AUTH_TOKEN", "GIT_AUTH_TOKEN.127.0.0.1"):
        await world.build(dockerfile, run=RunOptions(secrets={name: b"tok\n"}), no_cache=True)
        assert world.read("/src/a") == "1"
        await world.builder.prune()
    with pytest.raises(UserError):
        await world.build(dockerfile, run=RunOptions(secrets={"GIT_AUTH_TOKEN.other": b"tok"}))


async def test_ssh_is_called_without_the_users_configuration_and_with_the_builds_agent(
    world: BuildWorld, web: Web, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the place of ssh notes how it is called, and runs what the server would run, here."""
    repository.commit({"a": "1"})
    log, programs = world.instance.root / "ssh.log", world.instance.root / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(
        f'#!/bin/sh\necho "$SSH_AUTH_SOCK $@" >> {log}\nfor last; do :; done\nexec sh -c "$last"\n'
    )
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    dockerfile = f"FROM scratch\nADD git@example.com:{repository.place} /src\n"
    await world.build(dockerfile, run=RunOptions(ssh={"default": "/agent"}))
    assert world.read("/src/a") == "1"
    assert all(
        line.startswith("/agent -F /dev/null -o BatchMode=yes") for line in log.read_text().splitlines()
    )
    await world.build(dockerfile)
    assert log.read_text().splitlines()[-1].startswith(" -F /dev/null")


async def test_repository_whose_server_falls_silent_is_given_up(world: BuildWorld) -> None:
    """The server lists its refs, and then says nothing to who wants one."""
    commit = "1" * 40
    lists = f"{commit} HEAD\0shallow allow-tip-sha1-in-want allow-reachable-sha1-in-want agent=x\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{len(lists) + 4:04x}{lists}0000".encode())
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    world.builder._remote.git._silence_s = 0.5
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(HostError, match="did not answer, or fell silent"):
        await world.build(f"FROM scratch\nADD git://127.0.0.1:{port}/x.git /src\n")
    server.close()


async def test_missing_git_is_told_with_what_to_install(
    world: BuildWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinnace.base.spawn.shutil.which", lambda name: None)
    with pytest.raises(HostError, match="git is not installed") as caught:
        await world.build("FROM scratch\nADD https://127.0.0.1:1/x.git /src\n")
    assert "apt-get install git" in caught.value.hint


@contextlib.contextmanager
def free_git_daemon(folder: Path) -> Iterator[int]:
    port = free_port()
    daemon = subprocess.Popen(
        [
            "/usr/lib/git-core/git-daemon",
            f"--port={port}",
            "--listen=127.0.0.1",
            "--export-all",
            f"--base-path={folder}",
        ],
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        },
    )
    try:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield port
    finally:
        daemon.terminate()
        daemon.wait()


async def test_builds_side_by_side_share_what_is_fetched_while_it_is_pruned(
    world: BuildWorld, web: Web, repository: Repository
) -> None:
    repository.commit({"a": "1"})
    web.pages["/f"] = Page(b"text", headers={"ETag": '"1"'})
    dockerfile = f"FROM scratch\nADD {web.url}/f /f\nADD {web.url}/git/x.git /src\n"
    remote = world.builder._remote

    async def build(number: int) -> None:
        for _ in range(2):
            await world.build(dockerfile, name=f"made:{number}", no_cache=True)

    async def prune() -> None:
        while True:
            await remote.prune()
            await asyncio.sleep(0.02)

    pruning = asyncio.create_task(prune())
    await asyncio.gather(*(build(number) for number in range(4)))
    pruning.cancel()
    await asyncio.gather(pruning, return_exceptions=True)
    assert {world.read("/src/a", f"made:{number}") for number in range(4)} == {"1"}
    assert len({world.image(f"made:{number}").config.rootfs.diff_ids[0] for number in range(4)}) == 1
