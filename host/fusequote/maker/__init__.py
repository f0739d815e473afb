"""The maker of chips: burns fuses once, locks them, keeps a record of what only it may know; raises and scraps them later."""

from fusequote.maker.manufacture import Manufactured, manufacture, unfinished
from fusequote.maker.records import DeviceRecord, RecordBook

__all__ = ["DeviceRecord", "Manufactured", "RecordBook", "manufacture", "unfinished"]
