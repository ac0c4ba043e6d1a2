"""Types and documents of the apply tests, made by hand."""

from typing import Any

from pinnace.api.apply.types import ATOMIC, DEDUCED, MAP, OPAQUE, SET, Record, Scalar, Sequence

STRING = Scalar("string", frozenset({str}))
NUMBER = Scalar("numeric", frozenset({int, float}))
BOOLEAN = Scalar("boolean", frozenset({bool}))

PORT = Record({"port": NUMBER, "protocol": STRING, "name": STRING})
INNER = Record({"a": STRING, "b": STRING, "items": Sequence(STRING, SET)})
ROOT = Record(
    {
        "apiVersion": STRING,
        "kind": STRING,
        "name": STRING,
        "number": NUMBER,
        "flag": BOOLEAN,
        "struct": INNER,
        "atomic": Record({"x": STRING, "y": STRING}, atomic=True),
        "map": Record(rest=STRING),
        "structs": Record(rest=INNER),
        "set": Sequence(STRING, SET),
        "list": Sequence(INNER, ATOMIC),
        "items": Sequence(
            Record({"name": STRING, "value": STRING, "list": Sequence(STRING), "map": Record(rest=STRING)}),
            MAP,
            ("name",),
        ),
        "ports": Sequence(PORT, MAP, ("port", "protocol"), {"protocol": "TCP"}),
        "free": DEDUCED,
        "opaque": OPAQUE,
    }
)

Document = dict[str, Any]


def item(name: str, value: str = "") -> Document:
    return {"name": name, "value": value} if value else {"name": name}


def items(names: str) -> list[Document]:
    """Return items by their one-letter names."""
    return [item(name) for name in names]


def names_of(found: list[Document]) -> str:
    return "".join(one["name"] for one in found)
