"""Turns what a registry answers into errors that hold its own words, and says what may be tried again. Pure.

Source: OCI distribution-spec v1.1, "Error Codes"; the sentences around them are those of Docker's clients.
"""

from __future__ import annotations

import email.utils
import re
from typing import Any

import msgspec

from pinnace.base.errors import ApiError, HostError, PinnaceError, Reason

WORDS_SHOWN = 300
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
RETRY_AFTER_MOST_S = 120.0
_LOOKS_LIKE_HTML = re.compile(rb"\s*<", re.ASCII)


class Trouble(Exception):
    """A request that didn't come to a good end: the error to show, and whether another try may help.

    `reached`: somebody answered at that address. `after_s`: when to try again, as the registry said.
    """

    def __init__(
        self,
        error: PinnaceError,
        *,
        again: bool = False,
        after_s: float | None = None,
        status: int = 0,
        words: str = "",
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.again = again
        self.reached = True
        self.after_s = after_s
        self.status = status
        self.words = words


def words_of(body: bytes, reason: str) -> str:
    """Return what the registry says in its answer: "code: message" of each error, or its text.

    Example: b'{"errors":[{"code":"DENIED","message":"no"}]}' gives "denied: no".
    """
    found = []
    try:
        document: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = None
    if isinstance(document, dict):
        errors = document.get("errors")
        for error in errors if isinstance(errors, list) else [document]:
            found.append(_words_of_error(error))
    elif body and not _LOOKS_LIKE_HTML.match(body):
        found.append(body.decode(errors="replace"))
    text = " ".join("; ".join(part for part in found if part).split())
    return text[:WORDS_SHOWN] or reason.lower() or "no reason given"


def _words_of_error(error: object) -> str:
    if not isinstance(error, dict):
        return ""
    code = str(error.get("code") or error.get("error") or "").replace("_", " ").lower()
    message = str(error.get("message") or error.get("details") or error.get("error_description") or "")
    if message.lower().startswith(code):
        return message
    return ": ".join(part for part in (code, message) if part)


def build_refusal(
    status: int,
    reason: str,
    body: bytes,
    retry_after: str,
    *,
    what: str,
    name: str,
    host: str,
    domain: str,
    now: float,
) -> Trouble:
    """Return the trouble that an answer means.

    `what` was asked for ("manifest for HOST/app:v1"), `name` is the repository, `host` answered, and `domain` is whom
    one logs in to. Units: `now` in seconds since 1970.
    """
    words = words_of(body, reason)
    after_s = parse_retry_after(retry_after, now)
    error: PinnaceError
    match status:
        case 401:
            error = ApiError(
                Reason.UNAUTHORIZED,
                f"access to {name} denied, the repository may not exist or may require a login: {words}",
                kind="images",
                name=name,
                hint=f"pinnace login {domain}",
            )
        case 403:
            error = ApiError(
                Reason.FORBIDDEN,
                f"access to {name} denied: {words}",
                kind="images",
                name=name,
                hint=f"does the user of pinnace login {domain} have the right to it?",
            )
        case 404:
            error = ApiError(Reason.NOT_FOUND, f"{what} not found: {words}", kind="images", name=name)
        case 429:
            error = ApiError(
                Reason.TOO_MANY_REQUESTS,
                f"{host} wants fewer requests, for {what}: {words}",
                kind="images",
                name=name,
                retry_after_s=None if after_s is None else int(after_s),
                hint=f"wait a while, log in (pinnace login {domain}), or use a mirror",
            )
        case _ if status >= 500 or status in AGAIN:
            error = ApiError(
                Reason.SERVICE_UNAVAILABLE,
                f"{host} answers {status} for {what}: {words}",
                kind="images",
                name=name,
            )
        case _:
            error = HostError(f"{host} refuses {what} with {status}: {words}")
    return Trouble(error, again=status in AGAIN, after_s=after_s, status=status, words=words)


def parse_retry_after(text: str, now: float) -> float | None:
    """Return how long to wait; None when the header says nothing. Units: seconds.

    A date is read against `now` (seconds since 1970).
    """
    text = text.strip()
    if text.isdigit():
        return min(float(text), RETRY_AFTER_MOST_S)
    try:
        date = float(email.utils.parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, IndexError):
        return None
    return min(max(0.0, date - now), RETRY_AFTER_MOST_S)


def compute_delay(attempt: int, first_s: float, most_s: float, after_s: float | None) -> float:
    """Return how long to wait after the failed `attempt` (1, 2, …), at least as long as the registry said.

    Units: seconds. Example: first 0.5, attempt 3: 0.5 * 2 * 2 = 2.
    """
    return max(min(first_s * 2.0 ** (attempt - 1), most_s), after_s or 0.0)
