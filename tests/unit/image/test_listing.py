"""Filters of images, what prune removes, history and usage. Expected values are Docker's documentation's, or counted by hand."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.base.times import parse_time
from pinnace.image.history import history_rows
from pinnace.image.layers import Layer
from pinnace.image.listing import (
    LIST_KEYS,
    PRUNE_KEYS,
    compile_pattern,
    fits,
    parse_filters,
    parse_moment,
    plan_prune,
    select,
)
from pinnace.image.usage import compute_usage
from pinnace.image.views import Image
from pinnace.oci.config import ContainerConfig, History, ImageConfig, RootFs
from pinnace.oci.digest import Digest, digest_of
from pinnace.oci.reference import parse_reference

NOW = parse_time("2026-01-10T00:00:00Z")


def image(
    name: str, *references: str, day: int = 1, labels: dict[str, str] | None = None, size: int = 0
) -> Image:
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        created=f"2026-01-{day:02}T00:00:00Z",
        rootfs=RootFs(),
        config=ContainerConfig(labels=labels),
    )
    return Image(digest_of(name.encode()), config, tuple(map(parse_reference, references)), size)


IMAGES = (
    image("web", "web:v1", "ghcr.io/me/web:v2", day=3, labels={"team": "a", "x": ""}),
    image("old", "tool:latest", day=1, labels={"team": "b"}),
    image("lost", day=2),
)


def names(*filters: str) -> list[list[str]]:
    found = {"web:v1": IMAGES[0], "tool": IMAGES[1]}
    chosen = select(IMAGES, parse_filters(filters, LIST_KEYS), now=NOW, find=found.__getitem__)
    return [[one.familiar for one in row.references] or ["<none>"] for row in chosen]


WEB, TOOL, LOST = ["web:v1", "ghcr.io/me/web:v2"], ["tool:latest"], ["<none>"]


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ((), [WEB, TOOL, LOST]),
        (("dangling=true",), [LOST]),
        (("dangling=0",), [WEB, TOOL]),
        (("label=team",), [WEB, TOOL]),
        (("label=team=a",), [WEB]),
        (("label=team=a", "label=x"), [WEB]),
        (("label=team=a", "label=y"), []),
        (("before=web:v1",), [TOOL, LOST]),
        (("since=tool",), [WEB, LOST]),
        (("until=2026-01-02",), [TOOL]),
        (("until=168h",), [TOOL, LOST]),  # seven days before the tenth
        (("reference=web",), [["web:v1"]]),
        (("reference=*:v?",), [["web:v1"]]),
        (("reference=ghcr.io/*/web",), [["ghcr.io/me/web:v2"]]),
        (("reference=*/*/web:v2", "reference=tool"), [["ghcr.io/me/web:v2"], TOOL]),
        (("reference=web:v2",), []),
    ],
)
def test_filters_choose_images_and_names(filters: tuple[str, ...], shown: list[list[str]]) -> None:
    assert names(*filters) == shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("foo=1", "Invalid filter 'foo'"),
        ("dangling", "invalid filter 'dangling'"),
        ("dangling=maybe", "invalid filter 'dangling=maybe'"),
        ("until=yesterday", "'yesterday' is not a time"),
        ("reference=[a", "the pattern '\\[a' is not closed"),
    ],
)
def test_a_filter_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        names(text)


@pytest.mark.parametrize(
    ("pattern", "reference", "does"),
    [
        ("we?", "web:v1", True),
        ("w[a-f]b", "web:v1", True),
        ("w[^e]b", "web:v1", False),
        ("*", "me/web:v1", False),
        ("me/*", "me/web:v1", True),
        (r"w\eb", "web:v1", True),
    ],
)
def test_patterns_are_those_of_a_shell(pattern: str, reference: str, does: bool) -> None:
    assert fits(parse_reference(reference), compile_pattern(pattern)) is does


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", NOW - 600),
        ("1h30m", NOW - 5400),
        ("1767323045", 1767323045.0),
        ("2026-01-02", 1767312000.0),
        ("2026-01-02T03:04:05", 1767323045.0),
        ("2026-01-02T03:04:05+01:00", 1767319445.0),
    ],
)
def test_moments(text: str, seconds: float) -> None:
    assert parse_moment(text, NOW) == seconds


@pytest.mark.parametrize(
    ("every", "filters", "gone"),
    [
        (False, (), ["lost"]),
        (True, (), ["old", "lost"]),
        (True, ("until=2026-01-02",), ["old"]),
        (True, ("label=team",), ["old"]),
        (True, ("label!=team",), ["lost"]),
        (False, ("dangling=false",), ["old", "lost"]),
    ],
)
def test_prune_spares_what_a_container_uses(every: bool, filters: tuple[str, ...], gone: list[str]) -> None:
    plan = plan_prune(
        IMAGES,
        parse_filters(filters, PRUNE_KEYS),
        every=every,
        now=NOW,
        used=lambda image: image == IMAGES[0],
    )
    assert [one.id for one in plan] == [digest_of(name.encode()) for name in gone]


def layer(name: str, size: int) -> Layer:
    digest = Digest(digest_of(name.encode()))
    return Layer(diff_id=digest, key=digest, size=size, tar_size=0, entries=1)


def test_history_puts_layers_to_the_steps_that_made_them() -> None:
    steps = (
        History(created="2026-01-01T00:00:00Z", created_by="COPY", comment="c"),
        History(created_by="ENV", empty_layer=True),
        History(created="2026-01-02T00:00:00.5Z", created_by="RUN"),
    )
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(), history=steps)
    one = Image(digest_of(b"x"), config, (parse_reference("web:v1"),), 0)
    rows = history_rows(one, (layer("a", 10), layer("b", 20)))
    assert [(row["Id"], row["CreatedBy"], row["Size"], row["Created"]) for row in rows] == [
        (one.id, "RUN", 20, 1767312000),
        ("<missing>", "ENV", 0, 0),
        ("<missing>", "COPY", 10, 1767225600),
    ]
    assert (rows[0]["Tags"], rows[2]["Comment"]) == (["web:v1"], "c")
    with pytest.raises(UserError, match="names more layers than the 1"):
        history_rows(one, (layer("a", 10),))


def test_usage_counts_a_shared_layer_once() -> None:
    one, two, three = image("1", size=30), image("2", size=60), image("3", size=5)
    stacks = {
        one.id: (layer("base", 10), layer("a", 20)),
        two.id: (layer("base", 10), layer("b", 50)),
        three.id: (layer("c", 5),),
    }
    used = {one.id: 2}
    usage = compute_usage((one, two, three), lambda x: stacks[x.id], lambda x: used.get(x.id, 0))
    assert (usage.size, usage.active) == (85, 1)
    assert [(row.shared, row.unique, row.containers) for row in usage.images] == [
        (10, 20, 2),
        (10, 50, 0),
        (0, 5, 0),
    ]
    assert usage.reclaimable == 65  # all but what only the used one has
