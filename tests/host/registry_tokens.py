"""A small token server, as registries with Bearer authentication have one.

It gives everybody `pull`, and `push` to the one user who knows the password; by GET (basic) and by POST (identity token).
Source: distribution, docs/spec/auth/token.md, jwt.md, oauth.md.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from tests.host.registry_certs import Pair

IDENTITY_TOKEN = "identity-of-ada"


@contextlib.contextmanager
def token_server(
    signer: Pair, user: str, password: str, *, service: str, asked: list[str], lives_s: int = 300
) -> Iterator[str]:
    """Run a token server; yields its realm."""
    known = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            said = self.headers.get("Authorization", "")
            if said and said != known:
                self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong name or password"}]})
                return
            self._give(parse_qs(urlsplit(self.path).query), authorized=bool(said))

        def do_POST(self) -> None:
            asked.append(self.path)
            form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
            if form.get("refresh_token") != [IDENTITY_TOKEN]:
                self._answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "unknown identity token"}]})
                return
            self._give({"scope": form.get("scope", [""])[0].split(" ")}, authorized=True)

        def _give(self, query: dict[str, list[str]], *, authorized: bool) -> None:
            access: list[dict[str, object]] = []
            for scope in query.get("scope", []):
                kind, name, actions = _split_scope(scope)
                allowed = [
                    action
                    for action in actions
                    if (action == "pull" and not name.startswith("private/")) or authorized
                ]
                access.append({"type": kind, "name": name, "actions": allowed})
            token = sign(signer, user if authorized else "", service, access, lives_s)
            self._answer(200, {"token": token, "access_token": token, "expires_in": lives_s})

        def _answer(self, code: int, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sign(signer: Pair, subject: str, service: str, access: list[dict[str, object]], lives_s: int) -> str:
    """Return a signed token."""
    certificate = base64.b64encode(signer.cert.public_bytes(serialization.Encoding.DER)).decode()
    now = int(time.time())
    header = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
    claims = {
        "iss": "tests",
        "sub": subject,
        "aud": service,
        "exp": now + lives_s,
        "nbf": now - 10,
        "iat": now,
        "jti": str(time.monotonic_ns()),
        "access": access,
    }
    signed = f"{_part(header)}.{_part(claims)}"
    signature = signer.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_encode(signature)}"


def _split_scope(scope: str) -> tuple[str, str, list[str]]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return kind, name, actions.split(",")


def _part(document: object) -> str:
    return _encode(json.dumps(document, separators=(",", ":")).encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
