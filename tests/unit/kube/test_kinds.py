"""The table of kinds."""

import sys

import pytest

from pinnace.kube import kinds
from pinnace.kube.kind_table import BUILT_IN
from pinnace.kube.objects import apps_v1, autoscaling_v1, core_v1


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("po", kinds.POD),
        ("Pod", kinds.POD),
        ("pods", kinds.POD),
        ("svc", kinds.SERVICE),
        ("deploy", kinds.DEPLOYMENT),
        ("deployments.apps", kinds.DEPLOYMENT),
        ("deployments.v1.apps", kinds.DEPLOYMENT),
        ("hpa", kinds.HORIZONTAL_POD_AUTOSCALER),
        ("hpa.v1.autoscaling", kinds.HORIZONTAL_POD_AUTOSCALER_V1),
        ("events", kinds.EVENT),
        ("events.events.k8s.io", kinds.EVENT_V1),
        ("nodes", kinds.NODE),
        ("nodes.metrics.k8s.io", kinds.NODE_METRICS),
        ("widgets", None),
    ],
)
def test_a_kind_is_found_by_each_of_its_names(name: str, kind: object) -> None:
    assert kinds.by_name(name) is kind


def test_store_and_messages_spell_a_kind_in_their_own_ways() -> None:
    assert (kinds.POD.resource, kinds.POD.group_resource, kinds.POD.api_version) == ("pods", "pods", "v1")
    row = kinds.DEPLOYMENT
    assert (row.resource, row.group_resource, row.api_version) == (
        "apps/deployments",
        "deployments.apps",
        "apps/v1",
    )
    assert kinds.ENDPOINTS.singular == "endpoints"


def test_versions_of_one_stored_resource_share_it_and_the_first_is_stored() -> None:
    assert BUILT_IN.versions_of(kinds.EVENT_V1) == (kinds.EVENT, kinds.EVENT_V1)
    assert kinds.by_resource("events") is kinds.EVENT
    assert kinds.by_resource("autoscaling/horizontalpodautoscalers") is kinds.HORIZONTAL_POD_AUTOSCALER
    assert kinds.POD_METRICS not in kinds.STORED
    assert kinds.BINDING not in kinds.STORED


def test_every_row_is_unique_and_has_a_type_that_names_itself_as_the_row_does() -> None:
    for kind in (*kinds.SERVED, *kinds.BODIES):
        obj = kind.type()
        assert (obj.api_version, obj.kind) == (kind.api_version, kind.kind)
        assert kinds.kind_of(obj) is kind
        assert kinds.by_api_version(kind.api_version, kind.kind) is kind
    assert len({(k.group, k.version, k.plural) for k in kinds.SERVED}) == len(kinds.SERVED)


def test_objects_know_their_kind() -> None:
    assert kinds.kind_of(core_v1.Pod()) is kinds.POD
    assert kinds.kind_of(autoscaling_v1.Scale()) is kinds.SCALE
    with pytest.raises(KeyError):
        kinds.kind_of(apps_v1.DeploymentSpec())


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("Pod", "pods"),
        ("Endpoints", "endpoints"),
        ("Ingress", "ingresses"),
        ("RuntimeClass", "runtimeclasses"),
        ("NetworkPolicy", "networkpolicies"),
    ],
)
def test_plurals_follow_the_rule_that_clients_guess_by(kind: str, plural: str) -> None:
    assert kinds.regular_plural(kind) == plural


def test_autoscaling_prefers_v2() -> None:
    assert BUILT_IN.group_versions()["autoscaling"] == ("v2", "v1")


def test_the_table_loads_no_objects() -> None:
    import subprocess

    code = "import sys, pinnace.kube.kinds; print(any(m.startswith(('pinnace.kube.objects', 'msgspec')) for m in sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )
