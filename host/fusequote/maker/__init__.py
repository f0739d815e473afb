"""The maker of chips: burns and locks fuses, keeps what only it may know, raises CPUSVN and scraps chips later."""

from fusequote.maker.manufacture import Manufactured, manufacture, unfinished
from fusequote.maker.records import DeviceRecord, RecordBook

__all__ = ["DeviceRecord", "Manufactured", "RecordBook", "manufacture", "unfinished"]
