"""Issues the tokens of service accounts, and says who stands behind one.

One per instance, made by `daemon/`; the edges ask it who calls, the node gets the tokens of its pods from it, a controller
those of Secrets. The signing key comes from outside. Invariant: no token counts longer than its account, and what it is
bound to, are there: both are looked up each time; only the signature's check is remembered.
Source: Kubernetes v1.36, pkg/serviceaccount/{jwt,claims,legacy,openidmetadata}.go, storage/token.go.
"""

import base64
import hashlib
import json
import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pinnace.api.access.claims import (
    EXTENDED_S,
    LEGACY_ISSUER,
    TOKEN_KEY,
    WARN_ONLY_S,
    Bound,
    Reference,
    TokenRefused,
    build_claims,
    build_legacy_claims,
    check_bound,
    check_times,
    read_bound,
)
from pinnace.api.access.users import User
from pinnace.api.strategy import Facts, meta_of
from pinnace.api.validation.problems import Problems
from pinnace.base.chance import Chance
from pinnace.base.clock import Clock
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_time
from pinnace.kube.kinds import NODE, POD, SECRET, SERVICE_ACCOUNT, Kind
from pinnace.kube.objects.authentication_v1 import BoundObjectReference, TokenRequestSpec, TokenRequestStatus
from pinnace.kube.objects.core_v1 import Secret, ServiceAccount
from pinnace.kube.objects.meta_v1 import ObjectMeta

log = logging.getLogger("pinnace.api")

ALGORITHM = "RS256"  # Source: kubeadm's sa.key is an RSA key
DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local"
DEFAULT_LIFE_S = 60 * 60  # Source: pkg/apis/authentication/v1/defaults.go
LEAST_LIFE_S = 10 * 60
MOST_LIFE_S = 1 << 32

_REMEMBERED = 4096
_MOST_BYTES = 16 * 1024  # more than any header that a server takes
_KINDS: dict[str, Kind[Any]] = {"serviceaccount": SERVICE_ACCOUNT, "pod": POD, "node": NODE, "secret": SECRET}


class Authenticated(NamedTuple):
    """Whose token it is, and for which of the wanted audiences it counts."""

    user: User
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Verified:
    claims: dict[str, Any]
    bound: Bound
    user: User
    audiences: tuple[str, ...]


class Tokens:
    """Issues and checks. `key`: the signing key as PEM."""

    def __init__(
        self,
        facts: Facts,
        key: bytes,
        clock: Clock,
        chance: Chance,
        *,
        issuer: str = DEFAULT_ISSUER,
    ) -> None:
        self._facts = facts
        self._clock = clock
        self._chance = chance
        self.issuer = issuer
        self.audiences = (issuer,)
        private = serialization.load_pem_private_key(key, password=None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError("the signing key of service accounts is no RSA key")
        self._private = private
        self._public = private.public_key()
        der = self._public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key_id = _unpadded(hashlib.sha256(der).digest())
        self._verified: dict[str, _Verified] = {}
        self._told: set[str] = set()  # accounts whose programs keep tokens for too long

    # ------------------------------------------------------------------ issuing

    def issue(self, namespace: str, name: str, spec: TokenRequestSpec) -> TokenRequestStatus:
        """Return a token of a service account.

        Raises: ApiError NotFound (account, bound object), Invalid, BadRequest, Conflict (another uid).
        """
        account = self._get(SERVICE_ACCOUNT, namespace, name)
        life_s = DEFAULT_LIFE_S if spec.expiration_seconds is None else spec.expiration_seconds
        _check_life(life_s)
        bound = self._bind(namespace, account, spec.bound_object_ref)
        audiences = spec.audiences or self.audiences
        token_life_s, warn_s = life_s, 0
        if bound.pod is not None and life_s == WARN_ONLY_S and set(audiences) <= set(self.audiences):
            token_life_s, warn_s = EXTENDED_S, life_s
        now = self._clock.now()
        claims = build_claims(
            bound,
            issuer=self.issuer,
            audiences=audiences,
            now=now,
            life_s=token_life_s,
            warn_s=warn_s,
            jti=self._chance.uid(),
        )
        return TokenRequestStatus(
            token=self._sign(claims), expiration_timestamp=render_time(int(now) + life_s)
        )

    def issue_legacy(self, secret: Secret, account: ServiceAccount) -> str:
        """Return the token that a Secret of type kubernetes.io/service-account-token holds."""
        meta = account.metadata
        reference = Reference(meta.name, meta.uid)
        return self._sign(build_legacy_claims(meta.namespace, reference, secret.metadata.name))

    def _sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._private, ALGORITHM, headers={"kid": self._key_id, "typ": None})

    def _get(self, kind: Kind[Any], namespace: str, name: str) -> Any:
        found = self._facts.find(kind, namespace, name)
        if found is None:
            raise ApiError(
                Reason.NOT_FOUND,
                f'{kind.group_resource} "{name}" not found',
                kind=kind.plural,
                group=kind.group,
                name=name,
            )
        return found

    def _bind(self, namespace: str, account: ServiceAccount, ref: BoundObjectReference | None) -> Bound:
        meta = account.metadata
        owner = Reference(meta.name, meta.uid)
        if ref is None:
            return Bound(namespace=namespace, account=owner)
        match ref.api_version, ref.kind:
            case (("v1" | ""), "Pod"):
                pod = self._get(POD, namespace, ref.name)
                if pod.spec.service_account_name != meta.name:
                    raise ApiError(
                        Reason.BAD_REQUEST,
                        f'cannot bind token for serviceaccount "{meta.name}" to pod running with different '
                        "serviceaccount name.",
                    )
                found = _check_uid(pod.metadata, ref)
                return Bound(
                    namespace=namespace, account=owner, pod=found, node=self._node_of(pod.spec.node_name)
                )
            case (("v1" | ""), "Secret"):
                found = _check_uid(self._get(SECRET, namespace, ref.name).metadata, ref)
                return Bound(namespace=namespace, account=owner, secret=found)
            case (("v1" | ""), "Node"):
                found = _check_uid(self._get(NODE, "", ref.name).metadata, ref)
                return Bound(namespace=namespace, account=owner, node=found)
        group, _, version = ref.api_version.rpartition("/")
        raise ApiError(
            Reason.BAD_REQUEST, f"cannot bind token to object of type {group}/{version}, Kind={ref.kind}"
        )

    def _node_of(self, name: str) -> Reference | None:
        if not name:
            return None
        node = self._facts.find(NODE, "", name)
        return Reference(name, node.metadata.uid if node is not None else "")

    # ------------------------------------------------------------------ checking

    def authenticate(self, token: str, audiences: tuple[str, ...] = ()) -> Authenticated:
        """Return whose token it is. `audiences`: for one of which it must be; the API's own when none is given.

        Raises: TokenRefused, with an empty reason for a token that is not ours.
        """
        known = self._verified.get(token)
        if known is None:
            known = self._verify(token)
        now = self._clock.now()
        check_times(known.claims, now)
        wanted = audiences or self.audiences
        held = tuple(one for one in wanted if one in known.audiences)
        if not held:
            raise TokenRefused(
                f"token audiences {_quoted(known.audiences)} is invalid for the target audiences {_quoted(wanted)}"
            )
        check_bound(known.bound, self._find, now)
        if known.claims["iss"] == LEGACY_ISSUER:
            self._check_copy(token, known.bound)
        self._tell_stale(known, now)
        return Authenticated(known.user, held)

    def _tell_stale(self, known: _Verified, now: float) -> None:
        """Say once per account that a program doesn't read its token anew: on a stricter cluster it would be locked out."""
        warn_at = known.claims.get("kubernetes.io", {}).get("warnafter")
        if warn_at is not None and now > warn_at and known.user.name not in self._told:
            self._told.add(known.user.name)
            pod = known.bound.pod.name if known.bound.pod is not None else ""
            log.warning(
                "%s (pod %s) uses a token %d s after it should have read the next one",
                known.user.name,
                pod,
                now - warn_at,
            )

    def _find(self, word: str, namespace: str, name: str) -> ObjectMeta | None:
        found = self._facts.find(_KINDS[word], namespace, name)
        return None if found is None else meta_of(found)

    def _verify(self, token: str) -> _Verified:
        """Check the signature, once. Raises: TokenRefused."""
        if len(token) > _MOST_BYTES or token.count(".") != 2:
            raise TokenRefused("")
        if _read_issuer(token) not in (self.issuer, LEGACY_ISSUER):
            raise TokenRefused("")
        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                options={
                    "verify_signature": True,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "verify_iss": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise TokenRefused(f"failed to validate the token: {error}") from None
        bound = read_bound(claims)
        given = claims.get("aud")
        audiences = (
            (given,) if isinstance(given, str) else tuple(map(str, given)) if isinstance(given, list) else ()
        )
        if claims["iss"] == LEGACY_ISSUER and not audiences:
            audiences = self.audiences
        if len(self._verified) >= _REMEMBERED:
            self._verified.pop(next(iter(self._verified)))
        verified = _Verified(claims, bound, bound.to_user(str(claims.get("jti", ""))), audiences)
        self._verified[token] = verified
        return verified

    def _check_copy(self, token: str, bound: Bound) -> None:
        """A Secret's token counts as long as the Secret holds it."""
        name = bound.secret.name if bound.secret is not None else ""
        secret = self._facts.find(SECRET, bound.namespace, name)
        held = secret.data.get(TOKEN_KEY, "") if secret is not None else ""
        if held != base64.b64encode(token.encode()).decode():
            raise TokenRefused("token does not match server's copy")

    # ------------------------------------------------------------------ for others who check

    def discovery(self, jwks_uri: str) -> dict[str, Any]:
        """Return /.well-known/openid-configuration."""
        return {
            "issuer": self.issuer,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }

    def jwks(self) -> dict[str, Any]:
        """Return /openid/v1/jwks: the public key."""
        numbers = self._public.public_numbers()
        return {
            "keys": [
                {
                    "use": "sig",
                    "kty": "RSA",
                    "kid": self._key_id,
                    "alg": ALGORITHM,
                    "n": _number(numbers.n),
                    "e": _number(numbers.e),
                }
            ]
        }


def make_key() -> bytes:
    """Return a new signing key as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _check_life(life_s: int) -> None:
    problems = Problems()
    if life_s < LEAST_LIFE_S:
        problems.invalid("spec.expirationSeconds", life_s, "may not specify a duration less than 10 minutes")
    if life_s > MOST_LIFE_S:
        problems.invalid(
            "spec.expirationSeconds", life_s, "may not specify a duration larger than 2^32 seconds"
        )
    if problems:
        raise problems.to_error("TokenRequest", "authentication.k8s.io", "")


def _check_uid(meta: ObjectMeta, ref: BoundObjectReference) -> Reference:
    if ref.uid and ref.uid != meta.uid:
        why = (
            f"the UID in the bound object reference ({ref.uid}) does not match the UID in record. The object might have "
            "been deleted and then recreated"
        )
        raise ApiError(
            Reason.CONFLICT,
            f'Operation cannot be fulfilled on {ref.kind} "{ref.name}": {why}',
            kind=ref.kind,
            name=ref.name,
        )
    return Reference(meta.name, meta.uid)


def _read_issuer(token: str) -> str:
    """Return who claims to have issued a token, "" when that can't be read. Nothing is checked here."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return ""
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else ""


def _quoted(texts: tuple[str, ...]) -> str:
    return "[" + " ".join(f'"{text}"' for text in texts) + "]"


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _unpadded(value.to_bytes((value.bit_length() + 7) // 8, "big"))
