"""Split (TPM) members: join, sign, verify; and that the two kinds of member are not mixed up."""

import pytest
from fusequote.epid import (
    EpidFormatError,
    GidFields,
    GroupRl,
    HashAlg,
    Issuer,
    JoinRefused,
    KeyCheckFailed,
    Member,
    PrivRl,
    Signature,
    SignerRevoked,
    SigRl,
    SplitJoinRequest,
    SplitMember,
    SplitSignature,
    Verifier,
    VerifyResult,
    are_linked,
    fp_hash,
    issue_split,
    make_split_join_request,
)
from fusequote.epid.hashing import device_challenge, g1_hash
from fusequote.epid.params import G1_GENERATOR, P
from fusequote.epid.splitform import split_generator, split_group

OK, INVALID = VerifyResult.kEpidSigValid, VerifyResult.kEpidSigInvalid


def split_key(issuer):
    nonce = issuer.nonce()
    request, pending = make_split_join_request(issuer.group, nonce, hash_alg=issuer.hash_alg)
    return pending.provision(issue_split(issuer, SplitJoinRequest.from_bytes(request.to_bytes()), nonce))


@pytest.fixture(scope="module")
def key(issuer):
    return split_key(issuer)


@pytest.fixture
def member(issuer, key):
    return SplitMember(issuer.group, key)


@pytest.mark.parametrize("alg", HashAlg, ids=lambda a: a.hash_name)
def test_every_hash_algorithm(alg, arithmetic):
    issuer = Issuer.create(GidFields(hash_alg=alg).to_bytes(), arithmetic=arithmetic)
    member = SplitMember(issuer.group, split_key(issuer), arithmetic=arithmetic)
    for basename in (None, b"base"):
        signature = member.sign(b"m", basename)
        assert Verifier(issuer.group, basename=basename, arithmetic=arithmetic).verify(signature, b"m") is OK


def test_generator_is_the_hash_of_h1(issuer, arithmetic):
    h1s, counter = split_generator(issuer.group, None, arithmetic)
    assert h1s == g1_hash(HashAlg.SHA256, issuer.group.h1, arithmetic)
    group = split_group(issuer.group)
    assert (group.h1, group.h2, group.w, group.gid) == (
        h1s,
        issuer.group.h2,
        issuer.group.w,
        issuer.group.gid,
    )
    assert counter < 51


def test_challenge_is_padded_to_the_digest():
    nonce, c = bytes(range(32)), 12345
    for alg, pad in (
        (HashAlg.SHA256, 0),
        (HashAlg.SHA384, 16),
        (HashAlg.SHA512, 32),
        (HashAlg.SHA512_256, 0),
    ):
        assert device_challenge(alg, nonce, c) == fp_hash(alg, nonce + bytes(pad) + c.to_bytes(32, "big"))


def test_bytes(member, issuer):
    group = issuer.group
    rl = SigRl(group.gid, 5, ((G1_GENERATOR, group.h1),) * 3)
    signature = member.sign(b"m", b"base", rl)
    data = signature.to_bytes()
    assert len(data) == 392 + 192 * 3
    assert data[384:392] == bytes([0, 0, 0, 5, 0, 0, 0, 3]) and data[352:384] == signature.nonce
    assert SplitSignature.from_bytes(data) == signature
    with pytest.raises(EpidFormatError, match="split one"):
        Signature.from_bytes(data)
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(EpidFormatError):
            SplitSignature.from_bytes(wrong)
    verifier = Verifier(group, basename=b"base", sig_rl=rl)
    assert verifier.verify(data, b"m") is OK
    assert verifier.verify(signature, b"x") is INVALID
    for at in range(0, len(data), 3):
        mutant = bytearray(data)
        mutant[at] ^= 0x10
        if at < 384:
            expected = INVALID
        elif at < 388:
            expected = VerifyResult.kEpidVersionMismatchErr
        elif at < 392:
            expected = VerifyResult.kEpidBadSignatureErr
        else:
            expected = VerifyResult.kEpidSigRevokedInSigRl
        assert verifier.verify(mutant, b"m") is expected, at


def test_lists_hold_for_split_members(member, key, issuer):
    group = issuer.group
    signature = member.sign(b"m", b"base")
    revoked = {
        VerifyResult.kEpidSigRevokedInGroupRl: Verifier(group, group_rl=GroupRl(1, (group.gid,))),
        VerifyResult.kEpidSigRevokedInPrivRl: Verifier(group, priv_rl=PrivRl(group.gid, 1, (key.f,))),
    }
    for answer, verifier in revoked.items():
        assert verifier.verify(signature, b"m") is answer
    rl = issuer.revoke_signature(issuer.empty_sig_rl(), signature, b"m", b"base")
    with pytest.raises(SignerRevoked) as caught:
        member.sign(b"n", sigrl=rl)
    last = caught.value.signature
    assert len(last.to_bytes()) == 392 + 192 and last.to_bytes()[392:] == bytes(192)
    assert Verifier(group, sig_rl=rl).verify(last, b"n") is VerifyResult.kEpidSigRevokedInSigRl
    verifier = Verifier(group, basename=b"base")
    verifier.blacklist(signature, b"m")
    answer = verifier.verify(member.sign(b"o", b"base"), b"o")
    assert answer is VerifyResult.kEpidSigRevokedInVerifierRl


def test_kinds_are_not_mixed(member, members, issuer, key):
    with pytest.raises(KeyCheckFailed):
        Member(issuer.group, key)
    with pytest.raises(KeyCheckFailed):
        SplitMember(issuer.group, members[0]._key)
    data = member.sign(b"m", b"base").to_bytes()
    as_plain = data[:352] + bytes(8)
    assert Verifier(issuer.group).verify(as_plain, b"m") is INVALID
    plain = members[0].sign(b"m", b"base").to_bytes()
    assert Verifier(issuer.group).verify(plain[:352] + bytes(40), b"m") is INVALID
    assert are_linked(data, member.sign(b"n", b"base"))
    assert not are_linked(data, plain)


def test_join_is_checked(issuer):
    nonce = issuer.nonce()
    good, _ = make_split_join_request(issuer.group, nonce)
    assert len(good.to_bytes()) == 196 and good.proves(issuer.group, nonce)
    fields = vars(good)
    for change in (
        {"c": (good.c + 1) % P},
        {"s": (good.s + 1) % P},
        {"k": bytes(32)},
        {"i": good.i + 1},
        {"y": 1},
    ):
        assert not SplitJoinRequest(**{**fields, **change}).proves(issuer.group, nonce)
    assert not good.proves(issuer.group, bytes(32))
    with pytest.raises(JoinRefused):
        issue_split(issuer, SplitJoinRequest(**{**fields, "s": 1}), nonce)
    with pytest.raises(JoinRefused):
        issue_split(issuer, good, nonce)
    with pytest.raises(EpidFormatError):
        SplitJoinRequest.from_bytes(good.to_bytes()[:-1])
