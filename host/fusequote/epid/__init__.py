"""Intel EPID 2.0, exact to the byte: issuer, member, verifier, revocation lists. Knows nothing of SGX.

Group ids have 16 bytes (Intel's SDK) or 4 (SGX) everywhere; the gid is in no hash. Points are their wire
bytes, scalars are integers, records are frozen dataclasses that are checked however they come about::

    issuer = Issuer.create(gid)                                # hash: the gid's, SHA-256 for 4 bytes
    nonce = issuer.nonce()                                     # 32 bytes, good once
    request, pending = Member.join_request(issuer.group, nonce)
    credential = issuer.issue(request, nonce)                  # JoinRefused
    key = pending.provision(credential)                        # MemberPrivateKey; KeyCheckFailed
    member = Member(issuer.group, key)
    signature = member.sign(message, basename=b"..", sigrl=SigRl(gid, version=1))   # SignerRevoked
    Verifier(issuer.group, basename=b"..", sig_rl=..).verify(signature.to_bytes(), message)     # VerifyResult
    are_linked(signature, other)

Records, each with ``from_bytes(data, gid_size=16)`` and ``to_bytes()``: GroupPublicKey(gid, h1, h2, w),
IssuingPrivateKey(gid, gamma), MembershipCredential(gid, A, x), MemberPrivateKey(gid, A, x, f), JoinRequest(F,
c, s), BasicSignature(B, K, T, c, sx, sf, sa, sb), NonRevokedProof(T, c, smu, snu), Signature(basic, rl_ver,
proofs), PrivRl(gid, version, entries: f), SigRl(gid, version, entries: (B, K)), GroupRl(version, entries:
gid), VerifierRl(gid, B, version, entries: K), MemberPrecomp. Lists grow by ``list.adding(entry)``, which
makes the next version; ``issuer.revoke_key(list, key)``, ``.revoke_signature(list, signature, message,
basename)`` and ``.revoke_group(list)`` check first. ``issuer.export()`` / ``Issuer.load(data)`` keep an
issuer; a service that survives restarts gives ``Issuer(.., nonces=store)`` its own NonceStore.

Errors are :class:`EpidError` (a FusequoteError); bad bytes are :class:`EpidFormatError` (a FormatError too).

The arithmetic is behind :class:`fusequote.epid.arithmetic.Arithmetic`; ``FUSEQUOTE_EPID_BACKEND`` chooses it.
The integer back ends are not constant-time.
"""

from fusequote.epid.errors import (
    EpidError,
    EpidFormatError,
    EpidStatus,
    GroupMismatch,
    JoinRefused,
    KeyCheckFailed,
    PresignatureUsed,
    SignerRevoked,
    VerifyResult,
    VersionRollback,
)
from fusequote.epid.gid import GidFields, hash_alg_of, long_gid
from fusequote.epid.hashing import HashAlg, fp_hash, g1_hash
from fusequote.epid.issuer import Issuer, MemoryNonces, NonceStore
from fusequote.epid.join import JoinRequest, PendingJoin
from fusequote.epid.keys import (
    GroupPublicKey,
    IssuingPrivateKey,
    MemberPrecomp,
    MemberPrivateKey,
    MembershipCredential,
    check_member_key,
)
from fusequote.epid.member import Member, Presignature
from fusequote.epid.revocation import (
    GroupRl,
    PrivRl,
    SigRl,
    UncheckedPrivRl,
    UncheckedSigRl,
    UncheckedVerifierRl,
    VerifierRl,
)
from fusequote.epid.signature import BasicSignature, NonRevokedProof, Signature, are_linked
from fusequote.epid.splitform import SplitSignature
from fusequote.epid.splitmember import SplitJoinRequest, SplitMember, issue_split, make_split_join_request
from fusequote.epid.verifier import Verifier

__all__ = [
    "BasicSignature",
    "EpidError",
    "EpidFormatError",
    "EpidStatus",
    "GidFields",
    "GroupMismatch",
    "GroupPublicKey",
    "GroupRl",
    "HashAlg",
    "Issuer",
    "IssuingPrivateKey",
    "JoinRefused",
    "JoinRequest",
    "KeyCheckFailed",
    "Member",
    "MemberPrecomp",
    "MemberPrivateKey",
    "MembershipCredential",
    "MemoryNonces",
    "NonRevokedProof",
    "NonceStore",
    "PendingJoin",
    "Presignature",
    "PresignatureUsed",
    "PrivRl",
    "SigRl",
    "Signature",
    "SignerRevoked",
    "SplitJoinRequest",
    "SplitMember",
    "SplitSignature",
    "UncheckedPrivRl",
    "UncheckedSigRl",
    "UncheckedVerifierRl",
    "VerifierRl",
    "Verifier",
    "VerifyResult",
    "VersionRollback",
    "are_linked",
    "check_member_key",
    "fp_hash",
    "g1_hash",
    "hash_alg_of",
    "issue_split",
    "long_gid",
    "make_split_join_request",
]
