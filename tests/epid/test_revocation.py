"""The four revocation lists."""

import pytest
from fusequote.epid import (
    EpidError,
    EpidFormatError,
    EpidStatus,
    GroupMismatch,
    GroupRl,
    KeyCheckFailed,
    Member,
    MemberPrivateKey,
    PrivRl,
    Signature,
    SignerRevoked,
    SigRl,
    UncheckedPrivRl,
    UncheckedSigRl,
    UncheckedVerifierRl,
    Verifier,
    VerifierRl,
    VerifyResult,
    VersionRollback,
)
from fusequote.epid.params import G1_GENERATOR, P

from .support import vectors

OK, INVALID = VerifyResult.kEpidSigValid, VerifyResult.kEpidSigInvalid
OUTSIDE = bytes.fromhex(
    next(c for c in vectors("pairing")["membership"] if c["case"] == "on the twist but not of order p")["bytes"]
)


def test_group_rl(members, known):
    group = known[1]
    signature = members[0].sign(b"m")
    listed = GroupRl(1, (group.gid,))
    assert Verifier(group, group_rl=listed).verify(signature, b"m") is VerifyResult.kEpidSigRevokedInGroupRl
    assert Verifier(group, group_rl=listed).verify(signature, b"x") is INVALID, "invalid comes before revoked"
    short = group.with_gid(group.gid[12:])
    assert Verifier(short, group_rl=listed).verify(signature, b"m") is VerifyResult.kEpidSigRevokedInGroupRl
    assert Verifier(group, group_rl=GroupRl(1, (bytes(16),))).verify(signature, b"m") is OK


def test_priv_rl(members, known, issuer):
    group, keys = known[1], known[2]
    listed = issuer.revoke_key(issuer.empty_priv_rl(), keys["m0"])
    assert listed == PrivRl(group.gid, 1, (keys["m0"].f,))
    for padding in (0, 6):
        rl = PrivRl(group.gid, 2, (*range(1, padding + 1), *listed.entries))
        verifier = Verifier(group, priv_rl=rl)
        for basename in (None, b"base"):
            answer = verifier.verify(members[0].sign(b"m", basename), b"m")
            assert answer is VerifyResult.kEpidSigRevokedInPrivRl
            assert verifier.verify(members[1].sign(b"m", basename), b"m") is OK
    with pytest.raises(KeyCheckFailed):
        issuer.revoke_key(listed, MemberPrivateKey(group.gid, keys["m1"].A, keys["m1"].x, 5))
    with pytest.raises(GroupMismatch):
        Verifier(group, priv_rl=PrivRl(b"\0\0\0\1", 1))


def test_priv_rl_as_intel_reads_it(members, known):
    group = known[1]
    signature = members[0].sign(b"m")
    harmless = UncheckedPrivRl(group.gid, 1, (0,))
    assert Verifier(group, priv_rl=harmless, strict=False).verify(signature, b"m") is OK
    above = UncheckedPrivRl(group.gid, 1, (P,))
    answer = Verifier(group, priv_rl=above, strict=False).verify(signature, b"m")
    assert answer is VerifyResult.kEpidSigRevokedInPrivRl


def test_sig_rl_and_verifier_rl_as_intel_reads_them(members, known):
    """Entries that are no points: the proof for one is never good, and the K of one is nobody's."""
    group, rubbish = known[1], b"\xff" * 64
    good = members[1].sign(b"a").basic
    rl = SigRl(group.gid, 3, ((good.B, good.K), (good.B, good.K)))
    data = members[0].sign(b"m", b"base", rl).to_bytes()
    assert Verifier(group, sig_rl=rl, strict=False).verify(data, b"m") is OK
    for entry in ((rubbish, good.K), (good.B, rubbish), (bytes(64), good.K)):
        unchecked = UncheckedSigRl(group.gid, 3, (rl.entries[0], entry))
        answer = Verifier(group, sig_rl=unchecked, strict=False).verify(data, b"m")
        assert answer is VerifyResult.kEpidSigRevokedInSigRl
        with pytest.raises(EpidFormatError) as caught:
            SigRl.from_bytes(unchecked.to_bytes())
        assert caught.value.status == EpidStatus.kEpidBadSigRlErr
    own = UncheckedVerifierRl(group.gid, data[:64], 1, (rubbish, data[64:128]))
    verifier = Verifier(group, basename=b"base", sig_rl=rl, verifier_rl=own, strict=False)
    assert verifier.verify(data, b"m") is VerifyResult.kEpidSigRevokedInVerifierRl


def test_a_list_of_another_group_has_the_status_of_its_kind(known):
    group, other = known[1], b"\0\0\0\1"
    for name, rl, status in (
        ("priv_rl", PrivRl(other), EpidStatus.kEpidBadPrivRlErr),
        ("sig_rl", SigRl(other), EpidStatus.kEpidBadSigRlErr),
        ("verifier_rl", VerifierRl(other, G1_GENERATOR), EpidStatus.kEpidBadVerifierRlErr),
    ):
        with pytest.raises(GroupMismatch) as caught:
            Verifier(group, basename=b"b", **{name: rl})
        assert caught.value.status == status


def test_sig_rl(members, known, issuer, arithmetic):
    group = known[1]
    bad, good = (Member(group, key, arithmetic=arithmetic) for key in known[2].values())
    caught_signature = bad.sign(b"evidence", b"base")
    rl = issuer.revoke_signature(issuer.empty_sig_rl(), caught_signature, b"evidence", b"base")
    assert rl.version == 1 and len(rl) == 1
    rl = issuer.revoke_signature(rl, bad.sign(b"more"), b"more")
    assert (rl.version, len(rl)) == (2, 2)
    verifier = Verifier(group, sig_rl=rl, arithmetic=arithmetic)
    assert verifier.verify(good.sign(b"m", sigrl=rl), b"m") is OK
    with pytest.raises(SignerRevoked) as revoked:
        bad.sign(b"m", sigrl=rl)
    assert revoked.value.entries == [0, 1]
    assert revoked.value.signature.to_bytes()[360:] == bytes(320)
    answer = verifier.verify(revoked.value.signature, b"m")
    assert answer is VerifyResult.kEpidSigRevokedInSigRl
    with pytest.raises(SignerRevoked):
        bad.prove_nonrevoked(bad.sign(b"m").basic, b"m", rl.entries[0])
    basic = good.sign_basic(b"m")
    proof = good.prove_nonrevoked(basic, b"m", rl.entries[0])
    one = SigRl(group.gid, 7, rl.entries[:1])
    assert Verifier(group, sig_rl=one).verify(Signature(basic, 7, (proof,)), b"m") is OK


def test_sig_rl_mutations(members, known):
    """200 mutations of a signature with proofs, each refused with the right number."""
    group = known[1]
    rl = SigRl(
        group.gid, 9, tuple((m.B, m.K) for m in (members[0].sign(b"a").basic, members[0].sign(b"b").basic))
    )
    data = members[1].sign(b"m", b"base", rl).to_bytes()
    verifier = Verifier(group, basename=b"base", sig_rl=rl)
    assert verifier.verify(data, b"m") is OK
    for i in range(200):
        at = i * (len(data) - 1) // 199
        mutant = bytearray(data)
        mutant[at] ^= 1 << i % 8
        if at < 352:
            expected = INVALID
        elif at < 356:
            expected = VerifyResult.kEpidVersionMismatchErr
        elif at < 360:
            expected = VerifyResult.kEpidBadSignatureErr
        else:
            expected = VerifyResult.kEpidSigRevokedInSigRl
        assert verifier.verify(mutant, b"m") is expected, at
    swapped = data[:360] + data[520:680] + data[360:520]
    assert verifier.verify(swapped, b"m") is VerifyResult.kEpidSigRevokedInSigRl
    assert verifier.verify(data[:360] + bytes(320), b"m") is VerifyResult.kEpidSigRevokedInSigRl
    dropped = data[:352] + (9).to_bytes(4, "big") + bytes(4)
    assert verifier.verify(dropped, b"m") is VerifyResult.kEpidBadSignatureErr
    assert verifier.verify(data[:352] + bytes(8), b"m") is VerifyResult.kEpidVersionMismatchErr
    other = Verifier(group, sig_rl=SigRl(group.gid, 10, rl.entries))
    assert other.verify(data, b"m") is VerifyResult.kEpidVersionMismatchErr
    shorter = Verifier(group, sig_rl=SigRl(group.gid, 9, rl.entries[:1]))
    assert shorter.verify(data, b"m") is VerifyResult.kEpidBadSignatureErr


def test_proofs_without_a_list(members, known):
    """Intel does not look at them; strict does."""
    group = known[1]
    rl = SigRl(group.gid, 9, ((G1_GENERATOR, group.h1),))
    data = members[0].sign(b"m", sigrl=rl).to_bytes()
    garbage = data[:360] + b"\xff" * 160
    for signature in (data, garbage, data[:352] + bytes(4) + data[356:]):
        assert Verifier(group, strict=False).verify(signature, b"m") is OK
    assert Verifier(group).verify(garbage, b"m") is VerifyResult.kEpidVersionMismatchErr
    assert Verifier(group).verify(data[:352] + bytes(4) + data[356:], b"m") is VerifyResult.kEpidBadSignatureErr
    empty = SigRl(group.gid, 30)
    signature = members[0].sign(b"m", sigrl=empty)
    assert signature.rl_ver == 30 and not signature.proofs
    assert Verifier(group, sig_rl=empty).verify(signature, b"m") is OK


def test_evidence_must_be_good(members, issuer, known):
    data = members[0].sign(b"m", b"base").to_bytes()
    empty = issuer.empty_sig_rl()
    for signature, message, basename in (
        (data, b"x", None),
        (data, b"m", b"y"),
        (bytes(360), b"m", None),
        (b"", b"", None),
    ):
        with pytest.raises(EpidError) as caught:
            issuer.revoke_signature(empty, signature, message, basename)
        assert caught.value.status == EpidStatus.kEpidSigInvalid
    with pytest.raises(GroupMismatch):
        issuer.revoke_signature(SigRl(b"\0\0\0\1"), data, b"m")


def test_verifier_rl(members, known):
    group = known[1]
    verifier = Verifier(group, basename=b"base")
    signature = members[0].sign(b"m", b"base")
    rl = verifier.blacklist(signature, b"m")
    assert (rl.version, len(rl)) == (1, 1)
    assert verifier.verify(members[0].sign(b"n", b"base"), b"n") is VerifyResult.kEpidSigRevokedInVerifierRl
    assert verifier.verify(members[1].sign(b"n", b"base"), b"n") is OK
    again = Verifier(group, basename=b"base", verifier_rl=VerifierRl.from_bytes(rl.to_bytes()))
    assert again.verify(signature, b"m") is VerifyResult.kEpidSigRevokedInVerifierRl
    with pytest.raises(EpidError) as caught:
        verifier.blacklist(signature, b"m")
    assert caught.value.status == EpidStatus.kEpidSigRevokedInVerifierRl
    for verifier_without in (
        lambda: Verifier(group, verifier_rl=rl),
        lambda: Verifier(group).blacklist(signature, b"m"),
    ):
        with pytest.raises(EpidError) as caught:
            verifier_without()
        assert caught.value.status == EpidStatus.kEpidInconsistentBasenameSetErr
    with pytest.raises(EpidFormatError):
        Verifier(group, basename=b"other", verifier_rl=rl)


def test_revoking_a_group(issuer):
    rl = issuer.revoke_group(GroupRl())
    assert rl == GroupRl(1, (issuer.group.gid,))
    with pytest.raises(GroupMismatch):
        issuer.revoke_group(GroupRl(1, (b"\0\0\0\1",)))


def test_no_list_goes_back(members, known):
    group, point = known[1], G1_GENERATOR
    verifier = Verifier(group, basename=b"b")
    B = verifier._basename_point
    for name, make in (
        ("priv_rl", lambda v: PrivRl(group.gid, v, (5,))),
        ("sig_rl", lambda v: SigRl(group.gid, v, ((point, point),))),
        ("group_rl", lambda v: GroupRl(v, (bytes(16),))),
        ("verifier_rl", lambda v: VerifierRl(group.gid, B, v, (point,))),
    ):
        for version in (3, 3, 4):
            verifier.update(**{name: make(version)})
        with pytest.raises(VersionRollback):
            verifier.update(**{name: make(3)})
        assert getattr(verifier, name).version == 4
    members[0].sign(b"m", sigrl=SigRl(group.gid, 5))
    with pytest.raises(VersionRollback):
        members[0].sign(b"m", sigrl=SigRl(group.gid, 4))
    with pytest.raises(GroupMismatch):
        members[0].sign(b"m", sigrl=SigRl(b"\0\0\0\1", 9))
