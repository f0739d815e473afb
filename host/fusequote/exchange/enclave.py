"""The enclave's side of the exchange: msg0 and msg1 out, msg2 in, msg3 out, msg4 in (remote attestation notes 2)."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from fusequote.arch import Msg0, Msg1, Msg2, Msg3, Msg4, PlatformInfoBlob, Report, SignType, TargetInfo
from fusequote.arch.exchange import KDF_ID, MSG2_MAC_SIZE, TrustStatus
from fusequote.arch.layout import Struct
from fusequote.errors import FormatError
from fusequote.exchange.channel import Direction, SecureChannel
from fusequote.exchange.errors import ExchangeError, Fault
from fusequote.exchange.keys import SessionKeys, cmac, new_ephemeral, read_point, verify, write_point
from fusequote.exchange.progress import Progress

__all__ = ["EnclaveSession", "Outcome", "Quoter", "ReportingEnclave"]

_MAC_SIZE = 16
S = TypeVar("S", bound=Struct)


class QuoteWithReport(Protocol):
    """What get_quote answers."""

    quote: bytes
    qe_report: bytes | None


class Quoter(Protocol):
    """Whoever has a Quoting Enclave: this process's own platform, or the platform daemon."""

    def init_quote(self) -> tuple[TargetInfo, bytes]:
        """The Quoting Enclave's TARGETINFO, and the platform's EPID group, 4 bytes little-endian."""

    def get_quote(
        self, report: bytes, *, spid: bytes, sign_type: SignType, nonce: bytes | None, sigrl: bytes
    ) -> QuoteWithReport:
        """The QUOTE over a REPORT for the Quoting Enclave."""


class ReportingEnclave(Protocol):
    """The application enclave: see :class:`fusequote.platform.application.ApplicationEnclave`."""

    def report(self, target: TargetInfo, reportdata: bytes) -> Report:
        """EREPORT."""

    def check_quote(self, target: TargetInfo, report: bytes, nonce: bytes, quote: bytes) -> None:
        """Check the Quoting Enclave's REPORT over a quote."""


@dataclass(frozen=True)
class Outcome:
    """What msg4 said. ``authenticated``: it came with a MAC under MK, which Intel's sample does not send; without one,
    ``status`` is hearsay until a secure message arrives. ``channel`` is None unless trusted.
    """

    status: TrustStatus
    platform_info: PlatformInfoBlob | None
    authenticated: bool
    channel: SecureChannel | None = field(repr=False)

    @property
    def trusted(self) -> bool:
        """Trusted, complicated or not."""
        return self.status in (TrustStatus.TRUSTED, TrustStatus.TRUSTED_ITS_COMPLICATED)


class _State(Enum):
    INITED = auto()
    GOT_GA = auto()
    PROCESSED_MSG2 = auto()
    ENDED = auto()


class EnclaveSession(Progress):
    """One exchange, as ``sgx_ra_init`` opens it. Any error ends it.

    ``provider_key`` is the service provider's long-term key, which an enclave has in its measured code. ``spid`` (16
    bytes) and ``sign_type`` are what was agreed; with None the service provider decides.
    """

    ended = _State.ENDED

    def __init__(
        self,
        enclave: ReportingEnclave,
        quoter: Quoter,
        provider_key: ec.EllipticCurvePublicKey,
        *,
        spid: bytes | None = None,
        sign_type: SignType | None = None,
    ):
        super().__init__(_State.INITED)
        self._enclave, self._quoter, self._provider_key = enclave, quoter, provider_key
        self._spid, self._sign_type = spid, sign_type
        self._ephemeral = new_ephemeral()
        self._g_a = write_point(self._ephemeral.public_key())
        self._target: TargetInfo | None = None

    @property
    def keys(self) -> SessionKeys | None:
        """SMK, SK, MK and VK once msg2 was found good, None before and after an error. Secret."""
        return self._keys

    def msg01(self) -> bytes:
        """msg0 ‖ msg1, 72 bytes: one line of Intel's sample."""
        self._step(_State.INITED, _State.GOT_GA)
        with self._ending_on_error():
            self._target, gid = self._quoter.init_quote()
            return Msg0(xeid=0).to_bytes() + Msg1(g_a=self._g_a, gid=gid).to_bytes()

    def msg3(self, msg2: bytes) -> bytes:
        """msg3 in answer to msg2 and its SigRL: 336 bytes and the quote.

        Raises :class:`ExchangeError`: malformed, kdf-mismatch, bad-point, signature-invalid, mac-mismatch, other-spid,
        linkability, out-of-order; what making a quote raises (:class:`~fusequote.errors.Refused`).
        """
        self._step(_State.GOT_GA, _State.PROCESSED_MSG2)
        with self._ending_on_error():
            message = _parse(Msg2, msg2)
            self._keys = self._agree(message)
            quote = self._quote(message, self._keys.report_data(self._g_a, message.g_b))
            body = Msg3(g_a=self._g_a, quote=quote).to_bytes()[_MAC_SIZE:]
            return cmac(self._keys.smk, body) + body

    def finish(self, msg4: bytes) -> Outcome:
        """What the service provider decided, and the channel when it trusts.

        Raises :class:`ExchangeError`: malformed, mac-mismatch, out-of-order.
        """
        self._step(_State.PROCESSED_MSG2, _State.ENDED)
        assert self._keys is not None
        with self._ending_on_error():
            message, authenticated = self._read_msg4(msg4)
            status = message.status
            if not isinstance(status, TrustStatus):
                raise ExchangeError(Fault.MALFORMED, f"msg4 has status {int(status)}")
            blob = message.platform_info
            outcome = Outcome(status, blob if any(blob.to_bytes()) else None, authenticated, None)
            if not outcome.trusted:
                self._keys = None
                return outcome
            return replace(outcome, channel=SecureChannel(self._keys.sk, Direction.ENCLAVE))

    def _agree(self, message: Msg2) -> SessionKeys:
        if message.kdf_id != KDF_ID:
            raise ExchangeError(Fault.KDF, f"number {message.kdf_id}")
        g_b = read_point(message.g_b)
        # The signature first: no key that a stranger had a hand in is ever used.
        if not verify(self._provider_key, message.sign_gb_ga, message.g_b + self._g_a):
            raise ExchangeError(Fault.SIGNATURE)
        keys = SessionKeys.agree(self._ephemeral, g_b)
        if not hmac.compare_digest(cmac(keys.smk, message.to_bytes()[:MSG2_MAC_SIZE]), message.mac):
            raise ExchangeError(Fault.MAC, "msg2")
        if not isinstance(message.quote_type, SignType):
            raise ExchangeError(Fault.MALFORMED, f"quote type {int(message.quote_type)}")
        if self._spid is not None and message.spid != self._spid:
            raise ExchangeError(Fault.SPID, message.spid.hex())
        if self._sign_type is not None and message.quote_type != self._sign_type:
            raise ExchangeError(Fault.LINKABILITY, message.quote_type.name.lower())
        return keys

    def _quote(self, message: Msg2, reportdata: bytes) -> bytes:
        assert self._target is not None
        nonce = secrets.token_bytes(16)
        report = self._enclave.report(self._target, reportdata)
        result = self._quoter.get_quote(
            report.to_bytes(),
            spid=message.spid,
            sign_type=SignType(message.quote_type),
            nonce=nonce,
            sigrl=message.sig_rl,
        )
        self._enclave.check_quote(self._target, result.qe_report or b"", nonce, result.quote)
        return result.quote

    def _read_msg4(self, data: bytes) -> tuple[Msg4, bool]:
        assert self._keys is not None
        if len(data) == Msg4.SIZE + _MAC_SIZE:
            if not hmac.compare_digest(cmac(self._keys.mk, data[: Msg4.SIZE]), data[Msg4.SIZE :]):
                raise ExchangeError(Fault.MAC, "msg4")
            return _parse(Msg4, data[: Msg4.SIZE]), True
        # A C compiler rounds the sample's structure up to a multiple of four.
        padded = (Msg4.SIZE + 3) // 4 * 4
        return _parse(Msg4, data[: Msg4.SIZE] if len(data) == padded else data), False


def _parse(kind: type[S], data: bytes) -> S:
    try:
        return kind.from_bytes(data)
    except FormatError as error:
        raise ExchangeError(Fault.MALFORMED, str(error)) from error
