"""cocotb bench of the block at its pins: bytes, fuses and entropy given by Python, cycle by cycle.

What the block answers is for the tests of its behaviour; this one is about its ports.
"""

import random

import cocotb
from bench_streams import power_on
from cocotb.triggers import FallingEdge, RisingEdge
from fusequote.chip import framing

ENTROPY = bytes(range(1, 33))
IDENTIFY, FUSE_STATUS, FUSE_MANUFACTURE, RESET = 0x01, 0x10, 0x11, 0x03


class Surroundings:
    """What the block has around it: it runs beside the bench, one turn a cycle.

    ``pauses`` is the probability that neither side of the byte port moves in a cycle.
    """

    def __init__(self, dut, pauses: float = 0.0):
        self.dut, self.pauses = dut, pauses
        self.cells = bytearray(512)
        self.to_send = bytearray()
        self.received = bytearray()
        self.entropy_taken = 0
        self.boots = 0

    async def power_on(self) -> None:
        """Reset the block and let it boot."""
        cocotb.start_soon(self._run())
        await power_on(self.dut, fuse__rdata=0)
        await self.until_idle()

    async def until_idle(self) -> None:
        """Until the block says that only a byte can make it do anything, and there is none."""
        quiet = 0
        while quiet < 3:
            await FallingEdge(self.dut.clk)
            quiet = quiet + 1 if self.dut.idle.value and not self.to_send else 0

    async def ask(self, contents: bytes) -> bytes:
        """A request and its answer, which is all that came."""
        return await self.exchange(framing.encode(contents))

    async def exchange(self, wire: bytes) -> bytes:
        """Bytes on the wire, and the contents of the one frame that came for them."""
        self.received.clear()
        self.to_send += wire
        await self.until_idle()
        (answer,) = framing.Decoder().feed(bytes(self.received))
        assert isinstance(answer, bytes)
        return answer

    async def _run(self) -> None:
        dut = self.dut
        rdata, moved = 0, False
        while True:
            await RisingEdge(dut.clk)
            if moved:
                del self.to_send[0]
            go = random.random() >= self.pauses
            offer = bool(self.to_send) and (go or bool(dut.rx__valid.value and not moved))  # it stands until taken
            dut.rx__valid.value = int(offer)
            dut.rx__payload.value = self.to_send[0] if offer else 0xA5
            dut.tx__ready.value = int(go)
            dut.entropy__valid.value = 1
            dut.entropy__payload.value = ENTROPY[self.entropy_taken % 32]
            dut.fuse__rdata.value = rdata
            await FallingEdge(dut.clk)
            if dut.rst.value:
                continue
            moved = offer and bool(dut.rx__ready.value)
            if go and dut.tx__valid.value:
                self.received.append(int(dut.tx__payload.value))
            self.entropy_taken += int(dut.entropy__ready.value)
            self.boots += int(dut.booting.value)
            address = int(dut.fuse__addr.value)
            rdata = self.cells[address]
            if dut.fuse__pgm.value:
                self.cells[address] |= int(dut.fuse__wdata.value)


@cocotb.test()
async def boot_and_identify(dut):
    """A blank chip takes its 32 bytes, becomes idle, and says what it is; RESET does it all again."""
    chip = Surroundings(dut)
    await chip.power_on()
    assert chip.entropy_taken == 32
    boots = chip.boots
    for seq in (0, 7, 255):
        answer = await chip.ask(bytes((IDENTIFY, seq)))
        assert answer[:4] == bytes((IDENTIFY | 0x80, seq, 0, 0))
        assert answer[4:12] == b"FQ-EMUL\0"
        assert len(answer) == 4 + 64
    assert await chip.ask(bytes((RESET, 9))) == bytes((RESET | 0x80, 9, 0, 0))
    assert (chip.boots, chip.entropy_taken) == (boots + 1, 64)
    assert not any(chip.cells)


@cocotb.test()
async def damaged_frames(dut):
    """One NAK each, whatever the pauses; and the next frame is good."""
    chip = Surroundings(dut, pauses=0.5)
    await chip.power_on()
    good = bytes((IDENTIFY, 1))
    flipped = bytearray(framing.encode(good))
    flipped[2] ^= 1
    for wire in (b"noise\x7e", bytes(flipped), framing.encode(good)[:-1] + b"\x7d\x7e", framing.encode(b"x")):
        assert await chip.exchange(wire) == b"\x80\x00\x03\x40"
        assert (await chip.ask(good))[:4] == bytes((IDENTIFY | 0x80, 1, 0, 0))


@cocotb.test()
async def manufacture(dut):
    """What is burnt is what was sent, at the places of the fuse map, the root sealing key excepted."""
    chip = Surroundings(dut)
    await chip.power_on()
    rpk, device, cpusvn = random.randbytes(16), random.randbytes(16), random.randbytes(16)
    signers, hash_ = random.randbytes(64), random.randbytes(32)
    body = rpk + device + cpusvn + signers + hash_ + bytes(48)
    assert await chip.ask(bytes((FUSE_MANUFACTURE, 1)) + body) == bytes((FUSE_MANUFACTURE | 0x80, 1, 0, 0))
    cells = chip.cells
    assert cells[:4] == bytes((1, 1, 0, 1))
    assert cells[0x10:0x20] == device
    assert cells[0x20:0x60] == signers
    assert cells[0x60:0x80] == hash_
    assert cells[0x80:0x100] == cpusvn + bytes(112)
    assert cells[0x100:0x110] == rpk
    assert any(cells[0x110:0x120])
    assert not any(cells[0x120:])
    status = (await chip.ask(bytes((FUSE_STATUS, 2))))[4:]
    assert len(status) == 144
    assert status[16:32] == device
    assert rpk not in status
    assert bytes(cells[0x110:0x120]) not in status
