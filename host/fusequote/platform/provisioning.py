"""The Provisioning Enclave: proves to the server that its chip is genuine, joins the EPID group, seals the
key.

What the server believes is the PROVISION key: nobody can derive it but this enclave on this chip, and a
server that knows the chip's root provisioning key. The Provisioning Enclave never learns that root.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from fusequote.arch import (
    AttributeFlags,
    Attributes,
    GroupCert,
    KeyName,
    KeyRequest,
    Psvn,
)
from fusequote.epid import (
    EpidError,
    Member,
    MemberPrecomp,
    MembershipCredential,
    PendingJoin,
)
from fusequote.errors import FormatError
from fusequote.platform.constants import Constants
from fusequote.platform.entry import Enclave
from fusequote.platform.epidblob import AttestationKey, seal_blob
from fusequote.platform.epidfiles import read_group_certificate
from fusequote.platform.protocol import (
    ESCROW_SIZE,
    Challenge,
    Credential,
    Hello,
    Proof,
    associated_data,
    cmac,
    open_box,
    seal_box,
    wrap_key,
)
from fusequote.verdict import Reason, refuse

__all__ = ["PROVISION_ATTRIBUTES", "PROVISION_MISC_MASK", "Joining", "ProvisioningEnclave"]

#: Masks of provisioning keys: all flags but MODE64BIT, no XFRM bit (instruction notes 6).
PROVISION_ATTRIBUTES = Attributes(flags=~AttributeFlags.MODE64BIT.value & (1 << 64) - 1)
PROVISION_MISC_MASK = 0xFFFFFFFF
_VERSION = bytes(4)


@dataclass(frozen=True)
class Joining:
    """A join under way: what the enclave keeps between proof and credential. Secret."""

    pending: PendingJoin
    psvn: Psvn
    challenge: bytes
    provision_key: bytes = field(repr=False)
    escrow_key: bytes = field(repr=False)


class ProvisioningEnclave:
    """The program that plays the Provisioning Enclave. ``constants`` are those that its image measures."""

    def __init__(self, enclave: Enclave, constants: Constants):
        self.enclave = enclave
        self._constants = constants

    def ppid(self) -> bytes:
        """The PPID, 16 bytes: CMAC of zeros under the PROVISION key of PSVN zero; the same for every TCB."""
        with self.enclave.entered() as inside:
            return cmac(inside.key(_provision_request(Psvn())), bytes(16))

    def psvn(self) -> Psvn:
        """This platform's TCB: CPUSVN of the chip, ISVSVN of this enclave."""
        return Psvn(cpusvn=self.enclave.identity.cpusvn, isvsvn=self.enclave.identity.isvsvn)

    def hello(self) -> Hello:
        """The first message."""
        return Hello(ppid=self.ppid(), psvn=self.psvn())

    def answer(self, data: bytes) -> tuple[Proof, Joining]:
        """The proof that answers the server's challenge.

        Raises :class:`Refused`: provision.malformed, provision.group-certificate-invalid, or key.* when the
        server asks for a TCB above this chip's.
        """
        try:
            message = Challenge.from_bytes(data)
        except FormatError as error:
            raise refuse(Reason.PROVISION_MALFORMED, str(error)) from error
        group = read_group_certificate(GroupCert.from_bytes(message.group_certificate), self._constants.isk)
        with self.enclave.entered() as inside:
            provision_key = inside.key(_provision_request(message.psvn))
            escrow_key = inside.key(_escrow_request(message.psvn))
        request, pending = Member.join_request(group, message.challenge)
        n2 = secrets.token_bytes(16)
        box = seal_box(
            wrap_key(provision_key, n2),
            request.to_bytes() + _escrow(escrow_key, pending.f),
            associated_data(group.gid, message.psvn, message.challenge),
        )
        proof = Proof(session=message.session, n2=n2, iv=box[0], ciphertext=box[1], tag=box[2])
        return proof, Joining(pending, message.psvn, message.challenge, provision_key, escrow_key)

    def finish(self, data: bytes, joining: Joining) -> bytes:
        """The sealed EPID blob (2836 bytes) from the server's credential.

        Raises :class:`Refused`: provision.malformed, provision.server-not-authentic,
        provision.escrow-invalid, provision.credential-invalid.
        """
        try:
            message = Credential.from_bytes(data)
        except FormatError as error:
            raise refuse(Reason.PROVISION_MALFORMED, str(error)) from error
        group = joining.pending.group
        plain = open_box(
            wrap_key(joining.provision_key, message.n2),
            message.iv,
            message.ciphertext,
            message.tag,
            associated_data(group.gid, joining.psvn, joining.challenge),
        )
        if plain is None:
            raise refuse(Reason.SERVER_KEY)
        x, point, escrow = plain[:32], plain[32:96], plain[96:]
        if not hmac.compare_digest(_open_escrow(joining.escrow_key, escrow), _scalar(joining.pending.f)):
            raise refuse(Reason.ESCROW)
        try:
            key = joining.pending.provision(MembershipCredential.from_bytes(group.gid + point + x, gid_size=4))
        except EpidError as error:
            raise refuse(Reason.CREDENTIAL, str(error)) from error
        content = AttestationKey(group, joining.psvn, key, MemberPrecomp.compute(group, key.A))
        return seal_blob(self.enclave, content, self._constants)


def _provision_request(psvn: Psvn) -> KeyRequest:
    return KeyRequest(
        keyname=KeyName.PROVISION,
        isvsvn=psvn.isvsvn,
        cpusvn=psvn.cpusvn,
        attributemask=PROVISION_ATTRIBUTES,
        miscmask=PROVISION_MISC_MASK,
    )


def _escrow_request(psvn: Psvn) -> KeyRequest:
    return KeyRequest(
        keyname=KeyName.PROVISION_SEAL,
        isvsvn=psvn.isvsvn,
        cpusvn=psvn.cpusvn,
        attributemask=PROVISION_ATTRIBUTES,
    )


def _scalar(f: int) -> bytes:
    return f.to_bytes(32, "big")


def _escrow(key: bytes, f: int) -> bytes:
    """Version 4 ‖ IV 12 ‖ AES-GCM(PROVISION_SEAL key, f) 32 ‖ tag 16: the server keeps it and cannot read it."""
    return _VERSION + b"".join(seal_box(key, _scalar(f), b""))


def _open_escrow(key: bytes, escrow: bytes) -> bytes:
    if len(escrow) != ESCROW_SIZE or not escrow.startswith(_VERSION):
        raise refuse(Reason.ESCROW, "wrong length or version")
    f = open_box(key, escrow[4:16], escrow[16:48], escrow[48:], b"")
    if f is None:
        raise refuse(Reason.ESCROW)
    return f
