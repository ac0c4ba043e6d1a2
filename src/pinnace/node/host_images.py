"""Finds and pulls the images of pods: the agent's `PodImages` on this machine. A doer; what is right is decided in `images`.

Invariants: of one image one pull at a time; a registry that stalls holds up nobody else's pulls; no credentials are logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from pinnace.api.facade import Api
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, PinnaceError, UserError
from pinnace.base.locks import KeyedLocks
from pinnace.image.registry.news import Pulled
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.facts import PodImage
from pinnace.node.images import (
    TRY_NEXT,
    LocalImage,
    Source,
    decide_source,
    describe_fallback,
    describe_pull,
    describe_use,
    invalid_name,
    make_pod_image,
    pull_failure,
)
from pinnace.node.machine import StartFailure, Tell
from pinnace.oci.credentials import Credential, Keyring, find_fitting, parse_pull_secret
from pinnace.oci.reference import Reference, parse_reference

log = logging.getLogger("pinnace.node")

PULLS_OF_A_REGISTRY = 3  # different images of one registry at the same time; each has several layers at once

FindImage = Callable[[str], LocalImage | None]
NodeStore = Callable[
    [str], Awaitable[Mapping[str, Credential]]
]  # the node's own credentials, by a registry's domain


class PullImage(Protocol):
    """The image store's pull."""

    async def __call__(self, reference: str, *, keyring: Keyring) -> Pulled: ...


class HostImages:
    """The images of one node's pods."""

    def __init__(
        self, api: Api, find_image: FindImage, pull_image: PullImage, node_store: NodeStore, clock: Clock
    ) -> None:
        self._api = api
        self._find_image = find_image
        self._pull_image = pull_image
        self._node_store = node_store
        self._clock = clock
        self._turns = KeyedLocks()
        self._places: dict[str, asyncio.Semaphore] = {}

    def find(self, container: Container) -> PodImage | None:
        """Return the image when no registry need be asked. Raises: StartFailure."""
        reference = _parse(container.image)
        local = self._find_local(container)
        source = decide_source(container.image, reference, container.image_pull_policy, local)
        if source is not Source.STORE or local is None:
            return None
        return make_pod_image(
            reference, local, describe_use(container.image, container.image_pull_policy, local)
        )

    async def pull(self, pod: Pod, container: Container, tell: Tell) -> PodImage:
        """Ask the registry for the image; `tell` records what happens. Raises: StartFailure."""
        reference = _parse(container.image)
        tell("Normal", "Pulling", f'Pulling image "{container.image}"')
        began = self._clock.monotonic()
        place = self._places.setdefault(reference.domain, asyncio.Semaphore(PULLS_OF_A_REGISTRY))
        async with self._turns.hold(str(reference)), place:
            found = self.find(container)  # another container's pull may have brought it meanwhile
            if found is not None:
                return found
            return await self._pull(pod, container, reference, tell, began)

    async def _pull(
        self, pod: Pod, container: Container, reference: Reference, tell: Tell, began: float
    ) -> PodImage:
        name, now = container.image, self._clock.monotonic()
        secrets = self._read_secrets(pod, tell)
        stores = [*secrets, await self._node_store(reference.domain)]
        try:
            pulled = await self._try_all(reference, stores)
        except PinnaceError as error:
            local = self._find_local(container)
            if local is not None and self._may_fall_back(container, reference, local):
                return make_pod_image(reference, local, describe_fallback(name, error))
            raise pull_failure(name, reference, error, had_secrets=bool(secrets)) from error
        took = self._clock.monotonic() - now
        local = LocalImage(pulled.image.id, pulled.image.config.config.user, pulled.digest)
        words = describe_pull(name, pulled.image.size, took, now - began)
        return make_pod_image(reference, local, words, pulled=True)

    async def _try_all(self, reference: Reference, stores: list[Mapping[str, Credential]]) -> Pulled:
        """Pull with each of the credentials that fit, until one does; without any when there are none.

        Source: Kubernetes, pkg/kubelet/kuberuntime/kuberuntime_image.go, PullImage.
        """
        fitting: tuple[Credential | None, ...] = find_fitting(reference.name, stores) or (None,)
        for credential in fitting[:-1]:
            try:
                return await self._pull_image(str(reference), keyring=_keyring(reference, credential, stores))
            except ApiError as error:
                if error.reason not in TRY_NEXT:
                    raise
        return await self._pull_image(str(reference), keyring=_keyring(reference, fitting[-1], stores))

    def _find_local(self, container: Container) -> LocalImage | None:
        try:
            return self._find_image(container.image)
        except UserError as error:
            raise invalid_name(container.image, error) from error

    def _may_fall_back(self, container: Container, reference: Reference, local: LocalImage) -> bool:
        source = decide_source(container.image, reference, container.image_pull_policy, local)
        return source is Source.REGISTRY_OR_STORE

    def _read_secrets(self, pod: Pod, tell: Tell) -> list[Mapping[str, Credential]]:
        """Return what the pod's imagePullSecrets have; those that can't be used are told of.

        Source: Kubernetes, pkg/kubelet/kubelet_pods.go, getPullSecretsForPod.
        """
        found: list[Mapping[str, Credential]] = []
        missing: list[str] = []
        for reference in pod.spec.image_pull_secrets:
            secret = self._api.find(kinds.SECRET, pod.metadata.namespace, reference.name)
            if secret is None:
                missing.append(reference.name)
                continue
            try:
                found.append(parse_pull_secret(secret.type, secret.data))
            except UserError as error:
                words = f'Secret "{reference.name}" can\'t be used to pull images: {error.message}'
                tell("Warning", "FailedToRetrieveImagePullSecret", words)
        if missing:
            tell(
                "Warning",
                "FailedToRetrieveImagePullSecret",
                f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                "attempting to pull the image may not succeed.",
            )
        return found


def _parse(name: str) -> Reference:
    try:
        return parse_reference(name)
    except UserError as error:
        raise invalid_name(name, error) from error


def _keyring(
    reference: Reference, credential: Credential | None, stores: list[Mapping[str, Credential]]
) -> Keyring:
    """Return a keyring that gives the credential to the image's own registry; a mirror gets what fits its name."""

    async def find(domain: str) -> Credential | None:
        if domain == reference.domain:
            return credential
        return next(iter(find_fitting(f"{domain}/{reference.path}", stores)), None)

    return find


__all__ = ["FindImage", "HostImages", "LocalImage", "NodeStore", "PullImage", "StartFailure"]
