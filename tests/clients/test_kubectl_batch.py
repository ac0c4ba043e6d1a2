"""The real kubectl makes, shows, changes and deletes Jobs, CronJobs, StatefulSets, DaemonSets and ReplicationControllers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pinnace.kube.kinds import CRON_JOB, JOB, STATEFUL_SET
from tests.clients.conftest import Kubectl

POD = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "app:v1"}]}}
CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
SELECTOR = {"matchLabels": {"app": "web"}}


def manifest(kind: str, version: str, **spec: Any) -> str:
    return json.dumps(
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": "web", "namespace": "default"},
            "spec": spec,
        }
    )


STATEFUL = manifest(
    "StatefulSet", "apps/v1", serviceName="web", selector=SELECTOR, template=POD, volumeClaimTemplates=[CLAIM]
)
DAEMON = manifest("DaemonSet", "apps/v1", selector=SELECTOR, template=POD)
CONTROLLER = manifest("ReplicationController", "v1", replicas=2, template=POD)


async def quiet(kubectl: Kubectl, *arguments: str, stdin: str = "") -> str:
    """Run kubectl; it may say that nothing acts on the kind."""
    ran = await kubectl.run(*arguments, stdin=stdin)
    assert ran.code == 0, ran
    rest = [line for line in ran.err.splitlines() if "stored, but not acted on" not in line]
    assert rest == [], ran
    return ran.out


async def test_a_job_from_the_command_line(kubectl: Kubectl) -> None:
    said = await quiet(kubectl, "create", "job", "pi", "--image=perl:5", "--", "perl", "-e", "print 3")
    assert said == "job.batch/pi created\n"
    table = await kubectl("get", "jobs")
    assert table.split()[:7] == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE", "pi", "Running"]
    wide = await kubectl("get", "jobs", "pi", "-o", "wide", "--no-headers")
    uid = kubectl.api.get(JOB, "default", "pi").metadata.uid
    assert wide.split()[-1] == f"batch.kubernetes.io/controller-uid={uid}"
    described = await kubectl("describe", "job", "pi")
    for line in (
        "Parallelism:      1",
        "Completions:      1",
        "Completion Mode:  NonIndexed",
        "Suspend:          false",
        "Backoff Limit:    6",
        "Pods Statuses:    0 Active / 0 Succeeded / 0 Failed",
    ):
        assert line in described
    assert f"Selector:         batch.kubernetes.io/controller-uid={uid}" in described
    assert await kubectl("delete", "job", "pi") == 'job.batch "pi" deleted from default namespace\n'
    assert kubectl.api.find(JOB, "default", "pi") is None


async def test_a_cron_job_and_a_job_of_it(kubectl: Kubectl) -> None:
    await quiet(kubectl, "create", "cronjob", "tick", "--image=app:v1", "--schedule=*/5 * * * *")
    assert "*/5 * * * *" in await kubectl("get", "cronjobs")
    described = await kubectl("describe", "cronjob", "tick")
    assert "Schedule:                      */5 * * * *" in described
    assert "Successful Job History Limit:  3" in described
    await quiet(kubectl, "create", "job", "now", "--from=cronjob/tick")
    (owner,) = kubectl.api.get(JOB, "default", "now").metadata.owner_references
    assert (owner.kind, owner.name) == ("CronJob", "tick")
    await quiet(kubectl, "patch", "cronjob", "tick", "-p", '{"spec":{"suspend":true}}')
    assert kubectl.api.get(CRON_JOB, "default", "tick").spec.suspend is True


async def test_a_wrong_schedule_is_refused_with_the_reason(kubectl: Kubectl) -> None:
    ran = await kubectl.run("create", "cronjob", "tick", "--image=app:v1", "--schedule=61 * * * *")
    assert ran.code == 1
    assert 'CronJob.batch "tick" is invalid: spec.schedule: Invalid value: "61 * * * *"' in ran.err
    assert "end of range (61) above maximum (59): 61" in ran.err


@pytest.mark.parametrize("given", [STATEFUL, DAEMON, CONTROLLER], ids=["sts", "ds", "rc"])
async def test_the_same_manifest_again_changes_nothing(kubectl: Kubectl, given: str) -> None:
    assert (await quiet(kubectl, "apply", "-f", "-", stdin=given)).endswith("created\n")
    before = kubectl.api.store.revision
    said = await quiet(kubectl, "apply", "-f", "-", stdin=given)
    # A list that is replaced as a whole is sent again each time, also to a cluster: claims get more than was written.
    assert said.endswith("configured\n" if "volumeClaimTemplates" in given else "unchanged\n")
    assert kubectl.api.store.revision == before
    difference = await kubectl.run("diff", "-f", "-", stdin=given)
    assert (difference.code, difference.out) == (0, "")
    applied = await quiet(kubectl, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=given)
    assert applied.endswith("serverside-applied\n")


async def test_the_workloads_are_shown_scaled_and_described(kubectl: Kubectl) -> None:
    for given in (STATEFUL, DAEMON, CONTROLLER):
        await quiet(kubectl, "create", "-f", "-", stdin=given)
    listed = await kubectl("get", "sts,ds,rc")
    assert listed.splitlines()[0].split() == ["NAME", "READY", "AGE"]
    assert "statefulset.apps/web   0/1" in listed
    assert "DESIRED   CURRENT   READY   UP-TO-DATE   AVAILABLE   NODE SELECTOR   AGE" in listed
    assert "replicationcontroller/web   2         0         0" in listed
    await quiet(kubectl, "scale", "statefulset", "web", "--replicas=3")
    await quiet(kubectl, "scale", "rc", "web", "--replicas=5")
    assert kubectl.api.get(STATEFUL_SET, "default", "web").spec.replicas == 3
    described = await kubectl("describe", "statefulset", "web")
    assert re.search(r"Update Strategy: +RollingUpdate", described)
    assert re.search(r"Volume Claims:\n +Name: +data", described)
    assert "Desired Number of Nodes Scheduled: 0" in await kubectl("describe", "daemonset", "web")
    assert "Replicas:     0 current / 5 desired" in await kubectl("describe", "rc", "web")


async def test_a_part_of_a_stateful_set_that_is_fixed(kubectl: Kubectl) -> None:
    await quiet(kubectl, "apply", "-f", "-", stdin=STATEFUL)
    ran = await kubectl.run(
        "apply", "-f", "-", stdin=STATEFUL.replace('"serviceName": "web"', '"serviceName": "b"')
    )
    assert ran.code == 1
    assert (
        'The StatefulSet "web" is invalid: spec: Forbidden: updates to statefulset spec for fields other than'
        in ran.err
    )
