"""Pulls and pushes against a registry that lies, stalls, breaks off and refuses: a clear error or a finished job.

After each failure: the name is as it was, nothing half is in the store, and no process waits for anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import io
import json
import os
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pinnace.base.errors import ApiError, HostError, PinnaceError, Reason, UserError
from pinnace.image.names import MemoryNames
from pinnace.image.registry.news import LayerNews
from pinnace.image.registry.settings import RegistrySettings
from pinnace.image.store import ImageStore
from pinnace.oci import media_types
from pinnace.oci.credentials import Credential
from tests.host.lying_registry import ALWAYS, Lie, LyingRegistry, lying_registry
from tests.host.registries import QUICK, HandMade, basic, make_image, make_index, tar_of

SETTINGS = RegistrySettings(cert_dirs=(), patience=replace(QUICK, stall_s=10))  # nothing stalls by chance
HASTY = replace(SETTINGS, patience=replace(QUICK, stall_s=0.5))
NOISE = os.urandom(3_000_000)


@pytest.fixture
def registry() -> Iterator[LyingRegistry]:
    with lying_registry() as one:
        yield one


@pytest.fixture
def other() -> Iterator[LyingRegistry]:
    with lying_registry() as one:
        yield one


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ImageStore]:
    async for one in make_store(tmp_path / "store", SETTINGS):
        yield one


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[ImageStore]:
    """A store that waits half a second for a registry that says nothing."""
    async for one in make_store(tmp_path / "store", HASTY):
        yield one


async def make_store(root: Path, settings: RegistrySettings) -> AsyncIterator[ImageStore]:
    one = ImageStore(root, MemoryNames(), registries=settings)
    await one.start()
    try:
        yield one
        await one.trash.settled()
        assert list((root / "ingest").iterdir()) == [], "something half is left"
    finally:
        await one.wipe()
        await one.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    while not condition():  # noqa: ASYNC110 (there is no event that a thread of the test server could set)
        await asyncio.sleep(0.01)


def put(registry: LyingRegistry, *, name: str = "team/app", tag: str = "v1", layers: int = 1) -> HandMade:
    plain = [tar_of({"data": NOISE, f"number-{number}": b"x"}) for number in range(layers)]
    packed = [gzip.compress(layer, 1, mtime=0) for layer in plain]
    image = make_image(plain, packed=packed, media_type=media_types.OCI_LAYER_GZIP)
    return registry.put_image(name, tag, image)


def sparse_tar(size: int) -> bytes:
    """Return the tar of one file that is a hole of so many bytes (GNU's sparse format 1.0)."""
    info = tarfile.TarInfo("GNUSparseFile.0/hole")
    data = b"1\n0\n0\n".ljust(512, b"\0")
    info.size = len(data)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "hole",
        "GNU.sparse.realsize": str(size),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


async def refusal(store: ImageStore, text: str) -> PinnaceError:
    with pytest.raises(PinnaceError) as caught:
        await store.pull(text)
    assert store.resolve(text) is None and store.list() == ()
    return caught.value


# --- breaks that are mended -------------------------------------------------------------------------------------------


async def test_a_download_that_breaks_goes_on_where_it_broke(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry)
    blob = list(image.blobs)[1]
    registry.lie(Lie("GET", blob, cut_after=1_000_000), Lie("GET", blob, cut_after=700_000))
    pulled = await store.pull(registry.reference("team/app:v1"))
    ranges = [one.headers.get("Range") for one in registry.asked("GET", blob)]
    assert ranges == [None, "bytes=1000000-", "bytes=1700000-"] and pulled.digest == image.digest
    assert (store.layers.tree(store.catalog.layers(pulled.image.config)[0]) / "data").read_bytes() == NOISE


async def test_a_registry_that_knows_no_ranges_sends_all_of_it_again(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry)
    blob = list(image.blobs)[1]
    registry.lie(Lie("GET", blob, cut_after=1_000_000), Lie("GET", blob, ranges=False))
    assert (await store.pull(registry.reference("team/app:v1"))).digest == image.digest


async def test_many_breaks_are_no_failure_as_long_as_bytes_come(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry)
    registry.lie(Lie("GET", list(image.blobs)[1], cut_after=300_000, times=9))
    assert (await store.pull(registry.reference("team/app:v1"))).digest == image.digest


async def test_a_stall_ends_after_its_time_and_is_mended(registry: LyingRegistry, hasty: ImageStore) -> None:
    image = put(registry)
    registry.lie(Lie("GET", list(image.blobs)[1], stall_after=100_000))
    news: list[LayerNews] = []
    await hasty.pull(registry.reference("team/app:v1"), on_news=news.append)
    said = [one.text for one in news if one.state == "retrying"]
    assert said and f"{registry.host} says nothing for 0.5 s" in said[0]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_busy_registries_are_asked_again(
    registry: LyingRegistry, store: ImageStore, status: int
) -> None:
    put(registry)
    registry.lie(Lie("HEAD", "/manifests/", status=status), Lie("GET", "/manifests/", status=status))
    registry.lie(Lie("GET", "/blobs/", status=status, times=2))
    assert (await store.pull(registry.reference("team/app:v1"))).is_new


async def test_the_registry_says_when_to_come_again(registry: LyingRegistry, store: ImageStore) -> None:
    put(registry)
    registry.lie(Lie("HEAD", "/manifests/", status=429, headers={"Retry-After": "1"}))
    pulled = await store.pull(registry.reference("team/app:v1"))
    assert pulled.seconds >= 1


# --- what can't be mended ---------------------------------------------------------------------------------------------


async def test_a_stall_without_end_is_an_error(registry: LyingRegistry, hasty: ImageStore) -> None:
    image = put(registry)
    registry.lie(Lie("GET", list(image.blobs)[1], stall_after=0, times=ALWAYS))
    error = await refusal(hasty, registry.reference("team/app:v1"))
    assert isinstance(error, ApiError) and error.reason is Reason.SERVICE_UNAVAILABLE
    assert "says nothing for 0.5 s (i/o timeout)" in error.message


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (401, Reason.UNAUTHORIZED, "may require a login: unauthorized: go away"),
        (403, Reason.FORBIDDEN, "denied: unauthorized: go away"),
        (404, Reason.NOT_FOUND, "not found: unauthorized: go away"),
        (429, Reason.TOO_MANY_REQUESTS, "unauthorized: go away"),
        (500, Reason.SERVICE_UNAVAILABLE, "answers 500 for manifest for"),
    ],
)
async def test_refusals_hold_the_registrys_own_words(
    registry: LyingRegistry, store: ImageStore, status: int, reason: Reason, words: str
) -> None:
    put(registry)
    body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "go away"}]}).encode()
    registry.lie(Lie("HEAD|GET", "/manifests/", status=status, body=body, times=ALWAYS))
    error = await refusal(store, registry.reference("team/app:v1"))
    assert isinstance(error, ApiError) and error.reason is reason and words in error.message
    if status == 401:
        assert error.hint == f"pinnace login {registry.host}"


async def test_a_401_in_the_middle_is_told_as_one(registry: LyingRegistry, store: ImageStore) -> None:
    image = put(registry)
    registry.lie(Lie("GET", list(image.blobs)[1], status=401, times=ALWAYS))
    error = await refusal(store, registry.reference("team/app:v1"))
    assert isinstance(error, ApiError) and error.reason is Reason.UNAUTHORIZED


async def test_names_and_tags_that_are_not_there(registry: LyingRegistry, store: ImageStore) -> None:
    put(registry)
    error = await refusal(store, registry.reference("team/app:v9"))
    assert error.message == f"manifest for {registry.host}/team/app:v9 not found: manifest unknown"
    assert "repository name not known" in (await refusal(store, registry.reference("nobody/app:v1"))).message


@pytest.mark.parametrize("packed", [True, False])
async def test_a_tampered_layer_is_named_and_thrown_away(
    registry: LyingRegistry, store: ImageStore, packed: bool
) -> None:
    plain = tar_of({"data": NOISE})
    image = make_image([plain], packed=[gzip.compress(plain, 1, mtime=0)] if packed else None)
    if packed:
        image = make_image(
            [plain], packed=[gzip.compress(plain, 1, mtime=0)], media_type=media_types.OCI_LAYER_GZIP
        )
    registry.put_image("team/app", "v1", image)
    blob = list(image.blobs)[1]
    registry.lie(Lie("GET", blob, tamper=True, times=ALWAYS))
    error = await refusal(store, registry.reference("team/app:v1"))
    assert (
        isinstance(error, UserError)
        and f"the blob {blob} of {registry.host}/team/app came as sha256:" in error.message
    )


async def test_damage_in_the_middle_of_a_packed_layer_is_told_as_a_wrong_digest(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry)
    blob = list(image.blobs)[1]
    data = bytearray(registry.blobs[blob])
    data[1000:1010] = bytes(10)
    registry.blobs[blob] = bytes(data)
    assert f"the blob {blob}" in (await refusal(store, registry.reference("team/app:v1"))).message


async def test_a_layer_that_is_not_the_one_of_the_configuration(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = make_image([tar_of({"a": b"1"})], packed=[tar_of({"a": b"2"})])
    registry.put_image("team/app", "v1", image)
    assert (
        "but the image's configuration says"
        in (await refusal(store, registry.reference("team/app:v1"))).message
    )


async def test_a_layer_that_is_no_archive(registry: LyingRegistry, store: ImageStore) -> None:
    image = make_image([b"no tar at all" * 100], packed=None)
    registry.put_image("team/app", "v1", image)
    assert isinstance(await refusal(store, registry.reference("team/app:v1")), UserError)


@pytest.mark.parametrize("extra", [-1000, 1000])
async def test_a_layer_of_another_size_than_the_manifest_says(
    registry: LyingRegistry, store: ImageStore, extra: int
) -> None:
    image = put(registry)
    blob = list(image.blobs)[1]
    registry.lie(Lie("GET", blob, length=len(image.blobs[blob]) + extra, times=ALWAYS))
    assert "bytes, but the manifest says" in (await refusal(store, registry.reference("team/app:v1"))).message


async def test_a_layer_that_is_always_cut_off(registry: LyingRegistry, store: ImageStore) -> None:
    image = put(registry)
    registry.lie(Lie("GET", list(image.blobs)[1], cut_after=0, times=ALWAYS))
    error = await refusal(store, registry.reference("team/app:v1"))
    assert isinstance(error, HostError) and f"the connection to {registry.host} broke" in error.message


@pytest.mark.parametrize("by", ["tag", "digest", "header"])
async def test_a_manifest_that_is_not_what_its_digest_says(
    registry: LyingRegistry, store: ImageStore, by: str
) -> None:
    image = put(registry)
    wrong = "sha256:" + 64 * "0"
    if by == "tag":
        registry.lie(Lie("HEAD", "/manifests/v1", headers={"Docker-Content-Digest": wrong}))
        registry.manifests[("team/app", wrong)] = image.manifest
    elif by == "header":
        registry.lie(Lie("HEAD", "/manifests/v1", status=405))
        registry.lie(Lie("GET", "/manifests/v1", headers={"Docker-Content-Digest": wrong}))
    else:
        registry.manifests[("team/app", wrong)] = image.manifest
    name = f"team/app@{wrong}" if by == "digest" else "team/app:v1"
    error = await refusal(store, registry.reference(name))
    assert isinstance(error, UserError) and f"but {wrong} was asked for" in error.message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "can't be read"),
        (b"\xff\xfe", "can't be read"),
        (b"<html>hello</html>", "can't be read"),
        (b"[]", "can't be read"),
        (b'{"schemaVersion": 1}', "schema 1"),
        (b'{"schemaVersion": 2, "manifests": [], "layers": []}', "can't be trusted"),
        (b" " * (5 << 20), "more than the 4194304 that it may have"),
    ],
)
async def test_manifests_that_are_none(
    registry: LyingRegistry, store: ImageStore, data: bytes, words: str
) -> None:
    registry.put_manifest("team/app", "v1", data, media_types.OCI_MANIFEST)
    error = await refusal(store, registry.reference("team/app:v1"))
    assert isinstance(error, UserError) and words in error.message


async def test_what_is_no_image_is_refused_before_anything_heavy_moves(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry)
    chart = image.manifest.replace(
        media_types.OCI_CONFIG.encode(), b"application/vnd.cncf.helm.config.v1+json"
    )
    registry.put_manifest("team/app", "chart", chart)
    unknown = image.manifest.replace(media_types.OCI_LAYER_GZIP.encode(), b"application/vnd.example.model")
    registry.put_manifest("team/app", "model", unknown)
    assert "is no image" in (await refusal(store, registry.reference("team/app:chart"))).message
    assert (
        "is not one of an image layer" in (await refusal(store, registry.reference("team/app:model"))).message
    )
    assert registry.asked("GET", list(image.blobs)[1]) == []


async def test_a_configuration_of_another_number_of_layers(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry)
    document = json.loads(image.manifest)
    document["layers"] *= 2
    registry.put_manifest("team/app", "v1", json.dumps(document).encode())
    error = await refusal(store, registry.reference("team/app:v1"))
    assert "has 2 layers, but its configuration 1" in error.message


async def test_nobody_listens(store: ImageStore) -> None:
    error = await refusal(store, "127.0.0.1:9/team/app:v1")
    assert isinstance(error, HostError) and error.message == "dial tcp 127.0.0.1:9: Connection refused"


async def test_a_name_that_no_resolver_knows(store: ImageStore) -> None:
    error = await refusal(store, "registry.invalid/team/app:v1")
    assert isinstance(error, HostError) and "lookup registry.invalid" in error.message


# --- who sees what ----------------------------------------------------------------------------------------------------


async def test_a_password_does_not_follow_a_redirect_to_another_host(
    registry: LyingRegistry, other: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry)
    put(other, name="cdn")
    blob = list(image.blobs)[1]
    registry.lie(
        Lie("HEAD", "/manifests/", status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}),
        Lie(
            "GET",
            blob,
            status=307,
            headers={"Location": f"http://{other.host}/v2/cdn/blobs/{blob}"},
            times=ALWAYS,
        ),
    )

    async def keyring(domain: str) -> Credential:
        assert domain == registry.host
        return Credential(username="ada", password="open-sesame")

    await store.pull(registry.reference("team/app:v1"), keyring=keyring)
    assert "Authorization" in registry.asked("GET", blob)[0].headers
    assert [one.headers.get("Authorization") for one in other.seen] == [None]


async def test_a_layer_that_no_disk_could_hold_is_refused_at_once(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry)
    document = json.loads(image.manifest)
    document["layers"][0]["size"] = 1 << 60
    registry.put_manifest("team/app", "v1", json.dumps(document).encode())
    error = await refusal(store, registry.reference("team/app:v1"))
    assert isinstance(error, HostError) and error.errno == errno.ENOSPC
    assert registry.asked("GET", list(image.blobs)[1]) == []


async def test_redirects_in_a_ring_end(registry: LyingRegistry, store: ImageStore) -> None:
    put(registry)
    registry.lie(
        Lie(
            "HEAD|GET",
            "/manifests/",
            status=302,
            headers={"Location": "/v2/team/app/manifests/v1"},
            times=ALWAYS,
        )
    )
    assert "redirects more than 10 times" in (await refusal(store, registry.reference("team/app:v1"))).message


async def test_a_mirror_that_lies_or_fails_is_passed_over(
    registry: LyingRegistry, other: LyingRegistry, tmp_path: Path
) -> None:
    image = put(registry)
    put(other)
    settings = replace(SETTINGS, mirrors={registry.host: ("http://127.0.0.1:9", f"http://{other.host}")})
    async for store in make_store(tmp_path / "mirrored", settings):
        await store.pull(registry.reference("team/app:v1"))
        assert registry.seen == [] and other.asked("GET", "/blobs/")  # the second mirror had it all
        await store.remove(registry.reference("team/app:v1"))
        other.blobs[list(image.blobs)[1]] = b"x" * len(image.blobs[list(image.blobs)[1]])
        await store.collect()
        await store.pull(registry.reference("team/app:v1"))
        assert len(registry.asked("GET", list(image.blobs)[1])) == 1
        await store.remove(registry.reference("team/app:v1"))
        other.lie(Lie("HEAD|GET", ".", status=500, times=ALWAYS))
        await store.pull(registry.reference("team/app:v1"))


async def test_a_proxy_is_asked_for_hosts_that_are_not_here(registry: LyingRegistry, tmp_path: Path) -> None:
    image = put(registry)  # which plays the proxy: it takes whole addresses, and refuses to open tunnels
    away = "registry.invalid:5000"
    settings = replace(SETTINGS, insecure=(away,), http_proxy=f"http://me:pw@{registry.host}")
    settings = replace(settings, https_proxy=settings.http_proxy)
    async for store in make_store(tmp_path / "proxied", settings):
        assert (await store.pull(f"{away}/team/app:v1")).digest == image.digest
    paths = [one.path for one in registry.seen]
    assert paths[0] == f"http://{away}/v2/team/app/manifests/v1"
    assert {one.headers["Proxy-Authorization"] for one in registry.seen} == {basic("me", "pw")}


async def test_a_full_disk_stops_the_download(registry: LyingRegistry, store: ImageStore) -> None:
    image = make_image([sparse_tar(1 << 50)])
    registry.put_image("team/app", "v1", image)
    error = await refusal(store, registry.reference("team/app:v1"))
    assert isinstance(error, HostError) and "claims 1125899906842624 bytes" in error.message


# --- several at once, and those that are cancelled --------------------------------------------------------------------


async def test_two_pulls_of_one_layer_download_it_once(registry: LyingRegistry, store: ImageStore) -> None:
    image = put(registry)
    put(registry, name="team/same", tag="v2")
    names = ("team/app:v1", "team/same:v2", "team/app:v1")
    pulled = await asyncio.gather(*(store.pull(registry.reference(name)) for name in names))
    assert {one.image.id for one in pulled} == {pulled[0].image.id}
    assert len(registry.asked("GET", list(image.blobs)[1])) == 1


async def test_when_one_of_two_is_cancelled_the_other_gets_the_layer(
    registry: LyingRegistry, hasty: ImageStore
) -> None:
    image = put(registry)
    blob = list(image.blobs)[1]
    registry.lie(Lie("GET", blob, stall_after=1000))  # gives time to cancel
    first = asyncio.ensure_future(hasty.pull(registry.reference("team/app:v1")))
    await until(lambda: registry.asked("GET", blob))
    second = asyncio.ensure_future(hasty.pull(registry.reference("team/app:v1")))
    await until(lambda: len(registry.asked("HEAD", "manifests")) == 2)
    await asyncio.sleep(0.1)
    first.cancel()
    assert (await second).digest == image.digest
    with contextlib.suppress(asyncio.CancelledError):  # on a slow machine the stall may be over by then
        await first


async def test_a_cancelled_pull_leaves_nothing(registry: LyingRegistry, store: ImageStore) -> None:
    image = put(registry, layers=2)
    blob = list(image.blobs)[1]
    registry.lie(Lie("GET", blob, stall_after=1000, times=ALWAYS))
    pull = asyncio.ensure_future(store.pull(registry.reference("team/app:v1")))
    await until(lambda: registry.asked("GET", blob))
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    assert store.list() == ()


async def test_what_came_whole_before_a_failure_need_not_come_again(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry, layers=2)
    first, second = list(image.blobs)[1:3]
    registry.lie(Lie("GET", second, status=403, times=1))
    with pytest.raises(ApiError):
        await store.pull(registry.reference("team/app:v1"))
    await store.pull(registry.reference("team/app:v1"))
    assert len(registry.asked("GET", first)) <= 2 and len(registry.asked("GET", second)) == 2


async def test_a_prune_in_the_middle_of_a_pull_takes_nothing_that_it_needs(
    registry: LyingRegistry, hasty: ImageStore
) -> None:
    image = put(registry, layers=3)
    registry.lie(Lie("GET", list(image.blobs)[3], stall_after=1000))
    pull = asyncio.ensure_future(hasty.pull(registry.reference("team/app:v1")))
    while not pull.done():
        await hasty.prune()
        await asyncio.sleep(0.01)
    names = hasty.catalog.layers((await pull).image.config)
    assert len(names) == 3
    await hasty.prune()
    assert [(hasty.layers.tree(layer) / "data").stat().st_size for layer in names] == [len(NOISE)] * 3


async def test_pulls_removals_and_prunes_at_once_never_lose_a_layer(
    registry: LyingRegistry, store: ImageStore
) -> None:
    shared = [tar_of({"shared": NOISE[:200_000]}), tar_of({"srv/also": b"shared"})]
    for number in range(4):
        own = tar_of({f"srv/own-{number}": NOISE[number : number + 50_000]})
        registry.put_image("team/app", f"v{number}", make_image([*shared, own]))
    ended = False

    async def prune() -> None:
        while not ended:
            await store.prune()
            await asyncio.sleep(0.001)

    async def come_and_go(number: int) -> None:
        name = registry.reference(f"team/app:v{number}")
        for _ in range(5):
            image = (await store.pull(name)).image
            for layer in store.catalog.layers(image.config):
                assert any(store.layers.tree(layer).rglob("*")), layer
                assert layer.blob is not None and store.blobs.has(layer.blob.digest)
            await store.remove(name)

    pruning = asyncio.ensure_future(prune())
    try:
        await asyncio.gather(*map(come_and_go, range(4)))
    finally:
        ended = True
        await pruning
    assert store.list() == () and (await store.pull(registry.reference("team/app:v0"))).is_new


# --- pushes -----------------------------------------------------------------------------------------------------------


async def pulled_image(registry: LyingRegistry, store: ImageStore, name: str) -> HandMade:
    image = put(registry, name="from/here")
    await store.pull(registry.reference("from/here:v1"))
    await store.tag(registry.reference("from/here:v1"), registry.reference(name))
    registry.repositories["from/here"].clear()  # so that nothing can be mounted
    return image


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_registry_is_pushed_to_again(
    registry: LyingRegistry, store: ImageStore, status: int
) -> None:
    image = await pulled_image(registry, store, "to/there:v1")
    for method, path in (
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
    ):
        registry.lie(Lie(method, path, status=status))
    pushed = await store.push(registry.reference("to/there:v1"))
    assert pushed.digest == image.digest and registry.manifests[("to/there", "v1")] == image.manifest


async def test_a_push_that_is_refused_says_why(registry: LyingRegistry, store: ImageStore) -> None:
    await pulled_image(registry, store, "to/there:v1")
    body = json.dumps(
        {"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}
    )
    registry.lie(Lie("POST", "/uploads/", status=403, body=body.encode(), times=ALWAYS))
    with pytest.raises(ApiError) as caught:
        await store.push(registry.reference("to/there:v1"))
    assert caught.value.reason is Reason.FORBIDDEN
    assert "denied: requested access to the resource is denied" in caught.value.message
    assert ("to/there", "v1") not in registry.manifests


async def test_a_registry_of_old_gets_the_manifest_in_dockers_words(
    registry: LyingRegistry, store: ImageStore
) -> None:
    await pulled_image(registry, store, "to/there:v1")
    body = json.dumps({"errors": [{"code": "MANIFEST_INVALID", "message": "manifest invalid"}]}).encode()
    registry.lie(Lie("PUT", "/manifests/", status=400, body=body))
    await store.push(registry.reference("to/there:v1"))
    assert json.loads(registry.manifests[("to/there", "v1")])["mediaType"] == media_types.DOCKER_MANIFEST


async def test_an_index_gives_the_platform_that_is_asked_for(
    registry: LyingRegistry, store: ImageStore
) -> None:
    images = {}
    for variant in ("v6", "v7"):
        made = make_image([tar_of({"is": variant.encode()})], platform=("linux", "arm", variant))
        images[variant] = registry.put_image("team/app", variant, made)
    index = make_index(
        [
            (image, {"os": "linux", "architecture": "arm", "variant": variant})
            for variant, image in images.items()
        ]
    )
    digest = registry.put_manifest("team/app", "all", index)
    pulled = await store.pull(registry.reference("team/app:all"), platform="linux/arm")
    assert pulled.digest == digest and pulled.image.config.variant == "v7"
    remote = await store.look_up(registry.reference("team/app:all"), platform="linux/arm/v6")
    assert (remote.digest, remote.manifest) == (digest, images["v6"].digest)
    with pytest.raises(ApiError) as caught:
        await store.pull(registry.reference("team/app:all"), platform="linux/s390x")
    assert "no matching manifest for linux/s390x in the manifest list entries" in caught.value.message
    assert caught.value.hint == "there is one for: linux/arm/v6, linux/arm/v7"


async def test_a_foreign_layer_that_the_registry_lacks_is_told_as_one(
    registry: LyingRegistry, store: ImageStore
) -> None:
    image = put(registry)
    document = json.loads(image.manifest)
    document["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    document["layers"][0]["urls"] = [f"http://{registry.host}/elsewhere"]
    registry.put_manifest("team/app", "v1", json.dumps(document).encode())
    registry.blobs.pop(list(image.blobs)[1])
    error = await refusal(store, registry.reference("team/app:v1"))
    assert "blob unknown" in error.message and "foreign layer" in error.hint
    assert registry.asked("GET", "/elsewhere") == []
