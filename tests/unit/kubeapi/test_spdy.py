import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.kubeapi import spdy
from pinnace.kubeapi.spdy import (
    DataReceived,
    Goodbye,
    HeadersReceived,
    PingReceived,
    SettingsReceived,
    SpdyConnection,
    SpdyError,
    SpdyEvent,
    StreamOpened,
    StreamRefused,
    StreamReplied,
    StreamReset,
)
from pinnace.kubeapi.spdy_headers import DICTIONARY


class Client:
    """Writes frames by the tables of the SPDY draft, section 2: what our own codec is held against."""

    def __init__(self) -> None:
        self.deflate = zlib.compressobj(zdict=DICTIONARY)
        self.inflate = zlib.decompressobj(zdict=DICTIONARY)

    def control(self, type_: int, payload: bytes, flags: int = 0) -> bytes:
        return (
            struct.pack(">HHBBH", 0x8003, type_, flags, len(payload) >> 16, len(payload) & 0xFFFF) + payload
        )

    def block(self, headers: dict[str, str]) -> bytes:
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            block += (
                struct.pack(">I", len(name)) + name.encode() + struct.pack(">I", len(value)) + value.encode()
            )
        return self.deflate.compress(block) + self.deflate.flush(zlib.Z_SYNC_FLUSH)

    def open(self, stream: int, headers: dict[str, str], flags: int = 0) -> bytes:
        return self.control(1, struct.pack(">IIH", stream, 0, 0) + self.block(headers), flags)


def receive(*chunks: bytes) -> list[SpdyEvent]:
    server = SpdyConnection()
    return [event for chunk in chunks for event in server.receive(chunk)]


def test_the_dictionary_is_the_drafts() -> None:
    # Its Adler-32 is what every SPDY/3 zlib stream names in its head.
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_streams_open_with_their_headers() -> None:
    client = Client()
    frames = client.open(1, {"streamtype": "error", "port": "80"}, flags=1) + client.open(
        3, {"streamType": "data"}
    )
    assert receive(frames) == [
        StreamOpened(1, {"streamtype": "error", "port": "80"}, True),
        StreamOpened(3, {"streamtype": "data"}, False),
    ]


def test_frames_may_come_in_any_pieces() -> None:
    client = Client()
    frames = client.open(1, {"a": "b"}) + struct.pack(">II", 1, 3) + b"abc" + struct.pack(">II", 1, 1 << 24)
    expected = [StreamOpened(1, {"a": "b"}, False), *(DataReceived(1, b, False) for b in (b"a", b"b", b"c"))]
    expected.append(DataReceived(1, b"", True))
    assert receive(*(bytes((byte,)) for byte in frames)) == expected


def test_a_large_frame_is_handed_on_as_it_comes() -> None:
    head = struct.pack(">II", 1, 1 << 24 | 100_000)
    events = receive(Client().open(1, {}), head + b"x" * 60_000, b"y" * 40_000)
    assert events[1:] == [DataReceived(1, b"x" * 60_000, False), DataReceived(1, b"y" * 40_000, True)]


def test_the_frames_that_need_no_stream() -> None:
    client = Client()
    frames = (
        client.control(6, struct.pack(">I", 7))
        + client.control(6, struct.pack(">I", 8))  # an answer: even numbers are the server's
        + client.control(4, struct.pack(">III", 1, 7, 65536))
        + client.control(9, struct.pack(">II", 1, 4096))  # a window: nothing follows
        + client.control(10, b"?")  # a credential
        + client.control(7, struct.pack(">II", 3, 0))
    )
    assert receive(frames) == [
        PingReceived(7),
        PingReceived(8, is_answer=True),
        SettingsReceived({7: 65536}),
        Goodbye(3, 0),
    ]


def test_headers_and_resets_of_open_streams() -> None:
    client = Client()
    opened = client.open(1, {"a": "b"})
    more = client.control(8, struct.pack(">I", 1) + client.block({"c": "d"}), flags=1)
    unknown = client.control(8, struct.pack(">I", 9) + client.block({"e": "f"}))
    reset = client.control(3, struct.pack(">II", 1, 5))
    late = struct.pack(">II", 1, 3) + b"abc"
    assert receive(opened + more + unknown + reset + reset + late) == [
        StreamOpened(1, {"a": "b"}, False),
        HeadersReceived(1, {"c": "d"}, True),
        StreamReset(1, 5),
    ]


def test_streams_that_cannot_be_taken_are_refused_and_the_context_goes_on() -> None:
    client = Client()
    frames = b"".join(client.open(stream, {"n": str(stream)}) for stream in (3, 3, 1, 4, 0, 5))
    assert receive(frames) == [
        StreamOpened(3, {"n": "3"}),
        StreamRefused(3, spdy.STREAM_IN_USE),
        StreamRefused(1, spdy.PROTOCOL_ERROR),
        StreamRefused(4, spdy.PROTOCOL_ERROR),
        StreamRefused(0, spdy.PROTOCOL_ERROR),
        StreamOpened(5, {"n": "5"}),
    ]


def test_there_are_only_so_many_streams() -> None:
    client, server = Client(), SpdyConnection()
    opened = b"".join(client.open(2 * n + 1, {}) for n in range(spdy.MAX_STREAMS + 1))
    events = list(server.receive(opened))
    assert events[-1] == StreamRefused(2 * spdy.MAX_STREAMS + 1, spdy.REFUSED_STREAM)
    assert len(server.streams) == spdy.MAX_STREAMS
    server.reset(1)
    (event,) = server.receive(client.open(2 * spdy.MAX_STREAMS + 3, {}))
    assert isinstance(event, StreamOpened)


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">HHI", 0x8002, 6, 4) + b"\0\0\0\1",  # another version
        struct.pack(">HHI", 0x8003, 6, 1) + b"\0",  # too short
        struct.pack(">HHI", 0x8003, 6, 5) + b"\0\0\0\1\0",  # too long
        struct.pack(">HHI", 0x8003, 1, 14) + b"\0\0\0\1\0\0\0\0\0\0oops",  # no zlib
        struct.pack(">HHI", 0x8003, 4, 4) + b"\0\0\0\1",  # a setting that is not there
        struct.pack(">HHI", 0x8003, 1, 0xFFFFFF),  # a control frame of 16 MiB
    ],
)
def test_what_breaks_the_protocol_is_an_error(frame: bytes) -> None:
    with pytest.raises(SpdyError):
        receive(frame)


@pytest.mark.parametrize(
    "plain",
    [
        struct.pack(">I", 1 << 30),  # more pairs than anybody sends
        struct.pack(">II", 1, 1 << 30) + b"a",  # a name longer than its block
        struct.pack(">III", 1, 1, 0xFF) + b"\xff",
        b"",
    ],
)
def test_header_blocks_that_lie(plain: bytes) -> None:
    deflate = zlib.compressobj(zdict=DICTIONARY)
    packed = deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(SpdyError):
        receive(Client().control(1, struct.pack(">IIH", 1, 0, 0) + packed))


def test_a_header_block_cannot_swell_without_bound() -> None:
    with pytest.raises(SpdyError, match="too large"):
        receive(Client().open(1, {"a": "b" * 1_000_000}))


def test_answers_are_frames_that_a_client_reads() -> None:
    server, client = SpdyConnection(), Client()
    list(server.receive(client.open(1, {}) + client.open(3, {})))
    for stream in (1, 3):  # both in one compression context
        reply = server.reply(stream)
        assert reply[:8] == struct.pack(">HHI", 0x8003, 2, len(reply) - 8)
        assert reply[8:12] == struct.pack(">I", stream)
        assert client.inflate.decompress(reply[12:]) == struct.pack(">I", 0)
    assert server.data(3, b"abc", finished=True) == struct.pack(">II", 3, 1 << 24 | 3) + b"abc"
    assert server.ping(7) == client.control(6, struct.pack(">I", 7))
    assert server.reset(3) == client.control(3, struct.pack(">II", 3, 5))
    assert server.settings({7: 1}) == client.control(4, struct.pack(">III", 1, 7, 1))
    assert server.goodbye() == client.control(7, struct.pack(">II", 3, 0))


def test_nothing_is_sent_on_a_stream_that_is_over() -> None:
    server, client = SpdyConnection(), Client()
    list(
        server.receive(client.open(1, {}) + client.open(3, {}) + client.control(3, struct.pack(">II", 1, 5)))
    )
    assert server.data(3, b"", finished=True) != b""
    assert [server.data(stream, b"x") for stream in (1, 3, 5)] == [b"", b"", b""]
    assert server.reply(1) == server.headers(1, {"a": "b"}) == b""


def test_a_frame_of_more_than_24_bits_becomes_several() -> None:
    client, server = SpdyConnection(client=True), SpdyConnection()
    stream, opened = client.open({})
    data = bytes(spdy.MAX_DATA_BYTES + 10)
    events = list(server.receive(opened + client.data(stream, data, finished=True)))[1:]
    assert sum(len(event.data) for event in events if isinstance(event, DataReceived)) == len(data)
    assert [event.finished for event in events if isinstance(event, DataReceived)] == [False, True]


# --- properties ----------------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="ascii", categories=("Ll", "Nd")), min_size=1, max_size=10)
HEADERS = st.dictionaries(NAMES, st.text(st.characters(exclude_characters="\0"), max_size=40), max_size=5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), HEADERS, st.booleans()),
        st.tuples(st.just("data"), st.integers(0, 9), st.binary(max_size=300), st.booleans()),
        st.tuples(st.just("headers"), st.integers(0, 9), HEADERS),
        st.tuples(st.just("reset"), st.integers(0, 9)),
        st.tuples(st.just("ping"), st.integers(0, 2**31)),
        st.tuples(st.just("settings"), st.dictionaries(st.integers(0, 2**24 - 1), st.integers(0, 2**32 - 1))),
    ),
    max_size=30,
)


def _act(peer: SpdyConnection, step: tuple[Any, ...], opened: list[int]) -> tuple[bytes, list[SpdyEvent]]:
    """Return the frames of a step, and the events that they mean to the other side."""
    match step:
        case ("open", headers, finished):
            stream, frames = peer.open(headers, finished=finished)
            opened.append(stream)
            return frames, [StreamOpened(stream, headers, finished)]
        case ("data", number, data, finished) if opened:
            stream = opened[number % len(opened)]
            frames = peer.data(stream, data, finished=finished)
            told = frames and (data or finished)
            return frames, [DataReceived(stream, data, finished)] if told else []
        case ("headers", number, headers) if opened:
            stream = opened[number % len(opened)]
            frames = peer.headers(stream, headers)
            return frames, [HeadersReceived(stream, headers)] if frames else []
        case ("reset", number) if opened:
            stream = opened[number % len(opened)]
            known = stream in peer.streams
            frames = peer.reset(stream)
            return frames, [StreamReset(stream, spdy.CANCEL)] if known else []
        case ("ping", number):
            return peer.ping(number), [PingReceived(number, is_answer=number % 2 == 0)]
        case ("settings", values):
            return peer.settings(values), [SettingsReceived(values)]
    return b"", []


def _join(events: list[SpdyEvent]) -> list[SpdyEvent]:
    """Put the pieces of data together that came apart."""
    joined: list[SpdyEvent] = []
    for event in events:
        last = joined[-1] if joined else None
        if (
            isinstance(event, DataReceived)
            and isinstance(last, DataReceived)
            and last.stream == event.stream
            and not last.finished
        ):
            joined[-1] = DataReceived(event.stream, last.data + event.data, event.finished)
        else:
            joined.append(event)
    return joined


@given(STEPS, st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_what_one_side_says_the_other_hears(steps: list[tuple[Any, ...]], piece: int) -> None:
    client, server = SpdyConnection(client=True), SpdyConnection()
    sent, expected, opened = b"", [], []  # type: ignore[var-annotated]
    for step in steps:
        frames, events = _act(client, step, opened)
        sent += frames
        expected += events
    heard = [event for at in range(0, len(sent), piece) for event in server.receive(sent[at : at + piece])]
    # A stream that its opener has ended, and the server has not, is not over: a reset of it is heard too.
    assert _join(heard) == _join(expected)


@given(st.lists(st.binary(max_size=200), max_size=8))
@settings(max_examples=200, deadline=None)
def test_noise_is_an_error_or_nothing(pieces: list[bytes]) -> None:
    server = SpdyConnection()
    try:
        for piece in pieces:
            list(server.receive(piece))
    except SpdyError:
        return


@given(STEPS, st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_byte_is_an_error_or_another_message(
    steps: list[tuple[Any, ...]], at: int, byte: int
) -> None:
    client, server, opened = SpdyConnection(client=True), SpdyConnection(), []  # type: ignore[var-annotated]
    sent = bytearray(b"".join(_act(client, step, opened)[0] for step in steps))
    if sent:
        sent[at % len(sent)] = byte
    try:
        list(server.receive(bytes(sent)))
    except SpdyError:
        return
    assert len(server.streams) <= spdy.MAX_STREAMS


def test_a_client_hears_its_server() -> None:
    client, server = SpdyConnection(client=True), SpdyConnection()
    stream, opened = client.open({"streamtype": "stdout"}, finished=True)
    (event,) = server.receive(opened)
    assert event == StreamOpened(stream, {"streamtype": "stdout"}, True)
    answer = server.reply(stream, {"ok": "1"}) + server.data(stream, b"out", finished=True) + server.goodbye()
    assert list(client.receive(answer)) == [
        StreamReplied(stream, {"ok": "1"}),
        DataReceived(stream, b"out", True),
        Goodbye(stream, 0),
    ]
    assert client.streams == server.streams == frozenset()
