"""Digests, configurations, manifests. Expected values: the examples of OCI image-spec v1.1 and Docker's schema 2 page."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.base.errors import UserError
from pinnace.oci import (
    ContainerConfig,
    Digest,
    Index,
    Manifest,
    chain_ids,
    decode_config,
    decode_index,
    decode_manifest,
    digest_of,
    encode,
    hex_of,
    is_digest,
    kind_of_manifest,
    parse_digest,
    short_id,
)
from pinnace.oci.media_types import compression_of

A = Digest("sha256:" + "a" * 64)
B = Digest("sha256:" + "b" * 64)


def test_the_digest_of_nothing_is_the_well_known_one() -> None:
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert short_id(digest_of(b"")) == "e3b0c44298fc"


@pytest.mark.parametrize(
    "text", ["", "sha256", "sha256:", "sha256:zz", "sha256:" + "A" * 64, "md5:" + "a" * 32, "sha256:../../x"]
)
def test_a_wrong_digest_is_refused(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(UserError):
        parse_digest(text)


@given(st.binary(max_size=64))
def test_every_digest_parses(data: bytes) -> None:
    assert hex_of(parse_digest(digest_of(data))) == hashlib.sha256(data).hexdigest()


def test_a_chain_id_covers_all_layers_below() -> None:
    # by hand, from config.md: ChainID(L0|L1) = Digest(ChainID(L0) + " " + DiffID(L1))
    second = "sha256:" + hashlib.sha256(f"{A} {B}".encode()).hexdigest()
    third = "sha256:" + hashlib.sha256(f"{second} {A}".encode()).hexdigest()
    assert chain_ids((A, B, A)) == (A, second, third)
    assert chain_ids(()) == ()


def test_dockers_configuration_with_nulls_is_read() -> None:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Hostname": "",
            "Env": ["PATH=/usr/bin"],
            "Cmd": None,
            "Entrypoint": None,
            "Volumes": None,
            "Labels": None,
            "OnBuild": None,
            "ExposedPorts": {"8080/tcp": {}},
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 1000000000},
            "ArgsEscaped": True,
        },
        "rootfs": {"type": "layers", "diff_ids": [A]},
        "history": [{"created_by": "ADD file", "empty_layer": True}],
        "docker_version": "20.10",
    }
    config = decode_config(json.dumps(document).encode())
    assert config.config.env == ("PATH=/usr/bin",)
    assert config.config.cmd is None
    assert config.config.exposed_ports == {"8080/tcp": {}}
    assert config.config.healthcheck is not None and config.config.healthcheck.interval == 10**9
    assert decode_config(encode(config)) == config


def test_a_configuration_is_written_with_the_wire_names_only() -> None:
    config = ContainerConfig(working_dir="/app", on_build=("RUN x",), stop_signal="SIGINT")
    assert msgspec.json.decode(encode(config)) == {
        "WorkingDir": "/app",
        "OnBuild": ["RUN x"],
        "StopSignal": "SIGINT",
    }


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"{", "can't be read"),
        (b'{"os":"linux","rootfs":{}}', "architecture"),
        (b'{"architecture":"a","os":"linux","rootfs":{"type":"disk","diff_ids":[]}}', "'disk'"),
        (
            b'{"architecture":"a","os":"linux","rootfs":{"type":"layers","diff_ids":["../.."]}}',
            "not a digest",
        ),
        (
            b'{"architecture":"a","os":"linux","config":{"Env":[1]},"rootfs":{"diff_ids":[]}}',
            r"Env\[0\]|Env\[\.\.\.\]",
        ),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_field(document: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        decode_config(document)


def _manifest(media_type: str, **more: object) -> bytes:
    layer = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 5, "digest": B}
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 7, "digest": A}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]} | more
    ).encode()


def test_dockers_schema_2_manifest_is_a_manifest() -> None:
    data = _manifest("application/vnd.docker.distribution.manifest.v2+json")
    assert kind_of_manifest(data) is Manifest
    manifest = decode_manifest(data)
    assert manifest.layers[0].digest == B
    assert compression_of(manifest.layers[0].media_type) == "gzip"


def test_dockers_manifest_list_is_an_index() -> None:
    entry = {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "size": 5,
        "digest": A,
        "platform": {"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "1"},
    }
    data = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
            "manifests": [entry],
        }
    ).encode()
    assert kind_of_manifest(data) is Index
    platform = decode_index(data).manifests[0].platform
    assert platform is not None
    assert (platform.variant, platform.os_version) == ("v8", "1")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_manifest("application/vnd.oci.image.manifest.v1+json", manifests=[]), "can't be trusted"),
        (_manifest("application/json"), "neither an image manifest"),
        (b'{"schemaVersion":1}', "schema 1"),
        (b"[]", "can't be read"),
    ],
)
def test_a_wrong_manifest_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says):
        kind_of_manifest(data)


def test_a_layer_of_another_artifact_is_refused() -> None:
    with pytest.raises(UserError, match="helm"):
        compression_of("application/vnd.cncf.helm.chart.content.v1.tar+gzip")


def test_a_negative_size_is_refused() -> None:
    data = json.loads(_manifest("application/vnd.oci.image.manifest.v1+json"))
    data["config"]["size"] = -1
    with pytest.raises(UserError, match="size -1"):
        decode_manifest(json.dumps(data).encode())
