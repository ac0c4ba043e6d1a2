"""What holds of every apply, whatever is there and whatever is applied."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pinnace.api.apply.collecting import Faults, collect, fields_of
from pinnace.api.apply.comparing import compare
from pinnace.api.apply.items import step_of
from pinnace.api.apply.managed import Managed, applier, ownable, read_managed, updater, write_managed
from pinnace.api.apply.server_side import Applied, Document, Outcome, Terms, apply, note_update
from pinnace.api.apply.sets import difference, intersection, paths
from pinnace.base.errors import ApiError
from tests.unit.api.apply.shapes import ROOT

NOW = "2026-01-02T00:00:00Z"
TERMS = Terms(ROOT, lambda document, version: (document, ROOT), has_status=False)

WORDS = st.sampled_from(["1", "2", "3"])
NAMES = st.sampled_from(["p", "q", "r"])


def struct() -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {},
        optional={"a": WORDS, "b": WORDS, "items": st.lists(WORDS, unique=True, min_size=1, max_size=3)},
    )


def listed() -> st.SearchStrategy[list[Document]]:
    item = st.fixed_dictionaries(
        {"name": NAMES},
        optional={"value": WORDS, "map": st.dictionaries(NAMES, WORDS, min_size=1), "list": st.lists(WORDS)},
    )
    return st.lists(item, unique_by=lambda one: one["name"], min_size=1, max_size=3)


def ports() -> st.SearchStrategy[list[Document]]:
    port = st.fixed_dictionaries(
        {"port": st.sampled_from([80, 443])},
        optional={"protocol": st.sampled_from(["TCP", "UDP"]), "name": NAMES},
    )
    return st.lists(port, unique_by=lambda one: (one["port"], one.get("protocol", "TCP")), min_size=1)


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": WORDS,
        "number": st.integers(0, 2),
        "flag": st.booleans(),
        "struct": struct(),
        "atomic": st.fixed_dictionaries({}, optional={"x": WORDS, "y": WORDS}),
        "map": st.dictionaries(NAMES, WORDS),
        "structs": st.dictionaries(NAMES, struct()),
        "set": st.lists(NAMES, unique=True, min_size=1),
        "list": st.lists(struct(), max_size=2),
        "items": listed(),
        "ports": ports(),
        "free": st.recursive(
            st.dictionaries(NAMES, WORDS), lambda inner: st.dictionaries(NAMES, inner | WORDS), max_leaves=4
        ),
        "opaque": st.dictionaries(NAMES, WORDS),
    },
)


def do(live: Document, managed: Managed, wanted: Document, manager: str, *, force: bool = True) -> Outcome:
    return apply(TERMS, live, managed, Applied(manager, wanted, "v1", force=force), NOW)


def plain(value: Any) -> Any:
    """Return a value without what is empty: an emptied map or list is as good as none."""
    if isinstance(value, dict):
        parts = {key: plain(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part not in (None, {}, [])}
    return [plain(part) for part in value] if isinstance(value, list) else value


def fields(document: Document) -> Any:
    return ownable(collect(document, ROOT, Faults()))


@given(DOCUMENTS, DOCUMENTS)
def test_an_apply_again_changes_nothing(before: Document, wanted: Document) -> None:
    first = do(before, {}, wanted, "me")
    again = do(first.document, first.managed, wanted, "me")
    assert again.same
    assert again.document == first.document
    assert again.managed == first.managed


@given(DOCUMENTS, DOCUMENTS)
def test_what_is_applied_is_there_and_owned(before: Document, wanted: Document) -> None:
    outcome = do(before, {}, wanted, "me")
    mine = outcome.managed.get(applier("me"))
    assert (mine.fields if mine else {}) == fields(wanted)
    change = compare(wanted, outcome.document, ROOT)
    assert not intersection(fields(wanted), change.removed)
    for path in paths(change.modified):
        raise AssertionError(f"{path} is not what was applied")


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_by_force_nobody_keeps_what_was_changed(one: Document, two: Document, three: Document) -> None:
    first = do({}, {}, one, "one")
    second = do(first.document, first.managed, two, "two")
    third = do(second.document, second.managed, three, "three")
    change = compare(second.document, third.document, ROOT)
    for owner, owned in third.managed.items():
        if owner.manager != "three":
            assert not intersection(owned.fields, change.written)
            assert not intersection(owned.fields, change.removed)


@given(DOCUMENTS, DOCUMENTS)
def test_without_force_an_apply_goes_through_or_changes_nothing(one: Document, two: Document) -> None:
    first = do({}, {}, one, "one")
    refused: ApiError | None = None
    try:
        second = do(first.document, first.managed, two, "two", force=False)
    except ApiError as error:
        refused = error
    if refused is not None:
        assert refused.message.startswith("Apply failed with ")
        assert refused.causes
        return
    kept = second.managed.get(applier("one"))
    assert (kept.fields if kept else {}) == fields(one)
    assert second.document == do(first.document, first.managed, two, "two").document


@given(DOCUMENTS, DOCUMENTS)
def test_giving_all_up_leaves_what_others_own(one: Document, two: Document) -> None:
    first = do({}, {}, one, "one")
    second = do(first.document, first.managed, two, "two")
    third = do(second.document, second.managed, {}, "two")
    assert applier("two") not in third.managed
    left = set(paths(fields_of(third.document, ROOT)))
    kept = third.managed.get(applier("one"))
    owned = set(paths(kept.fields)) if kept else set()
    assert owned <= left
    assert all(_is_empty(third.document, path) for path in left - owned)


def _is_empty(document: Document, path: tuple[str, ...]) -> bool:
    """Say whether nothing is at a path: a map or list that has been emptied."""
    value: Any = document
    of: Any = ROOT
    for step in path:
        if step.startswith("f:"):
            value, of = value[step[2:]], of.below(step[2:])
        else:
            value, of = next(item for item in value if step_of(item, of) == step), of.item
    return value in (None, {}, [])


@given(DOCUMENTS)
def test_giving_up_what_only_oneself_has_leaves_nothing(wanted: Document) -> None:
    first = do({}, {}, wanted, "me")
    second = do(first.document, first.managed, {}, "me")
    assert plain(second.document) == {}
    assert second.managed == {}


@given(DOCUMENTS, DOCUMENTS)
def test_a_shared_document_outlives_one_of_its_appliers(base: Document, wanted: Document) -> None:
    first = do(base, {}, wanted, "one")
    second = do(first.document, first.managed, wanted, "two", force=False)
    assert second.document == first.document
    third = do(second.document, second.managed, {}, "one")
    assert plain(third.document) == plain(second.document)
    assert applier("two") in third.managed or not fields(wanted)


@given(DOCUMENTS, DOCUMENTS, DOCUMENTS)
def test_an_update_owns_what_it_changed_and_nobody_else_does(
    one: Document, two: Document, new: Document
) -> None:
    first = do(one, {}, two, "applier")
    me = updater("tool", "v1")
    managed = note_update(TERMS, first.document, new, first.managed, me, NOW)
    change = compare(first.document, new, ROOT)
    mine = managed.get(me)
    assert (mine.fields if mine else {}) == ownable(change.written)
    for owner, owned in managed.items():
        if owner != me:
            assert not intersection(owned.fields, change.written)
            assert not intersection(owned.fields, change.removed)
            assert not difference(owned.fields, first.managed[owner].fields)


@given(DOCUMENTS, DOCUMENTS)
def test_owners_survive_the_way_to_the_wire_and_back(one: Document, two: Document) -> None:
    first = do({}, {}, one, "one")
    second = do(first.document, first.managed, two, "two")
    back = read_managed(write_managed(second.managed))
    assert {o: owned.fields for o, owned in back.items()} == {
        o: owned.fields for o, owned in second.managed.items()
    }
    assert write_managed(back) == write_managed(second.managed)
