"""Many members of one EPID group: what stands for chips that nobody wants to simulate a hundred of.

Each joins by the protocol of EPID: a request that proves knowledge of f to the group's issuer, a credential, the check
of the key. The services' store gets the rows that their provisioning server would have written. What is left out is
the chip: no fuses, no Provisioning Enclave, no messages between.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fusequote.arch import QuoteBody, QuoteSignature, QuoteV2, ReportBody, SignType
from fusequote.arch.provision import PlatformInfo
from fusequote.epid import Member, MemberPrecomp, MemberPrivateKey, MemoryNonces, SignerRevoked, SigRl
from fusequote.epid.arithmetic import default
from fusequote.epid.params import G2_GENERATOR
from fusequote.ladder.telling import Progress
from fusequote.services.provisioning_tables import Membership
from fusequote.services.services import Services
from fusequote.services.tables import CredentialRow, Device

__all__ = ["Newcomer", "join", "quote_of"]

_OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
_ESCROW_SIZE = 64


class Newcomer:
    """A member, by the name that the services have for its device, with its key."""

    def __init__(self, ppid: bytes, key: MemberPrivateKey, member: Member):
        self.ppid, self.key, self.member = ppid, key, member


def join(
    services: Services, gid: bytes, count: int, progress: Progress, ppids: Sequence[bytes] | None = None
) -> list[Newcomer]:
    """``count`` members join a group, as devices of the names ``ppids``, or new ones."""
    registry = services.registry
    issuer, tcb = registry.issuer(gid, MemoryNonces()), registry.tcb(gid)
    level = PlatformInfo(cpusvn=tcb.cpusvn, pve_svn=tcb.isvsvn, pce_svn=tcb.pce_svn)
    names = [secrets.token_bytes(16) for _ in range(count)] if ppids is None else ppids
    made: list[Newcomer] = []
    with registry.store.session() as session:
        if ppids is None:
            for name in names:
                sealed = registry.store.vault.seal(secrets.token_bytes(16), b"devices.rpk" + name)
                session.add(Device(ppid=name, device_id=secrets.token_bytes(16), rpk_sealed=sealed, cpusvn=tcb.cpusvn))
            session.flush()
        for number, name in enumerate(names, 1):
            nonce = issuer.nonce()
            request, pending = Member.join_request(issuer.group, nonce)
            credential = issuer.issue(request, nonce)
            key = pending.provision(credential)
            row = CredentialRow(
                gid=gid, ppid=name, psvn=level.psvn.to_bytes(), x=credential.x.to_bytes(32, "big"),
                point=credential.A, escrow=secrets.token_bytes(_ESCROW_SIZE), issued=registry.store.clock(),
            )  # fmt: skip
            session.add(row)
            session.flush()
            session.add(
                Membership(
                    ppid=name, gid=gid, credential_id=row.id, platform_info=level.to_bytes(), join_point=request.F
                )
            )
            # Three of the four pairings that a member signs with are the group's.
            shared = made[0].member.precomp if made else MemberPrecomp.compute(issuer.group, key.A)
            own = dataclasses.replace(shared, ea2=default().pairing_product([(key.A, G2_GENERATOR)]))
            made.append(Newcomer(name, key, Member(issuer.group, key, precomp=own)))
            progress(number, count)
    return made


def quote_of(
    member: Member,
    report: ReportBody,
    qsdk: rsa.RSAPublicKey,
    *,
    spid: bytes,
    sign_type: SignType,
    sigrl: SigRl | None = None,
) -> bytes:
    """A quote about ``report`` by whoever has a member's key, in or out of an enclave.

    A member who is on the SigRL cannot make the proof; the quote is made nevertheless, with what there is in its place.
    """
    tail = bytes(16) if sign_type is SignType.LINKABLE else secrets.token_bytes(16)
    body = QuoteBody(
        sign_type=sign_type, gid=member.group.gid[::-1], qe_svn=1, pce_svn=1, basename=spid + tail, report=report
    )
    try:
        signature = member.sign(body.to_bytes(), basename=body.basename, sigrl=sigrl)
    except SignerRevoked as revoked:
        signature = revoked.signature
    key, iv = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = QuoteSignature(
        wrap_key=qsdk.encrypt(key, _OAEP),
        key_hash=hashlib.sha256(key).digest(),
        iv=iv,
        sealed=AESGCM(key).encrypt(iv, signature.to_bytes(), None),
    )
    return QuoteV2(body=body, signature=sealed.to_bytes()).to_bytes()
