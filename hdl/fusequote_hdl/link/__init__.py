"""The link between a byte stream and the block: frames of docs/link.md section 1, and a UART for boards."""

from .answers import AnswerBuffer
from .crc import Crc32
from .deframer import Deframer, FrameLayout
from .framer import ContentsLayout, Framer
from .uart import UartReceiver, UartTransmitter
from .wire import FrameError

__all__ = [
    "AnswerBuffer",
    "ContentsLayout",
    "Crc32",
    "Deframer",
    "FrameError",
    "FrameLayout",
    "Framer",
    "UartReceiver",
    "UartTransmitter",
]
