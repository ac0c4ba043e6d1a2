"""How expressions call properties whose names CEL can't spell. Pure."""

import re

# Words that nothing can be called. Source: Kubernetes v1.37, apiserver/pkg/cel/escaping.go; the CEL specification's reserved words.
RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_SPECIAL = re.compile(r"__|[./-]")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_./-]*")


def escape_name(name: str) -> str | None:
    """Return how expressions call a property; None if they can't. Example: "x-prop" → "x__dash__prop"."""
    if not _NAME.fullmatch(name):
        return None
    if name in RESERVED:
        return f"__{name}__"
    return _SPECIAL.sub(lambda match: _ESCAPES[match.group()], name)
