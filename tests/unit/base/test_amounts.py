"""Sizes and spans. Source of expected values: docker/go-units' size_test.go; Go's time.ParseDuration, and days."""

from __future__ import annotations

import pytest

from pinnace.base.amounts import parse_amount, parse_span
from pinnace.base.errors import UserError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("32", 32),
        ("32b", 32),
        ("32k", 32_000),
        ("32KB", 32_000),
        ("32Mb", 32_000_000),
        ("1.5GB", 1_500_000_000),
        ("2TB", 2_000_000_000_000),
        ("512Mi", 536_870_912),
        ("1GiB", 1_073_741_824),
        ("32 kB", 32_000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_amount(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86400), ("1h30m", 5400), ("14d", 1209600), ("0", 0), ("500ms", 0.5)]
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "GB", "-1", "1x", "1 2"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_amount(text)
    with pytest.raises(UserError):
        parse_span(text)
