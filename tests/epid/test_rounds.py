"""Random rounds across back ends: whatever one signs, every other finds good; whatever is changed, bad."""

import random
from collections import Counter

import pytest
from fusequote.epid import Member, SigRl, Verifier, VerifyResult
from fusequote.epid.arithmetic import available, load
from fusequote.epid.params import G1_GENERATOR

WEIGHTS = {"c": 3, "c-portable": 3, "gmpy2": 2, "int": 1}


def rounds(known, precomps, count, seed):
    _, group, keys = known
    rng, names = random.Random(seed), available()
    rl = SigRl(group.gid, 1, ((G1_GENERATOR, group.h1), (group.h1, group.h2)))
    signers = {
        (name, i): Member(group, key, precomp=precomps[i], arithmetic=load(name))
        for name in names
        for i, key in enumerate(keys.values())
    }
    verifiers = {
        (name, listed): Verifier(group, sig_rl=rl if listed else None, arithmetic=load(name))
        for name in names
        for listed in (False, True)
    }
    print(f"seed {seed}, back ends {', '.join(names)}")
    # The Python back ends take ten times as long: a smaller share of the rounds, still a thousand of ten thousand.
    weights = [WEIGHTS[name] for name in names]
    done = Counter()
    for _ in range(count):
        listed = rng.random() < 0.1
        message = rng.randbytes(rng.randrange(80))
        basename = rng.choice([None, rng.randbytes(rng.randrange(1, 40))])
        by, to = rng.choices(names, weights, k=2)
        done[by, to] += 1
        signer, verifier = signers[by, rng.randrange(2)], verifiers[to, listed]
        data = signer.sign(message, basename, rl if listed else None).to_bytes()
        assert verifier.verify(data, message) is VerifyResult.kEpidSigValid
        if rng.random() < 0.2:
            at = rng.randrange(352)
            broken = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
            assert verifier.verify(broken, message) is VerifyResult.kEpidSigInvalid
    return done


def test_rounds(known, precomps):
    rounds(known, precomps, 100, random.SystemRandom().randrange(1 << 32))


@pytest.mark.slow
@pytest.mark.timeout(3600)  # two minutes on an idle machine
def test_ten_thousand_rounds(known, precomps):
    done = rounds(known, precomps, 10_000, random.SystemRandom().randrange(1 << 32))
    print(f"rounds by (signer, verifier): {dict(done)}")
    names = available()
    assert sum(done.values()) == 10_000 and all(done[by, to] > 50 for by in names for to in names)
