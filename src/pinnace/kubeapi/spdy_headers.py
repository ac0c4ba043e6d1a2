"""Reads and writes SPDY/3's header blocks: pairs of names and values, compressed in one context per direction. Pure.

Used by `spdy.py` only. Invariant: blocks are read and written in order, since each depends on those before; what comes in
never swells beyond `MAX_BLOCK_BYTES`.
Source: SPDY Protocol, Draft 3.1, section 2.6.10.
"""

import struct
import zlib
from collections.abc import Mapping

MAX_BLOCK_BYTES = 64 * 1024
MAX_PAIRS = 256


class HeaderReader:
    """The decompression context of one direction."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def read(self, block: bytes) -> dict[str, str]:
        """Return the pairs, names in lower case; several values of one name are joined by a comma.

        Raises: ValueError, zlib.error, struct.error for what is no header block.
        """
        plain = self._inflate.decompress(block, MAX_BLOCK_BYTES)
        if self._inflate.unconsumed_tail:
            raise ValueError("a header block is too large")
        (count,) = struct.unpack_from(">I", plain)
        if count > MAX_PAIRS:
            raise ValueError(f"a header block has {count} pairs")
        texts: list[str] = []
        at = 4
        for _ in range(2 * count):
            (size,) = struct.unpack_from(">I", plain, at)
            at += 4
            if at + size > len(plain):
                raise ValueError("a header is longer than its block")
            texts.append(plain[at : at + size].decode())
            at += size
        return {
            name.lower(): value.replace("\0", ",")
            for name, value in zip(texts[::2], texts[1::2], strict=True)
        }


class HeaderWriter:
    """The compression context of one direction."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def write(self, headers: Mapping[str, str]) -> bytes:
        """Return the compressed pairs."""
        plain = struct.pack(">I", len(headers)) + b"".join(
            _counted(name.lower()) + _counted(value) for name, value in headers.items()
        )
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _counted(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">I", len(data)) + data


def _build_dictionary() -> bytes:
    """Return what both sides' compression starts from. Source: SPDY Protocol, Draft 3.1, section 2.6.10.1."""
    names = [
        "options",
        "head",
        "post",
        "put",
        "delete",
        "trace",
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "accept-ranges",
        "age",
        "allow",
        "authorization",
        "cache-control",
        "connection",
        "content-base",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "date",
        "etag",
        "expect",
        "expires",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "range",
        "referer",
        "retry-after",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "vary",
        "via",
        "warning",
        "www-authenticate",
        "method",
        "get",
        "status",
    ]
    words = [*names, "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
    counted = b"".join(struct.pack(">I", len(word)) + word.encode() for word in words)
    rest = (
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
        "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
        "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
        "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
    )
    return counted + rest.encode()


DICTIONARY = _build_dictionary()
