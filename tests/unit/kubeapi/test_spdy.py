import struct
import zlib

import pytest

from pinnace.kubeapi.spdy import (
    DICTIONARY,
    DataReceived,
    Goodbye,
    PingReceived,
    SpdyError,
    SpdyEvent,
    SpdyServer,
    StreamOpened,
    StreamReset,
)


class Client:
    """Writes frames by the tables of the SPDY draft, section 2."""

    def __init__(self) -> None:
        self.deflate = zlib.compressobj(zdict=DICTIONARY)
        self.inflate = zlib.decompressobj(zdict=DICTIONARY)

    def control(self, type_: int, payload: bytes, flags: int = 0) -> bytes:
        return (
            struct.pack(">HHBBH", 0x8003, type_, flags, len(payload) >> 16, len(payload) & 0xFFFF) + payload
        )

    def open(self, stream: int, headers: dict[str, str], flags: int = 0) -> bytes:
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            block += (
                struct.pack(">I", len(name)) + name.encode() + struct.pack(">I", len(value)) + value.encode()
            )
        packed = self.deflate.compress(block) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        return self.control(1, struct.pack(">IIH", stream, 0, 0) + packed, flags)


def receive(*chunks: bytes) -> list[SpdyEvent]:
    server = SpdyServer()
    return [event for chunk in chunks for event in server.receive(chunk)]


def test_the_dictionary_is_the_drafts() -> None:
    # Its Adler-32 is what every SPDY/3 zlib stream names in its head.
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_streams_open_with_their_headers() -> None:
    client = Client()
    frames = client.open(1, {"streamtype": "error", "port": "80"}, flags=1) + client.open(
        3, {"streamtype": "data"}
    )
    assert receive(frames) == [
        StreamOpened(1, {"streamtype": "error", "port": "80"}, True),
        StreamOpened(3, {"streamtype": "data"}, False),
    ]


def test_frames_may_come_in_any_pieces() -> None:
    client = Client()
    frames = client.open(1, {"a": "b"}) + struct.pack(">II", 1, 3) + b"abc" + struct.pack(">II", 1, 1 << 24)
    expected = [
        StreamOpened(1, {"a": "b"}, False),
        DataReceived(1, b"abc", False),
        DataReceived(1, b"", True),
    ]
    assert receive(*(bytes((byte,)) for byte in frames)) == expected


def test_pings_resets_and_goodbyes() -> None:
    client = Client()
    frames = (
        client.control(6, struct.pack(">I", 7))
        + client.control(3, struct.pack(">II", 5, 5))
        + client.control(4, b"\0\0\0\0")  # settings mean nothing here
        + client.control(7, struct.pack(">II", 0, 0))
    )
    assert receive(frames) == [PingReceived(7), StreamReset(5), Goodbye()]


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">HHI", 0x8002, 6, 4) + b"\0\0\0\1",  # another version
        struct.pack(">HHI", 0x8003, 6, 1) + b"\0",  # too short
        struct.pack(">HHI", 0x8003, 1, 14) + b"\0\0\0\1\0\0\0\0\0\0oops",  # no zlib
    ],
)
def test_what_breaks_the_protocol_is_an_error(frame: bytes) -> None:
    with pytest.raises(SpdyError):
        receive(frame)


def test_a_header_block_cannot_swell_without_bound() -> None:
    with pytest.raises(SpdyError, match="too large"):
        receive(Client().open(1, {"a": "b" * 1_000_000}))


def test_answers_are_frames_that_a_client_reads() -> None:
    server, client = SpdyServer(), Client()
    for stream in (1, 3):  # both in one compression context
        reply = server.reply(stream)
        assert reply[:8] == struct.pack(">HHI", 0x8003, 2, len(reply) - 8)
        assert reply[8:12] == struct.pack(">I", stream)
        assert client.inflate.decompress(reply[12:]) == struct.pack(">I", 0)
    assert server.data(3, b"abc", finished=True) == struct.pack(">II", 3, 1 << 24 | 3) + b"abc"
    assert server.pong(7) == client.control(6, struct.pack(">I", 7))
    assert server.reset(3) == client.control(3, struct.pack(">II", 3, 5))
