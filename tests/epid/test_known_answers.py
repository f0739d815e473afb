"""Bytes equal to those of Intel's SDK, on every back end."""

import pytest
from fusequote.epid import (
    HashAlg,
    IssuingPrivateKey,
    Member,
    MemberPrecomp,
    MemberPrivateKey,
    MembershipCredential,
    SigRl,
    Verifier,
    VerifyResult,
    check_member_key,
    fp_hash,
)
from fusequote.epid.hashing import g1_hash_counted
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR, P
from fusequote.epid.randomness import random_scalar

from .support import Tape, vectors


@pytest.mark.parametrize("v", vectors("fphash")["vectors"], ids=lambda v: f"{v['hash_alg']}-{v['data'][:8]}")
def test_fp_hash(v):
    alg = HashAlg.from_name(v["hash_alg"])
    assert fp_hash(alg, bytes.fromhex(v["data"])) == int(v["out"], 16)


@pytest.mark.parametrize(
    "v", vectors("g1hash")["vectors"], ids=lambda v: f"{v['hash_alg']}-{v['basename'][:8]}"
)
def test_g1_hash(arithmetic, v):
    alg = HashAlg.from_name(v["hash_alg"])
    assert g1_hash_counted(alg, bytes.fromhex(v["basename"]), arithmetic) == (
        bytes.fromhex(v["point"]),
        v["counter"],
    )


def test_group_and_member_precomputation(arithmetic, known):
    data, group, keys = known
    key = keys["m0"]
    precomp = bytes.fromhex(data["members"][0]["member_precomp_e12_e22_e2w_ea2"])
    assert MemberPrecomp.compute(group, key.A, arithmetic).to_bytes() == precomp
    assert MemberPrecomp.from_bytes(precomp).to_bytes() == precomp
    verifier = bytes.fromhex(data["verifier_precomp_e12_e22_e2w_eg12_with_gid"])
    eg12 = arithmetic.pairing_product([(G1_GENERATOR, G2_GENERATOR)])
    assert verifier == group.gid + precomp[:1152] + eg12


def test_credentials_are_intels(arithmetic, known, issuer):
    """w = [gamma]g2 and A = [1/(x + gamma)](g1 + [f]h1) for the SDK's own members."""
    data, group, keys = known
    gamma = IssuingPrivateKey.from_bytes(bytes.fromhex(data["issuing_private_key"])).gamma
    assert gamma == int(data["gamma"], 16)
    assert arithmetic.g2_sum_secret([(G2_GENERATOR, gamma)]) == group.w
    for member in data["members"]:
        key = keys[member["label"]]
        inverse = pow(key.x + gamma, -1, P)
        F = arithmetic.g1_sum_secret([(group.h1, key.f)])
        assert arithmetic.g1_sum_secret([(G1_GENERATOR, inverse), (F, inverse)]) == key.A
        assert key.A.hex() == member["A"]
        assert key.credential.to_bytes().hex() == member["membership_credential"]
        assert MembershipCredential.from_bytes(bytes.fromhex(member["membership_credential"])) == key.credential
        check_member_key(group, key, arithmetic)
        assert key.to_bytes().hex() == member["private_key"]
        short = MemberPrivateKey(key.gid[12:], key.A, key.x, key.f)
        assert MemberPrivateKey.from_bytes(short.to_bytes(), 4) == short
        check_member_key(group.with_gid(key.gid[12:]), short, arithmetic)


@pytest.mark.parametrize("v", vectors("join")["vectors"], ids=lambda v: v["f"][:8])
def test_join_requests(arithmetic, known, v):
    tape = Tape(bytes.fromhex(v["tape"]))
    nonce, f = bytes.fromhex(v["nonce"]), int(v["f"], 16)
    request, pending = Member.join_request(known[1], nonce, f, draw=tape, arithmetic=arithmetic)
    assert request.to_bytes().hex() == v["join_request_F_c_s"]
    assert pending.f == f and not tape.left
    assert request.proves(known[1], nonce, arithmetic=arithmetic) is v["valid"]
    assert not request.proves(known[1], nonce[::-1], arithmetic=arithmetic)


@pytest.mark.parametrize("v", vectors("sign")["vectors"], ids=lambda v: v["label"])
def test_signatures(arithmetic, known, v):
    _, group, keys = known
    tape = Tape(bytes.fromhex(v["tape_used"]))
    message = bytes.fromhex(v["message"]["hex"])
    basename = None if v["basename"] is None else bytes.fromhex(v["basename"])
    sigrl = None if v["sigrl"] is None else SigRl.from_bytes(bytes.fromhex(v["sigrl"]))
    alg = HashAlg.from_name(v["hash_alg"])
    member = Member(group, keys[v["member"]], alg, arithmetic=arithmetic, draw=tape)
    signature = member.sign(message, basename, sigrl)
    assert signature.to_bytes().hex() == v["signature"]
    assert not tape.left, "every random byte is used, in the SDK's order"
    for strict in (True, False):
        verifier = Verifier(group, alg, basename, sig_rl=sigrl, strict=strict, arithmetic=arithmetic)
        assert verifier.verify(bytes.fromhex(v["signature"]), message) is VerifyResult.kEpidSigValid
        assert verifier.verify(signature, message + b"!") is VerifyResult.kEpidSigInvalid


@pytest.mark.parametrize("v", vectors("trace")["vectors"], ids=lambda v: v["of"])
def test_every_step_of_a_signature(arithmetic, known, v):
    """Each intermediate value from the ones before it."""
    _, group, keys = known
    alg = HashAlg.SHA384 if "sha384" in v["of"] else HashAlg.SHA256
    n = {k: int(v[k], 16) for k in ("a", "b", "rx", "rf", "ra", "rb", "t3", "c")}
    raw = {k: bytes.fromhex(v[k]) for k in ("B", "K", "T", "R1", "R2", "ea2", "hashed_for_t3_1120_bytes")}
    hashed = raw["hashed_for_t3_1120_bytes"]
    h1, h2, w = hashed[224:288], hashed[288:352], hashed[352:480]
    pair = arithmetic.pairing_product
    terms = [
        (raw["ea2"], -n["rx"]),
        (pair([(h1, G2_GENERATOR)]), n["rf"]),
        (pair([(h2, G2_GENERATOR)]), n["rb"] - n["a"] * n["rx"]),
        (pair([(h2, w)]), n["ra"]),
    ]
    assert arithmetic.gt_product_secret(terms) == raw["R2"]
    assert arithmetic.g1_sum_secret([(raw["B"], n["rf"])]) == raw["R1"]
    assert hashed[480:] == raw["B"] + raw["K"] + raw["T"] + raw["R1"] + raw["R2"]
    assert fp_hash(alg, hashed) == n["t3"]
    message = bytes.fromhex(vectors("sign")["vectors"][0]["message"]["hex"])
    assert fp_hash(alg, n["t3"].to_bytes(32, "big") + message) == n["c"]
    if group.hash_prefix() == hashed[:480]:
        key = keys["m0"]
        assert arithmetic.g1_sum_secret([(key.A, 1), (h2, n["a"])]) == raw["T"]
        assert n["a"] * key.x % P == n["b"]
    proof = v.get("nr_proof_0")
    if proof:
        sigrl = next(s for s in vectors("sign")["vectors"] if s["label"] == v["of"])["sigrl"]
        entry = SigRl.from_bytes(bytes.fromhex(sigrl)).entries[0]
        mu, nu, rmu, rnu = (int(proof[k], 16) for k in ("mu", "nu", "rmu", "rnu"))
        total = arithmetic.g1_sum_secret
        assert total([(entry[1], mu), (entry[0], nu)]).hex() == proof["T"]
        assert total([(raw["K"], rmu), (raw["B"], rnu)]).hex() == proof["R1"]
        assert total([(entry[1], rmu), (entry[0], rnu)]).hex() == proof["R2"]


def test_scalars_are_drawn_as_the_sdk_does():
    assert random_scalar(Tape(bytes(48))) == 1
    assert random_scalar(Tape((P - 1).to_bytes(48, "big"))) == 1
    assert random_scalar(Tape((P - 2).to_bytes(48, "big"))) == P - 1
