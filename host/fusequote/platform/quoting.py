"""The Quoting Enclave: turns a local REPORT into an EPID quote (remote attestation spec section 1)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fusequote.arch import (
    KeyName,
    KeyRequest,
    QuoteBody,
    QuoteSignature,
    QuoteV2,
    Report,
    SignType,
    TargetInfo,
)
from fusequote.epid import Member, Signature, SignerRevoked, SigRl
from fusequote.errors import FormatError, UsageError
from fusequote.platform.application import quote_hash
from fusequote.platform.constants import Constants
from fusequote.platform.entry import Enclave
from fusequote.platform.epidblob import AttestationKey, open_blob, seal_blob
from fusequote.platform.epidfiles import read_sigrl, sigrl_signature_holds
from fusequote.platform.protocol import cmac
from fusequote.verdict import Reason, refuse

__all__ = ["LocalCheck", "QuoteResult", "QuotingEnclave"]

_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)


class LocalCheck(StrEnum):
    """How the Quoting Enclave checks a REPORT."""

    #: VERIFYREPORT: the report key stays in the chip.
    VERIFYREPORT = "verifyreport"
    #: EGETKEY(REPORT) and AES-CMAC here: the manual's way, with the key on the wire, and the KEYID compared.
    EGETKEY = "egetkey"


@dataclass(frozen=True)
class QuoteResult:
    """A quote, the QE's REPORT over it when a nonce was given, and the blob sealed anew when the TCB had
    moved.
    """

    quote: bytes
    qe_report: bytes | None
    resealed_blob: bytes | None


class QuotingEnclave:
    """The program that plays the Quoting Enclave. ``constants`` are those that its image measures."""

    def __init__(self, enclave: Enclave, constants: Constants):
        self.enclave = enclave
        self._constants = constants

    @property
    def target_info(self) -> TargetInfo:
        """For EREPORT in the application."""
        return self.enclave.target_info

    def verify_report(self, report: bytes, how: LocalCheck = LocalCheck.VERIFYREPORT) -> Report:
        """Local attestation: the REPORT, when its MAC is good for this enclave.

        Raises :class:`Refused`: report.malformed, report.mac-invalid.
        """
        try:
            received = Report.from_bytes(report, check_reserved=True)
        except FormatError as error:
            raise refuse(Reason.REPORT_FORMAT, str(error)) from error
        with self.enclave.entered() as inside:
            if how is LocalCheck.VERIFYREPORT:
                good = inside.verify(received)
            else:
                key = inside.key(KeyRequest(keyname=KeyName.REPORT, keyid=received.keyid))
                good = hmac.compare_digest(cmac(key, received.body.to_bytes()), received.mac)
                # EGETKEY gives the key of any KEYID, an earlier boot's too; this boot's is in a REPORT of our
                # own.
                good &= received.keyid == inside.report(self.target_info, bytes(64)).keyid
        if not good:
            raise refuse(Reason.REPORT_MAC)
        return received

    def get_quote(
        self,
        report: bytes,
        blob: bytes,
        *,
        spid: bytes,
        sign_type: SignType = SignType.UNLINKABLE,
        nonce: bytes | None = None,
        sigrl: bytes = b"",
        pce_svn: int = 0,
        how: LocalCheck = LocalCheck.VERIFYREPORT,
    ) -> QuoteResult:
        """A version 2 QUOTE, 1116 + 160 n bytes for a SigRL of n entries, checks in the specification's
        order.

        ``spid`` and ``nonce`` are 16 bytes, ``sigrl`` as the attestation service serves it (b"" for none),
        ``pce_svn`` is passed on, not measured. Raises :class:`UsageError` for wrong sizes, :class:`Refused`
        with report.*, quote.blob-unsealable, quote.sigrl-* or quote.revoked, the last only for a list that is
        genuine: a forged one teaches nothing.
        """
        if len(spid) != 16 or (nonce is not None and len(nonce) != 16):
            raise UsageError("SPID and nonce are 16 bytes each")
        received = self.verify_report(report, how)
        content, sealed = open_blob(self.enclave, blob)
        listed = read_sigrl(sigrl, content.group.gid) if sigrl else None
        tail = bytes(16) if sign_type is SignType.LINKABLE else secrets.token_bytes(16)
        body = QuoteBody(
            sign_type=sign_type,
            gid=content.group.gid[::-1],
            qe_svn=self.enclave.identity.isvsvn,
            pce_svn=pce_svn,
            basename=spid + tail,
            report=received.body,
        )
        signature, revoked = _sign(content, body, listed)
        quote = QuoteV2(body=body, signature=self._encrypt(signature.to_bytes()).to_bytes()).to_bytes()
        if sigrl and not sigrl_signature_holds(sigrl, self._constants.isk):
            raise refuse(Reason.SIGRL_SIGNATURE)
        if revoked:
            raise refuse(Reason.SELF_REVOKED)
        return QuoteResult(quote, self._vouch(received, nonce, quote), self._reseal(content, sealed.key_request))

    def _encrypt(self, payload: bytes) -> QuoteSignature:
        wrap_key, iv = secrets.token_bytes(16), secrets.token_bytes(12)
        return QuoteSignature(
            wrap_key=self._constants.qsdk.encrypt(wrap_key, _OAEP),
            key_hash=hashlib.sha256(wrap_key).digest(),
            iv=iv,
            sealed=AESGCM(wrap_key).encrypt(iv, payload, None),
        )

    def _vouch(self, received: Report, nonce: bytes | None, quote: bytes) -> bytes | None:
        if nonce is None:
            return None
        with self.enclave.entered() as inside:
            return inside.report(received.body.target(), quote_hash(nonce, quote)).to_bytes()

    def _reseal(self, content: AttestationKey, request: KeyRequest) -> bytes | None:
        own = self.enclave.identity
        if (request.cpusvn, request.isvsvn) == (own.cpusvn, own.isvsvn):
            return None
        return seal_blob(self.enclave, content)


def _sign(content: AttestationKey, body: QuoteBody, sigrl: SigRl | None) -> tuple[Signature, bool]:
    """The signature, and whether the list holds one of this member's own."""
    member = Member(content.group, content.key, precomp=content.precomp)
    try:
        return member.sign(body.to_bytes(), basename=body.basename, sigrl=sigrl), False
    except SignerRevoked as revoked:
        return revoked.signature, True
