"""The kinds that one instance serves: those that are built in, and those that CustomResourceDefinitions add.

Whoever asks at run time which kinds there are asks the instance's table (`api.kinds`); `kube.kinds` knows the built-in
rows only. `api/definitions` puts custom kinds in. Invariant: a built-in kind is never hidden by a custom one; between two
changes of `generation` every answer is the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from pinnace.kube import kinds
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.custom import CustomObject

T = TypeVar("T")


class Closable(Protocol):
    """A watch, as far as the table knows it."""

    def close(self) -> None: ...


class KindTable:
    """Looks kinds up by every name that a request or an object may use."""

    def __init__(self) -> None:
        self.generation = 0
        self._listeners: list[Callable[[], None]] = []
        self._watches: WeakKeyDictionary[Closable, Kind[Any]] = WeakKeyDictionary()
        self._fill((), ())

    def _fill(self, served: tuple[Kind[Any], ...], stored: tuple[Kind[Any], ...]) -> None:
        self.served: tuple[Kind[Any], ...] = (*kinds.SERVED, *served)
        self.stored: tuple[Kind[Any], ...] = (*kinds.STORED, *stored)
        self.custom: tuple[Kind[Any], ...] = served
        self._derived: dict[Hashable, Any] = {}
        self._by_gvk = {(kind.group, kind.version, kind.kind): kind for kind in (*stored, *served)}
        self._by_plural = {(kind.group, kind.version, kind.plural): kind for kind in self.served}
        self._by_resource = {kind.resource: kind for kind in self.stored}
        groups: dict[str, dict[str, None]] = {}
        for kind in self.served:
            groups.setdefault(kind.group, {})[kind.version] = None
        own = {kind.group for kind in served}
        self._groups = {
            group: tuple(sorted(versions, key=version_order) if group in own else versions)
            for group, versions in groups.items()
        }
        routes: dict[tuple[str, str], dict[str, Kind[Any]]] = {}
        for kind in self.served:
            routes.setdefault((kind.group, kind.version), {}).setdefault(kind.plural, kind)
        self.routes: Mapping[tuple[str, str], Mapping[str, Kind[Any]]] = routes

    def set_custom(self, served: Iterable[Kind[Any]], stored: Iterable[Kind[Any]]) -> None:
        """Replace all custom kinds; those of one definition come in the order of preference. Tells the listeners."""
        self._fill(tuple(served), tuple(stored))
        self.generation += 1
        for watch, kind in list(self._watches.items()):
            if not self.is_current(kind):
                watch.close()
        for listener in tuple(self._listeners):
            listener()

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called, synchronously, whenever kinds came or went; return what ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def is_current(self, kind: Kind[Any]) -> bool:
        """Say whether a row is still the one of its kind."""
        return self.by_plural(kind.group, kind.version, kind.plural) is kind

    def close_with(self, kind: Kind[Any], watch: Closable) -> None:
        """Have a watch closed when its kind goes, or is replaced: what it shows would not be right any more."""
        self._watches[watch] = kind

    def derived(self, key: Hashable, build: Callable[[], T]) -> T:
        """Return what `build` makes of the table; made once, and once more after each change."""
        if key not in self._derived:
            self._derived[key] = build()
        made: T = self._derived[key]
        return made

    def in_version(self, group: str, version: str) -> tuple[Kind[Any], ...]:
        """Return the kinds of one group and version, in their order; empty if it isn't served."""
        return tuple(self.routes.get((group, version), {}).values())

    def by_gvk(self, group: str, version: str, kind: str) -> Kind[Any] | None:
        """Return the row of a group, version and kind."""
        return kinds.by_gvk(group, version, kind) or self._by_gvk.get((group, version, kind))

    def by_api_version(self, api_version: str, kind: str) -> Kind[Any] | None:
        """Return the row of an object's `apiVersion` and `kind`."""
        group, _, version = api_version.rpartition("/")
        return self.by_gvk(group, version, kind)

    def by_plural(self, group: str, version: str, plural: str) -> Kind[Any] | None:
        """Return the row of a URL's group, version and resource."""
        return self._by_plural.get((group, version, plural))

    def by_resource(self, resource: str) -> Kind[Any] | None:
        """Return the row in whose version a store's resource is kept."""
        return self._by_resource.get(resource)

    def kind_of(self, obj: T) -> Kind[T]:
        """Return the row of an object. Raises: KeyError if its type is no top-level one, or its kind is not served."""
        if not isinstance(obj, CustomObject):
            return kinds.kind_of(obj)
        kind = self.by_api_version(obj.api_version, obj.kind)
        if kind is None:
            raise KeyError(f"{obj.api_version} {obj.kind}")
        return kind

    def versions_of(self, kind: Kind[Any]) -> tuple[Kind[Any], ...]:
        """Return all served rows that share the kind's storage, the preferred first."""
        return tuple(other for other in self.served if other.resource == kind.resource)

    def group_versions(self) -> dict[str, tuple[str, ...]]:
        """Return group -> its served versions, the preferred first; built-in groups first, in the order of their table."""
        return self._groups


_VERSION = re.compile(r"v([0-9]+)(?:(alpha|beta)([0-9]+))?")
_STAGES = {None: 0, "beta": 1, "alpha": 2}


def version_order(version: str) -> tuple[int, int, int, int, str]:
    """Return a key that sorts versions with the most stable and newest first.

    Source: Kubernetes v1.37, apimachinery/pkg/version/helpers.go, CompareKubeAwareVersionStrings.
    Example: v10, v2, v1, v11beta2, v3beta1, v12alpha1, foo1.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        return (1, 0, 0, 0, version)
    major, stage, minor = match.groups()
    return (0, _STAGES[stage], -int(major), -int(minor or 0), "")


BUILT_IN = KindTable()
"""The table of an instance without definitions, for those who have none at hand. Never changed."""
