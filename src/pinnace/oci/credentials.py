"""Who somebody is to a registry, as values.

Pure. Source: Docker's config.json ("auths", "credHelpers", "credsStore"), as `docker login` writes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A name with a password, or an identity token that stands for both."""

    username: str = ""
    password: str = ""
    identity_token: str = ""


# Asked by a registry's domain as references have it: "docker.io", "ghcr.io", "localhost:5000".
Keyring = Callable[[str], Awaitable[Credential | None]]


async def nobody(domain: str) -> Credential | None:
    """The keyring of somebody without credentials."""
    return None
