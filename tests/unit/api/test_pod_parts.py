"""The parts `ephemeralcontainers` and `resize` of a pod, through the write path. Messages: Kubernetes v1.36, validation."""

import json
from typing import Any

import pytest

from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.base.errors import ApiError
from pinnace.kube import codec, kinds
from pinnace.kube.objects.core_v1 import Pod
from tests.unit.api.builders import deployment_document, make_api, pod

STRATEGIC = "application/strategic-merge-patch+json"
BURSTABLE = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}


async def patch(api: Api, part: str, spec: dict[str, Any]) -> Pod:
    body = json.dumps({"spec": spec}).encode()
    return await api.patch(kinds.POD, "default", "web", Patch(STRATEGIC, body), subresource=part)


async def debug(api: Api, **container: Any) -> Pod:
    return await patch(
        api,
        "ephemeralcontainers",
        {"ephemeralContainers": [{"name": "debugger", "image": "tools:v1", **container}]},
    )


async def resize(api: Api, resources: dict[str, Any], **container: Any) -> Pod:
    return await patch(api, "resize", {"containers": [{"name": "main", "resources": resources, **container}]})


def causes(error: ApiError) -> list[tuple[str, str]]:
    return [(cause.field, cause.message) for cause in error.causes]


# --- ephemeral containers ----------------------------------------------------------------------------------------------------


async def test_fields_of_an_ephemeral_container_that_nothing_acts_on_are_told_once() -> None:
    api, _ = await make_api()
    await api.create(pod())

    async def add(*names: str) -> list[str]:
        context = Context(user="me")
        security = {"seLinuxOptions": {"level": "s0"}}
        containers = [{"name": name, "image": "tools:v1", "securityContext": security} for name in names]
        body = json.dumps({"spec": {"ephemeralContainers": containers}}).encode()
        await api.patch(
            kinds.POD,
            "default",
            "web",
            Patch(STRATEGIC, body),
            subresource="ephemeralcontainers",
            context=context,
        )
        return context.warnings

    path = "spec.ephemeralContainers[{}].securityContext.seLinuxOptions: stored, but not acted on: no SELinux label is set"
    assert await add("a") == [path.format(0)]
    (told,) = await add("a", "b")
    assert told in (path.format(0), path.format(1))


async def test_an_ephemeral_container_is_added_and_filled_in() -> None:
    api, _ = await make_api()
    await api.create(pod())
    changed = await debug(api, targetContainerName="main", stdin=True, tty=True)
    (one,) = changed.spec.ephemeral_containers
    assert (one.name, one.target_container_name, one.image_pull_policy) == (
        "debugger",
        "main",
        "IfNotPresent",
    )
    assert (one.termination_message_path, one.termination_message_policy) == ("/dev/termination-log", "File")
    assert changed.metadata.generation == 2


async def test_nothing_else_of_the_request_counts() -> None:
    api, _ = await make_api()
    await api.create(pod())
    changed = await patch(
        api,
        "ephemeralcontainers",
        {
            "ephemeralContainers": [{"name": "debugger", "image": "tools:v1"}],
            "containers": [{"name": "main", "image": "other:v1"}],
            "nodeName": "n1",
        },
    )
    assert (changed.spec.containers[0].image, changed.spec.node_name) == ("app:v1", "")


async def test_a_replaced_pod_may_bring_more_of_them_in_any_order() -> None:
    api, _ = await make_api()
    await api.create(pod())
    first = await debug(api)
    document = codec.to_json(first)
    document["spec"]["ephemeralContainers"].insert(0, {"name": "second", "image": "tools:v1"})
    changed = await api.update_part(codec.from_json(kinds.POD, document), "ephemeralcontainers")
    assert [one.name for one in changed.spec.ephemeral_containers] == ["second", "debugger"]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"name": "main"}, ("spec.ephemeralContainers[0].name", 'Duplicate value: "main"')),
        ({"name": ""}, ("spec.ephemeralContainers[0].name", "Required value")),
        ({"image": ""}, ("spec.ephemeralContainers[0].image", "Required value")),
        ({"targetContainerName": "x"}, ("spec.ephemeralContainers[0].targetContainerName", 'Not found: "x"')),
        (
            {"ports": [{"containerPort": 80}]},
            ("spec.ephemeralContainers[0].ports", "Forbidden: cannot be set for an Ephemeral Container"),
        ),
        (
            {"resources": {"limits": {"cpu": "1"}}},
            ("spec.ephemeralContainers[0].resources", "Forbidden: cannot be set for an Ephemeral Container"),
        ),
        (
            {"readinessProbe": {"tcpSocket": {"port": 80}}},
            (
                "spec.ephemeralContainers[0].readinessProbe",
                "Forbidden: cannot be set for an Ephemeral Container",
            ),
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}},
            ("spec.ephemeralContainers[0].lifecycle", "Forbidden: cannot be set for an Ephemeral Container"),
        ),
        (
            {"restartPolicy": "Always"},
            (
                "spec.ephemeralContainers[0].restartPolicy",
                "Forbidden: cannot be set for an Ephemeral Container",
            ),
        ),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a"}]},
            (
                "spec.ephemeralContainers[0].volumeMounts[0].subPath",
                "Forbidden: cannot be set for an Ephemeral Container",
            ),
        ),
    ],
)
async def test_what_an_ephemeral_container_may_not_be(
    container: dict[str, Any], expected: tuple[str, str]
) -> None:
    api, _ = await make_api()
    await api.create(pod(spec={"volumes": [{"name": "v", "emptyDir": {}}]}))
    document = codec.to_json(api.get(kinds.POD, "default", "web"))
    document["spec"]["ephemeralContainers"] = [{"name": "debugger", "image": "tools:v1", **container}]
    with pytest.raises(ApiError) as error:
        await api.update_part(codec.from_json(kinds.POD, document), "ephemeralcontainers")
    assert expected in causes(error.value)


async def test_those_that_are_there_stay_as_they_are() -> None:
    api, _ = await make_api()
    await api.create(pod())
    document = codec.to_json(await debug(api))
    changed = {
        **document,
        "spec": {**document["spec"], "ephemeralContainers": [{"name": "debugger", "image": "b"}]},
    }
    with pytest.raises(ApiError, match='existing ephemeral containers "debugger" may not be changed'):
        await api.update_part(codec.from_json(kinds.POD, changed), "ephemeralcontainers")
    gone = {**document, "spec": {**document["spec"], "ephemeralContainers": []}}
    with pytest.raises(ApiError, match='existing ephemeral containers "debugger" may not be removed'):
        await api.update_part(codec.from_json(kinds.POD, gone), "ephemeralcontainers")


async def test_they_come_only_to_a_pod_that_is() -> None:
    api, _ = await make_api()
    spec = {"ephemeralContainers": [{"name": "debugger", "image": "tools:v1"}]}
    with pytest.raises(ApiError) as error:
        await api.create(pod(spec=spec))
    assert causes(error.value) == [("spec.ephemeralContainers", "Forbidden: cannot be set on create")]
    await api.create(pod())
    with pytest.raises(ApiError, match="pod updates may not change fields other than"):
        await patch(api, "", spec)
    deployment = deployment_document()
    deployment["spec"]["template"]["spec"]["ephemeralContainers"] = spec["ephemeralContainers"]
    with pytest.raises(ApiError) as error:
        await api.create(codec.from_json(kinds.DEPLOYMENT, deployment))
    where = "spec.template.spec.ephemeralContainers"
    assert (where, "Forbidden: ephemeral containers not allowed in pod template") in causes(error.value)


async def test_other_kinds_have_no_such_part() -> None:
    api, _ = await make_api()
    await api.create(codec.from_json(kinds.DEPLOYMENT, deployment_document()))
    body = b'{"metadata":{"labels":{"a":"b"}}}'
    with pytest.raises(ApiError, match="does not allow this method"):
        await api.patch(kinds.DEPLOYMENT, "default", "web", Patch(STRATEGIC, body), subresource="resize")


# --- resize ------------------------------------------------------------------------------------------------------------------


async def resizable(**container: Any) -> Api:
    api, _ = await make_api()
    await api.create(pod(resources=BURSTABLE, **container))
    return api


async def test_resources_change_and_nothing_else_counts() -> None:
    api = await resizable()
    changed = await patch(
        api,
        "resize",
        {
            "containers": [{"name": "main", "image": "other:v1", "resources": {"requests": {"cpu": "200m"}}}],
            "priority": 9,
        },
    )
    (main,) = changed.spec.containers
    assert (main.image, changed.metadata.generation) == ("app:v1", 2)
    assert main.resources.requests == {"cpu": "200m", "memory": "64Mi"}
    assert main.resources.limits == BURSTABLE["limits"]
    again = await resize(api, {"requests": {"cpu": "0.2"}})  # the same amount, said otherwise
    assert again.metadata.generation == 2


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (
            {"limits": {"cpu": None}},
            ("spec.containers[0].resources.limits", "Forbidden: resource limits cannot be removed"),
        ),
        (
            {"requests": {"memory": None}, "limits": {"memory": None}},
            ("spec.containers[0].resources.requests", "Forbidden: resource requests cannot be removed"),
        ),
        (
            {"requests": {"cpu": "500m", "memory": "128Mi"}},
            ("spec", 'Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing'),
        ),
        (
            {"requests": {"cpu": "2"}},
            (
                "spec.containers[0].resources.requests",
                'Invalid value: "2": must be less than or equal to cpu limit of 500m',
            ),
        ),
        (
            {"requests": {"ephemeral-storage": "1Gi"}},
            ("spec", "Forbidden: only cpu and memory resources are mutable"),
        ),
    ],
)
async def test_what_a_resize_may_not_do(resources: dict[str, Any], expected: tuple[str, str]) -> None:
    api = await resizable()
    with pytest.raises(ApiError) as error:
        await resize(api, resources)
    assert expected in causes(error.value)


async def test_how_it_is_done_cannot_be_changed_on_the_way() -> None:
    api = await resizable()
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    with pytest.raises(ApiError, match="only cpu and memory resources are mutable"):
        await resize(api, {}, resizePolicy=policy)


async def test_only_init_containers_that_go_on_can_be_resized() -> None:
    api, _ = await make_api()
    inits = [
        {"name": "first", "image": "a", "resources": BURSTABLE},
        {"name": "side", "image": "a", "resources": BURSTABLE, "restartPolicy": "Always"},
    ]
    await api.create(pod(resources=BURSTABLE, spec={"initContainers": inits}))
    more = {"resources": {"requests": {"cpu": "200m"}}}
    changed = await patch(api, "resize", {"initContainers": [{"name": "side", **more}]})
    assert changed.spec.init_containers[1].resources.requests["cpu"] == "200m"
    with pytest.raises(ApiError, match="resources for non-sidecar init containers are immutable"):
        await patch(api, "resize", {"initContainers": [{"name": "first", **more}]})


async def test_resources_cannot_change_otherwise() -> None:
    api = await resizable()
    with pytest.raises(ApiError, match="pod updates may not change fields other than"):
        await patch(api, "", {"containers": [{"name": "main", "resources": {"requests": {"cpu": "200m"}}}]})


@pytest.mark.parametrize(
    ("policies", "spec", "expected"),
    [
        (
            [{"resourceName": "disk", "restartPolicy": "NotRequired"}],
            {},
            'Unsupported value: "disk": supported values: "cpu", "memory"',
        ),
        (
            [{"resourceName": "cpu", "restartPolicy": "x"}],
            {},
            'Unsupported value: "x": supported values: "NotRequired", "RestartContainer"',
        ),
        (
            [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}],
            {"restartPolicy": "Never"},
            "Invalid value: \"RestartContainer\": must be 'NotRequired' when `restartPolicy` is 'Never'",
        ),
    ],
)
async def test_resize_policies(policies: list[dict[str, str]], spec: dict[str, Any], expected: str) -> None:
    api, _ = await make_api()
    with pytest.raises(ApiError) as error:
        await api.create(pod(resizePolicy=policies, spec=spec))
    assert causes(error.value) == [("spec.containers[0].resizePolicy", expected)]
