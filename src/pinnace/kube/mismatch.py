"""Finds the field whose value has the wrong type, and says so as Kubernetes' own decoder does.

Called by the codec after a document was refused; a person reads the result. Never raises.
Source: Go's encoding/json, UnmarshalTypeError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pinnace.kube.kinds import Kind
from pinnace.kube.schema import Form, Shape, schema_of

# Source: the formats of Kubernetes' OpenAPI definitions; other integers are int32.
INT64_FIELDS = frozenset(
    [
        "activeDeadlineSeconds",
        "capacity",
        "defaultUser",
        "deletionGracePeriodSeconds",
        "expirationSeconds",
        "fsGroup",
        "generation",
        "gid",
        "gracePeriodSeconds",
        "maxItems",
        "maxLength",
        "maxProperties",
        "minItems",
        "minLength",
        "minProperties",
        "nodeAllocatableUpdatePeriodSeconds",
        "observedGeneration",
        "remainingItemCount",
        "revision",
        "runAsGroup",
        "runAsUser",
        "seconds",
        "sizeBytes",
        "startingDeadlineSeconds",
        "supplementalGroups",
        "terminationGracePeriodSeconds",
        "tolerationSeconds",
        "uid",
        "user",
    ]
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A value of the wrong type. `struct` is the innermost struct around it, `path` has the fields without indexes."""

    struct: str
    path: str
    got: str
    expected: str

    def render(self) -> str:
        """Return the sentence.

        Example: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32
        """
        if not self.path:
            return f"json: cannot unmarshal {self.got} into Go value of type {self.expected}"
        return f"json: cannot unmarshal {self.got} into Go struct field {self.struct}.{self.path} of type {self.expected}"


_ACCEPTS: Mapping[Form, tuple[type, ...]] = {
    Form.STRING: (str,),
    Form.INTEGER: (int,),
    Form.BOOLEAN: (bool,),
    Form.NUMBER: (int, float),
    Form.QUANTITY: (str, int, float),
    Form.INT_OR_STRING: (int, str),
    Form.STRUCT: (dict,),
    Form.MAP: (dict,),
    Form.LIST: (list,),
}
_GO_SCALARS: Mapping[Form, str] = {
    Form.STRING: "string",
    Form.BOOLEAN: "bool",
    Form.NUMBER: "float64",
    Form.QUANTITY: "resource.Quantity",
    Form.INT_OR_STRING: "intstr.IntOrString",
    Form.FREE: "map[string]interface {}",
}


def handled(kind: Kind[Any], why: str) -> str:
    """Return the sentence that says why a document can't be an object of its kind."""
    return f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {why}'


def find_mismatch(struct: type[Any], value: Any) -> Mismatch | None:
    """Return the first value of the wrong type in plain values, in the struct's order; None if there is none."""
    return _find(value, Shape(Form.STRUCT, struct=struct), struct.__name__, "")


def _find(value: Any, shape: Shape, struct: str, path: str) -> Mismatch | None:
    if shape.own is not None:
        return None if isinstance(value, dict) else Mismatch(struct, path, describe(value), "object")
    parts: Iterable[tuple[Shape, Any, str, str]]
    if shape.form is Form.FREE:
        return (
            None
            if isinstance(value, dict)
            else Mismatch(struct, path, describe(value), _GO_SCALARS[Form.FREE])
        )
    accepted = _ACCEPTS[shape.form]
    wrong = not isinstance(value, accepted)
    if wrong or (isinstance(value, bool) and shape.form is not Form.BOOLEAN):
        return Mismatch(struct, path, describe(value), _go_type(shape, path))
    if shape.form is Form.INTEGER and not _fits(value, path):
        return Mismatch(struct, path, describe(value), _go_type(shape, path))
    if shape.struct is not None:
        fields, name = schema_of(shape.struct).fields, shape.struct.__name__
        parts = (
            (fields[k].shape, v, name, f"{path}.{k}".lstrip(".")) for k, v in value.items() if k in fields
        )
    elif shape.item is not None:
        item = shape.item
        parts = ((item, v, struct, path) for v in (value.values() if isinstance(value, dict) else value))
    else:
        return None
    return next((found for s, v, n, p in parts if (found := _find(v, s, n, p))), None)


def _fits(number: int, path: str) -> bool:
    bits = 63 if path.rpartition(".")[2] in INT64_FIELDS else 31
    return -(1 << bits) <= number < 1 << bits


def describe(value: Any) -> str:
    """Return the kind of a JSON value; a number with its digits."""
    names: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "bool", type(None): "null"}
    return names.get(type(value)) or f"number {value}"


def _go_type(shape: Shape, path: str) -> str:
    if shape.form is Form.INTEGER:
        return "int64" if path.rpartition(".")[2] in INT64_FIELDS else "int32"
    if shape.struct is not None:
        return f"{shape.struct.__module__.rpartition('_')[2]}.{shape.struct.__name__}"
    if shape.form is Form.LIST and shape.item:
        return f"[]{_go_type(shape.item, path)}"
    if shape.form is Form.MAP and shape.item:
        return f"map[string]{_go_type(shape.item, path)}"
    return _GO_SCALARS[shape.form]
