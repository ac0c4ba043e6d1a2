"""The table of kinds of an instance: custom kinds come and go, built-in ones stay."""

import pytest

from pinnace.kube import kinds
from pinnace.kube.custom import CustomVersion, Family
from pinnace.kube.kind_table import KindTable, version_order
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.custom import CustomObject
from pinnace.kube.schema import Form, Shape
from pinnace.kube.structural import compile_structural


def custom(version: str, family: Family, plural: str = "samples") -> Kind[CustomObject]:
    said = CustomVersion(family, {}, compile_structural({}), Shape(Form.FREE))
    kind: Kind[CustomObject] = Kind(
        "example.com", version, "Sample", plural, "custom.CustomObject", custom=said
    )
    family.rows[version] = kind
    return kind


def test_versions_are_ordered_as_kubernetes_orders_them() -> None:
    # Source: apimachinery/pkg/version/helpers_test.go and kubernetes.io, "Version priority".
    given = ["foo10", "v1", "v3beta1", "v11alpha2", "v10", "foo1", "v12alpha1", "v2", "v11beta2", "v10beta3"]
    assert sorted(given, key=version_order) == [
        "v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10",
    ]  # fmt: skip


def test_custom_kinds_come_and_go_and_listeners_hear_of_it() -> None:
    table = KindTable()
    heard: list[int] = []
    end = table.on_change(lambda: heard.append(table.generation))
    family = Family("uid", "samples.example.com", storage_version="v1")
    v1, v2 = custom("v1", family), custom("v2", family)
    table.set_custom((v2, v1), (v1,))
    assert table.by_gvk("example.com", "v1", "Sample") is v1
    assert table.by_plural("example.com", "v2", "samples") is v2
    assert table.by_resource("example.com/samples") is v1
    assert table.group_versions()["example.com"] == ("v2", "v1")
    assert table.versions_of(v1) == (v2, v1)
    assert table.kind_of(CustomObject(api_version="example.com/v2", kind="Sample")) is v2
    assert table.by_api_version("v1", "Pod") is kinds.POD
    table.set_custom((), ())
    assert table.by_plural("example.com", "v2", "samples") is None
    with pytest.raises(KeyError):
        table.kind_of(CustomObject(api_version="example.com/v2", kind="Sample"))
    end()
    table.set_custom((), ())
    assert heard == [1, 2]


def test_what_is_derived_is_made_once_between_changes() -> None:
    table = KindTable()
    made: list[int] = []

    def build() -> int:
        made.append(1)
        return len(made)

    assert (table.derived("a", build), table.derived("a", build)) == (1, 1)
    table.set_custom((), ())
    assert table.derived("a", build) == 2


def test_a_watch_ends_with_its_kind_and_only_then() -> None:
    class Watch:
        closed = False

        def close(self) -> None:
            self.closed = True

    table, family = KindTable(), Family("uid", "samples.example.com", storage_version="v1")
    kind, watch = custom("v1", family), Watch()
    table.set_custom((kind,), (kind,))
    table.close_with(kind, watch)
    table.set_custom((kind,), (kind,))
    assert not watch.closed
    table.set_custom((custom("v1", family),), ())
    assert watch.closed
