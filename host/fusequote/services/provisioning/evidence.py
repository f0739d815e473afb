"""What a ProvMsg3 has to prove: the REPORT of a genuine Provisioning Enclave at the TCB, and a key that is not revoked.

Whoever can sign with the PCE's key of a TCB has a chip at that TCB; the REPORT under that signature names the
Provisioning Enclave and binds the join proof (remote attestation notes 4.7).
"""

from __future__ import annotations

import hmac

from fusequote.arch import AttributeFlags
from fusequote.arch.provision import PlatformInfo
from fusequote.arch.provmsg import GeneralStatus, ProtocolStatus, ProvMsg3Content
from fusequote.epid import Verifier, VerifyResult
from fusequote.platform.epidfiles import ecdsa_verifies
from fusequote.platform.protocol import certification_key, covers, report_binding
from fusequote.services.derivation import ProvisioningIdentity
from fusequote.services.provisioning.decline import Decline, Reject
from fusequote.services.provisioning.sessions import Session
from fusequote.services.registry import Registry

__all__ = ["check_previous_key", "check_report"]


def check_report(content: ProvMsg3Content, session: Session, pce_key: bytes, pve: ProvisioningIdentity) -> None:
    """Raises :class:`Decline` (INVALID_REPORT) unless the REPORT is the right enclave's, at the TCB, about this proof.

    ``pce_key`` is the PCE's PROVISION key of the equivalent TCB.
    """

    def wrong(why: str) -> Decline:
        return Decline(ProtocolStatus.INVALID_REPORT, why)

    body = content.report.body
    signer = certification_key(pce_key).public_key()
    if not ecdsa_verifies(signer, content.report.signature, body.to_bytes()):
        raise wrong("not signed by the PCE's key of the TCB that was asked for")
    if next(body.reserved_in_use(), None):
        raise wrong("reserved bytes are set")
    if not hmac.compare_digest(body.mrsigner, pve.mrsigner) or body.isvprodid != pve.isvprodid:
        raise wrong("not a Provisioning Enclave's")
    flags = body.attributes.flags
    if not flags & AttributeFlags.PROVISIONKEY or not flags & AttributeFlags.INIT or body.attributes.debug:
        raise wrong("attributes that no Provisioning Enclave has")
    current = PlatformInfo(cpusvn=body.cpusvn, pve_svn=body.isvsvn, pce_svn=session.equivalent.pce_svn)
    if not covers(current, session.equivalent):
        raise wrong("its own TCB is below the one that was asked for")
    bound = report_binding(content.join_mac, content.join.ciphertext, content.n2, content.pwk2.ciphertext)
    if not hmac.compare_digest(body.reportdata, bound):
        raise wrong("it vouches for another join proof")


def check_previous_key(registry: Registry, session: Session, signature: bytes) -> None:
    """The EPID signature of the challenge with the device's last key, against that group's lists.

    Raises :class:`Decline`: ATTESTATION_KEY_REVOKED, INVALID_REQUEST for a signature that is none;
    :class:`Reject` (TRANSACTION_STATE_LOST) when the list was replaced meanwhile.
    """
    gid = session.previous_gid
    group = registry.group_key(gid)
    if group is None:
        raise Reject(GeneralStatus.TRANSACTION_STATE_LOST, "the previous group is gone")
    sigrl = registry.sigrl(gid)
    if sigrl.version.to_bytes(4, "big") != session.sigrl_version:
        raise Reject(GeneralStatus.TRANSACTION_STATE_LOST, "the previous group's SigRL was replaced meanwhile")
    verifier = Verifier(group, priv_rl=registry.privrl(gid), sig_rl=sigrl if sigrl.entries else None)
    result = verifier.verify(signature, session.challenge)
    if result in (VerifyResult.kEpidSigRevokedInPrivRl, VerifyResult.kEpidSigRevokedInSigRl):
        raise Decline(ProtocolStatus.ATTESTATION_KEY_REVOKED, result.name)
    if result is not VerifyResult.kEpidSigValid:
        raise Decline(ProtocolStatus.INVALID_REQUEST, f"signature with the previous key: {result.name}")
