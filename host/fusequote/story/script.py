"""The story: who does what, in which order, and what must come of it."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote as url_quote

from fusequote.chain import Platform, simulated_chip_url
from fusequote.home import Home
from fusequote.platform.signers import Signers, mrsigner_of
from fusequote.platform.updates import Advice
from fusequote.reasons import Reason
from fusequote.relying.service import RemoteService
from fusequote.services.attestation_subscriptions import Subscriptions
from fusequote.services.services import Services
from fusequote.story.parties import Member, Operator, Provider
from fusequote.story.servers import Server, serving
from fusequote.story.talk import exchange
from fusequote.story.transcript import Transcript, short

__all__ = ["tell_story"]

OLD, NEW = bytes([1]) * 16, bytes([2]) * 16
#: The name under which the home folder keeps the key of `fusequote relying-party`.
PROVIDER_KEY = "service-provider"
_API = "/sgx/dev/attestation/v4"


@dataclass
class _World:
    told: Transcript
    services: Services
    operator: Operator
    shop: Provider
    bank: Provider
    relying: Server
    provider_key: Any
    guilty: Member
    innocent: Member

    @property
    def members(self) -> tuple[Member, Member]:
        return self.guilty, self.innocent

    def attest(self, member: Member, provider: Provider, status: str = "OK") -> bytes:
        quote = member.quote(provider)
        provider.judge(member.name, quote, status)
        return quote

    def exchange(self, member: Member, status: str = "OK") -> None:
        exchange(member, self.relying, self.shop, self.provider_key, status, self.told)


def tell_story(home: Home, told: Transcript, *, scheme: str = "sim", cache: str | None = None) -> None:
    """Run the story in ``home``, an empty home folder, on two blank simulated chips of this scheme.

    ``cache`` is the folder for builds of ``sim``. Raises :class:`StoryFailed` as soon as an answer is not what it must
    be, and what the parties raise.
    """
    with contextlib.ExitStack() as stack:
        world = _open(home, told, scheme, cache, stack)
        _attest(world)
        old_quotes = _verifier_list(world)
        _signature_list(world, old_quotes)
        _key_list(world, old_quotes)
        blob = _out_of_date(world)
        _group_list(world, old_quotes)
        _recover(world, blob)
    told.line()
    told.line(f"{told.checks} answers checked, {told.refusals} refusals among them: all as they must be.")


def _open(home: Home, told: Transcript, scheme: str, cache: str | None, stack: contextlib.ExitStack) -> _World:
    told.act("The services start, each a process of its own, and the operator gives out keys")
    services = stack.enter_context(Services(home))
    subscriptions, root = Subscriptions(services.store), services.keys.report_root
    signer = mrsigner_of(Signers(home).application)
    provisioning = stack.enter_context(serving(home, "serve", "provisioning", "--port", "0", "--workers", "0"))
    attestation = stack.enter_context(serving(home, "serve", "attestation", "--port", "0", "--workers", "0"))
    told.note("fusequote serve provisioning: ready")
    told.note("fusequote serve attestation: ready")
    operator = Operator(attestation.url, subscriptions.new_admin_key("story"), told)
    stack.callback(operator.close)
    providers, keys = {}, {}
    for name in ("shop", "bank"):
        made = operator.ask("POST", "/subscriptions", {"name": name, "linkable": True})
        spid, keys[name] = bytes.fromhex(made["spid"]), made["primary"]
        service = RemoteService(attestation.url + _API, keys[name])
        stack.callback(service.close)
        providers[name] = Provider(name, spid, service, signer, root, told)
        told.note(f"{name} is a service provider for linkable quotes, SPID {short(spid)}")
    arguments = ["relying-party", "--json", "--port", "0", "--linkable", "--spid", providers["shop"].spid.hex()]
    arguments += ["--attestation", attestation.url + _API]
    secret = {"FUSEQUOTE_SUBSCRIPTION_KEY": keys["shop"]}
    relying = stack.enter_context(serving(home, *arguments, secrets=secret))
    told.note("fusequote relying-party --linkable: ready, the shop's")

    def power_on(name: str) -> Platform:
        url = simulated_chip_url(home, scheme, name)
        if scheme == "sim" and cache is not None:
            url += f"&cache={url_quote(cache, safe='/')}"
        return Platform(
            url, home=home, services=services, listener=told.listener(name), provisioning_url=provisioning.url + "/"
        )

    told.act("Manufacture: two blank chips get their fuses, the provisioning server their records")
    members = []
    for name in ("guilty", "innocent"):
        member = Member(name, power_on, told)
        stack.callback(lambda member=member: member.platform.close())
        member.platform.ensure_manufactured()
        told.note(f"{name}: device {short(member.platform.device_id)}, chip on {scheme}://")
        told.check(f"CPUSVN of {name}'s chip", short(member.platform.chip.identity.cpusvn), short(OLD))
        members.append(member)
    told.act("Provision: each joins an EPID group, over HTTP")
    groups = {member.provision() for member in members}
    told.check("EPID groups that they are in", len(groups), 1)
    key = home.p256_key(PROVIDER_KEY).public_key()
    return _World(told, services, operator, providers["shop"], providers["bank"], relying, key, members[0], members[1])


def _attest(world: _World) -> None:
    world.told.act("Exchange: msg0 to msg4 between enclave and relying party, then a secure message")
    world.exchange(world.guilty)
    world.told.act("Attest: both platforms, at the shop and at the bank")
    for member in world.members:
        for provider in (world.shop, world.bank):
            world.attest(member, provider)


def _verifier_list(world: _World) -> dict[str, bytes]:
    """Returns a quote of each for the bank, from before there was any list of the group."""
    told = world.told
    before = {member.name: world.attest(member, world.bank) for member in world.members}
    told.act("First list, the verifier's own: the shop shuts guilty out by his pseudonym")
    world.operator.with_quote("/verifier-lists", world.guilty.quote(world.shop))
    world.attest(world.guilty, world.shop, "SIGNATURE_REVOKED")
    told.note("in the exchange as well: no channel")
    world.exchange(world.guilty, "SIGNATURE_REVOKED")
    told.note("the bank has another SPID, where he has another pseudonym:")
    world.attest(world.guilty, world.bank)
    told.note("innocent passes:")
    world.attest(world.innocent, world.shop)
    world.exchange(world.innocent)
    return before


def _signature_list(world: _World, before: dict[str, bytes]) -> None:
    told = world.told
    told.act("Second list, SigRL: the maker of one of guilty's quotes is revoked, whoever he is")
    world.operator.with_quote("/revocations/signatures", before["guilty"])
    with told.refused("guilty's own Quoting Enclave", Reason.SELF_REVOKED):
        world.guilty.quote(world.bank)
    told.note("a quote of before has no proof against the new list:")
    world.bank.judge("guilty's old quote", before["guilty"], "SIGRL_VERSION_MISMATCH")
    told.note("innocent proves that she is somebody else, 160 bytes more:")
    quote = world.attest(world.innocent, world.bank)
    told.check("bytes more than before", len(quote) - len(before["innocent"]), 160)
    world.exchange(world.innocent)


def _key_list(world: _World, before: dict[str, bytes]) -> None:
    told = world.told
    told.act("Third list, PrivRL: guilty's private key was found on the net")
    world.operator.with_key(world.guilty.leaked_key())
    world.bank.judge("guilty's old quote", before["guilty"], "KEY_REVOKED")
    with told.refused("guilty asks for his key again", Reason.DEVICE_REVOKED):
        world.guilty.provision()
    told.note("innocent passes:")
    world.attest(world.innocent, world.bank)
    world.exchange(world.innocent)


def _out_of_date(world: _World) -> str:
    """Returns the platformInfoBlob that innocent got."""
    told, old = world.told, world.innocent.platform.gid()
    told.act("TCB recovery begins: a new CPUSVN mends a fault, a group opens for it, the old one is out of date")
    opened = world.operator.ask("POST", "/groups", {"cpusvn": NEW.hex()}, f", for CPUSVN {short(NEW)}")
    told.check("CPUSVN of the group that takes members", short(bytes.fromhex(opened["cpusvn"])), short(NEW))
    world.operator.ask("PATCH", f"/groups/{old.hex()}", {"out_of_date": True, "joins": False}, ", out of date, closed")
    quote = world.innocent.quote(world.bank)
    report = world.bank.judge("innocent", quote, "GROUP_OUT_OF_DATE")
    blob = report["platformInfoBlob"]
    told.note(f"the platformInfoBlob says why ({len(blob) // 2} bytes):")
    told.check("innocent has to update first", _named(world.innocent.platform.follow(blob)), "microcode")
    return blob


def _named(advice: Advice) -> str:
    """What is advised, in a word each."""
    return ", ".join(field.name for field in dataclasses.fields(advice) if getattr(advice, field.name))


def _group_list(world: _World, before: dict[str, bytes]) -> None:
    told, old = world.told, world.innocent.platform.gid()
    told.act("Fourth list, GroupRL: the old group is revoked, and with it all who have not updated")
    world.operator.ask("POST", f"/groups/{old.hex()}/revocation", {"reason": 1})
    for member in world.members:
        report = world.bank.judge(f"{member.name}'s old quote", before[member.name], "GROUP_REVOKED")
        told.check("reason", report["revocationReason"], 1)
    told.note("innocent is refused, too, as the list is about the group:")
    world.attest(world.innocent, world.bank, "GROUP_REVOKED")
    world.exchange(world.innocent, "GROUP_REVOKED")
    with told.refused("innocent joins without an update", Reason.PROVISION_TCB_OLD):
        world.innocent.provision()


def _recover(world: _World, blob: str) -> None:
    told, innocent = world.told, world.innocent
    old = innocent.platform.gid()
    told.act("TCB recovery on the platform: the maker raises the chip's CPUSVN, and innocent joins the new group")
    innocent.raise_cpusvn(NEW)
    report = world.bank.judge("innocent, still with the old key", innocent.quote(world.bank), "GROUP_REVOKED")
    innocent.end_application()
    told.note("the platformInfoBlob says now that a new key is all that she lacks:")
    advice = innocent.platform.follow(report["platformInfoBlob"])
    told.check("what innocent was told to do, and did", _named(advice), "provision")
    told.check("innocent is in another EPID group", innocent.platform.gid() != old, True)
    told.act("Attest again: innocents that are refused are none")
    for provider in (world.shop, world.bank):
        world.attest(innocent, provider)
    world.exchange(innocent)
