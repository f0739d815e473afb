"""Joining: nonces, proofs, credentials, and issuers that mean harm."""

import pytest
from fusequote.epid import (
    EpidError,
    EpidFormatError,
    EpidStatus,
    GidFields,
    GroupMismatch,
    GroupPublicKey,
    HashAlg,
    Issuer,
    IssuingPrivateKey,
    JoinRefused,
    JoinRequest,
    KeyCheckFailed,
    Member,
    MemberPrivateKey,
    MembershipCredential,
    MemoryNonces,
    Verifier,
    VerifyResult,
    are_linked,
)
from fusequote.epid.params import G1_GENERATOR, P, Q

from .support import vectors

OK, INVALID = VerifyResult.kEpidSigValid, VerifyResult.kEpidSigInvalid
OUTSIDE = bytes.fromhex(
    next(c for c in vectors("pairing")["membership"] if c["case"] == "on the twist but not of order p")["bytes"]
)


def joined(issuer, **options):
    nonce = issuer.nonce()
    request, pending = Member.join_request(issuer.group, nonce, hash_alg=issuer.hash_alg)
    return Member(issuer.group, pending.provision(issuer.issue(request, nonce)), issuer.hash_alg, **options)


@pytest.mark.parametrize("alg", HashAlg, ids=lambda a: a.hash_name)
def test_whole_life_in_every_hash_algorithm(arithmetic, alg):
    gid = GidFields(hash_alg=alg, core=9).to_bytes()
    issuer = Issuer.create(gid, arithmetic=arithmetic)
    assert issuer.hash_alg is alg
    member = joined(issuer, arithmetic=arithmetic)
    for basename in (None, b"b", b"\0" * 32):
        signature = member.sign(b"message", basename)
        assert (
            Verifier(issuer.group, basename=basename, arithmetic=arithmetic).verify(signature, b"message") is OK
        )
        other = HashAlg((alg + 1) % 4)
        assert Verifier(issuer.group, other, arithmetic=arithmetic).verify(signature, b"message") is INVALID


def test_same_key_and_signature_under_both_gid_forms(members, known):
    _, group, keys = known
    short = group.with_gid(group.gid[12:])
    key = keys["m0"]
    member = Member(short, MemberPrivateKey(short.gid, key.A, key.x, key.f))
    signature = member.sign(b"m", b"base")
    assert Verifier(group, basename=b"base").verify(signature, b"m") is OK
    assert Verifier(short).verify(members[0].sign(b"m"), b"m") is OK
    assert are_linked(signature, members[0].sign(b"m", b"base"))


def test_nonces_are_good_once(known, issuer):
    nonce = issuer.nonce()
    request, pending = Member.join_request(issuer.group, nonce)
    assert issuer.nonce() != nonce
    pending.provision(issuer.issue(request, nonce))
    for bad in (nonce, bytes(32), b""):
        with pytest.raises(JoinRefused) as caught:
            issuer.issue(request, bad)
        assert caught.value.status == EpidStatus.kEpidBadNonceErr


def test_a_refused_request_uses_its_nonce_up(issuer):
    nonce = issuer.nonce()
    good, _ = Member.join_request(issuer.group, nonce)
    forged = JoinRequest(good.F, good.c, (good.s + 1) % P)
    with pytest.raises(JoinRefused, match="proof|prove"):
        issuer.issue(forged, nonce)
    with pytest.raises(JoinRefused, match="nonce"):
        issuer.issue(good, nonce)


def test_join_proof_is_bound_to_everything(issuer):
    nonce = issuer.nonce()
    good, _ = Member.join_request(issuer.group, nonce)
    assert good.proves(issuer.group, nonce)
    assert not good.proves(issuer.group, nonce, HashAlg.SHA512)
    assert not good.proves(Issuer.create(issuer.group.gid).group, nonce)
    assert not JoinRequest(G1_GENERATOR, good.c, good.s).proves(issuer.group, nonce)
    assert not JoinRequest(good.F, (good.c + 1) % P, good.s).proves(issuer.group, nonce)
    with pytest.raises(EpidError):
        Member.join_request(issuer.group, nonce[:-1])
    for f in (0, P, -1):
        with pytest.raises(EpidError):
            Member.join_request(issuer.group, nonce, f)


def test_forgotten_nonces_bound_the_memory():
    store = MemoryNonces(limit=3)
    nonces = [bytes([i]) * 32 for i in range(5)]
    for nonce in nonces:
        store.remember(nonce)
    assert [store.consume(nonce) for nonce in nonces] == [False, False, True, True, True]
    assert not store.consume(nonces[-1])


def test_issuer_survives_its_export(issuer):
    again = Issuer.load(issuer.export())
    member = joined(again)
    assert Verifier(issuer.group).verify(member.sign(b"m"), b"m") is OK
    short = Issuer.create(b"\0\0\0\5")
    assert len(short.export()) == 296 and len(issuer.export()) == 320
    assert Issuer.load(short.export()).group == short.group
    for data in (b"", issuer.export()[:-1], issuer.export()[:-32] + bytes(32)):
        with pytest.raises(EpidFormatError):
            Issuer.load(data)
    wrong = issuer.export()[:-32] + (7).to_bytes(32, "big")
    with pytest.raises(EpidError) as caught:
        Issuer.load(wrong)
    assert caught.value.status == EpidStatus.kEpidUnrelatedKeyPairErr
    with pytest.raises(GroupMismatch):
        Issuer(issuer.group, IssuingPrivateKey(b"\0\0\0\1", 5))
    assert "gamma" not in repr(issuer)


def test_member_refuses_a_wrong_credential(issuer, known):
    nonce = issuer.nonce()
    request, pending = Member.join_request(issuer.group, nonce)
    good = issuer.issue(request, nonce)
    other = known[2]["m1"]
    for bad in (
        MembershipCredential(good.gid, other.A, good.x),
        MembershipCredential(good.gid, good.A, (good.x + 1) % P),
        other.credential,
        MembershipCredential(
            good.gid, good.A[:32] + (Q - int.from_bytes(good.A[32:], "big")).to_bytes(32, "big"), good.x
        ),
    ):
        with pytest.raises(KeyCheckFailed):
            pending.provision(bad)
    with pytest.raises(KeyCheckFailed):
        Member.provision(issuer.group, good, pending.f % (P - 1) + 1)
    with pytest.raises(GroupMismatch):
        pending.provision(MembershipCredential(b"\0\0\0\7", good.A, good.x))
    assert pending.provision(good).f == pending.f


def test_member_refuses_a_group_with_w_outside_the_subgroup(known):
    _, group, keys = known
    evil = GroupPublicKey(group.gid, group.h1, group.h2, OUTSIDE)
    for call in (
        lambda: Member.join_request(evil, bytes(32)),
        lambda: Member.provision(evil, keys["m0"].credential, keys["m0"].f),
        lambda: Member(evil, keys["m0"]),
        lambda: Verifier(evil),
    ):
        with pytest.raises(EpidFormatError, match="outside the subgroup"):
            call()


def test_bad_generators_are_refused(known):
    _, group, _ = known
    for field in ("h1", "h2", "w"):
        size = len(getattr(group, field))
        for bad in (bytes(size), b"\1" * size):
            with pytest.raises(EpidFormatError, match=field):
                GroupPublicKey(**{**vars(group), field: bad})


def test_key_of_another_group(members, known):
    stranger = Issuer.create(known[1].gid)
    with pytest.raises(KeyCheckFailed):
        Member(stranger.group, known[2]["m0"])
    assert Verifier(stranger.group).verify(members[0].sign(b"m"), b"m") is INVALID
