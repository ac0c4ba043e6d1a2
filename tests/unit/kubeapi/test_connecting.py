"""Connections into pods are asked of admission before anything is opened."""

import pytest

from tests.unit.kubeapi.conftest import Kube

PODS = "/api/v1/namespaces/default/pods"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "closed"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CONNECT"],
                    "resources": ["pods/exec", "pods/attach", "pods/portforward", "pods/proxy"],
                }
            ]
        },
        "validations": [{"expression": "false", "message": "nobody gets in here"}],
    },
}
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "closed"},
    "spec": {"policyName": "closed", "validationActions": ["Deny"]},
}


@pytest.mark.parametrize("path", ["exec?command=sh", "attach", "portforward?ports=80", "proxy/"])
async def test_a_policy_keeps_everybody_out(kube: Kube, path: str) -> None:
    group = "/apis/admissionregistration.k8s.io/v1"
    assert (await kube.call("POST", f"{group}/validatingadmissionpolicies", POLICY))[0] == 201
    assert (await kube.call("POST", f"{group}/validatingadmissionpolicybindings", BINDING))[0] == 201
    assert (await kube.call("POST", PODS, POD))[0] == 201
    code, status = await kube.call("GET", f"{PODS}/web/{path}")
    assert code == 422, status
    assert "nobody gets in here" in status["message"]
