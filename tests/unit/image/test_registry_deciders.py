"""What the registry client decides: ways in, addresses, platforms, refusals, delays. Tables from the specifications."""

from __future__ import annotations

import string
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.base.errors import ApiError, HostError, Reason, UserError
from pinnace.image.registry import challenge
from pinnace.image.registry.challenge import Challenge, TokenAnswer, parse_challenges
from pinnace.image.registry.client import join_url, order_endpoints
from pinnace.image.registry.endpoints import compute_endpoints, find_proxy, is_insecure
from pinnace.image.registry.platforms import (
    choose_manifest,
    compute_wishes,
    fits,
    normalize,
    parse_platform,
    render_platform,
)
from pinnace.image.registry.refusals import Trouble, build_refusal, compute_delay, parse_retry_after, words_of
from pinnace.image.registry.settings import RegistrySettings
from pinnace.oci.credentials import Credential
from pinnace.oci.digest import Digest, digest_of
from pinnace.oci.manifest import Descriptor, Platform

NOWHERE = RegistrySettings(cert_dirs=())

# --- ways in ----------------------------------------------------------------------------------------------------------


def test_the_challenge_of_docker_hub_is_read() -> None:
    # Source: distribution, docs/spec/auth/token.md, its example
    header = (
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
        'scope="repository:samalba/my-app:pull,push"'
    )
    assert parse_challenges([header]) == (
        Challenge(
            "bearer",
            {
                "realm": "https://auth.docker.io/token",
                "service": "registry.docker.io",
                "scope": "repository:samalba/my-app:pull,push",
            },
        ),
    )


@pytest.mark.parametrize(
    ("headers", "schemes"),
    [
        (['Basic realm="a", Bearer realm="https://b/t"'], ["basic", "bearer"]),
        (["Negotiate", 'basic realm="a"'], ["negotiate", "basic"]),
        ([r'Basic realm="a \"quoted\" name"'], ["basic"]),
        (["Basic realm=plain , charset=UTF-8"], ["basic"]),
        ([""], []),
        (["=,=;"], []),
    ],
)
def test_several_and_odd_challenges_are_read(headers: list[str], schemes: list[str]) -> None:
    assert [one.scheme for one in parse_challenges(headers)] == schemes


@given(st.text(alphabet=string.printable, max_size=200))
def test_no_challenge_breaks_the_reader(text: str) -> None:
    challenge.choose(parse_challenges([text]))


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "//", "/", "https://h:"]))
def test_no_address_that_a_registry_sends_breaks_us(text: str, start: str) -> None:
    challenge.choose([Challenge("bearer", {"realm": start + text})])
    try:
        url = join_url("https://r/v2/", start + text)
    except Trouble:
        return
    assert url.startswith(("http://", "https://")) and "\n" not in url


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "https://[::1",
        "https://u:p@h/",
        "https://h:0/",
        "https://h:x/",
        "a b",
    ],
)
def test_locations_that_lead_nowhere_are_refused(location: str) -> None:
    with pytest.raises(Trouble, match="sends us to"):
        join_url("https://r/v2/", location)


def test_bearer_comes_before_basic_and_needs_a_realm() -> None:
    basic, bearer = Challenge("basic", {}), Challenge("bearer", {"realm": "https://a/t"})
    assert challenge.choose([basic, bearer]) == bearer
    assert challenge.choose([Challenge("bearer", {"realm": "file:///etc"}), basic]) == basic
    assert challenge.choose([Challenge("negotiate", {})]) is None


def test_a_token_is_asked_for_by_service_account_and_scopes() -> None:
    way = Challenge("bearer", {"realm": "https://a/t?x=1", "service": "reg"})
    wanted = challenge.scopes("team/app", "pull,push", ["team/base"])
    query = parse_qs(urlsplit(challenge.token_query(way, wanted, Credential(username="ada"))).query)
    assert query["scope"] == ["repository:team/app:pull,push", "repository:team/base:pull"]
    assert (query["service"], query["account"], query["x"]) == (["reg"], ["ada"], ["1"])


def test_a_token_is_used_until_a_tenth_of_its_life_is_left() -> None:
    token = challenge.build_token("https://r", ["s"], TokenAnswer(token="t", expires_in=300), now=1000)
    assert token is not None and token.until == 1270
    assert challenge.find_token([token], "https://r", ["s"], now=1269) == token
    assert challenge.find_token([token], "https://r", ["s"], now=1270) is None
    assert challenge.find_token([token], "https://other", ["s"], now=1000) is None
    assert challenge.find_token([token], "https://r", ["more"], now=1000) is None


@pytest.mark.parametrize("answer", [TokenAnswer(), TokenAnswer(token="a\r\nX: y")])
def test_no_token_is_made_of_nothing_or_of_two_lines(answer: TokenAnswer) -> None:
    assert challenge.build_token("https://r", ["s"], answer, now=0) is None


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "settings", "urls"),
    [
        ("docker.io", NOWHERE, ["https://registry-1.docker.io"]),
        ("ghcr.io", NOWHERE, ["https://ghcr.io"]),
        ("localhost:5000", NOWHERE, ["https://localhost:5000", "http://localhost:5000"]),
        ("127.0.0.7", NOWHERE, ["https://127.0.0.7", "http://127.0.0.7"]),
        ("[::1]:5000", NOWHERE, ["https://[::1]:5000", "http://[::1]:5000"]),
        ("10.1.2.3:5000", NOWHERE, ["https://10.1.2.3:5000"]),
        (
            "10.1.2.3:5000",
            RegistrySettings(insecure=("10.0.0.0/8",), cert_dirs=()),
            ["https://10.1.2.3:5000", "http://10.1.2.3:5000"],
        ),
        ("a.b:1", RegistrySettings(insecure=("a.b:1",), cert_dirs=()), ["https://a.b:1", "http://a.b:1"]),
        ("a.b:2", RegistrySettings(insecure=("a.b:1",), cert_dirs=()), ["https://a.b:2"]),
        (
            "docker.io",
            RegistrySettings(mirrors={"docker.io": ("https://m1/hub/", "http://m2")}, cert_dirs=()),
            ["https://m1/hub", "http://m2", "https://registry-1.docker.io"],
        ),
    ],
)
def test_addresses_are_tried_in_dockers_order(
    domain: str, settings: RegistrySettings, urls: list[str]
) -> None:
    assert [one.url for one in compute_endpoints(domain, settings)] == urls


def test_what_worked_is_asked_first_but_no_mirror_is_passed_over_for_ever() -> None:
    settings = RegistrySettings(mirrors={"localhost:5": ("http://m1", "http://m2")}, cert_dirs=())
    m1, m2, https, http = compute_endpoints("localhost:5", settings)
    assert order_endpoints((m1, m2, https, http), http, None) == (m1, m2, http, https)
    assert order_endpoints((m1, m2, https, http), http, m2) == (m2, m1, http, https)
    assert order_endpoints((m1, m2, https, http), None, None) == (m1, m2, https, http)


def test_a_push_goes_to_no_mirror() -> None:
    settings = RegistrySettings(mirrors={"docker.io": ("https://m1",)}, cert_dirs=())
    assert [one.url for one in compute_endpoints("docker.io", settings, push=True)] == [
        "https://registry-1.docker.io"
    ]


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://me:pw@x", "https://x?y=1"])
def test_a_mirror_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="is no address"):
        compute_endpoints("docker.io", RegistrySettings(mirrors={"docker.io": (url,)}, cert_dirs=()))


def test_loopback_with_certificates_of_its_own_is_not_insecure(tmp_path: Path) -> None:
    (tmp_path / "localhost:5000").mkdir()
    assert not is_insecure("localhost:5000", RegistrySettings(cert_dirs=(str(tmp_path),)))
    assert is_insecure("localhost:5001", RegistrySettings(cert_dirs=(str(tmp_path),)))


@pytest.mark.parametrize(
    ("scheme", "host", "environment", "proxy"),
    [
        ("https", "ghcr.io", {}, None),
        ("https", "ghcr.io", {"https_proxy": "http://p:8080"}, "http://p:8080"),
        ("https", "ghcr.io", {"HTTPS_PROXY": "p:8080"}, "http://p:8080"),
        ("http", "ghcr.io", {"https_proxy": "http://p"}, None),
        ("https", "ghcr.io", {"https_proxy": "http://p", "no_proxy": "io"}, None),
        ("https", "ghcr.io", {"https_proxy": "http://p", "no_proxy": ".ghcr.io"}, None),
        ("https", "ghcr.io", {"https_proxy": "http://p", "no_proxy": "hcr.io, other"}, "http://p"),
        ("https", "ghcr.io:5000", {"https_proxy": "http://p", "no_proxy": "ghcr.io:443"}, "http://p"),
        ("https", "10.1.2.3", {"https_proxy": "http://p", "no_proxy": "10.0.0.0/8"}, None),
        ("https", "ghcr.io", {"https_proxy": "http://p", "no_proxy": "*"}, None),
        ("https", "localhost:5000", {"https_proxy": "http://p"}, None),
        ("https", "127.0.0.1:5000", {"https_proxy": "http://p"}, None),
    ],
)
def test_proxies_are_those_of_the_environment(
    scheme: str, host: str, environment: dict[str, str], proxy: str | None
) -> None:
    assert find_proxy(scheme, host, NOWHERE, environment) == proxy


# --- platforms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("", "linux/amd64"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/aarch64", "linux/arm64/v8"),
        ("arm64", "linux/arm64/v8"),
        ("linux", "linux/amd64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("Linux/AMD64/V3", "linux/amd64/v3"),
    ],
)
def test_platforms_have_one_spelling(text: str, rendered: str) -> None:
    # Source: containerd/platforms, platforms_test.go, TestParseSelector and database.go
    assert render_platform(parse_platform(text, "amd64")) == rendered


@pytest.mark.parametrize("text", ["/", "linux/", "a/b/c/d", "//"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no platform"):
        parse_platform(text, "amd64")


@pytest.mark.parametrize(
    ("wanted", "wishes"),
    [
        ("linux/amd64/v3", ["amd64/v3", "amd64/v2", "amd64", "386"]),
        ("linux/amd64", ["amd64", "386"]),
        ("linux/arm64", ["arm64/v8", "arm/v8", "arm/v7", "arm/v6", "arm/v5"]),
        ("linux/arm/v6", ["arm/v6", "arm/v5"]),
        ("linux/s390x", ["s390x"]),
    ],
)
def test_a_machine_can_run_what_older_ones_ran(wanted: str, wishes: list[str]) -> None:
    # Source: containerd/platforms, compare.go, platformVector
    found = compute_wishes(parse_platform(wanted, "amd64"))
    assert [render_platform(one).removeprefix("linux/") for one in found] == wishes


def entry(architecture: str, variant: str = "", *, platform: bool = True) -> Descriptor:
    name = Platform(os="linux", architecture=architecture, variant=variant)
    return Descriptor(
        media_type="m",
        digest=digest_of(f"{architecture}{variant}".encode()),
        size=1,
        platform=name if platform else None,
    )


def test_the_best_entry_is_taken_and_of_equals_the_first() -> None:
    entries = [entry("386"), entry("amd64"), entry("amd64", "v2"), entry("arm64"), entry("unknown")]
    assert choose_manifest(entries, parse_platform("linux/amd64", "amd64"), "x") == entries[1]
    assert choose_manifest(entries, parse_platform("linux/amd64/v4", "amd64"), "x") == entries[2]
    assert choose_manifest(entries, parse_platform("linux/arm64/v8", "amd64"), "x") == entries[3]
    assert choose_manifest([entry("x", platform=False)], parse_platform("", "amd64"), "x").platform is None


def test_an_index_without_the_platform_says_what_it_has() -> None:
    unknown = Descriptor(
        media_type="m", digest=Digest("d"), size=1, platform=Platform(os="unknown", architecture="unknown")
    )
    with pytest.raises(ApiError) as caught:
        choose_manifest([entry("arm64"), unknown], parse_platform("linux/amd64", "amd64"), "team/app")
    assert caught.value.reason is Reason.NOT_FOUND
    assert (
        caught.value.message
        == "no matching manifest for linux/amd64 in the manifest list entries of team/app"
    )
    assert caught.value.hint == "there is one for: linux/arm64/v8"


def test_an_image_fits_a_newer_machine_and_no_older_one() -> None:
    v2 = normalize(Platform(os="linux", architecture="amd64", variant="v2"))
    assert fits(parse_platform("linux/amd64/v3", "amd64"), v2)
    assert not fits(parse_platform("linux/amd64", "amd64"), v2)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}', "manifest unknown"),
        (
            b'{"errors":[{"code":"DENIED","message":"no"},{"code":"X","message":"y"}]}',
            "denied: no; x: y",
        ),
        (b'{"details":"incorrect username or password"}', "incorrect username or password"),
        (b'{"error":"invalid_grant","error_description":"expired"}', "invalid grant: expired"),
        (b"plain words\n", "plain words"),
        (b"<html><body>502</body></html>", "bad gateway"),
        (b"", "bad gateway"),
        (b'{"errors":[null, 3]}', "bad gateway"),
        (b'{"errors":{}}', "bad gateway"),
        (b"[]", "[]"),
    ],
)
def test_the_registrys_words_are_found(body: bytes, words: str) -> None:
    assert words_of(body, "Bad Gateway") == words


@given(st.binary(max_size=300))
def test_no_answer_breaks_the_reader(body: bytes) -> None:
    assert words_of(body, "OK")


@pytest.mark.parametrize(
    ("status", "kind", "again"),
    [
        (401, Reason.UNAUTHORIZED, False),
        (403, Reason.FORBIDDEN, False),
        (404, Reason.NOT_FOUND, False),
        (408, Reason.SERVICE_UNAVAILABLE, True),
        (429, Reason.TOO_MANY_REQUESTS, True),
        (500, Reason.SERVICE_UNAVAILABLE, True),
        (501, Reason.SERVICE_UNAVAILABLE, False),
        (503, Reason.SERVICE_UNAVAILABLE, True),
        (400, None, False),
        (418, None, False),
    ],
)
def test_statuses_mean_reasons(status: int, kind: Reason | None, again: bool) -> None:
    trouble = build_refusal(
        status, "Reason", b"words", "7", what="blob x", name="h/a", host="h", domain="h", now=0
    )
    assert (trouble.again, trouble.after_s, trouble.status) == (again, 7, status)
    if kind is None:
        assert isinstance(trouble.error, HostError)
    else:
        assert isinstance(trouble.error, ApiError) and trouble.error.reason is kind
    assert "words" in trouble.error.message


def test_retry_after_is_seconds_or_a_date_and_never_for_ever() -> None:
    assert parse_retry_after("3", now=0) == 3
    assert parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=45) == 15
    assert parse_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=90) == 0
    assert parse_retry_after("100000", now=0) == 120
    assert parse_retry_after("soon", now=0) is None and parse_retry_after("", now=0) is None


def test_delays_double_up_to_a_bound_and_are_never_shorter_than_asked() -> None:
    assert [compute_delay(n, 0.5, 3.0, None) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 3.0]
    assert compute_delay(1, 0.5, 3.0, 10.0) == 10.0
