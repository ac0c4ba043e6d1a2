"""What a pod is given: variables, files of ConfigMaps and Secrets, the downward API, folders of the host."""

from __future__ import annotations

import re

from tests.product.instance import Object, Product, container_state, finished, pod_ready, waiting_reason
from tests.product.manifests import config_map, container, pod, secret


def logs_of(product: Product, ns: str, one: Object) -> list[str]:
    """Run a pod to its end and return the lines that it printed."""
    name = one["metadata"]["name"]
    product.apply(one, namespace=ns)
    done = product.until("pods", name, finished, namespace=ns)
    lines = product.kubectl("logs", name, "-n", ns).splitlines()
    assert done["status"]["phase"] == "Succeeded", lines
    return lines


def test_variables_come_from_values_maps_secrets_fields_and_each_other(product: Product, ns: str) -> None:
    product.apply(config_map("settings", MODE="fast", SIZE="3"), secret("keys", TOKEN="s3cret"), namespace=ns)
    env = [
        {"name": "PLAIN", "value": "a b"},
        {"name": "FROM_MAP", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "SIZE"}}},
        {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "TOKEN"}}},
        {"name": "MAYBE", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "x", "optional": True}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "SPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "CPUS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {
            "name": "MEMORY",
            "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
        },
        {"name": "URL", "value": "http://$(POD):$(FROM_MAP)/$$(POD)$(UNKNOWN)"},
    ]
    body = container(
        command=["sh", "-c", "env; echo argument=$0", "$(POD)-$(PLAIN)"],
        env=env,
        envFrom=[{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}, "prefix": "K_"}],
        resources={"limits": {"cpu": "1500m", "memory": "64Mi"}},
    )
    lines = logs_of(product, ns, pod("given", body, restartPolicy="Never"))
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    done = product.get("pods", "given", ns)
    expected = {
        "PLAIN": "a b",
        "MODE": "fast",
        "SIZE": "3",
        "K_TOKEN": "s3cret",
        "FROM_MAP": "3",
        "FROM_SECRET": "s3cret",
        "POD": "given",
        "SPACE": ns,
        "LABEL": "given",
        "NODE": done["spec"]["nodeName"],
        "CPUS": "2",
        "MEMORY": "64",
        "URL": "http://given:3/$(POD)$(UNKNOWN)",
        "argument": "given-a b",
        "HOSTNAME": "given",
    }
    assert {name: values.get(name) for name in expected} == expected
    assert re.fullmatch(r"10\.\d+\.\d+\.\d+", values["IP"])
    assert "MAYBE" not in values
    assert "KUBERNETES_SERVICE_HOST" in values


def test_a_missing_map_holds_up_the_pod_until_it_is_there(product: Product, ns: str) -> None:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "a"}}}]
    product.apply(pod("waits", container(env=env)), namespace=ns)
    one = product.until(
        "pods", "waits", lambda p: waiting_reason(p) == "CreateContainerConfigError", namespace=ns
    )
    assert container_state(one)["state"]["waiting"]["message"] == 'configmap "later" not found'
    product.apply(config_map("later", a="1"), namespace=ns)
    product.until("pods", "waits", pod_ready, namespace=ns)


def test_maps_and_secrets_are_files_and_an_update_reaches_a_running_container(
    product: Product, ns: str
) -> None:
    product.apply(
        config_map("settings", **{"a.txt": "one", "b.txt": "two"}),
        secret("keys", token="s3cret"),
        namespace=ns,
    )
    mounts = [
        {"name": "map", "mountPath": "/map"},
        {"name": "picked", "mountPath": "/picked"},
        {"name": "secret", "mountPath": "/secret"},
        {"name": "map", "mountPath": "/etc/one.conf", "subPath": "a.txt"},
    ]
    volumes = [
        {"name": "map", "configMap": {"name": "settings"}},
        {
            "name": "picked",
            "configMap": {"name": "settings", "items": [{"key": "b.txt", "path": "deep/c", "mode": 256}]},
        },
        {"name": "secret", "secret": {"secretName": "keys", "defaultMode": 288}},
    ]
    product.apply(pod("reads", container(volumeMounts=mounts), volumes=volumes), namespace=ns)
    product.until("pods", "reads", pod_ready, namespace=ns)
    run = ("exec", "reads", "-n", ns, "--", "sh", "-c")
    words = "cat /map/a.txt; echo; ls /map; cat /picked/deep/c; echo; stat -Lc %a /picked/deep/c /secret/token; cat /etc/one.conf"
    assert product.kubectl(*run, words).split() == ["one", "a.txt", "b.txt", "two", "400", "440", "one"]
    assert "Read-only" in product.try_kubectl(*run, "touch /map/x").stderr
    product.apply(config_map("settings", **{"a.txt": "new", "c.txt": "three"}), namespace=ns)
    product.poll(lambda: product.kubectl(*run, "cat /map/a.txt; ls /map") == "newa.txt\nc.txt\n")
    # a subPath keeps what it was mounted with, as in Kubernetes
    assert product.kubectl(*run, "cat /etc/one.conf") == "one"


def test_the_downward_api_and_projections_are_files(product: Product, ns: str) -> None:
    product.apply(config_map("settings", a="one"), secret("keys", token="s3cret"), namespace=ns)
    sources = [
        {"configMap": {"name": "settings"}},
        {"secret": {"name": "keys", "items": [{"key": "token", "path": "hidden/token"}]}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    body = container(
        command="cat /all/a; echo; cat /all/hidden/token; echo; cat /all/labels",
        volumeMounts=[{"name": "all", "mountPath": "/all"}],
    )
    one = pod(
        "projected", body, volumes=[{"name": "all", "projected": {"sources": sources}}], restartPolicy="Never"
    )
    assert logs_of(product, ns, one) == ["one", "s3cret", 'app="projected"']


def test_a_host_path_and_its_sub_paths_are_the_hosts(product: Product, ns: str) -> None:
    folder = product.host.root / f"data-{ns}"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("from the host\n")
    mounts = [
        {"name": "data", "mountPath": "/data"},
        {"name": "data", "mountPath": "/inner", "subPath": "inner", "readOnly": True},
        {"name": "data", "mountPath": "/mine", "subPathExpr": "pods/$(POD)"},
    ]
    env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    body = container(
        command="cat /inner/file; touch /inner/x; echo back > /data/answer; echo own > /mine/f; true",
        volumeMounts=mounts,
        env=env,
    )
    one = pod(
        "mounts",
        body,
        volumes=[{"name": "data", "hostPath": {"path": str(folder), "type": "Directory"}}],
        restartPolicy="Never",
    )
    assert logs_of(product, ns, one) == ["from the host", "touch: /inner/x: Read-only file system"]
    assert (folder / "answer").read_text() == "back\n"
    assert (folder / "pods" / "mounts" / "f").read_text() == "own\n"


def test_a_host_path_that_is_not_what_it_must_be_is_told(product: Product, ns: str) -> None:
    body = container(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    product.apply(
        pod(
            "mounts",
            body,
            volumes=[{"name": "data", "hostPath": {"path": "/no/such/folder", "type": "Directory"}}],
        ),
        namespace=ns,
    )
    product.until_event(
        "mounts",
        "FailedMount",
        namespace=ns,
        has="hostPath type check failed: /no/such/folder is not a directory",
    )
    assert waiting_reason(product.get("pods", "mounts", ns)) == "ContainerCreating"


def test_host_aliases_and_hostname_are_in_the_files(product: Product, ns: str) -> None:
    one = pod(
        "named",
        container(command="hostname; cat /etc/hosts; cat /etc/resolv.conf"),
        hostname="other",
        subdomain="sub",
        hostAliases=[{"ip": "192.0.2.7", "hostnames": ["far", "away"]}],
        restartPolicy="Never",
    )
    lines = logs_of(product, ns, one)
    assert lines[0] == "other"
    assert any(line.split() == ["192.0.2.7", "far", "away"] for line in lines)
    assert any(f"other.sub.{ns}.svc.cluster.local" in line for line in lines)
    assert any(
        line.startswith(f"search {ns}.svc.cluster.local svc.cluster.local cluster.local") for line in lines
    )
