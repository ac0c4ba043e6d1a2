"""StatefulSets, DaemonSets, ReplicationControllers, ControllerRevisions, PodTemplates: defaults, rules, changes, scale.

Expected: Kubernetes v1.36, pkg/apis/apps/validation, pkg/apis/apps/v1/defaults.go, pkg/registry/apps/*/strategy.go.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.kube.kinds import (
    CONTROLLER_REVISION,
    DAEMON_SET,
    POD_TEMPLATE,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
    Kind,
)
from tests.unit.api.builders import Causes, causes_of, decode, deployment_document, document, make_api

META = {"name": "web", "namespace": "default"}
TEMPLATE = deployment_document()["spec"]["template"]
CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}},
}


def stateful_set(name: str = "web", **spec: Any) -> Any:
    return decode(STATEFUL_SET, deployment_document(name, serviceName="web", **spec))


def daemon_set(**spec: Any) -> Any:
    return decode(DAEMON_SET, deployment_document(**spec))


def controller(**spec: Any) -> Any:
    return decode(REPLICATION_CONTROLLER, {"metadata": META, "spec": {"template": TEMPLATE, **spec}})


def pod_spec(**changes: Any) -> dict[str, Any]:
    return {"template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], **changes}}}


# ---------------------------------------------------------------------------------------------------- StatefulSets


async def test_a_stateful_set_is_filled_in() -> None:
    api, _ = await make_api()
    stored = document(await api.create(stateful_set(volumeClaimTemplates=[CLAIM])))["spec"]
    del stored["template"], stored["selector"]
    # By hand, from `kubectl get statefulset -o yaml` of a cluster.
    assert stored == {
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "podManagementPolicy": "OrderedReady",
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "serviceName": "web",
        "updateStrategy": {"rollingUpdate": {"partition": 0}, "type": "RollingUpdate"},
        "volumeClaimTemplates": [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                    "volumeMode": "Filesystem",
                },
                "status": {"phase": "Pending"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"podManagementPolicy": "Chaotic"}, [("spec.podManagementPolicy", "Invalid value: \"Chaotic\": must be 'OrderedReady' or 'Parallel'")]),
        (
            {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}},
            [("spec.updateStrategy.rollingUpdate", "Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'")],
        ),
        (
            {"updateStrategy": {"type": "Other"}},
            [("spec.updateStrategy", "Invalid value: {\"type\":\"Other\"}: must be 'RollingUpdate' or 'OnDelete'")],
        ),
        (
            {"updateStrategy": {"rollingUpdate": {"partition": -1, "maxUnavailable": "0%"}}},
            [
                ("spec.updateStrategy.rollingUpdate.partition", "Invalid value: -1: must be greater than or equal to 0"),
                ("spec.updateStrategy.rollingUpdate.maxUnavailable", 'Invalid value: "0%": cannot be 0'),
            ],
        ),
        (
            {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Burn"}},
            [("spec.persistentVolumeClaimRetentionPolicy.whenScaled", 'Unsupported value: "Burn": supported values: "Retain", "Delete"')],
        ),
        (
            {"replicas": -1, "minReadySeconds": -2, "ordinals": {"start": -3}},
            [
                ("spec.replicas", "Invalid value: -1: must be greater than or equal to 0"),
                ("spec.minReadySeconds", "Invalid value: -2: must be greater than or equal to 0"),
                ("spec.ordinals.start", "Invalid value: -3: must be greater than or equal to 0"),
            ],
        ),
        ({"selector": {}}, [("spec.selector", "Invalid value: {}: empty selector is invalid for statefulset")]),
        (
            pod_spec(restartPolicy="Never", activeDeadlineSeconds=5),
            [
                ("spec.template.spec.restartPolicy", 'Unsupported value: "Never": supported values: "Always"'),
                ("spec.template.spec.activeDeadlineSeconds", "Forbidden: activeDeadlineSeconds in StatefulSet is not Supported"),
            ],
        ),
        ({"volumeClaimTemplates": [CLAIM, CLAIM]}, [("spec.volumeClaimTemplates[1].metadata.name", 'Duplicate value: "data"')]),
        (
            pod_spec(containers=[{"name": "a", "image": "b", "volumeMounts": [{"name": "gone", "mountPath": "/d"}]}]),
            [("spec.template.spec.containers[0].volumeMounts[0].name", 'Not found: "gone"')],
        ),
    ],
)  # fmt: skip
async def test_wrong_stateful_sets(spec: dict[str, Any], expected: Causes) -> None:
    api, _ = await make_api()
    assert await causes_of(api.create(stateful_set(**spec))) == expected


async def test_the_claims_of_a_stateful_set_are_volumes_of_its_pods() -> None:
    api, _ = await make_api()
    main = {"name": "a", "image": "b", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}
    stored = await api.create(stateful_set(volumeClaimTemplates=[CLAIM], **pod_spec(containers=[main])))
    assert stored.spec.template.spec.volumes == ()


async def test_the_name_of_a_stateful_set_begins_its_pods_hostnames() -> None:
    api, _ = await make_api()
    assert await causes_of(api.create(stateful_set("a.b"))) == [
        ("metadata.name", 'Invalid value: "a.b": must not contain dots')
    ]


async def test_what_may_change_in_a_stateful_set() -> None:
    api, _ = await make_api()
    stored = await api.create(stateful_set())
    stored = await api.update(
        replace(stored, spec=replace(stored.spec, replicas=3, min_ready_seconds=5, revision_history_limit=2))
    )
    assert (stored.spec.replicas, stored.metadata.generation) == (3, 2)
    for change in ({"service_name": "other"}, {"pod_management_policy": "Parallel"}):
        assert await causes_of(api.update(replace(stored, spec=replace(stored.spec, **change)))) == [
            (
                "spec",
                "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                "'minReadySeconds' are forbidden",
            )
        ]


async def test_the_status_of_a_stateful_set() -> None:
    api, _ = await make_api()
    stored = await api.create(stateful_set())
    status = replace(
        stored.status,
        replicas=1,
        ready_replicas=2,
        available_replicas=3,
        current_replicas=-1,
        collision_count=2,
    )
    assert await causes_of(api.update_status(replace(stored, status=status))) == [
        ("status.currentReplicas", "Invalid value: -1: must be greater than or equal to 0"),
        ("status.readyReplicas", "Invalid value: 2: cannot be greater than status.replicas"),
        ("status.availableReplicas", "Invalid value: 3: cannot be greater than status.replicas"),
        ("status.availableReplicas", "Invalid value: 3: cannot be greater than status.readyReplicas"),
    ]
    stored = await api.update_status(replace(stored, status=replace(stored.status, collision_count=2)))
    fewer = replace(stored, status=replace(stored.status, collision_count=1))
    assert await causes_of(api.update_status(fewer)) == [
        ("status.collisionCount", "Invalid value: 1: cannot be decremented")
    ]


async def test_a_stateful_set_and_a_controller_are_scaled() -> None:
    api, _ = await make_api()
    await api.create(stateful_set())
    await api.create(controller())
    kinds: tuple[Kind[Any], ...] = (STATEFUL_SET, REPLICATION_CONTROLLER)
    for kind in kinds:
        scale = api.get_scale(kind, "default", "web")
        assert (scale.spec.replicas, scale.status.selector) == (1, "app=web")
        await api.update_scale(kind, replace(scale, spec=replace(scale.spec, replicas=4)))
        assert api.get(kind, "default", "web").spec.replicas == 4


# ---------------------------------------------------------------------------------------------------- DaemonSets


async def test_a_daemon_set_is_filled_in_and_counts_its_templates() -> None:
    api, _ = await make_api()
    stored = await api.create(daemon_set())
    spec = document(stored)["spec"]
    assert spec["updateStrategy"] == {
        "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
        "type": "RollingUpdate",
    }
    assert spec["revisionHistoryLimit"] == 10
    assert stored.metadata.annotations == {"deprecated.daemonset.template.generation": "1"}
    template = replace(stored.spec.template, spec=replace(stored.spec.template.spec, hostname="x"))
    without = replace(stored, metadata=replace(stored.metadata, annotations={}))
    changed = await api.update(replace(without, spec=replace(stored.spec, template=template)))
    assert changed.metadata.annotations == {"deprecated.daemonset.template.generation": "2"}
    assert changed.metadata.generation == 2


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"selector": {}},
            [("spec.selector", "Invalid value: {}: empty selector is invalid for daemonset")],
        ),
        (
            {"selector": {"matchLabels": {"app": "other"}}},
            [("spec.template.metadata.labels", 'Invalid value: {"app":"web"}: `selector` does not match template `labels`')],
        ),
        (
            {"updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}},
            [("spec.updateStrategy.rollingUpdate.maxSurge", "Invalid value: 1: may not be set when maxUnavailable is non-zero")],
        ),
        (
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}},
            [("spec.updateStrategy.rollingUpdate.maxUnavailable", "Required value: cannot be 0 when maxSurge is 0")],
        ),
        (
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "101%"}}},
            [("spec.updateStrategy.rollingUpdate.maxUnavailable", 'Invalid value: "101%": must not be greater than 100%')],
        ),
        (
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "few"}}},
            [
                ("spec.updateStrategy.rollingUpdate.maxUnavailable", "Invalid value: \"few\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"),
                ("spec.updateStrategy.rollingUpdate.maxUnavailable", "Required value: cannot be 0 when maxSurge is 0"),
            ],
        ),
        (
            {"updateStrategy": {"type": "Other"}},
            [("spec.updateStrategy", 'Unsupported value: {"type":"Other"}: supported values: "RollingUpdate", "OnDelete"')],
        ),
    ],
)  # fmt: skip
async def test_wrong_daemon_sets(spec: dict[str, Any], expected: Causes) -> None:
    api, _ = await make_api()
    assert await causes_of(api.create(daemon_set(**spec))) == expected


async def test_the_selector_of_a_daemon_set_never_changes() -> None:
    api, _ = await make_api()
    stored = await api.create(daemon_set())
    selector = replace(stored.spec.selector, match_labels={})
    found = await causes_of(api.update(replace(stored, spec=replace(stored.spec, selector=selector))))
    assert ("spec.selector", "Invalid value: {}: field is immutable") in found


# ---------------------------------------------------------------------------------------------------- the others


async def test_a_controller_takes_labels_and_selector_from_its_template() -> None:
    api, _ = await make_api()
    stored = await api.create(controller())
    assert (stored.spec.selector, stored.metadata.labels, stored.spec.replicas) == (
        {"app": "web"},
        {"app": "web"},
        1,
    )


async def test_wrong_controllers() -> None:
    api, _ = await make_api()
    bare = decode(REPLICATION_CONTROLLER, {"metadata": META, "spec": {}})
    assert await causes_of(api.create(bare)) == [
        ("spec.selector", "Required value"),
        ("spec.template", "Required value"),
    ]
    assert await causes_of(api.create(controller(selector={"app": "other"}, replicas=-1))) == [
        ("spec.replicas", "Invalid value: -1: must be greater than or equal to 0"),
        (
            "spec.template.metadata.labels",
            'Invalid value: {"app":"web"}: `selector` does not match template `labels`',
        ),
    ]


async def test_a_controller_deleted_without_a_wish_leaves_its_pods() -> None:
    api, _ = await make_api()
    await api.create(controller())
    await api.delete(REPLICATION_CONTROLLER, "default", "web")
    assert api.get(REPLICATION_CONTROLLER, "default", "web").metadata.finalizers == ("orphan",)


async def test_a_kept_state_never_changes() -> None:
    api, _ = await make_api()
    given = {"metadata": META, "data": {"a": 1}, "revision": 1}
    stored = await api.create(decode(CONTROLLER_REVISION, given))
    assert (await api.update(replace(stored, revision=2))).revision == 2
    newer = api.get(CONTROLLER_REVISION, "default", "web")
    assert await causes_of(api.update(replace(newer, data={"a": 2}))) == [
        ("data", 'Invalid value: {"a":2}: field is immutable')
    ]
    bare = {"metadata": {"name": "x", "namespace": "default"}, "revision": -1}
    assert await causes_of(api.create(decode(CONTROLLER_REVISION, bare))) == [
        ("data", "Required value: data is mandatory"),
        ("revision", "Invalid value: -1: must be greater than or equal to 0"),
    ]


async def test_a_pod_template_is_filled_in_and_checked() -> None:
    api, _ = await make_api()
    stored = await api.create(decode(POD_TEMPLATE, {"metadata": META, "template": TEMPLATE}))
    assert (stored.template.spec.dns_policy, stored.metadata.generation) == ("ClusterFirst", 1)
    wrong = {"metadata": {"name": "x", "namespace": "default"}, "template": {"spec": {"containers": []}}}
    assert await causes_of(api.create(decode(POD_TEMPLATE, wrong))) == [
        ("template.spec.containers", "Required value")
    ]
