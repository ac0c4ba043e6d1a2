"""Serves the model over HTTP: /predict, /healthz, /metrics. Runs in the runtime stage as the container's process.

    GET  /predict?sepal_length=6.3&sepal_width=2.9&petal_length=5.6&petal_width=1.8     (absent: an average flower)
    POST /predict  {"flowers": [[5.1, 3.5, 1.4, 0.2], …]}
    …&burn_ms=20   costs that much CPU in addition, so that load can be made

Every answer says which pod and which version gave it. SIGTERM ends it gracefully: /healthz turns 503, requests in flight
are answered, then it exits with 0.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from metrics import CONTENT_TYPE, Metrics
from web import BadRequest, Request, Response, WebServer, json_response

if TYPE_CHECKING:
    from classifier import Prediction

DRAIN_TIMEOUT_S = 8.0
BURN_LIMIT_MS = 2000.0
FLOWERS_LIMIT = 1000
AVERAGE_FLOWER = {"sepal_length": 5.8, "sepal_width": 3.0, "petal_length": 3.8, "petal_width": 1.2}


class Model(Protocol):
    """What answers; `classifier.Classifier`, or a pretended one in tests."""

    features: tuple[str, ...]
    accuracy: float

    def predict(self, flowers: Sequence[Sequence[float]]) -> list[Prediction]: ...

    def burn(self, cpu_ms: float) -> int: ...


class Service:
    """The routes."""

    def __init__(self, model: Model, *, version: str, pod: str) -> None:
        self._model = model
        self._who = {"pod": pod, "version": version}
        self._headers = {"X-Pod": pod, "X-Version": version}
        self._metrics = Metrics(version=version, pod=pod)
        self._burners = ThreadPoolExecutor(max_workers=1, thread_name_prefix="burn")
        self.ready = True

    async def handle(self, request: Request) -> Response:
        """Answer one request, and count it."""
        began = time.perf_counter()
        routes = {"/predict": self._predict, "/healthz": self._health, "/metrics": self._show_metrics}
        route = routes.get(request.path)
        self._metrics.in_flight += 1
        try:
            if route is None:
                response = json_response(
                    404, {"error": f"{request.path} is not here", "paths": sorted(routes)}
                )
            else:
                response = await route(request)
        except BadRequest as error:
            response = json_response(error.code, {"error": str(error), **self._who}, self._headers)
        finally:
            self._metrics.in_flight -= 1
        path = request.path if route else "other"
        self._metrics.observe(path, response.code, time.perf_counter() - began)
        return response

    async def _predict(self, request: Request) -> Response:
        if request.method not in ("GET", "POST", "HEAD"):
            raise BadRequest(405, f"{request.method} /predict: GET or POST")
        flowers = self._read_flowers(request)
        burn_ms = _number(request.query.get("burn_ms", "0"), "burn_ms")
        if not 0 <= burn_ms <= BURN_LIMIT_MS:
            raise BadRequest(400, f"burn_ms is {burn_ms:g}: from 0 to {BURN_LIMIT_MS:g}")
        if burn_ms:
            await asyncio.get_running_loop().run_in_executor(self._burners, self._model.burn, burn_ms)
        predictions = [
            {"species": one.species, "probabilities": one.probabilities}
            for one in self._model.predict(flowers)
        ]
        return json_response(200, {"predictions": predictions, **self._who}, self._headers)

    def _read_flowers(self, request: Request) -> list[list[float]]:
        features = self._model.features
        if request.method != "POST":
            given = {**AVERAGE_FLOWER, **request.query}
            return [[_number(given[name], name) for name in features]]
        try:
            flowers = json.loads(request.body)["flowers"]
            rows = [[float(value) for value in flower] for flower in flowers]
        except (ValueError, TypeError, KeyError):
            raise BadRequest(400, 'the body is {"flowers": [[' + ", ".join(features) + "], …]}") from None
        if not 0 < len(rows) <= FLOWERS_LIMIT or any(len(row) != len(features) for row in rows):
            raise BadRequest(400, f"from 1 to {FLOWERS_LIMIT} flowers, each of {len(features)} numbers")
        return rows

    async def _health(self, request: Request) -> Response:
        return json_response(200 if self.ready else 503, {"ready": self.ready, **self._who}, self._headers)

    async def _show_metrics(self, request: Request) -> Response:
        return Response(200, self._metrics.render().encode(), CONTENT_TYPE)


def _number(text: str | float, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadRequest(400, f"{name} is {text!r}, not a number") from None


async def serve(service: Service, host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    server = WebServer(service.handle)
    chosen = await server.start(host, port)
    print(f"serving on {host}:{chosen}", flush=True)
    await end.wait()
    service.ready = False
    complete = await server.drain(DRAIN_TIMEOUT_S)
    print("ended" if complete else f"ended; requests were cut off after {DRAIN_TIMEOUT_S:g} s", flush=True)
    return 0 if complete else 1


def main() -> int:
    began = time.monotonic()
    from classifier import Classifier  # imports onnxruntime; tests do without

    model = Classifier(os.environ.get("MODEL_PATH", "/app/model.onnx"))
    version, pod = os.environ.get("MODEL_VERSION", "dev"), socket.gethostname()
    print(
        f"model {version}, accuracy {model.accuracy}, loaded in {time.monotonic() - began:.2f} s on {pod}",
        flush=True,
    )
    service = Service(model, version=version, pod=pod)
    return asyncio.run(serve(service, os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8000"))))


if __name__ == "__main__":
    raise SystemExit(main())
