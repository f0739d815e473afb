"""The security block: everything between a byte stream and the fuses.

``Block`` is what the simulation runs and what a board puts behind a UART. docs/chip.md has the diagram; the program
that runs in it is :mod:`fusequote_hdl.microcode`.
"""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .engines.rsa import RsaCheck
from .engines.sha256 import SHA256
from .fuses import FuseMacroSignature, Fuses
from .keybox import KeyBox
from .link import AnswerBuffer, Deframer, Framer
from .microcode import assemble
from .ram import Ram
from .sequencer import BANK_BYTES, MEMORY_BYTES, Sequencer

__all__ = ["Block"]

#: The longest command takes a third of 2^23 cycles.
WATCHDOG_BITS = 23
EVENT = 0x04
POWER_ON, RESET, WATCHDOG = 0, 1, 2


class Block(wiring.Component):
    """The block behind a byte stream.

    Two request banks take turns: while the sequencer executes one, the next frame arrives in the other, which the
    sequencer cannot reach, nor the host the one being executed (INPUT.COPIED_BEFORE_CHECK).

    Parameters
    ----------
    hardware_entropy : bool
        What the identity register says of ``entropy``: True for a physical noise source, False (the default) for a
        simulated one.
    multipliers : int
        16-bit multipliers of the signature engine, 1 or 2.
    watchdog_bits : int
        A command that takes 2 to the power of this many cycles starts the chip anew (docs/chip.md, section 7).
    profile : str
        How keys are derived: ``kd1`` (the default), or ``linux-sgx-sim``, for the test bench only: elaborating that for
        a platform raises ValueError (docs/chip.md, section 6).
    """

    def __init__(self, *, hardware_entropy: bool = False, multipliers: int = 1, watchdog_bits: int = WATCHDOG_BITS,
                 profile: str = "kd1"):
        self.program = assemble(hardware_entropy=hardware_entropy, profile=profile)
        self.profile = profile
        self.multipliers = multipliers
        self.watchdog_bits = watchdog_bits
        self.workspace = Ram(MEMORY_BYTES)
        self.answer = AnswerBuffer()
        super().__init__({
            # Bytes from and to the host.
            "rx": In(stream.Signature(8)),
            "tx": Out(stream.Signature(8)),
            # Noise: 32 bytes are taken at each boot.
            "entropy": In(stream.Signature(8)),
            # The noise source failed its health tests: the boot fails.
            "entropy_failed": In(1),
            "fuse": Out(FuseMacroSignature()),
            # Nothing to do until a byte comes: the clock may stop.
            "idle": Out(1),
            # RESET, or the watchdog: the block starts over in this cycle. (At power-on it starts by itself.)
            "booting": Out(1),
        })

    def elaborate(self, platform):
        if self.profile != "kd1" and platform is not None:
            raise ValueError(f"the profile {self.profile} is for the test bench, not for a board: its keys are public")
        m = Module()
        m.submodules.deframer = deframer = Deframer()
        barks = Signal()
        framer, sequencer, sha256, keybox, rsa = (
            Framer(), Sequencer(self.program.words), SHA256(), KeyBox(), RsaCheck(multipliers=self.multipliers))
        answer = self.answer
        for name, part in (("answer", answer), ("framer", framer), ("sequencer", sequencer), ("sha256", sha256),
                           ("keybox", keybox), ("rsa", rsa)):
            m.submodules[name] = ResetInserter(barks)(part)
        m.submodules.workspace = workspace = self.workspace
        m.submodules.fuses = fuses = Fuses()
        banks = [Ram(BANK_BYTES) for _ in range(2)]
        for i, bank in enumerate(banks):
            m.submodules[f"bank{i}"] = bank

        wiring.connect(m, wiring.flipped(self.rx), deframer.i)

        # Who has the whole answer may send the request after next: it leaves when the bank for that is free, after the
        # wiping of this one. (A UART waits for nobody: what comes before that would be lost.)
        settled, complete = Signal(init=1), Signal()
        with m.If(sequencer.waiting | self.booting):
            m.d.sync += settled.eq(1)
        with m.Elif(answer.i.valid & answer.i.ready & answer.i.payload.last):
            m.d.sync += settled.eq(0)
        m.d.comb += [
            complete.eq(~answer.o.payload.last | settled),
            framer.i.payload.eq(answer.o.payload),
            framer.i.valid.eq(answer.o.valid & complete),
            answer.o.ready.eq(framer.i.ready & complete),
        ]
        wiring.connect(m, framer.o, wiring.flipped(self.tx))
        wiring.connect(m, wiring.flipped(self.entropy), sequencer.entropy)
        wiring.connect(m, fuses.macro, wiring.flipped(self.fuse))

        # The bank being received into; the other one is the sequencer's.
        receiving = Signal()
        wiring.connect(m, deframer.frame, sequencer.frame)
        with m.If(deframer.frame.valid & deframer.frame.ready):
            m.d.sync += receiving.eq(~receiving)
        for i, bank in enumerate(banks):
            with m.If(receiving == i):
                m.d.comb += [
                    bank.en.eq(deframer.w_en),
                    bank.w_en.eq(1),
                    bank.addr.eq(deframer.w_addr),
                    bank.w_data.eq(deframer.w_data),
                ]
            with m.Else():
                m.d.comb += [
                    bank.en.eq(sequencer.request.en),
                    bank.w_en.eq(sequencer.request.w_en),
                    bank.addr.eq(sequencer.request.addr),
                    bank.w_data.eq(sequencer.request.w_data),
                    sequencer.request.r_data.eq(bank.r_data),
                ]

        cause = Signal(range(3))
        m.d.comb += [
            workspace.en.eq(sequencer.workspace.en),
            workspace.w_en.eq(sequencer.workspace.w_en),
            workspace.addr.eq(sequencer.workspace.addr),
            workspace.w_data.eq(sequencer.workspace.w_data),
            sequencer.workspace.r_data.eq(workspace.r_data),

            answer.i.payload.data.eq(sequencer.tx.payload.data),
            answer.i.payload.last.eq(sequencer.tx.payload.last),
            answer.i.valid.eq(sequencer.tx.valid),
            sequencer.tx.ready.eq(answer.i.ready),

            sha256.init.eq(sequencer.sha_init),
            sha256.clear.eq(sequencer.sha_clear),
            sha256.read.eq(sequencer.sha_read),
            sequencer.sha_idle.eq(sha256.idle),

            keybox.clear.eq(sequencer.cmac_clear),
            sequencer.cmac_idle.eq(keybox.idle),

            fuses.addr.eq(sequencer.fuse_addr),
            fuses.pgm.eq(sequencer.fuse_pgm),
            fuses.wdata.eq(sequencer.fuse_wdata),
            sequencer.fuse_rdata.eq(fuses.rdata),
            fuses.key_en.eq(keybox.fuse_en),
            fuses.key.eq(keybox.fuse_key),
            fuses.key_byte.eq(keybox.fuse_byte),
            fuses.key_pgm.eq(keybox.fuse_pgm),
            fuses.key_wdata.eq(keybox.fuse_wdata),
            keybox.fuse_rdata.eq(fuses.key_rdata),
            fuses.close_rpk.eq(sequencer.close_rpk),
            fuses.close_burn.eq(sequencer.close_burn),
            fuses.reopen.eq(self.booting),
            self.booting.eq(sequencer.reopen | barks),

            rsa.clear.eq(sequencer.rsa_clear),
            sequencer.rsa_done.eq(rsa.done),
            sequencer.rsa_valid.eq(rsa.valid),
            sequencer.rsa_idle.eq(rsa.idle),
            sequencer.entropy_failed.eq(self.entropy_failed),
            sequencer.cause.eq(cause),
        ]
        self._watchdog(m, sequencer, barks, cause)

        # An EVENT request that waits: the first byte of its frame is its op.
        event = Signal()
        with m.If(deframer.w_en & (deframer.w_addr == 0)):
            m.d.sync += event.eq(deframer.w_data == EVENT)
        m.d.comb += sequencer.event.eq(event & deframer.frame.valid & (deframer.frame.payload.error == 0))
        wiring.connect(m, sequencer.sha_data, sha256.data)
        wiring.connect(m, sequencer.sha_load, sha256.load)
        wiring.connect(m, sha256.digest, sequencer.sha_digest)
        wiring.connect(m, sequencer.rsa_load, rsa.load)
        wiring.connect(m, rsa.result, sequencer.rsa_result)
        wiring.connect(m, sequencer.key_order, keybox.order)
        wiring.connect(m, sequencer.message, keybox.message)
        wiring.connect(m, keybox.tag, sequencer.tag)

        m.d.comb += self.idle.eq(
            sequencer.waiting & ~deframer.frame.valid & deframer.i.ready & ~answer.active & ~framer.active)
        return m

    def _watchdog(self, m, sequencer, barks, cause):
        """Counts while the program runs and is not waiting for the link to take an answer."""
        counter = Signal(self.watchdog_bits + 1)
        with m.If(sequencer.waiting | barks):
            m.d.sync += counter.eq(0)
        with m.Elif(~sequencer.tx.valid | sequencer.tx.ready):
            m.d.sync += counter.eq(counter + 1)
        m.d.comb += barks.eq(counter[-1])
        with m.If(barks):
            m.d.sync += cause.eq(WATCHDOG)
        with m.Elif(sequencer.reopen):
            m.d.sync += cause.eq(RESET)
