"""The real kubectl with kinds that are not built in: definitions, their objects, what is printed, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pinnace.controllers.definitions.controller import DefinitionController
from pinnace.controllers.garbage.controller import GarbageController
from pinnace.controllers.namespace.controller import NamespaceController
from pinnace.controllers.runner import ControllerRunner
from tests.clients.conftest import Kubectl

DEFINITION = r"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: crontabs.stable.example.com
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.labelSelector}
    additionalPrinterColumns:
    - {name: Schedule, type: string, jsonPath: .spec.schedule}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Image, type: string, jsonPath: .spec.image, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    selectableFields: [{jsonPath: .spec.image}]
    schema:
      openAPIV3Schema:
        type: object
        description: A task that comes back.
        required: [spec]
        properties:
          spec:
            type: object
            description: What shall be done, and when.
            required: [schedule]
            x-kubernetes-validations:
            - {rule: self.replicas <= self.most, messageExpression: '"at most " + string(self.most)', fieldPath: .replicas}
            - {rule: self.image == oldSelf.image, message: image can't be changed, reason: FieldValueForbidden}
            properties:
              schedule: {type: string, description: 'When, in five fields.', pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$'}
              image: {type: string, default: busybox}
              replicas: {type: integer, minimum: 0, default: 1}
              most: {type: integer, default: 10}
              ports:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, port: {x-kubernetes-int-or-string: true}}}
          status:
            type: object
            properties:
              replicas: {type: integer}
              labelSelector: {type: string}
              conditions: {type: array, items: {type: object, properties: {type: {type: string}, status: {type: string}}}}
"""

OBJECT = """
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: nightly, labels: {app: nightly}}
spec:
  schedule: "0 3 * * *"
  ports: [{name: http, port: 80}]
"""

SECOND = """
  - name: v2
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {schedule: {type: string}, size: {type: integer, default: 7}}}}}}
"""


@pytest.fixture
async def cluster(kubectl: Kubectl) -> AsyncIterator[Kubectl]:
    """kubectl, a server, and the controllers that end objects."""
    api = kubectl.api
    controllers = (
        DefinitionController(api, api.clock),
        NamespaceController(api, api.clock),
        GarbageController(api),
    )
    runner = ControllerRunner(api, controllers, api.clock)
    runner.start()
    yield kubectl
    await runner.close()


@pytest.fixture
async def crontabs(cluster: Kubectl) -> Kubectl:
    """The cluster with the definition in force and one object."""
    await cluster("apply", "-f", "-", stdin=DEFINITION)
    await cluster("apply", "-f", "-", stdin=OBJECT)
    return cluster


async def test_a_definition_is_in_force_at_once_and_its_kind_is_like_any_other(cluster: Kubectl) -> None:
    out = await cluster("apply", "-f", "-", stdin=DEFINITION)
    assert out == "customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com created\n"
    out = await cluster("apply", "-f", "-", stdin=OBJECT)
    assert out == "crontab.stable.example.com/nightly created\n"
    out = await cluster(
        "wait", "--for", "condition=established", "crd/crontabs.stable.example.com", "--timeout=5s"
    )
    assert out == "customresourcedefinition.apiextensions.k8s.io/crontabs.stable.example.com condition met\n"
    out = await cluster("api-resources", "--api-group=stable.example.com", "--no-headers")
    assert out.split() == ["crontabs", "ct", "stable.example.com/v1", "true", "CronTab"]
    assert "stable.example.com/v1\n" in await cluster("api-versions")


async def test_objects_are_listed_with_the_definitions_columns(crontabs: Kubectl) -> None:
    status = {"status": {"replicas": 1, "conditions": [{"type": "Ready", "status": "True"}]}}
    await crontabs("patch", "ct", "nightly", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    header, row = (await crontabs("get", "crontabs")).splitlines()
    assert header.split() == ["NAME", "SCHEDULE", "REPLICAS", "READY", "AGE"]
    assert row.split()[:-1] == ["nightly", "0", "3", "*", "*", "*", "1", "True"]
    header, row = (await crontabs("get", "ct", "nightly", "-o", "wide")).splitlines()
    assert header.split() == ["NAME", "SCHEDULE", "REPLICAS", "READY", "IMAGE", "AGE"]
    assert "crontab.stable.example.com/nightly" in await crontabs("get", "all", "-o", "name")
    assert await crontabs("get", "ct", "--field-selector", "spec.image=busybox", "-o", "name") != ""
    assert await crontabs("get", "ct", "--field-selector", "spec.image=other", "-o", "name") == ""
    assert await crontabs("get", "ct", "-l", "app=nightly", "-o", "name") != ""


async def test_explain_and_describe_know_the_kind(crontabs: Kubectl) -> None:
    out = await crontabs("explain", "crontab.spec.schedule")
    assert "GROUP:      stable.example.com" in out
    assert "FIELD: schedule <string>" in out
    assert "When, in five fields." in out
    out = await crontabs("explain", "ct", "--recursive")
    assert "A task that comes back." in out
    assert "<Object>" in out
    out = await crontabs("describe", "ct", "nightly")
    assert "Kind:         CronTab" in out
    assert "Schedule:  0 3 * * *" in out


async def test_defaults_are_filled_in_and_unknown_fields_pruned(crontabs: Kubectl) -> None:
    spec = json.loads(await crontabs("get", "ct", "nightly", "-o", "json"))["spec"]
    assert spec == {
        "schedule": "0 3 * * *",
        "ports": [{"name": "http", "port": 80}],
        "image": "busybox",
        "replicas": 1,
        "most": 10,
    }
    ran = await crontabs.run("apply", "-f", "-", stdin=OBJECT.replace("ports:", "colour: red\n  ports:"))
    assert ran.code == 1
    assert 'strict decoding error: unknown field "spec.colour"' in ran.err
    ran = await crontabs.run(
        "apply", "--validate=false", "-f", "-", stdin=OBJECT.replace("ports:", "colour: red\n  ports:")
    )
    assert ran.code == 0
    assert "colour" not in await crontabs("get", "ct", "nightly", "-o", "jsonpath={.spec}")


@pytest.mark.parametrize(
    ("patch", "refusal"),
    [
        (
            {"spec": {"schedule": "often"}},
            r"spec.schedule: Invalid value: \"often\": spec.schedule in body should match",
        ),
        (
            {"spec": {"replicas": "x"}},
            'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"',
        ),
        (
            {"spec": {"replicas": -1}},
            "spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0",
        ),
        ({"spec": {"replicas": 11}}, "spec.replicas: Invalid value: at most 10"),
        ({"spec": {"image": "other"}}, "spec: Forbidden: image can't be changed"),
        (
            {"spec": {"ports": [{"name": "a"}, {"name": "a"}]}},
            'spec.ports[1]: Duplicate value: {"name":"a"}',
        ),
        ({"spec": {"ports": [{"port": 1}]}}, "spec.ports[0].name: Required value"),
        ({"spec": None}, "spec: Required value"),
    ],
)
async def test_what_the_schema_forbids_is_refused_in_kubernetes_words(
    crontabs: Kubectl, patch: dict[str, Any], refusal: str
) -> None:
    ran = await crontabs.run("patch", "ct", "nightly", "--type=merge", "-p", json.dumps(patch))
    assert ran.code == 1
    assert refusal.replace(r"\"", '"') in ran.err


async def test_scale_status_and_patches(crontabs: Kubectl) -> None:
    assert (
        await crontabs("scale", "ct/nightly", "--replicas=3") == "crontab.stable.example.com/nightly scaled\n"
    )
    read = ("get", "ct", "nightly", "-o")
    assert await crontabs(*read, "jsonpath={.spec.replicas} {.metadata.generation}") == "3 2"
    await crontabs("patch", "ct", "nightly", "--type=merge", "-p", '{"status":{"replicas":9}}')
    assert await crontabs(*read, "jsonpath={.status}") == ""
    await crontabs(
        "patch",
        "ct",
        "nightly",
        "--subresource=status",
        "--type=merge",
        "-p",
        '{"status":{"replicas":9},"spec":{"replicas":4}}',
    )
    assert (
        await crontabs(*read, "jsonpath={.status.replicas} {.spec.replicas} {.metadata.generation}")
        == "9 3 2"
    )
    await crontabs(
        "patch", "ct", "nightly", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":5}]'
    )
    assert await crontabs(*read, "jsonpath={.spec.replicas}") == "5"
    ran = await crontabs.run("patch", "ct", "nightly", "--type=strategic", "-p", '{"spec":{"replicas":6}}')
    assert ran.code == 1
    assert (
        "415" in ran.err
        or "application/strategic-merge-patch+json" in ran.err
        or "unsupported" in ran.err.lower()
    )


async def test_apply_from_either_side_merges_lists_by_their_keys(crontabs: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    out = await crontabs(*apply, stdin=OBJECT)
    assert out == "crontab.stable.example.com/nightly serverside-applied\n"
    more = OBJECT.replace("{name: http, port: 80}", "{name: metrics, port: metrics}")
    await crontabs(*apply, "--field-manager=other", stdin=more)
    ports = await crontabs("get", "ct", "nightly", "-o", "jsonpath={.spec.ports[*].name}")
    assert sorted(ports.split()) == ["http", "metrics"]
    changed = OBJECT.replace("0 3", "0 4")
    ran = await crontabs.run("apply", "--server-side", "--field-manager=third", "-f", "-", stdin=changed)
    assert ran.code == 1
    assert ".spec.schedule" in ran.err
    ran = await crontabs.run("diff", "-f", "-", stdin=changed)
    assert ran.code == 1
    assert "+  schedule: 0 4 * * *" in ran.out
    assert (
        await crontabs("apply", "-f", "-", stdin=changed) == "crontab.stable.example.com/nightly configured\n"
    )


async def test_another_version_shows_the_same_object_by_its_own_schema(crontabs: Kubectl) -> None:
    await crontabs("apply", "-f", "-", stdin=DEFINITION + SECOND.lstrip("\n"))
    read = ("get", "crontabs.v2.stable.example.com", "nightly", "-o")
    assert json.loads(await crontabs(*read, "jsonpath={.spec}")) == {"schedule": "0 3 * * *", "size": 7}
    assert await crontabs(*read, "jsonpath={.apiVersion}") == "stable.example.com/v2"
    assert "size" not in await crontabs(
        "get", "crontabs.v1.stable.example.com", "nightly", "-o", "jsonpath={.spec}"
    )
    assert "stable.example.com/v2" in await crontabs("api-versions")


async def test_watch_sees_changes_until_the_definition_goes(crontabs: Kubectl) -> None:
    process = await crontabs.start("get", "ct", "-w", "-o", "name")
    assert process.stdout is not None
    async with asyncio.timeout(10):
        assert await process.stdout.readline() == b"crontab.stable.example.com/nightly\n"
        await crontabs("annotate", "ct", "nightly", "a=b")
        assert await process.stdout.readline() == b"crontab.stable.example.com/nightly\n"
    process.kill()
    await process.wait()


async def test_a_definition_takes_its_objects_along_and_waits_for_finalizers(crontabs: Kubectl) -> None:
    await crontabs(
        "patch", "ct", "nightly", "--type=merge", "-p", '{"metadata":{"finalizers":["example.com/hold"]}}'
    )
    await crontabs("delete", "crd", "crontabs.stable.example.com", "--wait=false")
    crd = ("get", "crd", "crontabs.stable.example.com", "-o")
    said = await crontabs(
        *crd, 'jsonpath={.metadata.finalizers} {.status.conditions[?(@.type=="Terminating")].status}'
    )
    assert said == '["customresourcecleanup.apiextensions.k8s.io"] True'
    ran = await crontabs.run("create", "-f", "-", stdin=OBJECT.replace("nightly", "late"))
    assert "create not allowed while custom resource definition is terminating" in ran.err
    await crontabs("patch", "ct", "nightly", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    await crontabs("wait", "--for=delete", "crd/crontabs.stable.example.com", "--timeout=10s")
    ran = await crontabs.run("get", "ct")
    assert "the server could not find the requested resource" in ran.err  # kubectl remembers what there was


async def test_objects_go_with_their_namespace_and_with_their_owner(crontabs: Kubectl) -> None:
    await crontabs("create", "namespace", "away")
    await crontabs("apply", "-n", "away", "-f", "-", stdin=OBJECT)
    await crontabs("delete", "namespace", "away", "--timeout=10s")
    assert (await crontabs("get", "ct", "-A", "-o", "name")).splitlines() == [
        "crontab.stable.example.com/nightly"
    ]
    uid = await crontabs("get", "ct", "nightly", "-o", "jsonpath={.metadata.uid}")
    owner = {"apiVersion": "stable.example.com/v1", "kind": "CronTab", "name": "nightly", "uid": uid}
    child = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "child", "ownerReferences": [owner]},
    }
    await crontabs("create", "-f", "-", stdin=json.dumps(child))
    await crontabs("delete", "ct", "--all")
    await crontabs("wait", "--for=delete", "cm/child", "--timeout=10s")


async def test_a_definition_that_is_no_good_is_refused_with_all_reasons(cluster: Kubectl) -> None:
    bad = (
        DEFINITION.replace("plural: crontabs", "plural: crontab")
        .replace("{type: integer, minimum: 0, default: 1}", "{type: integer, minimum: 0, default: many}")
        .replace("self.replicas <= self.most", "self.replicas <= nowhere")
    )
    ran = await cluster.run("apply", "-f", "-", stdin=bad)
    assert ran.code == 1
    assert (
        'metadata.name: Invalid value: "crontabs.stable.example.com": must be spec.names.plural+"."+spec.group'
        in ran.err
    )
    assert 'default in body must be of type integer: "string"' in ran.err
    ran = await cluster.run("apply", "-f", "-", stdin=DEFINITION.replace("self.most,", "nowhere,"))
    assert "undeclared reference to 'nowhere'" in ran.err


async def test_two_definitions_cannot_share_a_name(crontabs: Kubectl) -> None:
    other = DEFINITION.replace(
        "plural: crontabs, singular: crontab", "plural: others, singular: other"
    ).replace("name: crontabs.stable", "name: others.stable")
    await crontabs("apply", "-f", "-", stdin=other)
    read = 'jsonpath={.status.conditions[?(@.type=="NamesAccepted")].message}'
    assert (
        await crontabs("get", "crd", "others.stable.example.com", "-o", read)
        == '"CronTabList" is already in use'
    )
    await crontabs("delete", "crd", "crontabs.stable.example.com", "--timeout=10s")
    await crontabs("wait", "--for", "condition=established", "crd/others.stable.example.com", "--timeout=5s")
    assert await crontabs("get", "others", "-o", "name") == ""


async def test_helm_installs_a_charts_definitions_before_its_objects(
    cluster: Kubectl, clients: Path, tmp_path: Path
) -> None:
    chart = tmp_path / "chart"
    for name, text in {
        "Chart.yaml": "apiVersion: v2\nname: cron\nversion: 0.1.0\n",
        "crds/crontabs.yaml": DEFINITION,
        "templates/nightly.yaml": OBJECT.replace("nightly,", "{{ .Release.Name }},"),
    }.items():
        (chart / name).parent.mkdir(parents=True, exist_ok=True)
        (chart / name).write_text(text)
    helm = await asyncio.create_subprocess_exec(
        str(clients / "helm"),
        *("install", "weekly", str(chart), "--wait", "--timeout", "20s"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"KUBECONFIG": str(cluster.kubeconfig), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
    )
    out, _ = await helm.communicate()
    assert helm.returncode == 0, out.decode()
    assert await cluster("get", "ct", "-o", "name") == "crontab.stable.example.com/weekly\n"


async def test_the_python_clients_read_and_write_custom_objects(crontabs: Kubectl) -> None:
    """The official client's CustomObjectsApi and lightkube's generic resources, in a thread beside the server."""
    kubernetes = pytest.importorskip("kubernetes")
    lightkube = pytest.importorskip("lightkube")
    from lightkube.generic_resource import create_namespaced_resource, load_in_cluster_generic_resources

    where = ("stable.example.com", "v1", "default", "crontabs")

    def official() -> Any:
        client = kubernetes.config.new_client_from_config(config_file=str(crontabs.kubeconfig))
        objects = kubernetes.client.CustomObjectsApi(client)
        body = {
            "apiVersion": "stable.example.com/v1",
            "kind": "CronTab",
            "metadata": {"name": "hourly"},
            "spec": {"schedule": "0 * * * *"},
        }
        objects.create_namespaced_custom_object(*where, body)
        objects.patch_namespaced_custom_object(*where, "hourly", {"spec": {"replicas": 2}})
        objects.patch_namespaced_custom_object_scale(*where, "hourly", {"spec": {"replicas": 4}})
        objects.patch_namespaced_custom_object_status(*where, "hourly", {"status": {"replicas": 1}})
        found = objects.list_namespaced_custom_object(*where)["items"]
        with pytest.raises(kubernetes.client.ApiException) as caught:
            objects.patch_namespaced_custom_object(*where, "hourly", {"spec": {"schedule": "never"}})
        assert caught.value.status == 422
        return {item["metadata"]["name"]: (item["spec"]["replicas"], item.get("status")) for item in found}

    assert await asyncio.to_thread(official) == {"hourly": (4, {"replicas": 1}), "nightly": (1, None)}

    def light() -> list[str]:
        config = lightkube.KubeConfig.from_file(crontabs.kubeconfig)
        client = lightkube.Client(config=config, namespace="default")
        load_in_cluster_generic_resources(client)
        kind = create_namespaced_resource("stable.example.com", "v1", "CronTab", "crontabs")
        made = client.create(kind(metadata={"name": "daily"}, spec={"schedule": "0 1 * * *"}))
        made.spec["replicas"] = 3
        client.replace(made)
        client.delete(kind, "hourly")
        return sorted(f"{one.metadata.name} {one.spec['replicas']}" for one in client.list(kind))

    assert await asyncio.to_thread(light) == ["daily 3", "nightly 1"]
