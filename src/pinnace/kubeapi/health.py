"""Answers whether the API is alive and ready, check by check.

Called for /healthz, /livez and /readyz and what is below them. Checks look, and never act. Source: Kubernetes v1.37,
apiserver/pkg/server/healthz/healthz.go, handleRootHealth, for paths, query and text.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from pinnace.api.facade import Api
from pinnace.kubeapi.query import Query

_TEXT = {
    "Content-Type": "text/plain; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache, no-store, must-revalidate",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that can be wrong; `look` returns what is, "" while all is well."""

    name: str
    look: Callable[[], str]


class Health:
    """The checks of one server. `stopping` is set by whoever ends it: what is alive then is no longer ready."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.stopping = False
        ping = Check("ping", lambda: "")
        store = Check("store", self._look_at_store)
        shutdown = Check("shutdown", lambda: "process is shutting down" if self.stopping else "")
        self._checks: Mapping[str, tuple[Check, ...]] = {
            "healthz": (ping, store),
            "livez": (ping, store),
            "readyz": (ping, store, shutdown),
        }

    def _look_at_store(self) -> str:
        failure = self._api.store.failure
        return "" if failure is None else failure.message

    def serve(self, path: str, query: Query) -> web.Response | None:
        """Return the answer for /livez and its like, or for one check below; None if there is no such check."""
        group, _, name = path.strip("/").partition("/")
        checks = self._checks.get(group)
        if checks is None:
            return None
        if not name:
            return _answer(*render_health(group, checks, query))
        for check in checks:
            if check.name == name:
                wrong = check.look()
                return _answer(f"internal server error: {wrong}\n" if wrong else "ok", not wrong)
        return None

    def paths(self) -> list[str]:
        """Return every path that is served here."""
        groups = [f"/{group}" for group in self._checks]
        return groups + [
            f"/{group}/{check.name}" for group, checks in self._checks.items() for check in checks
        ]


def render_health(group: str, checks: tuple[Check, ...], query: Query) -> tuple[str, bool]:
    """Return the text for a group of checks, and whether all is well.

    Example: "[+]ping ok\\n[-]store failed: disk full\\nlivez check failed\\n".
    """
    excluded = set(query.all("exclude"))
    lines, well = [], True
    for check in checks:
        if check.name in excluded:
            excluded.discard(check.name)
            lines.append(f"[+]{check.name} excluded: ok\n")
        elif wrong := check.look():
            well = False
            lines.append(f"[-]{check.name} failed: {wrong}\n")
        else:
            lines.append(f"[+]{check.name} ok\n")
    if excluded:
        names = ", ".join(f'"{name}"' for name in sorted(excluded))
        lines.append(f"warn: some health checks cannot be excluded: no matches for {names}\n")
    if not well:
        return "".join(lines) + f"{group} check failed\n", False
    return ("".join(lines) + f"{group} check passed\n" if "verbose" in query else "ok"), True


def _answer(text: str, well: bool) -> web.Response:
    return web.Response(body=text.encode(), status=200 if well else 500, headers=_TEXT)
