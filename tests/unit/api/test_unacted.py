"""Fields that are kept and not acted on: the table fits the types, and each caller hears of what they wrote."""

from typing import Any

import pytest

from pinnace.api import unacted
from pinnace.api.context import Context
from pinnace.api.unacted import ROWS, Unacted, find_unacted, rows_of
from pinnace.base.errors import Bug
from pinnace.kube import codec, kinds
from pinnace.kube.kinds import Kind
from tests.unit.api.builders import make_api


def _pod(**spec: Any) -> Any:
    document = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}
    return codec.from_json(kinds.POD, document)


def _found(obj: Any, kind: Kind[Any] = kinds.POD) -> list[str]:
    return [sentence.partition(": ")[0] for sentence in find_unacted(kind, obj)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.resource}:{row.path}")
def test_each_row_names_a_field_of_a_served_kind(row: Unacted) -> None:
    kind = kinds.by_resource(row.resource)
    assert kind is not None
    unacted._build(kind.type, [row])


def test_a_row_for_a_field_that_the_type_lacks_is_a_bug() -> None:
    with pytest.raises(Bug, match=r"has no field spec\.volums"):
        unacted._build(kinds.POD.type, [Unacted("pods", "spec.volums[].nfs", "why")])


def test_no_field_stands_in_the_table_twice_for_the_same_reason() -> None:
    seen = [(row.resource, row.path) for row in ROWS]
    assert len(seen) == len(set(seen))


def test_an_ordinary_pod_is_not_warned_of() -> None:
    pod = _pod(
        volumes=[
            {"name": "a", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "b", "secret": {"secretName": "s"}},
        ],
        hostUsers=True,
        tolerations=[
            {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "tolerationSeconds": 300}
        ],
        securityContext={"seccompProfile": {"type": "RuntimeDefault"}, "fsGroupChangePolicy": "Always"},
    )
    assert _found(pod) == []


def test_fields_are_named_by_their_whole_path() -> None:
    pod = _pod(
        activeDeadlineSeconds=5,
        containers=[
            {"name": "a", "image": "i"},
            {"name": "b", "image": "i", "resources": {"limits": {"ephemeral-storage": "1Gi"}}},
        ],
        volumes=[{"name": "v", "emptyDir": {}}, {"name": "w", "nfs": {"server": "s", "path": "/"}}],
        hostUsers=False,
    )
    assert sorted(_found(pod)) == [
        "spec.activeDeadlineSeconds",
        "spec.containers[1].resources.limits[ephemeral-storage]",
        "spec.hostUsers",
        "spec.volumes[1].nfs",
    ]


def test_a_template_is_looked_at_like_a_pod() -> None:
    spec = {"volumes": [{"name": "v", "nfs": {"server": "s", "path": "/"}}]}
    deployment = codec.from_json(kinds.DEPLOYMENT, {"spec": {"template": {"spec": spec}}})
    assert _found(deployment, kinds.DEPLOYMENT) == ["spec.template.spec.volumes[0].nfs"]


def test_a_kind_that_nothing_acts_on_is_named_once() -> None:
    claim = codec.from_json(kinds.PERSISTENT_VOLUME_CLAIM, {"spec": {"accessModes": ["ReadWriteOnce"]}})
    assert list(find_unacted(kinds.PERSISTENT_VOLUME_CLAIM, claim)) == [
        f"PersistentVolumeClaim: stored, but not acted on: {rows_of('persistentvolumeclaims')[0].why}"
    ]


async def test_creators_and_changers_hear_of_it_and_nobody_else() -> None:
    api, _ = await make_api()
    context = Context(user="somebody")
    pod = await api.create(_pod(activeDeadlineSeconds=5), namespace="default", context=context)
    assert [sentence.partition(":")[0] for sentence in context.warnings] == ["spec.activeDeadlineSeconds"]

    labelled = codec.from_json(
        kinds.POD, codec.to_json(pod) | {"metadata": {"name": "web", "labels": {"a": "b"}}}
    )
    changed = Context(user="somebody")
    updated = await api.update(labelled, namespace="default", context=changed)
    assert changed.warnings == context.warnings

    status = Context(user="somebody")
    await api.update_status(updated, context=status)
    assert status.warnings == []
