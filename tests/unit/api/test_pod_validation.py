"""What is wrong with a pod, in Kubernetes' words."""

from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.base.errors import ApiError, Reason
from pinnace.kube.kinds import POD
from tests.unit.api.builders import make_api, pod


async def refusal(**fields: Any) -> list[tuple[str, str, str]]:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(pod(**fields))
    assert caught.value.reason is Reason.INVALID
    return [(cause.field, cause.reason, cause.message) for cause in caught.value.causes]


async def test_all_problems_come_at_once_with_the_whole_message() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(pod(name="Main", image="", spec={"restartPolicy": "Sometimes"}))
    assert str(caught.value) == (
        f'Pod "Main" is invalid: [{"metadata.name: Invalid value: "}"Main": a lowercase RFC 1123 subdomain must '
        "consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
        "character (e.g. 'example.com', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), "
        "spec.containers[0].image: Required value, "
        'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"]'
    )
    assert (caught.value.kind, caught.value.name, caught.value.code) == ("Pod", "Main", 422)


@pytest.mark.parametrize(
    ("container", "cause"),
    [
        (
            {"ports": [{"containerPort": 70000}]},
            (
                "spec.containers[0].ports[0].containerPort",
                "FieldValueInvalid",
                "Invalid value: 70000: must be between 1 and 65535, inclusive",
            ),
        ),
        (
            {"ports": [{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}]},
            ("spec.containers[0].ports[1].name", "FieldValueDuplicate", 'Duplicate value: "a"'),
        ),
        (
            {"env": [{"name": "A=B", "value": "x"}]},
            (
                "spec.containers[0].env[0].name",
                "FieldValueInvalid",
                'Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters'
                " other than '='",
            ),
        ),
        (
            {"volumeMounts": [{"name": "gone", "mountPath": "/x"}]},
            ("spec.containers[0].volumeMounts[0].name", "FieldValueNotFound", 'Not found: "gone"'),
        ),
        (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "500m"}}},
            (
                "spec.containers[0].resources.requests",
                "FieldValueInvalid",
                'Invalid value: "2": must be less than or equal to cpu limit of 500m',
            ),
        ),
        (
            {"resources": {"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 2}}},
            (
                "spec.containers[0].resources.requests",
                "FieldValueInvalid",
                'Invalid value: "1": must be equal to nvidia.com/gpu limit of 2',
            ),
        ),
        (
            {"resources": {"requests": {"nvidia.com/gpu": 1}}},
            (
                "spec.containers[0].resources.limits",
                "FieldValueRequired",
                "Required value: Limit must be set for non overcommitable resources",
            ),
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": 80}, "successThreshold": 2}},
            (
                "spec.containers[0].livenessProbe.successThreshold",
                "FieldValueInvalid",
                "Invalid value: 2: must be 1",
            ),
        ),
        (
            {"readinessProbe": {"periodSeconds": 3}},
            (
                "spec.containers[0].readinessProbe",
                "FieldValueRequired",
                "Required value: must specify a handler type",
            ),
        ),
        (
            {"imagePullPolicy": "Sometimes"},
            (
                "spec.containers[0].imagePullPolicy",
                "FieldValueNotSupported",
                'Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
            ),
        ),
    ],
)
async def test_one_wrong_container(container: dict[str, Any], cause: tuple[str, str, str]) -> None:
    assert await refusal(**container) == [cause]


async def test_half_a_gpu_is_refused_in_both_maps() -> None:
    assert await refusal(resources={"limits": {"nvidia.com/gpu": "500m"}}) == [
        (
            "spec.containers[0].resources.limits[nvidia.com/gpu]",
            "FieldValueInvalid",
            'Invalid value: "500m": must be an integer',
        ),
        (
            "spec.containers[0].resources.requests[nvidia.com/gpu]",
            "FieldValueInvalid",
            'Invalid value: "500m": must be an integer',
        ),
    ]


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        (
            {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]},
            ("spec.volumes[1].name", "FieldValueDuplicate", 'Duplicate value: "a"'),
        ),
        (
            {"volumes": [{"name": "a", "emptyDir": {}, "hostPath": {"path": "/x"}}]},
            (
                "spec.volumes[0].hostPath",
                "FieldValueForbidden",
                "Forbidden: may not specify more than 1 volume type",
            ),
        ),
        (
            {"initContainers": [{"name": "main", "image": "x:1"}]},
            ("spec.initContainers[0].name", "FieldValueDuplicate", 'Duplicate value: "main"'),
        ),
        (
            {"tolerations": [{"operator": "Equal", "value": "x"}]},
            (
                "spec.tolerations[0].operator",
                "FieldValueInvalid",
                'Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and'
                ' all keys"',
            ),
        ),
        (
            {"dnsPolicy": "None"},
            (
                "spec.dnsConfig",
                "FieldValueRequired",
                "Required value: must provide `dnsConfig` when `dnsPolicy` is None",
            ),
        ),
    ],
)
async def test_one_wrong_field_of_the_spec(spec: dict[str, Any], cause: tuple[str, str, str]) -> None:
    assert await refusal(spec=spec) == [cause]


async def test_a_pod_without_containers() -> None:
    assert await refusal(spec={"containers": []}) == [
        ("spec.containers", "FieldValueRequired", "Required value")
    ]


async def test_a_pod_without_a_name() -> None:
    api, _ = await make_api()
    with pytest.raises(
        ApiError, match=r'^Pod "" is invalid: metadata.name: Required value: name or generateName is'
    ):
        await api.create(pod(""))


async def test_only_image_deadline_and_tolerations_change_in_a_pod_that_exists() -> None:
    api, _ = await make_api()
    stored = await api.create(pod())
    container = stored.spec.containers[0]
    newer = replace(stored, spec=replace(stored.spec, containers=(replace(container, image="app:v2"),)))
    changed = await api.update(newer)
    assert (changed.spec.containers[0].image, changed.metadata.generation) == ("app:v2", 2)

    wrong = replace(changed, spec=replace(changed.spec, hostname="other"))
    with pytest.raises(ApiError) as caught:
        await api.update(wrong)
    (cause,) = caught.value.causes
    assert cause.field == "spec"
    assert cause.message.startswith(
        "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    )
    assert api.get(POD, "default", "web") == changed


async def test_containers_can_not_be_added() -> None:
    api, _ = await make_api()
    stored = await api.create(pod())
    more = (*stored.spec.containers, replace(stored.spec.containers[0], name="second"))
    with pytest.raises(
        ApiError, match=r"spec.containers: Forbidden: pod updates may not add or remove containers"
    ):
        await api.update(replace(stored, spec=replace(stored.spec, containers=more)))


async def test_a_service_account_that_is_named_must_exist() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as caught:
        await api.create(pod(spec={"serviceAccountName": "robot"}))
    assert caught.value.reason is Reason.FORBIDDEN
    assert str(caught.value) == (
        'pods "web" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found'
    )


async def test_an_unknown_priority_class_is_forbidden() -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError, match='pods "web" is forbidden: no PriorityClass with name gold was found'):
        await api.create(pod(spec={"priorityClassName": "gold"}))
