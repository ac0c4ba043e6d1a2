"""Which set is the current one, and its revision."""

from pinnace.controllers.deployment import revisions
from tests.unit.controllers.builders import deployment, template, with_image, with_meta


def test_hash_is_fnv_1a() -> None:
    assert revisions.fnv1a_32(b"") == 0x811C9DC5  # Source: the FNV reference's test vectors
    assert revisions.fnv1a_32(b"a") == 0xE40C292C
    assert revisions.fnv1a_32(b"foobar") == 0xBF9CF968


def test_template_hash_ignores_the_hash_label_and_is_changed_by_a_collision() -> None:
    plain, labelled = template(), template(labels={"app": "web", "pod-template-hash": "x"})
    assert revisions.compute_template_hash(plain, None) == revisions.compute_template_hash(labelled, None)
    assert revisions.compute_template_hash(plain, None) != revisions.compute_template_hash(plain, 1)
    assert set(revisions.compute_template_hash(plain, None)) <= set(revisions.SAFE_ALPHABET)


def test_set_of_an_equal_template_is_found_again_after_other_ones() -> None:
    v1, v2 = deployment(image="web:v1"), deployment(image="web:v2")
    first = revisions.build_replica_set(v1, "aaa", 1, 0)
    second = revisions.build_replica_set(v2, "bbb", 2, 3)
    assert revisions.find_current(with_image(v2, "web:v1"), [second, first]) == first
    assert revisions.find_current(with_image(v2, "web:v3"), [second, first]) is None


def test_rolled_back_set_gets_a_new_revision_and_remembers_the_old_one() -> None:
    wanted = deployment(annotations={"kubernetes.io/change-cause": "undo", revisions.REVISION: "2"})
    one = revisions.build_replica_set(deployment(), "aaa", 1, 0)
    again = revisions.annotate(wanted, one, 3)
    assert again.metadata.annotations == {
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
        "deployment.kubernetes.io/revision": "3",
        "deployment.kubernetes.io/revision-history": "1",
        "kubernetes.io/change-cause": "undo",
    }
    assert revisions.annotate(wanted, again, 5).metadata.annotations[revisions.REVISION_HISTORY] == "1,3"


def test_revision_never_goes_down() -> None:
    one = revisions.build_replica_set(deployment(), "aaa", 7, 0)
    assert revisions.annotate(deployment(), one, 2) == one


def test_last_applied_manifest_is_not_copied_to_sets() -> None:
    wanted = deployment(annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}", "team": "a"})
    made = revisions.build_replica_set(wanted, "aaa", 1, 0)
    assert "kubectl.kubernetes.io/last-applied-configuration" not in made.metadata.annotations
    assert made.metadata.annotations["team"] == "a"


def test_new_set_is_named_labelled_and_owned() -> None:
    made = revisions.build_replica_set(deployment(), "aaa", 1, 3)
    assert made.metadata.name == "web-aaa"
    assert made.metadata.labels == {"app": "web", "pod-template-hash": "aaa"}
    assert made.spec.selector is not None
    assert made.spec.selector.match_labels == {"app": "web", "pod-template-hash": "aaa"}
    assert made.spec.template.metadata.labels == {"app": "web", "pod-template-hash": "aaa"}
    assert [(ref.kind, ref.uid, ref.controller) for ref in made.metadata.owner_references] == [
        ("Deployment", "uid-web", True)
    ]


def test_of_two_equal_sets_the_older_is_current() -> None:
    wanted = deployment()
    old = with_meta(
        revisions.build_replica_set(wanted, "aaa", 1, 0), creation_timestamp="2026-01-01T00:00:00Z"
    )
    new = with_meta(
        revisions.build_replica_set(wanted, "bbb", 2, 0), creation_timestamp="2026-01-01T00:00:09Z"
    )
    assert revisions.find_current(wanted, [new, old]) == old
