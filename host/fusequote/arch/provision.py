"""Structures inside provisioning messages (remote attestation notes 4.2).

Whatever the EPID library makes, and TLV sizes, are big-endian; PSVNs, the PCE's numbers and the keys of an extended
group are little-endian, as in the SGX structures that they come from.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum, IntFlag

from fusequote.arch.epid import ECDSA_SIZE
from fusequote.arch.flags import bit_flags
from fusequote.arch.keys import Psvn
from fusequote.arch.layout import U8, U16, U32, Bytes, Reserved, Struct, Sub, Tail
from fusequote.arch.report import ReportBody

__all__ = [
    "BlockCipherText",
    "CertifiedReport",
    "CipherText",
    "DeviceId",
    "EndpointCache",
    "EsInformation",
    "EsSelector",
    "Escrow",
    "ExtendedGroupBlob",
    "IssuedCredential",
    "JoinProof",
    "KeyId",
    "PlatformInfo",
    "ProvisioningFlags",
    "RekeyFlag",
    "RsaSignature",
    "SignedPek",
]

#: Bytes of the provisioning server's RSA modulus, hence of everything encrypted to it or signed by it.
RSA_SIZE = 384
IV_SIZE, TAG_SIZE = 12, 16


class KeyId(IntEnum):
    """Which half of the server's RSA-3072 key a ciphertext or a signature was made with."""

    PEK_3072_PUB = 3
    PEK_3072_PRIV = 4


class CipherText(Struct, size=1 + RSA_SIZE, title="CIPHER_TEXT"):
    """RSA-3072-OAEP (SHA-256, empty label) to the provisioning server."""

    key_id = U8(0, "3: the PEK", enum=KeyId, default=KeyId.PEK_3072_PUB)
    ciphertext = Bytes(1, RSA_SIZE)


class RsaSignature(Struct, size=1 + RSA_SIZE, title="SIGNATURE"):
    """RSA-3072 PKCS#1 v1.5 with SHA-256 by the provisioning server."""

    key_id = U8(0, "4: the PEK's private half", enum=KeyId, default=KeyId.PEK_3072_PRIV)
    signature = Bytes(1, RSA_SIZE)


class BlockCipherText(Struct, size=IV_SIZE, title="BLOCK_CIPHER_TEXT"):
    """AES-128-GCM; its tag stands in the MAC container after it."""

    iv = Bytes(0, IV_SIZE)
    ciphertext = Tail(IV_SIZE, "as long as the clear text")


class PlatformInfo(Struct, size=26, title="PLATFORM_INFO"):
    """A platform's TCB."""

    cpusvn = Bytes(0, 16)
    pve_svn = U16(16, "ISVSVN of Provisioning and Quoting Enclave")
    pce_svn = U16(18, "ISVSVN of the PCE")
    pce_id = U16(20, "0")
    fmsp = Bytes(22, 4, "family, model, stepping, platform: 0")

    @property
    def psvn(self) -> Psvn:
        """PSVN of the Provisioning Enclave."""
        return Psvn(cpusvn=self.cpusvn, isvsvn=self.pve_svn)

    @property
    def pce_psvn(self) -> Psvn:
        """PSVN of the PCE."""
        return Psvn(cpusvn=self.cpusvn, isvsvn=self.pce_svn)


class DeviceId(Struct, size=38, title="DEVICE_ID"):
    """What join proof and credential are bound to. The PPID is left zero."""

    ppid = Bytes(0, 16, "0 here")
    psvn = Sub(16, Psvn)
    fmsp = Bytes(34, 4)


class SignedPek(Struct, size=492, title="PEK"):
    """The provisioning server's RSA key, signed by the PEK signing key. Nobody checks the SHA-1 sums."""

    COVER = ((0, 388, "ECDSA signature"),)

    n = Bytes(0, RSA_SIZE, "modulus, big-endian")
    e = Bytes(384, 4, "exponent, big-endian")
    sha1_ne = Bytes(388, 20, "SHA-1 of n, e")
    signature = Bytes(408, ECDSA_SIZE, "ECDSA P-256, r then s, over n, e")
    sha1_signature = Bytes(472, 20, "SHA-1 of the signature")

    @property
    def key_bytes(self) -> bytes:
        """n then e, 388 bytes: what is signed, hashed into PSID, and told to the PCE."""
        return self.to_bytes()[:388]

    @property
    def psid(self) -> bytes:
        """The provisioning server's name: SHA-256 of n, e."""
        return hashlib.sha256(self.key_bytes).digest()


class ExtendedGroupBlob(Struct, size=460, title="extended EPID group blob"):
    """Keys of another operator (XEGB); all zero stands for those that the enclaves were built with, and XEID 0."""

    COVER = ((0, 396, "ECDSA signature"),)
    FORMAT, LENGTH = 1, 392

    format_id = U16(0, "1", big=True, default=FORMAT)
    data_length = U16(2, "392: bytes after it, without the signature", big=True, default=LENGTH)
    xeid = U32(4, "extended EPID group")
    isk = Bytes(8, 64, "EPID signing key, x then y, little-endian each")
    peksk = Bytes(72, 64, "PEK signing key, x then y, little-endian each")
    qsdk_exponent = Bytes(136, 4, "little-endian")
    qsdk_modulus = Bytes(140, 256, "little-endian")
    signature = Bytes(396, ECDSA_SIZE, "ECDSA P-256, r then s, big-endian, by the key of extended groups")

    @classmethod
    def default(cls) -> ExtendedGroupBlob:
        """All zero."""
        return cls.from_bytes(bytes(cls.SIZE))

    @property
    def is_default(self) -> bool:
        """Whether it names no keys."""
        return not any(self.to_bytes())

    def signed_message(self) -> bytes:
        """What the signature covers, 396 bytes."""
        return self.to_bytes()[:396]


class Escrow(Struct, size=64, title="escrow"):
    """The member's secret f under a key that only its own platform has; the server keeps it."""

    version = U32(0, "0")
    iv = Bytes(4, IV_SIZE)
    ciphertext = Bytes(16, 32, "f")
    tag = Bytes(48, TAG_SIZE)


class JoinProof(Struct, size=192, title="EPID_JOIN_PROOF"):
    """The request to join, and the escrow."""

    join_request = Bytes(0, 128, "F 64, c 32, s 32")
    escrow = Sub(128, Escrow)


class IssuedCredential(Struct, size=160, title="EPID_MEMBERSHIP_CREDENTIAL"):
    """The issuer's half of the key, x before A, and the escrow back."""

    x = Bytes(0, 32)
    A = Bytes(32, 64)
    escrow = Sub(96, Escrow)


class CertifiedReport(Struct, size=448, title="SE_REPORT"):
    """A REPORT's body, signed by the PCE's key of one TCB. KEYID and MAC stay on the platform."""

    COVER = ((0, 384, "ECDSA signature"),)

    body = Sub(0, ReportBody)
    signature = Bytes(384, ECDSA_SIZE, "ECDSA P-256, r then s, big-endian, over the body")


@bit_flags
class RekeyFlag(IntFlag):
    """Last byte of FLAGS."""

    PERFORMANCE_REKEY = 0x01


class ProvisioningFlags(Struct, size=16, title="FLAGS"):
    """What the platform wants beside a key."""

    reserved = Reserved(0, 15)
    flags = U8(15, enum=RekeyFlag)


class EsSelector(Struct, size=2, title="ES_SELECTOR"):
    """Which server a platform asks for."""

    protocol = U8(0, "0: EPID provisioning")
    selector = U8(1, "first byte of the PPID, as the Provisioning Enclave has it")


class EsInformation(Struct, size=2, title="ES_INFORMATION"):
    """Where to provision."""

    ttl = U16(0, "seconds that the address is good for", big=True)
    url = Tail(2, "ASCII")


class EndpointCache(Struct, size=754, title="endpoint selection result"):
    """What a platform keeps of endpoint selection for times when the server does not answer."""

    data_type = U8(0, default=1)
    version = U8(1, default=1)
    pek = Sub(2, SignedPek)
    url = Bytes(494, 260, "ASCII, then zeros")
