"""The real kubectl looks at objects and changes them: edit, replace, patch, label, annotate, and get in every form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.inside import Inside, with_editor
from tests.product.instance import Product
from tests.product.manifests import deployment


@pytest.fixture
def k(product: Product, ns: str) -> Inside:
    """kubectl, in a namespace with a Deployment without pods and two ConfigMaps."""
    inside = Inside(product, ns)
    product.apply(deployment("web", replicas=0), namespace=ns)
    inside("create", "configmap", "a", "--from-literal=key=2")
    inside("create", "configmap", "b", "--from-literal=key=1")
    inside("label", "configmap", "a", "b", "tier=x")
    return inside


# --- changing --------------------------------------------------------------------------------------------------------


def test_edit_saves_what_the_editor_changed(k: Inside) -> None:
    edit = with_editor(k, "s/replicas: 0/replicas: 1/", "s/paused: .*//")
    assert edit("edit", "deployment", "web") == "deployment.apps/web edited\n"
    assert k("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "1"
    assert "Edit cancelled, no changes made." in with_editor(k, "s/nothing/x/").run("edit", "cm", "a").stderr
    shown = with_editor(k, 's/key: "2"/key: "3"/')("edit", "cm", "a", "-o", "yaml")
    assert 'key: "3"' in shown
    status = with_editor(k, "s/observedGeneration: .*/observedGeneration: 7/")
    assert status("edit", "deployment", "web", "--subresource=status") == "deployment.apps/web edited\n"


def test_edit_keeps_what_the_server_refused_in_a_file(k: Inside) -> None:
    refused = with_editor(k, "s/replicas: 0/replicas: many/").fails("edit", "deployment", "web")
    assert 'error: deployments.apps "web" is invalid' in refused
    assert "error: Edit cancelled, no valid changes were saved." in refused
    kept = [word for word in refused.replace('"', " ").split() if word.startswith("/tmp/kubectl-edit-")]
    assert kept and "replicas: many" in Path(kept[0]).read_text()
    Path(kept[0]).unlink()


def test_replace_needs_the_newest_version_and_force_makes_it_anew(k: Inside, tmp_path: Path) -> None:
    old = k.read("configmap", "a")
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**old, "data": {"key": "9"}}))
    assert k("replace", "-f", str(path)) == "configmap/a replaced\n"
    assert "the object has been modified; please apply your changes to the latest version" in k.fails(
        "replace", "-f", str(path)
    )
    assert f'configmap "a" deleted from {k.ns} namespace\nconfigmap/a replaced\n' == k(
        "replace", "--force", "-f", str(path)
    )
    assert k.read("configmap", "a")["metadata"]["uid"] != old["metadata"]["uid"]
    path.write_text(json.dumps({**old, "metadata": {"name": "new"}}))
    assert 'configmaps "new" not found' in k.fails("replace", "-f", str(path))


def test_patch_in_all_forms_and_of_subresources(k: Inside) -> None:
    add = '{"spec":{"template":{"spec":{"containers":[{"name":"server","env":[{"name":"A","value":"1"}]}]}}}}'
    assert k("patch", "deployment", "web", "-p", add) == "deployment.apps/web patched\n"
    assert k("patch", "deployment", "web", "-p", add) == "deployment.apps/web patched (no change)\n"
    container = k.read("deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "my-model:v1" and container["env"] == [{"name": "A", "value": "1"}]
    k("patch", "deployment", "web", "--type=merge", "-p", '{"metadata":{"annotations":{"n":"1"}}}')
    k("patch", "deployment", "web", "--type=json", "-p", '[{"op":"remove","path":"/metadata/annotations/n"}]')
    assert "n" not in k.read("deployment", "web")["metadata"].get("annotations", {})
    refused = k.fails(
        "patch", "deployment", "web", "--type=json", "-p", '[{"op":"test","path":"/spec/replicas","value":9}]'
    )
    assert "rejected our request due to an error in our request: " in refused and "/spec/replicas" in refused
    k("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":1}}')
    k("patch", "deployment", "web", "--subresource=status", "--type=merge", "-p", '{"spec":{"replicas":7}}')
    assert k("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "1"
    local = k("patch", "--local", "-f", "-", "--type=merge", "-p", '{"data":{"k":"v"}}', "-o", "json",
              stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: l}\n")  # fmt: skip
    assert json.loads(local)["data"] == {"k": "v"}


def test_label_and_annotate(k: Inside) -> None:
    assert "already has a value (x), and --overwrite is false" in k.fails("label", "cm", "a", "tier=y")
    assert (
        k("label", "--overwrite", "cm", "-l", "tier=x", "tier=y")
        == "configmap/a labeled\nconfigmap/b labeled\n"
    )
    assert k("label", "--list", "cm", "a") == "tier=y\n"
    assert k("label", "cm", "a", "tier-") == "configmap/a unlabeled\n"
    assert k("label", "cm", "a", "tier-") == 'label "tier" not found.\nconfigmap/a not labeled\n'
    assert "the object has been modified" in k.fails("label", "cm", "a", "x=y", "--resource-version=1")
    assert "metadata.labels: Invalid value:" in k.fails("label", "cm", "a", "bad key=x")
    assert k("annotate", "cm", "a", "note=1") == "configmap/a annotated\n"
    assert "already has a value (1)" in k.fails("annotate", "cm", "a", "note=2")
    assert k("annotate", "cm", "a", "--list") == "note=1\n"
    k("annotate", "cm", "a", "note-")
    assert k("annotate", "cm", "a", "--list") == ""


# --- looking ---------------------------------------------------------------------------------------------------------


def test_get_prints_every_form(k: Inside) -> None:
    assert k("get", "cm", "a", "b", "-o", "name") == "configmap/a\nconfigmap/b\n"
    assert k.read("cm", "a")["data"] == {"key": "2"}
    assert '  key: "2"\n' in k("get", "cm", "a", "-o", "yaml")
    assert 'key: "2",\n' in k("get", "cm", "a", "-o", "kyaml")
    assert k("get", "cm", "a", "b", "-o", 'jsonpath={range .items[*]}{.data.key}{"\\n"}{end}') == "2\n1\n"
    assert json.loads(k("get", "cm", "a", "-o", "jsonpath-as-json={.data}")) == [{"key": "2"}]
    assert k("get", "cm", "-l", "tier=x", "-o", "go-template={{range .items}}{{.data.key}}{{end}}") == "21"
    assert k.rows("get", "cm", "-l", "tier", "-o", "custom-columns=N:.metadata.name,K:.data.key") == [
        ["N", "K"],
        ["a", "2"],
        ["b", "1"],
    ]
    assert "unable to match a printer" in k.fails("get", "cm", "-o", "bogus")


def test_get_shapes_tables(k: Inside) -> None:
    rows = k.rows("get", "cm", "-l", "tier", "-L", "tier", "--sort-by=.data.key", "--no-headers")
    assert [(row[0], row[1], row[3]) for row in rows] == [("b", "1", "x"), ("a", "1", "x")]
    assert k.rows("get", "cm", "a", "--show-labels", "--show-kind")[1][::3] == ["configmap/a", "tier=x"]
    rows = k.rows("get", "cm", "-A", "--chunk-size=1", "-l", "tier=x")
    assert rows[0][:2] == ["NAMESPACE", "NAME"]
    assert [row[:2] for row in rows[1:] if row[0] == k.ns] == [[k.ns, "a"], [k.ns, "b"]]
    header, row = k.rows("get", "deployment", "-o", "wide")
    assert header == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert row[5:] == ["server", "my-model:v1", "app=web"]
    header, row = k.rows("get", "deployment", "web", "--subresource=scale")
    assert (header, row[:3]) == (["NAME", "DESIRED", "AVAILABLE", "AGE"], ["web", "0", "0"])
    both = k("get", "deployment/web", "cm/a")
    assert "deployment.apps/web" in both and "configmap/a" in both
    by_group, by_version = (k.rows("get", name, "web") for name in ("deploy.apps", "deployments.v1.apps"))
    assert [row[:4] for row in by_group] == [row[:4] for row in by_version]  # the fifth is the age
    assert k("get", "cm", "nothing", "--ignore-not-found") == ""
    assert k.run("get", "secrets").stderr == f"No resources found in {k.ns} namespace.\n"


def test_get_watches_and_tells_events(k: Inside, product: Product) -> None:
    words = ("get", "cm", "-n", k.ns, "-l", "tier=x", "--watch", "--output-watch-events", "-o", "json")
    with product.kubectl_running(*words, "--request-timeout=20s") as watch:
        assert watch.stdout is not None
        decoder, text = json.JSONDecoder(), ""
        seen: list[tuple[str, str]] = []
        while len(seen) < 4:
            line = watch.stdout.readline()
            assert line, watch.stderr.read() if watch.stderr else ""
            text += line
            try:
                event, _ = decoder.raw_decode(text)
            except ValueError:
                continue
            text = ""
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            if len(seen) == 2:
                k("label", "cm", "a", "more=1")
                k("delete", "cm", "b")
    assert seen == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]


def test_raw_paths(k: Inside) -> None:
    assert json.loads(k("get", "--raw", "/version"))["major"] == "1"
    listed = json.loads(k("get", "--raw", f"/api/v1/namespaces/{k.ns}/configmaps?limit=1"))
    assert len(listed["items"]) == 1 and listed["metadata"]["continue"]
    assert "could not find the requested resource" in k.fails("get", "--raw", "/apis/nothing")


def test_what_there_is(k: Inside) -> None:
    rows = {row[0]: row for row in k.rows("api-resources", "-o", "wide", "--api-group=apps")}
    assert rows["deployments"][:5] == ["deployments", "deploy", "apps/v1", "true", "Deployment"]
    assert rows["deployments"][5] == "create,delete,deletecollection,get,list,patch,update,watch"
    assert rows["deployments"][6] == "all"
    cluster = k("api-resources", "--verbs=list,patch", "--namespaced=false", "-o", "name").split()
    assert {"nodes", "namespaces", "clusterroles.rbac.authorization.k8s.io"} <= set(cluster)
    assert "pods" not in cluster
    assert {"v1", "apps/v1", "batch/v1"} <= set(k("api-versions").split())
    assert json.loads(k("version", "-o", "json"))["serverVersion"]["gitVersion"].startswith("v1.")
    assert "Kubernetes control plane" in k("cluster-info")


def test_explain_says_what_kinds_and_fields_are_for(k: Inside) -> None:
    text = k("explain", "deployment.spec.strategy")
    assert "FIELD: strategy <DeploymentStrategy>" in text
    assert "How pods are replaced when the template changes." in text
    assert "type\t<string>" in text and "Recreate: all old ones go" in text
    assert "What should run in a pod" in k("explain", "pod.spec", "--recursive")
    assert 'field "nothing" does not exist' in k.fails("explain", "pod.nothing")


def test_cluster_info_dump_writes_what_there_is(k: Inside, tmp_path: Path) -> None:
    k("cluster-info", "dump", "--namespaces", k.ns, f"--output-directory={tmp_path}")
    found = json.loads((tmp_path / k.ns / "deployments.json").read_text())
    assert [one["metadata"]["name"] for one in found["items"]] == ["web"]
    assert (tmp_path / "nodes.json").is_file()


# --- kustomize and diff ----------------------------------------------------------------------------------------------

KUSTOMIZATION = """\
resources: [web.yaml]
namePrefix: k-
configMapGenerator:
- {name: conf, literals: [a=b]}
images:
- {name: my-model, newTag: v2}
replicas:
- {name: web, count: 0}
"""


def test_kustomize_is_built_applied_compared_and_deleted(k: Inside, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text(KUSTOMIZATION)
    (tmp_path / "web.yaml").write_text(json.dumps(deployment("web")))
    folder = str(tmp_path)
    assert "image: my-model:v2" in k("kustomize", folder)
    done = k.run("diff", "-k", folder)
    assert done.returncode == 1 and "+  name: k-web" in done.stdout
    lines = k("apply", "-k", folder).splitlines()
    assert lines[0].startswith("configmap/k-conf-") and lines[1] == "deployment.apps/k-web created"
    assert k.run("diff", "-k", folder).returncode == 0
    assert "k-web" in k("get", "-k", folder)
    k("delete", "-k", folder)
    assert k.run("diff", "-f", "/nowhere").returncode > 1
