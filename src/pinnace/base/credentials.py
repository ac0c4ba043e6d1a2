"""Who somebody is to a registry, and Docker's config.json, which keeps it: parsed, looked up, changed, rendered.

Pure, and imports next to nothing: the command starts with it. Whoever reads or writes the file (`cli/`, `daemon/`) asks the
helpers that it names too. Invariants: what others wrote into the document stays as it is; no text made here but
`render` and `render_stored` holds a secret.
Source: docker/cli v28, cli/config (configfile, credentials, types) and docker/docker-credential-helpers (client, credentials).
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pinnace.base.errors import UserError

HUB_DOMAIN = "docker.io"
HUB_SERVER = "https://index.docker.io/v1/"  # under this key Docker keeps docker.io's credentials
_HUB_NAMES = ("", HUB_DOMAIN, "index.docker.io")
HELPER_PREFIX = "docker-credential-"
NOT_FOUND_WORDS = "credentials not found in native keychain"  # what every helper says, word for word
_TOKEN_USER = "<token>"  # as whom helpers keep an identity token


class Credential(NamedTuple):
    """A name with a password, or an identity token that stands for both."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r}, …)"  # logs and tracebacks show values


def registry_of(name: str) -> str:
    """Return the registry's domain in an image's name as it was written. Example: "me/app:v1" → "docker.io"."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        return HUB_DOMAIN if first in _HUB_NAMES else first
    return HUB_DOMAIN


def server_of(name: str) -> str:
    """Return the key under which Docker keeps the credentials of a registry, given as a person writes it.

    Example: "docker.io" → "https://index.docker.io/v1/"; "https://ghcr.io/v2/" → "ghcr.io".
    """
    host = host_of(name)
    return HUB_SERVER if host in _HUB_NAMES else host


def domain_of(server: str) -> str:
    """Return the domain, as references have it, that a key of `auths` is for. Example: HUB_SERVER → "docker.io"."""
    host = host_of(server)
    return HUB_DOMAIN if host in _HUB_NAMES else host


def host_of(server: str) -> str:
    """Return the host, with its port, of a key of `auths`."""
    rest = server.removeprefix("https://").removeprefix("http://")
    return rest.partition("/")[0]


class DockerConfig:
    """One config.json as a value. `where` is named in errors."""

    def __init__(self, document: dict[str, Any] | None = None, where: str = "") -> None:
        self._document = document or {}
        self._where = where

    def find_helper(self, server: str) -> str:
        """Return the name of the helper that keeps this server's credentials; "" when the file itself does."""
        helpers = self._document.get("credHelpers") or {}
        if not isinstance(helpers, dict):
            raise UserError('"credHelpers" is not an object', 'such as {"ghcr.io": "pass"}', self._where)
        return str(helpers.get(server) or self._document.get("credsStore") or "")

    def find_stored(self, server: str) -> Credential | None:
        """Return what the file itself has for a server, under whatever form of its name. Raises: UserError."""
        auths = self._auths()
        if server in auths:
            return self._read(server, auths[server])
        for key, entry in auths.items():
            if host_of(key) == host_of(server):
                return self._read(key, entry)
        return None

    def stored(self) -> dict[str, Credential]:
        """Return all that the file itself has, by its keys as they are. Raises: UserError."""
        found = {key: self._read(key, entry) for key, entry in self._auths().items()}
        return {key: credential for key, credential in found.items() if credential is not None}

    def with_login(self, server: str, credential: Credential | None) -> DockerConfig:
        """Return the document with a server's credentials; None when a helper keeps them and the file only names it."""
        entry: dict[str, str] = {}
        if credential is not None and credential.identity_token:
            pair = f"{credential.username}:".encode()
            entry = {"auth": _encode(pair), "identitytoken": credential.identity_token}
        elif credential is not None:
            entry = {"auth": _encode(f"{credential.username}:{credential.password}".encode())}
        return self._with_auths({**self._auths(), server: entry})

    def without(self, server: str) -> DockerConfig:
        """Return the document without a server's credentials, under whatever form of its name."""
        kept = {key: entry for key, entry in self._auths().items() if host_of(key) != host_of(server)}
        return self._with_auths(kept)

    def render(self) -> str:
        """Return the document as Docker writes it."""
        return json.dumps(self._document, indent="\t")

    def _auths(self) -> dict[str, Any]:
        auths = self._document.get("auths") or {}
        if not isinstance(auths, dict):
            raise UserError(
                '"auths" is not an object', "an object of servers, as `login` writes it", self._where
            )
        return auths

    def _with_auths(self, auths: dict[str, Any]) -> DockerConfig:
        return DockerConfig({**self._document, "auths": auths}, self._where)

    def _read(self, server: str, entry: Any) -> Credential | None:
        return read_entry(server, entry, self._where)


def parse_docker_config(text: str, where: str = "") -> DockerConfig:
    """Return the configuration in a config.json. Raises: UserError, naming `where`."""
    try:
        document = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"Docker's configuration is not JSON: {error}", "mend or remove the file", where
        ) from None
    if not isinstance(document, dict):
        raise UserError("Docker's configuration is not a JSON object", "mend or remove the file", where)
    return DockerConfig(document, where)


def read_entry(server: str, entry: Any, where: str = "") -> Credential | None:
    """Return what one entry of `auths` says; None when it holds nothing (a helper has it). Raises: UserError."""
    if not isinstance(entry, dict):
        raise UserError(f"the credentials of {server!r} are not an object", "pinnace login " + server, where)
    name, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        import base64

        try:
            pair = base64.b64decode(str(entry["auth"])).decode()
        except ValueError:  # binascii's error and that of UTF-8 are such
            pair = ""
        name, colon, password = pair.partition(":")
        if not colon:
            raise UserError(
                f'the "auth" of {server!r} is not NAME:PASSWORD in base64', "pinnace login " + server, where
            )
        password = password.strip("\0")
    token = str(entry.get("identitytoken") or "")
    return Credential(name, password, token) if name or password or token else None


def parse_helper_answer(code: int, stdout: bytes, helper: str) -> Credential | None:
    """Return what a helper's `get` has answered; None when it has nothing. Raises: UserError."""
    said = stdout.decode(errors="replace").strip()
    if code != 0:
        if NOT_FOUND_WORDS in said:
            return None
        raise UserError(f"{HELPER_PREFIX}{helper} get: {said or f'it ended with code {code}'}")
    try:
        found = json.loads(said)
        name, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError):  # what it said may be a secret: it is not shown
        raise UserError(f"{HELPER_PREFIX}{helper} get: its answer can't be read") from None
    if name == _TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(name, secret)


def render_stored(server: str, credential: Credential) -> bytes:
    """Return what a helper's `store` reads."""
    name, secret = credential.username, credential.password
    if credential.identity_token:
        name, secret = _TOKEN_USER, credential.identity_token
    return json.dumps({"ServerURL": server, "Username": name, "Secret": secret}).encode()


def _encode(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()
