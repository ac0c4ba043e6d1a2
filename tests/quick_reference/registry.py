"""A real registry (the distribution's docker-registry) over a folder, without TLS, on a port of its own."""

from __future__ import annotations

import http.client
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.host.registries import free_port

READY_S = 20.0

CONFIG = """version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {storage}}}
http:
  addr: 127.0.0.1:{port}
"""


@contextmanager
def serve_registry(storage: Path) -> Iterator[int]:
    """Run a registry over a storage; yields its port on 127.0.0.1."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "config.yml"
        config.write_text(CONFIG.format(storage=storage, port=port))
        with (Path(name) / "log").open("w") as log:
            process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
            try:
                _wait(port, process)
                yield port
            finally:
                process.terminate()
                process.wait(10)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/v2/")
            assert connection.getresponse().status == 200
            return
        except OSError:
            assert process.poll() is None, "the registry ended"
            assert time.monotonic() < until, "the registry does not answer"
            time.sleep(0.05)
        finally:
            connection.close()
