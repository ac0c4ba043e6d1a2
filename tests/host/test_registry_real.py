"""Pulls and pushes with the real `docker-registry`, with images that skopeo and Docker's engine wrote, and read again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from pinnace.base.errors import ApiError, HostError, Reason, UserError
from pinnace.image.registry.news import LayerNews
from pinnace.image.store import ImageStore
from pinnace.oci import media_types
from pinnace.oci.credentials import Credential
from tests.host.registries import (
    RealRegistry,
    make_image,
    make_index,
    needs_registry,
    needs_skopeo,
    real_registry,
    tar_of,
)
from tests.host.registry_tokens import IDENTITY_TOKEN
from tests.host.test_registry_faults import make_store

pytestmark = [needs_registry, needs_skopeo]

DRESSES = {
    "plain": {},
    "tls": {"tls": True},
    "basic": {"tls": True, "auth": "basic"},
    "token": {"tls": True, "auth": "token"},
}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with real_registry(tmp_path) as one:
        yield one


@pytest.fixture
async def store(tmp_path: Path, registry: RealRegistry) -> AsyncIterator[ImageStore]:
    async for one in make_store(tmp_path / "store", registry.settings):
        yield one


def contents(store: ImageStore, name: str) -> dict[str, bytes]:
    """Return the files of an image, layers laid over each other."""
    found: dict[str, bytes] = {}
    for layer in store.catalog.layers(store.require(name).config):
        tree = store.layers.tree(layer)
        for path in sorted(tree.rglob("*")):
            if path.is_file():
                found[str(path.relative_to(tree))] = path.read_bytes()
    return found


@pytest.mark.parametrize("dress", DRESSES)
async def test_an_image_comes_and_goes_with_its_digest(tmp_path: Path, dress: str) -> None:
    with real_registry(tmp_path, **DRESSES[dress]) as registry:  # type: ignore[arg-type]
        registry.fill("team/app:v1", layers=[{"etc/motd": b"one"}, {"opt/x": b"2", "etc/motd": b"two"}])
        name, target = registry.reference("team/app:v1"), registry.reference("other/app:v2")
        async for store in make_store(tmp_path / "store", registry.settings):
            pulled = await store.pull(name, keyring=registry.keyring)
            digest = "sha256:" + hashlib.sha256(registry.manifest("team/app:v1")).hexdigest()
            assert (pulled.digest, pulled.is_new) == (digest, True)
            assert contents(store, name) == {"etc/motd": b"two", "opt/x": b"2"}
            again = await store.pull(name, keyring=registry.keyring)
            assert (again.is_new, again.received, again.image.id) == (False, 0, pulled.image.id)
            await store.tag(name, target)
            pushed = await store.push(target, keyring=registry.keyring)
            assert pushed.digest == digest and registry.manifest("other/app:v2") == registry.manifest(
                "team/app:v1"
            )
            assert (await store.look_up(target, keyring=registry.keyring)).image_id == pulled.image.id
            assert await store.remote_tags(target, keyring=registry.keyring) == ("v2",)


@pytest.mark.parametrize("auth", ["basic", "token"])
async def test_who_has_no_password_is_told_to_log_in(tmp_path: Path, auth: str) -> None:
    with real_registry(tmp_path, auth=auth) as registry:
        registry.fill("private/app:v1")
        async for store in make_store(tmp_path / "store", registry.settings):
            with pytest.raises(ApiError) as caught:
                await store.pull(registry.reference("private/app:v1"))
            assert (
                caught.value.reason is Reason.UNAUTHORIZED
                and "authentication required" in caught.value.message
            )
            assert caught.value.hint == f"pinnace login {registry.host}"

            async def wrong(domain: str) -> Credential:
                return Credential(username="ada", password="no")

            with pytest.raises(ApiError) as caught:
                await store.pull(registry.reference("private/app:v1"), keyring=wrong)
            assert caught.value.reason is Reason.UNAUTHORIZED
            assert registry.credential is not None
            assert await store.registries.check_login(registry.host, registry.credential) == ""
            with pytest.raises(ApiError, match="does not accept this login"):
                await store.check_login(registry.host, Credential(username="ada", password="no"))


async def test_one_token_serves_until_it_ends(tmp_path: Path) -> None:
    with real_registry(tmp_path, tls=True, auth="token") as registry:
        registry.fill("private/app:v1", layers=[{"a": b"1"}, {"b": b"2"}, {"c": b"3"}])
        name = registry.reference("private/app:v1")
        async for store in make_store(tmp_path / "store", registry.settings):
            registry.tokens_asked.clear()
            await store.pull(name, keyring=registry.keyring)
            await store.look_up(name, keyring=registry.keyring)
            assert await store.remote_tags(name, keyring=registry.keyring) == ("v1",)
            assert len(registry.tokens_asked) == 1
            with pytest.raises(ApiError):
                await store.look_up(name)  # nobody does not get somebody's token


async def test_an_identity_token_opens_what_a_password_does(tmp_path: Path) -> None:
    with real_registry(tmp_path, tls=True, auth="token") as registry:
        registry.fill("private/app:v1")

        async def keyring(domain: str) -> Credential:
            return Credential(identity_token=IDENTITY_TOKEN)

        async for store in make_store(tmp_path / "store", registry.settings):
            assert (await store.pull(registry.reference("private/app:v1"), keyring=keyring)).is_new


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with real_registry(tmp_path, tls=True) as registry, real_registry(tmp_path, tls=True) as other:
        registry.fill("team/app:v1")
        place = tmp_path / "wrong" / registry.host
        place.mkdir(parents=True)
        shutil.copy(other.cert_dir / other.host / "ca.crt", place / "ca.crt")
        wrong = replace(registry.settings, cert_dirs=(str(tmp_path / "wrong"),))
        async for store in make_store(tmp_path / "store", wrong):
            with pytest.raises(HostError, match="has a certificate that can't be trusted") as caught:
                await store.pull(registry.reference("team/app:v1"))
            assert caught.value.hint.endswith(f"{registry.host}/ca.crt")
        insecure = replace(wrong, insecure=(registry.host,), cert_dirs=())
        async for store in make_store(tmp_path / "insecure", insecure):
            assert (await store.pull(registry.reference("team/app:v1"))).is_new


async def test_a_registry_that_wants_a_certificate_of_us_gets_it(tmp_path: Path) -> None:
    with real_registry(tmp_path, tls=True, client_certificates=True) as registry:
        root = tmp_path / "root.tar"
        root.write_bytes(tar_of({"a": b"1"}))
        name = registry.reference("ours:v1")
        async for store in make_store(tmp_path / "store", registry.settings):
            await store.import_tar(root, name)
            pushed = await store.push(name)
            assert (await store.look_up(name)).digest == pushed.digest
            (registry.cert_dir / registry.host / "client.key").unlink()
            with pytest.raises(UserError, match=r"client\.cert can't be used"):
                await store.look_up(name)


@pytest.mark.parametrize("format", ["oci", "v2s2"])
async def test_both_families_of_manifests_keep_their_form(
    registry: RealRegistry, store: ImageStore, format: str
) -> None:
    registry.fill("team/app:v1", format=format)
    await store.pull(registry.reference("team/app:v1"))
    await store.tag(registry.reference("team/app:v1"), registry.reference("copy:v1"))
    await store.push(registry.reference("copy:v1"))
    kept = json.loads(registry.manifest("copy:v1"))
    expected = media_types.DOCKER_MANIFEST if format == "v2s2" else media_types.OCI_MANIFEST
    assert kept["mediaType"] == expected


async def test_zstd_layers_come(registry: RealRegistry, store: ImageStore) -> None:
    registry.fill("team/app:zstd", layers=[{"data": os.urandom(100) * 1000}], compression="zstd")
    await store.pull(registry.reference("team/app:zstd"))
    (layer,) = store.catalog.layers(store.require(registry.reference("team/app:zstd")).config)
    assert layer.blob is not None and layer.blob.media_type == media_types.OCI_LAYER_ZSTD
    assert len(contents(store, registry.reference("team/app:zstd"))["data"]) == 100_000


async def test_an_index_is_kept_by_its_digest(
    registry: RealRegistry, store: ImageStore, tmp_path: Path
) -> None:
    layout = tmp_path / "index"
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    images = [
        make_image([tar_of({"is": name.encode()})], platform=("linux", name, ""))
        for name in ("amd64", "arm64")
    ]
    index = make_index(
        [
            (one, {"os": "linux", "architecture": name})
            for one, name in zip(images, ("amd64", "arm64"), strict=True)
        ]
    )
    for data in (index, *(data for one in images for data in (one.manifest, *one.blobs.values()))):
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    digest = "sha256:" + hashlib.sha256(index).hexdigest()
    entry = {"mediaType": media_types.OCI_INDEX, "digest": digest, "size": len(index)}
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    registry.skopeo(
        "copy",
        "--all",
        "--preserve-digests",
        f"oci:{layout}",
        f"docker://{registry.reference('team/app:all')}",
        dest=True,
    )
    for platform, image in zip(("linux/amd64", "linux/arm64/v8"), images, strict=True):
        pulled = await store.pull(registry.reference("team/app:all"), platform=platform)
        assert pulled.digest == digest and pulled.image.manifest == image.digest
        assert contents(store, pulled.image.id)["is"] == platform.split("/")[1].encode()
    by_digest = await store.pull(registry.reference(f"team/app@{digest}"), platform="linux/amd64")
    assert by_digest.image.digests[0][1] == digest
    found = store.resolve(registry.reference(f"team/app:all@{digest}"))
    assert found is not None


async def test_what_we_make_is_read_by_others(
    registry: RealRegistry, store: ImageStore, tmp_path: Path
) -> None:
    root = tmp_path / "root.tar"
    root.write_bytes(tar_of({"bin/hello": b"#!/bin/sh\n", "etc/os-release": b"ID=ours\n"}))
    name = registry.reference("ours/base:v1")
    await store.import_tar(root, name, ['CMD ["hello"]'])
    news: list[LayerNews] = []
    pushed = await store.push(name, on_news=news.append)
    assert registry.inspect("ours/base:v1")["Digest"] == pushed.digest
    assert [one.state for one in news if one.state in ("pushed", "exists")] == ["pushed"]
    second = await store.push(name, on_news=news.append)
    assert (second.digest, second.sent, news[-1].state) == (pushed.digest, 0, "exists")
    target = tmp_path / "copied"
    registry.skopeo("copy", f"docker://{name}", f"dir:{target}", source=True)
    assert len(list(target.iterdir())) == 4  # manifest, version, configuration, layer
    async for other in make_store(tmp_path / "other", registry.settings):
        pulled = await other.pull(name)
        assert pulled.image.id == store.require(name).id
        assert contents(other, name) == {"bin/hello": b"#!/bin/sh\n", "etc/os-release": b"ID=ours\n"}


async def test_layers_that_the_registry_has_in_another_repository_are_mounted(
    registry: RealRegistry, store: ImageStore
) -> None:
    registry.fill("team/base:v1", layers=[{"data": os.urandom(500_000)}])
    await store.pull(registry.reference("team/base:v1"))
    await store.tag(registry.reference("team/base:v1"), registry.reference("team/app:v1"))
    news: list[LayerNews] = []
    pushed = await store.push(registry.reference("team/app:v1"), on_news=news.append)
    assert news[-1].state == "mounted" and pushed.sent < 1000  # the configuration only


async def test_directories_that_no_layer_lists_are_those_of_the_layer_below(
    registry: RealRegistry, store: ImageStore, tmp_path: Path
) -> None:
    registry.fill("team/app:v1", layers=[{"srv/www/index": b"1"}, {"srv/www/more": b"2"}])
    await store.pull(registry.reference("team/app:v1"))
    below, above = store.catalog.layers(store.require(registry.reference("team/app:v1")).config)
    assert above.key != above.diff_id  # it takes after the layers below
    assert contents(store, registry.reference("team/app:v1")) == {"srv/www/index": b"1", "srv/www/more": b"2"}
    assert below.key == below.diff_id


async def test_an_image_whose_layers_are_here_needs_no_download(
    registry: RealRegistry, store: ImageStore
) -> None:
    registry.fill("team/app:v1", layers=[{"data": os.urandom(300_000)}])
    registry.fill("team/app:v2", layers=[{"data": os.urandom(300_000)}])
    first = await store.pull(registry.reference("team/app:v1"))
    registry.skopeo(
        "copy",
        f"docker://{registry.reference('team/app:v1')}",
        f"docker://{registry.reference('same/app:v1')}",
        dest=True,
        source=True,
    )
    again = await store.pull(registry.reference("same/app:v1"))
    assert again.received == 0 and again.image.id == first.image.id and again.is_new
    assert (await store.pull(registry.reference("team/app:v2"))).received > 300_000


async def test_the_engine_of_docker_writes_and_reads(tmp_path: Path) -> None:
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("dockerd is not installed")
    with real_registry(tmp_path) as registry, docker_engine() as docker:
        async for store in make_store(tmp_path / "store", registry.settings):
            root = tmp_path / "root.tar"
            root.write_bytes(tar_of({"hello": b"from us"}))
            ours, theirs = registry.reference("ours:v1"), registry.reference("theirs:v1")
            image = await store.import_tar(root, ours)
            await store.push(ours)
            docker("pull", ours)
            assert json.loads(docker("inspect", ours))[0]["Id"] == image.id
            docker("tag", ours, theirs)
            docker("rmi", ours)
            (tmp_path / "theirs.tar").write_bytes(tar_of({"hello": b"from them"}))
            docker("import", str(tmp_path / "theirs.tar"), theirs)
            docker("push", theirs)
            pulled = await store.pull(theirs)
            assert contents(store, pulled.image.id) == {"hello": b"from them"}


class docker_engine:  # noqa: N801 (a context, called like a function)
    """A Docker engine of a test's own, without a network; yields a function that runs `docker`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ptd-"))  # a socket's path may have 107 characters
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> docker_engine:
        folder = self._folder
        argv = [
            "dockerd",
            "--data-root",
            f"{folder}/data",
            "--exec-root",
            f"{folder}/exec",
            "--bridge",
            "none",
        ]
        argv += ["--iptables=false", "-H", f"unix://{folder}/sock", "--pidfile", f"{folder}/pid"]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 30
        argv = ["docker", "-H", f"unix://{folder}/sock", "version"]
        while subprocess.run(argv, capture_output=True, timeout=30).returncode:
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                pytest.skip(f"dockerd does not start here: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.1)
        return self

    def __call__(self, *words: str) -> str:
        argv = ["docker", "-H", f"unix://{self._folder}/sock", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
        subprocess.run(["umount", "-l", f"{self._folder}/data"], capture_output=True, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)
