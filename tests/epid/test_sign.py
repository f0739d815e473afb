"""Signing and verifying: pre-signatures, basenames, mutations, and the gaps in Intel's verifier."""

import copy
import pickle

import pytest
from fusequote.epid import (
    EpidError,
    EpidStatus,
    GroupPublicKey,
    HashAlg,
    Member,
    MemberPrecomp,
    MemberPrivateKey,
    PresignatureUsed,
    SigRl,
    Verifier,
    VerifyResult,
    are_linked,
)
from fusequote.epid.arithmetic import default
from fusequote.epid.equation import BasicFields
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR, P, Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .support import vectors

OK, INVALID = VerifyResult.kEpidSigValid, VerifyResult.kEpidSigInvalid
OUTSIDE = bytes.fromhex(
    next(c for c in vectors("pairing")["membership"] if c["case"] == "on the twist but not of order p")["bytes"]
)


def test_presignatures(members, known, arithmetic):
    member = Member(known[1], known[2]["m0"], arithmetic=arithmetic)
    presig = member.presign()
    assert not presig.used and "unused" in repr(presig) and len(repr(presig)) < 40
    with pytest.raises(TypeError):
        copy.copy(presig)
    with pytest.raises(TypeError):
        copy.deepcopy(presig)
    with pytest.raises(TypeError):
        pickle.dumps(presig)
    signature = member.sign(b"m", b"base", presig=presig)
    assert Verifier(known[1], arithmetic=arithmetic).verify(signature, b"m") is OK
    assert presig.used and presig._values is None
    with pytest.raises(PresignatureUsed):
        member.sign(b"m2", presig=presig)


def test_a_presignature_is_its_makers(members):
    presig = members[0].presign()
    with pytest.raises(EpidError, match="another member's"):
        members[1].sign(b"m", presig=presig)
    assert not presig.used


def test_a_refused_signature_does_not_burn_the_presignature(members):
    presig = members[0].presign()
    with pytest.raises(EpidError):
        members[0].sign(b"m", b"", presig=presig)
    assert not presig.used


def test_precomputation_that_is_given_is_used(known, arithmetic):
    _, group, keys = known
    precomp = MemberPrecomp.compute(group, keys["m0"].A)
    member = Member(
        group, keys["m0"], precomp=MemberPrecomp.from_bytes(precomp.to_bytes()), arithmetic=arithmetic
    )
    assert Verifier(group).verify(member.sign(b"m"), b"m") is OK


def test_empty_basename(members, known):
    with pytest.raises(EpidError) as caught:
        members[0].sign(b"m", b"")
    assert caught.value.status == EpidStatus.kEpidBadBasenameErr
    assert Verifier(known[1], basename=b"").verify(members[0].sign(b"m", b"x"), b"m") is INVALID


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    message=st.binary(max_size=200),
    basename=st.none() | st.binary(min_size=1, max_size=40),
    flip=st.integers(0, 351 * 8),
)
def test_any_message_and_any_flipped_bit(members, known, message, basename, flip):
    data = bytearray(members[0].sign(message, basename).to_bytes())
    verifier = Verifier(known[1], basename=basename)
    assert verifier.verify(data, message) is OK
    data[flip // 8] ^= 1 << flip % 8
    assert verifier.verify(data, message) is INVALID


def test_signatures_verify_across_back_ends(members, known, arithmetic):
    """One message signed on each back end, verified on each."""
    member = Member(known[1], known[2]["m1"], arithmetic=arithmetic)
    rl = SigRl(known[1].gid, 1, ((G1_GENERATOR, known[1].h1),) * 5)
    signature = member.sign(b"m", b"base", rl)
    assert Verifier(known[1], basename=b"base", sig_rl=rl).verify(signature, b"m") is OK
    theirs = members[1].sign(b"m", b"base", rl)
    assert Verifier(known[1], basename=b"base", sig_rl=rl, arithmetic=arithmetic).verify(theirs, b"m") is OK
    assert are_linked(signature, theirs)


def test_every_field_of_a_signature(members, known):
    """Each field replaced by each kind of bad value: never valid, and the form before the contents."""
    data = members[0].sign(b"m", b"base").to_bytes()
    for verifier in (
        Verifier(known[1], basename=b"base"),
        Verifier(known[1]),
        Verifier(known[1], strict=False),
    ):
        for at in (0, 64, 128):
            for bad in (bytes(64), b"\xff" * 64, G1_GENERATOR, Q.to_bytes(32, "big") * 2):
                assert verifier.verify(data[:at] + bad + data[at + 64 :], b"m") is INVALID
        for at in range(192, 352, 32):
            value = int.from_bytes(data[at : at + 32], "big")
            bad = [bytes(32), P.to_bytes(32, "big"), b"\xff" * 32]
            if value + P < 1 << 256:
                bad.append((value + P).to_bytes(32, "big"))
            for replacement in bad:
                assert verifier.verify(data[:at] + replacement + data[at + 32 :], b"m") is INVALID
        for bad in (b"", data[:359], data + b"\0", data[:356] + b"\0\0\0\1"):
            assert verifier.verify(bad, b"m") is VerifyResult.kEpidBadSignatureErr
        assert verifier.verify(memoryview(data), b"m") is OK


def test_linking(members):
    a, b = members[0], members[1]
    same = [a.sign(b"1", b"base"), a.sign(b"2", b"base").to_bytes()]
    assert are_linked(*same)
    assert not are_linked(same[0], b.sign(b"1", b"base"))
    assert not are_linked(same[0], a.sign(b"1", b"other"))
    assert not are_linked(a.sign(b"1"), a.sign(b"1"))


def test_basename_point_is_checked(members, known):
    signature = members[0].sign(b"m", b"one")
    assert Verifier(known[1], basename=b"two").verify(signature, b"m") is INVALID
    assert Verifier(known[1]).verify(signature, b"m") is OK
    assert Verifier(known[1], basename=b"one").verify(members[0].sign(b"m"), b"m") is INVALID


def test_w_outside_the_subgroup_without_strict(members, known, arithmetic):
    """Nothing verifies by accident, and nothing breaks, when the group key itself is malformed."""
    _, group, _ = known
    evil = GroupPublicKey(group.gid, group.h1, group.h2, OUTSIDE)
    verifier = Verifier(evil, strict=False, arithmetic=arithmetic)
    assert verifier.verify(members[0].sign(b"m"), b"m") is INVALID


def test_literal_formula_equals_the_fast_one(members, known, arithmetic):
    group = known[1]
    signature = members[0].sign(b"m")
    verifier = Verifier(group, strict=False, arithmetic=arithmetic)
    fields = BasicFields.of(signature.to_bytes())
    equation = verifier._plain
    assert equation.literal_commitments(fields, fields.c) == equation.fast_commitments(fields, fields.c)
    equation.fast = False
    assert verifier.verify(signature, b"m") is OK


def test_f_zero_is_a_gap_that_strict_closes(issuer, known):
    """K = identity: a member with f = 0, which Intel's verifier lets pass."""
    group, a = known[1], default()
    A = a.g1_sum([(G1_GENERATOR, pow(5 + issuer._key.gamma, -1, P))])
    key = object.__new__(MemberPrivateKey)
    for name, value in (("gid", group.gid), ("A", A), ("x", 5), ("f", 0)):
        object.__setattr__(key, name, value)
    member = Member(group, key)
    T, R2, *_ = values = member.presign().take(member)
    _, _, blind, b, rx, rf, ra, rb = values
    from fusequote.epid import fp_hash
    from fusequote.epid.hashing import g1_hash

    B = g1_hash(HashAlg.SHA256, b"base", a)
    R1 = a.g1_sum([(B, rf)])
    t3 = fp_hash(HashAlg.SHA256, group.hash_prefix() + B + bytes(64) + T + R1 + R2)
    c = fp_hash(HashAlg.SHA256, t3.to_bytes(32, "big") + b"m")
    numbers = [c] + [(r + c * s) % P for r, s in ((rx, 5), (rf, 0), (ra, blind), (rb, b))]
    data = B + bytes(64) + T + b"".join(n.to_bytes(32, "big") for n in numbers) + bytes(8)
    assert Verifier(group, strict=False).verify(data, b"m") is OK
    assert Verifier(group).verify(data, b"m") is INVALID
    assert a.g2_in_subgroup(G2_GENERATOR)
