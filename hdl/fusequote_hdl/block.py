"""The security block: everything between a byte stream and the fuses.

``Block`` is what the simulation runs and what a board puts behind a UART. docs/chip.md has the diagram; the program
that runs in it is :mod:`fusequote_hdl.microcode`.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .engines.sha256 import SHA256
from .fuses import FuseMacroSignature, Fuses
from .keybox import KeyBox
from .link import Deframer, Framer
from .microcode import assemble
from .ram import Ram
from .sequencer import BANK_BYTES, MEMORY_BYTES, Sequencer

__all__ = ["Block"]


class Block(wiring.Component):
    """The block behind a byte stream.

    Two request banks take turns: while the sequencer executes one, the next frame arrives in the other, which the
    sequencer cannot reach, nor the host the one being executed (INPUT.COPIED_BEFORE_CHECK).

    Parameters
    ----------
    hardware_entropy : bool
        What the identity register says of ``entropy``: True for a physical noise source, False (the default) for a
        simulated one.
    """

    def __init__(self, *, hardware_entropy: bool = False):
        self.program = assemble(hardware_entropy=hardware_entropy)
        self.workspace = Ram(MEMORY_BYTES)
        super().__init__({
            # Bytes from and to the host.
            "rx": In(stream.Signature(8)),
            "tx": Out(stream.Signature(8)),
            # Noise: 32 bytes are taken at each boot.
            "entropy": In(stream.Signature(8)),
            "fuse": Out(FuseMacroSignature()),
            # Nothing to do until a byte comes: the clock may stop.
            "idle": Out(1),
            # RESET: the block starts over in this cycle. (At power-on it starts by itself.)
            "booting": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.deframer = deframer = Deframer()
        m.submodules.framer = framer = Framer()
        m.submodules.sequencer = sequencer = Sequencer(self.program.words)
        m.submodules.workspace = workspace = self.workspace
        m.submodules.sha256 = sha256 = SHA256()
        m.submodules.keybox = keybox = KeyBox()
        m.submodules.fuses = fuses = Fuses()
        banks = [Ram(BANK_BYTES) for _ in range(2)]
        for i, bank in enumerate(banks):
            m.submodules[f"bank{i}"] = bank

        wiring.connect(m, wiring.flipped(self.rx), deframer.i)
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

        m.d.comb += [
            workspace.en.eq(sequencer.workspace.en),
            workspace.w_en.eq(sequencer.workspace.w_en),
            workspace.addr.eq(sequencer.workspace.addr),
            workspace.w_data.eq(sequencer.workspace.w_data),
            sequencer.workspace.r_data.eq(workspace.r_data),

            framer.i.payload.data.eq(sequencer.tx.payload.data),
            framer.i.payload.last.eq(sequencer.tx.payload.last),
            framer.i.valid.eq(sequencer.tx.valid),
            sequencer.tx.ready.eq(framer.i.ready),

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
            fuses.reopen.eq(sequencer.reopen),
            self.booting.eq(sequencer.reopen),
        ]
        wiring.connect(m, sequencer.sha_data, sha256.data)
        wiring.connect(m, sequencer.sha_load, sha256.load)
        wiring.connect(m, sha256.digest, sequencer.sha_digest)
        wiring.connect(m, sequencer.key_order, keybox.order)
        wiring.connect(m, sequencer.message, keybox.message)
        wiring.connect(m, keybox.tag, sequencer.tag)

        m.d.comb += self.idle.eq(sequencer.waiting & ~deframer.frame.valid & deframer.i.ready & ~framer.active)
        return m
