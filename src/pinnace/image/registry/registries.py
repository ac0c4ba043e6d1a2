"""Pulls, pushes and look-ups: the doer between the image store and the jobs that speak to registries.

Made and called by `store`. Bodies of blobs never pass the daemon's process.
"""

from __future__ import annotations

from pinnace.base.errors import ApiError, Reason
from pinnace.image.leases import Lease
from pinnace.image.registry.news import OnNews, Pulled, Pushed, Remote
from pinnace.image.registry.settings import RegistrySettings
from pinnace.oci.credentials import Credential, Keyring


class Registries:
    """The registries that one store speaks to."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings

    async def pull(
        self, reference: str, keyring: Keyring, platform: str, on_news: OnNews | None, lease: Lease | None
    ) -> Pulled:
        """Bring an image in. Raises: see `ImageStore.pull`."""
        raise ApiError(Reason.SERVICE_UNAVAILABLE, f"pulling {reference} isn't possible yet")

    async def push(self, reference: str, keyring: Keyring, on_news: OnNews | None) -> Pushed:
        """Send an image out. Raises: see `ImageStore.push`."""
        raise ApiError(Reason.SERVICE_UNAVAILABLE, f"pushing {reference} isn't possible yet")

    async def look_up(self, reference: str, keyring: Keyring, platform: str) -> Remote:
        """Ask what an image is. Raises: see `ImageStore.look_up`."""
        raise ApiError(Reason.SERVICE_UNAVAILABLE, f"looking up {reference} isn't possible yet")

    async def check_login(self, domain: str, credential: Credential) -> str:
        """Ask a registry whether it knows somebody. Raises: see `ImageStore.check_login`."""
        raise ApiError(Reason.SERVICE_UNAVAILABLE, f"logging in to {domain} isn't possible yet")

    async def tags(self, reference: str, keyring: Keyring) -> tuple[str, ...]:
        """Return the tags of a repository. Raises: see `ImageStore.pull`."""
        raise ApiError(Reason.SERVICE_UNAVAILABLE, f"listing the tags of {reference} isn't possible yet")

    async def close(self) -> None:
        """End what is under way."""
