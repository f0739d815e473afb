"""Attacks that stand on every rung, whatever its system, and what attacks have in common."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence

from fusequote.arch import TargetInfo
from fusequote.chip import commands
from fusequote.chip.handles import TICKET_SIZE, Ticket
from fusequote.chip.ops import Op
from fusequote.chip.status import status_name
from fusequote.enclave.entrykey import EntryKey
from fusequote.ladder.computer import Program, run_in, ticket_of
from fusequote.ladder.fuzz import fuzz
from fusequote.ladder.images import keyed_application_image
from fusequote.ladder.memory import key_in_memory
from fusequote.ladder.rung import Attack, LadderFailed, Level, Outcome, refusal_of
from fusequote.ladder.system import System
from fusequote.ladder.telling import Talk

__all__ = ["ON_EVERY_RUNG", "all_refused", "must", "traced"]


def must(holds: bool, what: str) -> None:
    """What is no attack, but has to hold for one to mean anything. Raises :class:`LadderFailed`."""
    if not holds:
        raise LadderFailed(f"this has to hold, and does not: {what}")


def all_refused(tries: Mapping[str, str | None], talk: Talk) -> Outcome:
    """Several tries of one attack: why each was refused, None for one that was not."""
    for name, no in tries.items():
        talk.note(f"{name}: {'ACCEPTED' if no is None else no}")
    accepted = [name for name, no in tries.items() if no is None]
    if accepted:
        return Outcome(True, f"accepted: {', '.join(accepted)}")
    return Outcome(False, f"{len(tries)} tries, each refused")


def traced(visits: Sequence[tuple[int, bytes]], how: str) -> Outcome:
    """Visits as (who, what was seen): whether what was seen tells, of each two visits, if they were one guest's."""
    pairs = list(itertools.combinations(visits, 2))
    right = sum((a[0] == b[0]) == (a[1] == b[1]) for a, b in pairs)
    same = sum(a[0] == b[0] for a, b in pairs)
    seen = f"{right} of {len(pairs)} pairs of visits told right {how}, {same} of them one guest's"
    return Outcome(right == len(pairs) and 0 < same < len(pairs), seen)


def read_fuses(system: System, level: Level, talk: Talk) -> Outcome:
    """Random and crafted commands, and a look at every answer for bytes of the keys and of what is derived."""
    computer, stage = system.computer, system.stage
    fuses = stage.fuses(computer.name)
    target = system.alice(Level.L2).enclave.target_info
    if level is Level.L2:
        found = fuzz(computer.device, fuses, target, stage.mallory_signer)
    else:
        with computer.client() as mallory:
            found = fuzz(mallory.chip, fuses, target, stage.mallory_signer)
    talk.note(f"{found.commands} commands, {found.refused} refused, {found.answered:,} bytes answered")
    talk.note(f"looked for in them: {', '.join(found.watched)}")
    seen = f"{'; '.join(found.leaks)} seen" if found.leaks else f"none of {len(found.watched)} keys in any answer"
    return Outcome(bool(found.leaks), seen)


def no_entry(system: System, level: Level, talk: Talk) -> Outcome:
    """A ticket that was made up, and one that was seen: Alice's own, while she is inside."""
    program, made_up = system.alice(level), Ticket(secrets.token_bytes(TICKET_SIZE))
    wanted = secrets.token_bytes(64)
    tries: dict[str, str | None] = {}

    def ask(chip, ticket: Ticket, following: bytes = b"") -> str | None:
        command = commands.ereport(ticket, TargetInfo(), wanted, following)
        status, _ = chip.raw(command.op, command.body)
        return None if status == 0 else status_name(status)

    with system.computer.client() as mallory:
        chip = mallory.chip if level is Level.L1 else system.computer.device
        tries["a ticket made up"] = ask(chip, made_up)
        tries["a ticket made up, with a link"] = ask(chip, made_up, bytes(32))
        seen: list[Ticket] = []

        def listen(op: int, body: bytes, answer: bytes) -> None:
            ticket = ticket_of(op, answer)
            if ticket is None:
                return
            seen.append(ticket)
            if level is Level.L2:
                # She owns the wire, and asks before Alice does.
                tries["Alice's ticket, read off the wire"] = ask(system.computer.device, ticket)
                tries["Alice's ticket, with a link"] = ask(system.computer.device, ticket, bytes(32))

        with system.computer.wire.tapped(listen):
            if level is Level.L1:
                with program.enclave.entered():
                    tries["Alice's live ticket, over Mallory's connection"] = ask(mallory.chip, seen[0])
            else:
                report = program.application.report(TargetInfo(), bytes(64))
                must(report.body.mrenclave == program.enclave.identity.mrenclave, "Alice is not disturbed")
        must(bool(seen), "Alice entered")
        tries["her ticket afterwards"] = ask(chip, seen[0])
        talk.bytes("ticket", seen[0].to_bytes())
    return all_refused(tries, talk)


def same_image(system: System, level: Level, talk: Talk) -> Outcome:
    """A second copy of the public image, entered by Mallory, and the rung's own protocol with her g^y."""
    stage, image = system.stage, system.stage.image(level)
    with run_in(system.computer, image) as copy:
        must(copy.enclave.identity.mrenclave == stage.measurement(level), "the copy has the same MRENCLAVE")
        talk.bytes("MRENCLAVE", copy.enclave.identity.mrenclave)
        tries = {"the copy, entered as it is": refusal_of(lambda: _has_secret(system, copy, level))}
        if level is Level.L2:
            copy.use_key(stage.mallory_entry)
            tries["entered with a key of her own"] = refusal_of(lambda: _has_secret(system, copy, level))
    if level is Level.L2:
        own = keyed_application_image(stage.signers.application, stage.mallory_entry)
        with run_in(system.computer, own, stage.mallory_entry) as other:
            tries["an image that names her key"] = refusal_of(lambda: _has_secret(system, other, level))
    told = all_refused(tries, talk)
    return Outcome(told.worked, "Mallory has the secret of the session") if told.worked else told


def stolen_key(system: System, level: Level, talk: Talk) -> Outcome:
    """The entry key out of the memory of the process that holds it; then as with the image that anybody may enter."""
    stage, proofs = system.stage, list[bytes]()

    def listen(op: int, body: bytes, answer: bytes) -> None:
        if op in (Op.EENTER, Op.ERESUME):
            proofs.append(body)

    with system.computer.wire.tapped(listen):
        system.alice(level).application.report(TargetInfo(), bytes(64))
    # EENTER: handle 9, TCS 8, chain 32, MODULUS 384 (docs/link.md 3.4).
    modulus = proofs[-1][49 : 49 + 384]
    talk.note("the public modulus goes over the wire with every entry; one of its factors is somewhere in memory")
    talk.bytes("modulus", modulus[::-1], 16)
    key, place = key_in_memory(int.from_bytes(modulus, "little"))
    if key is None:
        return Outcome(False, f"no factor found in {place:,} bytes of memory")
    talk.note(f"found at {place:#x} of this process's memory")
    with run_in(system.computer, stage.image(level), EntryKey(key)) as copy:
        no = refusal_of(lambda: _has_secret(system, copy, level))
    return Outcome(no is None, no or "Mallory enters with Alice's key, and has the secret of the session")


def _has_secret(system: System, program: Program, level: Level) -> None:
    must(system.shares_a_secret_with(program, level), "whoever is accepted shares the keys of the session")


ON_EVERY_RUNG = (
    Attack(
        "read-fuses",
        "read the fuse keys by commands",
        "Mallory may send the chip anything: at L1 as a client of the daemon, at L2 with the wire for her own",
        read_fuses,
    ),
    Attack("no-entry", "ask without an entry", "as above, and Mallory has seen Alice's ticket", no_entry),
    Attack(
        "same-image",
        "launch the same public image, and have her own g^y signed",
        "the image is public; Mallory is another process on Alice's computer",
        same_image,
        works=frozenset({Level.L1}),
        stopped_by="L2: an image that names an entry key",
    ),
    Attack(
        "stolen-key",
        "the same with the entry key, read out of the host's memory",
        "Mallory can read the memory of the process that holds the key: root, or a debugger",
        stolen_key,
        works=frozenset({Level.L2}),
        levels=(Level.L2,),
        stopped_by="L3: the measured program on a core inside the block, where no host can look (not built here)",
    ),
)
