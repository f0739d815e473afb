"""Rung 5: EPID. Joined by the provisioning protocol, quoted in the Quoting Enclave, judged by the service."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from functools import cached_property

from fusequote.api import Platform
from fusequote.arch import QuoteV2, ReportBody, SignType, TargetInfo
from fusequote.epid import Issuer, Member
from fusequote.ladder import common, game
from fusequote.ladder.computer import Computer, Program
from fusequote.ladder.crowd import Newcomer, join, quote_of
from fusequote.ladder.drill import drill
from fusequote.ladder.rung import Level, NotAccepted, Outcome, Rung, refusal_of
from fusequote.ladder.stage import Stage
from fusequote.ladder.system import Party, System
from fusequote.ladder.telling import Talk
from fusequote.platform.daemon_calls import Calls
from fusequote.relying import Policy, appraise
from fusequote.services.services import Services

__all__ = ["INNOCENTS", "RUNG", "Epid"]

#: Members of the group besides Alice's chip.
INNOCENTS = 100
_NAME = "guilty"


class Epid(System):
    """Alice's computer has the platform of this project: EPID key, Quoting Enclave, daemon; and the services."""

    def __init__(self, stage: Stage, talk: Talk):
        with contextlib.ExitStack() as stack:
            self.services = stack.enter_context(Services(stage.home))
            self.platform = Platform(stage.url(_NAME), home=stage.home, services=self.services, cycles=False)
            stack.callback(self.platform.close)
            self.platform.manufacture_chip()
            self.platform.provision()
            computer = Computer(_NAME, self.platform.chip, stage.socket(_NAME))
            stack.callback(computer.end_clients)
            self.platform.chip = computer.shared  # type: ignore[assignment]
            self.target: TargetInfo = self.platform.quoting_enclave.target_info
            computer.serve(Calls(self.platform, self.services.constants, make_room=lambda slots: None))
            self._resources = stack.pop_all()
        super().__init__(stage, computer)
        self.spid, self.gid, self._talk = secrets.token_bytes(16), self.platform.gid(), talk

    def close(self) -> None:
        """The platform and its services end."""
        self._resources.close()

    @cached_property
    def crowd(self) -> list[Newcomer]:
        """The other members of the group."""
        with self._talk.bar(f"{INNOCENTS} innocents join the group") as progress:
            return join(self.services, self.gid, INNOCENTS, progress)

    def attest(self, program: Program, data: bytes) -> bytes:
        """A quote by get_quote of the daemon, unlinkable, against the group's current SigRL."""
        report = program.application.report(self.target, data)
        sigrl = self.services.attestation.sigrl(self.gid)
        return program.client.get_quote(
            report.to_bytes(), spid=self.spid, sign_type=SignType.UNLINKABLE, sigrl=sigrl
        ).quote

    def check(self, evidence: bytes, data: bytes, level: Level) -> None:
        """The attestation service's report, and the relying party's verdict on it."""
        nonce = secrets.token_hex(16)
        report = self.services.attestation.report(evidence, nonce)
        policy = Policy(mrenclaves=frozenset({self.stage.measurement(level)}), report_data=data, spid=self.spid)
        root = self.services.keys.report_root
        verdict = appraise(
            report.body, report.signature, report.chain_pem, policy, root=root, quote=evidence, nonce=nonce
        )
        if not verdict.accepted:
            raise NotAccepted(f"{verdict.quote_status}: {verdict.reasons[0].code.meaning}")


def _works(system: Epid, level: Level, talk: Talk) -> None:
    if level is Level.L1:
        talk.note("Provisioning Enclave and PCE -> provisioning server: joined; the EPID key is sealed to disk")
        talk.bytes("group", system.gid)
        talk.bytes("sealed key", system.platform.blob_path.read_bytes()[-1668:], 16)
    party = Party(system, level)
    answer = system.answer(system.alice(level), party.g_x, party.nonce)
    party.accept(answer.g_y, answer.evidence)
    common.must(answer.channel(party.g_x).open(party.send_secret()) == party.secret, "the channel works")
    talk.note("REPORT, quote, attestation report with status OK; the relying party accepts, and shares keys")
    quote = QuoteV2.from_bytes(answer.evidence)
    talk.bytes("REPORTDATA", quote.body.report.reportdata)
    talk.bytes("quote", answer.evidence, 16)


RUNG = Rung(
    5,
    "EPID",
    assumed="an issuer and an attestation service, each trusted to say who is a member, by nobody to say who signed",
    entry="g^y goes into REPORTDATA within an entry; the architectural enclaves are entered by their own key only",
    proves="that an enclave with this hash runs on some genuine CPU of a TCB that is good enough",
    whom="everybody who has the attestation service's root",
    reveals="nothing about which CPU it is, to nobody, as long as no f is known",
    open=Epid,
    works=_works,
    finale=lambda system, talk: drill(system, talk),
    finale_name="drill",
)


@RUNG.attack(
    "trace",
    "trace the signer (the linkability game)",
    assumed="issuer, attestation service and two relying parties together, with the whole database and all their keys",
)
def trace(system: Epid, level: Level, talk: Talk) -> Outcome:
    """Quotes of two members (of the crowd: no chip is needed to sign), to be told apart."""
    services, pair = system.services, (system.crowd[0], system.crowd[1])
    adversary = game.Adversary(services, system.gid)
    right = game.play(services, adversary, pair, system.spid, SignType.UNLINKABLE)
    talk.note(f"the adversary has {adversary.rows} credentials (A, x, F), the issuing key, the decryption key")
    talk.note(f"unlinkable quotes: {right} of {game.ROUNDS} named right, where guessing gives {game.ROUNDS // 2}")
    # That the game can be won: with quotes that are meant to be linkable, and with f known.
    linkable = game.play(services, game.Adversary(services, system.gid), pair, system.spid, SignType.LINKABLE)
    keys = {who.ppid: who.key.f for who in pair}
    known = game.play(services, game.Adversary(services, system.gid, keys), pair, system.spid, SignType.UNLINKABLE)
    talk.note(f"for comparison: {linkable} with linkable quotes, {known} with the members' f known")
    common.must(min(linkable, known) == game.ROUNDS, "the game is won by who can tell")
    return Outcome(right >= game.LIMIT, f"{right} of {game.ROUNDS} right; from {game.LIMIT} on it would be no guessing")


@RUNG.attack("forge", "forge a quote without being a member", assumed="Mallory sees quotes, and has everything public")
def forge(system: Epid, level: Level, talk: Talk) -> Outcome:
    """A group of her own under the same id, a signature moved to another quote, one that is noise."""
    services, qsdk = system.services, system.services.keys.qsdk.public_key()
    party = Party(system, level)
    good = system.answer(system.alice(level), party.g_x, party.nonce).evidence
    alices = QuoteV2.from_bytes(good)
    data = secrets.token_bytes(64)
    wanted: ReportBody = alices.body.report.replace(reportdata=data)
    issuer = Issuer.create(system.gid)
    nonce = issuer.nonce()
    request, pending = Member.join_request(issuer.group, nonce)
    key = pending.provision(issuer.issue(request, nonce))
    own = Member(issuer.group, key)
    stranger = dataclasses.replace(issuer.group, gid=secrets.token_bytes(4))
    elsewhere = Member(stranger, dataclasses.replace(key, gid=stranger.gid))
    hers = quote_of(own, wanted, qsdk, spid=system.spid, sign_type=SignType.UNLINKABLE)
    unknown = quote_of(elsewhere, wanted, qsdk, spid=system.spid, sign_type=SignType.UNLINKABLE)
    moved = alices.replace(body=alices.body.replace(report=wanted)).to_bytes()
    noise = hers[:-40] + secrets.token_bytes(40)
    common.must(services.attestation.report(good).status == "OK", "Alice's own quote is good")
    tries = {
        "a group of her own, Alice's id": hers,
        "a group that nobody knows": unknown,
        "Alice's signature, other data": moved,
        "noise": noise,
    }
    return common.all_refused(
        {name: refusal_of(lambda q=q: system.check(q, data, level)) for name, q in tries.items()}, talk
    )


RUNG.add(*common.ON_EVERY_RUNG)
