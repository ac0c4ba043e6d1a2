"""The OpenAPI v2 document: an empty one, since v3 says everything.

Clients fall back to it for a kind that v3 doesn't know; that no kind is in it lets them go on and say that there is no
such kind. Without it they stop at "the server could not find the requested resource".
Source: kubectl v1.36, k8s.io/cli-runtime/pkg/resource/fallback_query_param_verifier.go; gnostic, openapiv2/OpenAPIv2.proto
(Document: swagger 1, info 2; Info: title 1, version 2).
"""

import msgspec

# What clients ask for has an "@", which no media type may have, so that the answer's has a dot instead.
# Source: kube-openapi, pkg/handler/handler.go, mimePb and mimePbGz.
ACCEPTED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_SWAGGER = "2.0"
_TITLE = "Kubernetes"


def render_json(version: str) -> bytes:
    """Return the document as JSON."""
    info = {"title": _TITLE, "version": version}
    return msgspec.json.encode({"swagger": _SWAGGER, "info": info, "paths": {}})


def render_protobuf(version: str) -> bytes:
    """Return the document as protobuf."""
    info = _text(1, _TITLE) + _text(2, version)
    return _text(1, _SWAGGER) + _field(2, info)


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, data: bytes) -> bytes:
    """Return a length-delimited field; shorter than 128 bytes, so that its length is one byte."""
    assert len(data) < 128
    return bytes((number << 3 | 2, len(data))) + data
