"""Capability sets. Expected values: the table in Docker's documentation, and `capsh --decode`."""

from __future__ import annotations

from pinnace.container.capabilities import (
    ALL_CAPABILITIES,
    DEFAULT_CAPABILITIES,
    compute_capabilities,
    parse_capability,
    parse_mask,
)


def test_default_set_is_dockers_mask() -> None:
    assert parse_mask("00000000a80425fb") == frozenset(
        DEFAULT_CAPABILITIES
    )  # /proc/1/status in a Docker container


def test_whole_mask_is_all_forty_one() -> None:
    assert parse_mask("000001ffffffffff") == frozenset(ALL_CAPABILITIES)
    assert len(ALL_CAPABILITIES) == 41  # Source: Linux 6.x, CAP_LAST_CAP is 40


def test_dropping_all_and_adding_one_leaves_that_one() -> None:
    assert compute_capabilities(add=("net_admin",), drop=("ALL",)) == ("CAP_NET_ADMIN",)


def test_added_all_less_one() -> None:
    assert set(ALL_CAPABILITIES) - set(compute_capabilities(add=("ALL",), drop=("SYS_ADMIN",))) == {
        "CAP_SYS_ADMIN"
    }


def test_never_more_than_the_daemon_holds() -> None:
    assert compute_capabilities(privileged=True, held=("CAP_CHOWN",)) == ("CAP_CHOWN",)
    assert "CAP_SYS_RESOURCE" not in compute_capabilities(add=("SYS_RESOURCE",), held=DEFAULT_CAPABILITIES)


def test_names_are_taken_in_any_form() -> None:
    assert {
        parse_capability(name) for name in ("net_admin", "NET_ADMIN", "cap_net_admin", "CAP_NET_ADMIN")
    } == {"CAP_NET_ADMIN"}
