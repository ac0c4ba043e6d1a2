"""Downloads one file over HTTP, or learns that it has not changed. Runs in a worker process.

It follows redirects to http and https only, goes through the proxies that it is given, verifies certificates, and bounds
size and stalls. Invariant: what it returns as downloaded is complete, and has the checksum that was asked for.
Source: BuildKit, source/http/source.go (behaviour): names, times, when a file counts as unchanged.
"""

from __future__ import annotations

import base64
import email.utils
import functools
import hashlib
import http.client
import io
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.build.remote.addresses import hide_secrets

Report = Callable[[str, int, int], None]  # what, entries, bytes

CHUNK_BYTES = 1 << 18
TRIES = 3
WAIT_FIRST_S = 0.5
SLOW_BYTES = 1024  # less than this in a stall's time is a stall
KEPT_FREE = 0.05  # of the disk, which a download leaves
MODE = 0o600  # Source: Dockerfile reference, ADD: a downloaded file has this mode
HINTS = {
    401: "the server wants a login: https://USER:PASSWORD@host/…, or a RUN with --mount=type=secret",
    403: "the server does not give this file to everybody; is the address whole?",
    404: "is the address right? curl -fsSLI URL shows what the server says",
    410: "the file was taken away: look for its new address",
    429: "the server is asked too often: try again later",
}


class DownloadJob(msgspec.Struct, frozen=True, kw_only=True):
    """Download `url` to the new file `target`, unless it still is what `etag` or `last_modified` say.

    `proxies` are by scheme, as in `http_proxy`; "no" lists hosts without one. Units: bytes, seconds; 0 is no limit.
    """

    url: str
    target: str
    checksum: str = ""
    etag: str = ""
    last_modified: str = ""
    proxies: dict[str, str] = {}
    ca_bundle: str = ""
    max_bytes: int = 0
    stall_s: float = 60.0


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. `is_unchanged`: nothing was written. `name` is what the server calls the file. Units: bytes, unix s."""

    is_unchanged: bool = False
    digest: str = ""
    size: int = 0
    etag: str = ""
    last_modified: str = ""
    mtime: float = 0.0
    name: str = ""


def download(job: DownloadJob, report: Report) -> Downloaded:
    """Do a `DownloadJob`. Raises: UserError (the address, the file, the checksum), HostError (the network, the disk)."""
    shown, wait_s = hide_secrets(job.url), WAIT_FIRST_S
    for left in reversed(range(TRIES)):
        try:
            return _try(job, shown, report)
        except _Temporary as error:
            if not left:
                raise error.told from None
        time.sleep(wait_s)
        wait_s *= 2
    raise AssertionError


class _Temporary(Exception):
    """What may be better the next time."""

    def __init__(self, told: PinnaceError) -> None:
        self.told = told


def _try(job: DownloadJob, shown: str, report: Report) -> Downloaded:
    request = _make_request(job)
    try:
        with _opener(job).open(request, timeout=job.stall_s) as response:
            return _receive(response, job, shown, report)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 304:
                return Downloaded(is_unchanged=True)
            raise _refused(error, shown) from None
    except urllib.error.URLError as error:
        raise _unreachable(error.reason, shown, job) from None
    except TimeoutError:
        raise _stalled(job, shown) from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.filename:
            raise HostError(f"{shown}: {error.filename}: {error.strerror}", errno=error.errno) from None
        said = getattr(error, "strerror", "") or str(error) or type(error).__name__
        raise _Temporary(HostError(f"{shown}: the connection broke: {said}", hint="try again")) from None


def _make_request(job: DownloadJob) -> urllib.request.Request:
    parts = urlsplit(job.url)
    userinfo, _, host = parts.netloc.rpartition("@")
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    url = urlunsplit(
        parts._replace(
            netloc=_ascii_host(host), path=path or "/", query=quote(parts.query, safe="/%:@!$&'()*+,;=?~-._")
        )
    )
    request = urllib.request.Request(url, headers={"User-Agent": "pinnace", "Accept-Encoding": "identity"})
    if userinfo:
        login = base64.b64encode(unquote(userinfo).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
    if job.etag:
        request.add_header("If-None-Match", job.etag)
    elif job.last_modified:
        request.add_header("If-Modified-Since", job.last_modified)
    return request


def _ascii_host(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode()


class _Proxies(urllib.request.ProxyHandler):
    """Proxies with the hosts that do without; both are given, not taken from this process's surroundings only."""

    def __init__(self, proxies: dict[str, str]) -> None:
        super().__init__({scheme: url for scheme, url in proxies.items() if scheme != "no" and url})
        self._without = {"no": proxies.get("no", "")}

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> Any:
        if req.host and urllib.request.proxy_bypass_environment(req.host, self._without):  # type: ignore[attr-defined]
            return None
        return super().proxy_open(req, proxy, type)


def _opener(job: DownloadJob) -> urllib.request.OpenerDirector:
    """Return an opener that knows no file: or ftp: addresses, which a redirect could lead to."""
    context = ssl.create_default_context()
    if job.ca_bundle:
        context.load_verify_locations(job.ca_bundle)
    context.verify_flags &= ~getattr(
        ssl, "VERIFY_X509_STRICT", ssl.VerifyFlags(0)
    )  # inspecting proxies' CAs aren't
    opener = urllib.request.OpenerDirector()
    for handler in (
        _Proxies(job.proxies),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _receive(response: Any, job: DownloadJob, shown: str, report: Report) -> Downloaded:
    headers: Message = response.headers
    length = headers.get("Content-Length", "")
    expected = int(length) if length.isdecimal() else -1
    room = _room(job)
    if expected > room:
        raise _too_large(shown, expected, room)
    found, size = hashlib.sha256(), 0
    opener = functools.partial(os.open, mode=MODE)
    with open(job.target, "wb", buffering=0, opener=opener) as file:
        size = _write(response, file, found.update, job, shown, room, report)
    if 0 <= expected != size:
        raise _Temporary(
            HostError(f"{shown}: the connection broke after {size} of {expected} bytes", hint="try again")
        )
    _verify(job, shown, found.hexdigest())
    last_modified = headers.get("Last-Modified", "")
    mtime = _read_time(last_modified)
    os.utime(job.target, (mtime, mtime))
    return Downloaded(
        digest=found.hexdigest(),
        size=size,
        etag=headers.get("ETag", ""),
        last_modified=last_modified,
        mtime=mtime,
        name=name_of(headers),
    )


def _write(
    response: Any,
    file: io.FileIO,
    update: Callable[[bytes], None],
    job: DownloadJob,
    shown: str,
    room: int,
    report: Report,
) -> int:
    size, mark, since = 0, 0, time.monotonic()
    while data := response.read1(CHUNK_BYTES):
        size += len(data)
        if size > room:
            raise _too_large(shown, size, room)
        try:
            _write_all(file, data)
        except OSError as error:
            raise HostError(f"{shown}: {job.target}: {error.strerror}", errno=error.errno) from None
        update(data)
        report("downloading", 0, size)
        now = time.monotonic()
        if now - since >= job.stall_s:
            if size - mark < SLOW_BYTES:
                raise _stalled(job, shown)
            mark, since = size, now
    return size


def _write_all(file: io.FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _verify(job: DownloadJob, shown: str, sha256: str) -> None:
    if not job.checksum:
        return
    name, _, wanted = job.checksum.partition(":")
    if name == "sha256":
        got = sha256
    else:
        with open(job.target, "rb") as file:
            got = hashlib.file_digest(file, name).hexdigest()
    if got != wanted:
        raise UserError(
            f"digest mismatch {name}:{got}: {job.checksum} for {shown}",
            "the server gives another file than the one that was meant: find out why before you change --checksum",
        )


def name_of(headers: Message) -> str:
    """Return the name in a Content-Disposition; "" when there is none, or none that is one file's name."""
    name = headers.get_filename("") or ""
    name = name.rpartition("/")[2].rpartition("\\")[2]
    return "" if name in ("", ".", "..") or re.search(r"[\x00-\x1f\x7f]", name) else name


def _read_time(text: str) -> float:
    """Return the time of a Last-Modified; 0, as BuildKit has it, when it says nothing."""
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp()) if text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _room(job: DownloadJob) -> int:
    disk = os.statvfs(os.path.dirname(job.target))
    free = int(disk.f_bavail * disk.f_frsize - KEPT_FREE * disk.f_blocks * disk.f_frsize)
    return min(free, job.max_bytes) if job.max_bytes else free


def _too_large(shown: str, size: int, room: int) -> HostError:
    return HostError(
        f"{shown}: the file has {size} bytes or more, and there is room for {max(room, 0)}",
        hint="free some space (pinnace builder prune), or look whether the address is what you think",
    )


def _stalled(job: DownloadJob, shown: str) -> HostError:
    return HostError(f"{shown}: the server sent nothing for {job.stall_s:g} s", hint="try again later")


def _refused(error: urllib.error.HTTPError, shown: str) -> Exception:
    message = f"{shown}: invalid response status {error.code} {error.reason}".rstrip()
    moved = error.headers.get("Location") if error.code in (301, 302, 303, 307, 308) else None
    if moved is not None:
        return UserError(
            f"{message}, to {hide_secrets(moved)}", "it leads round in a circle, or away from the web"
        )
    if error.code >= 500 or error.code in (408, 429):
        return _Temporary(HostError(message, hint=HINTS.get(error.code, "the server fails: try again later")))
    return UserError(message, HINTS.get(error.code, "curl -fsSLI URL shows what the server says"))


def _unreachable(reason: object, shown: str, job: DownloadJob) -> Exception:
    host = urlsplit(job.url).hostname
    if isinstance(reason, ssl.SSLCertVerificationError):
        return HostError(
            f"{shown}: the server's certificate can't be verified: {reason.verify_message}",
            hint="behind an inspecting proxy? its CA belongs into the host's bundle: update-ca-certificates",
        )
    if isinstance(reason, socket.gaierror):
        return HostError(
            f"{shown}: {host} can't be resolved: {reason.strerror}",
            hint="is the name right? see /etc/resolv.conf",
        )
    if isinstance(reason, TimeoutError):
        return _stalled(job, shown)
    if isinstance(reason, OSError):
        told = HostError(
            f"{shown}: {host} can't be reached: {reason.strerror or reason}",
            errno=reason.errno,
            hint="does the server run, and is a proxy needed? --build-arg HTTPS_PROXY=…",
        )
        return _Temporary(told)
    return UserError(f"{shown}: {reason}", "only http and https can be fetched")
