"""A client of the platform daemon: enclaves on its chip, and quotes.

::

    with PlatformClient("daemon.sock") as platform:
        application = platform.launch(image)
        target, gid = platform.init_quote()
        report = application.report(target, data)
        quote = platform.get_quote(report.to_bytes(), spid=spid, sign_type=SignType.UNLINKABLE).quote
"""

from __future__ import annotations

import json
import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fusequote.arch import EinitToken, SignType, TargetInfo
from fusequote.enclave import Image
from fusequote.enclave.load import Progress, launch, needs_token
from fusequote.errors import EnvironmentProblem, UsageError
from fusequote.platform.application import ApplicationEnclave
from fusequote.platform.client_chip import ClientChip
from fusequote.platform.daemon_calls import UpdateInfo, calc_quote_size
from fusequote.platform.daemon_wire import (
    ANSWER_LIMIT,
    Call,
    Frames,
    PlatformCode,
    PlatformError,
    QuoteRequest,
    error_from_wire,
)
from fusequote.platform.entry import Enclave
from fusequote.platform.quoting import QuoteResult
from fusequote.platform.refusals import chip_refusals

__all__ = ["PlatformClient"]

#: Seconds for an answer: somebody else may be quoting against a long SigRL.
PATIENCE = 300.0


@dataclass(frozen=True)
class _Caller:
    """Requests and answers, one at a time."""

    frames: Frames
    lock: threading.Lock

    def __call__(self, call: Call, payload: bytes = b"") -> bytes:
        with self.lock:
            try:
                self.frames.send(call, payload)
                answer = self.frames.receive(ANSWER_LIMIT, PATIENCE)
            except PlatformError as gone:
                raise self._last_word(gone) from gone
        if answer is None:
            raise PlatformError(PlatformCode.CLOSED, "the platform daemon closed the connection", hint="does it run?")
        kind, body = answer
        if kind:
            raise error_from_wire(body)
        return body

    def _last_word(self, gone: PlatformError) -> Exception:
        # Whoever is turned away at the door is told why before the door shuts.
        try:
            answer = self.frames.receive(ANSWER_LIMIT, 0.0)
        except PlatformError:
            return gone
        return gone if answer is None or not answer[0] else error_from_wire(answer[1])


class PlatformClient:
    """A connection to the daemon at the Unix socket ``path``. Close it in the end: what was launched is removed then.

    Every method raises :class:`PlatformError` besides what it says itself; what enclaves, chip or services refuse is
    raised as if they were here. Raises :class:`EnvironmentProblem` when no daemon listens there.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(self.path))
        except OSError as error:
            self._socket.close()
            raise EnvironmentProblem(
                f"no platform daemon listens on {self.path}: {error.strerror or error}",
                hint="`fusequote serve platform` starts one and prints its socket",
            ) from error
        self._call = _Caller(Frames(self._socket, PATIENCE), threading.Lock())
        try:
            self.hello: dict[str, Any] = json.loads(self._call(Call.HELLO))
            self.chip = ClientChip(self._call, str(self.path))
        except BaseException:
            self._socket.close()
            raise

    def launch(self, image: Image, *, progress: Progress | None = None) -> ApplicationEnclave:
        """Launch an enclave in a slot of this connection, with a token where the chip wants one. Raises
        :class:`Refused` (launch.*).
        """
        token = self.get_launch_token(image) if needs_token(self.chip, image) else None
        with chip_refusals():
            return ApplicationEnclave(Enclave(launch(self.chip, image, token=token, progress=progress)))

    def get_launch_token(self, image: Image) -> EinitToken:
        """The daemon's launch enclave's EINITTOKEN for an image with its SIGSTRUCT. Raises :class:`UsageError` without
        one, :class:`Refused` (launch.policy).
        """
        if image.sigstruct is None:
            raise UsageError(f"{image.name}: no SIGSTRUCT", hint="give the file that holds it, or sign the image")
        asked = image.sigstruct.enclavehash + image.sigstruct.mrsigner + image.secs.attributes.to_bytes()
        return EinitToken.from_bytes(self._call(Call.GET_LAUNCH_TOKEN, asked))

    def get_extended_epid_group_id(self) -> int:
        """The XEID, 0."""
        return int.from_bytes(self._call(Call.GET_EXTENDED_EPID_GROUP_ID), "little")

    def init_quote(self) -> tuple[TargetInfo, bytes]:
        """The Quoting Enclave's TARGETINFO and the EPID group (4 bytes, little-endian); provisions when needed."""
        answer = self._call(Call.INIT_QUOTE)
        return TargetInfo.from_bytes(answer[:-4]), answer[-4:]

    @staticmethod
    def calc_quote_size(sigrl: bytes = b"") -> int:
        """How many bytes a quote against this SigRL has."""
        return calc_quote_size(sigrl)

    def get_quote(
        self,
        report: bytes,
        *,
        spid: bytes,
        sign_type: SignType = SignType.UNLINKABLE,
        nonce: bytes | None = None,
        sigrl: bytes = b"",
    ) -> QuoteResult:
        """The QUOTE over a REPORT for the Quoting Enclave; with a ``nonce`` (16 bytes) its REPORT over the quote.

        Raises :class:`Refused` (report.*, quote.*), :class:`UsageError` for wrong sizes.
        """
        if len(report) != 432 or len(spid) != 16 or (nonce is not None and len(nonce) != 16):
            raise UsageError("a REPORT is 432 bytes, SPID and nonce are 16 bytes each")
        asked = QuoteRequest(report, int(sign_type), spid, nonce, calc_quote_size(sigrl), sigrl)
        answer = self._call(Call.GET_QUOTE, asked.to_bytes())
        end = 4 + int.from_bytes(answer[:4], "little")
        return QuoteResult(answer[4:end], answer[end:] or None, None)

    def report_attestation_status(self, platform_info: bytes, *, failed: bool) -> UpdateInfo:
        """Pass on the platformInfoBlob (101 bytes) of an attestation; the platform may get itself another key."""
        payload = int(failed).to_bytes(4, "little") + platform_info
        return UpdateInfo.from_bytes(self._call(Call.REPORT_ATTESTATION_STATUS, payload))

    def check_update_status(self, platform_info: bytes) -> UpdateInfo:
        """What a platformInfoBlob asks to update; nothing is done about it."""
        return UpdateInfo.from_bytes(self._call(Call.CHECK_UPDATE_STATUS, platform_info))

    def close(self) -> None:
        """End the connection; its enclaves are removed."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
