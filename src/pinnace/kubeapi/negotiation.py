"""Decides in which form a client gets its answer, from its Accept header. Pure.

Source: Kubernetes v1.36, apiserver/pkg/endpoints/handlers/negotiation, and the API concepts page.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from pinnace.base.errors import ApiError, Reason

JSON = "application/json"
YAML = "application/yaml"

_META_GROUP = "meta.k8s.io"
_META_VERSIONS = ("v1", "v1beta1")
_DISCOVERY_GROUP = "apidiscovery.k8s.io"
_DISCOVERY_VERSIONS = ("v2", "v2beta1")


class Form(Enum):
    """What the objects in an answer are turned into. Values are the Accept header's `as` parameter."""

    OBJECT = ""
    TABLE = "Table"
    PARTIAL = "PartialObjectMetadata"
    PARTIAL_LIST = "PartialObjectMetadataList"
    DISCOVERY = "APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The form, the group's version for it ("v1"), and the syntax."""

    form: Form = Form.OBJECT
    version: str = ""
    media_type: str = JSON

    @property
    def content_type(self) -> str:
        """The answer's Content-Type."""
        if self.form is Form.DISCOVERY:
            return f"{self.media_type};g={_DISCOVERY_GROUP};v={self.version};as={self.form.value}"
        return self.media_type


PLAIN = Wanted()

SINGLE_FORMS = frozenset({Form.OBJECT, Form.TABLE, Form.PARTIAL})
LIST_FORMS = frozenset({Form.OBJECT, Form.TABLE, Form.PARTIAL_LIST})
WATCH_FORMS = frozenset({Form.OBJECT, Form.TABLE, Form.PARTIAL})
OBJECT_ONLY = frozenset({Form.OBJECT})
DISCOVERY_FORMS = frozenset({Form.OBJECT, Form.DISCOVERY})


@lru_cache(maxsize=512)
def negotiate(accept: str, forms: frozenset[Form] = SINGLE_FORMS) -> Wanted:
    """Return the first clause of `accept` that can be served, the most preferred first.

    Raises: ApiError NotAcceptable.
    Example: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" → Table, version v1.
    """
    if not accept:
        return PLAIN
    clauses = sorted(_parse(accept), key=lambda clause: -clause.quality)
    for clause in clauses:
        wanted = _serve(clause, forms)
        if wanted is not None:
            return wanted
    raise not_acceptable()


def not_acceptable() -> ApiError:
    """Return the refusal of every form that the client would take."""
    return ApiError(
        Reason.NOT_ACCEPTABLE,
        f"only the following media types are accepted: {JSON}, {JSON};stream=watch, {YAML}",
    )


@dataclass(frozen=True, slots=True)
class _Clause:
    media_type: str
    parameters: dict[str, str]
    quality: float


def _parse(accept: str) -> Iterator[_Clause]:
    for text in accept.split(","):
        media_type, *rest = (part.strip() for part in text.split(";"))
        parameters = dict(part.partition("=")[::2] for part in rest if part)
        yield _Clause(media_type.lower(), parameters, _parse_quality(parameters.get("q", "1")))


def _parse_quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _serve(clause: _Clause, forms: Collection[Form]) -> Wanted | None:
    if clause.media_type in (JSON, "*/*", "application/*"):
        media_type = JSON
    elif clause.media_type == YAML:
        media_type = YAML
    else:
        return None
    if clause.parameters.get("stream", "watch") != "watch":
        return None
    wished = clause.parameters.get("as", "")
    form = next((form for form in forms if form.value == wished), None)
    if form is None:
        return None
    if form is Form.OBJECT:
        return Wanted(form, "", media_type)
    group, version = clause.parameters.get("g", ""), clause.parameters.get("v", "")
    if form is Form.DISCOVERY:
        known = group == _DISCOVERY_GROUP and version in _DISCOVERY_VERSIONS
    else:
        known = group == _META_GROUP and version in _META_VERSIONS
    return Wanted(form, version, media_type) if known else None
