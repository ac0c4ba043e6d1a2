"""Who somebody is to a registry, as values, and whose credentials fit an image's name.

Pure. `image/registry/` asks a `Keyring`; `node/` finds what a pod's secrets have for an image, as the kubelet does.
Source: Docker's config.json (see `base/credentials.py`); Kubernetes, pkg/credentialprovider, keyring.go and config.go.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pinnace.base.credentials import HUB_DOMAIN, Credential, host_of, read_entry
from pinnace.base.errors import UserError

__all__ = ["Credential", "Keyring", "chain", "find_fitting", "keyring_of", "nobody", "parse_pull_secret"]

# Asked by a registry's domain as references have it: "docker.io", "ghcr.io", "localhost:5000".
Keyring = Callable[[str], Awaitable[Credential | None]]

CONFIG_JSON = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson")
CONFIG_OLD = ("kubernetes.io/dockercfg", ".dockercfg")
_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")


async def nobody(domain: str) -> Credential | None:
    """The keyring of somebody without credentials."""
    return None


def keyring_of(credentials: Mapping[str, Credential]) -> Keyring:
    """Return a keyring of credentials that came as values, by domain."""

    async def find(domain: str) -> Credential | None:
        return credentials.get(domain)

    return find


def chain(*keyrings: Keyring) -> Keyring:
    """Return a keyring that asks others, in order, until one has something."""

    async def find(domain: str) -> Credential | None:
        for keyring in keyrings:
            if (found := await keyring(domain)) is not None:
                return found
        return None

    return find


def parse_pull_secret(kind: str, data: Mapping[str, str]) -> dict[str, Credential]:
    """Return what a Secret of an image pull has, by the keys as they are; `data` is base64, as objects keep it.

    Raises: UserError, without anything of the secret in its words.
    """
    for known, key in (CONFIG_JSON, CONFIG_OLD):
        if kind == known and key in data:
            break
    else:
        raise UserError(
            f"a Secret of type {kind!r} holds no registry credentials",
            "kubectl create secret docker-registry NAME --docker-server=… --docker-username=… --docker-password=…",
        )
    try:
        document: Any = json.loads(base64.b64decode(data[key]))
    except (ValueError, RecursionError):
        raise UserError(f"{key} is not JSON") from None
    entries = document.get("auths") if known == CONFIG_JSON[0] and isinstance(document, dict) else document
    if not isinstance(entries, dict):
        raise UserError(f"{key} names no servers")
    found = {server: read_entry(server, entry) for server, entry in entries.items()}
    return {server: one for server, one in found.items() if one is not None}


def find_fitting(name: str, stores: Iterable[Mapping[str, Credential]]) -> tuple[Credential, ...]:
    """Return the credentials that fit an image's whole name, in the order in which they are tried.

    Of each store the longer keys first. A key's host may have `*` in its labels, its path is a beginning of the
    repository's.
    Example: for "ghcr.io/team/app", the keys "ghcr.io/team", "*.io" and "https://ghcr.io/v2/" fit.
    """
    found: list[Credential] = []
    for store in stores:
        for server, credential in sorted(store.items(), key=lambda item: _normal(item[0]), reverse=True):
            if fits(server, name) and credential not in found:
                found.append(credential)
    return tuple(found)


def fits(server: str, name: str) -> bool:
    """Say whether a key of `auths` is meant for an image's whole name, such as docker.io/library/redis."""
    pattern, _, prefix = _normal(server).partition("/")
    host, _, path = name.partition("/")
    if host == HUB_DOMAIN and pattern in _HUB_HOSTS:
        return path.startswith(prefix)
    ours, theirs = _split_host(pattern), _split_host(host)
    if ours[1] != theirs[1] or len(ours[0]) != len(theirs[0]):
        return False
    return all(map(fnmatchcase, theirs[0], ours[0])) and path.startswith(prefix)


def _normal(server: str) -> str:
    """Return a key without scheme and API version. Example: "https://ghcr.io/v2/team" → "ghcr.io/team"."""
    host = host_of(server)
    path = server.removeprefix("https://").removeprefix("http://")[len(host) :]
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return host + path.rstrip("/")


def _split_host(host: str) -> tuple[list[str], str]:
    name, _, port = host.partition(":")
    return name.split("."), port
