"""Serves what is no resource: discovery, OpenAPI, version, health, metrics."""

import hashlib
import platform
import sys
from collections.abc import Callable, Mapping
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
from pinnace.kubeapi.negotiation import DISCOVERY_FORMS, JSON, OBJECT_ONLY, Form, negotiate

HEALTH_PATHS = ("/healthz", "/livez", "/readyz")


class Documents:
    """Answers by path; None means that the path is no document."""

    def __init__(self, means: Means, count_requests: Callable[[], Mapping[tuple[str, int], int]]) -> None:
        self._means = means
        self._kinds = means.api.kinds
        self._count_requests = count_requests

    def serve(self, request: web.BaseRequest, path: str) -> web.Response | None:
        """Return the answer. Raises: ApiError NotFound for a group that isn't served, NotAcceptable."""
        path = path.rstrip("/") or "/"
        match path.split("/")[1:]:
            case ["api"] | ["apis"]:
                return self._discovery(request, path)
            case ["api", version]:
                return self._found(request, build_resource_list("", version, self._kinds))
            case ["apis", group]:
                return self._found(request, build_group(group, self._kinds))
            case ["apis", group, version]:
                return self._found(request, build_resource_list(group, version, self._kinds))
            case ["openapi", "v3", *rest]:
                return self._openapi(request, rest)
            case ["openapi", "v2"]:
                return self._openapi_v2(request)
            case ["version"]:
                return answer_json(self._version())
            case [("healthz" | "livez" | "readyz"), *_]:
                return self._health()
            case ["metrics"]:
                return answer(self._metrics().encode(), content_type="text/plain; version=0.0.4")
            case [""]:
                return answer_json({"paths": list_paths(self._kinds)})
        return None

    def _discovery(self, request: web.BaseRequest, path: str) -> web.Response:
        wanted = negotiate(request.headers.get("Accept", ""), DISCOVERY_FORMS)
        if wanted.form is Form.DISCOVERY:
            body = _encode_aggregated(self._kinds, path == "/api", wanted.version)
            return _cacheable(request, body, wanted.content_type)
        kinds = self._kinds
        return answer_json(build_api_versions(kinds) if path == "/api" else build_group_list(kinds))

    def _found(self, request: web.BaseRequest, document: dict[str, Any] | None) -> web.Response:
        negotiate(request.headers.get("Accept", ""), OBJECT_ONLY)
        if document is None:
            raise not_found()
        return answer_json(document)

    def _openapi(self, request: web.BaseRequest, rest: list[str]) -> web.Response:
        # Clients ask for protobuf first; JSON is what every one of them also takes.
        match rest:
            case []:
                return _cacheable(request, _encode_openapi(self._kinds, None, ""), JSON)
            case ["api", version]:
                return _cacheable(request, _encode_openapi(self._kinds, "", version), JSON)
            case ["apis", group, version]:
                return _cacheable(request, _encode_openapi(self._kinds, group, version), JSON)
        raise not_found()

    def _openapi_v2(self, request: web.BaseRequest) -> web.Response:
        version = self._means.settings.git_version
        if openapi_v2.ACCEPTED in request.headers.get("Accept", ""):
            return answer(openapi_v2.render_protobuf(version), content_type=openapi_v2.PROTOBUF)
        return answer(openapi_v2.render_json(version), content_type=JSON)

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

    def _health(self) -> web.Response:
        failure = self._means.api.store.failure
        if failure is None:
            return answer(b"ok", content_type="text/plain; charset=utf-8")
        body = f"[-]store failed: {failure.message}\nhealthz check failed\n"
        return answer(body.encode(), status=500, content_type="text/plain; charset=utf-8")

    def _metrics(self) -> str:
        store = self._means.api.store
        lines = [
            "# TYPE apiserver_request_total counter",
            *(
                f'apiserver_request_total{{verb="{verb}",code="{code}"}} {count}'
                for (verb, code), count in sorted(self._count_requests().items())
            ),
            "# TYPE pinnace_store_revision gauge",
            f"pinnace_store_revision {store.revision}",
            "# TYPE pinnace_store_healthy gauge",
            f"pinnace_store_healthy {int(store.failure is None)}",
        ]
        return "\n".join(lines) + "\n"


_GO_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def list_paths(kinds: KindTable = BUILT_IN) -> list[str]:
    """Return the paths that the root names."""
    groups = [
        path
        for group, versions in kinds.group_versions().items()
        if group
        for path in (f"/apis/{group}", *(f"/apis/{group}/{version}" for version in versions))
    ]
    fixed = ["/api", "/api/v1", "/apis", *HEALTH_PATHS, "/metrics", "/openapi/v2", "/openapi/v3", "/version"]
    return sorted([*fixed, *groups])


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
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    response = answer(body, content_type=content_type)
    response.headers["ETag"] = tag
    response.headers["Vary"] = "Accept"
    return response
