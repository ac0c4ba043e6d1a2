"""Removes events that are older than the API keeps them, once a minute. Run by the runner.

The rule itself (how old) is the API's setting; this only calls it on time.
"""

from pinnace.api.facade import Api
from pinnace.controllers.runner import ObjectKey, Requeue, Source
from pinnace.kube.kinds import NAMESPACE

PERIOD_S = 60.0
_THE_KEY = ObjectKey("", "events")


class EventExpiryController:
    """Forgets old events. It has one key; the first namespace starts it."""

    name = "event-expiry"
    kind = None

    def __init__(self, api: Api) -> None:
        self._api = api
        self.sources = (Source(NAMESPACE, lambda change: (_THE_KEY,) if change.type == "ADDED" else ()),)

    async def reconcile(self, key: ObjectKey) -> Requeue | None:
        await self._api.expire_events()
        return Requeue(PERIOD_S)
