"""Which fields a document speaks of, as sets of paths, and the form in which `managedFields` keeps them.

Pure. A path is a tuple of steps: "f:name" a field, 'k:{"name":"a"}' an item of a list with keys, "v:1" an item of a set.
Source: Kubernetes v1.36, sigs.k8s.io/structured-merge-diff/v6/fieldpath (serialize.go, set.go).
Invariant: from_tree(to_tree(paths)) == paths.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pinnace.kube.kinds import Kind
from pinnace.kube.schema import FieldSchema, Form, Shape, schema_of

Path = tuple[str, ...]

# What every document says, or only we may say: nobody owns it. Source: apiserver/.../managedfields, stripFields.
_NOT_OWNED: frozenset[Path] = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        ("f:metadata",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "generation",
                "managedFields",
                "resourceVersion",
            )
        ),
    }
)
# Keys of list items that are filled in when they are missing. Source: OpenAPI, ContainerPort and ServicePort, protocol.
_KEY_DEFAULTS = {"protocol": "TCP"}

ROOT_FIELD = "the object"


def shape_of_kind(kind: Kind[Any]) -> Shape:
    """Return the shape of a whole object."""
    struct: Any = kind.type
    return Shape(Form.STRUCT, struct=struct)


def child_field(shape: Shape | None, name: str) -> FieldSchema | None:
    """Return what is known of a field of a struct, or of a map's value; None for a shape without such."""
    if shape is None:
        return None
    if shape.form is Form.STRUCT and shape.struct is not None:
        return schema_of(shape.struct).fields.get(name)
    if shape.form is Form.MAP and shape.item is not None:
        return FieldSchema(name, name, shape.item)
    return None


def is_granular(value: Any, field: FieldSchema | None) -> bool:
    """Say whether a value's parts are owned one by one; all else is owned as a whole."""
    if field is not None and field.topology == "atomic":
        return False
    if isinstance(value, dict):
        shape = field.shape if field is not None else None
        return shape is not None and shape.form in (Form.STRUCT, Form.MAP) and not _is_atomic_struct(shape)
    return isinstance(value, list) and field is not None and field.topology in ("map", "set")


def _is_atomic_struct(shape: Shape) -> bool:
    return shape.struct is not None and schema_of(shape.struct).atomic


def item_step(item: Any, field: FieldSchema) -> str:
    """Return the step that leads to an item of a list."""
    if field.topology == "set":
        return f"v:{_render(item)}"
    keys = (
        {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in field.keys} if isinstance(item, dict) else {}
    )
    return f"k:{_render({key: value for key, value in keys.items() if value is not None})}"


def _render(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def collect_paths(kind: Kind[Any], document: Mapping[str, Any]) -> frozenset[Path]:
    """Return the paths of everything that a document speaks of."""
    root = FieldSchema(ROOT_FIELD, ROOT_FIELD, shape_of_kind(kind))
    return frozenset(_walk(dict(document), root, ())) - _NOT_OWNED


def _walk(value: Any, field: FieldSchema | None, path: Path) -> Iterator[Path]:
    if not is_granular(value, field) or not value:
        if path:
            yield path
        return
    assert field is not None
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _walk(part, child_field(field.shape, name), (*path, f"f:{name}"))
        return
    for item in value:
        step = (*path, item_step(item, field))
        yield step
        if field.topology == "map" and isinstance(item, dict) and field.shape.item is not None:
            for name, part in item.items():
                yield from _walk(part, child_field(field.shape.item, name), (*step, f"f:{name}"))


def to_tree(paths: Iterable[Path]) -> dict[str, Any]:
    """Return paths as the nested object that `fieldsV1` is; "." marks an inner node that is itself a member."""
    members = sorted(paths)
    inner = {path[:length] for path in members for length in range(1, len(path))}
    tree: dict[str, Any] = {}
    for path in members:
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        if path in inner:
            node["."] = {}
    return tree


def from_tree(tree: Mapping[str, Any]) -> frozenset[Path]:
    """Return the paths that a `fieldsV1` object holds."""
    return frozenset(_read(tree, ()))


def _read(tree: Mapping[str, Any], path: Path) -> Iterator[Path]:
    if path and (not tree or "." in tree):
        yield path
    for step, below in tree.items():
        if step != ".":
            yield from _read(below, (*path, step))


def render_path(path: Path) -> str:
    """Return a path as errors show it. Example: .spec.template.spec.containers[name="a"].image"""
    parts = []
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            parts.append(f".{rest}")
        elif kind == "k":
            keys = ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items())
            parts.append(f"[{keys}]")
        else:
            parts.append(f"[={rest}]")
    return "".join(parts)
