"""Rung 1: the CPU has a key under the maker's certificate and signs the hash of the enclave."""

from __future__ import annotations

import hashlib
import secrets
import sys

from cryptography.hazmat.primitives.asymmetric import ec

from fusequote.exchange.keys import new_ephemeral, write_point
from fusequote.ladder import common
from fusequote.ladder.certificates import Authority, der
from fusequote.ladder.computer import Computer, Program, run_in
from fusequote.ladder.images import small_image
from fusequote.ladder.rung import BOTH, Level, Outcome, Rung, refusal_of
from fusequote.ladder.signed import SignedStatement, sign_for
from fusequote.ladder.signing_cpu import EmulatedSigningUnit, EngineSigningUnit, SigningCpu
from fusequote.ladder.stage import Stage
from fusequote.ladder.system import Party, System, opens
from fusequote.ladder.telling import Talk

__all__ = ["RUNG", "SignedHash"]

#: Clock cycles of the MAC engine for a block of 16 bytes (`fusequote bench area` counts them).
CMAC_CYCLES = 218


class SignedHash(System):
    """Each computer's CPU has a signing unit; relying parties trust the maker's root."""

    #: Whether the units are RTL when the chip is.
    engine = True

    def __init__(self, stage: Stage):
        super().__init__(stage, stage.computer("alice"))
        self.maker = Authority("fusequote emulated maker of CPUs")
        self._units: dict[str, SigningCpu] = {}

    def cpu(self, computer: Computer) -> SigningCpu:
        """The signing unit of a computer's CPU."""
        if computer.name not in self._units:
            self._units[computer.name] = self._unit(computer.device.identity.device_id)
        return self._units[computer.name]

    def _unit(self, device_id: bytes) -> SigningCpu:
        if self.engine and self.stage.scheme == "sim":
            return EngineSigningUnit(
                self.maker, device_id, self.stage.cache, lambda line: print(line, file=sys.stderr, flush=True)
            )
        return EmulatedSigningUnit(self.maker, device_id)

    def data(self, g_y: bytes, g_x: bytes, nonce: bytes) -> bytes:
        """The nonce, so that the answer is fresh; the keys that come after it are nobody's concern here."""
        return hashlib.sha256(nonce).digest() + bytes(32)

    def attest(self, program: Program, data: bytes) -> bytes:
        """A :class:`SignedStatement`."""
        return sign_for(self.cpu(program.computer), program, data)

    def check(self, evidence: bytes, data: bytes, level: Level) -> None:
        """Chain to the maker, signature, hash, nonce."""
        SignedStatement.from_bytes(evidence).check(self.maker.root, self.stage.measurement(level), data)


def _works(system: SignedHash, level: Level, talk: Talk) -> None:
    party = Party(system, level)
    answer = system.answer(system.alice(level), party.g_x, party.nonce)
    party.accept(answer.g_y, answer.evidence)
    statement = SignedStatement.from_bytes(answer.evidence)
    if level is Level.L1:
        cpu = system.cpu(system.computer)
        talk.note(cpu.where)
        if isinstance(cpu, EngineSigningUnit):
            talk.note(
                f"the signature took {cpu.cycles:,} cycles, on an engine with twice the look-up tables of the one for "
                f"MACs, and a multiplier; a block of a MAC takes {CMAC_CYCLES}"
            )
    talk.note("relying party: nonce ->; <- hash, signature, certificate; the chain leads to the maker: accepted")
    talk.bytes("nonce", party.nonce)
    talk.bytes("MRENCLAVE", statement.mrenclave)
    talk.bytes("signature", statement.signature)
    talk.bytes("certificate", statement.certificate, 16)


RUNG = Rung(
    1,
    "Signed hash",
    assumed="a maker, a key in every CPU under its certificate, a relying party that has the maker's root",
    entry="the application's REPORT, out of which the unit takes the hash, is made within an entry",
    proves="that some genuine CPU runs an enclave with this hash",
    whom="everybody who has the maker's root",
    reveals="which CPU it is, every time",
    open=lambda stage, talk: SignedHash(stage),
    works=_works,
)


@RUNG.attack("forge", "forge a signature", assumed="Mallory has the maker's root and Alice's certificate, and no CPU")
def forge(system: SignedHash, level: Level, talk: Talk) -> Outcome:
    """A made-up signature, one with a bit turned, and one under a root with the maker's name."""
    party = Party(system, level)
    data = system.data(b"", party.g_x, party.nonce)
    good = SignedStatement.from_bytes(system.answer(system.alice(level), party.g_x, party.nonce).evidence)
    other = Authority("fusequote emulated maker of CPUs")
    own = EmulatedSigningUnit(other, secrets.token_bytes(16))
    flipped = bytes([good.signature[0] ^ 1]) + good.signature[1:]
    tries = {
        "made up": SignedStatement(good.mrenclave, data, secrets.token_bytes(64), good.certificate),
        "a bit turned": SignedStatement(good.mrenclave, data, flipped, good.certificate),
        "a root of her own": SignedStatement(good.mrenclave, data, own.sign(good.digest()), der(own.certificate)),
        "her key, Alice's certificate": SignedStatement(
            good.mrenclave, data, own.sign(good.digest()), good.certificate
        ),
    }
    return common.all_refused(
        {name: refusal_of(lambda s=s: system.check(s.to_bytes(), data, level)) for name, s in tries.items()}, talk
    )


@RUNG.attack("other-hash", "pass one enclave off as another", assumed="Mallory has a genuine CPU and her own enclave")
def other_hash(system: SignedHash, level: Level, talk: Talk) -> Outcome:
    """Her own enclave is signed as what it is; with Alice's hash put in, the signature is wrong."""
    party = Party(system, level)
    with run_in(system.computer, small_image("Mallory's enclave", system.stage.mallory_signer)) as own:
        answer = system.answer(own, party.g_x, party.nonce)
    data = system.data(answer.g_y, party.g_x, party.nonce)
    honest = SignedStatement.from_bytes(answer.evidence)
    wanted = system.stage.measurement(level)
    changed = SignedStatement(wanted, honest.data, honest.signature, honest.certificate)
    talk.bytes("hers", honest.mrenclave)
    talk.bytes("wanted", wanted)
    old = Party(system, level)
    replayed = system.answer(system.alice(level), old.g_x, old.nonce).evidence
    tries = {"her hash": answer.evidence, "Alice's hash put in": changed.to_bytes(), "an old one of Alice's": replayed}
    return common.all_refused(
        {name: refusal_of(lambda e=e: system.check(e, data, level)) for name, e in tries.items()}, talk
    )


@RUNG.attack(
    "relay",
    "relay the challenge to an honest CPU",
    assumed="Mallory sits between; Alice answers whoever asks",
    works=BOTH,
    stopped_by="rung 2: what is signed has to name the keys of the session",
)
def relay(system: SignedHash, level: Level, talk: Talk) -> Outcome:
    """The party's nonce goes to Alice, her answer back to the party, and the keys are Mallory's."""
    party, mallory = Party(system, level), new_ephemeral()
    answer = system.answer(system.alice(level), party.g_x, party.nonce)
    return relayed(party, mallory, answer.evidence, talk)


def relayed(party: Party, mallory: ec.EllipticCurvePrivateKey, evidence: bytes, talk: Talk) -> Outcome:
    """Somebody else's evidence with Mallory's g^y: accepted or not, and who can read what the party sends then."""
    no = refusal_of(lambda: party.accept(write_point(mallory.public_key()), evidence))
    if no is not None:
        return Outcome(False, f"the relying party: {no}")
    read = opens(mallory, party.g_x, party.send_secret())
    talk.bytes("g^y", write_point(mallory.public_key()), 16)
    talk.bytes("secret", party.secret)
    if read is not None:
        talk.bytes("she reads", read)
    return Outcome(read == party.secret, "accepted, and Mallory reads the secret that was meant for the enclave")


RUNG.add(*common.ON_EVERY_RUNG)
