"""Every kind can be applied: again without a change, by a second manager, with what is given up gone."""

import json
from typing import Any

import pytest

from pinnace.api.apply.collecting import Faults, collect
from pinnace.api.apply.types import type_of
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.base.errors import ApiError
from pinnace.kube.kinds import Kind
from tests.unit.api.apply.test_server_side import by, owners
from tests.unit.api.builders import document, make_api
from tests.unit.api.test_every_kind import SAMPLES

Document = dict[str, Any]


async def apply(api: Api, kind: Kind[Any], wanted: Document, manager: str, *, force: bool = False) -> Any:
    meta = wanted["metadata"]
    body = json.dumps({"apiVersion": kind.api_version, "kind": kind.kind, **wanted}).encode()
    patch = Patch("application/apply-patch+yaml", body, force)
    namespace = "default" if kind.namespaced else ""
    return await api.patch(
        kind, namespace, meta["name"], patch, context=by(manager, groups=("system:masters",))
    )


def with_note(wanted: Document) -> Document:
    meta = wanted["metadata"]
    return {
        **wanted,
        "metadata": {**meta, "labels": {**meta.get("labels", {}), "note": "1"}, "annotations": {"note": "1"}},
    }


@pytest.mark.parametrize(
    ("kind", "given"), SAMPLES, ids=lambda value: value.kind if isinstance(value, Kind) else ""
)
async def test_a_kind_is_applied_shared_and_given_up(kind: Kind[Any], given: Document) -> None:
    api, clock = await make_api()
    meta = given["metadata"]
    given = {**given, "metadata": {**meta, "labels": {**meta.get("labels", {}), "base": "1"}}}
    first = await apply(api, kind, given, "one")
    faults = Faults()
    collect(given, type_of(kind), faults)
    assert faults == []
    clock.advance(60)
    assert await apply(api, kind, given, "one") == first
    noted = await apply(api, kind, with_note(given), "one")
    assert noted.metadata.labels["note"] == noted.metadata.annotations["note"] == "1"
    # As on a cluster: lists that are owned as a whole have got defaults, and stringData is never stored.
    if kind.kind in CONFLICTS:
        with pytest.raises(ApiError) as caught:
            await apply(api, kind, given, "two")
        assert {cause.field.rpartition(".")[2] for cause in caught.value.causes} == CONFLICTS[kind.kind]
        return
    shared = await apply(api, kind, given, "two")
    assert owners(shared).get("two Apply") == owners(first).get("one Apply")
    assert {**document(shared), "metadata": {}} == {**document(noted), "metadata": {}}
    left = await apply(api, kind, given, "one")
    assert "note" not in left.metadata.labels
    assert "note" not in left.metadata.annotations
    assert owners(left).get("one Apply") == owners(first).get("one Apply")
    assert {**document(left), "metadata": {}} == {**document(first), "metadata": {}}


CONFLICTS = {
    "ClusterRoleBinding": {"roleRef", "subjects"},
    "EndpointSlice": {"ports"},
    "Endpoints": {"subsets"},
    "LimitRange": {"limits"},
    "NetworkPolicy": {"ingress"},
    "Pod": {"items"},
    "RoleBinding": {"roleRef", "subjects"},
    "Secret": {"a"},
    "StatefulSet": {"volumeClaimTemplates"},
    "ValidatingAdmissionPolicy": {"matchConstraints"},
}
