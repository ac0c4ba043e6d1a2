"""Numbers that may be a share of a whole."""

import pytest

from pinnace.kube.int_or_percent import resolve_int_or_percent


@pytest.mark.parametrize(
    ("value", "total", "round_up", "expected"),
    # Source: Kubernetes v1.36, intstr_test.go, TestGetScaledValueFromIntOrPercent; and by hand
    [
        (123, 10, True, 123),
        ("90%", 100, True, 90),
        ("90%", 95, True, 86),
        ("90%", 95, False, 85),
        ("25%", 10, True, 3),
        ("25%", 10, False, 2),
        ("0%", 5, True, 0),
        ("150%", 3, False, 4),
    ],
)
def test_a_share_is_rounded_as_asked(value: int | str, total: int, round_up: bool, expected: int) -> None:
    assert resolve_int_or_percent(value, total, round_up=round_up) == expected


@pytest.mark.parametrize("value", ["", "10", "10.5%", "a%", "%", "10%%"])
def test_a_text_that_is_no_percentage_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="string is not a percentage"):
        resolve_int_or_percent(value, 10, round_up=True)
