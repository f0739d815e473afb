"""Rung 2: g^y and g^x are in what the CPU signs."""

from __future__ import annotations

import secrets

from fusequote.exchange.keys import new_ephemeral
from fusequote.ladder import common
from fusequote.ladder.rung import BOTH, Level, Outcome, Rung
from fusequote.ladder.signed import SignedStatement
from fusequote.ladder.signed_hash import SignedHash, relayed
from fusequote.ladder.system import Party, System, opens
from fusequote.ladder.telling import Talk

__all__ = ["RUNG", "SignedExchange"]

_VISITS = 5


class SignedExchange(SignedHash):
    """As the first rung, but the enclave has its CPU sign the hash of both public keys."""

    #: The engine has shown itself on the first rung: half a second a signature is for nothing here.
    engine = False
    data = System.data


def _works(system: SignedExchange, level: Level, talk: Talk) -> None:
    party = Party(system, level)
    answer = system.answer(system.alice(level), party.g_x, party.nonce)
    party.accept(answer.g_y, answer.evidence)
    enclave = answer.channel(party.g_x)
    there = enclave.open(party.send_secret())
    back = party.channel.open(enclave.seal(b"from the enclave"))
    common.must(there == party.secret and back == b"from the enclave", "the channel works both ways")
    talk.note(
        "g^x ->; <- g^y and a signature over the hash of the enclave and of both; a message each way: both arrive"
    )
    talk.bytes("g^y", answer.g_y, 16)
    talk.bytes("g^x", party.g_x, 16)
    talk.bytes("signed data", SignedStatement.from_bytes(answer.evidence).data, 32)


RUNG = Rung(
    2,
    "Signed hash and key exchange",
    assumed="as on the first rung; both sides have a fresh key for each session",
    entry="g^y and g^x go into REPORTDATA within an entry: who can enter, decides whose g^y it is",
    proves="that whoever holds this session's keys speaks for an enclave with this hash, on some genuine CPU",
    whom="everybody who has the maker's root",
    reveals="which CPU it is, every time and everywhere",
    open=lambda stage, talk: SignedExchange(stage),
    works=_works,
)


@RUNG.attack(
    "relay", "relay the challenge to an honest CPU", assumed="Mallory sits between; Alice answers whoever asks"
)
def relay(system: SignedExchange, level: Level, talk: Talk) -> Outcome:
    """With her own g^y the signature is about another one; with Alice's g^y she cannot read what is sent."""
    party, mallory = Party(system, level), new_ephemeral()
    answer = system.answer(system.alice(level), party.g_x, party.nonce)
    hers = relayed(party, mallory, answer.evidence, talk)
    talk.note(f"with her own g^y: {hers.seen}")
    party.accept(answer.g_y, answer.evidence)
    sealed = party.send_secret()
    read = opens(mallory, party.g_x, sealed)
    talk.note(f"passed on unchanged: accepted, and the message that goes by {'opens' if read else 'does not open'}")
    talk.bytes("goes by", sealed)
    arrived = answer.channel(party.g_x).open(sealed) == party.secret
    common.must(arrived, "Alice's enclave gets the secret")
    return Outcome(hers.worked or read is not None, "her g^y is refused; Alice's g^y gives keys that only Alice has")


@RUNG.attack(
    "trace",
    "recognise the CPU again",
    assumed="two relying parties, a shop and a bank, keep what they were sent, and compare",
    works=BOTH,
    stopped_by="rungs 3 and 5: nobody outside may see a key that is one CPU's",
)
def trace(system: SignedExchange, level: Level, talk: Talk) -> Outcome:
    """Two CPUs visit both in random order; the certificate says at each visit which of them it is."""
    guests = [system.alice(level), system.stage.alice(system.stage.computer("bob"), level)]
    visits: list[tuple[int, bytes]] = []
    for at in range(_VISITS):
        who = at if at < len(guests) else secrets.randbelow(len(guests))
        party = Party(system, level)
        answer = system.answer(guests[who], party.g_x, party.nonce)
        party.accept(answer.g_y, answer.evidence)
        visits.append((who, SignedStatement.from_bytes(answer.evidence).certificate))
    for who, certificate in visits[:2]:
        talk.bytes(f"CPU {who + 1}", certificate[-64:], 16)
    return common.traced(visits, "by the CPU's certificate")


RUNG.add(*common.ON_EVERY_RUNG)
