"""EPID material in SGX's wrappings: SigRL, group certificate, platform info blob.

Remote attestation notes 1.5, 4.2, 3.3. Everything here is big-endian but the ISVSVN inside a PSVN, and the XEID.
"""

from __future__ import annotations

from enum import IntFlag

from fusequote.arch.flags import bit_flags
from fusequote.arch.keys import Psvn
from fusequote.arch.layout import U8, U16, U32, Bytes, Struct, Sub, Tail
from fusequote.errors import FormatError

#: First bytes of SGX's wrappings: version 00 02, then the kind of blob.
SIGRL_HEADER = bytes.fromhex("0002000e")
GROUP_CERT_HEADER = bytes.fromhex("0002000c")
#: Bytes of one SigRL entry, B then K.
SIGRL_ENTRY_SIZE = 128
#: Bytes of an ECDSA P-256 signature, r then s.
ECDSA_SIZE = 64


class SgxSigRl(Struct, size=16, title="SigRL"):
    """Signature revocation list as the Quoting Enclave takes it. Signed by the EPID signing key.

    The tail is n2 entries of B64 K64, then the signature over all before it. The Quoting Enclave refuses a list without
    entries: an empty list is served as no list.
    """

    header = Bytes(0, 4, "00 02 00 0E", default=SIGRL_HEADER)
    gid = Bytes(4, 4, "EPID group")
    rl_ver = U32(8, "version of the list", big=True)
    n2 = U32(12, "entries", big=True)
    rest = Tail(16, "entries, then ECDSA", length_field="n2", unit=SIGRL_ENTRY_SIZE, extra=ECDSA_SIZE)

    @classmethod
    def build(cls, gid: bytes, rl_ver: int, entries: list[bytes], signature: bytes) -> SgxSigRl:
        """The list of these 128-byte entries; ``signature`` is r then s, 64 bytes."""
        if any(len(entry) != SIGRL_ENTRY_SIZE for entry in entries) or len(signature) != ECDSA_SIZE:
            raise FormatError("SigRL: an entry is 128 bytes, the signature 64")
        return cls(gid=gid, rl_ver=rl_ver, rest=b"".join(entries) + signature)

    @property
    def entries(self) -> list[bytes]:
        """B and K of each revoked signature, 128 bytes each."""
        body = self.rest[:-ECDSA_SIZE]
        return [body[i : i + SIGRL_ENTRY_SIZE] for i in range(0, len(body), SIGRL_ENTRY_SIZE)]

    @property
    def signature(self) -> bytes:
        """ECDSA P-256, r then s, big-endian."""
        return self.rest[-ECDSA_SIZE:]

    def signed_message(self) -> bytes:
        """What the signature covers."""
        return self.to_bytes()[:-ECDSA_SIZE]


class GroupCert(Struct, size=328, title="EPID group certificate"):
    """Signed EPID group public key as provisioning carries it."""

    COVER = ((0, 264, "ECDSA signature"),)

    header = Bytes(0, 4, "00 02 00 0C", default=GROUP_CERT_HEADER)
    gid = Bytes(4, 4, "EPID group")
    h1 = Bytes(8, 64, "G1")
    h2 = Bytes(72, 64, "G1")
    w = Bytes(136, 128, "G2")
    signature = Bytes(264, 64, "ECDSA P-256 of the EPID signing key, r then s")

    def signed_message(self) -> bytes:
        """What the signature covers, 264 bytes."""
        return self.to_bytes()[:264]

    @property
    def public_key(self) -> bytes:
        """gid, h1, h2, w: 260 bytes, the EPID library's GroupPubKey."""
        return self.to_bytes()[4:264]


@bit_flags
class GroupFlags(IntFlag):
    """sgx_epid_group_flags."""

    QE_REVOKED = 0x01
    REKEY_AVAILABLE = 0x02
    OUT_OF_DATE = 0x04


@bit_flags
class TcbFlags(IntFlag):
    """sgx_tcb_evaluation_flags."""

    CPUSVN_OUT_OF_DATE = 0x1
    QE_SVN_OUT_OF_DATE = 0x2
    PCE_SVN_OUT_OF_DATE = 0x4
    CONFIGURATION_NEEDED = 0x8


class PlatformInfoBlob(Struct, size=101, title="platform info blob"):
    """What an attestation report tells the platform about itself, 101 bytes without their TLV header."""

    COVER = ((0, 37, "ECDSA signature"),)
    #: TLV type 21, version 2, length 101.
    TLV_HEADER = bytes.fromhex("15020065")

    group_flags = U8(0, enum=GroupFlags)
    tcb_flags = U16(1, enum=TcbFlags, big=True)
    pse_flags = U16(3, "0", big=True)
    latest_psvn = Sub(5, Psvn, "latest equivalent TCB")
    latest_pse_isvsvn = U16(23, big=True)
    latest_psda_svn = U32(25, big=True)
    xeid = U32(29, "extended EPID group")
    gid = Bytes(33, 4, "EPID group, big-endian")
    signature = Bytes(37, 64, "ECDSA P-256, r then s")

    @classmethod
    def from_tlv(cls, data: bytes) -> PlatformInfoBlob:
        """From the 105 bytes whose hexadecimal an attestation report carries."""
        if data[:4] != cls.TLV_HEADER:
            raise FormatError(f"platform info blob: TLV header 15020065 wanted, not {data[:4].hex()}", offset=0)
        return cls.from_bytes(data[4:])

    def to_tlv(self) -> bytes:
        """With the TLV header, 105 bytes."""
        return self.TLV_HEADER + self.to_bytes()

    def signed_message(self) -> bytes:
        """What the signature covers, 37 bytes."""
        return self.to_bytes()[:37]
