"""ValidatingAdmissionPolicies: what they look at, what they say, and what follows; by Kubernetes' examples."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from pinnace.api.context import Context
from pinnace.api.facade import Api
from pinnace.api.patches import Patch
from pinnace.base.errors import ApiError, Reason
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import ConfigMap
from tests.unit.api.builders import config_map, decode, deployment_document, make_api

# Source: kubernetes.io, "Validating Admission Policy", the first example.
RULES = [
    {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments"],
    }
]


def policy(name: str = "limit", rules: Any = RULES, **spec: Any) -> Any:
    return decode(
        kinds.VALIDATING_ADMISSION_POLICY,
        {"metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": rules}, **spec}},
    )


def binding(name: str = "limit-all", policy_name: str = "limit", **spec: Any) -> Any:
    return decode(
        kinds.VALIDATING_ADMISSION_POLICY_BINDING,
        {
            "metadata": {"name": name},
            "spec": {"policyName": policy_name, "validationActions": ["Deny"], **spec},
        },
    )


def deployment(replicas: int, name: str = "web") -> Any:
    return decode(kinds.DEPLOYMENT, deployment_document(name, replicas=replicas))


async def make(*objects: Any) -> Api:
    api, _ = await make_api("test")
    for obj in objects:
        await api.create(obj)
    return api


async def refusal(api: Api, obj: Any, context: Context | None = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await api.create(obj, context=context or Context(user="me"))
    return caught.value


async def test_a_violation_is_refused_with_the_policy_and_the_binding_named() -> None:
    api = await make(policy(validations=[{"expression": "object.spec.replicas <= 5"}]), binding())
    await api.create(deployment(5, "small"))
    error = await refusal(api, deployment(6))
    assert error.reason is Reason.INVALID
    assert error.message == (
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'limit' with binding 'limit-all' denied "
        "request: failed expression: object.spec.replicas <= 5"
    )


async def test_a_policy_without_a_binding_does_nothing() -> None:
    api = await make(policy(validations=[{"expression": "false"}]))
    await api.create(deployment(6))


async def test_updates_see_what_was_before() -> None:
    check = {
        "expression": "oldObject == null || object.spec.replicas >= oldObject.spec.replicas",
        "message": "no shrinking",
        "reason": "Forbidden",
    }
    api = await make(policy(validations=[check]), binding())
    made = await api.create(deployment(3))
    with pytest.raises(ApiError, match="denied request: no shrinking") as caught:
        await api.change(
            kinds.DEPLOYMENT, "default", "web", lambda old: deployment(2) if old == made else old
        )
    assert caught.value.reason is Reason.FORBIDDEN


async def test_warnings_and_audit_let_the_attempt_through() -> None:
    api = await make(
        policy(
            validations=[
                {
                    "expression": "object.spec.replicas <= 5",
                    "messageExpression": "'too many: ' + string(object.spec.replicas)",
                }
            ]
        ),
        binding(validationActions=["Warn", "Audit"]),
    )
    context = Context(user="me")
    await api.create(deployment(7), context=context)
    assert context.warnings == [
        "Validation failed for ValidatingAdmissionPolicy 'limit' with binding 'limit-all': too many: 7"
    ]
    assert json.loads(context.notes["validation.policy.admission.k8s.io/validation_failure"]) == [
        {
            "message": "too many: 7",
            "policy": "limit",
            "binding": "limit-all",
            "expressionIndex": 0,
            "validationActions": ["Warn", "Audit"],
        }
    ]


async def test_a_policy_annotates_the_audit_log() -> None:
    annotations = [
        {"key": "replicas", "valueExpression": "'so many: ' + string(variables.n)"},
        {"key": "none", "valueExpression": "variables.n > 5 ? dyn('many') : null"},
    ]
    spec = {
        "variables": [{"name": "n", "expression": "object.spec.replicas"}],
        "auditAnnotations": annotations,
    }
    api = await make(policy(**spec), binding(), binding("other"))
    context = Context(user="me")
    await api.create(deployment(3), context=context)
    assert context.notes == {"limit/replicas": "so many: 3"}
    annotations[1]["valueExpression"] = "object.spec.nothing"
    api = await make(policy(**spec), binding())
    error = await refusal(api, deployment(3))
    assert "denied request: expression 'object.spec.nothing' resulted in error" in error.message


@pytest.mark.parametrize(
    ("param_ref", "allowed"),
    [
        ({"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}, 3),
        ({"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Deny"}, 3),
        ({"name": "missing", "namespace": "default", "parameterNotFoundAction": "Allow"}, 99),
        ({"name": "missing", "namespace": "default", "parameterNotFoundAction": "Deny"}, 0),
    ],
)
async def test_parameters_come_from_objects_of_any_kind(param_ref: dict[str, Any], allowed: int) -> None:
    limits: ConfigMap = decode(
        kinds.CONFIG_MAP,
        {
            "metadata": {"name": "limits", "namespace": "default", "labels": {"limits": "yes"}},
            "data": {"most": "3"},
        },
    )
    api = await make(
        limits,
        policy(
            paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
            validations=[{"expression": "object.spec.replicas <= int(params.data.most)"}],
        ),
        binding(paramRef=param_ref),
    )
    if allowed:
        await api.create(deployment(allowed))
    if allowed < 99:
        error = await refusal(api, deployment(allowed + 1, "more"))
        wanted = (
            "object.spec.replicas <= int(params.data.most)"
            if allowed
            else "no params found for policy binding"
        )
        assert wanted in error.message


async def test_match_conditions_variables_and_the_callers_name() -> None:
    api = await make(
        policy(
            matchConditions=[{"name": "not-admins", "expression": "!('admins' in request.userInfo.groups)"}],
            variables=[
                {"name": "containers", "expression": "object.spec.template.spec.containers"},
                {"name": "images", "expression": "variables.containers.map(c, c.image)"},
            ],
            validations=[
                {
                    "expression": "variables.images.all(i, i.startsWith('registry.example/'))",
                    "messageExpression": "request.userInfo.username + ' uses ' + variables.images.join(', ')",
                }
            ],
        ),
        binding(),
    )
    error = await refusal(api, deployment(1))
    assert error.message.endswith("denied request: me uses app:v1")
    await api.create(deployment(1), context=Context(user="root", groups=("admins",)))


async def test_selectors_of_namespaces_and_objects_narrow_a_binding() -> None:
    narrow = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "test"}},
        "objectSelector": {"matchLabels": {"checked": "yes"}},
    }
    rules = [{"apiGroups": [""], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]
    api = await make(
        policy(rules=rules, validations=[{"expression": "false"}]), binding(matchResources=narrow)
    )
    await api.create(config_map("a", labels={"checked": "yes"}))
    await api.create(config_map("b", namespace="test"))
    await refusal(api, config_map("c", namespace="test", labels={"checked": "yes"}))


async def test_a_failing_expression_denies_unless_failures_are_ignored() -> None:
    for failure_policy in ("Fail", "Ignore"):
        api = await make(
            policy(failurePolicy=failure_policy, validations=[{"expression": "object.spec.nothing == 1"}]),
            binding(),
        )
        if failure_policy == "Ignore":
            await api.create(deployment(1))
        else:
            error = await refusal(api, deployment(1))
            assert (
                "expression 'object.spec.nothing == 1' resulted in error: no such key: nothing"
                in error.message
            )


async def test_deletions_and_subresources_are_looked_at_when_named() -> None:
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]}
    ]
    api = await make(
        policy(
            rules=rules,
            validations=[
                {"expression": "!has(oldObject.metadata.labels) || !('keep' in oldObject.metadata.labels)"}
            ],
        ),
        binding(),
        config_map("a", labels={"keep": "yes"}),
        config_map("b"),
    )
    await api.delete(kinds.CONFIG_MAP, "default", "b")
    with pytest.raises(ApiError, match="denied request"):
        await api.delete(kinds.CONFIG_MAP, "default", "a")


async def test_scaling_is_an_attempt_on_a_scale() -> None:
    rules = [{**RULES[0], "operations": ["UPDATE"], "resources": ["deployments/scale"]}]
    expression = (
        "object.kind == 'Scale' && request.kind.kind == 'Scale' && request.kind.group == 'autoscaling' &&"
        " request.resource.resource == 'deployments' && request.subResource == 'scale' &&"
        " object.spec.replicas <= oldObject.spec.replicas"
    )
    api = await make(policy(rules=rules, validations=[{"expression": expression}]), binding(), deployment(3))
    context = Context(user="me")
    main = api.get(kinds.DEPLOYMENT, "default", "web")
    await api.update(
        replace(main, spec=replace(main.spec, replicas=5)), context=context
    )  # not through the scale
    scale = api.get_scale(kinds.DEPLOYMENT, "default", "web")
    with pytest.raises(ApiError, match=r'deployments.apps "web" is forbidden: .* denied request'):
        more = replace(scale, spec=replace(scale.spec, replicas=6))
        await api.update_scale(kinds.DEPLOYMENT, more, context=context)
    less = await api.update_scale(
        kinds.DEPLOYMENT, replace(scale, spec=replace(scale.spec, replicas=2)), context=context
    )
    assert less.spec.replicas == 2
    with pytest.raises(ApiError, match="denied request"):
        applied = Patch(
            "application/apply-patch+yaml",
            b'{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"web"},"spec":{"replicas":9}}',
            force=True,
        )
        await api.patch_scale(
            kinds.DEPLOYMENT, "default", "web", applied, context=Context(user="me", field_manager="m")
        )
    # Rules that name the object alone don't see its scale.
    api = await make(
        policy(validations=[{"expression": "object.spec.replicas <= 3"}]), binding(), deployment(3)
    )
    await api.update_scale(
        kinds.DEPLOYMENT,
        replace(
            scale,
            metadata=replace(scale.metadata, uid="", resource_version=""),
            spec=replace(scale.spec, replicas=9),
        ),
        context=context,
    )


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            {"validations": []},
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
        ),
        ({"validations": [{"expression": "object.x +"}]}, "spec.validations[0].expression: Invalid value"),
        ({"validations": [{"expression": "nothing"}]}, "undeclared reference to 'nothing'"),
        ({"validations": [{"expression": "1 + 1"}]}, "cel expression must evaluate to a bool"),
        ({"validations": [{"expression": "params.x == 1"}]}, "undeclared reference to 'params'"),
        ({"validations": [{"expression": "variables.a"}]}, "undefined field 'a'"),
        (
            {"validations": [{"expression": "true", "reason": "Nope"}]},
            'spec.validations[0].reason: Unsupported value: "Nope"',
        ),
        (
            {"validations": [{"expression": "true", "message": "a\nb"}]},
            "message must not contain line breaks",
        ),
        (
            {"validations": [{"expression": "true"}], "failurePolicy": "Maybe"},
            'spec.failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore"',
        ),
        (
            {"validations": [{"expression": "true"}], "variables": [{"name": "a-b", "expression": "1"}]},
            "name is not a valid CEL identifier",
        ),
        (
            {"validations": [{"expression": "true"}], "matchConstraints": None},
            "spec.matchConstraints: Required value",
        ),
    ],
)
async def test_a_policy_that_is_no_good_is_refused(spec: dict[str, Any], problem: str) -> None:
    api, _ = await make_api()
    error = await refusal(api, policy(**spec))
    assert error.reason is Reason.INVALID
    assert problem in error.message


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"validationActions": []}, "spec.validationActions: Required value"),
        ({"validationActions": ["Deny", "Warn"]}, "must not contain both Deny and Warn"),
        ({"policyName": ""}, "spec.policyName: Required value"),
        ({"paramRef": {"parameterNotFoundAction": "Deny"}}, "one of name or selector must be specified"),
        ({"paramRef": {"name": "a"}}, "spec.paramRef.parameterNotFoundAction: Required value"),
    ],
)
async def test_a_binding_that_is_no_good_is_refused(spec: dict[str, Any], problem: str) -> None:
    api, _ = await make_api()
    error = await refusal(api, binding(**spec))
    assert problem in error.message


async def test_a_policys_status_says_that_it_is_in_force() -> None:
    api = await make(policy(validations=[{"expression": "true"}]))
    found = api.get(kinds.VALIDATING_ADMISSION_POLICY, "", "limit")
    assert (found.metadata.generation, found.status.observed_generation) == (1, 1)
    changed = await api.update(replace(found, spec=replace(found.spec, failure_policy="Ignore")))
    assert (changed.metadata.generation, changed.status.observed_generation) == (2, 2)


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        (
            "authorizer.group('apps').resource('deployments').namespace('default').check('create').allowed()",
            True,
        ),
        ("authorizer.requestResource.check('fly').allowed()", False),
        ("authorizer.path('/healthz').check('get').allowed()", True),
        (
            "authorizer.serviceAccount('default', 'x').group('').resource('pods').check('get').allowed()",
            False,
        ),
    ],
)
async def test_expressions_may_ask_about_rights(expression: str, allowed: bool) -> None:
    role = {
        "metadata": {"name": "makers"},
        "rules": [
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]},
            {"nonResourceURLs": ["/healthz"], "verbs": ["get"]},
        ],
    }
    bound = {
        "metadata": {"name": "makers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "makers"},
        "subjects": [{"kind": "User", "name": "me", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    api = await make(
        decode(kinds.CLUSTER_ROLE, role),
        decode(kinds.CLUSTER_ROLE_BINDING, bound),
        policy(validations=[{"expression": expression}]),
        binding(),
    )
    if allowed:
        await api.create(deployment(1), context=Context(user="me"))
    else:
        error = await refusal(api, deployment(1))
        assert "failed expression" in error.message
