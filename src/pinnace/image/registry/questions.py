"""Small questions to a registry, as jobs of the worker process: does it know me, which tags are there."""

from __future__ import annotations

import re

import msgspec

from pinnace.base.errors import ApiError, Reason, UserError
from pinnace.image.registry.challenge import Token
from pinnace.image.registry.client import Access, Client, Report
from pinnace.image.registry.endpoints import Endpoint
from pinnace.image.registry.refusals import Trouble

TAGS_MAX_BYTES = 4 << 20
PAGES_MAX = 1000
_NEXT = re.compile(r'\s*<([^>]+)>\s*;.*rel="?next"?')


class LoginJob(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a registry (`access` has no repository) whether it takes the credentials."""

    access: Access


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """It does. `identity_token`: what it wants to be shown from now on instead of the password, or ""."""

    identity_token: str = ""


def check_login(job: LoginJob, report: Report) -> LoggedIn:
    """Do a `LoginJob`. Raises: ApiError (Unauthorized), HostError, UserError when no registry is there."""
    with Client(job.access, report) as client:

        def ask() -> LoggedIn:
            try:
                client.ask("GET", f"{client.endpoint.url}/v2/", what=f"{job.access.domain}/v2/").finish()
            except Trouble as trouble:
                if trouble.status == 404:
                    error = UserError(f"{job.access.domain} is no registry: it does not have /v2/")
                    raise Trouble(error, status=404) from trouble
                if trouble.status == 401:
                    raise Trouble(_refused(job.access.domain, trouble.words), status=401) from trouble
                raise
            return LoggedIn(identity_token=client.identity_token)

        return client.anywhere(ask)


def _refused(domain: str, words: str) -> ApiError:
    return ApiError(
        Reason.UNAUTHORIZED,
        f"{domain} does not accept this login: {words}",
        kind="registries",
        name=domain,
        hint="are name and password right? some registries want an access token instead of the password",
    )


class TagsJob(msgspec.Struct, frozen=True, kw_only=True):
    """List the tags of the repository."""

    access: Access


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """The tags, as the registry sorts them."""

    tags: tuple[str, ...]
    endpoint: Endpoint
    tokens: tuple[Token, ...]


class _Page(msgspec.Struct):
    tags: tuple[str, ...] | None = None


def list_tags(job: TagsJob, report: Report) -> Tags:
    """Do a `TagsJob`. Raises: ApiError, UserError, HostError."""
    what = f"tags of {job.access.name}"
    with Client(job.access, report) as client:

        def pages() -> Tags:
            found: list[str] = []
            path = "tags/list"
            for _ in range(PAGES_MAX):
                answer = client.ask("GET", path, what=what)
                try:
                    page = msgspec.json.decode(answer.body(TAGS_MAX_BYTES), type=_Page)
                except msgspec.MsgspecError as error:
                    raise Trouble(UserError(f"the {what} can't be understood: {error}")) from error
                found += page.tags or ()
                more = _NEXT.match(answer.headers.get("Link", ""))
                if more is None:
                    break
                path = client.absolute(more[1])
            return Tags(tags=tuple(found), endpoint=client.endpoint, tokens=client.tokens)

        return client.anywhere(lambda: client.patiently(pages))
