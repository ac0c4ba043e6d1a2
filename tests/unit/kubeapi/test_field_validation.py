"""Unknown and duplicate fields: named by path, in every syntax and patch, refused, warned of or ignored as asked."""

from typing import Any

import pytest

from tests.unit.kubeapi.conftest import PODS, Kube, pod

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

JSON_TEXT = b"""{"metadata": {"name": "web", "lables": {}}, "spec": {"hostNetwork": false, "hostNetwork": false,
  "containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 1, "prot": "TCP"}]}]}}"""
JSON_FOUND = [
    'unknown field "metadata.lables"',
    'duplicate field "spec.hostNetwork"',
    'unknown field "spec.containers[0].ports[0].prot"',
]
YAML_TEXT = b"""
metadata: {name: web}
spec:
  nodeNam: x
  containers:
  - name: a
    image: i
    image: j
"""
YAML_FOUND = ['line 8: key "image" already set in map', 'unknown field "spec.nodeNam"']


def warnings(kube: Kube) -> list[str]:
    return [
        text.removeprefix('299 - "')[:-1].replace('\\"', '"') for text in kube.headers.getall("Warning", [])
    ]


@pytest.mark.parametrize(
    ("media_type", "body", "found"),
    [("application/json", JSON_TEXT, JSON_FOUND), ("application/yaml", YAML_TEXT, YAML_FOUND)],
)
async def test_a_new_object_is_looked_through(
    kube: Kube, media_type: str, body: bytes, found: list[str]
) -> None:
    status, document = await kube.call(
        "POST", f"{PODS}?fieldValidation=Strict", body, content_type=media_type
    )
    assert status == 400
    assert document["message"] == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: ' + ", ".join(found)
    )
    status, _ = await kube.call(
        "POST", f"{PODS}?fieldValidation=Warn&dryRun=All", body, content_type=media_type
    )
    assert (status, warnings(kube)) == (201, found)
    status, document = await kube.call(
        "POST", f"{PODS}?fieldValidation=Ignore", body, content_type=media_type
    )
    assert (status, warnings(kube)) == (201, [])
    assert document["spec"]["containers"][0]["image"] in ("i", "j")


@pytest.mark.parametrize(
    ("media_type", "patch", "found"),
    [
        (MERGE, b'{"spec": {"foo": 1, "activeDeadlineSeconds": 5, "activeDeadlineSeconds": 6}}',
         ['unknown field "spec.foo"', 'duplicate field "spec.activeDeadlineSeconds"']),
        (STRATEGIC, b'{"spec": {"containers": [{"name": "c0", "imag": "x"}], "$setElementOrder/containers": [{"name": "c0"}]}}',
         ['unknown field "spec.containers[0].imag"']),
        (JSON_PATCH, b'[{"op": "add", "path": "/spec/foo", "value": 1}]', ['unknown field "spec.foo"']),
    ],
)  # fmt: skip
async def test_patches_are_looked_through(
    kube: Kube, media_type: str, patch: bytes, found: list[str]
) -> None:
    await kube.call("POST", PODS, pod())
    query = "fieldManager=t&dryRun=All"
    status, document = await kube.call(
        "PATCH", f"{PODS}/web?{query}&fieldValidation=Strict", patch, content_type=media_type
    )
    assert (status, document["reason"]) == (422, "Invalid"), document
    assert document["message"].startswith(' "" is invalid: patch: Invalid value: "')
    assert all(sentence in document["message"] for sentence in found)
    status, document = await kube.call(
        "PATCH", f"{PODS}/web?{query}&fieldValidation=Warn", patch, content_type=media_type
    )
    assert status == 200, document
    assert set(found) <= set(warnings(kube))
    status, document = await kube.call(
        "PATCH", f"{PODS}/web?{query}&fieldValidation=Ignore", patch, content_type=media_type
    )
    assert status == 200, document
    assert not set(found) & set(warnings(kube))
    assert "foo" not in document["spec"]


async def test_an_update_is_looked_through(kube: Kube) -> None:
    await kube.call("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    body: dict[str, Any] = {"metadata": {"name": "a"}, "date": {"x": "y"}}
    status, document = await kube.call("PUT", f"{CONFIG_MAPS}/a?fieldValidation=Strict", body)
    assert (status, 'unknown field "date"' in document["message"]) == (400, True)
    assert (await kube.call("PUT", f"{CONFIG_MAPS}/a", body))[0] == 200
    assert warnings(kube) == ['unknown field "date"']


async def test_another_word_is_refused(kube: Kube) -> None:
    status, document = await kube.call(
        "POST", f"{CONFIG_MAPS}?fieldValidation=Loose", {"metadata": {"name": "a"}}
    )
    assert (status, document["reason"]) == (422, "Invalid")


async def test_what_is_named_is_bounded(kube: Kube) -> None:
    body = {"metadata": {"name": "a"}, **{f"x{n}": 1 for n in range(5000)}}
    status, document = await kube.call("POST", f"{CONFIG_MAPS}?fieldValidation=Strict", body)
    assert status == 400
    assert len(document["message"]) < 5000
