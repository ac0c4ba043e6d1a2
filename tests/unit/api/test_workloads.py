"""Deployments, ReplicaSets, autoscalers, their defaults, validation and the scale view."""

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.patches import Patch
from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from pinnace.kube.kinds import CONFIG_MAP, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, HORIZONTAL_POD_AUTOSCALER_V1
from tests.unit.api.builders import decode, deployment, deployment_document, document, make_api


async def test_a_deployment_is_filled_in_as_a_real_server_does() -> None:
    api, _ = await make_api()
    stored = document(await api.create(deployment()))
    # By hand, from `kubectl get deployment -o yaml`.
    assert stored["spec"] == {
        "progressDeadlineSeconds": 600,
        "replicas": 1,
        "revisionHistoryLimit": 10,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": "app:v1",
                        "imagePullPolicy": "IfNotPresent",
                        "resources": {},
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                    }
                ],
                "dnsPolicy": "ClusterFirst",
                "restartPolicy": "Always",
                "schedulerName": "default-scheduler",
                "securityContext": {},
                "terminationGracePeriodSeconds": 30,
            },
        },
    }


async def test_a_deployment_without_a_selector() -> None:
    api, _ = await make_api()
    given = deployment_document("x")
    del given["spec"]["selector"]
    with pytest.raises(ApiError) as caught:
        await api.create(decode(DEPLOYMENT, given))
    assert str(caught.value) == (
        'Deployment.apps "x" is invalid: [spec.selector: Required value, spec.template.metadata.labels: '
        'Invalid value: {"app":"web"}: `selector` does not match template `labels`]'
    )


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (
            {"selector": {}},
            [("spec.selector", "Invalid value: {}: empty selector is invalid for deployment")],
        ),
        (
            {"selector": {"matchLabels": {"app": "other"}}},
            [
                (
                    "spec.template.metadata.labels",
                    'Invalid value: {"app":"web"}: `selector` does not match template `labels`',
                )
            ],
        ),
        (
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            [
                (
                    "spec.strategy.rollingUpdate.maxUnavailable",
                    "Invalid value: 0: may not be 0 when `maxSurge` is 0",
                )
            ],
        ),
        (
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            [
                (
                    "spec.strategy.rollingUpdate",
                    "Forbidden: may not be specified when strategy `type` is 'Recreate'",
                )
            ],
        ),
        (
            {"replicas": -1},
            [("spec.replicas", "Invalid value: -1: must be greater than or equal to 0")],
        ),
        (
            {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
            [("spec.progressDeadlineSeconds", "Invalid value: 5: must be greater than minReadySeconds")],
        ),
    ],
)
async def test_wrong_deployments(spec: dict[str, Any], causes: list[tuple[str, str]]) -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(deployment(**spec))
    assert [(cause.field, cause.message) for cause in caught.value.causes] == causes


async def test_pods_of_a_deployment_run_for_ever() -> None:
    api, _ = await make_api()
    given = deployment_document()
    given["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    with pytest.raises(ApiError) as caught:
        await api.create(decode(DEPLOYMENT, given))
    assert [(cause.field, cause.message) for cause in caught.value.causes] == [
        ("spec.template.spec.restartPolicy", 'Unsupported value: "Never": supported values: "Always"')
    ]


async def test_a_selector_never_changes() -> None:
    api, _ = await make_api()
    await api.create(deployment())
    given = deployment_document(selector={"matchLabels": {"app": "b"}})
    given["spec"]["template"]["metadata"]["labels"] = {"app": "b"}
    with pytest.raises(ApiError) as caught:
        await api.update(decode(DEPLOYMENT, given))
    assert [(cause.field, cause.message) for cause in caught.value.causes] == [
        ("spec.selector", 'Invalid value: {"matchLabels":{"app":"b"}}: field is immutable')
    ]


async def test_scale_is_read_and_written() -> None:
    api, _ = await make_api()
    stored = await api.create(deployment(replicas=3))
    scale = api.get_scale(DEPLOYMENT, "default", "web")
    assert document(scale) == {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {
            "name": "web",
            "namespace": "default",
            "uid": stored.metadata.uid,
            "resourceVersion": stored.metadata.resource_version,
            "creationTimestamp": "2026-01-02T00:00:00Z",
        },
        "spec": {"replicas": 3},
        "status": {"replicas": 0, "selector": "app=web"},
    }
    changed = await api.update_scale(DEPLOYMENT, replace(scale, spec=replace(scale.spec, replicas=5)))
    assert changed.spec.replicas == 5
    with pytest.raises(ApiError, match=r'Operation cannot be fulfilled on deployments.apps "web"'):
        await api.update_scale(DEPLOYMENT, replace(scale, spec=replace(scale.spec, replicas=6)))
    patch = Patch("application/merge-patch+json", b'{"spec":{"replicas":2}}')
    assert (await api.patch_scale(DEPLOYMENT, "default", "web", patch)).spec.replicas == 2
    assert api.get(DEPLOYMENT, "default", "web").metadata.generation == 3


async def test_what_can_not_be_scaled_has_no_scale() -> None:
    api, _ = await make_api()
    await api.create(decode(CONFIG_MAP, {"metadata": {"name": "c", "namespace": "default"}}))
    with pytest.raises(ApiError, match='configmaps "c" not found'):
        api.get_scale(CONFIG_MAP, "default", "c")


def autoscaler(**spec: Any) -> Any:
    return decode(
        HORIZONTAL_POD_AUTOSCALER,
        {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 10, **spec},
        },
    )


async def test_an_autoscaler_has_a_least_a_metric_and_rules() -> None:
    api, _ = await make_api()
    stored = document(
        await api.create(autoscaler(behavior={"scaleDown": {"stabilizationWindowSeconds": 15}}))
    )
    assert stored["spec"] == {
        "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "minReplicas": 1,
        "maxReplicas": 10,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            }
        ],
        "behavior": {
            "scaleUp": {
                "stabilizationWindowSeconds": 0,
                "selectPolicy": "Max",
                "policies": [
                    {"type": "Pods", "value": 4, "periodSeconds": 15},
                    {"type": "Percent", "value": 100, "periodSeconds": 15},
                ],
            },
            "scaleDown": {
                "stabilizationWindowSeconds": 15,
                "selectPolicy": "Max",
                "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
            },
        },
    }


@pytest.mark.parametrize(
    ("spec", "causes"),
    [
        (
            {"minReplicas": 5, "maxReplicas": 2},
            [("spec.maxReplicas", "Invalid value: 2: must be greater than or equal to `minReplicas`")],
        ),
        (
            {"minReplicas": 0},
            [("spec.minReplicas", "Invalid value: 0: must be greater than or equal to 1")],
        ),
        (
            {
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}
                ]
            },
            [
                (
                    "spec.metrics[0].resource.target.averageUtilization",
                    "Required value: must set either a target raw value or a target utilization",
                )
            ],
        ),
        (
            {"metrics": [{"type": "Resource"}]},
            [
                (
                    "spec.metrics[0].resource",
                    "Required value: must populate information for the given metric source",
                )
            ],
        ),
    ],
)
async def test_wrong_autoscalers(spec: dict[str, Any], causes: list[tuple[str, str]]) -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(autoscaler(**spec))
    assert [(cause.field, cause.message) for cause in caught.value.causes] == causes


async def test_version_one_sees_the_cpu_target_and_keeps_what_it_can_not_see() -> None:
    api, _ = await make_api()
    memory = {
        "type": "Resource",
        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1024Mi"}},
    }
    cpu = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
    }
    await api.create(autoscaler(metrics=[cpu, memory]))
    old = api.get(HORIZONTAL_POD_AUTOSCALER_V1, "default", "web")
    assert old.spec.target_cpu_utilization_percentage == 70
    changed = await api.change(
        HORIZONTAL_POD_AUTOSCALER_V1,
        "default",
        "web",
        lambda hpa: replace(
            hpa, spec=replace(hpa.spec, target_cpu_utilization_percentage=50, max_replicas=20)
        ),
    )
    assert changed.spec.max_replicas == 20
    stored = api.get(HORIZONTAL_POD_AUTOSCALER, "default", "web")
    targets = [m.resource.target for m in stored.spec.metrics if m.resource is not None]
    assert [(t.average_utilization, t.average_value) for t in targets] == [(50, None), (None, "1Gi")]


async def test_a_replica_set_counts_no_more_ready_pods_than_pods() -> None:
    api, _ = await make_api()
    stored = await api.create(decode(kinds.REPLICA_SET, deployment_document()))
    wrong = replace(stored, status=replace(stored.status, replicas=1, ready_replicas=2))
    with pytest.raises(
        ApiError, match=r"status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"
    ):
        await api.update_status(wrong)


async def test_annotations_of_a_deployment_count_as_a_generation_but_not_in_its_status() -> None:
    api, _ = await make_api()
    made = await api.create(deployment())
    noted = replace(made, metadata=replace(made.metadata, annotations={"a": "b"}, resource_version=""))
    assert (await api.update(noted)).metadata.generation == 2
    labelled = replace(noted, metadata=replace(noted.metadata, labels={"a": "b"}))
    assert (await api.update(labelled)).metadata.generation == 2
    revised = replace(labelled, metadata=replace(labelled.metadata, annotations={"r": "1"}, labels={}))
    after = (await api.update_status(revised)).metadata
    assert (after.generation, after.annotations, after.labels) == (2, {"r": "1"}, {"a": "b"})
    wrong = replace(revised, metadata=replace(revised.metadata, annotations={"-": "1"}))
    with pytest.raises(ApiError, match=r"metadata.annotations: Invalid value"):
        await api.update_status(wrong)
