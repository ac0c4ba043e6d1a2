import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.base.errors import ApiError
from pinnace.kube import kinds
from pinnace.kube.kinds import Kind
from pinnace.kubeapi.protobuf import MEDIA_TYPE, protobuf_to_json
from tests.unit.kubeapi.conftest import Kube


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def field(number: int, value: bytes | str | int) -> bytes:
    """One field, written by the rules of Protocol Buffers' "Encoding" page."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return (
        b"k8s\x00"
        + field(1, field(1, api_version) + field(2, kind))
        + field(2, raw)
        + field(3, "")
        + field(4, "")
    )


def read(kind: Kind[Any], raw: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(protobuf_to_json(kind, envelope(kind.api_version, kind.kind, raw)))
    return document


def test_names_maps_and_times() -> None:
    # Numbers: k8s.io/apimachinery meta/v1, the protobuf tags of ObjectMeta.
    label = field(1, "app") + field(2, "web")
    meta = (
        field(1, "foo")
        + field(2, "")
        + field(7, 0)
        + field(8, b"")
        + field(11, label)
        + field(9, field(1, 9))
    )
    assert read(kinds.NAMESPACE, field(1, meta) + field(2, b"") + field(3, field(1, ""))) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "foo", "labels": {"app": "web"}, "deletionTimestamp": "1970-01-01T00:00:09Z"},
        "spec": {},
        "status": {},
    }


def test_a_zero_counts_only_behind_a_pointer() -> None:
    # replicas is *int32 (1); minReadySeconds is int32 (5).
    document = read(kinds.DEPLOYMENT, field(2, field(1, 0) + field(5, 0)))
    assert document["spec"] == {"replicas": 0}


def test_a_zero_in_a_list_counts() -> None:
    # PodSecurityContext.supplementalGroups is []int64 (4), PodSpec.securityContext is 14.
    groups = field(4, 0) + field(4, 7)
    assert read(kinds.POD, field(2, field(14, groups)))["spec"]["securityContext"] == {
        "supplementalGroups": [0, 7]
    }


def test_embedded_structs_are_inlined() -> None:
    # Probe embeds ProbeHandler (1); HTTPGetAction is its 2; port is an IntOrString.
    port = field(1, 0) + field(2, 8080) + field(3, "")
    named = field(1, 1) + field(2, 0) + field(3, "http")
    probes = [field(1, field(2, field(1, "/healthz") + field(2, p))) + field(4, 5) for p in (port, named)]
    containers = [field(2, field(1, "c") + field(11, probe)) for probe in probes]
    read_probes = [
        c["readinessProbe"] for c in read(kinds.POD, field(2, b"".join(containers)))["spec"]["containers"]
    ]
    assert read_probes == [
        {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5},
        {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5},
    ]


def test_quantities_and_bytes() -> None:
    limit = field(1, "cpu") + field(2, field(1, "500m"))
    container = field(1, "c") + field(8, field(1, limit))
    document = read(kinds.POD, field(2, field(2, container)))
    assert document["spec"]["containers"] == [{"name": "c", "resources": {"limits": {"cpu": "500m"}}}]
    secret = read(kinds.SECRET, field(2, field(1, "pw") + field(2, b"\xff\x00")))
    assert secret["data"] == {"pw": "/wA="}


def test_negative_numbers_and_micro_times() -> None:
    # Event: count 8, eventTime 10; LeaseSpec.renewTime 4.
    assert read(kinds.EVENT, field(8, -3))["count"] == -3
    lease = read(kinds.LEASE, field(2, field(4, field(1, 9) + field(2, 250_000_000))))
    assert lease["spec"] == {"renewTime": "1970-01-01T00:00:09.250000Z"}


def test_unknown_fields_are_skipped() -> None:
    assert read(kinds.NAMESPACE, field(900, "new") + field(901, 7))["kind"] == "Namespace"


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"k8s\x00\x12\xff", b"k8s\x00" + field(2, b"\x0a\x7f"), b"k8s\x00" + field(2, field(1, 7))],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError, match="must be of type Namespace") as caught:
        protobuf_to_json(kinds.NAMESPACE, body)
    assert caught.value.code == 400


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for kind in (kinds.POD, kinds.DEPLOYMENT, kinds.SECRET):
        try:
            protobuf_to_json(kind, b"k8s\x00" + field(2, data))
        except ApiError as error:
            assert error.code == 400  # noqa: PT017 - both ways are right


async def test_a_typed_client_creates_and_deletes(kube: Kube) -> None:
    body = envelope("v1", "Namespace", field(1, field(1, "foo")))
    status, document = await kube.call("POST", "/api/v1/namespaces", body, content_type=MEDIA_TYPE)
    assert (status, document["metadata"]["name"]) == (201, "foo")
    options = envelope("v1", "DeleteOptions", field(2, field(1, "another-uid")))
    status, document = await kube.call("DELETE", "/api/v1/namespaces/foo", options, content_type=MEDIA_TYPE)
    assert (status, document["reason"]) == (409, "Conflict")
