"""Pulls for pods: whose credentials are tried, who waits for whom, when the local image serves. With a pretended store."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from pinnace.api.facade import Api
from pinnace.base.clock import FrozenClock
from pinnace.base.errors import ApiError, HostError, PinnaceError, Reason
from pinnace.image.registry.news import Pulled
from pinnace.image.views import Image
from pinnace.kube.objects.core_v1 import Container, LocalObjectReference, Pod, PodSpec, Secret
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.node.host_images import PULLS_OF_A_REGISTRY, HostImages
from pinnace.node.images import LocalImage
from pinnace.node.machine import StartFailure
from pinnace.oci.config import ContainerConfig, ImageConfig, RootFs
from pinnace.oci.credentials import Credential, Keyring
from pinnace.oci.digest import Digest

ID, DIGEST = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
ADA, EVE = Credential("ada", "1"), Credential("eve", "2")


def secret(name: str, server: str, one: Credential) -> Secret:
    entry = {server: {"username": one.username, "password": one.password}}
    data = base64.b64encode(json.dumps({"auths": entry}).encode()).decode()
    meta = ObjectMeta(name=name, namespace="default")
    return Secret(metadata=meta, type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": data})


class World:
    """A store, a registry, and the objects of one namespace, all pretended."""

    def __init__(self) -> None:
        self.local: dict[str, LocalImage] = {}
        self.secrets: dict[str, Secret] = {}
        self.node: dict[str, Credential] = {}
        self.accepted: Credential | None = None
        self.refusal: PinnaceError = ApiError(Reason.UNAUTHORIZED, "authentication required")
        self.asked: list[Credential | None] = []
        self.running = self.most = 0
        self.gate: asyncio.Event | None = None
        self.told: list[tuple[str, str, str]] = []
        self.images = HostImages(
            cast(Api, self), self.local.get, self.pull_image, self.node_store, FrozenClock(0)
        )

    def find(self, kind: Any, namespace: str, name: str) -> Secret | None:
        return self.secrets.get(name)

    async def node_store(self, domain: str) -> Mapping[str, Credential]:
        return self.node

    async def pull_image(self, reference: str, *, keyring: Keyring) -> Pulled:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.gate is not None:
                await self.gate.wait()
            self.asked.append(await keyring(reference.partition("/")[0]))
            if self.asked[-1] != self.accepted:
                raise self.refusal
        finally:
            self.running -= 1
        config = ImageConfig(
            architecture="amd64", os="linux", rootfs=RootFs(), config=ContainerConfig(user="app")
        )
        image = Image(id=ID, config=config, references=(), size=7)
        return Pulled(image=image, digest=DIGEST, is_new=True, received=7, seconds=1)

    async def get(self, image: str, policy: str = "IfNotPresent", secrets: tuple[str, ...] = ()) -> Any:
        container = Container(name="app", image=image, image_pull_policy=policy)
        names = tuple(LocalObjectReference(name=name) for name in secrets)
        pod = Pod(
            metadata=ObjectMeta(name="web", namespace="default", uid="u"),
            spec=PodSpec(containers=(container,), image_pull_secrets=names),
        )
        found = self.images.find(container)
        if found is not None:
            return found
        return await self.images.pull(pod, container, lambda *event: self.told.append(event))


async def test_without_credentials_nobody_asks() -> None:
    world = World()
    image = await world.get("ghcr.io/me/app:v1")
    assert (image.id, image.shown_id, image.user) == (ID, f"ghcr.io/me/app@{DIGEST}", "app")
    assert image.told == (
        'Successfully pulled image "ghcr.io/me/app:v1" in 0s (0s including waiting). Image size: 7 bytes.'
    )
    assert world.told == [("Normal", "Pulling", 'Pulling image "ghcr.io/me/app:v1"')]
    assert world.asked == [None]


async def test_the_pods_secrets_are_tried_before_the_nodes_credentials_until_one_is_taken() -> None:
    world = World()
    world.secrets = {"a": secret("a", "ghcr.io", ADA), "b": secret("b", "https://quay.io/v2/", ADA)}
    world.node = {"ghcr.io": EVE}
    world.accepted = EVE
    await world.get("ghcr.io/me/app:v1", secrets=("b", "a"))
    assert world.asked == [ADA, EVE]


async def test_other_credentials_do_not_help_a_registry_that_is_down() -> None:
    world = World()
    world.secrets, world.node = {"a": secret("a", "ghcr.io", ADA)}, {"ghcr.io": EVE}
    world.refusal, world.accepted = ApiError(Reason.SERVICE_UNAVAILABLE, "503"), EVE
    with pytest.raises(StartFailure, match="503") as caught:
        await world.get("ghcr.io/me/app:v1", secrets=("a",))
    assert (caught.value.reason, world.asked) == ("ErrImagePull", [ADA])


async def test_secrets_that_are_missing_or_none_are_told_of_and_the_pull_goes_on() -> None:
    world = World()
    world.secrets = {"opaque": Secret(metadata=ObjectMeta(name="opaque"), type="Opaque")}
    await world.get("ghcr.io/me/app:v1", secrets=("gone", "opaque", "away"))
    assert [event[1] for event in world.told] == ["Pulling", *["FailedToRetrieveImagePullSecret"] * 2]
    assert world.told[-1][2] == (
        "Unable to retrieve some image pull secrets (gone, away); "
        "attempting to pull the image may not succeed."
    )


async def test_an_image_that_another_pod_has_brought_meanwhile_is_not_pulled_again() -> None:
    world = World()
    world.gate = asyncio.Event()
    both = [asyncio.ensure_future(world.get("ghcr.io/me/app:v1")) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    world.local["ghcr.io/me/app:v1"] = LocalImage(ID, manifest=DIGEST)
    world.gate.set()
    _, second = await asyncio.gather(*both)
    assert len(world.asked) == 1
    assert second.told == 'Container image "ghcr.io/me/app:v1" already present on machine'


async def test_a_registry_that_stalls_holds_up_no_other() -> None:
    world = World()
    world.gate = asyncio.Event()
    slow = [asyncio.ensure_future(world.get(f"slow.example/app:{number}")) for number in range(9)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.running == PULLS_OF_A_REGISTRY
    other = asyncio.ensure_future(world.get("quick.example/app:v1"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.running == PULLS_OF_A_REGISTRY + 1
    world.gate.set()
    await asyncio.gather(*slow, other)


async def test_a_pod_that_gives_up_lets_the_next_one_have_its_turn() -> None:
    world = World()
    world.gate = asyncio.Event()
    first = asyncio.ensure_future(world.get("ghcr.io/me/app:v1"))
    second = asyncio.ensure_future(world.get("ghcr.io/me/app:v1"))
    for _ in range(20):
        await asyncio.sleep(0)
    first.cancel()
    world.gate.set()
    assert (await second).pulled


async def test_always_asks_for_what_came_from_a_registry_and_fails_with_it() -> None:
    world = World()
    world.local["ghcr.io/me/app"] = LocalImage(ID, manifest=DIGEST)
    await world.get("ghcr.io/me/app", "Always")
    assert world.asked == [None]
    world.accepted, world.refusal = ADA, HostError("ghcr.io can't be reached")
    with pytest.raises(StartFailure, match="be reached"):
        await world.get("ghcr.io/me/app", "Always")


async def test_always_uses_what_was_made_here_when_its_registry_cannot_say() -> None:
    world = World()
    world.local["localhost:5000/app"] = LocalImage(ID)
    world.accepted, world.refusal = ADA, HostError("localhost:5000: connection refused")
    image = await world.get("localhost:5000/app", "Always")
    assert (image.shown_id, image.pulled) == (ID, False)
    assert "it was made here" in image.told and "connection refused" in image.told


async def test_a_short_name_that_was_made_here_is_asked_for_nowhere() -> None:
    world = World()
    world.local["app"] = LocalImage(ID)
    image = await world.get("app", "Always")
    assert "already present" in image.told and "no registry is asked" in image.told
    assert world.asked == []


async def test_a_name_that_is_none_fails_at_once() -> None:
    with pytest.raises(StartFailure) as caught:
        await World().get("Not_A_Name")
    assert caught.value.reason == "InvalidImageName"
    assert caught.value.message.startswith('Failed to apply default image tag "Not_A_Name": ')
