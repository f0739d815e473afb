"""The machine with an EPID key: local attestation, provisioning, quotes, steps 3 to 5 of the chain."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fusequote.arch import Psvn, Report, SignType, TargetInfo
from fusequote.chain.machine import Machine
from fusequote.errors import Refused
from fusequote.home import write_atomic
from fusequote.platform.application import ApplicationEnclave
from fusequote.platform.epidblob import BLOB_SIZE, open_blob, public_text
from fusequote.platform.images import pce_image, provisioning_image, quoting_image
from fusequote.platform.pce import PCE_ISVSVN, PceProgram
from fusequote.platform.provisioning import ProvisioningEnclave
from fusequote.platform.provisioning_agent import provision_platform
from fusequote.platform.provisioning_http import check_address, connect_to
from fusequote.platform.quoting import QuoteResult, QuotingEnclave
from fusequote.platform.signers import Signers
from fusequote.platform.updates import Advice, advice_of, is_newer
from fusequote.relying.service import ReportSource
from fusequote.verdict import Party, Reason, Step, refuse

__all__ = ["Platform", "ReportedEnclave"]


@dataclass(frozen=True)
class ReportedEnclave:
    """A REPORT that the Quoting Enclave found good, and the application that it speaks for."""

    application: ApplicationEnclave
    report: Report


class Platform(Machine):
    """The machine, and its EPID key: provisioning, and quotes by the Quoting Enclave.

    Options as :class:`Machine`'s, and ``provisioning_url``: the provisioning server's address, by default the one in
    ``services``, without a network between; ``tls``: what an HTTPS server is checked against, by default the system's
    authorities.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        provisioning_url: str | None = None,
        tls: ssl.SSLContext | None = None,
        **options: Any,
    ):
        if provisioning_url is not None:
            check_address(provisioning_url)  # before the chip is opened, and also if nothing has to be asked there
        super().__init__(url, **options)
        self.provisioning_url, self._tls = provisioning_url, tls

    @property
    def blob_path(self) -> Path:
        """Where this chip's sealed EPID key is kept."""
        return self.home.platform / f"{self.device_id.hex()}.epid"

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
        """Whether there is an EPID key of this chip, sealed by us, of a group that the services know.

        Which groups a provisioning server at a ``provisioning_url`` knows is not asked.
        """
        if not self.blob_path.exists():
            return False
        blob = self.home.read(self.blob_path, limit=BLOB_SIZE)
        try:
            content, _ = open_blob(self.quoting_enclave.enclave, blob)
        except Refused:
            return False
        return self.provisioning_url is not None or self.services.registry.group_key(content.group.gid) is not None

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
            connect = connect_to(self.provisioning_url, self.services.provisioning.handle, self._tls)
            blob = provision_platform(*programs, connect, self.home, old_blob=old, rekey=rekey, tell=tell)
            write_atomic(self.blob_path, blob)
            facts.update(gid=self.gid().hex(), sealed_blob=len(blob), pce_svn=PCE_ISVSVN)

    def is_updated(self) -> bool:
        """Whether the TCB is above the one that the EPID key was issued for. Raises as :meth:`gid`."""
        own = self.quoting_enclave.enclave.identity
        return is_newer(Psvn(cpusvn=own.cpusvn, isvsvn=own.isvsvn), public_text(self._blob()).psvn)

    def follow(self, platform_info: str) -> Advice:
        """Get another key when a report's platformInfoBlob says so. Raises :class:`PlatformInfoError`, and what
        :meth:`provision` raises.
        """
        advice = advice_of(platform_info, self.gid(), self.services.constants, updated=self.is_updated())
        if advice.provision or advice.rekey:
            self.provision(rekey=advice.rekey)
        return advice

    def sigrl(self, service: ReportSource) -> bytes:
        """The current SigRL of the platform's group, as the attestation service has it; b"" without entries.

        Provisions first when the platform has no key, or one of a group that the service does not know.
        """
        if self.is_provisioned():
            known = service.sigrl(self.gid())
            if known is not None:
                return known
        self.provision()
        return service.sigrl(self.gid()) or b""

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
