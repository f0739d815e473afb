"""The key-loss drill: a chip's key leaks, quotes are forged and accepted; then each response, and whom it hits."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from fusequote.arch import Report, SignType
from fusequote.epid.arithmetic import default
from fusequote.errors import Refused
from fusequote.exchange.keys import new_ephemeral, write_point
from fusequote.ladder.common import must
from fusequote.ladder.computer import Program
from fusequote.ladder.crowd import join, quote_of
from fusequote.ladder.field import Field, Round, copied
from fusequote.ladder.leak import Leaked, open_sealed_key
from fusequote.ladder.responses import RESPONSES, Applied, Response, recover
from fusequote.ladder.rung import Level, NotAccepted
from fusequote.ladder.system import Party, opens
from fusequote.ladder.telling import Talk
from fusequote.maker.authorise import raise_svn
from fusequote.reasons import Reason
from fusequote.services.attestation_subscriptions import Subscriptions
from fusequote.services.provisioning_tables import Membership

if TYPE_CHECKING:
    from fusequote.ladder.epid import Epid

__all__ = ["LOSSES", "drill"]

#: Keys lost: the chip's that is broken on the stage, and as many as if more had been broken the same way.
LOSSES = (1, 10)
Facts = dict[str, str | int | bool]


@dataclass(frozen=True)
class _Row:
    """Forged before and after, innocents after."""

    response: Response
    lost: int
    before: Round
    after: Round
    asked: Round
    applied: Applied

    @property
    def facts(self) -> Facts:
        name = f"drill.{self.response.name.replace(' ', '-')}.{self.lost}"
        return {
            f"{name}.forged_before": self.before.accepted,
            f"{name}.forged_after": self.after.accepted,
            f"{name}.innocents_refused": self.asked.refused,
            f"{name}.rejoins": self.applied.rejoins,
            f"{name}.list_bytes": self.applied.list_bytes,
            f"{name}.quote_bytes": self.asked.quote_bytes,
        }

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            self.response.name,
            str(self.lost),
            f"{self.before.accepted} of {self.before.total}",
            f"{self.after.accepted} of {self.after.total}",
            ", ".join(self.after.statuses),
            f"{self.asked.refused} of {self.asked.total}",
            str(self.applied.rejoins),
            f"{self.applied.list_bytes:,}",
            f"{self.asked.quote_bytes:,}",
            f"{self.asked.sign_ms:.1f}",
            f"{self.asked.report_ms:.1f}",
        )


_HEAD = (
    "response", "lost", "forged: before", "after", "refused as", "innocents refused", "rejoined", "list, bytes",
    "quote, bytes", "sign, ms", "report, ms",
)  # fmt: skip
#: Columns that are set flush left.
_LEFT = (0, 4)


def drill(system: Epid, talk: Talk) -> Facts:
    """All of it, told; facts for programs. Raises :class:`~fusequote.ladder.rung.LadderFailed` for a wrong answer."""
    leaked = _leak(system, talk)
    report = _forge(system, leaked, talk)
    services, crowd = system.services, system.crowd
    with talk.bar("more keys are lost") as progress:
        others = join(services, system.gid, LOSSES[-1] - 1, progress)
    group = leaked.member.group
    lost = [leaked, *(Leaked(group, other.key) for other in others)]
    Subscriptions(services.store).create("shop", linkable=True, spid=system.spid)
    talk.note(
        f"{len(crowd)} innocents: members of the group, joined by its issuer; they have no chips, and need none here"
    )
    talk.note(
        f"so have the {len(others)} members whose keys are lost as well, as if more chips had been broken like this one"
    )
    system.computer.end_clients()
    rows: list[_Row] = []
    with talk.bar("responses") as progress:
        cases = [(response, count) for count in LOSSES for response in RESPONSES]
        for number, (response, count) in enumerate(cases, 1):
            with copied(system.stage.home, system.stage.home.root) as copy:
                day = Field(copy, system.gid, system.spid, report.body, crowd, lost[:count])
                rows.append(_respond(day, response))
            progress(number, len(cases))
    today = Field(services, system.gid, system.spid, report.body, crowd, lost)
    return {**_table(rows, talk), "drill.broken_chip": _broken_chip(system, today, talk)}


def _leak(system: Epid, talk: Talk) -> Leaked:
    """From the fuses to f, A, x."""
    stage, platform = system.stage, system.platform
    fuses, blob = stage.fuses(system.computer.name), platform.blob_path.read_bytes()
    talk.part("the leak: as through a fault like Foreshadow, here by reading the fuses")
    leaked, seal_key = open_sealed_key(fuses, platform.quoting_enclave.enclave.identity, blob)
    other = stage.fuses(stage.computer("bob").name)
    talk.bytes("fuses", fuses.provisioning + fuses.sealing)
    talk.bytes("seal key", seal_key)
    talk.bytes("f", leaked.key.f.to_bytes(32, "big"))
    talk.bytes("A", leaked.key.A)
    talk.bytes("x", leaked.key.x.to_bytes(32, "big"))
    try:
        open_sealed_key(other, platform.quoting_enclave.enclave.identity, blob)
    except NotAccepted as no:
        talk.note(f"with another chip's fuses: {no}")
    else:
        must(False, "another chip's fuses do not open the blob")
    return leaked


def _forge(system: Epid, leaked: Leaked, talk: Talk) -> Report:
    """A quote about Alice's enclave at L2, which Mallory cannot enter, with her g^y; the REPORT it is made after."""
    program: Program = system.alice(Level.L2)
    report = program.application.report(system.target, bytes(64))
    party = Party(system, Level.L2)
    mallory = new_ephemeral()
    g_y = write_point(mallory.public_key())
    claimed = report.body.replace(reportdata=system.data(g_y, party.g_x, party.nonce))
    qsdk = system.services.keys.qsdk.public_key()
    forged = quote_of(leaked.member, claimed, qsdk, spid=system.spid, sign_type=SignType.UNLINKABLE)
    party.accept(g_y, forged)
    read = opens(mallory, party.g_x, party.send_secret())
    must(read == party.secret, "the forger shares the session's keys")
    talk.note(
        "Mallory writes a quote about Alice's enclave, without chip or enclave: accepted, and she reads the secret"
    )
    talk.bytes("forged quote", forged, 16)
    return report


def _respond(day: Field, response: Response) -> _Row:
    """A response on a day of its own. Raises :class:`~fusequote.ladder.rung.LadderFailed`."""
    forgers, kind, name = [lost.member for lost in day.lost], response.sign_type, response.name
    before = day.ask(forgers, kind)
    must(before.accepted == before.total, f"{name}: forged quotes are accepted before")
    applied = response.apply(day, lambda done, total: None)
    after = day.ask(forgers, kind)
    must(after.accepted == 0, f"{name}: the forger is refused ({', '.join(after.statuses)})")
    innocents = [innocent.member for innocent in day.innocents]
    if applied.rejoined is not None:
        stuck = day.ask(innocents[:1], kind)
        must(stuck.accepted == 0, f"{name}: who has not rejoined is refused")
        innocents = list(applied.rejoined)
    asked = day.ask(innocents, kind)
    must(asked.refused == 0, f"{name}: innocents are accepted ({', '.join(asked.statuses)})")
    if kind is SignType.LINKABLE:
        elsewhere = day.ask(forgers, kind, secrets.token_bytes(16))
        must(elsewhere.accepted == elsewhere.total, "a verifier's list is that verifier's alone")
    return _Row(response, len(day.lost), before, after, asked, applied)


def _table(rows: list[_Row], talk: Talk) -> Facts:
    talk.part("responses by key losses (ms: median processor time for a quote of an innocent)")
    lines = [_HEAD, *(row.cells for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(_HEAD))]
    for line in lines:
        pairs = enumerate(zip(line, widths, strict=True))
        cells = (text.ljust(width) if at in _LEFT else text.rjust(width) for at, (text, width) in pairs)
        talk.line("    " + "  ".join(cells).rstrip())
    for row in rows:
        if row.lost == LOSSES[0]:
            talk.note(f"{row.response.name}: needs {row.response.needs}; {row.applied.cost}")
    return {name: value for row in rows for name, value in row.facts.items()}


def _broken_chip(system: Epid, day: Field, talk: Talk) -> str:
    """On the services themselves: TCB recovery, and the broken chip, updated for real, asks for a new key."""
    talk.part("and the broken chip itself")
    platform, device = system.platform, system.computer.device
    recover(day)
    listed = day.operator.revoke_key(day.lost[0].key.to_bytes())
    name = _device_of(day, day.lost[0])
    day.services.registry.revoke_device(name)
    status = raise_svn(device, system.stage.book, bytes(c + 1 for c in device.identity.cpusvn))
    talk.note(f"its key is on the PrivRL ({listed.entries} entry), its device revoked; the maker raises its CPUSVN")
    talk.bytes("CPUSVN", status.cpusvn)
    try:
        platform.provision()
    except Refused as no:
        must(no.reason == Reason.DEVICE_REVOKED.value, f"it is refused as a revoked device, not: {no}")
        talk.note(f"it asks the provisioning server for a key of the new group: {no}")
        talk.note("without that it would be let in: its fuses are known for ever, and no update changes them")
        return str(no.reason)
    must(False, "a revoked device gets no key")
    return ""


def _device_of(day: Field, lost: Leaked) -> bytes:
    """Whose key this is: its F = [f]h1 stands in the database. That is what is left of anonymity once f is known."""
    point = default().g1_sum([(lost.member.group.h1, lost.key.f)])
    with day.services.registry.store.reading() as session:
        return session.scalars(select(Membership.ppid).where(Membership.join_point == point)).one()
