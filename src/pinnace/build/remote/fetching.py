"""What one build fetches from elsewhere: each address once, as parts of an ADD or as folders of contexts. A doer.

Made by `builder` for a build, on what the instance keeps (`http_files`, `git_files`).
Invariant: within a build one address means one content, whatever its server says meanwhile; fetched files that nobody
needs (the step is cached) are not fetched at all where a digest or a commit is known without.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace as replace_access
from pathlib import Path

from msgspec.structs import replace

from pinnace.base.chance import Chance
from pinnace.base.errors import UserError
from pinnace.base.locks import KeyedLocks
from pinnace.build.progress import StepNews, Tell
from pinnace.build.remote.addresses import GitSource, HttpSource, RemoteSource, hide_secrets
from pinnace.build.remote.git_files import Access, GitFiles
from pinnace.build.remote.git_words import show
from pinnace.build.remote.http_files import HttpFiles, Kept
from pinnace.build.selection import Selection
from pinnace.build.steps import Copy
from pinnace.build.threads import in_thread
from pinnace.image.workers import Workers

TOKEN_SECRET = "GIT_AUTH_TOKEN"  # Source: docker buildx, secrets that log in to git servers
HEADER_SECRET = "GIT_AUTH_HEADER"
AGENT = "default"  # of --ssh
NAME_MAX_BYTES = 255  # Source: linux/limits.h, NAME_MAX


class RemoteFiles:
    """What an instance keeps of other places, below one folder."""

    def __init__(
        self, folder: Path, workers: Workers, chance: Chance, find_ca_bundle: Callable[[], Path | None]
    ) -> None:
        self.http = HttpFiles(folder / "http", workers, chance)
        self.git = GitFiles(folder / "git", workers)
        self.find_ca_bundle = find_ca_bundle

    async def prune(self, before_s: float | None = None) -> int:
        """Remove what nobody has asked for since, everything without a time; return how many bytes that frees."""
        return await self.http.prune(before_s) + await self.git.prune(before_s)


class Fetching:
    """The fetching of one build; `work` is a folder that goes away with it."""

    def __init__(
        self,
        files: RemoteFiles,
        chance: Chance,
        work: Path,
        *,
        build_args: Mapping[str, str],
        secrets: Mapping[str, bytes],
        agents: Mapping[str, str],
    ) -> None:
        self._files = files
        self._chance = chance
        self._work = work
        self._access = Access(
            proxies=read_proxies(build_args, os.environ),
            agent=agents.get(AGENT, ""),
            headers=read_headers(secrets),
        )
        self._locks = KeyedLocks()
        self._kept: dict[HttpSource, Kept] = {}
        self._raw: dict[str, Path] = {}
        self._commits: dict[GitSource, str] = {}
        self._trees: dict[GitSource, Path] = {}

    async def fetch(self, source: HttpSource, on_bytes: Callable[[int], None] | None = None) -> Kept:
        """Return the file behind a URL. Raises: UserError, HostError."""
        source = replace(source, unpack=False)
        async with self._locks.hold(source):
            if source not in self._kept:
                access = await self._find_access()
                raw = self._new_place()
                self._kept[source] = await self._files.http.fetch(
                    source, raw, access.proxies, access.ca_bundle, on_bytes
                )
                self._raw[self._kept[source].file] = raw
            return self._kept[source]

    async def folder_of(self, kept: Kept, name: str) -> Path:
        """Return a folder that holds just this file, which this build has fetched, under a name."""
        place = self._new_place()

        def make() -> None:
            place.mkdir()
            os.link(self._raw[kept.file], place / name)

        await in_thread(make)
        return place

    async def _find_access(self) -> Access:
        bundle = await in_thread(self._files.find_ca_bundle)
        return replace_access(self._access, ca_bundle="" if bundle is None else str(bundle))

    async def find_commit(self, source: GitSource) -> str:
        """Return the commit that an address means. Raises: UserError, HostError."""
        async with self._locks.hold(source):
            if source not in self._commits:
                self._commits[source] = await self._files.git.find_commit(source, await self._find_access())
            return self._commits[source]

    async def check_out(self, source: GitSource) -> Path:
        """Return the folder that an address means, with its files. Raises: UserError, HostError."""
        commit = await self.find_commit(source)
        async with self._locks.hold(source):
            if source not in self._trees:
                access = await self._find_access()
                self._trees[source] = await self._files.git.check_out(
                    source, commit, self._new_place(), access
                )
            return self._trees[source]

    def _new_place(self) -> Path:
        return self._work / f"fetched-{self._chance.hex(12)}"


class HttpPart:
    """The file behind a URL."""

    def __init__(self, fetching: Fetching, step: Copy, source: HttpSource, tell: Tell) -> None:
        self._fetching = fetching
        self._step = step
        self._source = source
        self._tell = tell

    @property
    def is_fixed(self) -> bool:
        return True

    async def digest(self, news: StepNews) -> str:
        name, content = self._source.name, self._source.checksum
        if not name or not content or len(name.encode()) > NAME_MAX_BYTES:
            kept = await self._fetch(news)
            name, content = self._name(kept), f"sha256:{kept.digest}"
        return _digest("http", name, content, self._source.unpack, self._step.exclude)

    async def selection(self) -> Selection:
        kept = await self._fetch(None)
        name = self._name(kept)
        return Selection(
            root=str(await self._fetching.folder_of(kept, name)),
            sources=(re.sub(r"([*?\[\\])", r"\\\1", name),),
            exclude=self._step.exclude,
            what=hide_secrets(self._source.url),
            unpack=self._source.unpack,
            is_fixed=True,
        )

    async def _fetch(self, news: StepNews | None) -> Kept:
        if news is None:
            return await self._fetching.fetch(self._source)
        return await self._fetching.fetch(
            self._source, lambda size: self._tell(replace(news, state="reading", bytes=size))
        )

    def _name(self, kept: Kept) -> str:
        name = self._source.name or kept.name
        if name and len(name.encode()) <= NAME_MAX_BYTES:
            return name
        if self._step.target.endswith("/"):
            raise UserError(
                f"cannot determine filename for url: {hide_secrets(self._source.url)}",
                f"name the file: ADD {hide_secrets(self._source.url)} {self._step.target}NAME",
            )
        return "download"


class GitPart:
    """Files of a repository: its commit says what they are."""

    def __init__(self, fetching: Fetching, step: Copy, source: GitSource) -> None:
        self._fetching = fetching
        self._step = step
        self._source = source

    @property
    def is_fixed(self) -> bool:
        return True

    async def digest(self, news: StepNews) -> str:
        source = self._source
        commit = await self._fetching.find_commit(source)
        # the address of a submodule, and what is kept in .git, follow from the repository's own address
        where = source.url if source.keep_git_dir or source.submodules else ""
        return _digest(
            "git", where, commit, source.folder, source.keep_git_dir, source.submodules, self._step.exclude
        )

    async def selection(self) -> Selection:
        return Selection(
            root=str(await self._fetching.check_out(self._source)),
            sources=("/",),
            exclude=self._step.exclude,
            what=show(self._source),
            is_fixed=True,
        )


def make_part(fetching: Fetching, step: Copy, source: RemoteSource, tell: Tell) -> HttpPart | GitPart:
    """Return what a step takes from elsewhere."""
    if isinstance(source, HttpSource):
        return HttpPart(fetching, step, source, tell)
    return GitPart(fetching, step, source)


def read_proxies(build_args: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return proxies by scheme, "no" for hosts without one: of the build's arguments, else of the daemon's surroundings."""
    proxies = {}
    for scheme in ("http", "https", "no"):
        names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
        values = (place[name] for place in (build_args, environ) for name in names if place.get(name))
        proxies[scheme] = next(values, "")
    return {scheme: url for scheme, url in proxies.items() if url}


def read_headers(secrets: Mapping[str, bytes]) -> dict[str, str]:
    """Return the headers that log in to git servers, by host ("" for any), from secrets of the build.

    Source: docker buildx, "Git authentication for remote contexts": GIT_AUTH_TOKEN, GIT_AUTH_HEADER, or either with
    ".HOST" behind it.
    """
    headers = {}
    for name, value in secrets.items():
        kind, _, host = name.partition(".")
        text = value.decode(errors="replace").strip()
        if not text or "\n" in text or kind not in (TOKEN_SECRET, HEADER_SECRET):
            continue
        if kind == TOKEN_SECRET:
            text = "basic " + base64.b64encode(f"x-access-token:{text}".encode()).decode()
        headers[host] = f"Authorization: {text}"
    return headers


def _digest(*fields: object) -> str:
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()
