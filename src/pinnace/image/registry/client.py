"""Speaks to one repository of a registry: where, as whom, how often. Synchronous, for worker processes.

Called by the jobs `fetch`, `receive` and `send`. Redirects are followed, but what proves who we are goes only to the host
that it is for. Invariant: every way out of `ask` is an answer with a status that was asked for, or a `Trouble`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from pinnace.base.errors import HostError, UserError
from pinnace.image.registry import challenge
from pinnace.image.registry.challenge import Challenge, Token, TokenAnswer
from pinnace.image.registry.connection import Answer, Body, Connection
from pinnace.image.registry.endpoints import Endpoint, compute_endpoints, is_insecure
from pinnace.image.registry.refusals import Trouble, build_refusal, compute_delay
from pinnace.image.registry.settings import RegistrySettings
from pinnace.oci.credentials import Credential

R = TypeVar("R")

REDIRECTS_MAX = 10
MIRROR_TRIES = 2  # behind a mirror there is always somebody else to ask
TOKEN_MAX_BYTES = 1 << 20
REFUSAL_MAX_BYTES = 1 << 16
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SHOW_EVERY_S = 0.2

Report = Callable[[str, int, int], None]


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker process needs to speak to a repository.

    `credentials` are by domain, for mirrors by their host. `endpoint` is the one that worked for this image, `own` the one
    of the registry itself that worked the last time (with TLS, or without). `actions` is "pull" or "pull,push"; `mounts`
    are repositories of the same registry that blobs may be mounted from.
    """

    domain: str
    repository: str
    settings: RegistrySettings
    credentials: dict[str, Credential] = {}
    tokens: tuple[Token, ...] = ()
    endpoint: Endpoint | None = None
    own: Endpoint | None = None
    actions: str = "pull"
    mounts: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.domain}/{self.repository}"


class Client:
    """A conversation with one repository."""

    def __init__(self, access: Access, report: Report) -> None:
        self._access = access
        self._settings = access.settings
        self._report = report
        self._connections: dict[tuple[str, str, bool], Connection] = {}
        self._tokens = list(access.tokens)
        self._stopped = threading.Event()
        self.endpoints = order_endpoints(
            compute_endpoints(access.domain, access.settings, push="push" in access.actions),
            access.own,
            access.endpoint,
        )
        self.endpoint = self.endpoints[0]
        self.identity_token = ""  # what a token server gave to be shown instead of the password

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def abort(self) -> None:
        """Break all connections, for another thread that waits on one of them."""
        self._stopped.set()
        for connection in list(self._connections.values()):
            connection.abort()

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens to use again."""
        now = time.monotonic()
        return tuple(token for token in self._tokens if not token.scope or token.until > now)

    # --- trying again ------------------------------------------------------------------------------------------------

    def anywhere(self, do: Callable[[], R]) -> R:
        """Do something at the first address where it works; later calls begin there. Raises: PinnaceError.

        The error is that of the registry itself, which comes last, and not that of a mirror before it.
        """
        troubles: list[Trouble] = []
        for endpoint in self.endpoints:
            self.endpoint = endpoint
            try:
                result = do()
            except Trouble as trouble:
                troubles.append(trouble)
                if trouble.reached and not endpoint.mirror:
                    break
            else:
                self.endpoints = (endpoint, *(one for one in self.endpoints if one != endpoint))
                return result
        raise troubles[-1].error

    def patiently(
        self, do: Callable[[], R], *, moved: Callable[[], int] = lambda: 0, unless_answered: bool = False
    ) -> R:
        """Do something again after troubles that may pass, with growing delays. Raises: Trouble.

        Tries count from the last one at which `moved()`, the bytes that have travelled, grew. With `unless_answered`, an
        answer with a bad status is not one that another try would change.
        """
        patience = self._settings.patience
        tries = min(patience.tries, MIRROR_TRIES) if self.endpoint.mirror else patience.tries
        attempt, before = 0, moved()
        while True:
            try:
                return do()
            except Trouble as trouble:
                now = moved()
                attempt = 1 if now > before else attempt + 1
                before = now
                given_up = self._stopped.is_set() or not trouble.again or attempt >= tries
                if given_up or (unless_answered and trouble.status):
                    raise
                delay_s = compute_delay(
                    attempt, patience.first_delay_s, patience.most_delay_s, trouble.after_s
                )
                self.wait(delay_s, trouble)

    def wait(self, delay_s: float, trouble: Trouble) -> None:
        """Wait, and tell why."""
        end = time.monotonic() + delay_s
        while not self._stopped.is_set() and (left := end - time.monotonic()) > 0:
            self._report(f"retrying {trouble.error.message}", 0, int(left) + 1)
            time.sleep(min(left, SHOW_EVERY_S))

    # --- one request -------------------------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        *,
        what: str,
        ok: Iterable[int] = (200,),
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Answer:
        """Ask the registry, logging in where it wants that. `path` begins behind /v2/NAME/, or is a whole URL.

        Raises: Trouble.
        """
        base = f"{self.endpoint.url}/v2/{self._access.repository}/"
        url = path if "://" in path else base + path
        for attempt in range(2):
            answer, at = self._follow(method, url, dict(headers or {}), body)
            if answer.status in ok:
                return answer
            said = answer.start_of_body(REFUSAL_MAX_BYTES)
            if answer.status != 401 or attempt or not self._is_own(at) or not self._log_in(answer.challenges):
                break
        raise build_refusal(
            answer.status,
            answer.reason,
            said,
            answer.headers.get("Retry-After", ""),
            what=what,
            name=self._access.name,
            host=urlsplit(at).netloc,
            domain=self._access.domain,
            now=time.time(),
        )

    def locate(self, answer: Answer) -> str:
        """Return the URL that an answer's Location means. Raises: Trouble when there is none."""
        location = answer.headers.get("Location", "")
        if not location:
            raise Trouble(HostError(f"{self.endpoint.host} does not say where to go on (no Location)"))
        return self.absolute(location)

    def absolute(self, location: str) -> str:
        """Return the URL that a registry means by a path or a URL."""
        return join_url(f"{self.endpoint.url}/v2/", location)

    def _follow(
        self, method: str, url: str, headers: dict[str, str], body: Body | None
    ) -> tuple[Answer, str]:
        for _ in range(REDIRECTS_MAX):
            parts = urlsplit(url)
            connection = self._connection(parts.scheme, parts.netloc)
            sent = dict(headers)
            if self._is_own(url) and (token := self._token()) is not None:
                sent["Authorization"] = token.header
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            answer = connection.request(method, target, sent, body)
            location = answer.headers.get("Location")
            if answer.status not in REDIRECTS or not location:
                return answer, url
            answer.finish()
            url = join_url(url, location)
        raise Trouble(HostError(f"{self.endpoint.host} redirects more than {REDIRECTS_MAX} times"))

    def _connection(self, scheme: str, host: str) -> Connection:
        own = host == self.endpoint.host
        verify = self.endpoint.verify if own else not self._allows_any(host)
        key = (scheme, host, verify)
        if key not in self._connections:
            self._connections[key] = Connection(scheme, host, verify, self._settings)
        return self._connections[key]

    def _allows_any(self, host: str) -> bool:
        return is_insecure(host, self._settings)

    def _is_own(self, url: str) -> bool:
        """Say whether an address is the registry's own: same scheme, same host, same port."""
        parts = urlsplit(url)
        return (parts.scheme, parts.netloc) == (self.endpoint.scheme, self.endpoint.host)

    # --- who we are --------------------------------------------------------------------------------------------------

    @property
    def _scopes(self) -> tuple[str, ...]:
        if not self._access.repository:
            return ()
        return challenge.scopes(self._access.repository, self._access.actions, self._access.mounts)

    @property
    def _credential(self) -> Credential | None:
        return self._access.credentials.get(self.endpoint.domain)

    def _token(self) -> Token | None:
        return challenge.find_token(self._tokens, self.endpoint.url, self._scopes, time.monotonic())

    def _log_in(self, headers: Iterable[str]) -> bool:
        """Get what a 401 asks for; say whether there is something new to try. Raises: Trouble from the token server."""
        way = challenge.choose(challenge.parse_challenges(headers))
        old = self._token()
        self._tokens = [token for token in self._tokens if token is not old]
        if way is None:
            return False
        if way.scheme == "basic":
            if self._credential is None or (old is not None and old.header.startswith("Basic ")):
                return False
            token = Token(host=self.endpoint.url, scope="", header=challenge.basic_header(self._credential))
        else:
            token = self._fetch_token(way)
        self._tokens.append(token)
        return True

    def _fetch_token(self, way: Challenge) -> Token:
        credential = self._credential
        realm = urlsplit(way.params["realm"])
        plain = realm.scheme == "http" and not is_insecure(realm.netloc, self._settings)
        if plain and self.endpoint.scheme == "https" and credential is not None:
            raise Trouble(
                UserError(
                    f"{self.endpoint.host} wants the password sent to {realm.netloc} without TLS: refused",
                    hint=f"pinnace logout {self._access.domain} asks without it",
                )
            )
        if credential is not None and credential.identity_token:
            form = _Bytes(challenge.token_form(way, self._scopes, credential))
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._ask_realm("POST", way.params["realm"], headers, form)
        else:
            headers = {}
            if credential is not None and credential.username:
                headers["Authorization"] = challenge.basic_header(credential)
            answer = self._ask_realm(
                "GET",
                challenge.token_query(way, self._scopes, credential, offline=not self._scopes),
                headers,
                None,
            )
        try:
            said = msgspec.json.decode(answer.body(TOKEN_MAX_BYTES), type=TokenAnswer)
        except msgspec.MsgspecError as error:
            raise Trouble(
                UserError(f"the token server {realm.netloc} can't be understood: {error}")
            ) from error
        self.identity_token = said.refresh_token
        token = challenge.build_token(self.endpoint.url, self._scopes, said, time.monotonic())
        if token is None:
            raise Trouble(UserError(f"the token server {realm.netloc} gave no token"))
        return token

    def _ask_realm(self, method: str, url: str, headers: Mapping[str, str], body: Body | None) -> Answer:
        parts = urlsplit(url)
        connection = self._connection(parts.scheme, parts.netloc)
        answer = connection.request(method, f"{parts.path or '/'}?{parts.query}", headers, body)
        if answer.status == 200:
            return answer
        raise build_refusal(
            answer.status,
            answer.reason,
            answer.start_of_body(REFUSAL_MAX_BYTES),
            answer.headers.get("Retry-After", ""),
            what=f"a token for {self._access.name}",
            name=self._access.name,
            host=parts.netloc,
            domain=self._access.domain,
            now=time.time(),
        )


def order_endpoints(
    endpoints: tuple[Endpoint, ...], own: Endpoint | None, first: Endpoint | None
) -> tuple[Endpoint, ...]:
    """Return the addresses in the order in which they are tried: `first`, then mirrors, then the registry's, `own` first."""

    def rank(endpoint: Endpoint) -> tuple[bool, bool, bool]:
        return endpoint != first, not endpoint.mirror, endpoint != own

    return tuple(sorted(endpoints, key=rank))


def join_url(base: str, location: str) -> str:
    """Return the address that a Location means. Raises: Trouble when it is none of the web's."""
    try:
        url = urljoin(base, location)
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url:
        raise Trouble(UserError(f"{urlsplit(base).netloc} sends us to {location!r}, which is no web address"))
    return url


class _Bytes:
    """A small body."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size: int | None = len(data)

    def pieces(self) -> Iterable[bytes]:
        yield self._data


def body_of(data: bytes) -> Body:
    """Return a small body."""
    return _Bytes(data)
