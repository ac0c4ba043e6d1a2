"""Carries one request through the room: who asks, what for, how, and the means to answer it."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aiohttp import web

from pinnace.api.access.tokens import Tokens
from pinnace.api.access.users import User
from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.base.tasks import Tasks
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.figures import Figures
from pinnace.kubeapi.paths import Target
from pinnace.kubeapi.query import Query
from pinnace.kubeapi.settings import ServerSettings, World
from pinnace.kubeapi.write_options import IGNORE, WriteOptions, manager_of, read_write_options


@dataclass(frozen=True, slots=True)
class Means:
    """What every request may use; built once. `writes` are those under way, which a stop waits for."""

    api: Api
    world: World
    settings: ServerSettings
    tasks: Tasks
    writes: set[asyncio.Task[Any]]
    tokens: Tokens | None = None
    figures: Figures = field(default_factory=Figures)


@dataclass(eq=False)
class Call:
    """One authorized request for one target.

    `result_validation` says what unknown fields in a patch's result lead to; `notes` are for the audit log.
    """

    request: web.BaseRequest
    target: Target
    query: Query
    user: User
    means: Means
    warnings: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False
    result_validation: str = IGNORE

    @cached_property
    def options(self) -> WriteOptions:
        """What the write says about itself. Raises: ApiError Invalid."""
        method = self.request.method
        media_type = self.request.headers.get("Content-Type", "") if method == "PATCH" else ""
        return read_write_options(self.query, method, media_type.partition(";")[0].strip().lower())

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
        """The write's context. The manager is named by the client, else by its program. Raises: ApiError Invalid."""
        options = self.options
        return Context(
            user=self.user.name,
            groups=self.user.groups,
            uid=self.user.uid,
            extra=self.user.extra,
            field_manager=options.manager or manager_of(self.request.headers.get("User-Agent", "")),
            dry_run=self.dry_run or options.dry_run,
            field_validation=self.result_validation,
            warnings=self.warnings,
            notes=self.notes,
        )
