"""The credentials of the person whom the instance serves, asked for when a registry wants them: pods and builds use these.

A doer: reads the person's config.json anew each time, and runs the helpers that it names as the person. What can't be read is
logged, without anything secret, and counts as nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import shutil
from collections.abc import Mapping
from pathlib import Path

from pinnace.base import credentials as docker
from pinnace.base import spawn
from pinnace.base.credentials import Credential, DockerConfig, parse_docker_config
from pinnace.base.errors import PinnaceError
from pinnace.base.person import Person

log = logging.getLogger("pinnace.daemon")

HELPER_TIMEOUT_S = 20.0  # nobody sits there to answer a helper that asks


class PersonKeyring:
    """What a person's config.json and helpers have."""

    def __init__(self, person: Person, path: Path) -> None:
        self._person = person
        self._path = path

    async def find(self, domain: str) -> Credential | None:
        """Return the credentials for a registry; a `Keyring`."""
        server = docker.server_of(domain)
        try:
            config = await asyncio.to_thread(self._read)
            helper = config.find_helper(server)
            return await self._ask(helper, server) if helper else config.find_stored(server)
        except PinnaceError as error:
            log.warning("credentials for %s: %s", domain, error.message)
            return None

    async def find_store(self, domain: str) -> Mapping[str, Credential]:
        """Return all that may fit an image of a registry, by the keys of `auths`, as the kubelet reads the node's file."""
        try:
            config = await asyncio.to_thread(self._read)
            found = config.stored()
        except PinnaceError as error:
            log.warning("the node's registry credentials: %s", error.message)
            return {}
        server = docker.server_of(domain)
        if config.find_helper(server) and (one := await self.find(domain)) is not None:
            found[server] = one
        return found

    def _read(self) -> DockerConfig:
        """Return the file. Raises: UserError."""
        try:
            text = self._path.read_text()
        except (FileNotFoundError, NotADirectoryError):
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            log.warning("%s can't be read: %s", self._path, error)
            text = ""
        return parse_docker_config(text, str(self._path))

    async def _ask(self, helper: str, server: str) -> Credential | None:
        """Ask a helper, as the person. Raises: UserError, HostError."""
        program = docker.HELPER_PREFIX + helper
        env = dict(os.environ)
        argv = [shutil.which(program) or program, "get"]
        if self._person.ids is not None:
            uid, gid = self._person.ids
            name = pwd.getpwuid(uid).pw_name
            env |= {"HOME": str(self._person.home), "USER": name, "LOGNAME": name}
            argv = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--init-groups", "--", *argv]
        done = await spawn.run(
            argv, stdin=server.encode(), timeout_s=HELPER_TIMEOUT_S, check=False, env=env, cwd="/"
        )
        return docker.parse_helper_answer(done.returncode, done.stdout, helper)
