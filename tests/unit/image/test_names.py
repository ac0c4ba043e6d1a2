"""One suite for every implementation of `ImageNames`, on memory and on the write path of objects."""

from __future__ import annotations

import pytest

from pinnace.api.facade import Api
from pinnace.base.chance import Chance
from pinnace.base.clock import FrozenClock
from pinnace.image.api_names import ApiNames, object_name
from pinnace.image.names import ImageNames, MemoryNames, NamedImage
from pinnace.kube.kinds import IMAGE
from pinnace.oci.digest import digest_of
from pinnace.store.memory import MemoryStore

A, B = digest_of(b"a"), digest_of(b"b")
WEB = "docker.io/library/web:v1"


def make_api() -> Api:
    return Api(MemoryStore(), FrozenClock(1.0), Chance(1))


@pytest.fixture(params=["memory", "api"])
def names(request: pytest.FixtureRequest) -> ImageNames:
    return MemoryNames() if request.param == "memory" else ApiNames(make_api())


async def test_a_name_stands_for_the_image_that_was_set_last(names: ImageNames) -> None:
    assert names.get(WEB) is None and names.list() == ()
    await names.set(NamedImage(WEB, A))
    await names.set(NamedImage("ghcr.io/me/web:v1", A, B))
    await names.set(NamedImage(WEB, B))
    assert names.get(WEB) == NamedImage(WEB, B)
    assert sorted(name.reference for name in names.list()) == [WEB, "ghcr.io/me/web:v1"]
    assert names.get("ghcr.io/me/web:v1") == NamedImage("ghcr.io/me/web:v1", A, B)


async def test_a_name_that_is_deleted_is_gone_and_may_be_deleted_again(names: ImageNames) -> None:
    await names.set(NamedImage(A, A))
    await names.delete(A)
    await names.delete(A)
    assert (names.get(A), names.list()) == (None, ())


async def test_a_name_is_an_object_that_kubectl_can_list() -> None:
    api = make_api()
    await ApiNames(api).set(NamedImage(WEB, A))
    (found,) = api.list(IMAGE)
    assert found.metadata.name.startswith("web-v1-")
    assert (found.spec.reference, found.spec.image_id) == (WEB, A)


def test_object_names_are_valid_and_differ_where_references_do() -> None:
    references = [
        WEB,
        "docker.io/library/web:V1",
        "localhost:5000/a_b/c.d:1",
        A,
        "docker.io/" + "x/" * 100 + "y:z",
    ]
    found = [object_name(reference) for reference in references]
    assert len(set(found)) == len(references)
    for name in found:
        assert len(name) <= 63
        assert name.replace("-", "").isalnum() and name == name.lower() and name[0].isalnum()
