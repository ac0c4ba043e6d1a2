"""The real kubectl applies: client-side, server-side, from the one to the other, with diff, edit and prune.

What it prints and who then owns what was compared with a cluster's documentation (kubernetes.io, "Server-Side Apply",
"Declarative Management of Kubernetes Objects Using Configuration Files").
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Kubectl, Ran

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: main
        image: app:v1
        ports:
        - containerPort: 80
"""

TWO = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {key: value}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
data: {key: value}
"""
ONE = TWO.partition("---")[0]

WIDGETS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer}
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name, zone]
                items:
                  type: object
                  required: [name]
                  properties:
                    name: {type: string}
                    zone: {type: string, default: here}
                    colour: {type: string}
              tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}
              whole: {type: object, x-kubernetes-map-type: atomic, properties: {a: {type: string}, b: {type: string}}}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status: {type: object, properties: {size: {type: integer}}}
"""


GADGETS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
  - name: v2
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


def gadget(version: str, spec: str) -> str:
    return f"apiVersion: example.com/{version}\nkind: Gadget\nmetadata: {{name: g}}\nspec: {spec}\n"


def widget(spec: str) -> str:
    return f"apiVersion: example.com/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {spec}\n"


async def run_with(kubectl: Kubectl, env: dict[str, str], *arguments: str, stdin: str = "") -> Ran:
    """Run kubectl with further variables in its environment."""
    process = await asyncio.create_subprocess_exec(
        str(kubectl.binary),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "KUBECONFIG": str(kubectl.kubeconfig),
            "HOME": str(kubectl.home),
            "PATH": os.environ["PATH"],
            **env,
        },
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(stdin.encode())
    return Ran(process.returncode or 0, out.decode(), err.decode())


async def read(kubectl: Kubectl, *what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await kubectl("get", *what, "-o", "json", "--show-managed-fields"))
    return found


async def owners(kubectl: Kubectl, *what: str) -> dict[str, Any]:
    """Return "manager operation [subresource]" -> fields."""
    entries = (await read(kubectl, *what))["metadata"].get("managedFields", ())
    return {
        " ".join(filter(None, (one["manager"], one["operation"], one.get("subresource")))): one["fieldsV1"]
        for one in entries
    }


async def test_client_side_apply_merges_three_ways_and_is_an_owner(kubectl: Kubectl) -> None:
    assert await kubectl("apply", "-f", "-", stdin=WEB) == "deployment.apps/web created\n"
    await kubectl("scale", "deployment/web", "--replicas=5")
    await kubectl("label", "deployment/web", "mine=yes")
    without = WEB.replace("  replicas: 2\n", "").replace("        ports:\n        - containerPort: 80\n", "")
    assert await kubectl("apply", "-f", "-", stdin=without) == "deployment.apps/web configured\n"
    assert await kubectl("apply", "-f", "-", stdin=without) == "deployment.apps/web unchanged\n"
    found = await read(kubectl, "deployment", "web")
    assert found["metadata"]["labels"] == {"app": "web", "mine": "yes"}
    assert found["spec"]["replicas"] == 1  # given up, so the default comes back
    assert "ports" not in found["spec"]["template"]["spec"]["containers"][0]
    assert set(await owners(kubectl, "deployment", "web")) == {
        "kubectl-client-side-apply Update",
        "kubectl-label Update",
    }
    last = await kubectl("apply", "view-last-applied", "deployment/web", "-o", "json")
    assert "replicas" not in json.loads(last)["spec"]


async def test_server_side_apply_takes_over_from_client_side_apply(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=WEB)
    changed = WEB.replace("app:v1", "app:v2").replace("  replicas: 2\n", "")
    assert await kubectl("apply", "--server-side", "-f", "-", stdin=changed) == (
        "deployment.apps/web serverside-applied\n"
    )
    found = await read(kubectl, "deployment", "web")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "app:v2"
    assert found["spec"]["replicas"] == 1  # was client-side apply's, and is nobody's now
    note = found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    assert '"image":"app:v2"' in note
    assert set(await owners(kubectl, "deployment", "web")) == {"kubectl Apply", "kubectl-last-applied Apply"}
    back = changed.replace("app:v2", "app:v3")
    assert await kubectl("apply", "-f", "-", stdin=back) == "deployment.apps/web configured\n"
    again = await kubectl("apply", "--server-side", "-f", "-", stdin=back)
    assert again == "deployment.apps/web serverside-applied\n"


async def test_conflicts_name_who_changed_what(kubectl: Kubectl, tmp_path: Path) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=WEB)
    await kubectl("scale", "deployment/web", "--replicas=4")
    await kubectl("set", "image", "deployment/web", "main=app:v2")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/containerPort: 80/containerPort: 81/' \"$1\"\n")
    editor.chmod(0o755)
    edited = await run_with(kubectl, {"KUBE_EDITOR": str(editor)}, "edit", "deployment", "web")
    assert (edited.out, edited.err) == ("deployment.apps/web edited\n", "")
    refused = await kubectl.run("apply", "--server-side", "-f", "-", stdin=WEB)
    assert refused.code == 1
    assert refused.err.startswith(
        "error: Apply failed with 2 conflicts: "
        'conflicts with "kubectl" with subresource "scale" using apps/v1:\n- .spec.replicas\n'
        'conflicts with "kubectl-set" using apps/v1:\n- .spec.template.spec.containers[name="main"].image\n'
        "Please review the fields above--they currently have other managers."
    )
    diff = await kubectl.run("diff", "--server-side", "--force-conflicts", "-f", "-", stdin=WEB)
    assert diff.code == 1
    assert "-  replicas: 4" in diff.out and "+  replicas: 2" in diff.out
    await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=WEB)
    found = await read(kubectl, "deployment", "web")
    container = found["spec"]["template"]["spec"]["containers"][0]
    assert (found["spec"]["replicas"], container["image"]) == (2, "app:v1")
    assert [port["containerPort"] for port in container["ports"]] == [81, 80]
    assert set(await owners(kubectl, "deployment", "web")) == {"kubectl Apply", "kubectl-edit Update"}


async def test_diff_tells_by_its_exit_code_and_changes_nothing(kubectl: Kubectl) -> None:
    new = await kubectl.run("diff", "-f", "-", stdin=WEB)
    assert new.code == 1 and "+kind: Deployment" in new.out
    await kubectl("apply", "-f", "-", stdin=WEB)
    assert await kubectl("diff", "-f", "-", stdin=WEB) == ""
    changed = WEB.replace("replicas: 2", "replicas: 3")
    diff = await kubectl.run("diff", "-f", "-", stdin=changed)
    assert diff.code == 1 and "-  replicas: 2\n+  replicas: 3" in diff.out
    assert (await read(kubectl, "deployment", "web"))["spec"]["replicas"] == 2


async def test_several_managers_share_and_give_up(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    await kubectl(*apply, "--field-manager=one", stdin=WEB)
    await kubectl(*apply, "--field-manager=two", stdin=WEB)
    left = WEB.replace("  replicas: 2\n", "")
    await kubectl(*apply, "--field-manager=one", stdin=left)
    assert (await read(kubectl, "deployment", "web"))["spec"]["replicas"] == 2
    await kubectl(*apply, "--field-manager=two", stdin=left)
    assert (await read(kubectl, "deployment", "web"))["spec"]["replicas"] == 1


async def test_owners_can_be_forgotten(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=ONE)
    for form in ("merge", "json"):
        change: Any = {"metadata": {"managedFields": [{}]}}
        if form == "json":
            await kubectl("apply", "--server-side", "-f", "-", stdin=ONE)
            change = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
        await kubectl("patch", "configmap", "a", f"--type={form}", "-p", json.dumps(change))
        assert await owners(kubectl, "configmap", "a") == {}


@pytest.mark.parametrize("server_side", [False, True])
async def test_an_apply_set_prunes_what_it_no_longer_names(kubectl: Kubectl, server_side: bool) -> None:
    on, side = {"KUBECTL_APPLYSET": "true"}, ("--server-side",) if server_side else ()
    apply = ("apply", "-n", "default", *side, "--prune", "--applyset=set", "-f", "-")
    first = await run_with(kubectl, on, *apply, stdin=TWO)
    word = "serverside-applied" if server_side else "created"
    assert (first.out, first.err) == (f"configmap/a {word}\nconfigmap/b {word}\n", "")
    labels = (await read(kubectl, "configmap", "a"))["metadata"]["labels"]
    parent = await read(kubectl, "secret", "set")
    assert (
        labels["applyset.kubernetes.io/part-of"] == parent["metadata"]["labels"]["applyset.kubernetes.io/id"]
    )
    assert parent["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap"
    second = await run_with(kubectl, on, *apply, stdin=ONE)
    assert second.out.splitlines()[-1] == "configmap/b pruned"
    assert await kubectl("get", "configmaps", "-o", "name") == "configmap/a\n"


async def test_a_file_with_a_mistake_is_refused_by_its_path(kubectl: Kubectl) -> None:
    wrong = WEB.replace("replicas: 2", "replicsa: 2")
    refused = await kubectl.run("apply", "--server-side", "-f", "-", stdin=wrong)
    assert refused.code == 1
    assert (
        "failed to create typed patch object (default/web; apps/v1, Kind=Deployment):"
        " .spec.replicsa: field not declared in schema" in refused.err
    )


async def test_applying_and_its_trial_on_the_server(kubectl: Kubectl) -> None:
    tried = await kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=ONE)
    assert tried == "configmap/a serverside-applied (server dry run)\n"
    assert (await kubectl.run("get", "configmap", "a")).code == 1


async def test_an_updated_status_has_owners_of_its_own(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=WEB)
    status = '{"status":{"replicas":1}}'
    await kubectl("patch", "deployment", "web", "--subresource=status", "--type=merge", "-p", status)
    found = await owners(kubectl, "deployment", "web")
    assert found["kubectl-patch Update status"] == {"f:status": {"f:replicas": {}}}


async def test_custom_resources_merge_as_their_schema_says(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=WIDGETS)
    await kubectl("wait", "--for=condition=Established", "crd/widgets.example.com")
    apply = ("apply", "--server-side", "-f", "-")
    mine = (
        "{size: 1, parts: [{name: a, colour: red}], tags: [red], whole: {a: '1'}, free: {k: {l: 1}, m: [1]}}"
    )
    await kubectl(*apply, "--field-manager=one", stdin=widget(mine))
    theirs = "{parts: [{name: a, zone: there}, {name: b}], tags: [blue], free: {k: {o: 2}}}"
    await kubectl(*apply, "--field-manager=two", stdin=widget(theirs))
    spec = (await read(kubectl, "widget", "w"))["spec"]
    assert spec["parts"] == [
        {"name": "a", "zone": "here", "colour": "red"},
        {"name": "a", "zone": "there"},
        {"name": "b", "zone": "here"},
    ]
    assert spec["tags"] == ["red", "blue"]
    assert spec["free"] == {"k": {"l": 1, "o": 2}, "m": [1]}
    found = await owners(kubectl, "widget", "w")
    assert found["one Apply"]["f:spec"] == {
        "f:free": {"f:k": {".": {}, "f:l": {}}, "f:m": {}},
        "f:parts": {'k:{"name":"a","zone":"here"}': {".": {}, "f:colour": {}, "f:name": {}}},
        "f:size": {},
        "f:tags": {'v:"red"': {}},
        "f:whole": {},
    }
    refused = await kubectl.run(*apply, "--field-manager=two", stdin=widget("{whole: {b: '2'}, size: 2}"))
    assert 'conflicts with "one":\n- .spec.size\n- .spec.whole' in refused.err
    await kubectl("scale", "widget/w", "--replicas=3")
    refused = await kubectl.run(*apply, "--field-manager=one", stdin=widget("{size: 1}"))
    assert 'conflict with "kubectl" with subresource "scale" using example.com/v1: .spec.size' in refused.err
    twice = await kubectl.run(*apply, stdin=widget("{parts: [{name: a}, {name: a, zone: here}]}"))
    assert '.spec.parts: duplicate entries for key [name="a",zone="here"]' in twice.err


async def test_versions_of_a_custom_resource_know_each_others_owners(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=GADGETS)
    await kubectl("wait", "--for=condition=Established", "crd/gadgets.example.com")
    apply = ("apply", "--server-side", "-f", "-")
    await kubectl(*apply, "--field-manager=one", stdin=gadget("v1", "{a: '1', c: {d: '1'}}"))
    refused = await kubectl.run(*apply, "--field-manager=two", stdin=gadget("v2", "{a: '2'}"))
    assert 'conflict with "one": .spec.a' in refused.err
    await kubectl(*apply, "--field-manager=two", stdin=gadget("v2", "{b: '2', c: {e: '2'}}"))
    await kubectl(*apply, "--field-manager=one", stdin=gadget("v2", "{c: {f: '1'}}"))
    found = await read(kubectl, "gadgets.v1.example.com", "g")
    assert found["spec"] == {"b": "2", "c": {"e": "2", "f": "1"}}
    versions = {one["manager"]: one["apiVersion"] for one in found["metadata"]["managedFields"]}
    assert versions == {"one": "example.com/v2", "two": "example.com/v2"}
