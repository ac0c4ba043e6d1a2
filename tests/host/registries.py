"""Registries for tests: the real `docker-registry` in all its dresses, and one that lies by script (`lying_registry`).

    with real_registry(tmp_path) as registry:                       # plain http
    with real_registry(tmp_path, tls=True, auth="basic") as registry:  # or auth="token"
        registry.host                          # "127.0.0.1:PORT", the domain of references
        registry.credential                    # a Credential, or None
        registry.keyring                       # gives it for this host
        registry.settings                      # RegistrySettings that know its CA
        registry.fill("team/app:v1", layers=[{"etc/motd": b"hi"}])   # an image written by skopeo

Each runs on a free port with storage below `folder`, and is ended by its pid.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import io
import json
import random
import shutil
import socket
import ssl
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pinnace.image.platforms import host_architecture
from pinnace.image.registry.settings import Patience, RegistrySettings
from pinnace.oci import media_types
from pinnace.oci.credentials import Credential, Keyring
from tests.host.registry_certs import Pair, make_authority, make_certificate
from tests.host.registry_tokens import token_server

USER, PASSWORD = "ada", "open-sesame"
HTPASSWD = "ada:$2y$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO\n"
START_S = 30.0
QUICK = Patience(connect_s=5, stall_s=2, tries=4, first_delay_s=0.05, most_delay_s=0.2)

needs_registry = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="docker-registry is not installed"
)
needs_skopeo = pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")


@dataclass
class RealRegistry:
    """A running `docker-registry`."""

    host: str
    folder: Path
    tls: bool = False
    auth: str = ""
    ca: Pair | None = None
    log: Path = Path()
    tokens_asked: list[str] = field(default_factory=list)

    @property
    def credential(self) -> Credential | None:
        return Credential(username=USER, password=PASSWORD) if self.auth else None

    @property
    def keyring(self) -> Keyring:
        async def find(domain: str) -> Credential | None:
            return self.credential if domain == self.host else None

        return find

    @property
    def cert_dir(self) -> Path:
        """A folder like /etc/docker/certs.d that has this registry's CA."""
        return self.folder / "certs.d"

    @property
    def settings(self) -> RegistrySettings:
        return RegistrySettings(cert_dirs=(str(self.cert_dir),), patience=QUICK)

    def reference(self, name: str) -> str:
        """Return the whole reference of an image of this registry. Example: "127.0.0.1:4321/team/app:v1"."""
        return f"{self.host}/{name}"

    def fill(
        self,
        name: str,
        layers: Sequence[Mapping[str, bytes]] = ({"etc/motd": b"welcome\n"},),
        *,
        format: str = "oci",
        compression: str = "gzip",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Put an image there with skopeo; `format` is "oci" or "v2s2"."""
        layout = (
            self.folder / f"layout-{hashlib.sha256(name.encode()).hexdigest()[:8]}-{format}-{compression}"
        )
        write_layout(layout, layers, config)
        self.skopeo(
            "copy",
            "--format",
            format,
            "--dest-compress-format",
            compression,
            f"oci:{layout}:it",
            f"docker://{self.reference(name)}",
            dest=True,
        )

    def skopeo(self, verb: str, *words: str, dest: bool = False, source: bool = False) -> str:
        """Run skopeo with what it needs to reach this registry; return what it says."""
        flags = []
        sides = [side for side, wanted in (("dest-", dest), ("src-", source)) if wanted] or [""]
        for side in sides:
            flags += [f"--{side}tls-verify=false"]
            if self.auth:
                flags += [f"--{side}creds={USER}:{PASSWORD}"]
        done = subprocess.run(
            ["skopeo", "--insecure-policy", verb, *flags, *words], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what skopeo makes of an image there."""
        return dict(json.loads(self.skopeo("inspect", f"docker://{self.reference(name)}")))

    def manifest(self, name: str) -> bytes:
        """Return a manifest's bytes as the registry has it."""
        return self.skopeo("inspect", "--raw", f"docker://{self.reference(name)}").encode()


@contextlib.contextmanager
def real_registry(
    folder: Path,
    *,
    tls: bool = False,
    auth: str = "",
    address: str = "127.0.0.1",
    client_certificates: bool = False,
) -> Iterator[RealRegistry]:
    """Run a registry; `auth` is "", "basic" or "token". With `client_certificates` it wants one (it is in `cert_dir`)."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    folder = folder / f"registry-{free_port()}"
    (folder / "data").mkdir(parents=True)
    port = free_port()
    host = f"{address}:{port}"
    registry = RealRegistry(host, folder, tls, auth, log=folder / "log")
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "data"), "maxthreads": 100},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"{address}:{port}", "secret": "not-a-secret"},
    }
    if tls or auth == "token":
        registry.ca = make_authority(folder)
    with contextlib.ExitStack() as stack:
        if tls:
            assert registry.ca is not None
            pair = make_certificate(folder, registry.ca, "registry", (address, "localhost"))
            config["http"]["tls"] = {"certificate": str(pair.cert_file), "key": str(pair.key_file)}
            place = registry.cert_dir / host
            place.mkdir(parents=True)
            shutil.copy(registry.ca.cert_file, place / "ca.crt")
            if client_certificates:
                config["http"]["tls"]["clientcas"] = [str(registry.ca.cert_file)]
                client = make_certificate(folder, registry.ca, "client", ())
                shutil.copy(client.cert_file, place / "client.cert")
                shutil.copy(client.key_file, place / "client.key")
        if auth == "basic":
            (folder / "htpasswd").write_text(HTPASSWD)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
        if auth == "token":
            assert registry.ca is not None
            signer = make_certificate(folder, registry.ca, "signer", ())
            realm = stack.enter_context(
                token_server(signer, USER, PASSWORD, service=host, asked=registry.tokens_asked)
            )
            config["auth"] = {
                "token": {
                    "realm": realm,
                    "service": host,
                    "issuer": "tests",
                    "rootcertbundle": str(registry.ca.cert_file),
                }
            }
        context = ssl._create_unverified_context() if tls else None
        if context is not None and client_certificates:
            context.load_cert_chain(folder / "client.crt", folder / "client.key")
        stack.enter_context(_running(folder, config, port, address, context))
        yield registry


@contextlib.contextmanager
def _running(
    folder: Path, config: dict[str, Any], port: int, address: str, context: ssl.SSLContext | None
) -> Iterator[None]:
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        _wait(process, address, port, context, folder / "log")
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(
    process: subprocess.Popen[bytes], address: str, port: int, context: ssl.SSLContext | None, log: Path
) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            with contextlib.closing(
                http.client.HTTPSConnection(address, port, timeout=2, context=context)
                if context
                else http.client.HTTPConnection(address, port, timeout=2)
            ) as connection:
                connection.request("GET", "/v2/")
                connection.getresponse().read()
                return
        except OSError:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.02)


def free_port() -> int:
    """Return a port that nobody has now, and that the kernel gives to no connection before the caller listens on it."""
    while True:
        port = random.randrange(20_000, 29_000)  # below ip_local_port_range and the ports of nodes
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("0.0.0.0", port))
            return port


# --- images by hand ---------------------------------------------------------------------------------------------------


def tar_of(members: Mapping[str, bytes]) -> bytes:
    """Return a tar of files; directories are not listed in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class HandMade:
    """An image as documents and blobs by digest."""

    config: bytes
    manifest: bytes
    layers: tuple[bytes, ...]
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def make_image(
    layers: Sequence[bytes],
    *,
    packed: Sequence[bytes] | None = None,
    media_type: str = media_types.OCI_LAYER,
    config: Mapping[str, Any] | None = None,
    docker: bool = False,
    platform: tuple[str, str, str] | None = None,
) -> HandMade:
    """Return an image of plain tars; `packed` are the blobs that stand for them."""
    system, architecture, variant = platform or ("linux", host_architecture(), "")
    document: dict[str, Any] = {
        "created": "2024-01-01T00:00:00Z",
        "architecture": architecture,
        "os": system,
        "config": dict(config or {"Cmd": ["sh"]}),
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "by hand"} for _ in layers],
    }
    if variant:
        document["variant"] = variant
    data = json.dumps(document).encode()
    blobs = tuple(packed or layers)
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST,
        "config": {
            "mediaType": media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG,
            "digest": digest_of(data),
            "size": len(data),
        },
        "layers": [{"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)} for blob in blobs],
    }
    made = HandMade(data, json.dumps(manifest, indent=3).encode(), blobs)
    made.blobs = {digest_of(blob): blob for blob in (data, *blobs)}
    return made


def make_index(entries: Sequence[tuple[HandMade, Mapping[str, str]]], *, docker: bool = False) -> bytes:
    """Return an index of images by platform."""
    manifests = [
        {
            "mediaType": json.loads(image.manifest)["mediaType"],
            "digest": image.digest,
            "size": len(image.manifest),
            "platform": dict(platform),
        }
        for image, platform in entries
    ]
    media_type = media_types.DOCKER_MANIFEST_LIST if docker else media_types.OCI_INDEX
    return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}).encode()


def write_layout(
    folder: Path, layers: Sequence[Mapping[str, bytes]], config: Mapping[str, Any] | None = None
) -> None:
    """Write an OCI layout with one image, tagged "it", for skopeo to copy."""
    image = make_image([tar_of(layer) for layer in layers], config=config)
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for digest, data in (*image.blobs.items(), (image.digest, image.manifest)):
        (blobs / digest.removeprefix("sha256:")).write_bytes(data)
    entry = {
        "mediaType": media_types.OCI_MANIFEST,
        "digest": image.digest,
        "size": len(image.manifest),
        "annotations": {"org.opencontainers.image.ref.name": "it"},
    }
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def basic(user: str = USER, password: str = PASSWORD) -> str:
    """Return the header's value of Basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
