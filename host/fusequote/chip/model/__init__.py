"""The reference model: the chip in plain Python, written from docs/link.md and docs/chip.md.

It is what ``model://`` runs and what the RTL is compared with, byte for byte, so it is written to be read
beside those documents and the manual, and shares nothing with the RTL but them. It promises no constant
time and no protection of its memory: whoever can read the process can read the keys.
"""

from .chip import SLOTS, TCS_PER_SLOT, ModelChip, ModelLink
from .status import Status

__all__ = ["SLOTS", "TCS_PER_SLOT", "ModelChip", "ModelLink", "Status"]
