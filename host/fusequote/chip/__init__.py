"""The host's end of the link: framing, the client, and the reference model behind ``model://``."""

from fusequote.chip.client import Chip, PipelineResult, open_chip
from fusequote.chip.handles import Entry, Handle, Ticket
from fusequote.chip.identity import Capability, FuseOption, FuseStatus, Identity, LifeCycle, Start
from fusequote.chip.ops import Command, Op
from fusequote.chip.status import BlockError, ChipFault, CommandError, LinkError, SgxError, Status
from fusequote.chip.trace import Stats, Trace, TraceEvent
from fusequote.chip.watch import Patience

__all__ = [
    "BlockError",
    "Capability",
    "Chip",
    "ChipFault",
    "Command",
    "CommandError",
    "Entry",
    "FuseOption",
    "FuseStatus",
    "Handle",
    "Identity",
    "LifeCycle",
    "LinkError",
    "Op",
    "Patience",
    "PipelineResult",
    "SgxError",
    "Start",
    "Stats",
    "Status",
    "Ticket",
    "Trace",
    "TraceEvent",
    "open_chip",
]
