"""The generated objects: current with their generator, and shaped as the package's head promises."""

import sys
from pathlib import Path

import msgspec
import pytest

from pinnace.kube.objects import apps_v1, core_v1, meta_v1, metrics_v1beta1

ROOT = Path(__file__).resolve().parents[3]
OBJECTS = ROOT / "src" / "pinnace" / "kube" / "objects"


def test_generated_modules_are_what_the_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kubernetes_validate")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import generate_objects

    rendered = generate_objects.render_all()
    stale = [name for name, content in rendered.items() if (OBJECTS / name).read_text() != content]
    assert stale == []


@pytest.mark.parametrize(
    ("wire", "attribute"),
    [
        ("hostIPC", "host_ipc"),
        ("podIPs", "pod_ips"),
        ("clusterIP", "cluster_ip"),
        ("setHostnameAsFQDN", "set_hostname_as_fqdn"),
        ("nonResourceURLs", "non_resource_urls"),
        ("downwardAPI", "downward_api"),
        ("from", "from_"),
        ("continue", "continue_"),
        ("type", "type"),
    ],
)
def test_attribute_of_a_wire_name(wire: str, attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import generate_objects

    assert generate_objects.to_snake(wire) == attribute


def encode(obj: object) -> object:
    return msgspec.json.decode(msgspec.json.encode(obj))


def test_required_and_value_fields_are_encoded_though_empty() -> None:
    # Kubernetes answers `status: {replicas: 0}` for a fresh ReplicaSet, and `resources: {}` for a bare container.
    assert encode(apps_v1.ReplicaSet())["status"] == {"replicas": 0}  # type: ignore[index]
    assert encode(core_v1.Container(name="a")) == {"name": "a", "resources": {}}
    assert encode(core_v1.PodSpec()) == {"containers": []}
    assert encode(apps_v1.ReplicaSetSpec()) == {"template": {"metadata": {}, "spec": {"containers": []}}}


def test_top_level_objects_name_themselves() -> None:
    assert encode(core_v1.ConfigMap()) == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}
    assert metrics_v1beta1.PodMetrics().api_version == "metrics.k8s.io/v1beta1"


def test_wire_names_that_are_no_camel_case_survive() -> None:
    data = b'{"hostIPC":true,"setHostnameAsFQDN":true,"containers":[]}'
    spec = msgspec.json.decode(data, type=core_v1.PodSpec)
    assert (spec.host_ipc, spec.set_hostname_as_fqdn) == (True, True)
    assert encode(spec) == msgspec.json.decode(data)
    assert encode(core_v1.DaemonEndpoint(port=10250)) == {"Port": 10250}
    assert encode(meta_v1.ListMeta(continue_="x")) == {"continue": "x"}


def test_quantities_and_ints_or_strings_take_both_forms() -> None:
    limits = msgspec.json.decode(
        b'{"limits":{"nvidia.com/gpu":1,"cpu":"500m"}}', type=core_v1.ResourceRequirements
    ).limits
    assert limits == {"nvidia.com/gpu": 1, "cpu": "500m"}
    ports = [
        msgspec.json.decode(b'{"port":%s}' % p, type=core_v1.HTTPGetAction).port for p in (b"80", b'"http"')
    ]
    assert ports == [80, "http"]


def test_no_module_is_loaded_by_another_without_need() -> None:
    import subprocess

    code = "import sys, pinnace.kube.objects.core_v1; print([m for m in sys.modules if m.startswith('pinnace.kube.objects.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert sorted(eval(loaded)) == [f"pinnace.kube.objects.{m}" for m in ("core_v1", "meta_v1", "shared")]  # noqa: S307
