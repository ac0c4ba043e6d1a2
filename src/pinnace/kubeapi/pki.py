"""Keeps the certificates of one instance: an authority of its own, the server's and the administrator's.

The daemon calls `ensure` at every start. The authority is made once and kept, so that kubeconfigs stay valid; the other
two are made anew when they are about to expire, when the server's names change, or when another authority signed them.
It must never overwrite an authority that it can't read. Invariant: a private key is only ever in a file of mode 0600.
"""

import ipaddress
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pinnace.base.clock import Clock
from pinnace.base.errors import UserError
from pinnace.kubeapi.files import write_private

CA_YEARS = 10  # Source: kubeadm, certificate authority validity
LEAF_DAYS = 365  # Source: kubeadm, certificate validity
RENEW_BEFORE_DAYS = 60  # a daemon that is restarted every two months never meets an expired certificate
BACKDATE = timedelta(minutes=5)  # a client whose clock is a little behind must still accept us

ADMIN_USER = "pinnace-admin"
ADMIN_GROUP = "system:masters"

DEFAULT_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "::1",
    "10.96.0.1",
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its key. Shape: both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Certificates:
    """What `ensure` keeps: PEM texts, and the file that the server loads."""

    ca_certificate: bytes
    admin: Credential
    ca_path: Path
    server_path: Path

    def server_context(self) -> ssl.SSLContext:
        """Return the server's TLS settings: client certificates of our authority are welcome, not required."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.server_path)
        context.load_verify_locations(cadata=self.ca_certificate.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        return context


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def credential(self) -> Credential:
        return Credential(_render_certificate(self.certificate), _render_key(self.key))


def ensure(directory: Path, clock: Clock, *, names: Sequence[str] = DEFAULT_NAMES) -> Certificates:
    """Make what is missing or stale in `directory` and return all of it.

    Shape: `names` are host names and addresses that the server answers to.
    Raises: UserError when the authority's file can't be read: a new one would lock out every kubeconfig.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    now = datetime.fromtimestamp(clock.now(), UTC)
    ca = _ensure_ca(directory / "ca.pem", now)
    ca_path = directory / "ca.crt"
    ca_certificate = _render_certificate(ca.certificate)
    if not ca_path.is_file() or ca_path.read_bytes() != ca_certificate:
        write_private(ca_path, ca_certificate, mode=0o644)

    server_path = directory / "server.pem"
    server = _load(server_path)
    if server is None or find_reason_to_renew(server.certificate, ca.certificate, now, names) is not None:
        server = _issue_server(ca, now, names)
        _save(server_path, server)

    admin_path = directory / "admin.pem"
    admin = _load(admin_path)
    if admin is None or find_reason_to_renew(admin.certificate, ca.certificate, now) is not None:
        admin = _issue_admin(ca, now)
        _save(admin_path, admin)

    return Certificates(ca_certificate, admin.credential(), ca_path, server_path)


def find_reason_to_renew(
    certificate: x509.Certificate, ca: x509.Certificate, now: datetime, names: Sequence[str] | None = None
) -> str | None:
    """Return why the certificate must be made anew, or None while it is good."""
    try:
        certificate.verify_directly_issued_by(ca)
    except Exception:  # noqa: BLE001 - each way in which it can fail means: not ours
        return "another authority signed it"
    if certificate.not_valid_after_utc - now < timedelta(days=RENEW_BEFORE_DAYS):
        return "it expires soon"
    if certificate.not_valid_before_utc > now:
        return "it is not valid yet"
    if names is not None and _read_names(certificate) != frozenset(names):
        return "its names changed"
    return None


# ---------------------------------------------------------------------------------------------------- issuing


def _ensure_ca(path: Path, now: datetime) -> _Pair:
    if path.exists():
        pair = _load(path)
        if pair is None:
            raise UserError(
                f"{path}: the certificate authority can't be read",
                hint=f"restore it from a backup, or remove {path.parent} to make a new one (kubeconfigs are then rewritten)",
            )
        if pair.certificate.not_valid_after_utc - now >= timedelta(days=RENEW_BEFORE_DAYS):
            return pair
    pair = _issue_ca(now)
    _save(path, pair)
    return pair


def _issue_ca(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name="pinnace-ca")
    builder = (
        _start(name, key.public_key(), now, timedelta(days=365 * CA_YEARS))
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
    )
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _issue_server(ca: _Pair, now: datetime, names: Sequence[str]) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _start_leaf(ca, _name(common_name="pinnace-server"), key, now, ExtendedKeyUsageOID.SERVER_AUTH)
    builder = builder.add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
    return _Pair(builder.sign(ca.key, hashes.SHA256()), key)


def _issue_admin(ca: _Pair, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name=ADMIN_USER, organization=ADMIN_GROUP)
    builder = _start_leaf(ca, name, key, now, ExtendedKeyUsageOID.CLIENT_AUTH)
    return _Pair(builder.sign(ca.key, hashes.SHA256()), key)


def _start_leaf(
    ca: _Pair, name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, usage: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    return (
        _start(name, key.public_key(), now, timedelta(days=LEAF_DAYS))
        .issuer_name(ca.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
    )


def _start(
    subject: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _name(*, common_name: str, organization: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


# ---------------------------------------------------------------------------------------------------- names and files


def _general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in names]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _read_names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value) for name in extension.value)


def _save(path: Path, pair: _Pair) -> None:
    # Key and certificate share one file, so that a crash can't leave a key beside another key's certificate.
    write_private(path, _render_key(pair.key) + _render_certificate(pair.certificate))


def _load(path: Path) -> _Pair | None:
    """Return the pair in the file, or None when it is missing, unreadable, or its halves don't match."""
    try:
        content = path.read_bytes()
        certificate = x509.load_pem_x509_certificate(content)
        key = serialization.load_pem_private_key(content, password=None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return _Pair(certificate, key)


def _render_certificate(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _render_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
