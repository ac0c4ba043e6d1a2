"""Reads and checks what a request says about a collection: pages, revisions, how a watch begins. Pure.

Called by list, watch and deletecollection. All contradictions are named at once, as Kubernetes does. Source: Kubernetes
v1.37, apimachinery/pkg/apis/meta/internalversion, validation/validation.go and defaults.go; the API concepts page,
"Resource versions".
"""

from dataclasses import dataclass

from pinnace.api.validation.problems import Problems
from pinnace.base.errors import ApiError, Reason
from pinnace.kubeapi.query import Query
from pinnace.store.interface import Revision

EXACT, NOT_OLDER = "Exact", "NotOlderThan"
_MATCHES = (EXACT, NOT_OLDER, "")


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What was asked for.

    Shape: `limit` 0 means all; `revision` is "" where the client names none; `initial` is None where a watch doesn't say
    whether it wants the present objects first. Units: `timeout_s` seconds, None for the server's own choice.
    """

    limit: int = 0
    next_page: str = ""
    revision: str = ""
    match: str = ""
    initial: bool | None = None
    bookmarks: bool = False
    timeout_s: int | None = None

    @property
    def names_revision(self) -> bool:
        """Whether a certain revision is meant, not just any or the newest."""
        return self.revision not in ("", "0")


EVERYTHING = ListOptions()


def read_list_options(query: Query, *, watch: bool = False) -> ListOptions:
    """Return the options. Raises: ApiError Invalid for contradictions, BadRequest for what is no number."""
    if query.is_empty:
        return EVERYTHING
    options = ListOptions(
        limit=max(query.number("limit") or 0, 0),
        next_page=query.text("continue"),
        revision=query.text("resourceVersion"),
        match=query.text("resourceVersionMatch"),
        initial=query.flag("sendInitialEvents") if "sendInitialEvents" in query else None,
        bookmarks=query.flag("allowWatchBookmarks"),
        timeout_s=query.number("timeoutSeconds"),
    )
    problems = Problems()
    (_check_watch if watch else _check_list)(options, problems)
    if problems:
        raise problems.to_error("ListOptions", "meta.k8s.io", "")
    return options


def _check_list(options: ListOptions, problems: Problems) -> None:
    match, field = options.match, "resourceVersionMatch"
    if match:
        if not options.revision:
            problems.forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
        if options.next_page:
            problems.forbidden(field, "resourceVersionMatch is forbidden when continue is provided")
        if match not in _MATCHES:
            problems.not_supported(field, match, _MATCHES)
        if match == EXACT and options.revision == "0":
            problems.forbidden(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if options.initial is not None:
        problems.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")


def _check_watch(options: ListOptions, problems: Problems) -> None:
    match, field = options.match, "resourceVersionMatch"
    if options.initial is not None and match != NOT_OLDER:
        problems.forbidden(field, f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER}")
    if match:
        if options.initial is None:
            problems.forbidden(
                field, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            )
        if match != NOT_OLDER:
            problems.not_supported(field, match, (NOT_OLDER,))
        if options.next_page:
            problems.forbidden(field, "resourceVersionMatch is forbidden when continue is provided")


def parse_revision(text: str) -> Revision:
    """Return a resourceVersion as a number. Raises: ApiError BadRequest, in Kubernetes' words."""
    digits = text.isascii() and text.isdigit()
    if digits and int(text[:21]) < 1 << 64 and len(text) <= 20:
        return Revision(int(text))
    why = "value out of range" if digits else "invalid syntax"
    raise ApiError(
        Reason.BAD_REQUEST,
        f'invalid resource version: resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": {why}',
    )
