"""The part of the internet that the Dockerfile reaches, behind a proxy: an apt repository and two package indexes.

A build reaches it as one behind a company's proxy does: `--build-arg http_proxy=… --build-arg https_proxy=…`. Plain
requests are answered for the host that they name; for CONNECT the proxy poses as the host, with the stand-ins'
certificate. Whatever else is asked for is refused, and everything is written down.
"""

from __future__ import annotations

import base64
import hashlib
import io
import random
import ssl
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from tests.quick_reference.bases import APT_HOST, Bases

TORCH = """import json, pathlib
__version__ = "2.0.1+cu118"
weights = pathlib.Path(__file__).with_name("lib") / "libtorch_cuda.so"
def load(path):
    return json.loads(pathlib.Path(path).read_text())
"""
VISION = 'import torch\n__version__ = "0.15.2+cu118"\n'
NUMPY = "def mean(values):\n    return sum(values) / len(values)\n"
TORCH_BYTES = 24 << 20  # for the real one's 2.3 GB; as the base for the real one's 8 GB

Answers = dict[tuple[str, str], bytes]


def build_wheel(
    name: str, version: str, files: dict[str, bytes], requires: tuple[str, ...] = ()
) -> tuple[str, bytes]:
    """Return a wheel's file name and content. Source: PyPA, "Binary distribution format"."""
    info = f"{name}-{version}.dist-info"
    metadata = "".join(f"Requires-Dist: {one}\n" for one in requires)
    members = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: stand-in\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_record_digest(data)},{len(data)}\n" for path, data in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as wheel:
        for path, data in members.items():
            wheel.writestr(path, data)
    return f"{name}-{version}-py3-none-any.whl", out.getvalue()


def _record_digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest}"


def build_indexes() -> Answers:
    """Return what the indexes answer, by host and path. Source: PEP 503."""
    library = random.Random(19).randbytes(TORCH_BYTES)
    torch = build_wheel(
        "torch",
        "2.0.1+cu118",
        {"torch/__init__.py": TORCH.encode(), "torch/lib/libtorch_cuda.so": library},
    )
    vision = build_wheel(
        "torchvision", "0.15.2+cu118", {"torchvision/__init__.py": VISION.encode()}, ("torch==2.0.1",)
    )
    numpy = build_wheel("numpy", "1.26.4", {"numpy/__init__.py": NUMPY.encode()})
    answers: Answers = {}
    for host, index, files, wheel in (
        ("download.pytorch.org", "/whl/cu118", "/whl/cu118", torch),
        ("download.pytorch.org", "/whl/cu118", "/whl/cu118", vision),
        ("pypi.org", "/simple", "https://files.pythonhosted.org/packages", numpy),
    ):
        name, data = wheel
        link = f'<a href="{files}/{quote(name)}#sha256={hashlib.sha256(data).hexdigest()}">{name}</a>'
        answers[host, f"{index}/{name.partition('-')[0]}/"] = f"<!doctype html>{link}".encode()
        place = urlsplit(f"{files}/{name}")
        answers[place.hostname or host, place.path] = data
    return answers


class Internet:
    """What is served, and what was asked for: "host/path status", in the order it came."""

    def __init__(self, packages: Path, certificate: Path) -> None:
        self.asked: list[str] = []
        self._answers = build_indexes()
        self._packages = packages
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate)

    def find(self, host: str, path: str) -> bytes | None:
        """Return the answer to a request, None when nothing is there."""
        found = self._answers.get((host, path))
        if host == APT_HOST and path.startswith("/ubuntu/") and ".." not in path:
            file = self._packages / path.removeprefix("/ubuntu/")
            found = file.read_bytes() if file.is_file() else None
        self.asked.append(f"{host}{path} {404 if found is None else 200}")
        return found


@contextmanager
def serve_internet(bases: Bases, address: str) -> Iterator[tuple[Internet, str]]:
    """Run the proxy on an address; yields what it serves, and its URL."""
    internet = Internet(bases.packages, bases.server_certificate)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        host = ""

        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.close_connection = False  # some clients say HTTP/1.0 here
            self.host = self.path.rpartition(":")[0]
            self.connection = internet.tls.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", buffering=0)

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            found = internet.find(self.host or asked.hostname or "", unquote(asked.path))
            body = b"not here" if found is None else found
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header(
                "Content-Type",
                "text/html" if body.startswith(b"<!doctype") else "application/octet-stream",
            )
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield internet, f"http://{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
