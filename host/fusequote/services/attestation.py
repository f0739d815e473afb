"""The attestation service without its transport: quote in, signed Attestation Verification Report out.

Formats and the order of decisions are those of remote attestation spec section 3, v4 of the API. A quote that
is none, or that does not decrypt, is no report but a refusal (HTTP 400 there); everything else is a status in
a report.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fusequote.arch import QuoteBody, QuotePayload, QuoteSignature, QuoteV2, SignType
from fusequote.arch.quote import QUOTE_VERSION
from fusequote.epid import Verifier, VerifyResult
from fusequote.errors import FormatError, UsageError
from fusequote.platform.epidfiles import sign_sigrl
from fusequote.services.platforminfo import platform_info
from fusequote.services.registry import Registry
from fusequote.services.roots import ServiceKeys
from fusequote.services.store import utc_now
from fusequote.services.tables import TcbRecord
from fusequote.verdict import Reason, refuse

__all__ = ["ADVISORY_URL", "AVR_VERSION", "AttestationService", "SignedReport"]

AVR_VERSION = 4
ADVISORY_URL = "https://security-center.intel.com"
#: Characters of a relying party's nonce.
NONCE_LIMIT = 32

_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
_EPID_STATUS = {
    VerifyResult.kEpidSigValid: None,
    VerifyResult.kEpidSigRevokedInGroupRl: "GROUP_REVOKED",
    VerifyResult.kEpidSigRevokedInPrivRl: "KEY_REVOKED",
    VerifyResult.kEpidVersionMismatchErr: "SIGRL_VERSION_MISMATCH",
    VerifyResult.kEpidSigRevokedInSigRl: "SIGNATURE_REVOKED",
}
#: Statuses with a platformInfoBlob, and with advisories (spec 3.1).
_WITH_BLOB = {"GROUP_REVOKED", "GROUP_OUT_OF_DATE", "CONFIGURATION_NEEDED", "CONFIGURATION_AND_SW_HARDENING_NEEDED"}
_WITH_ADVISORIES = _WITH_BLOB - {"GROUP_REVOKED"} | {"SW_HARDENING_NEEDED"}


@dataclass(frozen=True)
class SignedReport:
    """An AVR as it travels: the JSON's exact bytes, the signature over them, signing certificate and root as
    PEM.
    """

    body: bytes
    signature: bytes
    chain_pem: bytes


class AttestationService:
    """Verifies quotes against the registry's groups and signs what it finds. ``clock`` gives UTC."""

    def __init__(self, registry: Registry, keys: ServiceKeys, clock: Callable[[], datetime.datetime] = utc_now):
        self._registry, self._keys, self._clock = registry, keys, clock

    def sigrl(self, gid: bytes) -> bytes:
        """The signed SigRL of a group (its 4-byte gid as EPID has it); b"" when it has no entries.

        Raises :class:`UsageError` for a group that the service does not know.
        """
        if self._registry.group_key(gid) is None:
            raise UsageError(f"no EPID group {gid.hex()}")
        return sign_sigrl(self._registry.sigrl(gid), self._keys.epid_signing)

    def report(self, quote: bytes, nonce: str | None = None) -> SignedReport:
        """The signed report about ``quote``, with ``nonce`` (up to 32 characters) echoed.

        Raises :class:`Refused`: quote.malformed, quote.undecryptable; :class:`UsageError` for a longer nonce.
        """
        if nonce is not None and len(nonce) > NONCE_LIMIT:
            raise UsageError(f"a nonce has at most {NONCE_LIMIT} characters, not {len(nonce)}")
        parsed = _parse(quote)
        payload = self._decrypt(parsed)
        status, tcb = self._decide(parsed.body, payload)
        body = self._compose(parsed.body, payload, status, tcb, nonce)
        signature = self._keys.report_signing.sign(body, padding.PKCS1v15(), hashes.SHA256())
        return SignedReport(body, signature, self._keys.chain_pem)

    def _decrypt(self, quote: QuoteV2) -> bytes:
        try:
            sealed = QuoteSignature.from_bytes(quote.signature)
        except FormatError as error:
            raise refuse(Reason.QUOTE_FORMAT, str(error)) from error
        # One answer for every way in which this can fail: which one it was would help to decrypt foreign
        # quotes.
        try:
            key = self._keys.qsdk.decrypt(sealed.wrap_key, _OAEP)
            if not hmac.compare_digest(hashlib.sha256(key).digest(), sealed.key_hash):
                raise refuse(Reason.QUOTE_DECRYPTION)
            return AESGCM(key).decrypt(sealed.iv, sealed.sealed, None)
        except (ValueError, InvalidTag) as error:
            raise refuse(Reason.QUOTE_DECRYPTION) from error

    def _decide(self, body: QuoteBody, payload: bytes) -> tuple[str, TcbRecord | None]:
        gid = body.group_id
        group = self._registry.group_key(gid)
        if group is None:
            return "SIGNATURE_INVALID", None
        tcb = self._registry.tcb(gid)
        if self._registry.revocation_reason(gid) is not None:
            return "GROUP_REVOKED", tcb
        sigrl = self._registry.sigrl(gid)
        verifier = Verifier(
            group,
            basename=body.basename,
            priv_rl=self._registry.privrl(gid),
            # Without entries there is no list to answer, and a quote must name none.
            sig_rl=sigrl if sigrl.entries else None,
        )
        result = verifier.verify(payload, body.to_bytes())
        return _EPID_STATUS.get(result, "SIGNATURE_INVALID") or _tcb_status(tcb), tcb

    def _compose(self, body: QuoteBody, payload: bytes, status: str, tcb: TcbRecord | None, nonce: str | None) -> bytes:
        report: dict[str, object] = {}
        if nonce is not None:
            report["nonce"] = nonce
        report["id"] = str(secrets.randbits(128))
        report["timestamp"] = self._clock().strftime("%Y-%m-%dT%H:%M:%S.%f")
        report["version"] = AVR_VERSION
        if body.sign_type == SignType.LINKABLE:
            report["epidPseudonym"] = _b64(payload[:128])
        if tcb is not None and status in _WITH_ADVISORIES:
            report["advisoryURL"] = ADVISORY_URL
            report["advisoryIDs"] = list(tcb.advisory_ids)
        report["isvEnclaveQuoteStatus"] = status
        if tcb is not None and status == "GROUP_REVOKED":
            report["revocationReason"] = self._registry.revocation_reason(tcb.gid)
        if tcb is not None and status in _WITH_BLOB:
            levels = self._registry.levels()
            report["platformInfoBlob"] = platform_info(status, tcb, levels, self._keys.pib_signing)
        report["isvEnclaveQuoteBody"] = _b64(body.to_bytes())
        return json.dumps(report, separators=(",", ":")).encode()


def _parse(data: bytes) -> QuoteV2:
    try:
        quote = QuoteV2.from_bytes(data, check_reserved=True)
    except FormatError as error:
        raise refuse(Reason.QUOTE_FORMAT, str(error)) from error
    body = quote.body
    if body.version != QUOTE_VERSION or body.sign_type not in (SignType.UNLINKABLE, SignType.LINKABLE):
        raise refuse(Reason.QUOTE_FORMAT, f"version {body.version}, signature type {int(body.sign_type)}")
    if body.sign_type == SignType.LINKABLE and any(body.basename[16:]):
        raise refuse(Reason.QUOTE_FORMAT, "a linkable quote's basename is the SPID and 16 zero bytes")
    if body.xeid:
        raise refuse(Reason.QUOTE_FORMAT, f"extended EPID group {body.xeid} is not served here")
    if len(quote.signature) < QuoteSignature.SIZE + QuotePayload.SIZE:
        raise refuse(Reason.QUOTE_FORMAT, f"a signature of {len(quote.signature)} bytes")
    return quote


def _tcb_status(tcb: TcbRecord) -> str:
    if tcb.out_of_date:
        return "GROUP_OUT_OF_DATE"
    if tcb.configuration_needed and tcb.sw_hardening_needed:
        return "CONFIGURATION_AND_SW_HARDENING_NEEDED"
    if tcb.configuration_needed:
        return "CONFIGURATION_NEEDED"
    return "SW_HARDENING_NEEDED" if tcb.sw_hardening_needed else "OK"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
