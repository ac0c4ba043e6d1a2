"""Docker's config.json: read, looked up and changed as docker itself does it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.base.credentials import (
    HUB_SERVER,
    Credential,
    DockerConfig,
    domain_of,
    parse_docker_config,
    parse_helper_answer,
    registry_of,
    render_stored,
    server_of,
)
from pinnace.base.errors import UserError
from pinnace.oci.reference import parse_reference

ADA = Credential("ada", "secret")
# Written by docker 28.2: `docker login -u ada -p secret 127.0.0.1:25002`
WRITTEN = '{\n\t"auths": {\n\t\t"127.0.0.1:25002": {\n\t\t\t"auth": "YWRhOnNlY3JldA=="\n\t\t}\n\t}\n}'


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("redis", "docker.io"),
        ("redis:7", "docker.io"),
        ("me/app:v1", "docker.io"),
        ("docker.io/me/app", "docker.io"),
        ("index.docker.io/me/app", "docker.io"),
        ("ghcr.io/me/app:v1", "ghcr.io"),
        ("localhost/app", "localhost"),
        ("localhost:5000/app@sha256:" + "0" * 64, "localhost:5000"),
        ("[::1]:5000/app", "[::1]:5000"),
    ],
)
def test_a_names_registry_is_what_references_say(name: str, domain: str) -> None:
    assert registry_of(name) == domain == parse_reference(name).domain


@given(st.from_regex(r"[a-z0-9.:A-Z_-]{1,8}(/[a-z0-9._-]{1,6}){0,2}(:[a-z0-9]{1,3})?", fullmatch=True))
def test_a_names_registry_is_what_references_say_of_any_name(name: str) -> None:
    try:
        expected = parse_reference(name).domain
    except UserError:
        return
    assert registry_of(name) == expected


@pytest.mark.parametrize(
    ("written", "key", "domain"),
    [
        ("", HUB_SERVER, "docker.io"),
        ("docker.io", HUB_SERVER, "docker.io"),
        ("index.docker.io", HUB_SERVER, "docker.io"),
        ("https://index.docker.io/v1/", HUB_SERVER, "docker.io"),
        ("ghcr.io", "ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io", "ghcr.io"),
        ("http://localhost:5000", "localhost:5000", "localhost:5000"),
    ],
)
def test_a_server_has_one_key_however_it_is_written(written: str, key: str, domain: str) -> None:
    assert server_of(written) == key
    assert domain_of(key) == domain


def test_what_docker_wrote_is_read_and_written_alike() -> None:
    config = parse_docker_config(WRITTEN)
    assert config.find_stored("127.0.0.1:25002") == ADA
    assert config.render() == WRITTEN
    assert DockerConfig().with_login("127.0.0.1:25002", ADA).render() == WRITTEN


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": "YWRhOnNlY3JldA=="}, ADA),
        ({"username": "ada", "password": "secret"}, ADA),
        ({"auth": "YWRhOnNlY3JldA==", "username": "eve", "password": "x"}, ADA),  # auth wins
        ({"auth": "YWRhOnM6YzpyZXQ="}, Credential("ada", "s:c:ret")),  # only the first colon parts
        ({"auth": "YWRhOg==", "identitytoken": "t0"}, Credential("ada", "", "t0")),
        ({"identitytoken": "t0"}, Credential(identity_token="t0")),
        ({}, None),  # a helper has it
        ({"email": "ada@example.com"}, None),
    ],
)
def test_entries_are_read_in_each_form(entry: dict[str, str], expected: Credential | None) -> None:
    config = parse_docker_config(json.dumps({"auths": {"ghcr.io": entry}}))
    assert config.find_stored("ghcr.io") == expected


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v1/", "http://ghcr.io/v2/"])
def test_old_forms_of_a_key_are_found_and_removed(key: str) -> None:
    config = parse_docker_config(json.dumps({"auths": {key: {"auth": "YWRhOnNlY3JldA=="}, "b": {}}}))
    assert config.find_stored("ghcr.io") == ADA
    assert json.loads(config.without("ghcr.io").render()) == {"auths": {"b": {}}}


def test_what_others_keep_stays_in_its_order() -> None:
    text = '{"HttpHeaders": {"X": "1"}, "auths": {"a": {}}, "psFormat": "table"}'
    changed = parse_docker_config(text).with_login("b", ADA).without("a")
    assert list(json.loads(changed.render())) == ["HttpHeaders", "auths", "psFormat"]


def test_a_helper_of_a_server_comes_before_the_one_of_all() -> None:
    config = parse_docker_config('{"credsStore": "pass", "credHelpers": {"ghcr.io": "gh"}}')
    assert (config.find_helper("ghcr.io"), config.find_helper("quay.io")) == ("gh", "pass")
    assert parse_docker_config("").find_helper("ghcr.io") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"auths": []}', ""),
        ('{"auths": [1]}', '"auths" is not an object'),
        ('{"auths": {"ghcr.io": 1}}', "'ghcr.io' are not an object"),
        ('{"auths": {"ghcr.io": {"auth": "!"}}}', "is not NAME:PASSWORD in base64"),
        ('{"auths": {"ghcr.io": {"auth": "YWRh"}}}', "is not NAME:PASSWORD in base64"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_nothing_of_it_shown(text: str, words: str) -> None:
    if not words:
        assert parse_docker_config(text).find_stored("x") is None
        return
    with pytest.raises(UserError) as caught:
        parse_docker_config(text, "/home/ada/.docker/config.json").find_stored("ghcr.io")
    assert words in caught.value.message
    assert caught.value.where == "/home/ada/.docker/config.json"


def test_helpers_answers_are_read() -> None:
    # Source: docker-credential-helpers, README, "get"
    given_ = b'{"ServerURL":"https://ghcr.io","Username":"ada","Secret":"secret"}'
    assert parse_helper_answer(0, given_, "pass") == ADA
    token = b'{"ServerURL":"https://ghcr.io","Username":"<token>","Secret":"t0"}'
    assert parse_helper_answer(0, token, "pass") == Credential(identity_token="t0")
    assert parse_helper_answer(1, b"credentials not found in native keychain\n", "pass") is None
    with pytest.raises(UserError, match="docker-credential-pass get: gpg: no key"):
        parse_helper_answer(1, b"gpg: no key\n", "pass")
    with pytest.raises(UserError) as caught:
        parse_helper_answer(0, b"s3cret", "pass")
    assert "s3cret" not in str(caught.value)


def test_helpers_are_given_tokens_under_their_name() -> None:
    assert json.loads(render_stored("ghcr.io", Credential("ada", "", "t0"))) == {
        "ServerURL": "ghcr.io",
        "Username": "<token>",
        "Secret": "t0",
    }
    assert json.loads(render_stored("ghcr.io", ADA))["Secret"] == "secret"


def test_no_secret_is_shown_by_accident() -> None:
    assert "secret" not in f"{ADA} {ADA!r} {[ADA]}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(["YWRhOnM=", "YWRh"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["auths", "credHelpers", "credsStore", "ghcr.io", "auth", "username", "identitytoken"]
            )
            | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_stands_in_the_file_is_read_or_refused(document: object) -> None:
    try:
        config = parse_docker_config(json.dumps(document), "config.json")
        config.find_helper("ghcr.io")
        config.find_stored("ghcr.io")
        config.stored()
        changed = config.with_login("ghcr.io", ADA)
        assert parse_docker_config(changed.render()).find_stored("ghcr.io") == ADA
        assert parse_docker_config(changed.without("ghcr.io").render()).find_stored("ghcr.io") is None
    except UserError as error:
        assert error.message  # noqa: PT017


@given(st.binary(max_size=40), st.integers(0, 2))
def test_whatever_a_helper_answers_is_read_or_refused(answer: bytes, code: int) -> None:
    try:
        parse_helper_answer(code, answer, "test")
    except UserError as error:
        assert "docker-credential-test" in error.message  # noqa: PT017
