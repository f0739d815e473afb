"""The SIGMA-like key exchange around a quote, msg0 to msg4 (remote attestation notes 2).

Numbers are little-endian; a P-256 point is x then y, each a little-endian integer of 32 bytes; so are r and s.
"""

from __future__ import annotations

from enum import IntEnum

from fusequote.arch.epid import PlatformInfoBlob
from fusequote.arch.layout import U16, U32, Bytes, Struct, Sub, Tail
from fusequote.arch.quote import SignType

#: The only key derivation that is standardised.
KDF_ID = 1
#: Bytes of msg2 that its MAC covers.
MSG2_MAC_SIZE = 148


class Msg0(Struct, size=4, title="msg0"):
    """Extended EPID group id, which has to be one that the service provider takes."""

    xeid = U32(0, "extended EPID group, 0")


class Msg1(Struct, size=68, title="msg1"):
    """The enclave's ephemeral key and its platform's group."""

    g_a = Bytes(0, 64, "ephemeral public key of the enclave")
    gid = Bytes(64, 4, "EPID group, little-endian")


class Msg2(Struct, size=168, title="msg2"):
    """The service provider's ephemeral key, signed, and the SigRL of the group."""

    COVER = ((0, MSG2_MAC_SIZE, "MAC"),)

    g_b = Bytes(0, 64, "ephemeral public key of the service provider")
    spid = Bytes(64, 16, "service provider")
    quote_type = U16(80, enum=SignType)
    kdf_id = U16(82, "1", default=KDF_ID)
    sign_gb_ga = Bytes(84, 64, "ECDSA P-256 of the service provider over g_b, g_a")
    mac = Bytes(148, 16, "AES-128-CMAC(SMK, bytes 0..147)")
    sig_rl_size = U32(164, "bytes of the SigRL, not under the MAC")
    sig_rl = Tail(168, "SigRL with its own signature", length_field="sig_rl_size")


class Msg3(Struct, size=336, title="msg3"):
    """The quote. The MAC covers everything after it."""

    COVER = ((16, 1 << 32, "MAC"),)

    mac = Bytes(0, 16, "AES-128-CMAC(SMK, all that follows)")
    g_a = Bytes(16, 64, "ephemeral public key of the enclave, again")
    ps_sec_prop = Bytes(80, 256, "platform services' security property, 0")
    quote = Tail(336, "QUOTE v2")


class TrustStatus(IntEnum):
    """msg4 as sgx-ra-sample sends it."""

    NOT_TRUSTED = 0
    NOT_TRUSTED_ITS_COMPLICATED = 1
    TRUSTED_ITS_COMPLICATED = 2
    TRUSTED = 3


class Msg4(Struct, size=105, title="msg4"):
    """The verdict, as sgx-ra-sample sends it; no standard says so."""

    status = U32(0, enum=TrustStatus)
    platform_info = Sub(4, PlatformInfoBlob)
