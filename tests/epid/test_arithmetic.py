"""The back ends against Intel's answers, against the laws of the groups, and against each other."""

import hashlib
from math import gcd

import pytest
from fusequote.epid.arithmetic import (
    ENVIRONMENT_VARIABLE,
    PAIRING_DIGEST,
    NotAnElement,
    available,
    default,
    load,
    self_test,
)
from fusequote.epid.arithmetic.curve import DIGITS
from fusequote.epid.arithmetic.fq12 import FINAL_MULTIPLE, U_CHAIN, naf, wnaf
from fusequote.epid.arithmetic.integers import IntegerArithmetic
from fusequote.epid.arithmetic.split import G1_LATTICE, GT_LATTICE, LAMBDA
from fusequote.epid.params import (
    G1_GENERATOR,
    G1_IDENTITY,
    G2_GENERATOR,
    G2_IDENTITY,
    TWIST_B,
    P,
    Q,
    U,
)
from fusequote.errors import EnvironmentProblem
from hypothesis import given, settings
from hypothesis import strategies as st

from .support import vectors

SCALARS = st.one_of(
    st.integers(0, P - 1), st.sampled_from([0, 1, 2, P - 1, P, LAMBDA, 6 * U * U, (P - 1) // 2])
)
ONE = (1).to_bytes(32, "big") + bytes(352)
PAIRINGS = vectors("pairing")


def negated(point: bytes) -> bytes:
    return point[:32] + (Q - int.from_bytes(point[32:], "big")).to_bytes(32, "big")


@pytest.mark.parametrize("vector", PAIRINGS["vectors"], ids=lambda v: f"{v['a'][-4:]}-{v['b'][-4:]}")
def test_intels_pairings(arithmetic, vector):
    P_, Q_, e = (bytes.fromhex(vector[k]) for k in ("P", "Q", "e"))
    a, b = int(vector["a"], 16), int(vector["b"], 16)
    assert arithmetic.g1_sum([(G1_GENERATOR, a)]) == P_
    assert arithmetic.g2_sum([(G2_GENERATOR, b)]) == Q_
    assert arithmetic.pairing_product([(P_, Q_)]) == e
    assert arithmetic.pairing_product([(P_, arithmetic.g2_prepare(Q_))]) == e
    assert arithmetic.gt_is_element(e)
    generator = arithmetic.pairing_product([(G1_GENERATOR, G2_GENERATOR)])
    assert hashlib.sha256(generator).hexdigest() == PAIRING_DIGEST
    assert arithmetic.gt_product([(generator, a * b)]) == e


@pytest.mark.parametrize("case", PAIRINGS["membership"], ids=lambda c: f"{c['group']} {c['case']}")
def test_membership(arithmetic, case):
    """As Intel's, but for the identity (its own answer here) and the subgroup (a test of its own)."""
    data = bytes.fromhex(case["bytes"])
    test = arithmetic.g1_is_point if case["group"] == "G1" else arithmetic.g2_is_point
    assert test(data) == (bool(case["sdk_in_group"]) and case["case"] != "identity")
    if case["group"] == "G2":
        assert arithmetic.g2_in_subgroup(data) == (case["case"] == "g2")


def test_curve_constant_is_three_over_xi():
    b0, b1 = TWIST_B
    assert ((2 * b0 - b1) % Q, (b0 + 2 * b1) % Q) == (3, 0)


@given(k=st.integers(-(1 << 300), 1 << 300))
def test_splitting_is_exact_and_short(k):
    for lattice, m, bits in ((G1_LATTICE, LAMBDA, 130), (GT_LATTICE, 6 * U * U, 68)):
        parts = lattice.split(k)
        assert sum(part * m**i for i, part in enumerate(parts)) % P == k % P
        assert all(abs(part).bit_length() <= bits for part in parts)


@given(k=st.integers(-(1 << 130), 1 << 130), width=st.integers(2, 9))
def test_digits(k, width):
    places = wnaf(k, width)
    assert sum(d << position for position, d in places) == k
    assert all(d & 1 and abs(d) < 1 << (width - 1) for _, d in places)
    positions = [position for position, _ in places]
    assert all(b - a >= width for a, b in zip(positions, positions[1:], strict=False))
    assert sum(d << i for i, d in enumerate(naf(abs(k)))) == abs(k)
    assert all(position < DIGITS for part in G1_LATTICE.split(k) for position, _ in wnaf(part, width))


def test_chains_of_the_final_exponentiation():
    assert sum(d << position for position, d in U_CHAIN) == -U
    c3 = 4 * U + 6 * U**2 + 12 * U**3 - 1
    parts = (c3 + 2 + 2 * U + 6 * U**2, c3 + 1, c3 + 1 + 2 * U, c3)
    assert gcd(FINAL_MULTIPLE, P) == 1
    assert sum(c * Q**i for i, c in enumerate(parts)) * P == FINAL_MULTIPLE * (Q**4 - Q**2 + 1)


@settings(max_examples=15, deadline=None)
@given(a=SCALARS, b=SCALARS, c=SCALARS, d=SCALARS)
def test_pairing_of_sums_is_its_definition(a, b, c, d):
    """For one, two and three second arguments, prepared and bare bases, and sums that are the identity."""
    for name in available():
        ar = load(name)
        H, W = ar.g1_sum([(G1_GENERATOR, 5)]), ar.g2_sum([(G2_GENERATOR, 7)])
        bases, others = (H, ar.g1_prepare(G1_GENERATOR)), [((H,), ((a,), (d,))), ((), ((),))]
        for seconds in ((W,), (G2_GENERATOR, W), (G2_GENERATOR, W, W)):
            rows = ((a, b), (c, d), (d, a))[: len(seconds)]
            sums = ar.g1_batch([(bases, rows)], False)[0]
            e, answers = ar.pairing_of_sums((bases, rows), ar.pairing_prepare(seconds), others)
            assert e == ar.pairing_product(list(zip(sums, seconds, strict=True)))
            assert answers == ar.g1_batch(others, False)
        with pytest.raises(NotAnElement):
            ar.pairing_prepare((G2_GENERATOR, G2_IDENTITY))
        with pytest.raises(ValueError):
            ar.pairing_of_sums((bases, ((1, 2),)), ar.pairing_prepare((G2_GENERATOR, W)), [])


@settings(max_examples=25, deadline=None)
@given(a=SCALARS, b=SCALARS, c=SCALARS)
def test_back_ends_agree(a, b, c):
    """Sums, products and pairings of all back ends are the same bytes, for bare and prepared bases."""
    seen = set()
    for name in available():
        ar = load(name)
        A = ar.g1_sum([(G1_GENERATOR, a)])
        B = ar.g1_sum_secret([(A, b), (ar.g1_prepare(G1_GENERATOR), c)])
        assert ar.g1_sum([(G1_GENERATOR, a * b + c)]) == B
        W = ar.g2_sum([(G2_GENERATOR, a), (G2_GENERATOR, b)])
        assert ar.g2_sum_secret([(G2_GENERATOR, a + b)]) == W
        pairs = [(A, G2_GENERATOR), (B, ar.g2_prepare(G2_GENERATOR))]
        e = ar.pairing_product(pairs + ([(A, W)] if W != G2_IDENTITY else []))
        f = ar.gt_product_secret([(e, b), (ar.gt_prepare(e), c)])
        assert f == ar.gt_product([(e, b + c)])
        seen.add(A + B + W + e + f)
    assert len(seen) == 1


@settings(max_examples=10, deadline=None)
@given(a=st.integers(1, P - 1), b=st.integers(1, P - 1))
def test_bilinear(a, b):
    ar = default()
    left = ar.pairing_product([(ar.g1_sum([(G1_GENERATOR, a)]), ar.g2_sum([(G2_GENERATOR, b)]))])
    right = ar.gt_product([(ar.pairing_product([(G1_GENERATOR, G2_GENERATOR)]), a * b)])
    assert left == right


def test_exceptional_sums(arithmetic):
    """Equal, opposite and absent points, with which incomplete formulas go wrong."""
    total, g = arithmetic.g1_sum, G1_GENERATOR
    minus = negated(g)
    assert total([]) == total([(g, 0)]) == total([(g, P)]) == total([(G1_IDENTITY, 5)]) == G1_IDENTITY
    assert total([(g, 1), (minus, 1)]) == G1_IDENTITY
    assert total([(g, 3), (minus, 2)]) == g
    assert total([(g, 1), (g, 1)]) == total([(g, 2)]) == total([(minus, -2)])
    for k in range(1, 40):
        assert total([(g, k), (total([(g, k)]), 1)]) == total([(g, 2 * k)])
        assert total([(arithmetic.g1_prepare(g), k), (g, -k)]) == G1_IDENTITY
        assert arithmetic.g1_sum_secret([(g, k), (minus, k - 1)]) == g
        assert arithmetic.g1_sum_secret([(g, k), (minus, k)]) == G1_IDENTITY
    assert arithmetic.g2_sum([(G2_GENERATOR, 7), (G2_GENERATOR, -7)]) == G2_IDENTITY
    assert arithmetic.g2_sum([(G2_GENERATOR, 1), (G2_GENERATOR, 1)]) == arithmetic.g2_sum([(G2_GENERATOR, 2)])
    assert arithmetic.g2_sum([(G2_IDENTITY, 3)]) == G2_IDENTITY
    assert arithmetic.g2_sum_secret([(G2_GENERATOR, P - 1), (G2_GENERATOR, 1)]) == G2_IDENTITY


def test_many_sums_over_the_same_bases(arithmetic):
    g, h = G1_GENERATOR, arithmetic.g1_sum([(G1_GENERATOR, 11)])
    bases = [g, arithmetic.g1_prepare(h), h]
    rows = [[1, 2, 3], [0, 0, 0], [11, -1, 0], [P - 1, LAMBDA, 1 << 255], [5, 7, -7]]
    sums = arithmetic.g1_sums_secret(bases, rows)
    assert sums == [arithmetic.g1_sum(list(zip(bases, row, strict=True))) for row in rows]
    assert sums[1] == sums[2] == G1_IDENTITY != sums[0]
    assert arithmetic.g1_sums_secret([], []) == [] and arithmetic.g1_sums_secret([], [[]]) == [G1_IDENTITY]
    jobs = [(bases, rows), ([], []), ([h], [[3]]), (bases[1:], [[1, -1], [2, 0]])]
    batch = arithmetic.g1_batch(jobs, True)
    assert batch == arithmetic.g1_batch(jobs, False)
    assert batch[0] == sums and batch[1] == [] and batch[2] == [arithmetic.g1_sum([(h, 3)])]
    assert batch[3] == [G1_IDENTITY, arithmetic.g1_sum([(h, 2)])]
    with pytest.raises(ValueError, match="row|shorter|longer|argument"):
        arithmetic.g1_sums_secret(bases, [[1, 2]])
    with pytest.raises(NotAnElement):
        arithmetic.g1_sums_secret([g, b"\xff" * 64], [[1, 2], [3, 4]])


def test_identity_in_pairings_and_products(arithmetic):
    e = arithmetic.pairing_product([(G1_GENERATOR, G2_GENERATOR)])
    assert arithmetic.pairing_product([]) == ONE
    assert arithmetic.pairing_product([(G1_IDENTITY, G2_GENERATOR)]) == ONE
    pairs = [(G1_GENERATOR, G2_GENERATOR), (G1_IDENTITY, G2_GENERATOR)]
    assert arithmetic.pairing_product(pairs) == e
    pairs[1] = (negated(G1_GENERATOR), G2_GENERATOR)
    assert arithmetic.pairing_product(pairs) == ONE
    assert (
        arithmetic.gt_product([]) == arithmetic.gt_product([(e, 0)]) == arithmetic.gt_product([(e, P)]) == ONE
    )
    assert arithmetic.gt_product_secret([(e, 0)]) == arithmetic.gt_product_secret([(e, 5), (e, -5)]) == ONE


@pytest.mark.parametrize(
    "data",
    [b"", bytes(63), bytes(65), Q.to_bytes(32, "big") + bytes(32), b"\xff" * 64, (1).to_bytes(64, "big")],
    ids=["empty", "short", "long", "x = q", "all ones", "off the curve"],
)
def test_what_is_no_point_is_refused(arithmetic, data):
    assert not arithmetic.g1_is_point(data)
    for call in (
        lambda: arithmetic.g1_sum([(data, 1)]),
        lambda: arithmetic.g1_sum_secret([(data, 1)]),
        lambda: arithmetic.g1_prepare(data),
        lambda: arithmetic.pairing_product([(data, G2_GENERATOR)]),
    ):
        with pytest.raises(NotAnElement):
            call()
    doubled = data * 2
    assert not arithmetic.g2_is_point(doubled)
    assert not arithmetic.g2_in_subgroup(doubled)
    for call in (
        lambda: arithmetic.g2_sum([(doubled, 1)]),
        lambda: arithmetic.g2_prepare(doubled),
        lambda: arithmetic.pairing_product([(G1_GENERATOR, doubled)]),
    ):
        with pytest.raises(NotAnElement):
            call()


def test_identity_has_no_tables_and_no_lines(arithmetic):
    with pytest.raises(NotAnElement):
        arithmetic.g1_prepare(G1_IDENTITY)
    with pytest.raises(NotAnElement):
        arithmetic.g2_prepare(G2_IDENTITY)


def test_what_is_no_element_of_gt_is_refused(arithmetic):
    e = arithmetic.pairing_product([(G1_GENERATOR, G2_GENERATOR)])
    assert arithmetic.gt_is_element(ONE)
    minus_one = (Q - 1).to_bytes(32, "big") + bytes(352)
    above = (Q + 1).to_bytes(32, "big") + bytes(352)
    for data in (b"", e[:-1], e + b"\0", bytes(384), minus_one, above, e[:-1] + bytes([e[-1] ^ 1])):
        assert not arithmetic.gt_is_element(data)


def test_x_with_and_without_a_point(arithmetic):
    assert arithmetic.g1_from_x(1) in (G1_GENERATOR, negated(G1_GENERATOR))
    found = [arithmetic.g1_from_x(x) for x in range(40)]
    assert None in found
    assert all(point is None or arithmetic.g1_is_point(point) for point in found)


def test_self_test_catches_a_wrong_back_end():
    class Broken(IntegerArithmetic):
        def pairing_product(self, pairs):
            return super().pairing_product(list(pairs) * 2)

    with pytest.raises(EnvironmentProblem, match="self-test"):
        self_test(Broken(name="broken"))


def test_choice_by_environment(monkeypatch):
    for name in available():
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, name)
        assert default().name == name
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "abacus")
    with pytest.raises(EnvironmentProblem, match="abacus"):
        default()
    monkeypatch.delenv(ENVIRONMENT_VARIABLE)
    assert default().name == available()[0]
