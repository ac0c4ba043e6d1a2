"""Opens connections from the host into the cluster's network: the `Dialer` of `api/world.py`. A doer."""

from __future__ import annotations

import asyncio
import ssl

DIAL_TIMEOUT_S = 30.0  # Source: Go, net/http, DefaultTransport's dialer, which Kubernetes' proxy uses
MAX_LINE_BYTES = 64 * 1024


def build_trusting_context() -> ssl.SSLContext:
    """Return a context that takes whatever certificate a pod has, as Kubernetes' proxy and probes do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class HostDialer:
    """Dials from the host's own network, which reaches every pod."""

    def __init__(self) -> None:
        self._context = build_trusting_context()

    async def dial(
        self, host: str, port: int, *, tls: bool = False
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            return await asyncio.open_connection(
                host, port, limit=MAX_LINE_BYTES, ssl=self._context if tls else None
            )
