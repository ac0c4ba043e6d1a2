"""Whatever is applied, the answer is an object or an error that says why; never a fault of ours."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.base.errors import ApiError
from pinnace.kube.kinds import DEPLOYMENT
from tests.unit.api.builders import deployment, deployment_document, make_api

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3)
WORDS = st.sampled_from(
    [
        "name",
        "containers",
        "ports",
        "containerPort",
        "protocol",
        "spec",
        "template",
        "labels",
        "env",
        "resources",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
PLACES = st.sampled_from(
    [
        ("metadata",),
        ("metadata", "labels"),
        ("metadata", "finalizers"),
        ("metadata", "ownerReferences"),
        ("metadata", "managedFields"),
        ("spec",),
        ("spec", "replicas"),
        ("spec", "template", "spec", "containers"),
        ("spec", "template", "spec", "volumes"),
        ("spec", "template", "metadata"),
        ("status",),
        ("status", "conditions"),
        ("kind",),
        ("x",),
    ]
)
TYPES = st.sampled_from(
    ["application/apply-patch+yaml", "application/merge-patch+json", "application/strategic-merge-patch+json"]
)


def put(document: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for name in place[:-1]:
        document = document.setdefault(name, {})
        if not isinstance(document, dict):
            return
    document[place[-1]] = value


async def attempt(api: Api, media_type: str, body: bytes, part: str) -> None:
    context = Context(user="u", groups=("system:masters",), field_manager="fuzz")
    patch = Patch(media_type, body, force=True)
    code = 200
    try:
        await api.patch(DEPLOYMENT, "default", "web", patch, subresource=part, context=context)
    except ApiError as error:
        code = error.code
    assert code < 500


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    TYPES,
    st.lists(st.tuples(PLACES, VALUES), min_size=1, max_size=3),
    st.sampled_from(["", "status"]),
    st.booleans(),
)
async def test_no_document_is_a_fault_of_ours(
    media_type: str, changes: list[tuple[tuple[str, ...], Any]], part: str, there: bool
) -> None:
    api, _ = await make_api()
    if there:
        await api.create(deployment(), context=Context(user="u", field_manager="creator"))
    document = {"apiVersion": "apps/v1", "kind": "Deployment", **deployment_document()}
    for place, value in changes:
        put(document, place, value)
    await attempt(api, media_type, json.dumps(document).encode(), part)
    await attempt(api, media_type, json.dumps({**document, **deployment_document()}).encode(), part)


async def test_what_is_nested_deeply_is_refused() -> None:
    api, _ = await make_api()
    for depth in (90, 900, 5000):
        body = b'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","x":' + b'{"a":' * depth
        await attempt(api, "application/apply-patch+yaml", body + b"1" + b"}" * (depth + 2), "")
