"""What the sequencer is connected to, and how wide things are."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..keybox import KeyOrder

__all__ = [
    "ADDRESS_BITS", "BANK_BYTES", "CALL_DEPTH", "COUNT_BITS", "LENGTH_BITS", "MEMORY_BYTES", "MEMBERS",
    "MemorySignature", "PC_BITS", "SLOT_BITS", "SLOT_INDEX_BITS", "TxByte", "one_of",
]

#: Width of a logical address.
ADDRESS_BITS = 14
#: Bytes of the workspace, and of one request bank.
MEMORY_BYTES = 16384
BANK_BYTES = 8192
#: Bits of an address within a slot (2,048 bytes each).
SLOT_BITS = 11
#: Bits of the slot register, of a count, of a program address.
SLOT_INDEX_BITS = 2
COUNT_BITS = 12
LENGTH_BITS = 13
PC_BITS = 12
CALL_DEPTH = 4


def one_of(value, *choices):
    """Whether ``value`` is one of these enum members."""
    result = value == choices[0]
    for choice in choices[1:]:
        result |= value == choice
    return result


class TxByte(data.Struct):
    """A byte of an answer."""

    data: 8
    last: 1


class MemorySignature(wiring.Signature):
    """The port of a :class:`~fusequote_hdl.ram.Ram`, from its user's side."""

    def __init__(self, size: int):
        super().__init__({
            "en": Out(1),
            "addr": Out(range(size)),
            "w_en": Out(1),
            "w_data": Out(8),
            "r_data": In(8),
        })


MEMBERS = {
    "workspace": Out(MemorySignature(MEMORY_BYTES)),
    "request": Out(MemorySignature(BANK_BYTES)),
    # A request is there; its length; what is wrong with its frame (0: nothing, 1: bad, 2: too long).
    "frame": In(stream.Signature(data.StructLayout({"length": LENGTH_BITS, "error": 2}))),
    # The request bank is in use: between the acceptance of a frame and the next WAIT.
    "tx": Out(stream.Signature(TxByte)),
    "sha_data": Out(stream.Signature(8)),
    "sha_load": Out(stream.Signature(8)),
    "sha_digest": In(stream.Signature(8)),
    "sha_read": Out(1),
    "sha_init": Out(1),
    "sha_clear": Out(1),
    "sha_idle": In(1),
    "rsa_load": Out(stream.Signature(8)),
    "rsa_result": In(stream.Signature(8)),
    "rsa_done": In(1),
    "rsa_valid": In(1),
    "rsa_clear": Out(1),
    "rsa_idle": In(1),
    "key_order": Out(stream.Signature(KeyOrder)),
    "message": Out(stream.Signature(8)),
    "tag": In(stream.Signature(8)),
    "cmac_clear": Out(1),
    "cmac_idle": In(1),
    "fuse_addr": Out(9),
    "fuse_rdata": In(8),
    "fuse_pgm": Out(1),
    "fuse_wdata": Out(8),
    "close_rpk": Out(1),
    "close_burn": Out(1),
    "reopen": Out(1),
    "entropy": In(stream.Signature(8)),
    # The noise source failed: it is waited for no more.
    "entropy_failed": In(1),
    # An EVENT request waits behind the one that runs.
    "event": In(1),
    # Why the block started (link.md 3.1).
    "cause": In(2),
    # Waiting for a request.
    "waiting": Out(1),
}
