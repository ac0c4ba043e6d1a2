"""What a cache that travels says, and what is not believed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pinnace.base.errors import UserError
from pinnace.build.cache_document import (
    CacheDocument,
    Made,
    compose,
    pair_blobs,
    parse_document,
    render_document,
)
from pinnace.build.cache_import import read_config
from pinnace.build.cache_places import CachePlace, read_places, with_inline
from pinnace.oci.digest import Digest
from pinnace.oci.manifest import Descriptor

A, B, C = (Digest("sha256:" + letter * 64) for letter in "abc")


def made(key: str, layer: Digest, *, target: bool = False, empty: bool = False) -> Made:
    return Made(key * 64, layer, 7, empty, f"RUN {key}", 1.0, 0.12345, is_target=target)


def blob(digest: Digest) -> Descriptor:
    return Descriptor(media_type="application/vnd.oci.image.layer.v1.tar+gzip", digest=digest, size=5)


STEPS = [
    made("1", A),
    made("2", B, target=True),
    made("3", C, target=True, empty=True),
    made("4", B, target=True),
]


def test_smallest_cache_knows_all_steps_and_holds_only_the_results_layers() -> None:
    document, sent = compose(STEPS, {"k": "d"}, "min")
    assert sent == (B,)
    assert [(layer.diff_id, layer.at, layer.is_empty) for layer in document.layers] == [
        (A, -1, False),
        (B, 0, False),
        (C, -1, True),
    ]
    assert [(step.key[0], step.layer, step.seconds) for step in document.steps] == [
        ("1", 0, 0.123),
        ("2", 1, 0.123),
        ("3", 2, 0.123),
        ("4", 1, 0.123),
    ]
    assert document.digests == {"k": "d"}


def test_largest_cache_holds_the_layers_of_all_stages_each_once() -> None:
    document, sent = compose(STEPS, {}, "max")
    assert sent == (A, B)
    assert pair_blobs(document, [blob(C), blob(A)]) == {A: blob(C), B: blob(A)}


def test_document_comes_back_as_it_was() -> None:
    document, sent = compose(STEPS, {"k": "d"}, "max")
    assert parse_document(render_document(document), len(sent), "x") == document


def altered(**fields: Any) -> bytes:
    document, _ = compose(STEPS, {}, "max")
    return msgspec.json.encode({**msgspec.to_builtins(document), **fields})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "can't be understood"),
        (b'{"form":1,"keys":2,"layers":[{"diff_id":5,"size":1}]}', "can't be understood"),
        (altered(form=2), "another version"),
        (altered(keys=1), "another version"),
        (altered(layers=[{"diff_id": "sha256:x", "size": 1}]), "digest"),
        (altered(layers=[{"diff_id": A, "size": 1, "at": 2}]), "names a layer that is not there"),
        (altered(layers=[{"diff_id": A, "size": -1}]), "names a layer that is not there"),
        (altered(layers=[]), "a step that makes no sense"),
        (
            altered(steps=[{"key": "short", "layer": 0, "created": 0}]),
            "a step that makes no sense",
        ),
        (altered(digests={str(n): "" for n in range(20_001)}), "more than 20000 steps"),
    ],
)
def test_what_does_not_fit_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_document(data, 2, "the cache")


def test_other_builders_caches_and_images_without_one_are_told_apart() -> None:
    with pytest.raises(UserError, match="a cache of BuildKit"):
        read_config("application/vnd.buildkit.cacheconfig.v0", b"{}", [], "x")
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    with pytest.raises(UserError, match="an image without a cache"):
        read_config("application/vnd.oci.image.config.v1+json", config, [], "x")


def test_inline_cache_pairs_an_images_own_layers() -> None:
    document, _ = compose(STEPS, {}, "min")
    config = {"rootfs": {"type": "layers", "diff_ids": [C, B]}, "io.pinnace.buildcache.v1": document}
    media_type = "application/vnd.docker.container.image.v1+json"
    found, blobs = read_config(media_type, msgspec.json.encode(config), [blob(A), blob(C)], "x")
    assert (found, blobs) == (document, {C: blob(A), B: blob(C)})
    with pytest.raises(UserError, match="has 1 layers"):
        read_config(media_type, msgspec.json.encode(config), [blob(A)], "x")


def test_empty_document_is_a_cache_without_steps() -> None:
    assert parse_document(render_document(CacheDocument()), 0, "x") == CacheDocument()


def test_places_are_checked() -> None:
    assert read_places([{"type": "registry", "ref": "a:1"}], is_source=True) == (
        CachePlace(type="registry", ref="a:1"),
    )
    wrong: list[Any] = [
        "x",
        [{"type": "s3"}],
        [{"type": "registry", "ref": ""}],
        [{"type": "local", "path": "x"}],
    ]
    for value in (*wrong, [{"type": "inline"}]):
        with pytest.raises(UserError):
            read_places(value, is_source=True)
    assert read_places([{"type": "inline"}], is_source=False) == (CachePlace(type="inline"),)


def test_build_arg_asks_for_an_inline_cache_once() -> None:
    inline = CachePlace(type="inline")
    assert with_inline((), {"BUILDKIT_INLINE_CACHE": "1"}) == (inline,)
    assert with_inline((inline,), {"BUILDKIT_INLINE_CACHE": "true"}) == (inline,)
    assert with_inline((), {"BUILDKIT_INLINE_CACHE": "0"}) == with_inline((), {}) == ()


def test_lines_of_the_dockerfile_do_not_travel() -> None:
    document, _ = compose(STEPS, {}, "max")
    assert b"RUN" not in render_document(document)


@pytest.mark.parametrize("created", [-1.0, 1e300])
def test_step_of_an_impossible_time_is_refused(created: float) -> None:
    document, _ = compose([made("1", A)], {}, "min")
    late = msgspec.structs.replace(document.steps[0], created=created)
    data = render_document(msgspec.structs.replace(document, steps=(late,)))
    with pytest.raises(UserError, match="no time there is"):
        parse_document(data, 0, "the cache x")
