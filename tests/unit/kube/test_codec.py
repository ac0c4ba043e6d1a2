"""Documents to objects and back. Messages are those of a Kubernetes API server."""

import json

import pytest

from pinnace.base.errors import ApiError, Reason
from pinnace.kube import codec, kinds
from pinnace.kube.objects import core_v1, meta_v1


def refused(kind: kinds.Kind[object], document: object) -> str:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ApiError) as error:
        codec.decode(kind, data)
    assert error.value.reason is Reason.BAD_REQUEST
    return error.value.message


def test_an_object_survives_the_way_out_and_in() -> None:
    pod = core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name="web", labels={"app": "web"}),
        spec=core_v1.PodSpec(
            containers=(core_v1.Container(name="a", image="b", args=("x",)),), host_ipc=False
        ),
    )
    assert codec.decode(kinds.POD, codec.encode(pod)) == pod
    assert codec.from_json(kinds.POD, codec.to_json(pod)) == pod


def test_null_is_absence_wherever_it_stands() -> None:
    # What client-go before 1.35 sends for any Deployment.
    document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "creationTimestamp": None, "labels": None},
        "spec": {
            "replicas": None,
            "strategy": {},
            "template": {
                "metadata": {"creationTimestamp": None},
                "spec": {"containers": None, "volumes": [None]},
            },
        },
        "status": {},
    }
    deployment = codec.decode(kinds.DEPLOYMENT, json.dumps(document).encode())
    assert deployment.metadata == meta_v1.ObjectMeta(name="web")
    assert deployment.spec.replicas is None
    assert deployment.spec.template.spec == core_v1.PodSpec(volumes=(core_v1.Volume(),))


def test_null_in_a_map_leaves_the_key_with_an_empty_value() -> None:
    assert codec.decode(kinds.CONFIG_MAP, b'{"data":{"a":null,"b":"x"}}').data == {"a": "", "b": "x"}


def test_a_document_without_kind_is_of_the_expected_one() -> None:
    assert codec.decode(kinds.POD, b'{"metadata":{"name":"x"}}').kind == "Pod"
    assert codec.decode(kinds.POD, b'{"kind":null,"metadata":{"name":"x"}}').kind == "Pod"


def test_another_version_or_kind_is_refused() -> None:
    assert refused(kinds.DEPLOYMENT, {"apiVersion": "apps/v1beta1", "kind": "Deployment"}) == (
        "the API version in the data (apps/v1beta1) does not match the expected API version (apps/v1)"
    )
    assert refused(kinds.POD, {"apiVersion": "v1", "kind": "Service", "metadata": None}) == (
        'Service in version "v1" cannot be handled as a Pod'
    )
    assert refused(kinds.POD, {"kind": "Service"}) == 'Service in version "v1" cannot be handled as a Pod'
    assert refused(kinds.POD, {"kind": "Service", "metadata": None}) == refused(
        kinds.POD, {"kind": "Service"}
    )


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            {"replicas": "3"},
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"replicas": 1.5},
            "cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            {"paused": "no"},
            "cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool",
        ),
        (
            {"template": {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": "80"}]}]}}},
            "cannot unmarshal string into Go struct field "
            "ContainerPort.spec.template.spec.containers.ports.containerPort of type int32",
        ),
        (
            {"template": {"spec": {"containers": {"name": "a"}}}},
            "cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            {"template": {"spec": {"nodeSelector": {"a": True}}}},
            "cannot unmarshal bool into Go struct field PodSpec.spec.template.spec.nodeSelector of type string",
        ),
        (
            {"template": {"spec": {"terminationGracePeriodSeconds": "5"}}},
            "cannot unmarshal string into Go struct field "
            "PodSpec.spec.template.spec.terminationGracePeriodSeconds of type int64",
        ),
    ],
)
def test_a_wrong_type_is_named_by_its_path(spec: object, why: str) -> None:
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}
    assert refused(kinds.DEPLOYMENT, document) == (
        f'Deployment in version "v1" cannot be handled as a Deployment: json: {why}'
    )


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"spec":' * 100_000]
)
def test_what_is_no_object_is_a_bad_request(data: bytes) -> None:
    assert "Pod" in refused(kinds.POD, data)
    with pytest.raises(ApiError):
        codec.decode_header(data)


def test_header_says_what_a_document_is() -> None:
    header = codec.decode_header(b'{"spec":{"replicas":"x"},"kind":"Pod","apiVersion":"v1"}')
    assert (header.api_version, header.kind) == ("v1", "Pod")
    assert codec.decode_header(b'{"kind":null,"apiVersion":"v1"}').kind == ""


def test_unknown_and_duplicate_fields_are_found_by_path() -> None:
    data = b"""{"apiVersion":"v1","kind":"Pod","foo":1,
      "metadata":{"name":"a","name":"b","labels":{"x":"1","x":"2"},"managedFields":[{"fieldsV1":{"f:foo":{}}}]},
      "spec":{"containers":[{"name":"a","imagePulPolicy":"Never"},{"name":"b","env":[{"name":"E","valu":"1"}]}],
              "nodeSelector":{"anything":"goes"}}}"""
    assert codec.find_unknown_fields(kinds.POD, data) == (
        'unknown field "foo"',
        'duplicate field "metadata.name"',
        'duplicate field "metadata.labels.x"',
        'unknown field "spec.containers[0].imagePulPolicy"',
        'unknown field "spec.containers[1].env[0].valu"',
    )


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ('{"name": "a",\n "name" : "a"}', ('duplicate field "metadata.name"',)),
        ('{"name":"a","n\\u0061me":"a"}', ('duplicate field "metadata.name"',)),
        ('{"name":"\\u00e9","labels":{"a":"<"}}', ()),
        ('{"name":"a","generation":1e0}', ()),
        ('{"labels":{},"labels":{}}', ('duplicate field "metadata.labels"',)),
    ],
)
def test_what_is_said_twice_is_found_however_it_is_written(metadata: str, found: tuple[str, ...]) -> None:
    assert codec.find_unknown_fields(kinds.POD, f'{{"metadata": {metadata}}}'.encode()) == found


def test_a_known_document_has_no_unknown_fields() -> None:
    assert codec.find_unknown_fields(kinds.POD, codec.encode(core_v1.Pod())) == ()
    assert codec.find_unknown_fields(kinds.POD, b"nonsense") == ()


def test_strict_error_is_worded_as_kubernetes_words_it() -> None:
    error = codec.strict_error(
        kinds.DEPLOYMENT, ('unknown field "spec.foo"', 'duplicate field "spec.replicas"')
    )
    assert error.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
        'unknown field "spec.foo", duplicate field "spec.replicas"'
    )
