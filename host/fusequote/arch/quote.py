"""QUOTE version 2, the EPID quote (remote attestation notes 1.2, 1.3). Quote integers are little-endian."""

from __future__ import annotations

from enum import IntEnum

from fusequote.arch.layout import U16, U32, Bytes, Struct, Sub, Tail
from fusequote.arch.report import ReportBody

#: Bytes of an EPID basic signature, of one non-revoked proof, and of what surrounds them.
BASIC_SIGNATURE_SIZE = 352
NR_PROOF_SIZE = 160
GCM_TAG_SIZE = 16
#: Bytes of a quote that the EPID signature covers: all before signature_len.
SIGNED_SIZE = 432
QUOTE_VERSION = 2


class SignType(IntEnum):
    """Whether quotes with one basename can be told to be of one platform."""

    UNLINKABLE = 0
    LINKABLE = 1


class QuoteBody(Struct, size=432, title="QUOTE v2 body"):
    """What the EPID signature covers, and what an attestation report returns as isvEnclaveQuoteBody."""

    version = U16(0, "2", default=QUOTE_VERSION)
    sign_type = U16(2, enum=SignType)
    gid = Bytes(4, 4, "EPID group, little-endian: the EPID library's four bytes reversed")
    qe_svn = U16(8, "ISVSVN of the Quoting Enclave")
    pce_svn = U16(10, "ISVSVN of the PCE")
    xeid = U32(12, "extended EPID group")
    basename = Bytes(16, 32, "SPID, then 16 zero bytes (linkable) or 16 random ones")
    report = Sub(48, ReportBody, "body of the enclave's REPORT")

    @property
    def group_id(self) -> bytes:
        """The group as the EPID library has it, 4 bytes big-endian."""
        return self.gid[::-1]

    @property
    def spid(self) -> bytes:
        """First half of the basename: the service provider, 16 bytes."""
        return self.basename[:16]


class QuoteV2(Struct, size=436, title="QUOTE v2"):
    """A whole quote: body, signature_len (not signed), and the encrypted signature.

    ``signature`` parses with :class:`QuoteSignature`.
    """

    COVER = ((0, SIGNED_SIZE, "EPID signature"),)

    body = Sub(0, QuoteBody)
    signature_len = U32(432, "680 + 160 n2")
    signature = Tail(436, "encrypted signature", length_field="signature_len")


class QuoteSignature(Struct, size=304, title="QUOTE v2 signature"):
    """The encrypted signature. AES-GCM without AAD over one stream of payload_size bytes."""

    wrap_key = Bytes(0, 256, "RSA-2048-OAEP (SHA-256) of the AES key, to the attestation service")
    key_hash = Bytes(256, 32, "SHA-256 of the AES key")
    iv = Bytes(288, 12, "of AES-GCM")
    payload_size = U32(300, "360 + 160 n2")
    sealed = Tail(304, "encrypted payload, then the 16-byte GCM tag", length_field="payload_size", extra=GCM_TAG_SIZE)

    @property
    def ciphertext(self) -> bytes:
        """The encrypted payload."""
        return self.sealed[:-GCM_TAG_SIZE]

    @property
    def tag(self) -> bytes:
        """The GCM tag."""
        return self.sealed[-GCM_TAG_SIZE:]


class QuotePayload(Struct, size=360, title="QUOTE v2 signature payload"):
    """The decrypted payload: the EPID library's integers, big-endian."""

    basic_signature = Bytes(0, BASIC_SIGNATURE_SIZE, "B64 K64 T64 c32 sx32 sf32 sa32 sb32")
    rl_ver = U32(352, "version of the signature revocation list, 0 without", big=True)
    n2 = U32(356, "entries of that list", big=True)
    proofs = Tail(360, "non-revoked proofs: T64 c32 smu32 snu32", length_field="n2", unit=NR_PROOF_SIZE)


def payload_size(n2: int) -> int:
    """Bytes of the payload of a quote against a SigRL of ``n2`` entries."""
    return QuotePayload.SIZE + NR_PROOF_SIZE * n2


def signature_size(n2: int) -> int:
    """signature_len of such a quote: 680 + 160 n2."""
    return QuoteSignature.SIZE + payload_size(n2) + GCM_TAG_SIZE


def quote_size(n2: int) -> int:
    """Bytes of such a quote: 1116 + 160 n2."""
    return QuoteV2.SIZE + signature_size(n2)
