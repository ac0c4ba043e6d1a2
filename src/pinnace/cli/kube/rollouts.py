"""Decides what a Deployment's rollout is to be said to be, and what its history is. Pure.

Source: Kubernetes v1.36, k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go, history.go and rollback.go.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

from pinnace.base.errors import UserError

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
TEMPLATE_HASH = "pod-template-hash"
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
# What a Deployment keeps of its own when it goes back. Source: rollback.go, annotationsToSkip.
OWN_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)

Object = dict[str, Any]


class Progress(NamedTuple):
    """One sentence, and whether it is the last."""

    sentence: str
    done: bool = False


def compute_progress(deployment: Object) -> Progress:
    """Return how far a rollout is. Raises: UserError when it has exceeded its deadline."""
    meta, status = deployment["metadata"], deployment.get("status", {})
    name = meta["name"]
    if meta.get("generation", 0) > status.get("observedGeneration", 0):
        return Progress("Waiting for deployment spec update to be observed...")
    for condition in status.get("conditions", ()):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise UserError(
                f'deployment "{name}" exceeded its progress deadline',
                hint=f"pinnace events --for deployment/{name}",
            )
    wanted = deployment["spec"].get("replicas", 1)
    replicas, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish:'
    if updated < wanted:
        return Progress(f"{waiting} {updated} out of {wanted} new replicas have been updated...")
    if replicas > updated:
        return Progress(f"{waiting} {replicas - updated} old replicas are pending termination...")
    if available < updated:
        return Progress(f"{waiting} {available} of {updated} updated replicas are available...")
    return Progress(f'deployment "{name}" successfully rolled out', done=True)


def revision_of(replica_set: Object) -> int:
    """Return the rollout that a ReplicaSet belongs to; 0 when it doesn't say."""
    text = replica_set["metadata"].get("annotations", {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def find_history(deployment: Object, replica_sets: Iterable[Object]) -> dict[int, Object]:
    """Return revision → ReplicaSet of those that the Deployment owns, the oldest first."""
    uid = deployment["metadata"]["uid"]
    own = [
        one
        for one in replica_sets
        if any(owner.get("uid") == uid for owner in one["metadata"].get("ownerReferences", ()))
    ]
    return {revision_of(one): one for one in sorted(own, key=revision_of)}


def find_target(deployment: Object, history: dict[int, Object], to_revision: int) -> Object:
    """Return the ReplicaSet to go back to; 0 means the one before the present. Raises: UserError."""
    name = deployment["metadata"]["name"]
    if to_revision:
        if to_revision not in history:
            raise UserError(
                f"unable to find specified revision {to_revision} in history",
                hint=f"pinnace rollout history deploy/{name}",
            )
        return history[to_revision]
    if len(history) < 2:
        raise UserError(f'no rollout history found for deployment "{name}"')
    return history[sorted(history)[-2]]


def build_rollback(deployment: Object, replica_set: Object) -> list[Object] | None:
    """Return a JSON patch that gives a Deployment the template of a ReplicaSet; None when it has it already."""
    template = copy.deepcopy(replica_set["spec"]["template"])
    template.get("metadata", {}).get("labels", {}).pop(TEMPLATE_HASH, None)
    if _without_times(template) == _without_times(deployment["spec"]["template"]):
        return None
    own = deployment["metadata"].get("annotations", {})
    theirs = replica_set["metadata"].get("annotations", {})
    annotations = {key: value for key, value in own.items() if key in OWN_ANNOTATIONS}
    annotations |= {key: value for key, value in theirs.items() if key not in OWN_ANNOTATIONS}
    return [
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
    ]


def _without_times(template: Object) -> Object:
    metadata = {key: value for key, value in template.get("metadata", {}).items() if value}
    metadata.pop("creationTimestamp", None)
    return {**template, "metadata": metadata}


def render_template(template: Object) -> str:
    """Return a pod template as `rollout history --revision` shows it, with what differs between revisions."""
    from pinnace.cli.kube.documents import render_document

    body = render_document({"metadata": template.get("metadata", {}), "spec": template["spec"]}, "yaml")
    return "Pod Template:\n" + "".join(f"  {line}\n" for line in body.splitlines())
