"""What can be done about lost attestation keys, each with what it needs, does, and costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fusequote.arch import Psvn, SignType
from fusequote.epid import Member
from fusequote.ladder.crowd import join
from fusequote.ladder.field import Field
from fusequote.ladder.telling import Progress
from fusequote.platform.pce import PCE_ISVSVN

__all__ = ["RESPONSES", "Applied", "Response", "recover"]

#: Reason of a group's revocation: key compromise (RFC 5280 5.3.1).
_KEY_COMPROMISE = 1


@dataclass
class Applied:
    """What a response left behind: bytes of the list that it made, members that joined anew, who asks from then on."""

    list_bytes: int = 0
    rejoined: Sequence[Member] | None = None
    cost: str = ""

    @property
    def rejoins(self) -> int:
        """Innocents that had to join anew."""
        return 0 if self.rejoined is None else len(self.rejoined)


Apply = Callable[[Field, Progress], Applied]


@dataclass(frozen=True)
class Response:
    """``needs``: what has to be known. ``sign_type``: of the quotes that are judged before and after."""

    name: str
    needs: str
    apply: Apply = field(repr=False)
    sign_type: SignType = SignType.UNLINKABLE


def _verifier_list(day: Field, progress: Progress) -> Applied:
    for lost in day.lost:
        day.operator.shut_out(day.quote(lost.member, SignType.LINKABLE))
    return Applied(76 + 64 * len(day.lost), cost="at each verifier anew, who has to want linkable quotes")


def _sigrl(day: Field, progress: Progress) -> Applied:
    # One quote of each before the list grows: the forger himself could not prove anything against it afterwards.
    for quote in [day.quote(lost.member, SignType.UNLINKABLE) for lost in day.lost]:
        day.operator.revoke_signature(quote)
    made = len(day.services.attestation.sigrl(day.gid))
    return Applied(made, cost="each innocent proves, and each verifier checks, for every entry, for ever")


def _privrl(day: Field, progress: Progress) -> Applied:
    for lost in day.lost:
        day.operator.revoke_key(lost.key.to_bytes())
    return Applied(len(day.services.registry.privrl(day.gid).to_bytes()), cost="one multiplication for every entry")


def _group(day: Field, progress: Progress) -> Applied:
    tcb = day.services.registry.tcb(day.gid)
    day.operator.revoke_group(day.gid, _KEY_COMPROMISE)
    made = day.services.registry.create_group(Psvn(cpusvn=tcb.cpusvn, isvsvn=tcb.isvsvn), tcb.pce_svn)
    return Applied(rejoined=_rejoin(day, made, progress), cost="every innocent is refused until it has joined anew")


def _recovery(day: Field, progress: Progress) -> Applied:
    made = recover(day)
    return Applied(rejoined=_rejoin(day, made, progress), cost="every innocent updates its chip, and joins anew")


def recover(day: Field) -> bytes:
    """TCB recovery at the services: a group for the next CPUSVN, the old one is out of date and closed; the gid."""
    tcb = day.services.registry.tcb(day.gid)
    mended = Psvn(cpusvn=bytes(component + 1 for component in tcb.cpusvn), isvsvn=tcb.isvsvn)
    day.operator.set_tcb(day.gid, out_of_date=True, joins=False, advisory_ids=["FQ-EMULATED-SA-1"])
    return day.services.registry.create_group(mended, PCE_ISVSVN)


def _rejoin(day: Field, gid: bytes, progress: Progress) -> list[Member]:
    names = [innocent.ppid for innocent in day.innocents]
    return [newcomer.member for newcomer in join(day.services, gid, len(names), progress, names)]


RESPONSES = (
    Response("verifier list", "one linkable signature of each", _verifier_list, SignType.LINKABLE),
    Response("SigRL", "one signature of each", _sigrl),
    Response("PrivRL", "the keys", _privrl),
    Response("group", "that keys of the group are lost", _group),
    Response("TCB recovery", "how they got lost, and a mend", _recovery),
)
