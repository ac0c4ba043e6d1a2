import pytest

from pinnace.base.errors import ApiError
from pinnace.kubeapi.negotiation import DISCOVERY_FORMS, LIST_FORMS, SINGLE_FORMS, Form, Wanted, negotiate

# What the real clients send.
KUBECTL_GET = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
KUBECTL_DISCOVERY = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
CLIENT_GO_TYPED = "application/vnd.kubernetes.protobuf,application/json"
METADATA_INFORMER = (
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
)


@pytest.mark.parametrize(
    ("accept", "forms", "wanted"),
    [
        ("", SINGLE_FORMS, Wanted()),
        ("*/*", SINGLE_FORMS, Wanted()),
        ("application/json, */*", SINGLE_FORMS, Wanted()),
        (KUBECTL_GET, LIST_FORMS, Wanted(Form.TABLE, "v1")),
        (CLIENT_GO_TYPED, LIST_FORMS, Wanted()),
        (METADATA_INFORMER, LIST_FORMS, Wanted(Form.PARTIAL_LIST, "v1")),
        (METADATA_INFORMER, SINGLE_FORMS, Wanted()),
        (KUBECTL_DISCOVERY, DISCOVERY_FORMS, Wanted(Form.DISCOVERY, "v2")),
        ("application/yaml", SINGLE_FORMS, Wanted(media_type="application/yaml")),
        ("application/json;stream=watch", SINGLE_FORMS, Wanted()),
        (
            "application/json;q=0.1,application/yaml;q=0.9",
            SINGLE_FORMS,
            Wanted(media_type="application/yaml"),
        ),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", SINGLE_FORMS, Wanted()),
    ],
)
def test_first_clause_that_can_be_served_wins(accept: str, forms: frozenset[Form], wanted: Wanted) -> None:
    assert negotiate(accept, forms) == wanted


@pytest.mark.parametrize(
    "accept",
    ["application/vnd.kubernetes.protobuf", "text/html", "application/json;as=Table;v=v9;g=meta.k8s.io"],
)
def test_what_cannot_be_served_is_not_acceptable(accept: str) -> None:
    with pytest.raises(ApiError, match="only the following media types are accepted") as caught:
        negotiate(accept, SINGLE_FORMS)
    assert caught.value.code == 406


def test_discovery_says_which_form_it_has() -> None:
    assert negotiate(KUBECTL_DISCOVERY, DISCOVERY_FORMS).content_type == (
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    )
