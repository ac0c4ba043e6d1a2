"""The settings table."""

from dataclasses import fields
from pathlib import Path

import pytest

from pinnace.base.errors import UserError
from pinnace.base.settings import (
    ROWS,
    Settings,
    parse_settings,
    read_settings,
    render_settings,
    split_mirrors,
)


def test_every_setting_has_a_row() -> None:
    assert [row.field for row in ROWS] == [field.name for field in fields(Settings)]


def test_flags_win_over_variables_and_variables_over_defaults() -> None:
    environ = {"PINNACE_NAME": "lab", "PINNACE_API_PORT": "7443"}
    settings = read_settings({"api_port": 8443, "home": None}, environ)
    assert (settings.name, settings.api_port, str(settings.home_path)) == (
        "lab",
        8443,
        "/var/lib/pinnace-lab",
    )


def test_settings_survive_the_way_to_the_daemon() -> None:
    settings = read_settings({"node_capacity": ("cpu=16", "memory=64Gi")}, {})
    assert parse_settings(render_settings(settings)) == settings


@pytest.mark.parametrize("name", ["", "Lab", "-a", "a/b", "x" * 33])
def test_a_name_that_could_not_name_a_link_or_cgroup_is_refused(name: str) -> None:
    if name:
        with pytest.raises(UserError, match="can't be used"):
            read_settings({"name": name}, {})
    else:
        assert read_settings({"name": name or None}, {}).name == "pinnace"


@pytest.mark.parametrize("text", ["10.300.0.0/20", "10.244.0.1/20", "x", "fd00::/64"])
def test_what_is_no_range_of_addresses_is_refused(text: str) -> None:
    row = next(row for row in ROWS if row.field == "pod_range")
    with pytest.raises(UserError, match="is no range of addresses"):
        row.parse(text)


def test_folders_are_absolute_since_the_daemon_works_elsewhere() -> None:
    settings = read_settings({}, {"PINNACE_HOME": "state", "PINNACE_RUN": "/run/../run/p"})
    assert settings.home_path == Path.cwd() / "state"
    assert str(settings.run_path) == "/run/p"


def test_a_range_with_no_place_for_the_dns_is_refused() -> None:
    with pytest.raises(UserError, match="is too small for Services"):
        read_settings({}, {"PINNACE_SERVICE_RANGE": "10.96.0.0/29"})


def test_a_host_name_that_could_not_name_a_node_is_made_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Ann_s-Laptop_.example.org")
    assert Settings().node == "ann-s-laptop"


@pytest.mark.parametrize("variable", ["PINNACE_NODE_NAME", "PINNACE_CLUSTER_DOMAIN"])
def test_what_is_no_dns_name_names_neither_a_node_nor_a_domain(variable: str) -> None:
    read_settings({}, {variable: "lab-1.example"})
    for text in ("A_b", "a b", "-a", "a..b"):
        with pytest.raises(UserError, match="is no DNS name"):
            read_settings({}, {variable: text})


@pytest.mark.parametrize(
    ("field", "text", "expected"),
    [
        ("insecure_registries", "registry.lan:5000, 10.0.0.0/8", ("registry.lan:5000", "10.0.0.0/8")),
        ("insecure_registries", "[::1]:5000", ("[::1]:5000",)),
        ("insecure_registries", "http://registry.lan", None),
        ("insecure_registries", "a b", None),
        ("registry_mirrors", "https://m.example", ("https://m.example",)),
        ("registry_mirrors", "ghcr.io=http://m.example:80/ghcr", ("ghcr.io=http://m.example:80/ghcr",)),
        ("registry_mirrors", "m.example", None),
        ("registry_mirrors", "https://ada:secret@m.example", None),
        ("registry_mirrors", "https://m.example?x=1", None),
    ],
)
def test_registries_are_read_as_dockers_daemon_reads_them(
    field: str, text: str, expected: tuple[str, ...] | None
) -> None:
    parse = next(row.parse for row in ROWS if row.field == field)
    if expected is None:
        with pytest.raises(UserError):
            parse(text)
    else:
        assert parse(text) == expected


def test_mirrors_are_docker_ios_unless_they_name_a_domain() -> None:
    assert split_mirrors(("https://a/", "ghcr.io=https://b", "http://c/=d", "ghcr.io=https://e")) == {
        "docker.io": ("https://a", "http://c/=d"),
        "ghcr.io": ("https://b", "https://e"),
    }
