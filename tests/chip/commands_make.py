"""Makes the structures that commands carry, from the tables of the instruction notes, section 1.

For tests only, and apart from the model's own reading of the same tables: a mistake has to be made twice to pass.
"""

from __future__ import annotations

import hashlib

from commands_rsa import SIGNING_KEYS, Numbers, key_of
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

INIT, DEBUG, MODE64, PROVISIONKEY, TOKENKEY, CET, KSS, AEXNOTIFY = 1, 2, 4, 0x10, 0x20, 0x40, 0x80, 0x400
PT_SECS, PT_TCS, PT_REG = 0, 1, 2
R, W, X = 1, 2, 4

HEADER = bytes.fromhex("06000000E1000000 0000010000000000")
HEADER2 = bytes.fromhex("0101000060000000 6000000001000000")


def le(value: int, size: int) -> bytes:
    """``value`` in ``size`` bytes, least significant first."""
    return value.to_bytes(size, "little")


def record(size: int, *fields: tuple[int, bytes]) -> bytes:
    """``size`` bytes, 0 but for (offset, bytes) pairs."""
    out = bytearray(size)
    for offset, value in fields:
        assert offset + len(value) <= size
        out[offset : offset + len(value)] = value
    return bytes(out)


def patched(data: bytes, offset: int, value: bytes) -> bytes:
    """``data`` with ``value`` at ``offset``."""
    assert offset + len(value) <= len(data)
    return data[:offset] + value + data[offset + len(value) :]


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-128-CMAC."""
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


#: Moduli of signers: 0 and 1 provision, 2 launches, 3 and 4 just sign.
SIGNERS = [key.modulus for key in SIGNING_KEYS]
MRSIGNERS = [hashlib.sha256(modulus).digest() for modulus in SIGNERS]


def manufacture(
    rpk: bytes = bytes(range(1, 17)),
    device_id: bytes = b"test device 0001",
    cpusvn: bytes = bytes([255, 254, 253, 252, 251, 250, 249, 248] * 2),
    signers: bytes = MRSIGNERS[0] + MRSIGNERS[1],
    lepubkeyhash: bytes = MRSIGNERS[2],
    options: int = 0,
    p256_key: bytes = bytes(32),
) -> bytes:
    """The body of FUSE_MANUFACTURE, 192 bytes."""
    head = rpk + device_id + cpusvn + signers + lepubkeyhash + bytes([options])
    return record(192, (0, head), (160, p256_key))


def secinfo(page_type: int, flags: int = 0) -> bytes:
    """SECINFO, 64 bytes."""
    return record(64, (0, le(page_type << 8 | flags, 8)))


def secs(
    size: int = 0x10000,
    base: int = 0x7000_0000_0000,
    ssaframesize: int = 1,
    miscselect: int = 0,
    cet_bitmap: int = 0,
    cet: int = 0,
    flags: int = MODE64,
    xfrm: int = 3,
    configid: bytes = bytes(64),
    configsvn: int = 0,
) -> bytes:
    """SECS as ECREATE's source, 4096 bytes."""
    return record(
        4096,
        (0, le(size, 8) + le(base, 8) + le(ssaframesize, 4) + le(miscselect, 4) + le(cet_bitmap, 8) + le(cet, 1)),
        (48, le(flags, 8) + le(xfrm, 8)),
        (192, configid),
        (260, le(configsvn, 2)),
    )


def tcs_page(
    nssa: int = 2,
    oentry: int = 0x1000,
    flags: int = 0,
    cssa: int = 0,
    fslimit: int = 0xFFFFFFFF,
    gslimit: int = 0xFFFFFFFF,
    ocetssa: int = 0,
) -> bytes:
    """A TCS as EADD's source, 4096 bytes."""
    return record(
        4096,
        (8, le(flags, 8) + le(0x2000, 8) + le(cssa, 4) + le(nssa, 4) + le(oentry, 8)),
        (48, le(0x3000, 8) + le(0x4000, 8) + le(fslimit, 4) + le(gslimit, 4) + le(ocetssa, 8)),
    )


def sigstruct(
    modulus: bytes,
    enclavehash: bytes,
    attributes: bytes,
    attributemask: bytes = b"\xff" * 16,
    *,
    vendor: int = 0,
    miscselect: int = 0,
    miscmask: int = 0xFFFFFFFF,
    cet: int = 0,
    cetmask: int = 0,
    isvfamilyid: bytes = bytes(16),
    isvextprodid: bytes = bytes(16),
    isvprodid: int = 0,
    isvsvn: int = 0,
) -> bytes:
    """SIGSTRUCT, 1808 bytes, signed when ``modulus`` is one of :data:`SIGNERS`."""
    unsigned = record(
        1808,
        (0, HEADER + le(vendor, 4) + le(0x20240229, 4) + HEADER2),
        (128, modulus + le(3, 4)),
        (900, le(miscselect, 4) + le(miscmask, 4) + bytes([cet, cetmask])),
        (912, isvfamilyid + attributes + attributemask + enclavehash),
        (1008, isvextprodid + le(isvprodid, 2) + le(isvsvn, 2)),
    )
    return signed(unsigned)


def message_of(sig: bytes) -> bytes:
    """The 256 bytes of a SIGSTRUCT that are signed."""
    return sig[0:128] + sig[900:1028]


def with_numbers(sig: bytes, numbers: Numbers) -> bytes:
    """The same SIGSTRUCT with another MODULUS, SIGNATURE, Q1 and Q2."""
    modulus, signature, q1, q2 = (numbers.to_bytes()[i : i + 384] for i in range(0, 1536, 384))
    return sig[:128] + modulus + sig[512:516] + signature + sig[900:1040] + q1 + q2


def signed(sig: bytes) -> bytes:
    """The same SIGSTRUCT, signed anew; as it is when nobody here has the key."""
    key = key_of(sig[128:512])
    return with_numbers(sig, key.sign(message_of(sig))) if key else sig


#: Not VALID: the enclave is launched by LEPUBKEYHASH alone.
NO_TOKEN = bytes(304)


def token(
    attributes: bytes,
    mrenclave: bytes,
    mrsigner: bytes,
    *,
    cpusvn_le: bytes,
    isvprodid_le: int,
    isvsvn_le: int,
    cet_le: int,
    misc_le: int,
    attributes_le: bytes,
    keyid: bytes,
) -> bytes:
    """EINITTOKEN, VALID, its MAC still to come: 304 bytes."""
    return record(
        304,
        (0, le(1, 4)),
        (48, attributes + mrenclave),
        (128, mrsigner),
        (192, cpusvn_le + le(isvprodid_le, 2) + le(isvsvn_le, 2) + bytes([cet_le])),
        (236, le(misc_le, 4) + attributes_le + keyid),
    )


def maced(unmaced: bytes, key: bytes) -> bytes:
    """The same EINITTOKEN with its MAC."""
    return patched(unmaced, 288, cmac(key, unmaced[:192]))


def keyrequest(
    keyname: int,
    *,
    policy: int = 0,
    isvsvn: int = 0,
    cetmask: int = 0,
    cpusvn: bytes = bytes(16),
    attributemask: bytes = bytes(16),
    keyid: bytes = bytes(32),
    miscmask: int = 0,
    configsvn: int = 0,
) -> bytes:
    """KEYREQUEST, 512 bytes."""
    return record(
        512,
        (0, le(keyname, 2) + le(policy, 2) + le(isvsvn, 2) + bytes([cetmask, 0])),
        (8, cpusvn + attributemask + keyid + le(miscmask, 4) + le(configsvn, 2)),
    )


def targetinfo(info: bytes) -> bytes:
    """TARGETINFO, 512 bytes, of the enclave whose SLOT_INFO (or REPORT) begins with these 320 bytes."""
    return record(
        512,
        (0, info[64:96] + info[48:64] + info[20:21]),
        (50, info[260:262] + info[16:20]),
        (64, info[192:256]),
    )
