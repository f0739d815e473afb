"""The Provisioning Certification Enclave (PCE): names the chip to the provisioning server, and signs for its TCB.

It has a signer of its own and PROVISIONKEY, hence keys that the Provisioning Enclave has not. The key that it signs
with (PCK) is derived from the PROVISION key of the TCB asked for, which a chip below that TCB cannot have and the
server can compute: that is what proves a TCB (remote attestation notes 4.3, 4.7).
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from fusequote.arch import AttributeFlags, Psvn, Report, TargetInfo
from fusequote.errors import FormatError
from fusequote.platform.entry import Enclave, Entered
from fusequote.platform.protocol import (
    CRYPTO_SUITE_RSA_OAEP_3072,
    OAEP,
    certification_key,
    key_report_data,
    pek_of,
    ppid_of,
    provision_request,
)
from fusequote.verdict import Reason, refuse

__all__ = ["PCE_ID", "PCE_ISVPRODID", "PCE_ISVSVN", "PceProgram"]

#: There is one PCE.
PCE_ID = 0
#: What its SIGSTRUCT says; the SVN goes up when a fault is mended here.
PCE_ISVPRODID, PCE_ISVSVN = 1, 1

class PceProgram:
    """The program that plays the PCE."""

    def __init__(self, enclave: Enclave):
        self.enclave = enclave

    @property
    def target_info(self) -> TargetInfo:
        """For the Provisioning Enclave's REPORTs."""
        return self.enclave.target_info

    @property
    def isvsvn(self) -> int:
        """Security version of this PCE: pce_svn of quotes."""
        return self.enclave.identity.isvsvn

    def encrypted_ppid(
        self, report: bytes, pek: bytes, crypto_suite: int = CRYPTO_SUITE_RSA_OAEP_3072
    ) -> bytes:
        """The PPID for the holder of ``pek`` (n 384 ‖ e 4, big-endian): 384 bytes, RSA-OAEP with SHA-256.

        ``report`` (432 bytes) is a provisioning enclave's, to this PCE, with REPORTDATA SHA256(suite ‖ n ‖ e).
        Raises :class:`Refused`: report.malformed, report.mac-invalid, key.invalid-attribute for an enclave without
        PROVISIONKEY, provision.malformed for another key than the REPORT vouches for.
        """
        if crypto_suite != CRYPTO_SUITE_RSA_OAEP_3072:
            raise refuse(Reason.PROVISION_MALFORMED, f"the PCE knows no crypto suite {crypto_suite}")
        with self.enclave.entered() as inside:
            body = _verified(inside, report).body
            if body.reportdata != key_report_data(pek):
                raise refuse(Reason.PROVISION_MALFORMED, "the REPORT vouches for another PEK")
            ppid = ppid_of(inside.key(provision_request(Psvn())))
        try:
            return pek_of(pek).encrypt(ppid, OAEP)
        except ValueError as error:
            raise refuse(Reason.PROVISION_MALFORMED, f"the PEK is no RSA-3072 key: {error}") from error

    def certify(self, report: bytes, psvn: Psvn) -> bytes:
        """Sign a provisioning enclave's REPORT body for the TCB ``psvn`` (ISVSVN is the PCE's): r ‖ s, 64 bytes.

        Raises :class:`Refused`: report.malformed, report.mac-invalid, key.invalid-attribute, and key.invalid-cpusvn or
        key.invalid-isvsvn for a TCB above this one.
        """
        with self.enclave.entered() as inside:
            body = _verified(inside, report).body
            key = certification_key(inside.key(provision_request(psvn)))
        r, s = decode_dss_signature(key.sign(body.to_bytes(), ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _verified(inside: Entered, report: bytes) -> Report:
    try:
        received = Report.from_bytes(report, check_reserved=True)
    except FormatError as error:
        raise refuse(Reason.REPORT_FORMAT, str(error)) from error
    if not inside.verify(received):
        raise refuse(Reason.REPORT_MAC)
    if not received.body.attributes.flags & AttributeFlags.PROVISIONKEY:
        raise refuse(Reason.KEY_ATTRIBUTE, "the PCE works for enclaves with PROVISIONKEY only")
    return received
