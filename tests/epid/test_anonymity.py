"""Unlinkable signatures tell nothing about who made them, to anything that a verifier holds.

The game: a distinguisher learns from labelled signatures of two members of a group, then names the maker of
each of n unlabelled ones. The statistic is z = (2 right - n) / sqrt(n), which for an anonymous scheme is normal
with mean 0 and deviation 1: |z| > 4.5 happens once in 150,000 fair games. The distinguisher looks for values
that come again (any point or number of a signature), and for a different distribution of the first and the last
bits of each (naive Bayes over what differs significantly).

So that a silent distinguisher proves nothing, it must name three planted faulty signers, whose signatures are
all valid: one that draws a from sixteen values, one whose random B is biased by one bit, one that quietly uses
basenames.
"""

import math
import random
from collections import Counter, defaultdict

import pytest
from fusequote.epid import Member, Verifier, VerifyResult
from fusequote.epid.params import Q
from fusequote.epid.randomness import system_random

LIMIT = 4.5
FIELDS = [(0, 64), (64, 128), (128, 192)] + [(at, at + 32) for at in range(192, 352, 32)]


class Distinguisher:
    """Learns from (signature, member) pairs; guesses."""

    def __init__(self):
        self.seen: dict[bytes, Counter] = defaultdict(Counter)
        self.bytes: dict[tuple[int, int], Counter] = defaultdict(Counter)
        self.totals, self.repeats = Counter(), Counter()

    @staticmethod
    def features(data):
        for start, end in FIELDS:
            yield data[start:end]

    @staticmethod
    def coarse(data):
        """The first and last bit, and the first and last four, of every coordinate and number."""
        for at in range(0, 352, 32):
            high, low = data[at], data[at + 31]
            yield from ((at, high >> 7), (at, 16 + (high >> 4)), (at + 31, low & 1), (at + 31, 16 + (low & 15)))

    def learn(self, data, member):
        self.totals[member] += 1
        self.repeats[member] += any(value in self.seen for value in self.features(data))
        for value in self.features(data):
            self.seen[value][member] += 1
        for feature in self.coarse(data):
            self.bytes[feature][member] += 1

    def guess(self, data):
        again = Counter()
        for value in self.features(data):
            again.update(self.seen.get(value, {}))
        if again[0] != again[1]:
            return int(again[1] > again[0])
        # Nothing has come again: a sign of whoever does not repeat itself.
        fresh = [self.totals[member] - self.repeats[member] + 1 for member in (0, 1)]
        score = math.log(fresh[1] / (self.totals[1] + 1)) - math.log(fresh[0] / (self.totals[0] + 1))
        for feature in self.coarse(data):
            one, zero = self.bytes[feature][1] + 1, self.bytes[feature][0] + 1
            # Only what differs by more than chance would: the rest is noise.
            if abs(one - zero) > 3 * math.sqrt(one + zero):
                score += math.log(one / zero)
        return int(score > 0)


def play(signers, total, seed=1):
    """z of a game in which half of ``total`` signatures are for learning."""
    rng, distinguisher, right, asked = random.Random(seed), Distinguisher(), 0, 0
    for i in range(total):
        member = rng.randrange(2)
        data = signers[member](i)
        if i < total // 2:
            distinguisher.learn(data, member)
        else:
            asked += 1
            right += distinguisher.guess(data) == member
    return (2 * right - asked) / math.sqrt(asked)


def honest(member):
    return lambda i: member.sign(b"message %d" % i).to_bytes()


class FaultyDraw:
    """The system's randomness but for one fault; ``start`` is called before each signature."""

    def __init__(self, fault):
        self.fault, self.calls = fault, 0
        self.pool = [system_random(48) for _ in range(16)]

    def start(self):
        self.calls = 0

    def __call__(self, size):
        data, call = system_random(size), self.calls
        self.calls += 1
        if self.fault == "repeated a" and call == 0:
            return random.choice(self.pool)
        if self.fault == "biased B" and call >= 5:
            return (int.from_bytes(data, "big") % Q >> 1).to_bytes(48, "big")
        return data


def faulty(known, precomps, fault):
    _, group, keys = known
    draw = FaultyDraw(fault)
    member = Member(group, keys["m1"], precomp=precomps[1], draw=draw)

    def sign(i):
        draw.start()
        basename = b"quiet %d" % (i % 16) if fault == "repeated basename" else None
        return member.sign(b"message %d" % i, basename).to_bytes()

    return sign


def test_unlinkable_signatures_of_two_members(members):
    z = play([honest(member) for member in members], 1_000)
    assert abs(z) < LIMIT


@pytest.mark.slow
def test_ten_thousand_signatures(members):
    z = play([honest(member) for member in members], 10_000, seed=2)
    print(f"linkability game over 10,000 signatures: z = {z:.2f}")
    assert abs(z) < LIMIT


@pytest.mark.parametrize("fault", ["repeated a", "biased B", "repeated basename"])
def test_the_distinguisher_names_faulty_signers(members, known, precomps, fault):
    signer = faulty(known, precomps, fault)
    verifier = Verifier(known[1])
    assert verifier.verify(signer(0), b"message 0") is VerifyResult.kEpidSigValid
    assert play([honest(members[0]), signer], 1_000) > LIMIT


def test_one_member_does_not_link_to_itself(members):
    """No two unlinkable signatures of one member and message share a point or a number."""
    signatures = [members[0].sign(b"same").to_bytes() for _ in range(100)]
    for start, end in FIELDS:
        assert len({data[start:end] for data in signatures}) == 100


def test_presignatures_link_nothing(members):
    """Made ahead in one go or on the way: the game cannot tell."""
    pool = [members[0].presign() for _ in range(300)]
    ahead = iter(pool)
    early = lambda i: members[0].sign(b"%d" % i, presig=next(ahead)).to_bytes()  # noqa: E731
    late = lambda i: members[0].sign(b"%d" % i).to_bytes()  # noqa: E731
    assert abs(play([early, late], 500)) < LIMIT
