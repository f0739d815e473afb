"""Long lists over all cores give what one core gives."""

import threading

import pytest
from fusequote.epid import SignerRevoked, SigRl, Verifier, VerifyResult
from fusequote.epid.arithmetic import default
from fusequote.epid.arithmetic.integers import IntegerArithmetic
from fusequote.epid.parallel import CHUNK, cores, map_in_order
from fusequote.epid.params import G1_GENERATOR

OK = VerifyResult.kEpidSigValid


@pytest.mark.parametrize("total", [0, 1, CHUNK, CHUNK + 1, 10 * CHUNK + 3])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_order_and_progress(total, workers):
    seen = []
    answers = list(
        map_in_order(
            lambda run: [i * i for i in run], range(total), default(), lambda *p: seen.append(p), workers
        )
    )
    assert answers == [i * i for i in range(total)]
    assert not total or seen[-1] == (total, total)
    assert seen == sorted(seen)


def test_failures_come_through_and_stop():
    started = []

    def work(run):
        started.extend(run)
        if 3 in run:
            raise ValueError("third")
        return run

    with pytest.raises(ValueError, match="third"):
        list(map_in_order(work, range(100_000), default(), workers=2))
    assert len(started) < 10_000


def test_who_stops_early_leaves_the_rest():
    started = []
    for answer in map_in_order(lambda run: started.extend(run) or run, range(100_000), default(), workers=2):
        if answer == 10:
            break
    assert len(started) < 10_000


def test_threads_only_where_they_help():
    threads = set()
    list(map_in_order(lambda run: threads.add(threading.get_ident()) or run, range(100), IntegerArithmetic()))
    assert threads == {threading.get_ident()}
    assert cores() >= 1


def test_long_lists(members, known, issuer):
    group = known[1]
    other = members[1].sign(b"evidence").basic
    entries = [(G1_GENERATOR, group.h1)] * 40
    rl = SigRl(group.gid, 1, tuple(entries))
    seen = []
    signature = members[0].sign(b"m", sigrl=rl, progress=lambda *p: seen.append(p))
    assert seen[-1] == (40, 40)
    assert len({proof.T for proof in signature.proofs}) == 40, "every proof has its own randomness"
    verifier = Verifier(group, sig_rl=rl)
    assert verifier.verify(signature, b"m", progress=lambda *p: seen.append(p)) is OK
    data = bytearray(signature.to_bytes())
    data[-1] ^= 1
    assert verifier.verify(data, b"m") is VerifyResult.kEpidSigRevokedInSigRl
    entries[37] = (other.B, other.K)
    with pytest.raises(SignerRevoked) as caught:
        members[1].sign(b"m", sigrl=SigRl(group.gid, 2, tuple(entries)))
    assert caught.value.entries == [37]


def test_many_signatures_have_their_own_verdicts(members, known):
    verifier = Verifier(known[1])
    items, expected = [], []
    for i in range(40):
        message = bytes([i])
        data = bytearray(members[i % 2].sign(message).to_bytes())
        if i % 3 == 1:
            data[200] ^= 1
            expected.append(VerifyResult.kEpidSigInvalid)
        elif i % 3 == 2:
            data += b"\0"
            expected.append(VerifyResult.kEpidBadSignatureErr)
        else:
            expected.append(OK)
        items.append((bytes(data), message))
    assert verifier.verify_many(items) == expected
    assert verifier.verify_many([]) == []
