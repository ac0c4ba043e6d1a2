"""Volumes: what they hold, and that an update is seen whole or not at all."""

import os
from pathlib import Path

import pytest

from pinnace.base.errors import HostError, UserError
from pinnace.kube.objects.core_v1 import (
    ClusterTrustBundleProjection,
    ConfigMap,
    ConfigMapVolumeSource,
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    KeyToPath,
    ProjectedVolumeSource,
    Volume,
    VolumeProjection,
)
from pinnace.kube.objects.meta_v1 import ObjectMeta
from pinnace.node.environment import Lookups, MissingReference, NodeFacts
from pinnace.node.host import remove_folder
from pinnace.node.volumes import Directory, File, Files, HostPath, make_sub_path, plan_volume, write_volumes
from tests.unit.node.builders import pod

NODE = NodeFacts("n1", "192.0.2.1", 2000, 8 << 30)


def plan(*volumes: Volume, data: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
    found = None if data is None else ConfigMap(metadata=ObjectMeta(name="conf"), data=data)
    lookups = Lookups(lambda n: found, lambda n: None)
    return tuple(plan_volume(one, pod(), pod_ip="", node=NODE, lookups=lookups) for one in volumes)


def test_each_type_becomes_a_plan() -> None:
    volumes = plan(
        Volume(name="scratch", empty_dir=EmptyDirVolumeSource()),
        Volume(name="shm", empty_dir=EmptyDirVolumeSource(medium="Memory", size_limit="1Mi")),
        Volume(name="host", host_path=HostPathVolumeSource(path="/srv")),
        Volume(
            name="conf",
            config_map=ConfigMapVolumeSource(
                name="conf", items=(KeyToPath(key="a", path="d/a", mode=0o600),)
            ),
        ),
        data={"a": "1", "b": "2"},
    )
    assert volumes == (
        Directory("scratch"),
        Directory("shm", 1 << 20),
        HostPath("host", "/srv"),
        Files("conf", (File("d/a", b"1", 0o600),)),
    )


def test_a_missing_config_map_is_named() -> None:
    with pytest.raises(MissingReference, match='configmap "conf" not found'):
        plan(Volume(name="conf", config_map=ConfigMapVolumeSource(name="conf")))


def test_an_update_replaces_all_files_at_one_stroke(tmp_path: Path) -> None:
    write_volumes(tmp_path, (Files("v", (File("a", b"1"), File("old", b"x"))),))
    before = os.readlink(tmp_path / "v" / "..data")
    place = write_volumes(tmp_path, (Files("v", (File("a", b"2"), File("new", b"y"))),))["v"]
    assert {p.name: p.read_bytes() for p in place.iterdir() if not p.name.startswith("..")} == {
        "a": b"2",
        "new": b"y",
    }
    assert os.readlink(place / "..data") != before
    assert not (place / before).exists()


def test_an_unchanged_volume_is_left_alone(tmp_path: Path) -> None:
    plans = (Files("v", (File("a", b"1"),)),)
    write_volumes(tmp_path, plans)
    before = os.readlink(tmp_path / "v" / "..data")
    write_volumes(tmp_path, plans)
    assert os.readlink(tmp_path / "v" / "..data") == before


def test_a_path_that_leaves_its_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leaves its volume"):
        write_volumes(tmp_path, (Files("v", (File("../x", b"1"),)),))


def test_an_empty_dir_keeps_its_contents(tmp_path: Path) -> None:
    place = write_volumes(tmp_path, (Directory("v"),))["v"]
    (place / "kept").write_text("1")
    write_volumes(tmp_path, (Directory("v"),))
    assert (place / "kept").exists()


def test_a_host_path_that_is_not_what_its_type_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a directory"):
        write_volumes(tmp_path, (HostPath("v", str(tmp_path / "none"), "Directory"),))


def test_a_sub_path_is_made_with_the_volumes_mode(tmp_path: Path) -> None:
    root = tmp_path / "volume"
    root.mkdir()
    root.chmod(0o777)
    assert make_sub_path(root, root / "a" / "b") == root / "a" / "b"
    assert (root / "a" / "b").stat().st_mode & 0o7777 == 0o777


def test_a_sub_path_that_leads_out_through_a_link_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "volume"
    root.mkdir()
    (root / "out").symlink_to("/etc")
    for path in ("out", "out/passwd", "out/new"):
        with pytest.raises(UserError, match="leaves the volume"):
            make_sub_path(root, root / path)
    (root / "in").symlink_to("there")
    assert make_sub_path(root, root / "in") == root / "there"


def test_an_empty_dir_keeps_the_mode_that_a_container_has_given_it(tmp_path: Path) -> None:
    place = write_volumes(tmp_path, (Directory("data"),))["data"]
    assert place.stat().st_mode & 0o7777 == 0o777
    place.chmod(0o700)  # as a database does with its folder
    write_volumes(tmp_path, (Directory("data"),))
    assert place.stat().st_mode & 0o7777 == 0o700


def test_every_error_names_its_volume_in_the_kubelets_words(tmp_path: Path) -> None:
    with pytest.raises(MissingReference, match=r'^volume "v" : configmap "conf" not found$'):
        plan(Volume(name="v", config_map=ConfigMapVolumeSource(name="conf")))
    with pytest.raises(
        UserError, match=r'^volume "v" : hostPath type check failed: /dev/null is not a file$'
    ):
        write_volumes(tmp_path, (HostPath("v", "/dev/null", "File"),))
    (tmp_path / "v").touch()
    with pytest.raises(UserError, match=r'^volume "v" : .*/v File exists$'):
        write_volumes(tmp_path, (Files("v", (File("a", b""),)),))


def test_a_projected_source_that_is_not_supported_is_refused_rather_than_left_out() -> None:
    bundle = VolumeProjection(cluster_trust_bundle=ClusterTrustBundleProjection(path="ca.pem"))
    with pytest.raises(UserError, match="a projected source has a type that is not supported"):
        plan(Volume(name="v", projected=ProjectedVolumeSource(sources=(bundle,))))


def test_a_pods_files_are_removed_and_what_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "pod" / "volumes" / "v").mkdir(parents=True)
    remove_folder(tmp_path / "pod")
    remove_folder(tmp_path / "pod")
    assert not (tmp_path / "pod").exists()
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="can't be removed: Not a directory"):
        remove_folder(tmp_path / "file")
