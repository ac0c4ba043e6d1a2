"""Holds the tokens of pods: asks for one when a volume needs it, and for the next before it is too old.

Used by `host.py`. `find_due` is pure: it says when a token is to be renewed. A token that can't be renewed is kept as long as
it counts. Source: Kubernetes v1.36, pkg/kubelet/token/token_manager.go.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pinnace.api.access.claims import TokenRefused
from pinnace.api.access.tokens import DEFAULT_LIFE_S, Tokens
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError
from pinnace.base.times import parse_time
from pinnace.kube.objects.authentication_v1 import BoundObjectReference, TokenRequestSpec
from pinnace.kube.objects.core_v1 import Pod, ServiceAccountTokenProjection
from pinnace.node.environment import MissingReference

log = logging.getLogger("pinnace.node")

LONGEST_S = 24 * 60 * 60.0
RENEW_SHARE = 0.8
JITTER_S = 10.0


@dataclass(frozen=True, slots=True)
class PodToken:
    """A token, when it ends and when it is to be renewed. Units: unix seconds."""

    text: str
    ends_at: float
    due_at: float


def find_due(issued_at: float, life_s: float, jitter_s: float) -> float:
    """Return when a token is to be renewed: at 80 % of its life or after a day, a little earlier by `jitter_s`.

    Example: issued at 0 for 3607 s, with no jitter: at 2885.6.
    """
    return issued_at + min(LONGEST_S, life_s * RENEW_SHARE) - jitter_s


_Key = tuple[str, str, int]  # the pod's uid, the audience, the life


class PodTokens:
    """The tokens of the pods of one node."""

    def __init__(self, tokens: Tokens, clock: Clock, chance: Chance) -> None:
        self._tokens = tokens
        self._clock = clock
        self._chance = chance
        self._known: dict[_Key, PodToken] = {}

    def get(self, pod: Pod, projection: ServiceAccountTokenProjection) -> bytes:
        """Return the token that a projection asks for. Raises: MissingReference."""
        life_s = projection.expiration_seconds or DEFAULT_LIFE_S
        key = (pod.metadata.uid, projection.audience, life_s)
        known, now = self._known.get(key), self._clock.now()
        if known is not None and now < known.due_at and self._counts(known, projection.audience):
            return known.text.encode()
        try:
            known = self._known[key] = self._ask(pod, projection.audience, life_s, now)
        except ApiError as error:
            if known is None or now >= known.ends_at:
                raise MissingReference(f"failed to fetch token: {error.message}") from error
            log.warning(
                "the token of pod %s/%s: %s", pod.metadata.namespace, pod.metadata.name, error.message
            )
        return known.text.encode()

    def find_due(self, uid: str) -> float | None:
        """Return when the first of a pod's tokens is to be renewed, None when it has none."""
        return min((token.due_at for key, token in self._known.items() if key[0] == uid), default=None)

    def forget(self, uid: str) -> None:
        """Forget the tokens of a pod that is gone."""
        for key in [key for key in self._known if key[0] == uid]:
            del self._known[key]

    def _counts(self, token: PodToken, audience: str) -> bool:
        """Whether the token still counts: its account may have been made anew."""
        try:
            self._tokens.authenticate(token.text, (audience,) if audience else ())
        except TokenRefused:
            return False
        return True

    def _ask(self, pod: Pod, audience: str, life_s: int, now: float) -> PodToken:
        meta = pod.metadata
        status = self._tokens.issue(
            meta.namespace,
            pod.spec.service_account_name,
            TokenRequestSpec(
                audiences=(audience,) if audience else (),
                expiration_seconds=life_s,
                bound_object_ref=BoundObjectReference(
                    api_version="v1", kind="Pod", name=meta.name, uid=meta.uid
                ),
            ),
        )
        jitter_s = self._chance.random() * JITTER_S
        return PodToken(
            status.token, parse_time(status.expiration_timestamp), find_due(now, life_s, jitter_s)
        )
