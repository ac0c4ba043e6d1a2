"""Finds what is to be said about an object that is stored: its kind's own warnings, and fields that nothing acts on.

Called by `prepare.py` for callers that read warnings. What is said about equal pod specs is found once: the pods of one
template come by the thousand. Pure but for that memory.
"""

from typing import Any

from pinnace.api.memo import Memo, spec_key
from pinnace.api.strategy import Strategy
from pinnace.api.unacted import find_unacted
from pinnace.api.validation.names import check_label_name
from pinnace.kube import kinds
from pinnace.kube.kinds import POD
from pinnace.kube.objects.meta_v1 import ObjectMeta

_SAID: Memo[tuple[str, ...]] = Memo()
_SPOKEN_OF_WHEN_CHANGED = frozenset(
    {
        kinds.CRON_JOB.resource,
        kinds.DAEMON_SET.resource,
        kinds.DEPLOYMENT.resource,
        kinds.JOB.resource,
        kinds.REPLICA_SET.resource,
        kinds.REPLICATION_CONTROLLER.resource,
        kinds.STATEFUL_SET.resource,
    }
)


def find_warnings(row: Strategy[Any], obj: Any, old: Any = None) -> tuple[str, ...]:
    """Return the sentences, in the order in which they were found; OLD is what OBJ replaces, if it replaces something.

    As on any cluster, a change of a pod brings none of its kind's own, and that of another workload only where its spec
    changed.
    """
    if old is not None and _is_known(row, obj, old):
        return tuple(find_unacted(row.kind, obj))
    if row.kind is not POD or _says_more(obj.metadata):
        return (*row.warn(obj), *find_unacted(row.kind, obj))
    key = spec_key(obj.spec)
    said = _SAID.get(key)
    if said is None:
        said = (*row.warn(obj), *find_unacted(row.kind, obj))
        _SAID.put(key, said)
    return said


def _is_known(row: Strategy[Any], obj: Any, old: Any) -> bool:
    if row.kind is POD:
        return True
    return row.kind.resource in _SPOKEN_OF_WHEN_CHANGED and obj.metadata.generation == old.metadata.generation


def _says_more(meta: ObjectMeta) -> bool:
    """Whether something may be said of a pod that doesn't follow from its spec: of its name, of Kubernetes' annotations."""
    return any("kubernetes.io/" in key for key in meta.annotations) or bool(check_label_name(meta.name))
