"""How fields of built-in kinds merge. Source: client-go v1.37, applyconfigurations/internal/internal.go, its schema."""

from typing import Any

import pytest

from pinnace.api.apply.types import OPAQUE, QUANTITY, Record, Scalar, Sequence, Type, type_of
from pinnace.kube import kinds
from pinnace.kube.kinds import Kind

POD_SPEC = "spec.template.spec"


def at(kind: Kind[Any], path: str) -> Type:
    found: Type = type_of(kind)
    for name in path.split("."):
        if isinstance(found, Sequence):
            found = found.item
        assert isinstance(found, Record)
        below = found.below(name)
        assert below is not None, path
        found = below
    return found


@pytest.mark.parametrize(
    ("kind", "path", "relation", "keys", "defaults"),
    [
        (kinds.DEPLOYMENT, f"{POD_SPEC}.containers", "map", ("name",), {"name": ""}),
        (
            kinds.DEPLOYMENT,
            f"{POD_SPEC}.containers.ports",
            "map",
            ("containerPort", "protocol"),
            {"containerPort": 0, "protocol": "TCP"},
        ),
        (kinds.DEPLOYMENT, f"{POD_SPEC}.containers.env", "map", ("name",), {"name": ""}),
        (kinds.DEPLOYMENT, f"{POD_SPEC}.containers.volumeMounts", "map", ("mountPath",), {"mountPath": ""}),
        (kinds.DEPLOYMENT, f"{POD_SPEC}.containers.args", "atomic", (), {}),
        (kinds.DEPLOYMENT, f"{POD_SPEC}.volumes", "map", ("name",), {"name": ""}),
        (kinds.DEPLOYMENT, f"{POD_SPEC}.tolerations", "atomic", (), {}),
        (kinds.DEPLOYMENT, f"{POD_SPEC}.imagePullSecrets", "map", ("name",), {"name": ""}),
        (
            kinds.DEPLOYMENT,
            f"{POD_SPEC}.topologySpreadConstraints",
            "map",
            ("topologyKey", "whenUnsatisfiable"),
            {"topologyKey": "", "whenUnsatisfiable": ""},
        ),
        (kinds.SERVICE, "spec.ports", "map", ("port", "protocol"), {"port": 0, "protocol": "TCP"}),
        (kinds.SERVICE, "spec.externalIPs", "atomic", (), {}),
        (kinds.CONFIG_MAP, "metadata.finalizers", "set", (), {}),
        (kinds.CONFIG_MAP, "metadata.ownerReferences", "map", ("uid",), {"uid": ""}),
        (kinds.SERVICE_ACCOUNT, "secrets", "map", ("name",), {}),
        (kinds.ROLE, "rules", "atomic", (), {}),
        (kinds.HORIZONTAL_POD_AUTOSCALER, "spec.metrics", "atomic", (), {}),
    ],
)
def test_lists(kind: Kind[Any], path: str, relation: str, keys: tuple[str, ...], defaults: Any) -> None:
    found = at(kind, path)
    assert isinstance(found, Sequence)
    assert (found.relation, found.keys, dict(found.defaults)) == (relation, keys, defaults)


@pytest.mark.parametrize(
    ("kind", "path", "atomic"),
    [
        (kinds.DEPLOYMENT, "spec", False),
        (kinds.DEPLOYMENT, "spec.selector", True),
        (kinds.DEPLOYMENT, "spec.strategy", False),
        (kinds.DEPLOYMENT, f"{POD_SPEC}.nodeSelector", True),
        (kinds.DEPLOYMENT, f"{POD_SPEC}.containers.env.valueFrom.secretKeyRef", True),
        (kinds.DEPLOYMENT, f"{POD_SPEC}.containers.resources.limits", False),
        (kinds.SERVICE, "spec.selector", True),
        (kinds.CONFIG_MAP, "data", False),
        (kinds.CONFIG_MAP, "metadata.labels", False),
        (kinds.HORIZONTAL_POD_AUTOSCALER, "spec.scaleTargetRef", False),
    ],
)
def test_maps_and_structs(kind: Kind[Any], path: str, atomic: bool) -> None:
    found = at(kind, path)
    assert isinstance(found, Record)
    assert found.atomic is atomic


def test_scalars_and_what_has_no_parts() -> None:
    limits = at(kinds.DEPLOYMENT, f"{POD_SPEC}.containers.resources.limits")
    assert isinstance(limits, Record)
    assert limits.rest is QUANTITY
    assert at(kinds.CONTROLLER_REVISION, "data") is OPAQUE
    replicas = at(kinds.DEPLOYMENT, "spec.replicas")
    assert isinstance(replicas, Scalar)
    assert (replicas.name, replicas.accepts) == ("numeric", frozenset({int, float}))


def test_a_kind_is_compiled_once() -> None:
    assert type_of(kinds.POD) is type_of(kinds.POD)
