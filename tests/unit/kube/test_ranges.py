"""Numbers and times that no field can hold. Expected messages: Go's encoding/json and metav1.Time's UnmarshalJSON."""

import json
from typing import Any

import pytest

from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from pinnace.kube.ranges import TIME_FIELDS, check_operations, check_values, is_time


def _deployment(**spec: Any) -> bytes:
    return json.dumps({"metadata": {"name": "web"}, "spec": spec}).encode()


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63, 10**40])
def test_a_number_beyond_its_field_is_named(number: int) -> None:
    with pytest.raises(ApiError) as caught:
        check_values(kinds.DEPLOYMENT, _deployment(replicas=number))
    assert caught.value.code == 400
    assert caught.value.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal number '
        f"{number} into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


def test_what_fits_is_let_through() -> None:
    check_values(kinds.DEPLOYMENT, _deployment(replicas=2**31 - 1))
    pod = {
        "metadata": {"labels": {"n": "12345678901"}, "annotations": {"startTime": "soon"}},
        "spec": {
            "terminationGracePeriodSeconds": 2**40,
            "containers": [{"name": "a", "resources": {"limits": {"memory": 2**40}}}],
            "activeDeadlineSeconds": None,
        },
    }
    check_values(kinds.POD, json.dumps(pod).encode())


def test_a_time_that_is_none_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        check_values(kinds.JOB, b'{"status": {"startTime": "yesterday"}}')
    assert caught.value.message == (
        'Job in version "v1" cannot be handled as a Job: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": '
        'cannot parse "yesterday"'
    )
    with pytest.raises(ApiError):
        check_values(kinds.POD_DISRUPTION_BUDGET, b'{"status": {"disruptedPods": {"a": "b"}}}')


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("2026-01-02T03:04:05Z", True),
        ("2026-01-02T03:04:05.123456789+05:30", True),
        ("", True),
        ("2026-01-02", False),
        ("2026-02-30T00:00:00Z", False),
        ("2026-01-02T25:00:00Z", False),
        ("2026-01-02T03:04:05", False),
        ("2026-01-02 03:04:05Z", False),
        ("２０26-01-02T03:04:05Z", False),
    ],
)
def test_times_are_those_of_rfc_3339(text: str, good: bool) -> None:
    assert is_time(text) is good


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/status/startTime", "value": "soon"},
        {"op": "add", "path": "/status", "value": {"conditions": [{"lastTransitionTime": "x"}]}},
        {"op": "add", "path": "/spec/replicas", "value": 2**64},
    ],
)
def test_operations_of_a_json_patch_are_looked_at(operation: Any) -> None:
    with pytest.raises(ApiError):
        check_operations(json.dumps([operation]).encode())


def test_operations_on_free_text_are_let_through() -> None:
    free = [
        {"op": "add", "path": "/metadata/labels/startTime", "value": "soon"},
        {"op": "add", "path": "/metadata", "value": {"labels": {"time": "x"}}},
        {"op": "add", "path": "/data/time", "value": "x"},
    ]
    check_operations(json.dumps(free).encode())


def test_the_table_of_times_has_every_date_of_the_published_schemas() -> None:
    import gzip
    from importlib import resources

    text = gzip.decompress((resources.files("pinnace.kube") / "openapi.json.gz").read_bytes())
    found = set()
    for schema in json.loads(text)["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            said = json.dumps(field)
            if "meta.v1.Time" in said or "meta.v1.MicroTime" in said or '"date-time"' in said:
                found.add(name)
    assert found == TIME_FIELDS


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "lots",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        ("1Gim", "unable to parse quantity's suffix"),
    ],
)
def test_a_quantity_that_is_none_is_named(text: str, why: str) -> None:
    container = {"name": "a", "resources": {"limits": {"memory": text}}}
    with pytest.raises(ApiError) as caught:
        check_values(kinds.POD, json.dumps({"spec": {"containers": [container]}}).encode())
    assert caught.value.code == 400
    assert caught.value.message == f'Pod in version "v1" cannot be handled as a Pod: {why}'


def test_texts_that_only_stand_where_quantities_may_are_let_through() -> None:
    check_values(kinds.CONFIG_MAP, b'{"data":{"memory":"lots","cpu":""}}')
    limits = {"memory": "1Gi", "cpu": 0.5, "nvidia.com/gpu": "1"}
    container = {"name": "a", "env": [{"name": "cpu", "value": "x"}], "resources": {"limits": limits}}
    check_values(kinds.POD, json.dumps({"spec": {"containers": [container]}}).encode())
