"""Selectors. Texts and refusals are those of Kubernetes' own tests (apimachinery/pkg/labels/selector_test.go)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.base.errors import ApiError, Reason
from pinnace.kube import kinds
from pinnace.kube.objects.core_v1 import (
    Event,
    EventSource,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
)
from pinnace.kube.objects.meta_v1 import LabelSelector, LabelSelectorRequirement
from pinnace.kube.selectors import (
    EVERYTHING,
    NOTHING,
    check_fields,
    fields_of,
    node_selector_matches,
    parse_fields,
    parse_labels,
    selector_of,
    selector_of_map,
)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("x=a,y=b,z=c", "x=a,y=b,z=c"),
        ("x==a", "x=a"),
        ("x!=a,y=b", "x!=a,y=b"),
        ("x=", "x="),
        ("x= ", "x="),
        ("x=,z= ", "x=,z="),
        ("x= ,z= ", "x=,z="),
        ("!x", "!x"),
        ("x>1", "x>1"),
        ("x>1,z<5", "x>1,z<5"),
        ("x in (a,b)", "x in (a,b)"),
        ("x in (b, a)", "x in (a,b)"),
        ("x notin (a)", "x notin (a)"),
        ("x in (a,)", "x in (,a)"),
        ("x in (,a)", "x in (,a)"),
        ("x", "x"),
        ("b=1,a=2", "a=2,b=1"),
        ("example.com/app = web , !canary", "!canary,example.com/app=web"),
    ],
)
def test_label_selector_texts_are_read(text: str, canonical: str) -> None:
    selector = parse_labels(text)
    if canonical == "!canary,example.com/app=web":
        canonical = "!canary,example.com/app=web"
    assert str(selector) == canonical
    assert parse_labels(str(selector)) == selector


@pytest.mark.parametrize(
    "text",
    [
        "x=a||y=b",
        "x==a==b",
        "!x=a",
        "x<a",
        "x in ()",
        "x in (a",
        "x a",
        ",",
        "x,,y",
        "x=a,",
        "=a",
        "x in a",
        "-x=a",
        "x=-a",
        "a/b/c=1",
        "x=" + "a" * 64,
    ],
)
def test_what_is_no_label_selector_is_a_bad_request(text: str) -> None:
    with pytest.raises(ApiError) as error:
        parse_labels(text)
    assert error.value.reason is Reason.BAD_REQUEST
    assert error.value.message.startswith("unable to parse requirement: ")


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {"x": "y"}, True),
        ("x=y", {"x": "y"}, True),
        ("x=y,z=w", {"x": "y", "z": "w"}, True),
        ("x!=y", {"x": "z"}, True),
        ("x!=y", {}, True),
        ("notin in (a)", {"notin": "a"}, True),
        ("x in (a,b)", {"x": "b"}, True),
        ("x notin (y)", {"z": "w"}, True),
        ("x>1", {"x": "2"}, True),
        ("x<1", {"x": "0"}, True),
        ("x>1", {"x": "one"}, False),
        ("x", {"x": ""}, True),
        ("!x", {"y": "z"}, True),
        ("x=", {"x": ""}, True),
        ("x=", {}, False),
        ("x=z", {}, False),
        ("x=y", {"x": "z"}, False),
        ("x in (a)", {}, False),
        ("!x", {"x": "z"}, False),
        ("x>1", {"x": "0"}, False),
    ],
)
def test_label_selectors_match_as_kubernetes_does(text: str, labels: dict[str, str], expected: bool) -> None:
    assert parse_labels(text).matches(labels) is expected
    assert parse_labels(text)(labels) is expected


def test_an_absent_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert selector_of(None) == NOTHING
    assert not NOTHING.matches({})
    assert selector_of(LabelSelector()) == EVERYTHING
    assert EVERYTHING.matches({"any": "thing"})
    assert EVERYTHING.is_everything
    assert selector_of_map({}) == NOTHING


def test_a_struct_renders_as_the_scale_subresource_shows_it() -> None:
    expressions = (
        LabelSelectorRequirement(key="tier", operator="In", values=("b", "a")),
        LabelSelectorRequirement(key="canary", operator="DoesNotExist"),
        LabelSelectorRequirement(key="zone", operator="NotIn", values=("x",)),
        LabelSelectorRequirement(key="ready", operator="Exists"),
    )
    selector = selector_of(LabelSelector(match_labels={"app": "web"}, match_expressions=expressions))
    assert str(selector) == "app=web,!canary,ready,tier in (a,b),zone notin (x)"
    assert selector.matches({"app": "web", "tier": "a", "ready": ""})
    assert not selector.matches({"app": "web", "tier": "a", "ready": "", "zone": "x"})


@pytest.mark.parametrize(("operator", "values"), [("Like", ("a",)), ("In", ())])
def test_a_struct_with_a_wrong_operator_is_refused(operator: str, values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="operator"):
        selector_of(
            LabelSelector(
                match_expressions=(LabelSelectorRequirement(key="a", operator=operator, values=values),)
            )
        )


def term(key: str, operator: str, *values: str) -> NodeSelectorTerm:
    return NodeSelectorTerm(
        match_expressions=(NodeSelectorRequirement(key=key, operator=operator, values=values),)
    )


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        (term("gpu", "In", "a100", "h100"), True),
        (term("gpu", "NotIn", "a100"), False),
        (term("cores", "Gt", "7"), True),
        (term("cores", "Lt", "8"), False),
        (term("gpu", "Gt", "7"), False),
        (term("absent", "Gt", "7"), False),
        (term("absent", "DoesNotExist"), True),
        (term("gpu", "Exists"), True),
        (term("gpu", "Nonsense"), False),
        (NodeSelectorTerm(), False),
        (
            NodeSelectorTerm(
                match_fields=(NodeSelectorRequirement(key="metadata.name", operator="In", values=("n1",)),)
            ),
            True,
        ),
    ],
)
def test_node_selector_terms(selected: NodeSelectorTerm, expected: bool) -> None:
    labels = {"gpu": "a100", "cores": "8"}
    assert node_selector_matches(NodeSelector(node_selector_terms=(selected,)), labels, "n1") is expected


def test_any_term_of_a_node_selector_is_enough() -> None:
    terms = (term("a", "Exists"), term("b", "Exists"))
    assert node_selector_matches(NodeSelector(node_selector_terms=terms), {"b": ""}, "n1")
    assert not node_selector_matches(NodeSelector(), {"b": ""}, "n1")


def test_field_selectors_are_read_and_match() -> None:
    selector = parse_fields("spec.nodeName=n1,status.phase!=Failed")
    assert selector.equals == {"spec.nodeName": "n1"}
    assert selector.matches({"spec.nodeName": "n1", "status.phase": "Running"})
    assert not selector.matches({"spec.nodeName": "n1", "status.phase": "Failed"})
    assert parse_fields("spec.nodeName=").matches({})
    assert parse_fields("") == parse_fields(",")
    assert parse_fields(r"a=x\,y\=z\\").requirements[0].value == "x,y=z\\"
    assert parse_fields("a==b").equals == {"a": "b"}


def test_a_field_selector_without_an_operator_is_a_bad_request() -> None:
    with pytest.raises(ApiError, match="invalid selector: 'a=b,c'; can't understand 'c'"):
        parse_fields("a=b,c")


def test_only_a_kinds_own_fields_select() -> None:
    check_fields(kinds.POD, parse_fields("spec.nodeName=a,metadata.name=b"))
    with pytest.raises(ApiError, match=r"field label not supported: spec\.image"):
        check_fields(kinds.POD, parse_fields("spec.image=a"))
    with pytest.raises(ApiError, match=r"field label not supported: metadata\.namespace"):
        check_fields(kinds.NODE, parse_fields("metadata.namespace=a"))


def test_selectable_fields_are_read_from_objects() -> None:
    fields = fields_of(kinds.POD, Pod())
    assert fields["spec.hostNetwork"] == "false"
    assert fields["spec.nodeName"] == ""
    assert fields_of(kinds.EVENT, Event(source=EventSource(component="kubelet")))["source"] == "kubelet"
    for kind in kinds.STORED:
        fields_of(kind, kind.type())


@given(st.text(alphabet="ab=!,() in<>1/", max_size=14))
def test_any_text_is_read_and_rendered_or_refused(text: str) -> None:
    try:
        selector = parse_labels(text)
    except ApiError:
        return
    assert parse_labels(str(selector)) == selector
