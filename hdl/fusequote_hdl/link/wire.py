"""The numbers of docs/link.md, section 1, that the gateware needs."""

from enum import IntEnum

__all__ = ["ESCAPE", "ESCAPE_XOR", "FCS_SIZE", "FLAG", "MAX_CONTENTS", "MIN_CONTENTS", "FrameError"]

#: Between frames (RFC 1662, section 3.1).
FLAG = 0x7E
#: Before a stuffed byte (RFC 1662, section 4.2) ..
ESCAPE = 0x7D
#: .. which is sent XOR this.
ESCAPE_XOR = 0x20
#: Bytes of the frame check sequence.
FCS_SIZE = 4
#: Fewest bytes of contents that make a request: op and seq.
MIN_CONTENTS = 2
#: Most bytes of contents, either way.
MAX_CONTENTS = 4608


class FrameError(IntEnum):
    """What is wrong with a received frame. Fits two bits."""

    #: Nothing.
    NONE = 0
    #: Wrong FCS, cut off by an escape, or too short: LINK_BAD_FRAME.
    BAD = 1
    #: More contents than there is room for: LINK_TOO_LONG, whatever else is wrong with it.
    TOO_LONG = 2
