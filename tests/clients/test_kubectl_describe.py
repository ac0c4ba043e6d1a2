"""`kubectl describe` of every kind reads as it does on a cluster: what it prints follows from what we store."""

from __future__ import annotations

import re

import pytest

from tests.clients.inside import Inside
from tests.product.instance import Product, pod_ready
from tests.product.manifests import deployment, service

RICH = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {pw: x}
---
apiVersion: v1
kind: Pod
metadata: {name: rich, labels: {app: rich}, annotations: {note: x}}
spec:
  terminationGracePeriodSeconds: 1
  automountServiceAccountToken: false
  initContainers: [{name: init, image: "tiny:v1", command: [echo, hi]}]
  containers:
  - name: main
    image: tiny:v1
    command: [sleep, "1000"]
    envFrom: [{configMapRef: {name: settings}}]
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: PW, valueFrom: {secretKeyRef: {name: login, key: pw}}}
    ports: [{containerPort: 80, name: http}]
    readinessProbe: {exec: {command: ["true"]}}
    resources: {limits: {cpu: "1", memory: 64Mi}}
    volumeMounts: [{name: e, mountPath: /e}, {name: s, mountPath: /s, readOnly: true}]
  volumes:
  - {name: e, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: s, secret: {secretName: login}}
"""
POD_TEXT = """\
Name:             rich
Namespace:        NS
Priority:         0
Service Account:  default
Node:             NODE/IP
Start Time:       TIME
Labels:           app=rich
Annotations:      note: x
Status:           Running
IP:               IP
IPs:
  IP:  IP
Init Containers:
  init:
    Container ID:  pinnace://ID
    Image:         tiny:v1
    Image ID:      sha256:ID
    Port:          <none>
    Host Port:     <none>
    Command:
      echo
      hi
    State:          Terminated
      Reason:       Completed
      Exit Code:    0
      Started:      TIME
      Finished:     TIME
    Ready:          True
    Restart Count:  0
    Environment:    <none>
    Mounts:         <none>
Containers:
  main:
    Container ID:  pinnace://ID
    Image:         tiny:v1
    Image ID:      sha256:ID
    Port:          80/TCP (http)
    Host Port:     0/TCP (http)
    Command:
      sleep
      1000
    State:          Running
      Started:      TIME
    Ready:          True
    Restart Count:  0
    Limits:
      cpu:     1
      memory:  64Mi
    Requests:
      cpu:      1
      memory:   64Mi
    Readiness:  exec [true] delay=0s timeout=1s period=10s successThreshold=1 failureThreshold=3
    Environment Variables from:
      settings  ConfigMap  Optional: false
    Environment:
      NAME:  rich (v1:metadata.name)
      PW:    <set to the key 'pw' in secret 'login'>  Optional: false
    Mounts:
      /e from e (rw)
      /s from s (ro)
Conditions:
  Type                        Status
  PodReadyToStartContainers   True
  Initialized                 True
  Ready                       True
  ContainersReady             True
  PodScheduled                True
Volumes:
  e:
    Type:       EmptyDir (a temporary directory that shares a pod's lifetime)
    Medium:     Memory
    SizeLimit:  1Mi
  s:
    Type:        Secret (a volume populated by a Secret)
    SecretName:  login
    Optional:    false
QoS Class:       Burstable
Node-Selectors:  <none>
Tolerations:     node.kubernetes.io/not-ready:NoExecute op=Exists for 300s
                 node.kubernetes.io/unreachable:NoExecute op=Exists for 300s
"""
WEB_TEXT = """\
Name:                   web
Namespace:              NS
CreationTimestamp:      TIME
Labels:                 <none>
Annotations:            deployment.kubernetes.io/revision: 1
Selector:               app=web
Replicas:               1 desired | 1 updated | 1 total | 1 available | 0 unavailable
StrategyType:           RollingUpdate
MinReadySeconds:        0
RollingUpdateStrategy:  25% max unavailable, 25% max surge
Pod Template:
  Labels:  app=web
  Containers:
   server:
    Image:         my-model:v1
    Port:          8000/TCP (http)
    Host Port:     0/TCP (http)
    Readiness:     http-get http://:http/ delay=0s timeout=1s period=1s successThreshold=1 failureThreshold=3
    Environment:   <none>
    Mounts:        <none>
  Volumes:         <none>
  Node-Selectors:  <none>
  Tolerations:     <none>
Conditions:
  Type           Status  Reason
  ----           ------  ------
  Available      True    MinimumReplicasAvailable
  Progressing    True    NewReplicaSetAvailable
OldReplicaSets:  <none>
NewReplicaSet:   web-HASH (1/1 replicas created)
"""
SERVICE_TEXT = """\
Name:                     web
Namespace:                NS
Labels:                   <none>
Annotations:              <none>
Selector:                 app=web
Type:                     ClusterIP
IP Family Policy:         SingleStack
IP Families:              IPv4
IP:                       IP
IPs:                      IP
Port:                     <unset>  80/TCP
TargetPort:               8000/TCP
Endpoints:                IP:8000
Session Affinity:         None
Internal Traffic Policy:  Cluster
Events:                   <none>
"""


@pytest.fixture
def k(product: Product, ns: str) -> Inside:
    return Inside(product, ns)


def settle(k: Inside, text: str) -> str:
    """Return the text with what differs from run to run replaced by words, and without blanks at the ends of lines."""
    node = k.product.ask("/api/v1/nodes")["items"][0]["metadata"]["name"]
    for pattern, word in (
        (r"\b[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d{4} [\d:]+ \+0000", "TIME"),
        (r"(?<=pinnace://)\S+|(?<=sha256:)\w+", "ID"),
        (rf"\b{node}/", "NODE/"),
        (r"\b\d+\.\d+\.\d+\.\d+\b", "IP"),
        (rf"\b{k.ns}\b", "NS"),
        (r"(?<=web-)[0-9a-z]+", "HASH"),
        (r"[ \t]+(?=\n)", ""),
    ):
        text = re.sub(pattern, word, text)
    return text


def without_events(text: str) -> str:
    return text[: text.index("Events:")] if "Events:\n" in text else text


def test_pod(k: Inside) -> None:
    k("create", "-f", "-", stdin=RICH)
    k.product.until("pods", "rich", pod_ready, namespace=k.ns)
    k.product.until_event("rich", "Started", namespace=k.ns, has="main")
    text = settle(k, k("describe", "pod", "rich"))
    assert without_events(text) == POD_TEXT
    events = [
        re.split(r"\s{2,}", line.strip(), maxsplit=4) for line in text[text.index("Events:") :].splitlines()
    ]
    assert [(row[0], row[1], row[3]) for row in events[3:]] == [
        ("Normal", "Scheduled", "default-scheduler"),
        *(("Normal", reason, "kubelet") for reason in ("Pulled", "Created", "Started") * 2),
    ]
    assert "Data\n====\na:\n----\nb\n" in k("describe", "configmap", "settings")
    assert "pw:  1 bytes" in k("describe", "secret", "login")


def test_deployment_service_and_what_they_make(k: Inside) -> None:
    k("create", "-f", "-", stdin=_yaml(deployment("web")))
    k("create", "-f", "-", stdin=_yaml(service("web", "web")))
    k("rollout", "status", "deployment/web", "--timeout=60s")
    text = settle(k, k("describe", "deployment", "web"))
    assert without_events(text) == WEB_TEXT
    assert re.search(
        r"Normal +ScalingReplicaSet +\S+ +deployment-controller +Scaled up replica set web-HASH", text
    )
    k.product.until_all(
        "endpointslices",
        lambda found: any(one["endpoints"] for one in found if one.get("endpoints")),
        namespace=k.ns,
    )
    assert settle(k, k("describe", "service", "web")) == SERVICE_TEXT
    replica_set = k("describe", "replicaset")
    assert "Controlled By:  Deployment/web" in replica_set
    assert "Replicas:       1 current / 1 desired" in replica_set
    assert "Normal  SuccessfulCreate" in replica_set
    slices = k("describe", "endpointslice")
    assert "AddressType:  IPv4" in slices and "TargetRef:  Pod/web-" in slices
    assert "NotReadyAddresses:" in k("describe", "endpoints", "web")
    k("autoscale", "deployment", "web", "--min=1", "--max=3", "--cpu=50%")
    scaler = k("describe", "hpa", "web")
    assert re.search(r"^Reference: +Deployment/web$", scaler, re.M)
    assert re.search(r"resource cpu on pods +\(as a percentage of request\): +\S.* / 50%", scaler)


def test_node(k: Inside) -> None:
    text = k("describe", "node")
    for line in (
        r"Roles: +control-plane",
        r"Unschedulable: +false",
        r"  Ready +True .* KubeletReady +kubelet is posting ready status",
        r"  cpu: +16",
        r"Non-terminated Pods: +\(\d+ in total\)",
        r"  Namespace +Name +CPU Requests +CPU Limits +Memory Requests +Memory Limits +Age",
        r"Allocated resources:",
        r"  HolderIdentity: +\S+",
    ):
        assert re.search(f"^{line}", text, re.M), f"no line {line!r} in\n{text}"


OTHERS = """\
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Container, default: {cpu: 100m}, defaultRequest: {cpu: 50m}, max: {cpu: "2"}}]}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec: {hard: {pods: "20"}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: policy}
spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 80}]}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ingress}
spec:
  rules:
  - host: example.com
    http: {paths: [{path: /a, pathType: Prefix, backend: {service: {name: none, port: {number: 80}}}}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: stateful}
spec:
  serviceName: x
  replicas: 0
  selector: {matchLabels: {a: s}}
  template: {metadata: {labels: {a: s}}, spec: {containers: [{name: c, image: "tiny:v1"}]}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: daemons}
spec:
  selector: {matchLabels: {a: d}}
  template:
    metadata: {labels: {a: d}}
    spec: {nodeSelector: {nowhere: "1"}, containers: [{name: c, image: "tiny:v1"}]}
---
apiVersion: v1
kind: ReplicationController
metadata: {name: controller}
spec:
  replicas: 0
  selector: {a: r}
  template: {metadata: {labels: {a: r}}, spec: {containers: [{name: c, image: "tiny:v1"}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cron}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "tiny:v1"}]}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  suspend: true
  template: {spec: {restartPolicy: Never, containers: [{name: c, image: "tiny:v1"}]}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: budget}
spec: {minAvailable: 1, selector: {matchLabels: {app: none}}}
"""


def test_every_other_kind(k: Inside) -> None:
    k("create", "-f", "-", stdin=OTHERS)
    k("create", "role", "role", "--verb=get,list", "--resource=pods")
    k("create", "rolebinding", "binding", "--role=role", "--user=jo")
    for what, lines in {
        "limits limits": (r"Container +cpu +- +2 +50m +100m +-",),
        "quota quota": (r"Resource +Used +Hard", r"pods +\d+ +20"),
        "pvc claim": (r"Status: +Pending", r"Finalizers: +\[kubernetes.io/pvc-protection\]"),
        "netpol policy": (r"  Allowing ingress traffic:", r"    To Port: 80/TCP", r"  Policy Types: Ingress"),
        "ingress ingress": (r"  example.com +", r' +/a +none:80 \(<error: services "none" not found>\)'),
        "sts stateful": (r"Replicas: +0 desired \| 0 total", r"Update Strategy: +RollingUpdate"),
        "ds daemons": (
            r"Desired Number of Nodes Scheduled: 0",
            r"Node-Selector: +<none>|  Node-Selectors: +nowhere=1",
        ),
        "rc controller": (r"Replicas: +0 current / 0 desired", r"Selector: +a=r"),
        "cronjob cron": (r"Schedule: +0 0 1 1 \*", r"Concurrency Policy: +Allow", r"Suspend: +False"),
        "job job": (r"Completions: +1", r"Suspend: +true", r"Selector: +batch.kubernetes.io/controller-uid="),
        "pdb budget": (r"Min available: +1", r"    Allowed disruptions: +0"),
        "role role": (r"  pods +\[\] +\[\] +\[get list\]",),
        "rolebinding binding": (r"  Kind: +Role", r"  User +jo"),
        "sa default": (r"Image pull secrets: +<none>",),
        f"namespace {k.ns}": (r"Status: +Active", r"Resource Quotas", r"Resource Limits"),
        "storageclass": (),
        "events": (),
    }.items():
        text = k("describe", *what.split())
        for line in lines:
            assert re.search(f"^{line}", text, re.M), f"no line {line!r} in\n{text}"
    assert 'pods "nobody" not found' in k.fails("describe", "pod", "nobody")
    k("delete", "-f", "-", "--wait=false", stdin=OTHERS)


CLUSTER_WIDE = """\
apiVersion: v1
kind: PersistentVolume
metadata: {name: NAME}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /nowhere}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: NAME}
provisioner: example.com/none
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: NAME}
spec: {controller: example.com/none}
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: NAME}
handler: runc
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: NAME}
value: 7
"""


def test_every_kind_without_a_namespace(k: Inside) -> None:
    name = f"{k.ns}-wide"
    text = CLUSTER_WIDE.replace("NAME", name)
    k("create", "-f", "-", stdin=text)
    try:
        for kind, lines in {
            "pv": (r"Reclaim Policy: +Retain", r"Capacity: +1Gi", r"    Path: +/nowhere"),
            "storageclass": (r"Provisioner: +example.com/none", r"ReclaimPolicy: +Delete"),
            "ingressclass": (r"Controller: +example.com/none",),
            "runtimeclass": (r"Handler: +runc",),
            "priorityclass": (
                r"Value: +7",
                r"GlobalDefault: +false",
                r"PreemptionPolicy: +PreemptLowerPriority",
            ),
        }.items():
            shown = k("describe", kind, name)
            for line in lines:
                assert re.search(f"^{line}", shown, re.M), f"no line {line!r} in\n{shown}"
        assert re.search(
            r"^  \*\.\* +\[\] +\[\] +\[\*\]", k("describe", "clusterrole", "cluster-admin"), re.M
        )
        shown = k("describe", "clusterrolebinding", "cluster-admin")
        assert re.search(r"^  Group +system:masters", shown, re.M)
        lease = k.run("-n", "kube-node-lease", "describe", "lease").stdout
        assert re.search(r"^  Holder Identity: +\S+", lease, re.M)
    finally:
        k("delete", "-f", "-", "--wait=false", stdin=text)


def _yaml(obj: object) -> str:
    import json

    return json.dumps(obj)
