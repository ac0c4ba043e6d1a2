"""Checks who shall sign a pod's certificate, and where in a projected volume it shall lie. Pure.

Source: Kubernetes v1.36, pkg/apis/core/validation, ValidateSignerName and validateProjectionSources; limits and key types:
the API's reference of PodCertificateProjection.
"""

from collections.abc import Iterator

from pinnace.api.validation.names import check_label_name, check_subdomain
from pinnace.api.validation.paths import validate_unreserved_path
from pinnace.api.validation.problems import Problems
from pinnace.kube.objects.core_v1 import PodCertificateProjection

_LEAST_S = 60 * 60
_MOST_S = 91 * 24 * 60 * 60
_KEY_TYPES = ("RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")
_DOMAIN_MOST = 253
_PATH_MOST = 253 + 63 + 1
_NAME_MOST = _DOMAIN_MOST + 1 + _PATH_MOST


def validate_certificate(
    certificate: PodCertificateProjection, path: str, problems: Problems
) -> Iterator[str]:
    """Check a source of a key and its certificate; yield the files in which they shall lie."""
    validate_signer(certificate.signer_name, f"{path}.signerName", problems)
    if certificate.key_type not in _KEY_TYPES:
        problems.not_supported(f"{path}.keyType", certificate.key_type, _KEY_TYPES)
    seconds = certificate.max_expiration_seconds
    if seconds is not None and seconds < _LEAST_S:
        words = f"if provided, maxExpirationSeconds must be >= {_LEAST_S}"
        problems.invalid(f"{path}.maxExpirationSeconds", seconds, words)
    if seconds is not None and seconds > _MOST_S:
        words = f"if provided, maxExpirationSeconds must be <= {_MOST_S}"
        problems.invalid(f"{path}.maxExpirationSeconds", seconds, words)
    files = (
        ("credentialBundlePath", certificate.credential_bundle_path),
        ("keyPath", certificate.key_path),
        ("certificateChainPath", certificate.certificate_chain_path),
    )
    if not any(file for _, file in files):
        words = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"
        problems.required(path, words)
    for wire, file in files:
        if file:
            validate_unreserved_path(file, f"{path}.{wire}", problems)
            yield file


def validate_signer(name: str, path: str, problems: Problems) -> None:
    """Check the name of who signs certificates: a domain of two parts or more and a path, such as example.com/signer."""
    parts = name.split("/")
    if not name:
        problems.required(path)
        return
    if len(parts) != 2:
        words = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        problems.invalid(path, name, words)
        return
    domain, rest = parts
    if len(domain) > _DOMAIN_MOST:
        problems.too_long(path, _DOMAIN_MOST)
    labels = domain.split(".")
    for label in labels:
        wrong = check_label_name(label)
        for words in wrong:
            problems.invalid(path, domain, f'validating label "{label}": {words}')
        if wrong:
            break
    else:
        if len(labels) < 2:
            words = "should be a domain with at least two segments separated by dots"
            problems.invalid(path, domain, words)
    for label in rest.split("."):
        wrong = check_subdomain(label)
        for words in wrong:
            problems.invalid(path, rest, f'validating label "{label}": {words}')
        if wrong:
            break
    if len(name) > _NAME_MOST:
        problems.too_long(path, _NAME_MOST)
