"""Requests to Services from the test's own process: single ones, and a stream of them that counts what fails."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType


def ask(host: str, port: int = 80, path: str = "/cgi-bin/who", timeout_s: float = 10.0) -> str:
    """Return what the server says. Raises: OSError, HTTPException when it doesn't."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode().strip()
        assert answer.status == 200, f"{answer.status} {text}"
        return text
    finally:
        connection.close()


def is_refused(host: str, port: int) -> bool:
    """Say whether nobody answers at an address, or somebody else does."""
    try:
        ask(host, port, timeout_s=2.0)
    except (OSError, http.client.HTTPException, AssertionError):
        return True
    return False


class Stream:
    """Requests one after another, from several threads, until the end of the block."""

    def __init__(self, request: Callable[[], str], threads: int = 4) -> None:
        self._request = request
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=20)

    def wait_for(self, more: int, timeout_s: float = 30.0) -> None:
        """Return when so many more requests have been answered."""
        with self._more:
            goal = self.answers.total() + more
            assert self._more.wait_for(lambda: self.answers.total() >= goal or self.failures, timeout_s), (
                "no answers"
            )

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._request()
            except (OSError, http.client.HTTPException, AssertionError) as error:
                with self._more:
                    self.failures.append(f"{type(error).__name__}: {error}")
                    self._more.notify_all()
            else:
                with self._more:
                    self.answers[answer] += 1
                    self._more.notify_all()
