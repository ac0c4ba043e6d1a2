import jwt
import pytest
from msgspec.structs import replace as changed

from pinnace.api.access.tokens import Tokens, make_key
from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.kube.kinds import SERVICE_ACCOUNT
from pinnace.kube.objects.core_v1 import (
    Pod,
    PodSecurityContext,
    ProjectedVolumeSource,
    SecurityContext,
    ServiceAccount,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.node.environment import Lookups, MissingReference, NodeFacts
from pinnace.node.tokens import PodTokens, find_due
from pinnace.node.volumes import File, Files, find_only_user, plan_volume
from tests.unit.api.builders import NOW, make_api
from tests.unit.api.builders import pod as api_pod
from tests.unit.node.builders import container, pod

KEY = make_key()


class Calm(Chance):
    """No jitter."""

    def random(self) -> float:
        return 0.0


async def make_world() -> tuple[Api, FrozenClock, PodTokens, Pod]:
    api, clock = await make_api()
    await api.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
    made = await api.create(api_pod())
    return api, clock, PodTokens(Tokens(api, KEY, clock, Chance(1)), clock, Calm(1)), made


def ask(audience: str = "", life_s: int = 3607) -> ServiceAccountTokenProjection:
    return ServiceAccountTokenProjection(path="token", audience=audience, expiration_seconds=life_s)


# Source: kubelet, token_manager.go: four fifths of the life, a day at most.
@pytest.mark.parametrize(("life_s", "due"), [(3607, 2885.6), (600, 480.0), (7 * 86400, 86400.0)])
def test_when_a_token_is_renewed(life_s: int, due: float) -> None:
    assert find_due(0.0, life_s, 0.0) == pytest.approx(due)
    assert find_due(0.0, life_s, 10.0) == pytest.approx(due - 10)


async def test_a_token_is_kept_until_it_is_due_and_then_renewed() -> None:
    _, clock, tokens, made = await make_world()
    first = tokens.get(made, ask())
    assert tokens.get(made, ask()) == first
    assert tokens.find_due(made.metadata.uid) == pytest.approx(NOW + 2885.6)
    clock.advance(2886)
    second = tokens.get(made, ask())
    assert second != first
    assert jwt.decode(second, options={"verify_signature": False})["iat"] == NOW + 2886
    tokens.forget(made.metadata.uid)
    assert tokens.find_due(made.metadata.uid) is None


async def test_each_audience_and_life_has_a_token_of_its_own() -> None:
    _, _, tokens, made = await make_world()
    claims = [
        jwt.decode(tokens.get(made, one), options={"verify_signature": False})
        for one in (ask("vault", 7200), ask("vault", 600), ask())
    ]
    assert [(c["aud"], c["exp"] - c["iat"]) for c in claims] == [
        (["vault"], 7200),
        (["vault"], 600),
        (["https://kubernetes.default.svc.cluster.local"], 24 * 365 * 3600),
    ]


async def test_an_account_that_was_made_anew_brings_a_new_token() -> None:
    api, _, tokens, made = await make_world()
    first = tokens.get(made, ask())
    await api.delete(SERVICE_ACCOUNT, "default", "default")
    await api.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
    assert tokens.get(made, ask()) != first


async def test_without_an_account_an_old_token_is_used_as_long_as_it_lives() -> None:
    api, clock, tokens, made = await make_world()
    first = tokens.get(made, ask(life_s=600))
    await api.delete(SERVICE_ACCOUNT, "default", "default")
    clock.advance(500)
    assert tokens.get(made, ask(life_s=600)) == first
    clock.advance(101)
    with pytest.raises(MissingReference, match='failed to fetch token: serviceaccounts "default" not found'):
        tokens.get(made, ask(life_s=600))


# Source: kubelet, projected.go and FsUserFrom.
@pytest.mark.parametrize(
    ("own", "shared", "group", "expected"),
    [
        (None, None, None, (0o644, None)),
        (None, 1000, None, (0o600, 1000)),
        (7, 1000, None, (0o600, 7)),
        (None, None, 2000, (0o600, None)),
    ],
)
def test_a_token_belongs_to_the_pods_user(
    own: int | None, shared: int | None, group: int | None, expected: tuple[int, int | None]
) -> None:
    security = SecurityContext(run_as_user=own) if own is not None else None
    made = pod(
        container(security_context=security),
        security_context=PodSecurityContext(run_as_user=shared, fs_group=group),
    )
    source = ProjectedVolumeSource(
        default_mode=0o644, sources=(VolumeProjection(service_account_token=ask()),)
    )
    lookups = Lookups(lambda name: None, lambda name: None, token=lambda projection: b"t")
    planned = plan_volume(
        Volume(name="v", projected=source),
        made,
        pod_ip="",
        node=NodeFacts("n", "", 1, 1),
        lookups=lookups,
    )
    assert planned == Files("v", (File("token", b"t", *expected),))


def test_two_users_in_a_pod_are_none() -> None:
    first = container("a", security_context=SecurityContext(run_as_user=1))
    second = changed(first, name="b", security_context=SecurityContext(run_as_user=2))
    assert find_only_user(pod(first, second)) is None
