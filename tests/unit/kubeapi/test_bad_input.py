"""Bodies that are meant to hurt: each is answered with a 4xx, in bounded time and memory, and others are served meanwhile.

The bounds are some times what was measured (2 s and 70 MiB for the worst), so that a busy machine doesn't fail them; without
the limits that they are about, each would be missed by far.
"""

import asyncio
import json
import resource
import time
from typing import Any

import pytest

from tests.unit.kubeapi.conftest import PODS, Kube

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
LIMIT = 3 * 1024 * 1024
SECONDS_MOST = 15.0
BYTES_MOST = 400 * 1024 * 1024

JSON, YAML, APPLY = "application/json", "application/yaml", "application/apply-patch+yaml"


def alias_bomb(levels: int = 9) -> bytes:
    """Nine to the power of ten items in some 300 bytes."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels + 1)]
    return "\n".join(lines).encode()


def fill(item: bytes, before: bytes = b"[", after: bytes = b"]", size: int = LIMIT) -> bytes:
    """As many items as fit into a body of the greatest size."""
    return before + b",".join([item] * ((size - len(before) - len(after)) // (len(item) + 1))) + after


BODIES: dict[str, tuple[str, str, bytes, set[int]]] = {
    "deep objects": (CONFIG_MAPS, JSON, b'{"a":' * 400_000 + b"1" + b"}" * 400_000, {400}),
    "deep lists": (CONFIG_MAPS, JSON, b"[" * LIMIT, {400}),
    "deep in free text": (CONFIG_MAPS, JSON, b'{"metadata":{"name":"a"},"data":{"k":"' + b"[" * 1000 + b'"}}', {201}),
    "deep below what is unknown": (CONFIG_MAPS, JSON, b'{"metadata":{"name":"a"},"x":' + b"[" * 500 + b"]" * 500 + b"}", {400}),
    "deep managed fields": (CONFIG_MAPS, JSON, b'{"metadata":{"name":"a","managedFields":[{"fieldsV1":' + b'{"f:a":' * 3000 + b"{}" + b"}" * 3000 + b"}]}}", {400}),
    "half a document": (CONFIG_MAPS, JSON, b'{"metadata": {"name": "a"', {400}),
    "nothing": (CONFIG_MAPS, JSON, b"", {400}),
    "no object": (CONFIG_MAPS, JSON, b"[]", {400}),
    "no UTF-8": (CONFIG_MAPS, JSON, b'{"metadata":{"name":"\xff"}}', {400}),
    "half a surrogate": (CONFIG_MAPS, JSON, b'{"metadata":{"name":"a"},"data":{"a":"\\ud800"}}', {400}),
    "a number of 5,000 digits": (CONFIG_MAPS, JSON, b'{"metadata":{"generation":' + b"9" * 5000 + b"}}", {400}),
    "too long": (CONFIG_MAPS, JSON, b'{"a":"' + b"x" * LIMIT + b'"}', {413}),
    "many unknown fields": (CONFIG_MAPS + "?fieldValidation=Strict", JSON, b"{" + b",".join(b'"k%d":0' % n for n in range(200_000)) + b"}", {400}),
    "one field many times": (CONFIG_MAPS + "?fieldValidation=Strict", JSON, fill(b'"kind":"ConfigMap"', b"{", b"}"), {400}),
    "many wrong labels": (CONFIG_MAPS, JSON, b'{"metadata":{"name":"a","labels":{' + b",".join(b'"k%d":"!"' % n for n in range(150_000)) + b"}}}", {422}),
    "many containers": (PODS, JSON, fill(b'{"name":"a"}', b'{"metadata":{"name":"a"},"spec":{"containers":[', b"]}}"), {413}),
    "as many containers as may be": (PODS, JSON, fill(b'{"name":"a"}', b'{"metadata":{"name":"a"},"spec":{"containers":[', b"]}}", 13 * 49_900), {422}),
    "many containers in YAML": (PODS, YAML, b"metadata: {name: a}\nspec:\n  containers:\n" + b"  - {}\n" * 100_000, {413}),
    "braces in a text": (CONFIG_MAPS, JSON, b'{"metadata":{"name":"a"},"data":{"k":"' + b"{}" * 200_000 + b'"}}', {201}),
    "many wrong types": (PODS, JSON, fill(b"7", b'{"metadata":{"name":"a"},"spec":{"containers":[', b"]}}"), {400}),
    "an alias bomb": (CONFIG_MAPS, YAML, alias_bomb(), {400}),
    "a merge bomb": (CONFIG_MAPS, YAML, b"a: &a {b: c}\nd: {<<: [" + b",".join([b"*a"] * 700_000) + b"]}", {400}),
    "deep YAML": (CONFIG_MAPS, YAML, b"{a: " * 500_000, {400}),
    "a list in YAML": (CONFIG_MAPS, YAML, b"- x\n" * 700_000, {400}),
    "an anchor that contains itself": (CONFIG_MAPS, YAML, b"a: &a [*a]", {400}),
    "a type of Python's": (CONFIG_MAPS, YAML, b"metadata: !!python/object/apply:os.system ['true']", {400, 422}),
    "several documents' end": (CONFIG_MAPS, YAML, b"--- [\n---", {400}),
    "CBOR": (CONFIG_MAPS, "application/cbor", b"\xd9\xd9\xf7\xa0", {415}),
    "XML": (CONFIG_MAPS, "text/xml", b"<a/>", {415}),
    "half a protobuf": (CONFIG_MAPS, "application/vnd.kubernetes.protobuf", b"k8s\x00\x0a\xff\xff\xff\xff\x7f", {400}),
    "packed": (CONFIG_MAPS, JSON, b"\x1f\x8b\x08\x00" + b"\x00" * 100, {400}),
}  # fmt: skip

PATCHES: dict[str, tuple[str, bytes, set[int]]] = {
    "an alias bomb to apply": (APPLY, alias_bomb(), {400}),
    "deep to merge": ("application/merge-patch+json", b'{"a":' * 400_000 + b"1" + b"}" * 400_000, {400}),
    "deep to merge strategically": ("application/strategic-merge-patch+json", b'{"a":' * 5000 + b"1" + b"}" * 5000, {400}),
    "too many operations": ("application/json-patch+json", fill(b'{"op":"test","path":"/kind","value":1}'), {413}),
    "copies of copies": (
        "application/json-patch+json",
        json.dumps([{"op": "add", "path": "/data", "value": {"a": "x" * 1000}}]
                   + [{"op": "copy", "from": "/data", "path": f"/data/k{n}"} for n in range(60)]).encode(),
        {400, 422},
    ),
    "a long pointer": ("application/json-patch+json", b'[{"op":"remove","path":"' + b"/a" * 1_000_000 + b'"}]', {400, 422}),
    "the whole is removed": ("application/json-patch+json", b'[{"op":"remove","path":""}]', {400, 422}),
    "an operation that is none": ("application/json-patch+json", b'[{"op":["add"]}, 1, null]', {400}),
}  # fmt: skip


async def measured(kube: Kube, method: str, path: str, body: bytes, media_type: str) -> tuple[int, Any]:
    """Send a body, and ask for something small every few milliseconds until it is answered."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    status, document = await kube.call(method, path, body, content_type=media_type)
    assert time.perf_counter() - start < SECONDS_MOST
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < BYTES_MOST, f"{grown // 2**20} MiB"
    return status, document


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body_is_refused_in_bounds(kube: Kube, name: str) -> None:
    path, media_type, body, codes = BODIES[name]
    status, document = await measured(kube, "POST", path, body, media_type)
    assert status in codes, document
    if status >= 400:
        assert (document["kind"], document["code"]) == ("Status", status)
        assert len(json.dumps(document)) < 300_000
    assert (await kube.call("GET", "/healthz"))[0] == 200


@pytest.mark.parametrize("name", PATCHES)
async def test_a_bad_patch_is_refused_in_bounds(kube: Kube, name: str) -> None:
    media_type, body, codes = PATCHES[name]
    await kube.call("POST", CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"a": "b"}})
    path = f"{CONFIG_MAPS}/a" + ("?fieldManager=x&fieldValidation=Ignore" if media_type == APPLY else "")
    status, document = await measured(kube, "PATCH", path, body, media_type)
    assert status in codes, document
    assert (await kube.get(f"{CONFIG_MAPS}/a"))["data"] == {"a": "b"}


async def test_others_are_served_while_a_long_body_is_read(kube: Kube) -> None:
    body = b"- x\n" * 700_000
    long = asyncio.create_task(kube.call("POST", CONFIG_MAPS, body, content_type=YAML))
    answered = 0
    while not long.done():
        async with kube.session.get(f"http://kube{CONFIG_MAPS}") as response:
            assert response.status == 200
        answered += 1
    assert (await long)[0] == 400
    assert answered >= 5


async def test_a_body_without_a_length_is_bounded_too(kube: Kube) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    headers = {"Content-Type": JSON}
    async with kube.session.post(f"http://kube{CONFIG_MAPS}", data=endless(), headers=headers) as response:
        assert response.status == 413
    assert sent < 4 * LIMIT


async def test_a_long_path_is_served(kube: Kube) -> None:
    # 3,000 names in one selector: more than the 8 KiB that many servers stop at.
    names = "%2C".join(f"n{number:06}" for number in range(3000))
    document = await kube.get(f"{CONFIG_MAPS}?labelSelector=app+in+%28{names}%29")
    assert document["items"] == []
