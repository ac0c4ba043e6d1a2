"""Says which fields of an object are kept and served, and nothing here acts on: a table of rows, and one walk.

Called by the write path for each create and change of an object whose caller reads warnings; docs/compatibility.md lists
the same rows (tools/generate_docs.py). Pure. Invariant: a row is here exactly as long as no code acts on its field: whoever
makes it act takes the row away.

A new row goes into ROWS here, or into the file of rows of its kinds that ROWS names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pinnace.api.memo import Memo, spec_key
from pinnace.api.unacted_pods import POD_SPEC
from pinnace.api.unacted_row import Unacted
from pinnace.base.errors import Bug
from pinnace.kube import kinds
from pinnace.kube.kinds import Kind
from pinnace.kube.schema import Form, Shape, schema_of

__all__ = ["ROWS", "Unacted", "find_unacted", "rows_of"]

_NO_CONTROLLER = "no controller of this kind runs here yet, so no pods are made of it"

# Kinds of which nothing but the object is made.
_WHOLE_KINDS = (
    Unacted("apps/daemonsets", "", _NO_CONTROLLER),
    Unacted("apps/statefulsets", "", _NO_CONTROLLER),
    Unacted("batch/cronjobs", "", "no controller of this kind runs here yet, so no jobs are made of it"),
    Unacted("batch/jobs", "", _NO_CONTROLLER),
    Unacted("networking.k8s.io/ingressclasses", "", "no ingress controller runs here"),
    Unacted("networking.k8s.io/ingresses", "", "no ingress controller runs here, so nothing is routed by it"),
    Unacted("networking.k8s.io/networkpolicies", "", "nothing enforces it: every pod may reach every other"),
    Unacted("node.k8s.io/runtimeclasses", "handler", "every pod runs in the instance's own runtime"),
    Unacted("persistentvolumeclaims", "", "no volumes are bound to claims here yet"),
    Unacted("persistentvolumes", "", "no volumes are bound to claims here yet"),
    Unacted("replicationcontrollers", "", _NO_CONTROLLER),
    Unacted("storage.k8s.io/storageclasses", "", "no volumes are provisioned here yet"),
)  # fmt: skip

_SERVICES = (
    Unacted("services", "spec.allocateLoadBalancerNodePorts", "node ports are given out all the same", only=(False,)),
    Unacted("services", "spec.healthCheckNodePort", "nothing answers on it: there is one node"),
    Unacted("services", "spec.ipFamilyPolicy", "there is no IPv6 here", only=("PreferDualStack", "RequireDualStack")),
    Unacted("services", "spec.loadBalancerIP", "the address is the host's own"),
    Unacted("services", "spec.sessionAffinityConfig", "a client keeps its pod without a time limit"),
)  # fmt: skip

_NODES = (
    Unacted("nodes", "spec.configSource", "the node isn't configured through the API"),
    Unacted("nodes", "spec.podCIDR", "the range of pods' addresses is a setting of the instance"),
    Unacted("nodes", "spec.taints[].effect", "pods that run already are not evicted", only=("NoExecute",)),
)  # fmt: skip

_AUTOSCALERS = (
    Unacted("autoscaling/horizontalpodautoscalers", "spec.metrics[].external", "only cpu and memory are measured here"),
    Unacted("autoscaling/horizontalpodautoscalers", "spec.metrics[].object", "only cpu and memory are measured here"),
    Unacted("autoscaling/horizontalpodautoscalers", "spec.metrics[].pods", "only cpu and memory are measured here"),
)  # fmt: skip

# Where the pods of a kind whose controller runs here are described.
_TEMPLATES = {
    "pods": "spec",
    "apps/deployments": "spec.template.spec",
    "apps/replicasets": "spec.template.spec",
}

ROWS: tuple[Unacted, ...] = (
    *_WHOLE_KINDS,
    *_SERVICES,
    *_NODES,
    *_AUTOSCALERS,
    *(row.at(resource, path) for resource, path in _TEMPLATES.items() for row in POD_SPEC),
)


def rows_of(resource: str) -> tuple[Unacted, ...]:
    """Return the rows of one stored resource; those of the kind as a whole hide the others."""
    own = tuple(row for row in ROWS if row.resource == resource)
    return tuple(row for row in own if not row.path) or own


def find_unacted(kind: Kind[Any], obj: Any) -> Iterator[str]:
    """Yield a sentence for each field of a stored object that nothing acts on.

    Example: spec.volumes[0].nfs: stored, but not acted on: volumes of this type aren't mounted, so the pod won't start
    """
    tree = _tree_of(kind.resource)
    if tree is None:
        return
    if tree.rows:
        yield from (f"{kind.kind}: stored, but not acted on: {row.why}" for row in tree.rows)
        return
    if all(below.attribute == "spec" for below in tree.below.values()):
        yield from _find_in_spec(kind, obj, tree)
        return
    yield from _find_below(obj, tree)


# Specs come again and again, with each change of a label or of one value beside; a walk costs what ten encodings do.
REMEMBERED_BYTES = 16_384
_KNOWN: Memo[tuple[str, ...]] = Memo()


def _find_in_spec(kind: Kind[Any], obj: Any, tree: _Branch) -> tuple[str, ...]:
    text = spec_key(obj.spec)
    known = _KNOWN.get((kind.resource, text))
    if known is None:
        known = tuple(_find_below(obj, tree))
        if len(text) <= REMEMBERED_BYTES:
            _KNOWN.put((kind.resource, text), known)
    return known


def _find_below(obj: Any, tree: _Branch) -> Iterator[str]:
    for path, row in _walk(obj, tree, None):
        yield f"{_render(path)}: stored, but not acted on: {row.why}"


# ---------------------------------------------------------------------------------------------------- the walk

_Path = tuple[Any, str]  # (the path before, what is added)


@dataclass(slots=True)
class _Branch:
    """One field on the way to rows: how to read it, and what is below.

    `form` says what stands before the branches below: a STRUCT, each item of a LIST, or one entry of a MAP under `key`.
    """

    wire: str = ""
    attribute: str = ""
    form: Form = Form.STRUCT
    key: str = ""
    rows: list[Unacted] = field(default_factory=list)
    below: dict[tuple[str, str], _Branch] = field(default_factory=dict)


def _walk(value: Any, branch: _Branch, path: _Path | None) -> Iterator[tuple[_Path, Unacted]]:
    for below in branch.below.values():
        part = getattr(value, below.attribute)
        if part is None or part == () or part == "":
            continue
        if below.form is Form.LIST:
            for index, item in enumerate(part):
                yield from _judge(value, item, below, (path, f"{below.wire}[{index}]"))
        elif below.form is Form.MAP:
            if below.key in part:
                yield from _judge(value, part[below.key], below, (path, f"{below.wire}[{below.key}]"))
        else:
            yield from _judge(value, part, below, (path, below.wire))


def _judge(owner: Any, value: Any, branch: _Branch, path: _Path) -> Iterator[tuple[_Path, Unacted]]:
    for row in branch.rows:
        if row.concerns(owner, value):
            yield path, row
    if branch.below:
        yield from _walk(value, branch, path)


def _render(path: Any) -> str:
    words = []
    while path is not None:
        path, word = path
        words.append(word)
    return ".".join(reversed(words))


_SEGMENT = re.compile(r"([^.\[\]]+)(?:(\[)([^\]]*)\])?(?:\.|$)")


def parse_path(path: str) -> tuple[tuple[str, Form, str], ...]:
    """Return a row's path as (wire name, form, key).

    Example: "limits[a.b]" is one entry of a map, "volumes[].nfs" a field of each item of a list. Raises: Bug.
    """
    found: list[tuple[str, Form, str]] = []
    at = 0
    while at < len(path):
        match = _SEGMENT.match(path, at)
        if match is None:
            raise Bug(f"the path {path!r} of an unacted field can't be read")
        name, bracket, key = match.groups()
        found.append((name, Form.STRUCT if not bracket else Form.MAP if key else Form.LIST, key or ""))
        at = match.end()
    return tuple(found)


@cache
def _tree_of(resource: str) -> _Branch | None:
    rows = rows_of(resource)
    kind = kinds.by_resource(resource)
    if not rows or kind is None:
        return None
    return _build(kind.type, rows)


def _build(struct: type[Any], rows: Sequence[Unacted]) -> _Branch:
    root = _Branch()
    for row in rows:
        branch, shape = root, Shape(Form.STRUCT, struct=struct)
        for wire, form, key in parse_path(row.path):
            attribute, shape = _step(shape, wire, form, row)
            branch = branch.below.setdefault((wire, key), _Branch(wire, attribute, form, key))
        branch.rows.append(row)
    return root


def _step(shape: Shape, wire: str, form: Form, row: Unacted) -> tuple[str, Shape]:
    known = schema_of(shape.struct).fields.get(wire) if shape.struct is not None else None
    if known is None or (form is not Form.STRUCT and known.shape.item is None):
        raise Bug(f"{row.resource} has no field {row.path}")
    inner = known.shape if form is Form.STRUCT else known.shape.item
    assert inner is not None
    return known.attribute, inner
