"""Quantities. The tables are those of Kubernetes' own tests (apimachinery/pkg/api/resource/quantity_test.go)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.kube.quantity import (
    FORMAT_MESSAGE,
    SUFFIX_MESSAGE,
    Format,
    Quantity,
    QuantityError,
    canonical,
    cpu_milli,
    from_bytes,
    parse_quantity,
    to_bytes,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # TestQuantityParseEmit and TestQuantityString
        ("1Ki", "1Ki"),
        ("1Mi", "1Mi"),
        ("1Gi", "1Gi"),
        ("1024Mi", "1Gi"),
        ("1000M", "1G"),
        (".001Ki", "1024m"),
        (".000001Ki", "1024u"),
        (".000000001Ki", "1024n"),
        (".000000000001Ki", "2n"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("1500m", "1500m"),
        ("3000m", "3"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("0.5Ki", "512"),
        ("1025Ki", "1025Ki"),
        ("1000", "1k"),
        ("100000", "100k"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1e4", "10e3"),
        ("1e-3", "1e-3"),
        ("12345e-1", "1234500e-3"),
        ("1E", "1E"),
        ("1Ei", "1Ei"),
        ("0", "0"),
        ("0Ki", "0"),
        ("-0", "0"),
        ("+5", "5"),
        ("-5Mi", "-5Mi"),
        ("-.5", "-500m"),
        ("1.", "1"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("1.01n", "2n"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775807"),
        ("100E", "9223372036854775807"),
        ("8Ei", "9223372036854775807"),
        ("1e100000000000", "9223372036854775807"),
        ("1e-100000000000", "1e-9"),
        ("1100n", "1100n"),
        ("100u", "100u"),
        ("7k", "7k"),
        ("7T", "7T"),
        ("7P", "7P"),
        ("7Ti", "7Ti"),
        ("7Pi", "7Pi"),
        (1, "1"),
        (0.5, "500m"),
        (2.0, "2"),
    ],
)
def test_canonical_form(text: str | float, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "1 Ki", " 1", "1Ki ", "x", "Ki", "--1", "1e3m", "+-1", "1.1.1", "0x10", "١", "1" * 600, True],
)
def test_what_is_no_quantity_is_refused_with_the_pattern(text: str) -> None:
    with pytest.raises(QuantityError) as error:
        parse_quantity(text)
    assert str(error.value) in (FORMAT_MESSAGE, "unable to parse numeric part of quantity")


@pytest.mark.parametrize("text", ["1K", "1ki", "1mi", "1e", "1ee3", "1KiKi", "1Mi5"])
def test_an_unknown_suffix_is_refused_as_such(text: str) -> None:
    with pytest.raises(QuantityError, match=SUFFIX_MESSAGE):
        parse_quantity(text)


def test_amounts_are_compared_whatever_their_notation() -> None:
    assert parse_quantity("1Gi") == parse_quantity("1024Mi") == parse_quantity("1073741824")
    assert parse_quantity("999Mi") < parse_quantity("1Gi") < parse_quantity("2G")
    assert max(parse_quantity("100m"), parse_quantity("0.2")) == parse_quantity("200m")


def test_sums_keep_the_notation_of_the_first() -> None:
    assert str(parse_quantity("1Gi") + parse_quantity("512Mi")) == "1536Mi"
    assert str(parse_quantity("0") + parse_quantity("512Mi")) == "512Mi"
    assert str(parse_quantity("1") - parse_quantity("100m")) == "900m"


def test_whole_units_and_thousandths_are_rounded_up() -> None:
    assert [cpu_milli(q) for q in ("100m", "0.1", "1", 2, "1u", "2500001n")] == [100, 100, 1000, 2000, 1, 3]
    assert [to_bytes(q) for q in ("1Ki", "1.5Ki", "1k", "100m", "4Gi")] == [1024, 1536, 1000, 1, 4294967296]
    assert parse_quantity("-1500m").value() == -2


def test_numbers_become_quantities() -> None:
    assert [from_bytes(n) for n in (0, 1000, 1024, 134217728, 1073741825)] == [
        "0",
        "1k",
        "1Ki",
        "128Mi",
        "1073741825",
    ]


@given(st.integers(-(2**63 - 1) * 10**9, (2**63 - 1) * 10**9), st.sampled_from(Format))
def test_a_rendered_quantity_is_read_back_as_the_same_amount(nano: int, format: Format) -> None:
    quantity = Quantity(nano, format)
    assert parse_quantity(str(quantity)) == quantity
    assert canonical(str(quantity)) == str(quantity)


@given(st.text(alphabet="0123456789.+-eEinumkKMGTP", max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        quantity = parse_quantity(text)
    except QuantityError:
        return
    assert parse_quantity(str(quantity)) == quantity
