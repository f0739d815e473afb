"""Rung 3: a MAC under a key from the fuses, checked by the Quoting Enclave on the same chip."""

from __future__ import annotations

import secrets

from fusequote.arch import Report, TargetInfo
from fusequote.errors import FormatError
from fusequote.ladder import common
from fusequote.ladder.computer import Program
from fusequote.ladder.quoting import QuotingProgram
from fusequote.ladder.rung import BOTH, Level, NotAccepted, Outcome, Rung, refusal_of
from fusequote.ladder.stage import Stage
from fusequote.ladder.system import Party, System
from fusequote.ladder.telling import Talk

__all__ = ["RUNG", "Local", "checked_by"]


class Local(System):
    """The party that checks is the Quoting Enclave, on Alice's chip."""

    def __init__(self, stage: Stage):
        super().__init__(stage, stage.computer("alice"))
        self.quoting = QuotingProgram(stage.quoting_enclave(self.computer))

    def attest(self, program: Program, data: bytes) -> bytes:
        """A REPORT for the Quoting Enclave, 432 bytes."""
        return program.application.report(self.quoting.target_info, data).to_bytes()

    def check(self, evidence: bytes, data: bytes, level: Level) -> None:
        """The MAC, by VERIFYREPORT; then enclave and data."""
        checked_by(self.quoting, evidence, data, self.stage.measurement(level))


def checked_by(quoting: QuotingProgram, evidence: bytes, data: bytes, mrenclave: bytes) -> Report:
    """The REPORT, when its MAC is good for this Quoting Enclave, and it is about this. Raises :class:`NotAccepted`."""
    try:
        report = Report.from_bytes(evidence, check_reserved=True)
    except FormatError as error:
        raise NotAccepted(str(error)) from error
    if not quoting.verify(report):
        raise NotAccepted("VERIFYREPORT: the MAC is wrong for this enclave, this chip and this boot")
    if report.body.mrenclave != mrenclave:
        raise NotAccepted(f"another enclave: {report.body.mrenclave[:8].hex()}..")
    if report.body.reportdata != data:
        raise NotAccepted("a REPORT about other data")
    return report


def _works(system: Local, level: Level, talk: Talk) -> None:
    party = Party(system, level)
    answer = system.answer(system.alice(level), party.g_x, party.nonce)
    party.accept(answer.g_y, answer.evidence)
    report = Report.from_bytes(answer.evidence)
    common.must(
        answer.channel(party.g_x).open(party.send_secret()) == party.secret, "the enclaves share the session's keys"
    )
    talk.note("EREPORT for the Quoting Enclave; VERIFYREPORT there: the MAC is good, and the two share keys")
    talk.bytes("MRENCLAVE", report.body.mrenclave)
    talk.bytes("REPORTDATA", report.body.reportdata)
    talk.bytes("KEYID", report.keyid, 16)
    talk.bytes("MAC", report.mac)


RUNG = Rung(
    3,
    "Local attestation",
    assumed="a key in the fuses that no command gives out; a Quoting Enclave on the same chip, at L2 itself",
    entry="g^y goes into REPORTDATA within an entry; the Quoting Enclave is entered by its own key only",
    proves="that an enclave with this hash runs on the same chip, in the same boot",
    whom="another enclave on that chip, and nobody else",
    reveals="nothing outside the chip",
    open=lambda stage, talk: Local(stage),
    works=_works,
)


@RUNG.attack("other-chip", "a REPORT from another chip", assumed="Mallory has a genuine chip of her own, and the image")
def other_chip(system: Local, level: Level, talk: Talk) -> Outcome:
    """The same enclave on another chip of the same maker makes a REPORT for Alice's Quoting Enclave."""
    program = system.stage.alice(system.stage.computer("bob"), level)
    data = secrets.token_bytes(64)
    evidence = program.application.report(system.quoting.target_info, data).to_bytes()
    own = Report.from_bytes(system.attest(system.alice(level), data))
    talk.bytes("MAC there", Report.from_bytes(evidence).mac)
    talk.bytes("MAC here", own.mac)
    return common.all_refused({"checked here": refusal_of(lambda: system.check(evidence, data, level))}, talk)


@RUNG.attack("other-target", "a REPORT for another target", assumed="Mallory has REPORTs that Alice made for others")
def other_target(system: Local, level: Level, talk: Talk) -> Outcome:
    """A REPORT for another enclave, and ones for the Quoting Enclave with DEBUG, with a CONFIGID."""
    quoting, data = system.quoting.target_info, secrets.token_bytes(64)
    attributes = quoting.attributes
    targets = {
        "for nobody": TargetInfo(),
        "for Alice herself": system.alice(level).enclave.target_info,
        "for a Quoting Enclave with DEBUG": quoting.replace(
            attributes=attributes.replace(flags=int(attributes.flags) | 2)
        ),
        "with CONFIGID": quoting.replace(configid=b"\1" + bytes(63)),
    }
    made = {name: system.alice(level).application.report(target, data) for name, target in targets.items()}
    return common.all_refused(
        {name: refusal_of(lambda r=r: system.check(r.to_bytes(), data, level)) for name, r in made.items()}, talk
    )


@RUNG.attack(
    "altered", "a REPORT with a bit turned", assumed="Mallory carries the REPORT from one enclave to the other"
)
def altered(system: Local, level: Level, talk: Talk) -> Outcome:
    """A bit of identity, of data, of KEYID, of the MAC."""
    data = secrets.token_bytes(64)
    good = system.attest(system.alice(level), data)
    places = {
        "ATTRIBUTES": 48,
        "MRENCLAVE": 64,
        "REPORTDATA": 320,
        "KEYID": 384,
        "MAC": 431,
    }
    tries = {}
    for name, at in places.items():
        changed = good[:at] + bytes([good[at] ^ 2]) + good[at + 1 :]
        expected = Report.from_bytes(changed).body
        # Against what it says now: only the MAC can object.
        tries[name] = refusal_of(lambda c=changed, e=expected: checked_by(system.quoting, c, e.reportdata, e.mrenclave))
    system.check(good, data, level)
    talk.note("the REPORT itself, unchanged: good")
    return common.all_refused(tries, talk)


@RUNG.attack("replay", "a REPORT of before a reset", assumed="Mallory kept a REPORT, and can reset her computer")
def replay(system: Local, level: Level, talk: Talk) -> Outcome:
    """On another computer, whose chip is reset between: the KEYID is another one, and so is the key."""
    stage = system.stage
    computer, data = stage.computer("bob"), secrets.token_bytes(64)
    before = QuotingProgram(stage.quoting_enclave(computer))
    report = stage.alice(computer, level).application.report(before.target_info, data)
    checked_by(before, report.to_bytes(), data, stage.measurement(level))
    talk.bytes("KEYID before", report.keyid, 16)
    stage.reboot(computer)
    after = QuotingProgram(stage.quoting_enclave(computer))
    with after.enclave.entered() as inside:
        fresh = inside.report(after.target_info, bytes(64))
    talk.bytes("KEYID after", fresh.keyid, 16)
    moved = Report.from_bytes(report.to_bytes()[:384] + fresh.keyid + report.mac)
    common.must(after.verify(fresh), "the Quoting Enclave of after the reset takes REPORTs of its own boot")
    tries = {
        "as it was": refusal_of(lambda: checked_by(after, report.to_bytes(), data, stage.measurement(level))),
        "with the new KEYID": refusal_of(lambda: checked_by(after, moved.to_bytes(), data, stage.measurement(level))),
    }
    return common.all_refused(tries, talk)


@RUNG.attack(
    "outside",
    "give a made-up REPORT to somebody outside the chip",
    assumed="a relying party far away, with everything that is public, and a chip of its own",
    works=BOTH,
    stopped_by="rung 4: the Quoting Enclave signs for those outside",
)
def outside(system: Local, level: Level, talk: Talk) -> Outcome:
    """A good REPORT and one with a made-up MAC: what the party can find out about each."""
    stage, data = system.stage, secrets.token_bytes(64)
    good = Report.from_bytes(system.attest(system.alice(level), data))
    made_up = good.replace(mac=secrets.token_bytes(16))
    far = QuotingProgram(stage.quoting_enclave(stage.computer("bob")))
    verdicts = {}
    for name, report in {"good": good, "made up": made_up}.items():
        form = refusal_of(lambda r=report: Report.from_bytes(r.to_bytes(), check_reserved=True)) is None
        identity = report.body.mrenclave == stage.measurement(level) and report.body.reportdata == data
        own_chip = far.verify(report)
        verdicts[name] = (form, identity, own_chip)
        talk.bytes(name, report.mac)
        talk.note(f"form {_yes(form)}, hash and data {_yes(identity)}, MAC on the party's own chip {_yes(own_chip)}")
    at_home = system.quoting.verify(good), system.quoting.verify(made_up)
    common.must(at_home == (True, False), "on Alice's chip the two can be told apart")
    same = verdicts["good"] == verdicts["made up"]
    return Outcome(same, "to the party both look the same; only Alice's chip can tell them apart")


def _yes(good: bool) -> str:
    return "right" if good else "wrong"


RUNG.add(*common.ON_EVERY_RUNG)
