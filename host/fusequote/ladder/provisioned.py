"""Rung 4: a service checks the CPU and certifies an ordinary key for the Quoting Enclave on it."""

from __future__ import annotations

import secrets

from fusequote.arch import AttributeFlags, Psvn
from fusequote.errors import FormatError
from fusequote.exchange.keys import read_point, verify
from fusequote.ladder import common
from fusequote.ladder.certificates import Authority, der, key_in
from fusequote.ladder.computer import Computer, Program, run_in
from fusequote.ladder.images import QE_ISVPRODID, QE_ISVSVN, small_image
from fusequote.ladder.keyservice import KeyService
from fusequote.ladder.quoting import KeyRequestToService, LadderQuote, QuotingProgram, possession_proof
from fusequote.ladder.rung import BOTH, Level, NotAccepted, Outcome, Rung, refusal_of
from fusequote.ladder.stage import CPUSVN_FIRST, CPUSVN_NOW, CPUSVN_OLD, Stage
from fusequote.ladder.system import Party, System
from fusequote.ladder.telling import Talk
from fusequote.platform.signers import mrsigner_of
from fusequote.services.derivation import ProvisioningIdentity

__all__ = ["RUNG", "Provisioned"]

_VISITS = 5
_NOW, _OLD = (Psvn(cpusvn=cpusvn, isvsvn=QE_ISVSVN) for cpusvn in (CPUSVN_NOW, CPUSVN_OLD))


class Provisioned(System):
    """The service of all Quoting Enclaves, and the Quoting Enclave of each computer, provisioned when first needed."""

    def __init__(self, stage: Stage):
        super().__init__(stage, stage.computer("alice"))
        identity = ProvisioningIdentity(mrsigner_of(stage.signers.architectural), QE_ISVPRODID)
        self.service = KeyService(identity, Psvn(cpusvn=CPUSVN_FIRST), _NOW)
        self._quoting: dict[str, QuotingProgram] = {}

    def quoting(self, computer: Computer) -> QuotingProgram:
        """The Quoting Enclave of a computer, with its key certified. Raises :class:`NotAccepted`."""
        if computer.name not in self._quoting:
            self.service.enroll(self.stage.book.load(computer.device.identity.device_id))
            program = QuotingProgram(self.stage.quoting_enclave(computer))
            ppid = program.name(self.service.lowest)
            asked = program.request(ppid, _NOW, self.service.challenge(ppid))
            program.certificate = self.service.issue(asked)
            self._quoting[computer.name] = program
        return self._quoting[computer.name]

    def attest(self, program: Program, data: bytes) -> bytes:
        """A quote by the Quoting Enclave of the program's computer."""
        quoting = self.quoting(program.computer)
        quote = quoting.quote(program.application.report(quoting.target_info, data))
        if quote is None:
            raise NotAccepted("the Quoting Enclave does not take this REPORT")
        return quote

    def check(self, evidence: bytes, data: bytes, level: Level) -> None:
        """The relying party: chain to the service, signature, enclave, data."""
        try:
            quote = LadderQuote.from_bytes(evidence)
        except FormatError as error:
            raise NotAccepted(str(error)) from error
        if not verify(key_in(quote.certificate, self.service.root), quote.signature, quote.body.to_bytes()):
            raise NotAccepted("the signature is not the certified Quoting Enclave's")
        if quote.body.mrenclave != self.stage.measurement(level):
            raise NotAccepted(f"another enclave: {quote.body.mrenclave[:8].hex()}..")
        if quote.body.attributes.debug or quote.body.reportdata != data:
            raise NotAccepted("a debug enclave, or other data than this session's")


def _works(system: Provisioned, level: Level, talk: Talk) -> None:
    if level is Level.L1:
        program = system.quoting(system.computer)
        talk.note("Quoting Enclave -> service: CPU's name, TCB, a new public key, a MAC under its PROVISION key")
        talk.bytes("CPU's name", system.service.database[-1].ppid)
        talk.bytes("certificate", program.certificate, 16)
    party = Party(system, level)
    answer = system.answer(system.alice(level), party.g_x, party.nonce)
    party.accept(answer.g_y, answer.evidence)
    quote = LadderQuote.from_bytes(answer.evidence)
    common.must(answer.channel(party.g_x).open(party.send_secret()) == party.secret, "the channel works")
    talk.note("EREPORT, VERIFYREPORT in the Quoting Enclave, ECDSA; the relying party accepts, and shares keys")
    talk.bytes("REPORTDATA", quote.body.reportdata)
    talk.bytes("signature", quote.signature)


RUNG = Rung(
    4,
    "Quoting Enclave with a provisioned key",
    assumed="a service that the maker tells of every CPU's provisioning key; relying parties that trust the service",
    entry="g^y goes into REPORTDATA within an entry; the Quoting Enclave is entered by its own key only",
    proves="that an enclave with this hash runs on some genuine CPU of a TCB that is good enough",
    whom="everybody who has the service's root",
    reveals="to the service and its relying parties together, which CPU it is, every time",
    open=lambda stage, talk: Provisioned(stage),
    works=_works,
)


@RUNG.attack("unknown-cpu", "get a key for a CPU that the maker did not make", assumed="Mallory makes chips of her own")
def unknown_cpu(system: Provisioned, level: Level, talk: Talk) -> Outcome:
    """Under its own name, and under Alice's."""
    stage, service = system.stage, system.service
    system.quoting(system.computer)
    # Mallory burns what she likes, the signer's hash too; her maker's records never reach the service.
    program = QuotingProgram(stage.quoting_enclave(stage.computer("unknown")))
    own = program.name(service.lowest)
    alices = service.database[0].ppid
    talk.bytes("her name", own)
    talk.bytes("Alice's name", alices)
    tries = {
        "under its own name": refusal_of(lambda: service.challenge(own)),
        "under Alice's": refusal_of(lambda: service.issue(program.request(alices, _NOW, service.challenge(alices)))),
    }
    return common.all_refused(tries, talk)


@RUNG.attack(
    "old-tcb", "get a key for a CPU of an old TCB", assumed="Mallory's genuine CPU has a known fault, not mended"
)
def old_tcb(system: Provisioned, level: Level, talk: Talk) -> Outcome:
    """As it is, as if it were mended, and with the old key under the new name of the TCB."""
    stage, service = system.stage, system.service
    computer = stage.computer("old", CPUSVN_OLD)
    service.enroll(stage.book.load(computer.device.identity.device_id))
    program = QuotingProgram(stage.quoting_enclave(computer))
    ppid = program.name(service.lowest)

    def disguised() -> None:
        asked = program.request(ppid, _OLD, service.challenge(ppid))
        service.issue(KeyRequestToService(asked.ppid, _NOW, asked.public_key, asked.proof))

    talk.bytes("CPUSVN", computer.device.identity.cpusvn)
    tries = {
        "as it is": refusal_of(lambda: service.issue(program.request(ppid, _OLD, service.challenge(ppid)))),
        "asked of the chip as if mended": refusal_of(lambda: program.request(ppid, _NOW, service.challenge(ppid))),
        "the old key, named as the new TCB's": refusal_of(disguised),
    }
    return common.all_refused(tries, talk)


@RUNG.attack("fake-qe", "play the Quoting Enclave", assumed="Mallory has a genuine CPU, and signs enclaves of her own")
def fake_qe(system: Provisioned, level: Level, talk: Talk) -> Outcome:
    """An enclave of hers with PROVISIONKEY, one without, a program without any enclave, and a root of her own."""
    stage, service, computer = system.stage, system.service, system.computer
    system.quoting(computer)
    alices = service.database[0].ppid
    flags = AttributeFlags.MODE64BIT | AttributeFlags.PROVISIONKEY
    greedy = small_image("fake QE", stage.mallory_signer, flags)
    modest = small_image("fake QE", stage.mallory_signer)

    def launched() -> None:
        with run_in(computer, greedy):
            pass

    def asks() -> None:
        with run_in(computer, modest) as own:
            QuotingProgram(own.enclave).name(service.lowest)

    def guesses() -> None:
        nonce, public = service.challenge(alices), secrets.token_bytes(64)
        proof = possession_proof(secrets.token_bytes(16), nonce, public)
        service.issue(KeyRequestToService(alices, _NOW, public, proof))

    def own_root() -> None:
        data = secrets.token_bytes(64)
        program = QuotingProgram(stage.quoting_enclave(computer))  # its key is not certified
        public = program.request(alices, _NOW, bytes(16)).public_key
        program.certificate = der(Authority("fusequote emulated key service").certify("QE", read_point(public)))
        report = system.alice(level).application.report(program.target_info, data)
        system.check(program.quote(report) or b"", data, level)

    tries = {
        "hers, with PROVISIONKEY": refusal_of(launched),
        "hers, without": refusal_of(asks),
        "no enclave at all": refusal_of(guesses),
        "a root of her own": refusal_of(own_root),
    }
    return common.all_refused(tries, talk)


@RUNG.attack(
    "collude",
    "trace the signer together",
    assumed="the service and two relying parties compare: certificates seen, and whom they were given to",
    works=BOTH,
    stopped_by="rung 5: a signature that is the group's, and nobody's",
)
def collude(system: Provisioned, level: Level, talk: Talk) -> Outcome:
    """Two CPUs visit a shop and a bank; the service's database says whose certificate was seen at each visit."""
    stage = system.stage
    guests = [system.alice(level), stage.alice(stage.computer("bob"), level)]
    names = [guest.computer.device.identity.device_id for guest in guests]
    visits: list[tuple[int, bytes]] = []
    for at in range(_VISITS):
        who = at if at < len(guests) else secrets.randbelow(len(guests))
        party = Party(system, level)
        answer = system.answer(guests[who], party.g_x, party.nonce)
        party.accept(answer.g_y, answer.evidence)
        visits.append((who, LadderQuote.from_bytes(answer.evidence).certificate))
    rows = {row.certificate: row.device_id for row in system.service.database}
    named = sum(rows.get(certificate) == names[who] for who, certificate in visits)
    for who, certificate in visits[:2]:
        talk.bytes(f"visit {who + 1}", certificate[-16:])
        talk.bytes("is of CPU", rows[certificate])
    told = common.traced(visits, "by the certificate")
    return Outcome(
        told.worked and named == len(visits), f"{named} of {len(visits)} visits named by the CPU's id; {told.seen}"
    )


RUNG.add(*common.ON_EVERY_RUNG)
