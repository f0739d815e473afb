"""Which device a bitstream is for, and whether it is whole: what is looked at before anything is written to a board."""

from __future__ import annotations

import binascii

from fusequote.errors import FormatError

__all__ = ["IDCODES", "device_of"]

#: IDCODE of JTAG -> device.
IDCODES = {0x21111043: "LFE5U-12F", 0x41111043: "LFE5U-25F", 0x41112043: "LFE5U-45F", 0x41113043: "LFE5U-85F"}

_ICE40 = bytes.fromhex("7eaa997e")
#: Width and height of a bank of configuration memory -> device.
_BANKS = {(692, 336): "iCE40UP5K", (182, 80): "iCE40LP384", (332, 144): "iCE40HX1K", (872, 272): "iCE40HX8K"}
_ECP5 = bytes.fromhex("ffffbdb3")
#: Comments come before the preamble.
_HEAD = 4096


def device_of(bitstream: bytes) -> str:
    """The device. Raises :class:`FormatError` for what is no bitstream, is cut off, or has a wrong check sum."""
    head = bitstream[:_HEAD]
    if _ICE40 in head:
        return _ice40(bitstream, head.index(_ICE40) + len(_ICE40))
    if _ECP5 in head:
        return _ecp5(bitstream, head.index(_ECP5) + len(_ECP5))
    raise FormatError("this is no bitstream for an iCE40 or an ECP5",
                      hint="take the .bin or .bit file that `fusequote build` or `fusequote manufacture` wrote")


def _ice40(bitstream: bytes, at: int) -> str:
    """Commands of a nibble, and a nibble that says how many bytes follow; see icepack. CRC-16-CCITT over them."""
    width = height = 0
    bank = (0, 0)  # the first, of configuration memory
    covered = None  # where the bytes under the check sum begin
    while True:
        if at >= len(bitstream):
            raise _cut_off(len(bitstream))
        start = at
        command, size = bitstream[at] >> 4, bitstream[at] & 15
        value = int.from_bytes(bitstream[at + 1 : at + 1 + size], "big")
        at += 1 + size
        if at > len(bitstream):
            raise _cut_off(len(bitstream))
        if command == 0 and value in (1, 3):
            bank = bank if any(bank) else (width, height)
            at += width * height // 8 + 2
        elif command == 0 and value == 5:
            covered = at
        elif command == 0 and value == 6:
            break
        elif command == 2:
            # The check sum runs over itself, and is 0 then.
            if covered is not None and _crc_ccitt(bitstream[covered:at]):
                raise FormatError("this bitstream is damaged: wrong check sum", offset=start)
        elif command == 6:
            width = value + 1
        elif command == 7:
            height = value
        elif command not in (0, 1, 5, 8, 9):
            raise FormatError(f"this bitstream is damaged: unknown command 0x{bitstream[start]:02x}", offset=start)
    return _BANKS.get(bank, f"unknown iCE40, banks of {bank[0]} x {bank[1]}")


def _ecp5(bitstream: bytes, at: int) -> str:
    # VERIFY_ID, then the IDCODE, both after a few bytes of padding and the reset of the check sum.
    verify = bitstream.find(b"\xe2\x00\x00\x00", at, at + 64)
    if verify < 0 or verify + 8 > len(bitstream):
        raise _cut_off(len(bitstream))
    idcode = int.from_bytes(bitstream[verify + 4 : verify + 8], "big")
    # PROGRAM_DONE, and padding.
    if not bitstream.rstrip(b"\xff").endswith(b"\x5e\x00\x00\x00"):
        raise _cut_off(len(bitstream))
    return IDCODES.get(idcode, f"unknown ECP5, IDCODE 0x{idcode:08x}")


def _cut_off(size: int) -> FormatError:
    return FormatError(f"this bitstream is cut off: it ends after {size:,} bytes", offset=size,
                       hint="make it anew")


def _crc_ccitt(data: bytes) -> int:
    return binascii.crc_hqx(data, 0xFFFF)
