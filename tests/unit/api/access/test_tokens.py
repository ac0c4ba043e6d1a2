import base64
import json
from typing import Any

import jwt
import pytest

from pinnace.api.access.claims import TokenRefused
from pinnace.api.access.tokens import DEFAULT_ISSUER, Tokens, make_key
from pinnace.api.access.users import User
from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from pinnace.kube.objects.authentication_v1 import BoundObjectReference, TokenRequestSpec
from pinnace.kube.objects.core_v1 import Node, Secret, ServiceAccount
from pinnace.kube.objects.meta_v1 import ObjectMeta
from tests.unit.api.builders import NOW, make_api, pod

KEY, OTHER_KEY = make_key(), make_key()
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")


class World:
    """An Api with the account "default", a pod that runs as it on the node "n1", and a Secret."""

    def __init__(self, api: Api, clock: FrozenClock) -> None:
        self.api = api
        self.clock = clock
        self.tokens = Tokens(api, KEY, clock, Chance(3))

    def issue(self, ref: BoundObjectReference | None = None, **spec: Any) -> str:
        return self.tokens.issue("default", "default", TokenRequestSpec(bound_object_ref=ref, **spec)).token

    def refusal(self, token: str, *audiences: str) -> str:
        with pytest.raises(TokenRefused) as caught:
            self.tokens.authenticate(token, audiences)
        return str(caught.value)


async def make_world() -> World:
    api, clock = await make_api()
    await api.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
    await api.create(Node(metadata=ObjectMeta(name="n1")))
    await api.create(pod())
    await api.bind("default", "web", "n1")
    await api.create(Secret(metadata=ObjectMeta(name="s", namespace="default")))
    return World(api, clock)


def bound_to(kind: str, name: str, uid: str = "") -> BoundObjectReference:
    return BoundObjectReference(api_version="v1", kind=kind, name=name, uid=uid)


def read(token: str) -> Any:
    return jwt.decode(token, options={"verify_signature": False})


# Source: a token of a pod on Kubernetes 1.36, and pkg/serviceaccount/claims.go.
async def test_the_claims_of_a_pods_token() -> None:
    world = await make_world()
    token = world.issue(bound_to("Pod", "web"), expiration_seconds=3607)
    uid = {
        word: world.api.get(kind, namespace, name).metadata.uid
        for word, kind, namespace, name in (
            ("account", kinds.SERVICE_ACCOUNT, "default", "default"),
            ("pod", kinds.POD, "default", "web"),
            ("node", kinds.NODE, "", "n1"),
        )
    }
    claims = read(token)
    jti = claims.pop("jti")
    assert claims == {
        "aud": [DEFAULT_ISSUER],
        "exp": NOW + 365 * 24 * 3600,  # extended, and warned of after what was asked for
        "iat": NOW,
        "iss": DEFAULT_ISSUER,
        "kubernetes.io": {
            "namespace": "default",
            "node": {"name": "n1", "uid": uid["node"]},
            "pod": {"name": "web", "uid": uid["pod"]},
            "serviceaccount": {"name": "default", "uid": uid["account"]},
            "warnafter": NOW + 3607,
        },
        "nbf": NOW,
        "sub": "system:serviceaccount:default:default",
    }
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert header == {"alg": "RS256", "kid": world.tokens.jwks()["keys"][0]["kid"]}
    assert world.tokens.authenticate(token) == (
        User(
            "system:serviceaccount:default:default",
            GROUPS,
            uid["account"],
            {
                "authentication.kubernetes.io/credential-id": (f"JTI={jti}",),
                "authentication.kubernetes.io/node-name": ("n1",),
                "authentication.kubernetes.io/node-uid": (uid["node"],),
                "authentication.kubernetes.io/pod-name": ("web",),
                "authentication.kubernetes.io/pod-uid": (uid["pod"],),
            },
        ),
        (DEFAULT_ISSUER,),
    )


async def test_a_token_ends_when_it_says_so_and_a_minute_later() -> None:
    world = await make_world()
    status = world.tokens.issue("default", "default", TokenRequestSpec(expiration_seconds=600))
    assert status.expiration_timestamp == "2026-01-02T00:10:00Z"
    world.clock.advance(660)
    assert world.tokens.authenticate(status.token)
    world.clock.advance(1)
    assert world.refusal(status.token) == "service account token has expired"


async def test_a_token_that_is_kept_for_too_long_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    world = await make_world()
    token = world.issue(bound_to("Pod", "web"), expiration_seconds=3607)
    world.clock.advance(3600)
    assert world.tokens.authenticate(token)
    assert caplog.messages == []
    world.clock.advance(10)
    for _ in range(2):
        assert world.tokens.authenticate(token)
    assert caplog.messages == [
        "system:serviceaccount:default:default (pod web) uses a token 3 s after it should have read the next one"
    ]


async def test_a_token_ends_with_its_account_and_with_what_it_is_bound_to() -> None:
    world = await make_world()
    plain, of_pod, of_secret, of_node = (
        world.issue(ref)
        for ref in (None, bound_to("Pod", "web"), bound_to("Secret", "s"), bound_to("Node", "n1"))
    )
    for token in (plain, of_pod, of_secret, of_node):
        assert world.tokens.authenticate(token)
    await world.api.delete(kinds.NODE, "", "n1")
    assert world.refusal(of_node) == "service account token has been invalidated"
    assert world.tokens.authenticate(of_pod), "of a pod's token the node is a fact only"
    await world.api.delete(kinds.SECRET, "default", "s")
    assert world.refusal(of_secret) == "service account token has been invalidated"
    await world.api.create(Secret(metadata=ObjectMeta(name="s", namespace="default")))
    assert "does not match service account secret ref claim" in world.refusal(of_secret)
    await world.api.delete(kinds.POD, "default", "web")
    assert world.tokens.authenticate(of_pod), "the pod has time to end"
    world.clock.advance(91 + 30)
    assert world.refusal(of_pod) == "service account token has been invalidated"
    account = world.api.get(kinds.SERVICE_ACCOUNT, "default", "default").metadata.uid
    await world.api.delete(kinds.SERVICE_ACCOUNT, "default", "default")
    assert world.refusal(plain) == 'serviceaccounts "default" not found'
    made = await world.api.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
    assert world.refusal(plain) == (
        f"service account UID ({made.metadata.uid}) does not match claim ({account})"
    )


async def test_a_token_counts_for_its_audience_only() -> None:
    world = await make_world()
    token = world.issue(audiences=("vault", "other"))
    assert world.refusal(token) == (
        f'token audiences ["vault" "other"] is invalid for the target audiences ["{DEFAULT_ISSUER}"]'
    )
    assert world.tokens.authenticate(token, ("x", "vault")).audiences == ("vault",)


async def test_what_is_no_token_of_ours_is_refused_without_a_word() -> None:
    world = await make_world()
    claims = read(world.issue())
    theirs = jwt.encode({**claims, "iss": "https://elsewhere"}, OTHER_KEY, "RS256")
    for text in ("", "x", "a.b.c", "..", theirs, "a" * 20_000, "a.eyJpc3MiOiA3fQ.c", "a.W10.c"):
        assert world.refusal(text) == ""
    forged = jwt.encode(claims, OTHER_KEY, "RS256")
    assert world.refusal(forged) == "failed to validate the token: Signature verification failed"
    public = serialized_public(world)
    for algorithm, key in (("none", ""), ("HS256", "k" * 32)):
        assert "failed to validate" in world.refusal(jwt.encode(claims, key or None, algorithm)), public  # type: ignore[arg-type]


def serialized_public(world: World) -> str:
    return json.dumps(world.tokens.jwks())


async def test_the_published_key_checks_our_tokens() -> None:
    world = await make_world()
    found = jwt.PyJWKSet.from_dict(world.tokens.jwks()).keys[0]
    token = world.issue()
    checked = jwt.decode(
        token,
        found.key,
        ["RS256"],
        audience=DEFAULT_ISSUER,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert checked["iss"] == DEFAULT_ISSUER
    assert jwt.get_unverified_header(token)["kid"] == found.key_id


@pytest.mark.parametrize(
    ("seconds", "why"),
    [
        (599, "may not specify a duration less than 10 minutes"),
        (2**32 + 1, "may not specify a duration larger than 2^32 seconds"),
    ],
)
async def test_a_life_has_bounds(seconds: int, why: str) -> None:
    world = await make_world()
    with pytest.raises(ApiError) as caught:
        world.issue(expiration_seconds=seconds)
    assert caught.value.message == (
        f'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: {seconds}: {why}'
    )


@pytest.mark.parametrize(
    ("ref", "code", "message"),
    [
        (bound_to("Pod", "none"), 404, 'pods "none" not found'),
        (bound_to("ConfigMap", "c"), 400, "cannot bind token to object of type /v1, Kind=ConfigMap"),
        (
            bound_to("Secret", "s", "7"),
            409,
            'Operation cannot be fulfilled on Secret "s": the UID in the bound object reference (7) does not match the '
            "UID in record. The object might have been deleted and then recreated",
        ),
    ],
)
async def test_what_a_token_cannot_be_bound_to(ref: BoundObjectReference, code: int, message: str) -> None:
    world = await make_world()
    with pytest.raises(ApiError) as caught:
        world.issue(ref)
    assert (caught.value.code, caught.value.message) == (code, message)


async def test_a_token_is_not_bound_to_somebody_elses_pod() -> None:
    world = await make_world()
    await world.api.create(ServiceAccount(metadata=ObjectMeta(name="bot", namespace="default")))
    with pytest.raises(
        ApiError, match='cannot bind token for serviceaccount "bot" to pod running with different'
    ):
        world.tokens.issue("default", "bot", TokenRequestSpec(bound_object_ref=bound_to("Pod", "web")))


async def test_a_secrets_token_counts_as_long_as_the_secret_holds_it() -> None:
    world = await make_world()
    secret = world.api.get(kinds.SECRET, "default", "s")
    token = world.tokens.issue_legacy(secret, world.api.get(kinds.SERVICE_ACCOUNT, "default", "default"))
    assert read(token)["iss"] == "kubernetes/serviceaccount"
    assert "exp" not in read(token)
    assert world.refusal(token) == "token does not match server's copy"
    held = Secret(
        metadata=secret.metadata, type=secret.type, data={"token": base64.b64encode(token.encode()).decode()}
    )
    await world.api.update(held)
    assert world.tokens.authenticate(token).user.name == "system:serviceaccount:default:default"
    await world.api.delete(kinds.SECRET, "default", "s")
    assert world.refusal(token) == "service account token has been invalidated"
