"""The inference service with a pretended model: its routes, its answers to wrong requests, its graceful end."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace

import pytest
from serve import AVERAGE_FLOWER, Service
from web import Request, Response, WebServer


class PretendedModel:
    """Says "long" when the first number is above 6; `burned` is what it was told to burn."""

    features = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    accuracy = 1.0

    def __init__(self) -> None:
        self.asked: list[list[float]] = []
        self.burned: list[float] = []

    def predict(self, flowers: Sequence[Sequence[float]]) -> list[SimpleNamespace]:
        self.asked += [list(flower) for flower in flowers]
        return [
            SimpleNamespace(species="long" if one[0] > 6 else "short", probabilities={}) for one in flowers
        ]

    def burn(self, cpu_ms: float) -> int:
        self.burned.append(cpu_ms)
        return 1


@pytest.fixture
def model() -> PretendedModel:
    return PretendedModel()


@pytest.fixture
def service(model: PretendedModel) -> Service:
    return Service(model, version="v7", pod="pod-1")


async def ask(service: Service, path: str, method: str = "GET", body: bytes = b"", **query: str) -> Response:
    return await service.handle(Request(method, path, query, {}, body))


def read(response: Response) -> dict[str, object]:
    document: dict[str, object] = json.loads(response.body)
    return document


async def test_every_answer_says_which_pod_and_version_gave_it(service: Service) -> None:
    response = await ask(service, "/predict", sepal_length="6.3")
    assert response.code == 200
    assert response.headers == {"X-Pod": "pod-1", "X-Version": "v7"}
    assert read(response) == {
        "predictions": [{"species": "long", "probabilities": {}}],
        "pod": "pod-1",
        "version": "v7",
    }


async def test_what_a_get_does_not_name_is_that_of_an_average_flower(
    service: Service, model: PretendedModel
) -> None:
    await ask(service, "/predict", sepal_width="2.5")
    assert model.asked == [[AVERAGE_FLOWER["sepal_length"], 2.5, 3.8, 1.2]]


async def test_a_post_predicts_several_flowers_in_order(service: Service) -> None:
    body = json.dumps({"flowers": [[5.1, 3.5, 1.4, 0.2], [6.3, 2.9, 5.6, 1.8]]}).encode()
    response = await ask(service, "/predict", "POST", body)
    assert [one["species"] for one in read(response)["predictions"]] == ["short", "long"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("method", "body", "query", "code", "words"),
    [
        ("GET", b"", {"sepal_width": "wide"}, 400, "sepal_width is 'wide', not a number"),
        ("GET", b"", {"burn_ms": "9999"}, 400, "burn_ms is 9999: from 0 to 2000"),
        ("POST", b"[]", {}, 400, 'the body is {"flowers":'),
        ("POST", b'{"flowers": [[1, 2]]}', {}, 400, "each of 4 numbers"),
        ("POST", b'{"flowers": []}', {}, 400, "from 1 to 1000 flowers"),
        ("DELETE", b"", {}, 405, "GET or POST"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    service: Service, method: str, body: bytes, query: dict[str, str], code: int, words: str
) -> None:
    response = await ask(service, "/predict", method, body, **query)
    assert response.code == code
    assert words in str(read(response)["error"])


async def test_burning_is_done_before_the_answer(service: Service, model: PretendedModel) -> None:
    assert (await ask(service, "/predict", burn_ms="20")).code == 200
    assert model.burned == [20.0]


async def test_health_turns_503_when_the_end_has_begun(service: Service) -> None:
    assert (await ask(service, "/healthz")).code == 200
    service.ready = False
    assert (await ask(service, "/healthz")).code == 503


async def test_metrics_count_answers_by_path_and_code(service: Service) -> None:
    await ask(service, "/predict")
    await ask(service, "/predict", sepal_width="wide")
    await ask(service, "/nowhere")
    text = (await ask(service, "/metrics")).body.decode()
    assert 'http_requests_total{path="/predict",code="200"} 1\n' in text
    assert 'http_requests_total{path="/predict",code="400"} 1\n' in text
    assert 'http_requests_total{path="other",code="404"} 1\n' in text
    assert "http_request_duration_seconds_count 3\n" in text
    assert 'model_info{version="v7",pod="pod-1"} 1\n' in text


class Gate:
    """A handler that answers when it may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def handle(self, request: Request) -> Response:
        if request.path == "/slow":
            self.asked.set()
            await self.go_on.wait()
        return Response(200, b"done")


@pytest.fixture
async def gate() -> AsyncIterator[tuple[Gate, WebServer, int]]:
    gate = Gate()
    server = WebServer(gate.handle)
    port = await server.start("127.0.0.1", 0)
    yield gate, server, port
    gate.go_on.set()
    await server.drain(1.0)


async def open_and_send(port: int, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    return reader, writer


async def test_a_connection_serves_several_requests(gate: tuple[Gate, WebServer, int]) -> None:
    _, _, port = gate
    reader, writer = await open_and_send(port, b"GET / HTTP/1.1\r\n\r\n" * 2)
    first = await reader.readuntil(b"done")
    second = await reader.readuntil(b"done")
    assert (
        first
        == second
        == b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ndone"
    )
    writer.close()


async def test_the_end_answers_what_is_in_flight_and_closes_what_is_idle(
    gate: tuple[Gate, WebServer, int],
) -> None:
    handler, server, port = gate
    idle_reader, idle_writer = await open_and_send(port, b"GET / HTTP/1.1\r\n\r\n")
    await idle_reader.readuntil(b"done")
    busy_reader, busy_writer = await open_and_send(port, b"GET /slow HTTP/1.1\r\n\r\n")
    await handler.asked.wait()

    drained = asyncio.create_task(server.drain(5.0))
    assert await idle_reader.read() == b""  # closed at once
    assert not drained.done()
    handler.go_on.set()
    answer = await busy_reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in answer
    assert await drained is True
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    for writer in (idle_writer, busy_writer):
        writer.close()


async def test_the_end_says_when_a_request_took_too_long(gate: tuple[Gate, WebServer, int]) -> None:
    handler, server, port = gate
    _, writer = await open_and_send(port, b"GET /slow HTTP/1.1\r\n\r\n")
    await handler.asked.wait()
    assert await server.drain(0.01) is False
    writer.close()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/2\r\n\r\n", b"505"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n", b"431"),
    ],
)
async def test_what_is_no_request_is_refused_with_a_reason(
    gate: tuple[Gate, WebServer, int], text: bytes, code: bytes
) -> None:
    reader, writer = await open_and_send(gate[2], text)
    answer = await reader.readuntil(b"}")
    assert answer.split(b" ")[1] == code
    assert b'{"error": ' in answer
    writer.close()
