"""Says what is asked for: one request as authorization sees it, and the words of a refusal. Pure.

Source: Kubernetes v1.36, apiserver/pkg/authorization/authorizer and endpoints/handlers/responsewriters/errors.go.
"""

from typing import NamedTuple

from pinnace.api.access.users import User
from pinnace.base.errors import ApiError, Reason


class Attributes(NamedTuple):
    """One request. Shape: `path` is "" for a request about a resource; then `resource` is not, and the other way round."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class Decision(NamedTuple):
    """Whether it is allowed, and by what; the reason may be "" either way."""

    allowed: bool
    reason: str = ""


_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def refusal(user: User, asked: Attributes, reason: str = "") -> ApiError:
    """Return the Forbidden error, in Kubernetes' words."""
    said = f'User "{user.name}" cannot {asked.verb} '
    if asked.path:
        said += f'path "{asked.path}"'
    else:
        resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        scope = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
        said += f'resource "{resource}" in API group "{asked.group}" {scope}'
    said = said.translate(_HTML) + (f": {reason}" if reason else "")
    qualified = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    named = f'{qualified} "{asked.name}"' if asked.name else qualified
    return ApiError(
        Reason.FORBIDDEN,
        f"{named} is forbidden: {said}" if asked.resource else f"forbidden: {said}",
        kind=asked.resource,
        group=asked.group,
        name=asked.name,
    )
