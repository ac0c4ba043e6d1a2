"""Where objects live in the API, as paths. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from pinnace.kube.kinds import Kind


def build_path(
    kind: Kind[Any],
    namespace: str = "",
    name: str = "",
    subresource: str = "",
    query: Mapping[str, str] | None = None,
) -> str:
    """Return the path of an object, or of a collection when `name` is ""; parameters that are "" are left out.

    Shape: `namespace` "" means all namespaces; it is ignored for kinds without namespaces.
    Example: DEPLOYMENT, "default", "web", "scale" → "/apis/apps/v1/namespaces/default/deployments/web/scale".
    """
    parts = ["apis", kind.group, kind.version] if kind.group else ["api", kind.version]
    if kind.namespaced and namespace:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(kind.plural)
    parts += [quote(part, safe="") for part in (name, subresource) if part]
    given = {key: value for key, value in (query or {}).items() if value}
    return "/" + "/".join(parts) + (f"?{urlencode(given)}" if given else "")
