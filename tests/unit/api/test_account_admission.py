from typing import Any

import pytest

from pinnace.api.facade import Api
from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from tests.unit.api.builders import decode, document, make_api, pod

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


async def add_account(api: Api, name: str = "default", **fields: Any) -> None:
    meta = {"name": name, "namespace": "default", **fields.pop("metadata", {})}
    await api.create(decode(kinds.SERVICE_ACCOUNT, {"metadata": meta, **fields}))


# Source: kubectl get pod -o yaml on Kubernetes 1.36, but for the five letters.
async def test_the_volume_of_a_pods_token() -> None:
    api, _ = await make_api()
    await add_account(api)
    extra = {"initContainers": [{"name": "first", "image": "app:v1"}]}
    spec = document(await api.create(pod(spec=extra)))["spec"]
    (volume,) = spec["volumes"]
    name = volume["name"]
    assert name.startswith("kube-api-access-") and len(name) == 21
    assert volume["projected"] == {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "namespace",
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                        }
                    ]
                }
            },
        ],
    }
    mount = {"name": name, "readOnly": True, "mountPath": MOUNT}
    assert spec["containers"][0]["volumeMounts"] == [mount]
    assert spec["initContainers"][0]["volumeMounts"] == [mount]


@pytest.mark.parametrize(
    ("of_account", "of_pod", "mounted"),
    [(None, None, True), (False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
async def test_whose_word_about_mounting_counts(
    of_account: bool | None, of_pod: bool | None, mounted: bool
) -> None:
    api, _ = await make_api()
    await add_account(api, automountServiceAccountToken=of_account)
    made = await api.create(pod(spec={"automountServiceAccountToken": of_pod}))
    assert bool(made.spec.volumes) is mounted


async def test_pods_of_one_template_stay_equal_and_others_differ() -> None:
    api, _ = await make_api()
    first, second = await api.create(pod("a")), await api.create(pod("b"))
    other = await api.create(pod("c", image="app:v2"))
    assert first.spec == second.spec
    assert first.spec.volumes[0].name != other.spec.volumes[0].name


async def test_what_is_mounted_at_the_place_already_is_left_alone() -> None:
    api, _ = await make_api()
    spec = {"volumes": [{"name": "own", "emptyDir": {}}]}
    made = await api.create(pod(volumeMounts=[{"name": "own", "mountPath": MOUNT}], spec=spec))
    assert [volume.name for volume in made.spec.volumes] == ["own"]


async def test_a_pod_that_was_copied_with_its_volume_gets_no_second_one() -> None:
    api, _ = await make_api()
    made = await api.create(pod("a"))
    copied = document(made)
    for key in ("uid", "resourceVersion", "creationTimestamp", "generation"):
        del copied["metadata"][key]
    copied["metadata"]["name"] = "b"
    copied["spec"]["containers"].append({"name": "more", "image": "x"})
    copy = await api.create(decode(kinds.POD, copied))
    assert copy.spec.volumes == made.spec.volumes
    assert [mount.name for one in copy.spec.containers for mount in one.volume_mounts] == [
        made.spec.volumes[0].name
    ] * 2


async def test_an_account_brings_its_pull_secrets() -> None:
    api, _ = await make_api()
    await add_account(api, "bot", imagePullSecrets=[{"name": "registry"}])
    made = await api.create(pod(spec={"serviceAccountName": "bot"}))
    assert [one.name for one in made.spec.image_pull_secrets] == ["registry"]
    assert (made.spec.service_account, made.spec.service_account_name) == ("bot", "bot")


@pytest.mark.parametrize(
    ("spec", "container", "why"),
    [
        (
            {"serviceAccountName": "none"},
            {},
            'error looking up service account default/none: serviceaccount "none" not found',
        ),
        (
            {"volumes": [{"name": "v", "secret": {"secretName": "other"}}], "serviceAccountName": "strict"},
            {},
            'volume with secret.secretName="other" is not allowed because service account strict does not reference that '
            "secret",
        ),
        (
            {"serviceAccountName": "strict"},
            {"env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}]},
            'container main with envVar E referencing secret.secretName="other" is not allowed because service account '
            "strict does not reference that secret",
        ),
        (
            {"serviceAccountName": "strict", "imagePullSecrets": [{"name": "other"}]},
            {},
            'imagePullSecrets[0].name="other" is not allowed because service account strict does not reference that '
            "imagePullSecret",
        ),
        ({"serviceAccountName": "strict"}, {"envFrom": [{"secretRef": {"name": "mine"}}]}, ""),
    ],
)
async def test_what_an_account_may_use(spec: dict[str, Any], container: dict[str, Any], why: str) -> None:
    api, _ = await make_api()
    enforced = {"annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}
    await add_account(api, "strict", metadata=enforced, secrets=[{"name": "mine"}])
    if not why:
        assert await api.create(pod(spec=spec, **container))
        return
    with pytest.raises(ApiError) as caught:
        await api.create(pod(spec=spec, **container))
    assert caught.value.message == f'pods "web" is forbidden: {why}'


async def test_a_mirror_pod_uses_no_account() -> None:
    api, _ = await make_api()
    mirror = document(pod())
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    mirror["spec"]["nodeName"] = "node"
    made = await api.create(decode(kinds.POD, mirror))
    assert (made.spec.service_account_name, made.spec.volumes) == ("", ())
    mirror["spec"]["serviceAccountName"] = "default"
    with pytest.raises(ApiError, match="a mirror pod may not reference service accounts"):
        await api.create(decode(kinds.POD, mirror))
