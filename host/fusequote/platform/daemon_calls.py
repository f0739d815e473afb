"""The calls of remote attestation notes 1.1, as Intel's AESM answers them: what is asked is checked, then done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fusequote.arch import Attributes, EinitToken, PlatformInfoBlob, Report, SignType, TargetInfo
from fusequote.arch.epid import SgxSigRl
from fusequote.arch.quote import quote_size
from fusequote.errors import FormatError
from fusequote.platform.constants import Constants
from fusequote.platform.daemon_turns import Turns
from fusequote.platform.daemon_wire import PlatformCode, PlatformError, QuoteRequest
from fusequote.platform.updates import Advice, advice_of

__all__ = ["Calls", "QuoteService", "UpdateInfo", "calc_quote_size"]


class _Quoted(Protocol):
    quote: bytes
    qe_report: bytes | None


class QuoteService(Protocol):
    """What the daemon needs of the platform: see :class:`fusequote.chain.Platform`."""

    def init_quote(self) -> tuple[TargetInfo, bytes]:
        """TARGETINFO of the Quoting Enclave, EPID group (4 bytes, little-endian); provisions when there is no key."""

    def get_quote(
        self, report: bytes, *, spid: bytes, sign_type: SignType, nonce: bytes | None, sigrl: bytes
    ) -> _Quoted:
        """A quote."""

    def is_provisioned(self) -> bool:
        """Whether there is a usable key."""

    def provision(self, *, rekey: bool = False) -> None:
        """Get a key, or another one."""

    def is_updated(self) -> bool:
        """Whether the TCB is above the one that the key is for."""

    def gid(self) -> bytes:
        """The EPID group, 4 bytes big-endian."""

    def get_launch_token(self, mrenclave: bytes, mrsigner: bytes, attributes: Attributes) -> EinitToken:
        """The launch enclave's EINITTOKEN; takes a slot while it is made."""


@dataclass(frozen=True)
class UpdateInfo:
    """``sgx_update_info_bit_t``, and whether the platform got itself another key.

    ``ucode``: the CPUSVN is older than the latest; ``configuration``: a setting of the machine needs a change (where
    Intel's structure has the management engine's firmware); ``psw``: Quoting Enclave or PCE are older.
    """

    ucode: bool = False
    configuration: bool = False
    psw: bool = False
    provisioned: bool = False

    @property
    def needed(self) -> bool:
        """SGX_ERROR_UPDATE_NEEDED."""
        return self.ucode or self.configuration or self.psw

    def to_bytes(self) -> bytes:
        """4 bytes, each 0 or 1."""
        return bytes((self.ucode, self.configuration, self.psw, self.provisioned))

    @classmethod
    def from_bytes(cls, data: bytes) -> UpdateInfo:
        """Raises :class:`FormatError` for another length."""
        if len(data) != 4:
            raise FormatError(f"update info: 4 bytes wanted, not {len(data)}")
        return cls(*map(bool, data))


def calc_quote_size(sigrl: bytes) -> int:
    """``sgx_calc_quote_size``: 1116 + 160 n bytes for a SigRL of n entries. Raises :class:`PlatformError`."""
    if not sigrl:
        return quote_size(0)
    try:
        return quote_size(SgxSigRl.from_bytes(sigrl).n2)
    except FormatError as error:
        raise PlatformError(PlatformCode.PARAMETER, str(error)) from error


class Calls:
    """The calls, for many threads: the Quoting Enclave has one entry, so one of them runs at a time, in turns.

    ``constants`` are the services' keys. ``make_room`` is asked for chip slots before provisioning.
    """

    def __init__(self, service: QuoteService, constants: Constants, *, make_room: Callable[[int], None]):
        self._service, self._constants, self._make_room = service, constants, make_room
        self._turns = Turns()
        self.quotes = 0
        self._count = threading.Lock()

    def get_extended_epid_group_id(self) -> int:
        """0: there is one operator."""
        return 0

    def init_quote(self) -> tuple[TargetInfo, bytes]:
        """See :meth:`QuoteService.init_quote`."""
        with self._turns:
            if not self._service.is_provisioned():
                self._provision()
            return self._service.init_quote()

    def get_quote(self, asked: QuoteRequest) -> tuple[bytes, bytes]:
        """The quote, and the Quoting Enclave's REPORT over it, empty without a nonce.

        Raises :class:`PlatformError` (invalid-parameter) for a wrong size or signature type, and
        :class:`~fusequote.errors.Refused` (report.*, quote.*).
        """
        if asked.sign_type not in (SignType.UNLINKABLE, SignType.LINKABLE):
            raise PlatformError(PlatformCode.PARAMETER, f"get_quote: there is no signature type {asked.sign_type}")
        size = calc_quote_size(asked.sigrl)
        if asked.size != size:
            raise PlatformError(
                PlatformCode.PARAMETER, f"get_quote: this quote has {size} bytes, not {asked.size}",
                hint="calc_quote_size says how many",
            )  # fmt: skip
        if len(asked.report) != Report.SIZE:
            raise PlatformError(PlatformCode.PARAMETER, f"get_quote: a REPORT has {Report.SIZE} bytes")
        with self._turns:
            result = self._service.get_quote(
                asked.report,
                spid=asked.spid,
                sign_type=SignType(asked.sign_type),
                nonce=asked.nonce,
                sigrl=asked.sigrl,
            )
        with self._count:
            self.quotes += 1
        return result.quote, result.qe_report or b""

    def get_launch_token(self, asked: bytes) -> bytes:
        """EINITTOKEN, 304 bytes, for MRENCLAVE 32 ‖ MRSIGNER 32 ‖ ATTRIBUTES 16. Raises :class:`PlatformError`
        (invalid-parameter), and :class:`~fusequote.errors.Refused` (launch.policy).
        """
        if len(asked) != 64 + Attributes.SIZE:
            raise PlatformError(PlatformCode.PARAMETER, "get_launch_token: MRENCLAVE, MRSIGNER, ATTRIBUTES: 80 bytes")
        with self._turns:
            self._make_room(1)
            token = self._service.get_launch_token(asked[:32], asked[32:64], Attributes.from_bytes(asked[64:]))
        return token.to_bytes()

    def check_update_status(self, blob: bytes) -> UpdateInfo:
        """What a platformInfoBlob (101 bytes) asks this platform to update; nothing is done about it."""
        with self._turns:
            return self._info(self._advice(blob), provisioned=False)

    def report_attestation_status(self, blob: bytes, failed: bool) -> UpdateInfo:
        """As :meth:`check_update_status`; and gets another key when the blob says that one is to be had.

        A group that is out of date is left for the current TCB's, also when the update that the blob asks for was made
        since; a performance rekey is done when the attestation did not fail. Raises
        :class:`~fusequote.platform.updates.PlatformInfoError` and what provisioning raises.
        """
        with self._turns:
            advice = self._advice(blob)
            rekey = advice.rekey and not failed
            if advice.provision or rekey:
                self._provision(rekey=rekey)
            return self._info(advice, provisioned=advice.provision or rekey)

    def _provision(self, *, rekey: bool = False) -> None:
        self._make_room(2)  # Provisioning Enclave and PCE
        self._service.provision(rekey=rekey)

    def _advice(self, blob: bytes) -> Advice:
        if len(blob) != PlatformInfoBlob.SIZE:
            raise PlatformError(PlatformCode.PARAMETER, f"platform info is {PlatformInfoBlob.SIZE} bytes")
        return advice_of(blob.hex(), self._service.gid(), self._constants, updated=self._service.is_updated())

    @staticmethod
    def _info(advice: Advice, *, provisioned: bool) -> UpdateInfo:
        return UpdateInfo(advice.microcode, advice.configuration, advice.software, provisioned)
