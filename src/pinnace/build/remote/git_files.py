"""Brings files out of git repositories, with the `git` program. A doer; called by `fetching`.

Below `folder`, each repository has a bare one of ours, which keeps what was fetched; a build gets a working tree of its
own. What a repository says of programs (hooks, filters, helpers) is never run: see `git_words`.
Invariant: a working tree is that of the commit that was asked for; files have the commit's time, and modes 755 or 644, so
that one commit always makes one layer.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pinnace.base import spawn
from pinnace.base.errors import HostError, UserError
from pinnace.base.locks import KeyedLocks
from pinnace.build.places import resolve_inside
from pinnace.build.remote.addresses import GitSource, hide_secrets, is_commit
from pinnace.build.remote.git_words import (
    CONFIG,
    WEB_PROTOCOLS,
    GitPlaces,
    check_commit,
    choose_ref,
    explain_failure,
    missing_ref,
    parse_refs,
    refs_to_ask,
    render_environment,
    render_login,
    show,
)
from pinnace.build.remote.places import list_folders
from pinnace.build.remote.watched import run_watched
from pinnace.build.threads import in_thread
from pinnace.image.workers import Workers

ASK_TIMEOUT_S = 120.0
SILENCE_S = 120.0  # a server may count and pack for a while, but says so
HINT = "apt-get install git; repositories are fetched with it"


@dataclass(frozen=True, slots=True)
class Access:
    """How a build reaches servers: proxies by scheme ("no": hosts without one), the agent for ssh ("" for none).

    `headers` log in over HTTP, by host; "" is for any. `ca_bundle` "" is what git takes by itself.
    """

    proxies: Mapping[str, str]
    agent: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_bundle: str = ""


class GitFiles:
    """The repositories of one instance."""

    def __init__(self, folder: Path, workers: Workers, *, silence_s: float = SILENCE_S) -> None:
        self._folder = folder
        self._silence_s = silence_s
        self._workers = workers
        self._locks = KeyedLocks()

    async def find_commit(self, source: GitSource, access: Access) -> str:
        """Return the commit that an address means now. Raises: UserError, HostError."""
        if source.commit:
            check_commit(source, source.commit)
            return source.commit
        git = await self._git(source, access)
        names = refs_to_ask(source.ref)
        listed = parse_refs(await git.run("ls-remote", "--", source.url, *names))
        found = choose_ref(source.ref, listed)
        if found is not None:
            check_commit(source, found[1])
            return found[1]
        return await self._find_by_start(source, git)

    async def _find_by_start(self, source: GitSource, git: _Git) -> str:
        """Return the commit that begins with what was written as a ref: that needs all that the repository has."""
        if len(source.ref) < 7 or any(char not in "0123456789abcdef" for char in source.ref):
            raise missing_ref(source)
        async with self._locks.hold(self._place(source)):
            bare = await self._bare(source, git)
            await git.run(*_all_refs(bare, source), is_long=True)
            done = await git.try_run(
                "--git-dir", str(bare), "rev-parse", "--verify", "-q", f"{source.ref}^{{commit}}"
            )
        if done.returncode != 0:
            raise missing_ref(source)
        commit = done.stdout.decode().strip()
        check_commit(source, commit)
        return commit

    async def check_out(self, source: GitSource, commit: str, target: Path, access: Access) -> Path:
        """Make a working tree of a commit at the new folder `target`; return the folder that the address means.

        Raises: UserError, HostError.
        """
        git = await self._git(source, access)
        async with self._locks.hold(self._place(source)):
            bare = await self._bare(source, git)
            await self._fetch(source, commit, bare, git)
            await git.run("init", "-q", "--template=", str(target))
            inside = git.within(target, "file")
            if source.keep_git_dir:
                words = ("fetch", "--progress", "--depth=1", "--no-tags", f"file://{bare}", commit)
                await inside.run(*words, is_long=True)
            else:  # its .git goes again: it need not have the objects
                await in_thread(_borrow_objects, target, bare)
            await inside.run("checkout", "--progress", "--force", "--detach", commit, is_long=True)
            await inside.run("remote", "add", "origin", _without_login(source.url))
            time_text = await inside.run("show", "-s", "--format=%ct", commit)
        if source.submodules and await in_thread((target / ".gitmodules").is_file):
            await self._update_submodules(source, target, git)
        job = SettleJob(root=str(target), time=int(time_text or "0"), keep_git_dir=source.keep_git_dir)
        await self._workers.call(settle, job)
        return await in_thread(_find_folder, source, target)

    async def _update_submodules(self, source: GitSource, target: Path, git: _Git) -> None:
        """Submodules come from the web only, even those of a repository that is a file here; relative to its real address."""
        inside = git.within(target, WEB_PROTOCOLS)
        await inside.run("config", "remote.origin.url", source.url)
        await inside.run(
            "submodule",
            "update",
            "--progress",
            "--init",
            "--recursive",
            "--depth=1",
            "--jobs=4",
            is_long=True,
        )
        await inside.run("config", "remote.origin.url", _without_login(source.url))

    async def _fetch(self, source: GitSource, commit: str, bare: Path, git: _Git) -> None:
        """Have a commit in our repository: just that one if the server gives it so, else all that there is."""
        if await self._has(commit, bare, git):
            return
        shallow = ("fetch", "--progress", "--depth=1", "--no-tags", "--force", "--", source.url)
        options = ("--git-dir", str(bare))
        done = await git.try_run(*options, *shallow, commit, is_long=True)
        if done.returncode != 0 and source.ref and not is_commit(source.ref):
            for name in refs_to_ask(source.ref):
                done = await git.try_run(*options, *shallow, name.removesuffix("^{}"), is_long=True)
                if done.returncode == 0:
                    break
        if await self._has(commit, bare, git):
            return
        await git.run(*_all_refs(bare, source), is_long=True)
        if not await self._has(commit, bare, git):
            raise UserError(
                f"{hide_secrets(source.url)}: repository does not contain commit {commit}",
                "is it on a branch or a tag that was pushed?",
            )

    async def _has(self, commit: str, bare: Path, git: _Git) -> bool:
        done = await git.try_run("--git-dir", str(bare), "cat-file", "-e", f"{commit}^{{commit}}")
        return done.returncode == 0

    async def _git(self, source: GitSource, access: Access) -> _Git:
        program = await in_thread(spawn.find_program, "git", hint=HINT)
        places = await in_thread(_make_places, self._folder, access.agent)
        path = os.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        environment = render_environment(source, places, access.proxies, path)
        environment |= {"GIT_SSL_CAINFO": access.ca_bundle} if access.ca_bundle else {}
        return _Git(program, environment | render_login(source, access.headers), source, self._silence_s)

    async def _bare(self, source: GitSource, git: _Git) -> Path:
        place = self._place(source)
        if not await in_thread((place / "HEAD").is_file):
            await in_thread(shutil.rmtree, place, ignore_errors=True)
            await git.run("init", "-q", "--bare", "--template=", str(place))
        await in_thread(os.utime, place)
        return place

    def _place(self, source: GitSource) -> Path:
        return self._folder / "repositories" / hashlib.sha256(source.url.encode()).hexdigest()[:32]

    async def prune(self, before_s: float | None = None) -> int:
        """Remove repositories that nobody has asked for since; all of them without a time. Return how many bytes that frees."""
        freed = 0
        for place in await in_thread(list_folders, self._folder / "repositories"):
            async with self._locks.hold(place):
                freed += await in_thread(_prune, place, before_s)
        return freed


class _Git:
    """Calls of git about one source, in a folder."""

    def __init__(
        self,
        program: str,
        environment: Mapping[str, str],
        source: GitSource,
        silence_s: float,
        cwd: Path | None = None,
    ) -> None:
        self._program = program
        self._environment = dict(environment)
        self._source = source
        self._silence_s = silence_s
        self._cwd = cwd

    def within(self, folder: Path, protocols: str) -> _Git:
        """Return the same in a folder, with the protocols that are allowed there."""
        environment = {**self._environment, "GIT_ALLOW_PROTOCOL": protocols}
        return _Git(self._program, environment, self._source, self._silence_s, folder)

    async def run(self, *words: str, is_long: bool = False) -> str:
        """Return what a command writes; a long one tells its progress. Raises: UserError, HostError."""
        done = await self.try_run(*words, is_long=is_long)
        if done.returncode != 0:
            raise explain_failure(self._source, done.stderr.decode(errors="replace"), done.returncode)
        return done.stdout.decode(errors="replace")

    async def try_run(self, *words: str, is_long: bool = False) -> spawn.Completed:
        """Run a command. Raises: HostError when it takes too long, or a long one falls silent."""
        argv = (self._program, *words)
        try:
            if is_long:
                return await run_watched(
                    argv, env=self._environment, cwd=self._cwd, silence_s=self._silence_s
                )
            return await spawn.run(
                argv, check=False, env=self._environment, cwd=self._cwd, timeout_s=ASK_TIMEOUT_S
            )
        except HostError as error:
            if error.errno is not None:  # it could not be started
                raise
            # the argv in the message may hold a password
            message = f"{show(self._source)}: the server did not answer, or fell silent in the middle"
            raise HostError(
                message, hint="try again later; git ls-remote URL shows whether it answers"
            ) from None


def _borrow_objects(target: Path, bare: Path) -> None:
    (target / ".git/objects/info").mkdir(exist_ok=True)
    (target / ".git/objects/info/alternates").write_text(f"{bare}/objects\n")
    if (bare / "shallow").is_file():
        shutil.copyfile(bare / "shallow", target / ".git/shallow")  # commits whose parents aren't there


def _all_refs(bare: Path, source: GitSource) -> tuple[str, ...]:
    shallow = ("--unshallow",) if (bare / "shallow").is_file() else ()
    refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    return ("--git-dir", str(bare), "fetch", "--progress", "--force", *shallow, "--", source.url, *refs)


def _make_places(folder: Path, agent: str) -> GitPlaces:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = folder / "gitconfig"
    if not config.is_file() or config.read_text() != CONFIG:
        temporary = folder / f"gitconfig.{os.getpid()}.tmp"
        temporary.write_text(CONFIG)
        os.replace(temporary, config)
    return GitPlaces(str(config), str(folder / "known_hosts"), agent)


def _without_login(url: str) -> str:
    """Return an address without what logs in: it is written into a .git folder that may become part of an image."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "ssh":
        return url
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _find_folder(source: GitSource, root: Path) -> Path:
    found = Path(resolve_inside(str(root), source.folder))
    if not found.is_dir():
        raise UserError(
            f"{show(source)}: the repository has no folder {source.folder!r}",
            f"a folder as it is in {source.ref or 'the default branch'}, such as …#{source.ref}:docs",
        )
    return found


def _prune(place: Path, before_s: float | None) -> int:
    if not place.is_dir() or (before_s is not None and place.stat().st_mtime >= before_s):
        return 0
    freed = sum(path.lstat().st_size for path in place.rglob("*"))
    shutil.rmtree(place, ignore_errors=True)
    return freed


class SettleJob(msgspec.Struct, frozen=True, kw_only=True):
    """Give a working tree one time and plain modes; without `keep_git_dir`, remove what git keeps in it. Units: unix s."""

    root: str
    time: int
    keep_git_dir: bool = False


def settle(job: SettleJob, report: Callable[[str, int, int], None]) -> int:
    """Do a `SettleJob` in the worker process; return how many files there are."""
    count = 0
    for folder, folders, files in os.walk(job.root, topdown=False):
        if not job.keep_git_dir and ".git" in folders:
            shutil.rmtree(os.path.join(folder, ".git"))
            folders.remove(".git")
        for name in files:
            path = os.path.join(folder, name)
            if name == ".git" and not job.keep_git_dir:
                os.unlink(path)
                continue
            count += 1
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, 0o755 if mode & 0o100 else 0o644)
            os.utime(path, (job.time, job.time), follow_symlinks=False)
        for name in folders:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755)
            os.utime(path, (job.time, job.time), follow_symlinks=False)
        report("checking out", count, 0)
    os.chmod(job.root, 0o755)
    os.utime(job.root, (job.time, job.time))
    return count
