"""Bad input is normal input: whatever the bytes, a parser answers with its own error, a verifier with a verdict."""

import random

import pytest
from fusequote.epid import (
    BasicSignature,
    EpidError,
    GroupPublicKey,
    GroupRl,
    Issuer,
    IssuingPrivateKey,
    JoinRequest,
    MemberPrecomp,
    MemberPrivateKey,
    MembershipCredential,
    NonRevokedProof,
    PrivRl,
    Signature,
    SigRl,
    SplitJoinRequest,
    SplitSignature,
    UncheckedPrivRl,
    Verifier,
    VerifierRl,
    VerifyResult,
    files,
)
from fusequote.epid.authority import CaCertificate, CertificateAuthority
from fusequote.epid.compressed import expand
from fusequote.epid.look import describe
from fusequote.epid.params import G1_GENERATOR
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CA = CertificateAuthority.create()
CERTIFICATE = CA.certificate
RECORDS = [
    BasicSignature, GroupPublicKey, GroupRl, IssuingPrivateKey, JoinRequest, MemberPrivateKey, MembershipCredential,
    NonRevokedProof, PrivRl, SigRl, SplitJoinRequest, UncheckedPrivRl, VerifierRl,
]  # fmt: skip
PARSERS = [lambda d, c=c, n=n: c.from_bytes(d, n) for c in RECORDS for n in (4, 16)] + [
    MemberPrecomp.from_bytes,
    Signature.from_bytes,
    SplitSignature.from_bytes,
    Issuer.load,
    CaCertificate.from_bytes,
    describe,
    files.read_member_key,
    files.read_priv_rl_request,
    files.read_group_rl_request,
    files.SigRlRequest.from_bytes,
    files.read_bulk_keys,
    lambda d: files.read_group_key(d, CERTIFICATE),
    lambda d: files.read_bulk_groups(d, CERTIFICATE),
    *(lambda d, c=c: files.read_list(d, c, CERTIFICATE) for c in (PrivRl, SigRl, GroupRl)),
    lambda d: CertificateAuthority.from_pem(d),
]


def valid_inputs(known, members):
    data, group, keys = known
    key = keys["m0"]
    rl = SigRl(group.gid, 1, ((G1_GENERATOR, group.h1),))
    yield group.to_bytes()
    yield key.to_bytes()
    yield rl.to_bytes()
    yield members[0].sign(b"m", sigrl=rl).to_bytes()
    yield CERTIFICATE.to_bytes()
    yield files.sign_group_key(group, CA)
    yield files.sign_list(rl, CA)
    yield files.priv_rl_request(key)
    yield files.group_rl_request([(group.gid, 1)])
    yield files.SigRlRequest(group.gid, members[0].sign(b"m").to_bytes(), b"m").to_bytes()
    yield CA.to_pem()


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=700))
def test_random_bytes(data):
    for parse in PARSERS:
        try:
            parse(data)
        except EpidError as error:
            assert str(error)


def test_damaged_inputs(known, members):
    """Cut, extended, overwritten and bit-flipped versions of good inputs, through every parser."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for good in valid_inputs(known, members):
        for _ in range(40):
            data = bytearray(good)
            match rng.randrange(4):
                case 0:
                    del data[rng.randrange(len(data)) :]
                case 1:
                    data += rng.randbytes(rng.randrange(1, 200))
                case 2:
                    at = rng.randrange(len(data))
                    data[at : at + 4] = rng.choice([b"\xff" * 4, bytes(4), b"\x80\0\0\0", rng.randbytes(4)])
                case 3:
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            for parse in PARSERS:
                try:
                    parse(bytes(data))
                except EpidError as error:
                    assert str(error)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=900), message=st.binary(max_size=8), strict=st.booleans())
def test_a_verifier_always_has_a_verdict(known, data, message, strict):
    group = known[1]
    rl = SigRl(group.gid, 0, ((G1_GENERATOR, group.h1),))
    for sig_rl in (None, rl):
        verdict = Verifier(group, sig_rl=sig_rl, strict=strict).verify(data, message)
        assert verdict in (VerifyResult.kEpidSigInvalid, VerifyResult.kEpidBadSignatureErr)


@pytest.mark.parametrize("size", [68, 80])
def test_random_compressed_keys(known, size):
    group = known[1] if size == 80 else known[1].with_gid(known[1].gid[12:])
    rng = random.Random(size)
    for _ in range(20):
        with pytest.raises(EpidError):
            expand(group.gid + rng.randbytes(64), group)
