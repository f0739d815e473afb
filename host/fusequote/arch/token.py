"""EINITTOKEN: a launch enclave's permission for EINIT (instruction notes 1.9)."""

from __future__ import annotations

from enum import IntFlag

from fusequote.arch.attributes import Attributes, MiscSelect
from fusequote.arch.flags import bit_flags
from fusequote.arch.layout import U8, U16, U32, Bytes, Reserved, Struct, Sub


@bit_flags
class TokenValid(IntFlag):
    """EINITTOKEN.VALID."""

    VALID = 0x1


class EinitToken(Struct, size=304, align=512, title="EINITTOKEN"):
    """EINITTOKEN. All zero means: none, launch by LEPUBKEYHASH."""

    COVER = ((0, 192, "MAC"),)

    valid = U32(0, "bit 0; the rest 0", enum=TokenValid)
    reserved1 = Reserved(4, 44)
    attributes = Sub(48, Attributes, "ATTRIBUTES of the enclave that may start")
    mrenclave = Bytes(64, 32, "its MRENCLAVE")
    reserved2 = Reserved(96, 32)
    mrsigner = Bytes(128, 32, "its MRSIGNER")
    reserved3 = Reserved(160, 32)
    cpusvnle = Bytes(192, 16, "CPUSVN of the key")
    isvprodidle = U16(208, "ISVPRODID of the launch enclave")
    isvsvnle = U16(210, "ISVSVN of the launch enclave")
    cet_masked_attributes_le = U8(212)
    reserved4 = Reserved(213, 23)
    maskedmiscselectle = U32(236, enum=MiscSelect)
    maskedattributesle = Sub(240, Attributes, "ATTRIBUTES of the launch enclave, masked")
    keyid = Bytes(256, 32)
    mac = Bytes(288, 16, "AES-128-CMAC(EINITTOKEN key, bytes 0..191)")
