"""Decides which of the host's apt sources are the distribution's own. Pure: texts in, entries out.

A host has sources of third parties too (its Docker, its GPU driver); a base image is made without them.
Source: sources.list(5), one-line style and deb822 style.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SUITE_ENDINGS = ("", "-updates", "-security")
COMPONENTS = ("main", "universe")  # Ubuntu keeps python3-pip in universe


@dataclass(frozen=True, slots=True)
class Source:
    """One place that packages come from. `signed_by` is a keyring's path, or keys in line."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


def choose_sources(texts: Mapping[str, str], codename: str) -> tuple[Source, ...]:
    """Return the distribution's own sources of a release.

    Shape: `texts` is file name → text, for /etc/apt/sources.list and those beside it.
    """
    found: list[Source] = []
    for name, text in sorted(texts.items()):
        parsed = _parse_deb822(text) if name.endswith(".sources") else _parse_lines(text)
        found += [own for source in parsed if (own := _keep_own(source, codename))]
    return tuple(dict.fromkeys(found))


def render_sources(sources: Iterable[Source]) -> str:
    """Return sources in deb822 style."""
    stanzas = []
    for source in sources:
        lines = [
            "Types: deb",
            f"URIs: {' '.join(source.uris)}",
            f"Suites: {' '.join(source.suites)}",
            f"Components: {' '.join(source.components)}",
        ]
        if source.signed_by:
            lines.append(f"Signed-By: {source.signed_by}")
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)


def _keep_own(source: Source, codename: str) -> Source | None:
    suites = tuple(
        suite for suite in source.suites if suite in {codename + ending for ending in SUITE_ENDINGS}
    )
    components = tuple(component for component in source.components if component in COMPONENTS)
    if not suites or "main" not in components:
        return None
    return Source(source.uris, suites, components, source.signed_by)


def _parse_deb822(text: str) -> list[Source]:
    sources = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0].isspace():
                fields[name] += "\n" + line
            else:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in (
            "no",
            "false",
        ):
            sources.append(
                Source(
                    tuple(fields.get("uris", "").split()),
                    tuple(fields.get("suites", "").split()),
                    tuple(fields.get("components", "").split()),
                    fields.get("signed-by", ""),
                )
            )
    return sources


def _parse_lines(text: str) -> list[Source]:
    sources = []
    for line in text.splitlines():
        found = re.match(r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line.strip())
        if found:
            options = dict(word.partition("=")[::2] for word in (found[1] or "").split())
            sources.append(
                Source((found[2],), (found[3],), tuple(found[4].split()), options.get("signed-by", ""))
            )
    return sources
