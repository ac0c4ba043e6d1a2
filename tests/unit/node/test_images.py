"""Where a container's image comes from, and what is said about it."""

import pytest

from pinnace.base.errors import ApiError, HostError, Reason
from pinnace.node.images import (
    LocalImage,
    Source,
    compute_hint,
    decide_source,
    describe_pull,
    make_pod_image,
    pull_failure,
    render_duration,
)
from pinnace.node.machine import StartFailure
from pinnace.oci.reference import parse_reference

MADE_HERE = LocalImage("sha256:1", "app")
PULLED = LocalImage("sha256:1", "app", "sha256:2")


@pytest.mark.parametrize(
    ("name", "policy", "local", "expected"),
    [
        ("app:v1", "IfNotPresent", MADE_HERE, Source.STORE),
        ("app:v1", "IfNotPresent", PULLED, Source.STORE),
        ("app:v1", "IfNotPresent", None, Source.REGISTRY),
        ("app:v1", "Never", PULLED, Source.STORE),
        ("app", "Always", None, Source.REGISTRY),
        ("app", "Always", PULLED, Source.REGISTRY),
        ("app", "Always", MADE_HERE, Source.STORE),  # nobody else's image of this name is run instead
        ("me/app", "Always", MADE_HERE, Source.STORE),
        ("docker.io/me/app", "Always", MADE_HERE, Source.REGISTRY_OR_STORE),
        ("ghcr.io/me/app", "Always", MADE_HERE, Source.REGISTRY_OR_STORE),
        ("localhost:5000/app", "Always", MADE_HERE, Source.REGISTRY_OR_STORE),
        ("ghcr.io/me/app", "Always", PULLED, Source.REGISTRY),
    ],
)
def test_the_source_follows_policy_origin_and_name(
    name: str, policy: str, local: LocalImage | None, expected: Source
) -> None:
    assert decide_source(name, parse_reference(name), policy, local) is expected


def test_never_means_never() -> None:
    with pytest.raises(StartFailure) as caught:
        decide_source("app:v1", parse_reference("app:v1"), "Never", None)
    assert caught.value.reason == "ErrImageNeverPull"
    assert caught.value.message == 'Container image "app:v1" is not present with pull policy of Never'


def test_the_image_id_is_the_registrys_where_there_is_one() -> None:
    reference = parse_reference("redis:7")
    assert make_pod_image(reference, PULLED, "").shown_id == "docker.io/library/redis@sha256:2"
    assert make_pod_image(reference, MADE_HERE, "").shown_id == "sha256:1"


def test_a_pull_is_told_in_the_kubelets_words() -> None:
    # Source: an event of a Kubernetes v1.31 node
    assert describe_pull("redis", 45006722, 2.133, 1.047) == (
        'Successfully pulled image "redis" in 2.133s (3.18s including waiting). Image size: 45006722 bytes.'
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.02, "20ms"), (0.9996, "1s"), (1.5, "1.5s"), (61.5, "1m1.5s"), (3600, "1h0m0s")],
)
def test_durations_are_gos(seconds: float, text: str) -> None:
    assert render_duration(seconds) == text


def test_a_failed_pull_has_the_registrys_words_and_what_to_do() -> None:
    error = ApiError(Reason.UNAUTHORIZED, "ghcr.io says: authentication required")
    failure = pull_failure("ghcr.io/me/app", parse_reference("ghcr.io/me/app"), error, had_secrets=False)
    assert failure.reason == "ErrImagePull"
    assert failure.message == (
        "ghcr.io says: authentication required "
        "(hint: pinnace login ghcr.io, or a Secret of type docker-registry in the pod's imagePullSecrets)"
    )


@pytest.mark.parametrize(
    ("name", "error", "had_secrets", "words"),
    [
        ("me/app", ApiError(Reason.FORBIDDEN, "denied"), False, "pinnace login, or a Secret"),
        ("ghcr.io/me/app", ApiError(Reason.FORBIDDEN, "denied"), True, "may they read ghcr.io/me/app?"),
        ("app:v1", ApiError(Reason.NOT_FOUND, "manifest unknown"), False, "pinnace build -t app:v1 ."),
        ("app:v1", HostError("no such host"), False, "pinnace import FILE app:v1"),
        ("ghcr.io/app", HostError("refused", hint="is it up?"), False, "is it up?"),
        ("ghcr.io/app", ApiError(Reason.SERVICE_UNAVAILABLE, "503"), False, ""),
    ],
)
def test_the_hint_follows_what_was_refused(
    name: str, error: ApiError | HostError, had_secrets: bool, words: str
) -> None:
    hint = compute_hint(name, parse_reference(name), error, had_secrets=had_secrets)
    assert words in hint
    assert bool(words) == bool(hint)
