"""What the kernel remembers for us."""

from __future__ import annotations

import pytest

from pinnace.base.errors import Bug
from pinnace.network.aliases import parse_alias, render_alias


def test_alias_is_readable_and_reads_back() -> None:
    alias = render_alias(instance="pinnace", key="default/web-1", ip="10.244.0.5", host="")
    assert alias == "pinnace instance=pinnace key=default/web-1 ip=10.244.0.5"
    assert parse_alias(alias) == {"instance": "pinnace", "key": "default/web-1", "ip": "10.244.0.5"}


@pytest.mark.parametrize("alias", ["", "uplink to the lab", "pinnacle key=x"])
def test_somebody_elses_alias_says_nothing(alias: str) -> None:
    assert parse_alias(alias) == {}


@pytest.mark.parametrize("key", ["two words", "x" * 300])
def test_what_an_alias_cant_hold_is_a_bug(key: str) -> None:
    with pytest.raises(Bug):
        render_alias(key=key)
