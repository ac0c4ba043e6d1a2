"""Finds what is to be said about an object that is stored: its kind's own warnings, and fields that nothing acts on.

Called by `prepare.py` for callers that read warnings. What is said about equal pod specs is found once: the pods of one
template come by the thousand. Pure but for that memory.
"""

from typing import Any

from pinnace.api.memo import Memo, spec_key
from pinnace.api.strategy import Strategy
from pinnace.api.unacted import find_unacted
from pinnace.api.validation.names import check_label_name
from pinnace.kube.kinds import POD

_SAID: Memo[tuple[str, ...]] = Memo()


def find_warnings(row: Strategy[Any], obj: Any) -> tuple[str, ...]:
    """Return the sentences, in the order in which they were found."""
    if row.kind is not POD or obj.metadata.annotations or check_label_name(obj.metadata.name):
        return (*row.warn(obj), *find_unacted(row.kind, obj))
    key = spec_key(obj.spec)  # with neither annotations nor a strange name, all depends on the spec
    said = _SAID.get(key)
    if said is None:
        said = (*row.warn(obj), *find_unacted(row.kind, obj))
        _SAID.put(key, said)
    return said
