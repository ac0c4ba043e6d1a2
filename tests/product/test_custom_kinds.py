"""Custom kinds as a person has them: a manifest with both, our own command, a policy, and a daemon that starts again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.product.instance import Product

BOTH = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: models.ml.example.com}
spec:
  group: ml.example.com
  scope: Namespaced
  names: {plural: models, kind: Model, shortNames: [mdl], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    additionalPrinterColumns: [{name: Replicas, type: integer, jsonPath: .spec.replicas}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {replicas: {type: integer, default: 1, maximum: 9}, image: {type: string}}
            x-kubernetes-validations: [{rule: "!has(self.image) || self.image.contains(':')", message: the image needs a tag}]
          status: {type: object, properties: {replicas: {type: integer}}}
---
apiVersion: ml.example.com/v1
kind: Model
metadata: {name: llama}
spec: {image: "llama:v1"}
"""

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: few-models}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [ml.example.com], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [models]}]
  validations: [{expression: object.spec.replicas <= 3, messageExpression: "'not ' + string(object.spec.replicas)"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: few-models}
spec: {policyName: few-models, validationActions: [Deny]}
"""


@pytest.fixture
def alone(make_product: Callable[[], Product]) -> Product:
    """An instance that one test has for itself."""
    one = make_product()
    one.up()
    return one


def test_a_custom_kind_lives_with_the_command_policies_and_restarts(alone: Product, tmp_path: Path) -> None:
    manifest = tmp_path / "both.yaml"
    manifest.write_text(BOTH)
    out = alone.pinnace("apply", "-f", str(manifest))
    assert out.splitlines() == [
        "customresourcedefinition.apiextensions.k8s.io/models.ml.example.com created",
        "model.ml.example.com/llama created",
    ]
    assert alone.pinnace("get", "mdl").split() == ["NAME", "REPLICAS", "llama", "1"]
    assert "model.ml.example.com/llama" in alone.pinnace("get", "all", "-o", "name")
    assert alone.pinnace("scale", "model/llama", "--replicas=2") == "model.ml.example.com/llama scaled\n"

    alone.kubectl("apply", "-f", "-", stdin=POLICY)
    refused = alone.try_kubectl("patch", "mdl", "llama", "--type=merge", "-p", '{"spec":{"replicas":4}}')
    assert (
        "ValidatingAdmissionPolicy 'few-models' with binding 'few-models' denied request: not 4"
        in refused.stderr
    )
    alone.kubectl("patch", "mdl", "llama", "--type=merge", "-p", '{"spec":{"replicas":3}}')
    refused = alone.try_kubectl("patch", "mdl", "llama", "--type=merge", "-p", '{"spec":{"image":"llama"}}')
    assert "spec: Invalid value: the image needs a tag" in refused.stderr

    alone.pinnace("down")
    alone.up()
    assert alone.pinnace("get", "mdl").split() == ["NAME", "REPLICAS", "llama", "3"]
    assert "FIELD: replicas <integer>" in alone.kubectl("explain", "mdl.spec.replicas")
    assert 'model.ml.example.com "llama" deleted' in alone.pinnace("delete", "mdl", "llama")
    assert "deleted" in alone.pinnace("delete", "crd", "models.ml.example.com")
    assert "doesn't have a resource type" in alone.try_pinnace("get", "mdl").stderr
