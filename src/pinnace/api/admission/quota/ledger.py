"""Knows what every quota has left, to the last write: those on their way to disk count.

The write path tells it of each write that the store has taken, and asks it before each one; the quotas' status is written
from it. Memory only: it is made anew from the store at the start. A namespace without quotas costs one look into a
dictionary.
Invariant: what a quota has used is the sum of what the newest states in the store count for. A write that the store has
taken is never taken back (a store that fails takes no more writes), so nothing is ever booked and not there.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from pinnace.api.admission.amounts import Amounts
from pinnace.api.admission.attempt import Attempt, Operation
from pinnace.api.admission.quota.measures import MEASURED, PODS, ZERO, find_unsaid, measure, resource_of
from pinnace.api.admission.quota.scopes import matches_scopes, terms_of
from pinnace.api.errors import forbidden
from pinnace.kube.kinds import RESOURCE_QUOTA, Kind
from pinnace.kube.objects.core_v1 import ResourceQuota, ResourceQuotaSpec
from pinnace.kube.quantity import Quantity, parse_quantity
from pinnace.store.interface import Key

QUOTAS = RESOURCE_QUOTA.resource
# What a change can make dearer; of all other kinds only creations count. Source: the evaluators' `Handles`.
_CHANGING = frozenset({"services", "persistentvolumeclaims"})


class Newest(Protocol):
    """Lists the newest states of a resource, those on their way to disk included."""

    def newest_in(self, resource: str, namespace: str, kind: Kind[Any] | None) -> Iterable[tuple[Key, Any]]:
        """Return keys, and with a kind the objects."""
        ...


class Entry(NamedTuple):
    """What one object counts for, and within which quotas' scopes it is."""

    amounts: Amounts
    minded_by: frozenset[str]


@dataclass(slots=True)
class Account:
    """One quota: what it limits, and what is used of it."""

    spec: ResourceQuotaSpec
    hard: Amounts
    resources: frozenset[str]
    used: Amounts = field(default_factory=dict)

    def minds(self, resource: str, obj: Any) -> bool:
        """Say whether the quota is about such an object."""
        return resource in self.resources and matches_scopes(terms_of(self.spec), resource, obj)


@dataclass(slots=True)
class Book:
    """One namespace's quotas and everything that counts in them."""

    accounts: dict[str, Account] = field(default_factory=dict)
    entries: dict[Key, Entry] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.accounts))


class Ledger:
    """The books of all namespaces that have quotas."""

    def __init__(self, newest: Newest) -> None:
        self._newest = newest
        self._books: dict[str, Book] = {}
        self._listeners: list[Callable[[str, str], None]] = []

    def on_change(self, listener: Callable[[str, str], None]) -> None:
        """Call `listener(namespace, quota)` whenever what is used of a quota changes."""
        self._listeners.append(listener)

    def is_about(self, key: Key) -> bool:
        """Say whether `note` wants to hear of writes of this object."""
        return key.namespace in self._books or key.resource == QUOTAS

    def note(self, key: Key, obj: Any | None) -> None:
        """Take note of a write that the store has taken; None means that the object is gone."""
        book = self._books.get(key.namespace)
        if book is not None and key.resource in book.loaded:
            self._book_change(key, obj, book)
        if key.resource == QUOTAS:
            self._note_quota(key, obj)

    def _book_change(self, key: Key, obj: Any | None, book: Book) -> None:
        before = book.entries.pop(key, None)
        after = None if obj is None else self._entry(key.resource, obj, book)
        if after is not None:
            book.entries[key] = after
        if before == after:
            return
        for name, account in book.accounts.items():
            changed = _move(account, name, before, after)
            if changed:
                self._tell(key.namespace, name)

    def _entry(self, resource: str, obj: Any, book: Book) -> Entry:
        minded = frozenset(name for name, account in book.accounts.items() if account.minds(resource, obj))
        return Entry(measure(resource, obj), minded)

    def _note_quota(self, key: Key, quota: ResourceQuota | None) -> None:
        book = self._books.setdefault(key.namespace, Book())
        held = book.accounts.get(key.name)
        if quota is None:
            book.accounts.pop(key.name, None)
            if not book.accounts:
                del self._books[key.namespace]
        elif held is None or held.spec != quota.spec:
            resources = frozenset(resource_of(name) for name in quota.spec.hard) - {""}
            hard = {name: parse_quantity(amount or 0) for name, amount in quota.spec.hard.items()}
            book.accounts[key.name] = Account(quota.spec, hard, resources)
            book.loaded.clear()  # the next question counts everything anew
            self._tell(key.namespace, key.name)

    def _tell(self, namespace: str, name: str) -> None:
        for listener in self._listeners:
            listener(namespace, name)

    def _load(self, namespace: str) -> Book | None:
        """Return a namespace's book with everything in it that its quotas count."""
        book = self._books.get(namespace)
        if book is None:
            return None
        needed = frozenset[str]().union(*(account.resources for account in book.accounts.values()))
        if not needed <= book.loaded:
            book.entries.clear()
            for account in book.accounts.values():
                account.used = {}
            for resource in sorted(needed):
                for key, obj in self._newest.newest_in(resource, namespace, MEASURED.get(resource)):
                    entry = book.entries[key] = self._entry(resource, obj, book)
                    for name, account in book.accounts.items():
                        _move(account, name, None, entry)
            book.loaded = set(needed)
        return book

    def used(self, namespace: str, name: str) -> dict[str, str | int | float] | None:
        """Return what is used of everything that a quota limits; None when there is no such quota."""
        book = self._load(namespace)
        account = book.accounts.get(name) if book is not None else None
        if account is None:
            return None
        return {limited: str(account.used.get(limited, ZERO)) for limited in account.hard}

    def recount(self, namespace: str) -> None:
        """Count everything in a namespace anew at the next question."""
        book = self._books.get(namespace)
        if book is not None:
            book.loaded.clear()

    def names_in(self, namespace: str) -> tuple[str, ...]:
        """Return the names of a namespace's quotas."""
        book = self._books.get(namespace)
        return () if book is None else book.names()

    # ------------------------------------------------------------------ admission

    def check(self, attempt: Attempt) -> None:
        """Raise unless every quota of the namespace has room for what the attempt adds. Raises: ApiError Forbidden."""
        if attempt.namespace not in self._books or not _is_counted(attempt):
            return
        book = self._load(attempt.namespace)
        if book is None:
            return
        resource, obj = attempt.kind.resource, attempt.object
        minding = [name for name in book.names() if book.accounts[name].minds(resource, obj)]
        if resource == PODS:
            _check_said(attempt, book, minding)
        if not minding:
            return
        delta = measure(resource, obj)
        if attempt.operation is Operation.UPDATE:
            before = measure(resource, attempt.old)
            delta = {name: amount - before.get(name, ZERO) for name, amount in delta.items()}
        delta = {name: amount for name, amount in delta.items() if amount.nano > 0}
        for name in minding:
            _check_room(attempt, name, book.accounts[name], delta)


def _is_counted(attempt: Attempt) -> bool:
    resource = attempt.kind.resource
    if attempt.operation is Operation.CREATE:
        return not attempt.subresource
    if resource == PODS:
        return attempt.subresource == "resize"
    return not attempt.subresource and resource in _CHANGING


def _check_said(attempt: Attempt, book: Book, minding: Iterable[str]) -> None:
    for name in minding:
        unsaid = find_unsaid(attempt.object, frozenset(book.accounts[name].hard))
        if unsaid:
            why = f"failed quota: {name}: must specify {unsaid}"
            raise forbidden(attempt.kind, attempt.name, why)


def _check_room(attempt: Attempt, name: str, account: Account, delta: Mapping[str, Quantity]) -> None:
    asked = {limited: delta[limited] for limited in account.hard if limited in delta}
    over = sorted(
        limited
        for limited, amount in asked.items()
        if account.used.get(limited, ZERO) + amount > account.hard[limited]
    )
    if over:
        used = {limited: account.used.get(limited, ZERO) for limited in over}
        why = (
            f"exceeded quota: {name}, requested: {_render(over, asked)}, used: {_render(over, used)},"
            f" limited: {_render(over, account.hard)}"
        )
        raise forbidden(attempt.kind, attempt.name, why)


def _render(names: Iterable[str], amounts: Mapping[str, Quantity]) -> str:
    return ",".join(f"{name}={amounts[name]}" for name in names)


def _move(account: Account, name: str, before: Entry | None, after: Entry | None) -> bool:
    """Book one object's change in one account; say whether what is used has changed."""
    old = before.amounts if before is not None and name in before.minded_by else {}
    new = after.amounts if after is not None and name in after.minded_by else {}
    changed = False
    for limited in account.hard:
        had, has = old.get(limited, ZERO), new.get(limited, ZERO)
        if had != has:
            account.used[limited] = account.used.get(limited, ZERO) - had + has
            changed = True
    return changed
