"""KEYREQUEST and KD1: what EGETKEY is asked for, and what keys are derived from (instruction notes 1.7, 5)."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from fusequote.arch.attributes import Attributes, MiscSelect
from fusequote.arch.flags import bit_flags
from fusequote.arch.layout import U8, U16, U32, Bytes, Reserved, Struct, Sub


class KeyName(IntEnum):
    """KEYREQUEST.KEYNAME."""

    EINITTOKEN = 0
    PROVISION = 1
    PROVISION_SEAL = 2
    REPORT = 3
    SEAL = 4


@bit_flags
class KeyPolicy(IntFlag):
    """KEYREQUEST.KEYPOLICY. Bits 15:6 must be 0; bits 5:2 need KSS."""

    MRENCLAVE = 0x01
    MRSIGNER = 0x02
    NOISVPRODID = 0x04
    CONFIGID = 0x08
    ISVFAMILYID = 0x10
    ISVEXTPRODID = 0x20


class KeyRequest(Struct, size=512, align=512):
    """KEYREQUEST, EGETKEY's operand."""

    keyname = U16(0, "which key", enum=KeyName)
    keypolicy = U16(2, "what it is bound to", enum=KeyPolicy)
    isvsvn = U16(4, "security version of the enclave, its own or older")
    cet_attributes_mask = U8(6)
    reserved1 = Reserved(7, 1)
    cpusvn = Bytes(8, 16, "security versions of the CPU, its own or older")
    attributemask = Sub(24, Attributes, "ATTRIBUTES that are bound; INIT and DEBUG always are")
    keyid = Bytes(40, 32, "distinguishes keys; for a REPORT key the REPORT's")
    miscmask = U32(72, enum=MiscSelect)
    configsvn = U16(76, "KSS")
    reserved2 = Reserved(78, 434)


class Psvn(Struct, size=18):
    """PSVN, the platform's security version: CPUSVN and the ISVSVN of an architectural enclave."""

    cpusvn = Bytes(0, 16)
    isvsvn = U16(16)


#: AlgorithmIdentifier and OCTET STRING head of a SHA-256 DigestInfo (RFC 8017 section 9.2), 19 bytes.
SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
#: What a verified SIGSTRUCT signature leaves above the hash, big-endian order (instruction notes 3.2).
PADDING_352 = b"\x00\x01" + b"\xff" * 330 + b"\x00" + SHA256_DIGEST_INFO


class Kd1(Struct, size=656):
    """KD1, the key-derivation profile of this chip: 41 AES blocks (instruction notes 5.2). Ours, not Intel's.

    A derived key is AES-CMAC(K(CPUSVN), KD1). A fixed length and a place of its own for every input of the manual's
    derivation make the packing injective.
    """

    keyname = U16(0, enum=KeyName)
    keypolicy = U16(2, enum=KeyPolicy)
    isvprodid = U16(4)
    isvsvn = U16(6)
    configsvn = U16(8)
    cet_attributes = U8(10)
    cet_attributes_mask = U8(11)
    miscselect = U32(12, enum=MiscSelect)
    miscmask = U32(16, "PROVISION* and SEAL: the request's, inverted")
    reserved1 = Reserved(20, 12)
    attributes = Sub(32, Attributes)
    attributemask = Sub(48, Attributes)
    ownerepoch = Bytes(64, 16, secret=True)
    cpusvn = Bytes(80, 16)
    mrenclave = Bytes(96, 32)
    mrsigner = Bytes(128, 32)
    keyid = Bytes(160, 32)
    configid = Bytes(192, 64)
    isvfamilyid = Bytes(256, 16)
    isvextprodid = Bytes(272, 16)
    seal_fuses = Bytes(288, 16, "root sealing key, or 0", secret=True)
    padding = Bytes(304, 352, "SECS.PADDING, or the constant for REPORT keys")
