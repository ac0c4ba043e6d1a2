"""Prints objects whole, as JSON or YAML in kubectl's own style, so that output of one can be compared with the other."""

from __future__ import annotations

import json
from typing import Any

_WIDE = 2**16  # kubectl folds no line


def render_document(document: Any, output: str) -> str:
    """Return a document as "json" or "yaml": keys in order, four spaces in JSON."""
    if output == "json":
        return json.dumps(document, indent=4, sort_keys=True, ensure_ascii=False) + "\n"
    return _render_yaml(document)


def _render_yaml(document: Any) -> str:
    import yaml

    from pinnace.kube.manifests import classify

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    tag = "tag:yaml.org,2002:str"

    class Dumper(base):  # type: ignore[misc]
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def represent_text(dumper: Any, text: str) -> Any:
        style = None
        if "\n" in text:
            style = "|"
        elif classify(text) != tag or dumper.resolve(yaml.ScalarNode, text, (True, False)) != tag:
            style = '"'  # else a reader would take it for a number, a date or a boolean
        return dumper.represent_scalar(tag, text, style=style)

    Dumper.add_representer(str, represent_text)
    text: str = yaml.dump(document, Dumper=Dumper, sort_keys=True, allow_unicode=True, width=_WIDE)
    return text
