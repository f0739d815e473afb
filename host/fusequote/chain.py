"""A platform: one chip, the enclaves launched on it, and what they sealed to disk.

This is the one Python API below the command line for everything up to the quote. What decides is in the chip,
the enclave programs and the services; here they are only brought together, and what happens is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self
from urllib.parse import quote as url_quote

from fusequote.arch import Report, SignType, TargetInfo
from fusequote.chip import open_chip
from fusequote.chip.identity import LifeCycle
from fusequote.enclave import Image, MemoryImage, open_image
from fusequote.enclave.load import LaunchedEnclave, launch
from fusequote.errors import DeviceError, Refused, UsageError
from fusequote.home import Home, write_atomic
from fusequote.maker import RecordBook, manufacture, unfinished
from fusequote.platform.application import ApplicationEnclave
from fusequote.platform.daemon_claim import check_free
from fusequote.platform.entry import Enclave
from fusequote.platform.epidblob import BLOB_SIZE, open_blob, public_text
from fusequote.platform.images import (
    KeyedImage,
    pce_image,
    provisioning_image,
    quoting_image,
    signed_sample,
    with_debug,
)
from fusequote.platform.pce import PCE_ISVSVN, PceProgram
from fusequote.platform.provisioning import ProvisioningEnclave
from fusequote.platform.provisioning_agent import provision_platform
from fusequote.platform.provisioning_http import connect_to
from fusequote.platform.quoting import QuoteResult, QuotingEnclave
from fusequote.platform.refusals import chip_refusals
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote.platform.updates import Advice, advice_of
from fusequote.services.services import Services
from fusequote.steps import Listener, Meter, Steps
from fusequote.verdict import Party, Reason, Step, refuse

__all__ = ["Platform", "simulated_chip_url"]

#: An enclave as a user has it: a file, or an image made here; None is the sample.
EnclaveFile = Image | Path | str | None
Progress = Callable[[int, int], None]


def simulated_chip_url(home: Home, scheme: str = "model", name: str = "default") -> str:
    """The URL of a simulated chip whose fuses are in the home folder. ``scheme`` is ``model`` or ``sim``."""
    return f"{scheme}://?fuses={url_quote(str(home.chips / f'{name}.fuses'))}"


@dataclass(frozen=True)
class ReportedEnclave:
    """A REPORT that the Quoting Enclave found good, and the application that it speaks for."""

    application: ApplicationEnclave
    report: Report


class Platform:
    """The chip at ``url`` (None: the home folder's model chip) and all that runs on it. Close it in the end.

    ``home``: a folder or a :class:`Home`; ``services``: those to provision with, by default the home folder's
    own; ``listener`` gets step events; ``cycles``: ask the chip what each command cost (by default all chips
    but the model); ``provisioning_url``: the provisioning server's address, by default the one in ``services``, without
    a network between. Closing removes the enclaves that were launched here and closes the chip.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        home: Home | str | Path | None = None,
        services: Services | None = None,
        listener: Listener | None = None,
        cycles: bool | None = None,
        provisioning_url: str | None = None,
    ):
        self.home = home if isinstance(home, Home) else Home(home)
        self.url = simulated_chip_url(self.home) if url is None else url
        self._own_services = services is None
        self._services = services
        self.provisioning_url = provisioning_url
        self.meter = Meter(not self.url.startswith("model:") if cycles is None else cycles)
        self.steps = Steps(listener, self.meter)
        check_free(self.home, self.url)
        self.chip = open_chip(self.url, trace=self.meter)
        self._launched: list[LaunchedEnclave] = []

    @classmethod
    def manufacture(cls, url: str | None = None, **options) -> Self:
        """Open a blank chip, burn and lock its fuses, hand its record to the provisioning server.

        Options as the constructor's. Raises :class:`Refused` (chip.*) for a chip that is not blank.
        """
        platform = cls(url, **options)
        try:
            platform.manufacture_chip()
        except BaseException:
            platform.close()
            raise
        return platform

    @property
    def services(self) -> Services:
        """The services that this platform provisions with."""
        if self._services is None:
            self._services = Services(self.home)
        return self._services

    @property
    def device_id(self) -> bytes:
        """Of the chip, 16 bytes."""
        return self.chip.identity.device_id

    @property
    def blob_path(self) -> Path:
        """Where this chip's sealed EPID key is kept."""
        return self.home.platform / f"{self.device_id.hex()}.epid"

    # 1: manufacture

    def manufacture_chip(self) -> None:
        """Manufacture and lock the chip; see :meth:`manufacture`."""
        signers, book = Signers(self.home), RecordBook(self.home)
        with self.steps.step(Step.MANUFACTURE, "burn and lock the fuses") as facts:
            made = manufacture(
                self.chip,
                book,
                provisioning_signers=signers.provisioning_signers(),
                lepubkeyhash=mrsigner_of(signers.application),
            )
            self.steps.exchange("FUSE_MANUFACTURE, FUSE_LOCK, RESET", Party.MAKER, Party.CHIP, sent=192)
            facts.update(device_id=made.device_id.hex(), cpusvn=made.status.cpusvn.hex(), resumed=made.resumed)
            self._enroll(book)

    def ensure_manufactured(self) -> None:
        """Manufacture a chip that is not locked yet; make sure that the services know one of our own."""
        status = self.chip.fuse_status()
        if status.life_cycle is not LifeCycle.LOCKED or unfinished(status, RecordBook(self.home)) is not None:
            self.manufacture_chip()
            return
        if not self.chip.identity.booted_locked:
            self.chip.reset()  # locked by a maker who did not wait for the boot
        with self.steps.step(Step.MANUFACTURE, "the chip was manufactured before") as facts:
            facts.update(device_id=status.device_id.hex(), cpusvn=status.cpusvn.hex())
            book = RecordBook(self.home)
            if status.device_id in book.devices():
                self._enroll(book)

    def _enroll(self, book: RecordBook) -> None:
        self.services.import_device(book.load(self.device_id))
        self.steps.exchange("device record", Party.MAKER, Party.PROVISIONING_SERVER)

    # 2: launch

    def launch(
        self,
        image: EnclaveFile = None,
        sigstruct: Path | str | None = None,
        *,
        debug: bool = False,
        progress: Progress | None = None,
    ) -> ApplicationEnclave:
        """Launch an application: a file (SGXS with its SIGSTRUCT, ``.signed.so``), an image, or None for the
        sample.

        The chip measures it. ``debug`` asks for DEBUG. Raises :class:`FormatError` for a bad file,
        :class:`Refused` (launch.*) for what the chip refuses.
        """
        with self.steps.step(Step.LAUNCH, "launch the application enclave") as facts:
            with contextlib.ExitStack() as stack:
                opened = self.open_image(image, sigstruct, debug=debug)
                if opened is not image:
                    stack.callback(opened.close)
                application = ApplicationEnclave(self._launch(opened, progress))
            identity = application.enclave.identity
            facts.update(
                mrenclave=identity.mrenclave.hex(),
                mrsigner=identity.mrsigner.hex(),
                isvprodid=int(identity.isvprodid),
                isvsvn=int(identity.isvsvn),
                debug=identity.attributes.debug,
            )
        return application

    def open_image(
        self, image: EnclaveFile = None, sigstruct: Path | str | None = None, *, debug: bool = False
    ) -> Image:
        """The image that :meth:`launch` takes for these arguments. The caller closes one that it did not
        give.
        """
        if image is None:
            image = signed_sample(Signers(self.home))
        if not isinstance(image, Image):
            return open_image(image, sigstruct, debug=debug)
        if not debug:
            return image
        if not isinstance(image, MemoryImage):
            raise UsageError("this image was opened already; open it with debug=True")
        return with_debug(image)

    def _launch(self, image: Image, progress: Progress | None = None) -> Enclave:
        if not self.chip.identity.booted_locked:
            raise refuse(Reason.CHIP_NOT_LOCKED, hint="manufacture the chip first")
        with chip_refusals():
            launched = launch(self.chip, image, progress=progress)
        self._launched.append(launched)
        self.steps.exchange(
            "ECREATE, EADD, EEXTEND, EINIT",
            Party.LOADER,
            Party.CHIP,
            sent=image.chunk_count * 256,
            enclave=image.name,
            pages=image.page_count,
            mrenclave=launched.identity.mrenclave.hex(),
        )
        return Enclave(launched, image.entry_key if isinstance(image, KeyedImage) else None)

    def remove(self, enclave: Enclave) -> None:
        """Take an enclave off the chip."""
        enclave.remove()
        self._launched.remove(enclave.launched)

    @cached_property
    def quoting_enclave(self) -> QuotingEnclave:
        """The Quoting Enclave, launched when it is first asked for."""
        with self.steps.step(Step.LAUNCH, "launch the Quoting Enclave"):
            constants = self.services.constants
            image = quoting_image(constants, Signers(self.home))
            return QuotingEnclave(self._launch(image), constants)

    # 3: report

    def report(self, application: ApplicationEnclave, report_data: bytes) -> ReportedEnclave:
        """A REPORT of ``application`` for the Quoting Enclave, checked there. ``report_data``: up to 64
        bytes.
        """
        quoting = self.quoting_enclave
        with self.steps.step(Step.REPORT, "local attestation") as facts:
            report = application.report(quoting.target_info, report_data)
            self.steps.exchange("EREPORT", Party.APPLICATION, Party.CHIP, sent=576, received=Report.SIZE)
            quoting.verify_report(report.to_bytes())
            self.steps.exchange("VERIFYREPORT", Party.QUOTING, Party.CHIP, sent=Report.SIZE, received=1, good=True)
            facts.update(reportdata=report.body.reportdata.hex())
        return ReportedEnclave(application, report)

    # 4: provision

    def is_provisioned(self) -> bool:
        """Whether there is an EPID key of this chip, sealed by us, of a group that the services know."""
        if not self.blob_path.exists():
            return False
        blob = self.home.read(self.blob_path, limit=BLOB_SIZE)
        try:
            content, _ = open_blob(self.quoting_enclave.enclave, blob)
        except Refused:
            return False
        return self.services.registry.group_key(content.group.gid) is not None

    def provision(self, *, rekey: bool = False) -> None:
        """Join the EPID group: prove the TCB to the provisioning server, get a credential, seal the key to disk.

        Takes two slots of the chip, for Provisioning Enclave and PCE. ``rekey``: into the group for a performance
        rekey. Raises :class:`Refused` (provision.*, or key.* for a TCB above the chip's), :class:`ServerTrouble`.
        """
        constants, signers = self.services.constants, Signers(self.home)
        old = self._blob() if self.blob_path.exists() else None

        def tell(action: str, sent: int, received: int) -> None:
            self.steps.exchange(action, Party.PROVISIONING, Party.PROVISIONING_SERVER, sent=sent, received=received)

        with (
            self.steps.step(Step.PROVISION, "join the EPID group") as facts,
            self._for_a_while(provisioning_image(constants, signers)) as pve,
            self._for_a_while(pce_image(signers)) as pce,
        ):
            programs = ProvisioningEnclave(pve, constants), PceProgram(pce)
            connect = connect_to(self.provisioning_url, self.services.provisioning.handle)
            blob = provision_platform(*programs, connect, self.home, old_blob=old, rekey=rekey, tell=tell)
            write_atomic(self.blob_path, blob)
            facts.update(gid=self.gid().hex(), sealed_blob=len(blob), pce_svn=PCE_ISVSVN)

    def follow(self, platform_info: str) -> Advice:
        """Get another key when a report's platformInfoBlob says so. Raises :class:`PlatformInfoError`, and what
        :meth:`provision` raises.
        """
        advice = advice_of(platform_info, self.gid(), self.services.constants)
        if advice.provision or advice.rekey:
            self.provision(rekey=advice.rekey)
        return advice

    @contextlib.contextmanager
    def _for_a_while(self, image: Image) -> Iterator[Enclave]:
        enclave = self._launch(image)
        try:
            yield enclave
        finally:
            with contextlib.suppress(DeviceError):
                self.remove(enclave)

    # 5: quote

    def gid(self) -> bytes:
        """The platform's EPID group, 4 bytes. Raises :class:`Refused` (quote.no-attestation-key)."""
        return public_text(self._blob()).group[:4]

    def quote(
        self,
        enclave: ApplicationEnclave,
        report_data: bytes,
        *,
        spid: bytes,
        sign_type: SignType = SignType.UNLINKABLE,
        nonce: bytes | None = None,
        sigrl: bytes = b"",
    ) -> QuoteResult:
        """Report and quote: provisions first when the platform has no EPID key. See :meth:`quote_report`."""
        reported = self.report(enclave, report_data)
        if not self.is_provisioned():
            self.provision()
        return self.quote_report(reported, spid=spid, sign_type=sign_type, nonce=nonce, sigrl=sigrl)

    def quote_report(
        self,
        reported: ReportedEnclave,
        *,
        spid: bytes,
        sign_type: SignType = SignType.UNLINKABLE,
        nonce: bytes | None = None,
        sigrl: bytes = b"",
    ) -> QuoteResult:
        """The QUOTE over a REPORT: ``1116 + 160 n`` bytes for a SigRL of n entries.

        With a ``nonce`` (16 bytes) the QE vouches for the quote, and the application checks that. Raises
        :class:`Refused` (quote.*, report.*).
        """
        quoting = self.quoting_enclave
        with self.steps.step(Step.QUOTE, "EPID quote") as facts:
            result = self.get_quote(
                reported.report.to_bytes(), spid=spid, sign_type=sign_type, nonce=nonce, sigrl=sigrl
            )
            sizes = {"sent": Report.SIZE + len(sigrl), "received": len(result.quote)}
            self.steps.exchange("get_quote", Party.APPLICATION, Party.QUOTING, **sizes)
            if nonce is not None and result.qe_report is not None:
                target = quoting.target_info
                reported.application.check_quote(target, result.qe_report, nonce, result.quote)
                self.steps.exchange("QE REPORT", Party.QUOTING, Party.APPLICATION, sent=Report.SIZE, good=True)
            facts.update(quote=len(result.quote), gid=self.gid().hex(), sign_type=sign_type.name.lower())
        return result

    def init_quote(self) -> tuple[TargetInfo, bytes]:
        """The Quoting Enclave's TARGETINFO and the EPID group, 4 bytes little-endian; provisions when needed."""
        target = self.quoting_enclave.target_info
        if not self.is_provisioned():
            self.provision()
        return target, self.gid()[::-1]

    def get_quote(
        self,
        report: bytes,
        *,
        spid: bytes,
        sign_type: SignType = SignType.UNLINKABLE,
        nonce: bytes | None = None,
        sigrl: bytes = b"",
    ) -> QuoteResult:
        """As :meth:`QuotingEnclave.get_quote`, with this platform's key; keeps a blob that was sealed anew."""
        result = self.quoting_enclave.get_quote(
            report, self._blob(), spid=spid, sign_type=sign_type, nonce=nonce, sigrl=sigrl, pce_svn=PCE_ISVSVN
        )
        if result.resealed_blob is not None:
            write_atomic(self.blob_path, result.resealed_blob)
        return result

    def _blob(self) -> bytes:
        if not self.blob_path.exists():
            raise refuse(Reason.NO_KEY)
        return self.home.read(self.blob_path, limit=BLOB_SIZE)

    # end

    def close(self) -> None:
        """Remove the enclaves that were launched here, close the chip and services of our own."""
        with contextlib.suppress(DeviceError):
            for launched in reversed(self._launched):
                launched.remove()
        self._launched.clear()
        self.chip.close()
        if self._own_services and self._services is not None:
            self._services.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
