"""Serves what is no resource: discovery, OpenAPI, version, health, metrics."""

import hashlib
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
from aiohttp import web

from pinnace.base.errors import ApiError, Reason
from pinnace.kube import openapi
from pinnace.kube.kind_table import BUILT_IN, KindTable
from pinnace.kubeapi import openapi_v2
from pinnace.kubeapi.answers import answer, answer_json
from pinnace.kubeapi.calls import Means
from pinnace.kubeapi.discovery import (
    build_aggregated,
    build_api_versions,
    build_group,
    build_group_list,
    build_resource_list,
)
from pinnace.kubeapi.health import Health
from pinnace.kubeapi.metrics_page import CONTENT_TYPE, render_metrics
from pinnace.kubeapi.negotiation import DISCOVERY_FORMS, JSON, OBJECT_ONLY, Form, negotiate
from pinnace.kubeapi.presenting import finish
from pinnace.kubeapi.query import EMPTY, Query

_FOR_EVER = timedelta(days=365)


class Documents:
    """Answers by path; None means that the path is no document."""

    def __init__(self, means: Means, health: Health) -> None:
        self._means = means
        self._kinds = means.api.kinds
        self._health = health

    def serve(self, request: web.BaseRequest, path: str, query: Query = EMPTY) -> web.Response | None:
        """Return the answer. Raises: ApiError NotFound for a group that isn't served, NotAcceptable."""
        path = path.rstrip("/") or "/"
        match path.split("/")[1:]:
            case ["api"] | ["apis"]:
                return self._discovery(request, path)
            case ["api", version]:
                return self._found(request, build_resource_list("", version, self._kinds))
            case ["apis", group]:
                found = build_group(group, self._kinds)
                return self._found(request, found and {"kind": "APIGroup", "apiVersion": "v1", **found})
            case ["apis", group, version]:
                return self._found(request, build_resource_list(group, version, self._kinds))
            case ["openapi", "v3", *rest]:
                return self._openapi(request, rest, query)
            case ["openapi", "v2"]:
                return self._openapi_v2(request)
            case ["version"]:
                return answer_json(self._version())
            case [("healthz" | "livez" | "readyz"), *_]:
                return self._health.serve(path, query)
            case ["metrics"]:
                page = render_metrics(self._means.figures, self._means.api, self._means.settings)
                return answer(page.encode(), content_type=CONTENT_TYPE)
            case [""]:
                return answer_json({"paths": list_paths(self._kinds, self._health.paths())})
        return None

    def _discovery(self, request: web.BaseRequest, path: str) -> web.Response:
        wanted = negotiate(request.headers.get("Accept", ""), DISCOVERY_FORMS)
        if wanted.form is Form.DISCOVERY:
            body = _encode_aggregated(self._kinds, path == "/api", wanted.version)
            return _cacheable(request, body, wanted.content_type)
        kinds = self._kinds
        document = build_api_versions(kinds) if path == "/api" else build_group_list(kinds)
        return answer(finish(msgspec.json.encode(document), wanted), content_type=wanted.content_type)

    def _found(self, request: web.BaseRequest, document: dict[str, Any] | None) -> web.Response:
        wanted = negotiate(request.headers.get("Accept", ""), OBJECT_ONLY)
        if document is None:
            raise not_found()
        return answer(finish(msgspec.json.encode(document), wanted), content_type=wanted.content_type)

    def _openapi(self, request: web.BaseRequest, rest: list[str], query: Query) -> web.Response:
        # Clients ask for protobuf first; JSON is what every one of them also takes.
        match rest:
            case []:
                return _cacheable(request, _encode_openapi(self._kinds, None, ""), JSON)
            case ["api", version]:
                return self._openapi_document(request, "", version, query.text("hash"))
            case ["apis", group, version]:
                return self._openapi_document(request, group, version, query.text("hash"))
        raise not_found()

    def _openapi_document(
        self, request: web.BaseRequest, group: str, version: str, wanted: str
    ) -> web.Response:
        """One that is asked for by its hash may be kept for ever; another hash leads to the present one.

        Source: kube-openapi, pkg/handler3/handler.go, HandleGroupVersion.
        """
        response = _cacheable(request, _encode_openapi(self._kinds, group, version), JSON)
        if not wanted:
            return response
        url = openapi.document_url(group, version, self._kinds)
        if wanted != url.rpartition("=")[2]:
            return web.Response(status=301, headers={"Location": url})
        response.headers["Cache-Control"] = "public, immutable"
        response.headers["Expires"] = format_datetime(datetime.now(UTC) + _FOR_EVER, usegmt=True)
        return response

    def _openapi_v2(self, request: web.BaseRequest) -> web.Response:
        version, kinds = self._means.settings.git_version, self._kinds
        if openapi_v2.ACCEPTED in request.headers.get("Accept", ""):
            packed = kinds.derived(
                ("openapi v2", "protobuf"), lambda: _with_tag(openapi_v2.render_protobuf(version, kinds))
            )
            return _cacheable(request, packed, openapi_v2.PROTOBUF)
        text = kinds.derived(
            ("openapi v2", "json"), lambda: _with_tag(openapi_v2.render_json(version, kinds))
        )
        return _cacheable(request, text, JSON)

    def _version(self) -> dict[str, str]:
        settings = self._means.settings
        major, minor = settings.git_version.lstrip("v").split(".")[:2]
        machine = platform.machine()
        return {
            "major": major,
            "minor": minor,
            "gitVersion": settings.git_version,
            "gitCommit": settings.git_commit,
            "gitTreeState": "clean",
            "buildDate": settings.build_date,
            "goVersion": f"python{platform.python_version()}",
            "compiler": sys.implementation.name,
            "platform": f"linux/{_GO_MACHINES.get(machine, machine)}",
        }


_GO_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def list_paths(kinds: KindTable = BUILT_IN, health: Sequence[str] = ()) -> list[str]:
    """Return the paths that the root names."""
    groups = [
        path
        for group, versions in kinds.group_versions().items()
        if group
        for path in (f"/apis/{group}", *(f"/apis/{group}/{version}" for version in versions))
    ]
    fixed = ["/api", "/api/v1", "/apis", "/metrics", "/openapi/v2", "/openapi/v3", "/version"]
    return sorted([*fixed, *groups, *health])


def not_found() -> ApiError:
    """Return the refusal of a path that nobody serves."""
    return ApiError(Reason.NOT_FOUND, "the server could not find the requested resource")


def _encode_aggregated(kinds: KindTable, core: bool, version: str) -> tuple[bytes, str]:
    def build() -> tuple[bytes, str]:
        return _with_tag(msgspec.json.encode(build_aggregated(core, version, kinds)))

    return kinds.derived(("aggregated", core, version), build)


def _encode_openapi(kinds: KindTable, group: str | None, version: str) -> tuple[bytes, str]:
    def build() -> tuple[bytes, str]:
        if group is None:
            return _with_tag(openapi.openapi_v3_index(kinds))
        try:
            return _with_tag(openapi.openapi_v3(group, version, kinds))
        except KeyError:
            raise not_found() from None

    return kinds.derived(("openapi", group, version), build)


def _with_tag(body: bytes) -> tuple[bytes, str]:
    return body, f'"{hashlib.sha256(body).hexdigest().upper()}"'


def _cacheable(request: web.BaseRequest, tagged: tuple[bytes, str], content_type: str) -> web.Response:
    body, tag = tagged
    known = request.headers.get("If-None-Match", "")
    if known and tag in (word.strip().removeprefix("W/") for word in known.split(",")):
        return web.Response(status=304, headers={"ETag": tag})
    response = answer(body, content_type=content_type)
    response.headers["ETag"] = tag
    response.headers["Vary"] = "Accept"
    return response
