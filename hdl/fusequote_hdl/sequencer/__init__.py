"""The sequencer: the machine that runs the leaves, where its bytes come from, and where they go."""

from .machine import Sequencer
from .ports import BANK_BYTES, CALL_DEPTH, MEMORY_BYTES, PC_BITS, MemorySignature, TxByte

__all__ = ["BANK_BYTES", "CALL_DEPTH", "MEMORY_BYTES", "MemorySignature", "PC_BITS", "Sequencer", "TxByte"]
