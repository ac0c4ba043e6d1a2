"""Paths of fields."""

from pinnace.kube.fields import Path


def test_paths_render_as_kubernetes_renders_them() -> None:
    assert str(Path("spec").child("containers").index(0).child("name")) == "spec.containers[0].name"
    assert str(Path("metadata", "labels").key("app")) == "metadata.labels[app]"
    assert str(Path().child("spec", "replicas")) == "spec.replicas"
