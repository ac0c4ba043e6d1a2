"""Whose credentials fit an image: the kubelet's rules. The expected values are those of its own table of tests.

Source: Kubernetes, pkg/credentialprovider/keyring_test.go (TestURLsMatch, TestDockerKeyringForGlob) and config_test.go.
"""

import asyncio
import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.base.errors import UserError
from pinnace.oci.credentials import (
    Credential,
    chain,
    find_fitting,
    fits,
    keyring_of,
    nobody,
    parse_pull_secret,
)

ADA, EVE = Credential("ada", "1"), Credential("eve", "2")


@pytest.mark.parametrize(
    ("key", "name", "expected"),
    [
        ("*.kubernetes.io", "prefix.kubernetes.io/app", True),
        ("*.kubernetes.io", "kubernetes.io/app", False),
        ("*.kubernetes.io", "kubernetes.org/app", False),
        ("prefix.*.io", "prefix.kubernetes.io/app", True),
        ("prefix.*.io", "prefix.kubernetes.com/app", False),
        ("*-good.kubernetes.io", "prefix-good.kubernetes.io/app", True),
        ("*-good.kubernetes.io", "prefix-bad.kubernetes.io/app", False),
        ("*.*.kubernetes.io", "a.b.kubernetes.io/app", True),
        ("*.*.kubernetes.io", "a.kubernetes.io/app", False),
        ("*.kubernetes.io/image", "prefix.kubernetes.io/image", True),
        ("*.kubernetes.io/image", "prefix.kubernetes.io/other", False),
        ("ghcr.io:5000", "ghcr.io:5000/app", True),
        ("ghcr.io:5000", "ghcr.io/app", False),
        ("ghcr.io", "ghcr.io:5000/app", False),
        ("https://ghcr.io/v2/", "ghcr.io/team/app", True),
        ("http://ghcr.io/v1/team", "ghcr.io/team/app", True),
        ("https://ghcr.io/team/", "ghcr.io/team/app", True),
        ("https://ghcr.io/other", "ghcr.io/team/app", False),
        ("https://index.docker.io/v1/", "docker.io/library/redis", True),
        ("docker.io", "docker.io/library/redis", True),
        ("https://index.docker.io/v1/", "ghcr.io/library/redis", False),
    ],
)
def test_a_key_fits_by_host_port_and_path(key: str, name: str, expected: bool) -> None:
    assert fits(key, name) is expected


def test_longer_keys_come_first_and_stores_keep_their_order() -> None:
    secrets = {"ghcr.io": ADA, "ghcr.io/team": EVE}
    node = {"https://ghcr.io/v2/": Credential("node", "3"), "quay.io": ADA}
    assert [one.username for one in find_fitting("ghcr.io/team/app", [secrets, node])] == [
        "eve",
        "ada",
        "node",
    ]
    assert [one.username for one in find_fitting("ghcr.io/app", [secrets, node])] == ["ada", "node"]
    assert find_fitting("example.com/app", [secrets, node]) == ()
    assert find_fitting("ghcr.io/team/app", [secrets, secrets]) == (EVE, ADA)


def data(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_both_types_of_secrets_are_read() -> None:
    entry = {"ghcr.io": {"username": "ada", "password": "1", "auth": "YWRhOjE="}}
    new = parse_pull_secret("kubernetes.io/dockerconfigjson", {".dockerconfigjson": data({"auths": entry})})
    old = parse_pull_secret("kubernetes.io/dockercfg", {".dockercfg": data(entry)})
    assert new == old == {"ghcr.io": ADA}


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("Opaque", {"password": "cw=="}, "holds no registry credentials"),
        ("kubernetes.io/dockerconfigjson", {}, "holds no registry credentials"),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "cw=="}, "is not JSON"),
        ("kubernetes.io/dockercfg", {".dockercfg": base64.b64encode(b"[" * 99_999).decode()}, "is not JSON"),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": data({})}, "names no servers"),
        ("kubernetes.io/dockercfg", {".dockercfg": data([])}, "names no servers"),
    ],
)
def test_a_secret_that_is_none_is_told_without_its_content(
    kind: str, content: dict[str, str], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        parse_pull_secret(kind, content)


def test_keyrings_are_asked_in_order() -> None:
    both = chain(nobody, keyring_of({"a": ADA}), keyring_of({"a": EVE, "b": EVE}))
    assert [asyncio.run(both(domain)) for domain in "abc"] == [ADA, EVE, None]


@given(st.sampled_from([".dockerconfigjson", ".dockercfg"]), st.binary(max_size=60) | st.text(max_size=30))
def test_whatever_stands_in_a_secret_is_read_or_refused(key: str, content: bytes | str) -> None:
    text = base64.b64encode(content).decode() if isinstance(content, bytes) else content
    try:
        parse_pull_secret(f"kubernetes.io/{key[1:]}", {key: text})
    except UserError as error:
        assert error.message  # noqa: PT017


@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_a_key_is_it_fits_or_not(key: str, name: str) -> None:
    assert fits(key, name) in (True, False)
