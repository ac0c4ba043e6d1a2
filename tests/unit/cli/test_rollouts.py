"""Expected sentences: kubectl 1.37, `rollout status` of the same Deployments."""

from collections.abc import Callable
from typing import Any

import pytest

from pinnace.base.errors import UserError
from pinnace.cli.kube.rollouts import Progress, build_rollback, compute_progress, find_history, find_target
from pinnace.cli.verbs.rollout import rollout_command
from tests.unit.cli.conftest import FakeDaemon, Ran

Run = Callable[..., Ran]
PATH = "/apis/apps/v1/namespaces/default/deployments"
SETS = "/apis/apps/v1/namespaces/default/replicasets"


def deployment(*, generation: int = 1, observed: int = 1, replicas: int = 3, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "web",
            "uid": "d",
            "generation": generation,
            "resourceVersion": "5",
            "annotations": {"mine": "1"},
        },
        "spec": {
            "replicas": replicas,
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"x": "new"}},
        },
        "status": {"observedGeneration": observed, **status},
    }


def replica_set(revision: int, image: str, owner: str = "d") -> dict[str, Any]:
    meta = {
        "ownerReferences": [{"uid": owner}],
        "annotations": {
            "deployment.kubernetes.io/revision": str(revision),
            "kubernetes.io/change-cause": f"to {image}",
        },
    }
    template = {"metadata": {"labels": {"a": "b", "pod-template-hash": "h"}}, "spec": {"x": image}}
    return {"metadata": meta, "spec": {"template": template}}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (deployment(generation=2), Progress("Waiting for deployment spec update to be observed...")),
        (
            deployment(replicas=3, updatedReplicas=1),
            Progress(
                'Waiting for deployment "web" rollout to finish: 1 out of 3 new replicas have been updated...'
            ),
        ),
        (
            deployment(replicas=3, updatedReplicas=3, availableReplicas=3),
            Progress('deployment "web" successfully rolled out', done=True),
        ),
        (
            deployment(updatedReplicas=3, availableReplicas=1),
            Progress(
                'Waiting for deployment "web" rollout to finish: 1 of 3 updated replicas are available...'
            ),
        ),
        (deployment(replicas=0), Progress('deployment "web" successfully rolled out', done=True)),
    ],
)
def test_progress_is_said_in_kubectls_words(one: dict[str, Any], expected: Progress) -> None:
    assert compute_progress(one) == expected


def test_old_replicas_that_are_left_are_waited_for() -> None:
    one = deployment(updatedReplicas=3, availableReplicas=3)
    one["status"]["replicas"] = 4
    sentence = 'Waiting for deployment "web" rollout to finish: 1 old replicas are pending termination...'
    assert compute_progress(one) == Progress(sentence)


def test_a_rollout_that_is_too_slow_is_an_error() -> None:
    one = deployment(conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}])
    with pytest.raises(UserError, match='deployment "web" exceeded its progress deadline'):
        compute_progress(one)


def test_history_is_of_the_sets_that_the_deployment_owns() -> None:
    sets = [replica_set(10, "new"), replica_set(9, "old"), replica_set(3, "other", owner="e")]
    assert list(find_history(deployment(), sets)) == [9, 10]


def test_undo_goes_to_the_revision_before_the_present() -> None:
    history = find_history(
        deployment(), [replica_set(3, "new"), replica_set(2, "old"), replica_set(1, "oldest")]
    )
    assert find_target(deployment(), history, 0)["spec"]["template"]["spec"] == {"x": "old"}
    assert find_target(deployment(), history, 1)["spec"]["template"]["spec"] == {"x": "oldest"}
    with pytest.raises(UserError, match="unable to find specified revision 9 in history"):
        find_target(deployment(), history, 9)
    with pytest.raises(UserError, match='no rollout history found for deployment "web"'):
        find_target(deployment(), {3: history[3]}, 0)


def test_a_rollback_takes_the_template_without_its_hash_and_the_annotations_of_then() -> None:
    assert build_rollback(deployment(), replica_set(2, "old")) == [
        {
            "op": "replace",
            "path": "/spec/template",
            "value": {"metadata": {"labels": {"a": "b"}}, "spec": {"x": "old"}},
        },
        {"op": "add", "path": "/metadata/annotations", "value": {"kubernetes.io/change-cause": "to old"}},
    ]
    assert build_rollback(deployment(), replica_set(3, "new")) is None


def test_status_follows_until_it_is_done_and_says_each_sentence_once(daemon: FakeDaemon, run: Run) -> None:
    start, same = deployment(updatedReplicas=1), deployment(updatedReplicas=1)
    done = deployment(updatedReplicas=3, availableReplicas=3)
    daemon.answer(f"GET {PATH}/web", start)
    daemon.stream(f"GET {PATH}", *({"type": "MODIFIED", "object": one} for one in (same, done)))
    assert run(rollout_command, "status", "deploy/web").out == (
        'Waiting for deployment "web" rollout to finish: 1 out of 3 new replicas have been updated...\n'
        'deployment "web" successfully rolled out\n'
    )


def test_history_is_listed_and_undo_patches(daemon: FakeDaemon, run: Run) -> None:
    daemon.answer(f"GET {PATH}/web", deployment())
    daemon.answer(f"GET {SETS}", {"items": [replica_set(2, "new"), replica_set(1, "old")]})
    daemon.answer(f"PATCH {PATH}/web", {})
    assert run(rollout_command, "history", "deploy/web").out == (
        "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         to old\n2         to new\n\n"
    )
    assert run(rollout_command, "undo", "deploy/web").out == "deployment.apps/web rolled back\n"
    assert daemon.asked[-1].headers["content-type"] == "application/json-patch+json"


def test_a_paused_deployment_is_not_taken_back(daemon: FakeDaemon, run: Run) -> None:
    paused = deployment()
    paused["spec"]["paused"] = True
    daemon.answer(f"GET {PATH}/web", paused)
    ran = run(rollout_command, "undo", "deploy/web")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "error: you cannot rollback a paused deployment")


def test_only_deployments_are_rolled_out(daemon: FakeDaemon, run: Run) -> None:
    assert run(rollout_command, "status", "svc/web").err.startswith("error: no rollout of services\n")
