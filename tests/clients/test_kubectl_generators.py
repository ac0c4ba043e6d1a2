"""The real kubectl makes objects by its generators; what they become is what a cluster makes of them."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from tests.clients.inside import Inside
from tests.product.instance import Product


@pytest.fixture
def k(product: Product, ns: str) -> Inside:
    return Inside(product, ns)


def test_configmaps_and_secrets(k: Inside, tmp_path: Path) -> None:
    (tmp_path / "settings.ini").write_text("a=1\n")
    (tmp_path / "raw.bin").write_bytes(b"\xff\x00")
    (tmp_path / "vars.env").write_text("X=1\nY=2\n")
    made = k.make("configmap", "c", "--from-literal=k=v", f"--from-file={tmp_path / 'settings.ini'}")
    assert made["data"] == {"k": "v", "settings.ini": "a=1\n"}
    made = k.make("configmap", "b", f"--from-file=r={tmp_path / 'raw.bin'}", "--append-hash")
    assert made["binaryData"] == {"r": base64.b64encode(b"\xff\x00").decode()}
    assert made["metadata"]["name"].startswith("b-")
    assert k.make("configmap", "e", f"--from-env-file={tmp_path / 'vars.env'}")["data"] == {
        "X": "1",
        "Y": "2",
    }
    made = k.make("secret", "generic", "g", "--from-literal=pw=secret", "--type=example.com/own")
    assert (made["type"], made["data"]) == (
        "example.com/own",
        {"pw": base64.b64encode(b"secret").decode()},
    )
    made = k.make(
        "secret",
        "docker-registry",
        "d",
        "--docker-server=r.example",
        "--docker-username=u",
        "--docker-password=p",
    )
    assert made["type"] == "kubernetes.io/dockerconfigjson"
    login = json.loads(base64.b64decode(made["data"][".dockerconfigjson"]))["auths"]["r.example"]
    assert (login["username"], login["password"]) == ("u", "p")
    made_by = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "2")
    files = ("-keyout", str(tmp_path / "k.pem"), "-out", str(tmp_path / "c.pem"))
    subprocess.run([*made_by, *files], check=True, capture_output=True)
    made = k.make("secret", "tls", "t", f"--cert={tmp_path / 'c.pem'}", f"--key={tmp_path / 'k.pem'}")
    assert made["type"] == "kubernetes.io/tls" and set(made["data"]) == {"tls.crt", "tls.key"}
    assert "already exists" in k.fails("create", "configmap", "c")


def test_services(k: Inside) -> None:
    made = k.make("service", "clusterip", "a", "--tcp=80:8000")
    assert made["spec"]["clusterIP"] and made["spec"]["ports"][0] == {
        "name": "80-8000",
        "port": 80,
        "protocol": "TCP",
        "targetPort": 8000,
    }
    assert k.make("service", "clusterip", "b", "--clusterip=None", "--tcp=80")["spec"]["clusterIP"] == "None"
    made = k.make("service", "externalname", "c", "--external-name=example.com")
    assert (made["spec"]["type"], made["spec"]["externalName"]) == ("ExternalName", "example.com")
    assert "clusterIP" not in made["spec"]
    made = k.make("service", "nodeport", "d", "--tcp=80:8000")
    assert 30000 <= made["spec"]["ports"][0]["nodePort"] <= 32767
    made = k.make("service", "loadbalancer", "e", "--tcp=18931:8000")
    assert made["spec"]["type"] == "LoadBalancer" and made["status"] == {"loadBalancer": {}}


def test_workloads(k: Inside) -> None:
    made = k.make("deployment", "d", "--image=my-model:v1", "--replicas=0", "--port=8000")
    assert made["metadata"]["labels"] == {"app": "d"}
    assert made["spec"]["template"]["spec"]["containers"][0]["ports"] == [
        {"containerPort": 8000, "protocol": "TCP"}
    ]
    made = k.make("cronjob", "c", "--image=tiny:v1", "--schedule=*/5 * * * *", "--", "date")
    assert made["spec"]["schedule"] == "*/5 * * * *"
    assert (made["spec"]["concurrencyPolicy"], made["spec"]["suspend"]) == ("Allow", False)
    assert (made["spec"]["successfulJobsHistoryLimit"], made["spec"]["failedJobsHistoryLimit"]) == (3, 1)
    made = k.make("job", "j", "--image=tiny:v1", "--", "true")
    assert made["spec"]["backoffLimit"] == 6 and made["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": uid}
    made = k.make("job", "from", "--from=cronjob/c")
    assert made["metadata"]["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual"}
    assert made["metadata"]["ownerReferences"][0]["kind"] == "CronJob"


def test_rules_of_a_namespace(k: Inside) -> None:
    made = k.make("quota", "q", "--hard=cpu=1,pods=20", "--scopes=NotTerminating")
    assert made["spec"] == {"hard": {"cpu": "1", "pods": "20"}, "scopes": ["NotTerminating"]}
    assert (
        k.make("poddisruptionbudget", "p", "--selector=app=d", "--min-available=1")["spec"]["minAvailable"]
        == 1
    )
    made = k.make("pdb", "m", "--selector=app=x", "--max-unavailable=50%")
    assert made["spec"]["maxUnavailable"] == "50%"
    made = k.make(
        "ingress",
        "i",
        "--rule=example.com/bar=svc:8000,tls=cert",
        "--rule=example.com/x*=svc:http",
        "--class=nginx",
        "--default-backend=svc:80",
        "--annotation=a=b",
    )
    rule = made["spec"]["rules"][0]
    assert rule["host"] == "example.com"
    assert [path["pathType"] for path in rule["http"]["paths"]] == ["Exact", "Prefix"]
    assert made["spec"]["tls"] == [{"hosts": ["example.com"], "secretName": "cert"}]
    assert made["spec"]["ingressClassName"] == "nginx"


def test_access(k: Inside) -> None:
    made = k.make("role", "r", "--verb=get,watch", "--resource=pods,pods/log,deployments.apps")
    assert {tuple(rule["apiGroups"]) for rule in made["rules"]} == {("",), ("apps",)}
    made = k.make("rolebinding", "b", "--role=r", f"--serviceaccount={k.ns}:default", "--user=jo")
    assert made["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    assert [(one["kind"], one["name"]) for one in made["subjects"]] == [
        ("User", "jo"),
        ("ServiceAccount", "default"),
    ]
    assert k.make("serviceaccount", "robot")["kind"] == "ServiceAccount"
    assert k("create", "token", "robot", "--duration=1h").count(".") == 2  # a JWT
    assert 'serviceaccounts "nobody" not found' in k.fails("create", "token", "nobody")
    name = f"{k.ns}-reader"
    made = k.make("clusterrole", name, "--verb=get", "--non-resource-url=/logs/*")
    try:
        assert made["rules"] == [{"nonResourceURLs": ["/logs/*"], "verbs": ["get"]}]
        made = k.make("clusterrolebinding", name, f"--clusterrole={name}", "--group=g")
        assert [one["kind"] for one in made["subjects"]] == ["Group"]
    finally:
        k("delete", "clusterrole,clusterrolebinding", name)


def test_what_belongs_to_no_namespace(k: Inside) -> None:
    name = f"{k.ns}-high"
    made = k.make("priorityclass", name, "--value=1000", "--description=high", "--preemption-policy=Never")
    k("delete", "priorityclass", name)
    assert (made["value"], made["preemptionPolicy"], made["description"]) == (1000, "Never", "high")
    made = k.make("namespace", f"{k.ns}-other")
    k("delete", "namespace", f"{k.ns}-other")
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": f"{k.ns}-other"}


def test_a_dry_run_shows_what_the_server_would_store_and_stores_nothing(k: Inside) -> None:
    made = k.make("deployment", "d", "--image=my-model:v1", "--dry-run=server")
    assert made["metadata"]["uid"] and made["spec"]["progressDeadlineSeconds"] == 600
    made = k.make("deployment", "d", "--image=my-model:v1", "--dry-run=client")
    assert "uid" not in made["metadata"]
    assert k("get", "deployments") == ""
    assert k("create", "cm", "c", "--dry-run=server") == "configmap/c created (server dry run)\n"


def test_fields_that_nobody_knows_are_refused_warned_of_or_ignored(k: Inside) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\nbogus: 1\n"
    assert 'strict decoding error: unknown field "bogus"' in k.fails("create", "-f", "-", stdin=text)
    done = k.run("create", "-f", "-", "--validate=warn", "--dry-run=server", stdin=text)
    assert (done.returncode, done.stderr) == (0, 'Warning: unknown field "bogus"\n')
    done = k.run("create", "-f", "-", "--validate=ignore", stdin=text)
    assert (done.returncode, done.stderr) == (0, "")
    wrong = text.replace("metadata: {name: c}", "metadata: {name: d}\ndata: {a: [1]}")
    assert "cannot unmarshal array into Go struct field ConfigMap.data of type string" in k.fails(
        "create", "-f", "-", "--validate=ignore", stdin=wrong
    )
    assert "no matches for kind" in k.fails("create", "-f", "-", stdin=text.replace("v1", "example.com/v9"))


def test_generated_names(k: Inside) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: c-}\n"
    first, second = (k("create", "-f", "-", "-o", "name", stdin=text) for _ in range(2))
    assert first != second and first.startswith("configmap/c-")
    assert "cannot use generate name with apply" in k.fails("apply", "-f", "-", stdin=text)
