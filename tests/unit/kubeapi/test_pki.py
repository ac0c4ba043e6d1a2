import ipaddress
import ssl
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from pinnace.base.clock import FrozenClock
from pinnace.base.errors import UserError
from pinnace.kubeapi.pki import ADMIN_GROUP, DEFAULT_NAMES, ensure

NOW = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
DAY = 86400.0


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_server_certificate_carries_every_name_and_address(tmp_path: Path) -> None:
    ensure(tmp_path, FrozenClock(NOW), names=(*DEFAULT_NAMES, "10.244.0.1"))
    names = (
        load(tmp_path / "server.pem").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    )
    assert "kubernetes.default.svc.cluster.local" in names.get_values_for_type(x509.DNSName)
    assert ipaddress.ip_address("10.244.0.1") in names.get_values_for_type(x509.IPAddress)


def test_admin_belongs_to_the_masters(tmp_path: Path) -> None:
    certificates = ensure(tmp_path, FrozenClock(NOW))
    subject = x509.load_pem_x509_certificate(certificates.admin.certificate).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "pinnace-admin"
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == ADMIN_GROUP


def test_private_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    ensure(tmp_path / "pki", FrozenClock(NOW))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pki").iterdir()}
    assert modes == {"ca.pem": 0o600, "ca.crt": 0o644, "server.pem": 0o600, "admin.pem": 0o600}
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    first = ensure(tmp_path, FrozenClock(NOW))
    server = (tmp_path / "server.pem").read_bytes()
    assert ensure(tmp_path, FrozenClock(NOW + DAY)) == first
    assert (tmp_path / "server.pem").read_bytes() == server


def test_new_names_renew_the_server_and_keep_the_authority(tmp_path: Path) -> None:
    first = ensure(tmp_path, FrozenClock(NOW))
    server = (tmp_path / "server.pem").read_bytes()
    second = ensure(tmp_path, FrozenClock(NOW), names=(*DEFAULT_NAMES, "10.245.0.1"))
    assert (tmp_path / "server.pem").read_bytes() != server
    assert (second.ca_certificate, second.admin) == (first.ca_certificate, first.admin)


@pytest.mark.parametrize(("days", "renewed"), [(300, False), (310, True), (400, True)])
def test_certificates_are_renewed_two_months_before_they_expire(
    tmp_path: Path, days: int, renewed: bool
) -> None:
    first = ensure(tmp_path, FrozenClock(NOW))
    second = ensure(tmp_path, FrozenClock(NOW + days * DAY))
    assert second.ca_certificate == first.ca_certificate
    assert (second.admin != first.admin) is renewed


def test_a_damaged_server_certificate_is_made_anew(tmp_path: Path) -> None:
    ensure(tmp_path, FrozenClock(NOW))
    (tmp_path / "server.pem").write_bytes(b"half a fi")
    ensure(tmp_path, FrozenClock(NOW))
    load(tmp_path / "server.pem")


def test_a_damaged_authority_is_reported_and_left_alone(tmp_path: Path) -> None:
    ensure(tmp_path, FrozenClock(NOW))
    (tmp_path / "ca.pem").write_bytes(b"half a fi")
    with pytest.raises(UserError, match="authority can't be read"):
        ensure(tmp_path, FrozenClock(NOW))
    assert (tmp_path / "ca.pem").read_bytes() == b"half a fi"


def test_certificates_of_another_authority_are_replaced(tmp_path: Path) -> None:
    first = ensure(tmp_path, FrozenClock(NOW))
    (tmp_path / "ca.pem").unlink()
    second = ensure(tmp_path, FrozenClock(NOW))
    assert second.admin != first.admin


def test_the_server_context_asks_for_a_certificate_and_does_not_insist(tmp_path: Path) -> None:
    assert ensure(tmp_path, FrozenClock(NOW)).server_context().verify_mode == ssl.CERT_OPTIONAL
