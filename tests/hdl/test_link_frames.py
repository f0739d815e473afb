# amaranth: UnusedElaboratable=no
"""Deframer and Framer against the host's framing and against zlib (docs/link.md, section 1)."""

from __future__ import annotations

import random
from zlib import crc32

import pytest
from amaranth.sim import Simulator
from fusequote.chip import framing
from fusequote_hdl.link import Deframer, FrameError, Framer

SMALL = 40  # longest contents of the small deframer most tests use


def raw_frame(contents: bytes, fcs: int | None = None) -> bytes:
    """A frame written down from RFC 1662 alone, with any FCS."""
    body = contents + (crc32(contents) if fcs is None else fcs).to_bytes(4, "little")
    out = bytearray()
    for byte in body:
        out += bytes((0x7D, byte ^ 0x20)) if byte in (0x7D, 0x7E) else bytes((byte,))
    return b"\x7e" + bytes(out) + b"\x7e"


def awkward(rng: random.Random, size: int) -> bytes:
    """Random bytes, a good part of which need stuffing or look like it."""
    return bytes(rng.choice((0x7E, 0x7D, 0x5E, 0x5D, 0x00, 0xFF, rng.randrange(256))) for _ in range(size))


def deframe(wire: bytes, *, max_contents: int = SMALL, seed: int | None = None) -> list[bytes | FrameError]:
    """What a fresh deframer makes of ``wire``. With a seed, sender and taker stall at random.

    Checks on the way that addresses stay below ``max_contents`` and that no byte is taken while a beat waits.
    """
    dut = Deframer(max_contents)
    rng = random.Random(seed)
    memory: dict[int, int] = {}
    found: list[bytes | FrameError] = []

    async def testbench(ctx):
        position, quiet = 0, 0
        while quiet < 20:  # a byte takes fewer cycles: after so many, all has come out
            offered = position < len(wire) and (seed is None or rng.random() < 0.7)
            taking = seed is None or rng.random() < 0.3
            # An offer must stand until it is taken, whatever the dice say.
            while True:
                ctx.set(dut.i.valid, offered)
                ctx.set(dut.i.payload, wire[position] if offered else rng.randrange(256))
                ctx.set(dut.frame.ready, taking)
                ready, pending, length, error, w_en, addr, data, active = (await ctx.tick().sample(
                    dut.i.ready, dut.frame.valid, dut.frame.payload.length, dut.frame.payload.error,
                    dut.w_en, dut.w_addr, dut.w_data, dut.active))[2:]
                assert not (ready and pending)
                assert active or not pending
                if w_en:
                    assert offered and ready and addr < max_contents
                    memory[addr] = data
                if pending and taking:
                    good = error == FrameError.NONE
                    found.append(bytes(memory[n] for n in range(length)) if good else FrameError(error))
                    memory.clear()
                quiet = 0 if offered or pending else quiet + 1
                if offered and ready:
                    position += 1
                if ready or not offered:
                    break
                taking = seed is None or rng.random() < 0.3

    run(dut, testbench)
    return found


def run(dut, testbench) -> None:
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def by_the_host(wire: bytes, max_contents: int = SMALL) -> list[bytes | FrameError]:
    """The same through the host's decoder."""
    errors = {framing.LINK_BAD_FRAME: FrameError.BAD, framing.LINK_TOO_LONG: FrameError.TOO_LONG}
    return [errors[item.status] if isinstance(item, framing.BadFrame) else item
            for item in framing.Decoder(max_contents).feed(wire)]


def frame(contents: bytes, *, pauses: int | None = None) -> tuple[bytes, int]:
    """What a framer sends for ``contents``, and in how many cycles. With a seed, both sides stall."""
    dut = Framer()
    rng = random.Random(pauses)
    sent = bytearray()
    cycles = 0

    async def source(ctx):
        for n, byte in enumerate(contents):
            while pauses is not None and rng.random() < 0.2:
                await ctx.tick()
            ctx.set(dut.i.payload, {"data": byte, "last": n == len(contents) - 1})
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        nonlocal cycles
        while len(sent) < 2 or sent[-1] != 0x7E:
            ready = pauses is None or rng.random() < 0.4
            ctx.set(dut.o.ready, ready)
            _, _, valid, payload, active = await ctx.tick().sample(dut.o.valid, dut.o.payload, dut.active)
            cycles += 1
            assert active or not (valid or sent)
            if valid and ready:
                sent.append(payload)
        assert not ctx.get(dut.active)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(source)
    sim.add_testbench(sink)
    sim.run()
    return bytes(sent), cycles


@pytest.mark.parametrize("size", [1, 2, 3, 17, SMALL])
@pytest.mark.parametrize("pauses", [None, 5])
def test_framer_sends_what_rfc_1662_says(size, pauses):
    contents = awkward(random.Random(size), size)
    sent, _ = frame(contents, pauses=pauses)
    assert sent == raw_frame(contents) == framing.encode(contents)


def test_framer_stuffs_the_fcs():
    rng = random.Random(1662)
    seen = set()
    while seen != {0x7D, 0x7E}:
        contents = rng.randbytes(6)
        special = set(crc32(contents).to_bytes(4, "little")) & {0x7D, 0x7E}
        if special - seen:
            seen |= special
            assert frame(contents)[0] == raw_frame(contents)


def test_framer_cycles():
    """The cycles that the docstring promises, from the first offer to the closing flag."""
    for size in (4, 36):
        _, cycles = frame(bytes(size))
        assert cycles == 1 + 9 * (size + 4) + 1


def test_framer_keeps_frames_apart():
    dut = Framer()
    answers = [b"\x81\x00\x00\x00", awkward(random.Random(7), 30), b"\x7e\x7d\x7e\x7d"]
    sent = bytearray()

    async def source(ctx):
        for contents in answers:
            for n, byte in enumerate(contents):
                ctx.set(dut.i.payload, {"data": byte, "last": n == len(contents) - 1})
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def sink(ctx):
        ctx.set(dut.o.ready, 1)
        while sent.count(0x7E) < 2 * len(answers):
            _, _, valid, payload = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                sent.append(payload)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(source)
    sim.add_testbench(sink)
    sim.run()
    assert bytes(sent) == b"".join(map(raw_frame, answers))


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_good_frames(seed):
    rng = random.Random(seed)
    contents = [awkward(rng, size) for size in (2, 3, 4, 5, 39, SMALL)]
    assert deframe(b"".join(map(raw_frame, contents)), seed=seed) == contents


def test_one_flag_between_frames_and_many():
    a, b = raw_frame(b"\x01\x02\x03"), raw_frame(b"\x7e\x7d")
    assert deframe(a[:-1] + b + b"\x7e" * 5 + a) == [b"\x01\x02\x03", b"\x7e\x7d", b"\x01\x02\x03"]


def test_no_flag_before_the_first_frame():
    assert deframe(raw_frame(b"ab")[1:]) == [b"ab"]


@pytest.mark.parametrize(("wire", "error"), [
    (b"x\x7e", FrameError.BAD),                                       # noise
    (b"\x7d\x7e", FrameError.BAD),                                    # an abort with nothing before it
    (raw_frame(b"abc")[:-1] + b"\x7d\x7e", FrameError.BAD),           # an abort after a good frame
    (raw_frame(b"abc", fcs=crc32(b"abc") ^ 1 << 31), FrameError.BAD),
    (raw_frame(b"abc", fcs=0), FrameError.BAD),
    (raw_frame(b""), FrameError.BAD),                                 # right FCS, too short
    (raw_frame(b"a"), FrameError.BAD),
    (b"\x7eabc\x7e", FrameError.BAD),                                 # not even an FCS
    (raw_frame(bytes(SMALL + 1)), FrameError.TOO_LONG),
    (raw_frame(bytes(SMALL + 1), fcs=0), FrameError.TOO_LONG),
    (raw_frame(bytes(SMALL + 300)), FrameError.TOO_LONG),
    (raw_frame(bytes(SMALL + 1))[:-1] + b"\x7d\x7e", FrameError.TOO_LONG),
    (raw_frame(bytes(SMALL))[:-1] + b"\x7d\x7e", FrameError.BAD),
])
def test_bad_frames_and_the_next_one_is_good(wire, error):
    assert deframe(wire + raw_frame(b"good")) == [error, b"good"] == by_the_host(wire + raw_frame(b"good"))


def test_an_escape_of_any_byte_is_taken():
    # 7D 7D is an escaped 5D; an eager sender may escape what it need not.
    body = b"\x5d\x01" + crc32(b"\x5d\x01").to_bytes(4, "little")
    wire = b"\x7e\x7d\x7d" + b"".join(bytes((0x7D, b ^ 0x20)) for b in body[1:]) + b"\x7e"
    assert deframe(wire) == [b"\x5d\x01"]


def test_every_single_bit_error_is_seen():
    contents = b"\x20\x01\x7e\x40"
    good = raw_frame(contents)
    wires = [bytearray(good) for _ in range(8, 8 * (len(good) - 1))]
    for n, wire in enumerate(wires, start=8):  # all but the flags
        wire[n // 8] ^= 1 << n % 8
    stream = b"".join(map(bytes, wires))
    found = deframe(stream)
    assert len(found) >= len(wires)
    assert set(found) == {FrameError.BAD}
    assert found == by_the_host(stream)


@pytest.mark.parametrize("seed", range(3))
def test_garbage_is_judged_as_the_host_does(seed):
    rng = random.Random(seed)
    wire = bytearray()
    for _ in range(40):
        good = raw_frame(awkward(rng, rng.randrange(SMALL + 4)))
        match rng.randrange(5):
            case 0:
                wire += awkward(rng, rng.randrange(2 * SMALL))
            case 1:
                cut = rng.randrange(len(good))
                wire += good[:cut] + good[cut + 1:]
            case 2:
                cut = rng.randrange(len(good))
                wire += good[:cut] + awkward(rng, 1) + good[cut:]
            case _:
                wire += good
    wire += b"\x7e\x7e"
    assert deframe(bytes(wire), seed=seed) == by_the_host(bytes(wire)), f"seed {seed}"


def test_full_size():
    """The real limit: 4,608 bytes of contents pass, one more does not, and takes nothing with it."""
    rng = random.Random(4608)
    exact = rng.randbytes(4608)
    wire = raw_frame(exact) + raw_frame(exact + b"!") + raw_frame(b"after")
    assert deframe(wire, max_contents=4608) == [exact, FrameError.TOO_LONG, b"after"]


@pytest.mark.parametrize("size", [-1, 0, 1, 8188, 9000])
def test_wrong_max_contents(size):
    with pytest.raises(ValueError, match=rf"max_contents is {size}, expected 2 to 8187"):
        Deframer(size)
