"""docs/link.md section 1: framing, against fixed bytes and a second decoder that goes byte by byte."""

from __future__ import annotations

from zlib import crc32

import pytest
from fusequote.chip.framing import BadFrame, Decoder, encode
from hypothesis import given
from hypothesis import strategies as st

BAD, LONG = BadFrame(0x4003), BadFrame(0x4004)
#: Mostly the bytes that matter to stuffing, now and then any.
BYTE = st.one_of(st.sampled_from([0x7E, 0x7D, 0x5E, 0x5D, 0x20]), st.integers(0, 255))
WIRE = st.lists(BYTE, max_size=60).map(bytes)
STREAM = st.lists(st.one_of(WIRE, WIRE.map(encode)), max_size=6).map(b"".join)


def by_byte(data: bytes, max_contents: int) -> list[bytes | BadFrame]:
    """The section's text as a state machine, one byte at a time (as the RTL receives)."""
    out: list[bytes | BadFrame] = []
    body, started, escaped = bytearray(), False, False
    for byte in data:
        if byte == 0x7E:
            if started:
                if len(body) > max_contents + 4:
                    out.append(LONG)
                elif escaped or len(body) < 6 or crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
                    out.append(BAD)
                else:
                    out.append(bytes(body[:-4]))
            body, started, escaped = bytearray(), False, False
        elif escaped:
            body.append(byte ^ 0x20)
            escaped = False
        else:
            started = True
            if byte == 0x7D:
                escaped = True
            else:
                body.append(byte)
    return out


def in_pieces(decoder: Decoder, data: bytes, cuts: list[int]) -> list[bytes | BadFrame]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [frame for a, b in zip(edges, edges[1:], strict=False) for frame in decoder.feed(data[a:b])]


def test_known_bytes():
    # CRC-32's check value: "123456789" gives cbf43926 (RFC 1662's 32-bit FCS, sent low byte first).
    assert encode(b"123456789") == b"\x7e123456789\x26\x39\xf4\xcb\x7e"
    assert Decoder().feed(b"\x7e123456789\x26\x39\xf4\xcb\x7e") == [b"123456789"]
    assert encode(b"\x01\x7e\x7d\x00")[:7] == b"\x7e\x01\x7d\x5e\x7d\x5d\x00"


def test_needless_escapes_are_taken():
    """A receiver takes 7D x as x ^ 20 for any x but the flag."""
    plain = encode(b"123456789")[1:-1]
    escaped = b"".join(bytes((0x7D, byte ^ 0x20)) for byte in plain if byte ^ 0x20 != 0x7E)
    assert Decoder().feed(escaped + b"\x7e") == [b"123456789"]


@pytest.mark.parametrize("cut", range(1, 9))
def test_every_truncation_is_dropped(cut):
    assert Decoder().feed(encode(b"\x01\x05\x7d")[:-1][:cut] + b"\x7e") == ([] if cut == 1 else [BAD])


def test_every_bit_flip_is_dropped_and_the_next_frame_stands():
    frame = encode(bytes(range(16)))
    for at in range(1, len(frame) - 1):
        for bit in range(8):
            damaged = bytearray(frame)
            damaged[at] ^= 1 << bit
            *dropped, last = Decoder().feed(bytes(damaged) + frame)
            assert last == bytes(range(16))
            assert dropped
            assert all(item == BAD for item in dropped)


def test_short_frames_and_aborts():
    decoder = Decoder()
    assert decoder.feed(b"\x7e\x7e\x7e") == []
    assert decoder.feed(encode(b"")) == [BAD]
    assert decoder.feed(encode(b"\x01")) == [BAD]
    assert decoder.feed(encode(b"\x01\x00")) == [b"\x01\x00"]
    assert decoder.feed(encode(b"\x01\x00")[:-1] + b"\x7d\x7e") == [BAD]
    assert decoder.feed(b"\x7d\x7e\x7e") == [BAD]


@pytest.mark.parametrize("fill", [0x00, 0x7E, 0x7D])
def test_length_limit(fill):
    decoder = Decoder()
    for size, expected in ((4608, bytes([fill]) * 4608), (4609, LONG), (40_000, LONG)):
        assert decoder.feed(encode(bytes([fill]) * size)) == [expected]
    assert decoder.feed(encode(b"\x01\x01")) == [b"\x01\x01"]


def test_endless_noise_holds_no_memory():
    decoder = Decoder(max_contents=16)
    for _ in range(1000):
        assert decoder.feed(b"\x7d" * 999) == []
    assert len(decoder._pending) <= 2 * 16 + 9
    assert decoder.feed(b"\x7e") == [LONG]


@given(st.lists(st.binary(min_size=2, max_size=64), max_size=5), st.lists(st.integers(0, 10_000), max_size=8))
def test_round_trip_in_any_pieces(contents, cuts):
    assert in_pieces(Decoder(), b"".join(map(encode, contents)), cuts) == contents


@given(STREAM, st.lists(st.integers(0, 1000), max_size=8))
def test_any_bytes_in_any_pieces(data, cuts):
    assert in_pieces(Decoder(max_contents=24), data, cuts) == by_byte(data, 24)
