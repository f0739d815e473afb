"""Runs every operation of a kernel once, in both of its forms: for a process under sanitizers."""

import sys
from pathlib import Path

from fusequote.epid.arithmetic import NotAnElement, self_test
from fusequote.epid.kernel import KernelArithmetic
from fusequote.epid.params import G1_GENERATOR, G1_IDENTITY, G2_GENERATOR, G2_IDENTITY, P


def exercise(a: KernelArithmetic) -> None:
    self_test(a)
    table = a.g1_prepare(G1_GENERATOR)
    for k in (0, 1, 2, P - 1, P // 3, 1 << 255):
        terms = [(G1_GENERATOR, k), (table, P - k), (G1_IDENTITY, 3), (table, 0)]
        assert a.g1_sum(terms) == a.g1_sum_secret(terms) == G1_IDENTITY
        assert a.g2_sum([(G2_GENERATOR, k), (G2_GENERATOR, -k), (G2_IDENTITY, 1)]) == G2_IDENTITY
    jobs = [
        ((G1_GENERATOR, table), ((1, 2), (0, 0))),
        ((), ()),
        ((table, G1_IDENTITY, G1_GENERATOR), ((1, 1, -1),)),
    ]
    three = a.g1_sum([(G1_GENERATOR, 3)])
    assert a.g1_batch(jobs, False) == a.g1_batch(jobs, True) == [[three, G1_IDENTITY], [], [G1_IDENTITY]]
    assert a.g1_sum([]) == a.g1_sum_secret([]) == G1_IDENTITY
    assert a.g2_in_subgroup(G2_GENERATOR) and a.g1_is_point(G1_GENERATOR) and a.g2_is_point(G2_GENERATOR)
    assert a.g1_from_x(1) and not all(a.g1_from_x(x) for x in range(8))
    e = a.pairing_product([(G1_GENERATOR, a.g2_prepare(G2_GENERATOR)), (G1_IDENTITY, G2_GENERATOR)])
    assert a.gt_is_element(e) and not a.gt_is_element(bytes(384))
    assert a.gt_product([(e, 5), (a.gt_prepare(e), -5)]) == a.gt_product([]) == a.pairing_product([])
    for call in (lambda: a.g1_sum([(b"\xff" * 64, 1)]), lambda: a.g2_prepare(G2_IDENTITY)):
        try:
            call()
        except NotAnElement:
            continue
        raise AssertionError("not refused")
    print("done")


for portable in (False, True):
    exercise(KernelArithmetic(Path(sys.argv[1]), portable))
