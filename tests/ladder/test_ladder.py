"""The five rungs on the reference model: attacks come to what they must, and it is noticed when one does not."""

from __future__ import annotations

import pytest
from fusequote.errors import UsageError
from fusequote.ladder import RUNGS, LadderFailed, Level, Stage, Talk, attack_names, chosen, climb, drill, epid, game
from fusequote.ladder.common import ON_EVERY_RUNG
from fusequote.ladder.keyservice import KeyService
from fusequote.ladder.leak import open_sealed_key
from fusequote.ladder.quoting import QuotingProgram
from fusequote.ladder.signed import SignedStatement
from fusequote.ladder.signed_hash import SignedHash
from fusequote.ladder.system import System
from fusequote.services.attestation_operator import Operator

#: Attacks that must work, as (rung, attack) -> levels; all others must fail.
WORKING = {
    (1, "relay"): "L1 L2",
    (2, "trace"): "L1 L2",
    (3, "outside"): "L1 L2",
    (4, "collude"): "L1 L2",
    **{(number, "same-image"): "L1" for number in range(1, 6)},
    **{(number, "stolen-key"): "L2" for number in range(1, 6)},
}
OWN = {
    1: ["forge", "other-hash", "relay"],
    2: ["relay", "trace"],
    3: ["other-chip", "other-target", "altered", "replay", "outside"],
    4: ["unknown-cpu", "old-tcb", "fake-qe", "collude"],
    5: ["trace", "forge"],
}
#: Why things are refused: an attack that fails for another reason than the one it is there to show, shows nothing.
SAID = {
    1: (
        "a bit turned: the signature is not the certified CPU's over this hash",
        "a root of her own: the certificate is not signed by the root that is trusted here",
        "Alice's hash put in: the signature is not the certified CPU's over this hash",
        "an old one of Alice's: the signature is good, but about other data than this session's",
        "a ticket made up: #GP",
        "Alice's live ticket, over Mallory's connection: #GP",
        "Alice's ticket, read off the wire: LINK_BAD_LENGTH",
        "Alice's ticket, with a link: BLOCK_ENTRY_PROOF",
        "entered with a key of her own: EENTER (TCS 0x100000003000): BLOCK_ENTRY_PROOF",
        "an image that names her key: another enclave: ",
    ),
    2: (
        "with her own g^y: the relying party: the signature is good, but about other data than this session's",
        "passed on unchanged: accepted, and the message that goes by does not open",
    ),
    3: (
        "checked here: VERIFYREPORT: the MAC is wrong",
        "for Alice herself: VERIFYREPORT: the MAC is wrong",
        "REPORTDATA: VERIFYREPORT: the MAC is wrong",
        "with the new KEYID: VERIFYREPORT: the MAC is wrong",
    ),
    4: (
        "under its own name: the maker knows no CPU",
        "under Alice's: the proof was not made by the Quoting Enclave on this CPU at this TCB",
        "as it is: CPUSVN fdfd.. is out of date",
        "asked of the chip as if mended: EGETKEY: SGX_INVALID_CPUSVN",
        "hers, with PROVISIONKEY: EINIT: SGX_INVALID_ATTRIBUTE",
        "hers, without: EGETKEY: SGX_INVALID_ATTRIBUTE",
        "a root of her own: the certificate is not signed by the root that is trusted here",
    ),
    5: (
        "a group of her own, Alice's id: SIGNATURE_INVALID",
        "Alice's signature, other data: SIGNATURE_INVALID",
        "noise: The quote's signature part does not decrypt",
        "an image that names her key: OK: MRENCLAVE is not one that the policy names.",
        "with another chip's fuses: the sealed key does not open",
        "it asks the provisioning server for a key of the new group: The server has revoked this device.",
    ),
}


def check_said(number, talk):
    for start in SAID[number]:
        assert any(line.startswith(f"    {start}") for line in talk.lines), start


@pytest.fixture
def stage(home):
    with Stage(home) as made:
        yield made


@pytest.fixture
def small(monkeypatch):
    """The fifth rung with fewer innocents, keys lost and rounds: everything is done, less often."""
    monkeypatch.setattr(epid, "INNOCENTS", 5)
    monkeypatch.setattr(drill, "LOSSES", (1, 2))
    monkeypatch.setattr(game, "ROUNDS", 40)
    monkeypatch.setattr(game, "LIMIT", 20 + 15)


def test_what_stands_on_the_rungs():
    common = [attack.name for attack in ON_EVERY_RUNG]
    assert [rung.number for rung in RUNGS] == [1, 2, 3, 4, 5]
    for rung in RUNGS:
        assert list(rung.attacks) == OWN[rung.number] + common
        for attack in rung.attacks.values():
            levels = " ".join(sorted(attack.works))
            assert levels == WORKING.get((rung.number, attack.name), ""), (rung.number, attack.name)
            assert bool(attack.works) == bool(attack.stopped_by)
        assert all((rung.assumed, rung.entry, rung.proves, rung.whom, rung.reveals))
    assert attack_names(RUNGS[4])[-1] == "drill"


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_rung(stage, number):
    talk = Talk()
    climbed = climb(stage, talk, chosen(number, None))
    for result in climbed.results:
        assert result.worked == (result.level in WORKING.get((number, result.attack), "").split()), result
    seen = {(result.attack, result.level) for result in climbed.results}
    assert {("same-image", level) for level in Level} <= seen and ("stolen-key", "L2") in seen
    assert talk.lines[-1].startswith(f"{RUNGS[number - 1].title} | proves: ")
    assert sum(line.startswith("    WORKS: ") for line in talk.lines) == sum(r.worked for r in climbed.results)
    check_said(number, talk)


def test_the_fifth_rung_and_its_drill(stage, small):
    talk = Talk()
    climbed = climb(stage, talk, chosen(5, None))
    check_said(5, talk)
    assert all(r.worked == (r.level in WORKING.get((5, r.attack), "").split()) for r in climbed.results)
    facts = climbed.facts
    assert facts["drill.broken_chip"] == "provision.device-revoked"
    for response, rejoins in {"verifier-list": 0, "SigRL": 0, "PrivRL": 0, "group": 5, "TCB-recovery": 5}.items():
        for lost in (1, 2):
            name = f"drill.{response}.{lost}"
            assert facts[f"{name}.forged_before"] == lost
            assert facts[f"{name}.forged_after"] == 0
            assert facts[f"{name}.innocents_refused"] == 0
            assert facts[f"{name}.rejoins"] == rejoins
            assert facts[f"{name}.quote_bytes"] == 1116 + 160 * lost * (response == "SigRL")
    assert facts["drill.SigRL.2.list_bytes"] == 4 + 12 + 2 * 128 + 64
    assert facts["drill.PrivRL.2.list_bytes"] == 12 + 2 * 32


def fails(stage, number, attack, words):
    with pytest.raises(LadderFailed, match=words):
        climb(stage, Talk(), chosen(number, attack), attack)


def test_a_party_that_checks_nothing_is_noticed(stage, monkeypatch):
    monkeypatch.setattr(SignedStatement, "check", lambda self, root, mrenclave, data: None)
    fails(stage, 1, "forge", "forge at L1: it works, and must fail: accepted: made up")


def test_an_attack_that_does_not_work_is_noticed(stage, monkeypatch):
    """The first rung with the second's binding of keys: the relay fails there, as it must not."""
    monkeypatch.setattr(SignedHash, "data", System.data)
    fails(stage, 1, "relay", "relay at L1: it fails, and must work")


def test_a_quoting_enclave_that_takes_everything_is_noticed(stage, monkeypatch):
    monkeypatch.setattr(QuotingProgram, "verify", lambda self, report: True)
    fails(stage, 3, "other-chip", "other-chip at L1: it works, and must fail")


def test_a_service_that_takes_every_proof_is_noticed(stage, monkeypatch):
    monkeypatch.setattr("fusequote.ladder.keyservice.hmac.compare_digest", lambda a, b: True)
    fails(stage, 4, "unknown-cpu", "unknown-cpu at L1: it works, and must fail: accepted: under Alice's")


def test_a_service_that_does_not_know_its_own_chips_is_noticed(stage, monkeypatch):
    monkeypatch.setattr(KeyService, "enroll", lambda self, record: None)
    with pytest.raises(Exception, match="the maker knows no CPU"):
        climb(stage, Talk(), chosen(4, "old-tcb"), "old-tcb")


@pytest.mark.parametrize(
    ("method", "words"),
    [("shut_out", "verifier list: the forger is refused"), ("revoke_signature", "SigRL: the forger is refused")],
)
def test_a_response_that_does_nothing_is_noticed(stage, small, monkeypatch, method, words):
    monkeypatch.setattr(Operator, method, lambda self, quote: None)
    fails(stage, 5, "drill", words)


def test_a_game_that_is_lost_is_noticed(stage, small, monkeypatch):
    """The adversary with the members' f known, as if they stood in the database."""
    plain = game.Adversary.__init__

    def knowing(self, services, gid, keys=None):
        plain(self, services, gid, {who.ppid: who.key.f for who in crowd})

    crowd = []
    join = epid.join

    def joined(*arguments):
        crowd.extend(join(*arguments))
        return crowd

    monkeypatch.setattr(game.Adversary, "__init__", knowing)
    monkeypatch.setattr(epid, "join", joined)
    fails(stage, 5, "trace", "trace at L1: it works, and must fail: 40 of 40 right")


def test_a_sealed_key_of_another_chip_or_altered(stage, small):
    system = RUNGS[4].open(stage, Talk())
    try:
        blob, own = system.platform.blob_path.read_bytes(), system.platform.quoting_enclave.enclave.identity
        fuses = stage.fuses("guilty")
        leaked, _ = open_sealed_key(fuses, own, blob)
        assert leaked.key.gid == system.gid
        with pytest.raises(Exception, match="does not open"):
            open_sealed_key(fuses, own, blob[:-1] + bytes([blob[-1] ^ 1]))
        with pytest.raises(Exception, match="does not open"):
            open_sealed_key(fuses, own.replace(mrsigner=bytes(32)), blob)
    finally:
        system.close()


def test_what_may_be_chosen():
    assert [rung.number for rung in chosen(None, "relay")] == [1, 2]
    assert [rung.number for rung in chosen(None, "drill")] == [5]
    assert len(chosen(None, None)) == 5
    for number, attack in ((0, None), (6, None), (None, "nothing"), (1, "drill")):
        with pytest.raises(UsageError):
            chosen(number, attack)
