"""The person's registry credentials: reads ~/.docker/config.json, asks the helpers that it names, stores and removes.

A doer, used by the verbs that speak to registries; what the file means is in `base/credentials.py`. Under sudo the file is the
invoking user's, and stays so. Invariant: the file is whole at every moment, with mode 0600, and what others keep in it stays.
"""

from __future__ import annotations

import os
from pathlib import Path

from pinnace.base import credentials as docker
from pinnace.base.credentials import Credential, DockerConfig, parse_docker_config
from pinnace.base.errors import UserError
from pinnace.base.person import docker_config_of, find_person

HELPER_TIMEOUT_S = 60.0  # a helper may ask the person something
_TMP_SUFFIX = ".tmp-pinnace"


class Credentials:
    """The credentials of the person who runs this command."""

    def __init__(self) -> None:
        self._person = find_person()
        self.path = docker_config_of(self._person)

    def read(self) -> DockerConfig:
        """Return the file; an empty one where there is none. Raises: UserError."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.path} can't be read: {error}") from error
        return parse_docker_config(text, str(self.path))

    def find(self, server: str) -> Credential | None:
        """Return what is kept for a server (a key, see `server_of`). Raises: UserError."""
        config = self.read()
        helper = config.find_helper(server)
        return self._get(helper, server) if helper else config.find_stored(server)

    def find_for(self, domain: str) -> dict[str, dict[str, str]]:
        """Return what a request carries for one registry: the credentials by domain; {} when there are none."""
        found = self.find(docker.server_of(domain))
        return {} if found is None else {domain: describe(found)}

    def find_all(self) -> dict[str, dict[str, str]]:
        """Return what a request carries that may need any registry (a build): all that stands in the file, by domain.

        Helpers are not asked: one may want the person's passphrase for what the request turns out not to need. The
        daemon asks them as the instance's owner, once a registry wants to know.
        """
        return {docker.domain_of(server): describe(one) for server, one in self.read().stored().items()}

    def store(self, server: str, credential: Credential) -> str:
        """Keep credentials; return the helper that has them, "" when they stand in the file. Raises: UserError."""
        config = self.read()
        helper = config.find_helper(server)
        if helper:
            code, stdout = self._ask(helper, "store", docker.render_stored(server, credential))
            if code != 0:
                said = stdout.decode(errors="replace").strip()
                raise UserError(
                    f"{docker.HELPER_PREFIX}{helper} store: {said or f'it ended with code {code}'}"
                )
        self._write(config.with_login(server, None if helper else credential))
        return helper

    def erase(self, server: str) -> None:
        """Forget a server's credentials; fine when there are none. Raises: UserError."""
        config = self.read()
        if helper := config.find_helper(server):
            self._ask(helper, "erase", server.encode())
        changed = config.without(server)
        if changed.render() != config.render():
            self._write(changed)

    # --- helpers -----------------------------------------------------------------------------------------------------

    def _get(self, helper: str, server: str) -> Credential | None:
        return docker.parse_helper_answer(*self._ask(helper, "get", server.encode()), helper)

    def _ask(self, helper: str, verb: str, stdin: bytes) -> tuple[int, bytes]:
        """Run a helper as the person; return its exit code and output. Raises: UserError when there is none such."""
        import subprocess

        program = docker.HELPER_PREFIX + helper
        who: dict[str, object] = {}
        env = dict(os.environ)
        if self._person.ids is not None:
            import pwd

            uid, gid = self._person.ids
            groups = os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
            who = {"user": uid, "group": gid, "extra_groups": groups}
            env["HOME"] = str(self._person.home)
        try:
            done = subprocess.run(
                [program, verb],
                input=stdin,
                stdout=subprocess.PIPE,
                timeout=HELPER_TIMEOUT_S,
                env=env,
                check=False,
                **who,  # type: ignore[call-overload]
            )
        except OSError as error:
            raise UserError(
                f"{program} can't be started: {error.strerror}",
                f"install it, or take it out of {self.path} (credsStore, credHelpers)",
            ) from error
        except subprocess.TimeoutExpired:
            raise UserError(f"{program} {verb} did not end within {HELPER_TIMEOUT_S:.0f} s") from None
        return done.returncode, done.stdout

    # --- the file ----------------------------------------------------------------------------------------------------

    def _write(self, config: DockerConfig) -> None:
        try:
            self._replace(Path(os.path.realpath(self.path)), config.render().encode())
        except OSError as error:
            raise UserError(f"{self.path} can't be written: {error.strerror}") from error

    def _replace(self, path: Path, data: bytes) -> None:
        """Write a file anew in one step. It keeps its owner; a new one is the person's."""
        ids = self._person.ids
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True)
            if ids is not None:
                os.chown(path.parent, *ids)
        try:
            before = os.stat(path)
            ids = (before.st_uid, before.st_gid) if os.geteuid() == 0 else None
        except FileNotFoundError:
            pass
        new = path.with_name(f"{path.name}{_TMP_SUFFIX}{os.getpid()}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with open(descriptor, "wb") as file:
                if ids is not None:
                    os.fchown(descriptor, *ids)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            os.rename(new, path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


def describe(credential: Credential) -> dict[str, str]:
    """Return a credential as requests carry it."""
    return dict(credential._asdict())
