"""Carries one request through the room: who asks, what for, how, and the means to answer it."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aiohttp import web

from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.base.errors import ApiError, Cause, Reason
from pinnace.base.tasks import Tasks
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.auth import User
from pinnace.kubeapi.paths import Target
from pinnace.kubeapi.query import Query
from pinnace.kubeapi.settings import ServerSettings, World


@dataclass(frozen=True, slots=True)
class Means:
    """What every request may use; built once. `writes` are those under way, which a stop waits for."""

    api: Api
    world: World
    settings: ServerSettings
    tasks: Tasks
    writes: set[asyncio.Task[Any]]


def check_dry_run(values: tuple[str, ...]) -> None:
    """Raises: ApiError Invalid for anything but "All". Source: Kubernetes v1.36, meta/v1/validation."""
    for value in values:
        if value not in ("All", ""):
            why = f'Unsupported value: ["{value}"]: supported values: "All"'
            raise ApiError(
                Reason.INVALID,
                f'CreateOptions.meta.k8s.io "" is invalid: dryRun: {why}',
                kind="CreateOptions",
                group="meta.k8s.io",
                causes=(Cause("FieldValueNotSupported", why, "dryRun"),),
            )


@dataclass(eq=False)
class Call:
    """One authorized request for one target."""

    request: web.BaseRequest
    target: Target
    query: Query
    user: User
    means: Means
    warnings: list[str] = field(default_factory=list)
    dry_run: bool = False

    @property
    def api(self) -> Api:
        return self.means.api

    @property
    def kind(self) -> Kind[Any]:
        return self.target.kind

    @property
    def namespace(self) -> str:
        return self.target.namespace

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def accept(self) -> str:
        return self.request.headers.get("Accept", "")

    @cached_property
    def context(self) -> Context:
        """The write's context. The manager is named by the client, else by its program. Raises: ApiError Invalid.

        Source: Kubernetes v1.36, apiserver/pkg/endpoints/handlers/create.go, managerOrUserAgent.
        """
        dry_run = self.query.all("dryRun")
        check_dry_run(dry_run)
        agent = self.request.headers.get("User-Agent", "").partition("/")[0]
        return Context(
            user=self.user.name,
            groups=self.user.groups,
            field_manager=self.query.text("fieldManager") or agent,
            dry_run=self.dry_run or any(dry_run),
            warnings=self.warnings,
        )
