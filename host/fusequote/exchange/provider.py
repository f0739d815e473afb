"""The service provider's side of the exchange: msg1 in, msg2 out, msg3 in, verdict and msg4 out."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fusequote.arch import Msg0, Msg1, Msg2, Msg3, Msg4, PlatformInfoBlob, QuoteV2, SignType
from fusequote.arch.exchange import MSG2_MAC_SIZE, TrustStatus
from fusequote.errors import FormatError, Refused, UsageError
from fusequote.exchange.channel import Direction, SecureChannel
from fusequote.exchange.errors import ExchangeError, Fault
from fusequote.exchange.keys import SessionKeys, cmac, new_ephemeral, read_point, sign, write_point
from fusequote.exchange.progress import Progress
from fusequote.relying import Nonces, Policy, appraise, read_report
from fusequote.relying.service import ReportSource
from fusequote.verdict import Verdict

__all__ = ["MSG01_SIZE", "ProviderSession", "ServiceProvider", "trust_of"]

MSG01_SIZE = Msg0.SIZE + Msg1.SIZE
_MAC_SIZE = 16
#: Statuses about which the platform's owner can do something, and with which the platform is who it says it is.
_COMPLICATED = {
    "GROUP_OUT_OF_DATE",
    "CONFIGURATION_NEEDED",
    "SW_HARDENING_NEEDED",
    "CONFIGURATION_AND_SW_HARDENING_NEEDED",
}


@dataclass(frozen=True)
class ServiceProvider:
    """What all sessions of a service provider share.

    ``key``: long-term P-256 key, whose public half its enclaves have built in. ``spid``: 16 bytes. ``policy``: what
    is asked of an enclave; its REPORTDATA, SPID and signature type are set by each session. ``service``: who reports on
    quotes; ``root``: the certificate that its reports must lead to.
    """

    key: ec.EllipticCurvePrivateKey
    spid: bytes
    policy: Policy
    service: ReportSource
    root: x509.Certificate
    nonces: Nonces
    sign_type: SignType = SignType.UNLINKABLE

    def __post_init__(self) -> None:
        if len(self.spid) != 16:
            raise UsageError(f"a SPID is 16 bytes, not {len(self.spid)}")

    def session(self, ephemeral: Callable[[], ec.EllipticCurvePrivateKey] = new_ephemeral) -> ProviderSession:
        """A new session. ``ephemeral`` makes its key; tests of known answers bring their own."""
        return ProviderSession(self, ephemeral())


class _State(Enum):
    INITED = auto()
    SENT_MSG2 = auto()
    ENDED = auto()


class ProviderSession(Progress):
    """One exchange. Any error ends it."""

    ended = _State.ENDED

    def __init__(self, provider: ServiceProvider, ephemeral: ec.EllipticCurvePrivateKey):
        super().__init__(_State.INITED)
        self._provider, self._ephemeral = provider, ephemeral
        self._msg1: Msg1 | None = None
        self._g_b = write_point(ephemeral.public_key())
        #: The verdict on the quote, once there is one.
        self.verdict: Verdict | None = None
        #: The channel to the enclave, when the verdict is yes.
        self.channel: SecureChannel | None = None
        self._msg4_mac: bytes | None = None

    @property
    def keys(self) -> SessionKeys | None:
        """SMK, SK, MK and VK from msg2 on; None after an error or a verdict of no. Secret."""
        return self._keys

    @property
    def msg4_mac(self) -> bytes | None:
        """CMAC(MK, msg4), 16 bytes: ours, for transports that send it behind msg4 (Intel's sample does not)."""
        return self._msg4_mac

    def msg2(self, msg01: bytes) -> bytes:
        """msg2 with the group's SigRL, in answer to msg0 ‖ msg1 (72 bytes).

        Raises :class:`ExchangeError`: malformed, extended-group, bad-point, group-unknown, out-of-order; what asking
        the attestation service raises.
        """
        self._step(_State.INITED, _State.SENT_MSG2)
        with self._ending_on_error():
            if len(msg01) != MSG01_SIZE:
                raise ExchangeError(Fault.MALFORMED, f"msg0 and msg1 are {MSG01_SIZE} bytes, not {len(msg01)}")
            xeid = Msg0.from_bytes(msg01[: Msg0.SIZE]).xeid
            if xeid:
                raise ExchangeError(Fault.EXTENDED_GROUP, f"it is {xeid}")
            self._msg1 = Msg1.from_bytes(msg01[Msg0.SIZE :])
            g_a = read_point(self._msg1.g_a)
            sigrl = self._provider.service.sigrl(self._msg1.gid[::-1])
            if sigrl is None:
                raise ExchangeError(Fault.GROUP_UNKNOWN, self._msg1.gid[::-1].hex())
            self._keys = SessionKeys.agree(self._ephemeral, g_a)
            message = Msg2(
                g_b=self._g_b,
                spid=self._provider.spid,
                quote_type=self._provider.sign_type,
                sign_gb_ga=sign(self._provider.key, self._g_b + self._msg1.g_a),
                sig_rl=sigrl,
            )
            return message.replace(mac=cmac(self._keys.smk, message.to_bytes()[:MSG2_MAC_SIZE])).to_bytes()

    def msg4(self, msg3: bytes) -> bytes:
        """msg4, 105 bytes, in answer to msg3; :attr:`verdict` and :attr:`channel` are set.

        A quote that is not good enough is no error, but a verdict of no and a msg4 that says so. Raises
        :class:`ExchangeError`: malformed, other-session, mac-mismatch, other-group, out-of-order.
        """
        self._step(_State.SENT_MSG2, _State.ENDED)
        assert self._keys is not None
        with self._ending_on_error():
            quote = self._check_msg3(msg3, self._keys)
            self.verdict, blob = self._appraise(quote, self._keys)
            message = Msg4(status=trust_of(self.verdict), platform_info=blob or PlatformInfoBlob()).to_bytes()
            self._msg4_mac = cmac(self._keys.mk, message)
            if self.verdict.accepted:
                self.channel = SecureChannel(self._keys.sk, Direction.PROVIDER)
            else:
                self._keys = None
            return message

    def _check_msg3(self, data: bytes, keys: SessionKeys) -> bytes:
        assert self._msg1 is not None
        try:
            message = Msg3.from_bytes(data)
        except FormatError as error:
            raise ExchangeError(Fault.MALFORMED, str(error)) from error
        if not hmac.compare_digest(message.g_a, self._msg1.g_a):
            raise ExchangeError(Fault.OTHER_SESSION)
        if not hmac.compare_digest(cmac(keys.smk, data[_MAC_SIZE:]), message.mac):
            raise ExchangeError(Fault.MAC, "msg3")
        try:
            group = QuoteV2.from_bytes(message.quote).body.gid
        except FormatError as error:
            raise ExchangeError(Fault.MALFORMED, str(error)) from error
        if group != self._msg1.gid:
            raise ExchangeError(Fault.OTHER_GROUP, f"{group[::-1].hex()} instead of {self._msg1.gid[::-1].hex()}")
        return message.quote

    def _appraise(self, quote: bytes, keys: SessionKeys) -> tuple[Verdict, PlatformInfoBlob | None]:
        assert self._msg1 is not None
        provider = self._provider
        policy = replace(
            provider.policy,
            report_data=keys.report_data(self._msg1.g_a, self._g_b),
            spid=provider.spid,
            sign_type=provider.sign_type,
        )
        nonce = provider.nonces.issue()
        try:
            report = provider.service.report(quote, nonce)
        except Refused as error:
            return Verdict.refused(error), None
        verdict = appraise(
            report.body,
            report.signature,
            report.chain_pem,
            policy,
            root=provider.root,
            quote=quote,
            nonce=nonce,
            nonces=provider.nonces,
        )
        # Without a status the report was not authentic, and nothing in it is worth passing on.
        blob = read_report(report.body).platform_info if verdict.quote_status is not None else None
        try:
            return verdict, PlatformInfoBlob.from_tlv(bytes.fromhex(blob)) if blob else None
        except ValueError:
            return verdict, None

    def _forget(self) -> None:
        super()._forget()
        self.channel = None


def trust_of(verdict: Verdict) -> TrustStatus:
    """What msg4 says about a verdict: complicated where the status is one that the platform's owner can mend."""
    complicated = verdict.quote_status in _COMPLICATED
    if verdict.accepted:
        return TrustStatus.TRUSTED_ITS_COMPLICATED if complicated else TrustStatus.TRUSTED
    only_status = complicated and len(verdict.reasons) == 1
    return TrustStatus.NOT_TRUSTED_ITS_COMPLICATED if only_status else TrustStatus.NOT_TRUSTED
