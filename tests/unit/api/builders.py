"""Arranges the write path's tests: an Api on memory and a frozen clock, and small objects by name."""

from collections.abc import Awaitable
from typing import Any

import pytest

from pinnace.api.facade import Api
from pinnace.api.settings import ApiSettings
from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import codec, kinds
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.core_v1 import ConfigMap, Namespace, Pod, Service
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.store.memory import MemoryStore

NOW = 1_767_312_000.0  # 2026-01-02T00:00:00Z


Causes = list[tuple[str, str]]  # field, message


async def make_api(*namespaces: str, settings: ApiSettings = ApiSettings()) -> tuple[Api, FrozenClock]:
    """Return an Api with the namespace "default" and the given ones."""
    clock = FrozenClock(NOW)
    api = Api(MemoryStore(), clock, Chance(7), settings)
    for name in ("default", *namespaces):
        await api.create(Namespace(metadata=ObjectMeta(name=name)))
    return api, clock


def decode(kind: Kind[Any], document: dict[str, Any]) -> Any:
    return codec.from_json(kind, document)


def pod(name: str = "web", *, spec: dict[str, Any] | None = None, **container: Any) -> Pod:
    """Return a pod of one container; `container` overrides its fields, `spec` the spec's."""
    main = {"name": "main", "image": "app:v1", **container}
    built: Pod = decode(
        kinds.POD,
        {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [main], **(spec or {})}},
    )
    return built


def service(name: str = "web", **spec: Any) -> Service:
    built: Service = decode(
        kinds.SERVICE,
        {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec},
        },
    )
    return built


def config_map(name: str = "settings", **metadata: Any) -> ConfigMap:
    built: ConfigMap = decode(
        kinds.CONFIG_MAP, {"metadata": {"name": name, "namespace": "default", **metadata}, "data": {"a": "1"}}
    )
    return built


def deployment_document(name: str = "web", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "app:v1"}]},
            },
            **spec,
        },
    }


def deployment(name: str = "web", **spec: Any) -> Any:
    return decode(kinds.DEPLOYMENT, deployment_document(name, **spec))


def document(obj: Any) -> Any:
    return codec.to_json(obj)


async def causes_of(write: Awaitable[Any]) -> Causes:
    """Return what a write is refused for; empty if it isn't."""
    try:
        await write
    except ApiError as error:
        return [(cause.field, cause.message) for cause in error.causes]
    return []


async def refuse(api: Api, obj: Any) -> str:
    """Return the words with which admission forbids an object."""
    with pytest.raises(ApiError) as caught:
        await api.create(obj)
    assert caught.value.reason is Reason.FORBIDDEN
    return caught.value.message
