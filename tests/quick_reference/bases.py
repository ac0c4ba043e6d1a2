"""Stand-ins for the base images that the quick reference names, in a real registry's storage; made once per user.

The systems in them are the distribution's packages (mmdebstrap); a second layer brings what the Dockerfile relies on: a
`python` and a `pip` whose site-packages are /usr/local/lib/python3.10/site-packages, and sources of packages with the
names that the internet has. Beside the storage lie the packages that `apt-get install` will ask for, and the certificate
of the servers that pose as the internet (`internet.py`).
Invariant: a folder of the cache is complete; it is made beside and renamed.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from examples.base.make import ARCHITECTURES, ensure_root_filesystem, read_codename
from examples.base.recipes import Recipe
from tests.quick_reference.registry import serve_registry

DEVEL = "nvidia/cuda:11.8.0-devel-ubuntu22.04"
RUNTIME = "nvidia/cuda:11.8.0-runtime-ubuntu22.04"
SMALL = ("pytorch/pytorch:2.0-cuda11.7-cudnn8-runtime", "tensorflow/tensorflow:latest-gpu")
RECIPES = (
    # The tools of a compiler's makers stand in for nvcc and CUDA's headers.
    Recipe(DEVEL, "minbase", ("ca-certificates", "llvm-14", "python3", "python3-pip")),
    Recipe(RUNTIME, "essential", ("python3",)),
)
INSTALLED = ("gcc", "g++", "cmake")  # what the Dockerfile installs
SITE_PACKAGES = "/usr/local/lib/python3.10/site-packages"
APT_HOST, APT_SUITE = "archive.ubuntu.com", "jammy"
SECURE_HOSTS = ("download.pytorch.org", "pypi.org", "files.pythonhosted.org")
VALID = timedelta(days=3650)

# A distribution's Python reads dist-packages; this one installs to, and reads, the folder that the Dockerfile names.
SITE = f"""import site, sysconfig
for scheme in sysconfig._INSTALL_SCHEMES.values():
    if scheme["purelib"].startswith("{{base}}/local/"):
        scheme["purelib"] = scheme["platlib"] = "{SITE_PACKAGES}"
site.addsitedir("{SITE_PACKAGES}")
"""
FILES = {
    "usr/lib/python3/dist-packages/standin.pth": "import standin_site\n",
    "usr/lib/python3/dist-packages/standin_site.py": SITE,
}
DEVEL_FILES = {
    "etc/pip.conf": "[global]\ncert = /etc/ssl/standin.pem\nbreak-system-packages = true\nroot-user-action = ignore\n",
    "etc/apt/sources.list": f"deb [trusted=yes] http://{APT_HOST}/ubuntu {APT_SUITE} main\n",
    "etc/apt/sources.list.d/.wh.0000host.sources": "",
}


@dataclass(frozen=True, slots=True)
class Bases:
    """A folder of the cache: a registry's `storage`, `packages` for apt, `ca.pem` and the servers' `server.pem`."""

    folder: Path

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def packages(self) -> Path:
        return self.folder / "packages"

    @property
    def server_certificate(self) -> Path:
        return self.folder / "server.pem"


def ensure_bases() -> Bases:
    """Return the stand-ins, made now or before. Skips the test where they can't be made."""
    for program, package in (("docker-registry", "docker-registry"), ("mmdebstrap", "mmdebstrap")):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}: apt-get install {package}")
    source = Path(__file__).read_bytes()
    key = hashlib.sha256(f"{read_codename()} {platform.machine()} ".encode() + source).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinnace-tests"
    folder = cache / f"quick-reference-{key}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as name:
            _make(Path(name) / "made")
            try:
                (Path(name) / "made").rename(folder)
            except OSError:  # another run was faster
                assert folder.is_dir()
    return Bases(folder)


def _make(folder: Path) -> None:
    folder.mkdir()
    roots = {recipe.reference: ensure_root_filesystem(recipe, print) for recipe in RECIPES}
    _make_packages(roots[DEVEL], folder / "packages")
    authority = _make_certificates(folder)
    with serve_registry(folder / "storage") as port:
        for reference, root in roots.items():
            files = FILES | (DEVEL_FILES | {"etc/ssl/standin.pem": authority} if reference == DEVEL else {})
            with tempfile.TemporaryFile() as packed:
                with root.open("rb") as plain:
                    diff_id = _pack(plain, packed)
                layer = _tar(files, {"usr/bin/python": "python3"})
                push(port, reference, [(packed, diff_id), _packed(layer)], {"Cmd": ["/bin/bash"]})
        for reference in SMALL:
            push(port, reference, [_packed(_tar({"etc/name": reference}, {}))], {"Env": ["STANDIN=1"]})


# --- images ---------------------------------------------------------------------------------------------------------------


def _tar(files: dict[str, str], links: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in SITE_PACKAGES.strip("/"), *sorted({os.path.dirname(name) for name in files}):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o644, len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return out.getvalue()


def _packed(tar: bytes) -> tuple[io.BytesIO, str]:
    out = io.BytesIO()
    return out, _pack(io.BytesIO(tar), out)


def _pack(plain: io.IOBase, packed: io.IOBase) -> str:
    """Pack a tar; return the digest of what was packed."""
    digest = hashlib.sha256()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as zipped:
        while block := plain.read(1 << 20):
            digest.update(block)
            zipped.write(block)
    packed.seek(0)
    return f"sha256:{digest.hexdigest()}"


def push(port: int, reference: str, layers: list[tuple[io.IOBase, str]], config: dict[str, object]) -> None:
    """Bring an image into a registry, as any client does: blobs first, then the manifest (Docker's schema 2)."""
    repository, _, tag = reference.rpartition(":")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    document = json.dumps(
        {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
            "history": [{"created_by": "stand-in"} for _ in layers],
        }
    ).encode()
    kind = "application/vnd.docker"
    described = [
        _upload(connection, repository, packed, f"{kind}.image.rootfs.diff.tar.gzip") for packed, _ in layers
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.distribution.manifest.v2+json",
        "config": _upload(connection, repository, io.BytesIO(document), f"{kind}.container.image.v1+json"),
        "layers": described,
    }
    body = json.dumps(manifest).encode()
    _ask(connection, "PUT", f"/v2/{repository}/manifests/{tag}", body, str(manifest["mediaType"]))
    connection.close()


def _upload(
    connection: http.client.HTTPConnection, repository: str, data: io.IOBase, kind: str
) -> dict[str, object]:
    digest = hashlib.sha256()
    while block := data.read(1 << 20):
        digest.update(block)
    size, name = data.tell(), f"sha256:{digest.hexdigest()}"
    data.seek(0)
    place = _ask(connection, "POST", f"/v2/{repository}/blobs/uploads/", b"", "")
    joint = "&" if "?" in place else "?"
    _ask(connection, "PUT", f"{place}{joint}digest={name}", data, "application/octet-stream", size)
    return {"mediaType": kind, "size": size, "digest": name}


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | io.IOBase,
    kind: str,
    size: int | None = None,
) -> str:
    length = len(body) if isinstance(body, bytes) else size
    connection.request(method, path, body, {"Content-Type": kind, "Content-Length": str(length)})
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status in (201, 202), f"{method} {path}: {answer.status} {said!r}"
    return answer.headers.get("Location", "")


# --- packages -------------------------------------------------------------------------------------------------------------


def _make_packages(devel: Path, folder: Path) -> None:
    """Fill a repository with what the Dockerfile's apt-get will ask for on top of the base."""
    pool = folder / "pool"
    with _dpkg_status(devel) as state:
        archives = state / "archives"
        (archives / "partial").mkdir(parents=True)
        argv = [
            *("apt-get", "-y", "-qq", "-o", f"Dir::State::status={state / 'status'}"),
            *("-o", f"Dir::Cache::archives={archives}", "-o", "APT::Sandbox::User=root"),
            *("--download-only", "install", *INSTALLED),
        ]
        subprocess.run(argv, check=True, capture_output=True)
        shutil.copytree(archives, pool, ignore=shutil.ignore_patterns("partial", "lock"))
    stanzas = []
    for path in sorted(pool.glob("*.deb")):
        done = subprocess.run(["dpkg-deb", "-f", path], check=True, capture_output=True, text=True)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        stanzas.append(
            f"{done.stdout.rstrip()}\nFilename: pool/{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n"
        )
    architecture = ARCHITECTURES[platform.machine()]
    listed = f"main/binary-{architecture}/Packages"
    index = folder / "dists" / APT_SUITE / listed
    index.parent.mkdir(parents=True)
    index.write_text("\n".join(stanzas))
    data = index.read_bytes()
    (folder / "dists" / APT_SUITE / "Release").write_text(
        f"Suite: {APT_SUITE}\nCodename: {APT_SUITE}\nComponents: main\nArchitectures: {architecture}\n"
        f"SHA256:\n {hashlib.sha256(data).hexdigest()} {len(data)} {listed}\n"
    )


@contextmanager
def _dpkg_status(root: Path) -> Iterator[Path]:
    """What dpkg knows to be installed in a root filesystem's tar, as a file named `status` in a folder."""
    with tempfile.TemporaryDirectory() as name, tarfile.open(root) as tar:
        found = tar.extractfile("./var/lib/dpkg/status")
        assert found is not None
        (Path(name) / "status").write_bytes(found.read())
        yield Path(name)


# --- certificates -----------------------------------------------------------------------------------------------------------


def _make_certificates(folder: Path) -> str:
    """Write the servers' certificate and key; return the authority's certificate, whose key nobody keeps."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in for the internet")])
    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SECURE_HOSTS[0])])
    own = _certificate(authority, authority, authority_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in SECURE_HOSTS])
    theirs = _certificate(server, authority, server_key).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    key = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(theirs.sign(authority_key, hashes.SHA256()).public_bytes(pem) + key)
    return own.sign(authority_key, hashes.SHA256()).public_bytes(pem).decode()


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
    )
