"""TCB recovery: a chip's CPUSVN goes up, the old group goes out of date and is revoked, and who is innocent passes."""

from __future__ import annotations

import json

import pytest
from chain_world import DATA, SPID, chip_url, refused
from fusequote.arch import GroupFlags, PlatformInfoBlob, SignType, TcbFlags
from fusequote.arch.provision import PlatformInfo
from fusequote.chain import Platform, ReportedEnclave
from fusequote.chip import SgxError
from fusequote.errors import Refused, UsageError
from fusequote.maker import RecordBook
from fusequote.maker.authorise import raise_svn_mac
from fusequote.platform.epidblob import open_blob
from fusequote.platform.updates import Advice, PlatformInfoError, advice_of
from fusequote.services.attestation_operator import Operator
from fusequote.services.attestation_subscriptions import Subscriptions
from fusequote.verdict import Reason

OTHER_SPID = b"another SPID 16b"
OLD, NEW = bytes([1]) * 16, bytes([2]) * 16


class Fleet:
    """Platforms on chips of one home, and the services that they share."""

    def __init__(self, home):
        self.home = home
        self.open: dict[str, Platform] = {}

    def start(self, name: str) -> Platform:
        shared = {"services": next(iter(self.open.values())).services} if self.open else {}
        platform = Platform(chip_url(self.home, name), home=self.home, **shared)
        platform.ensure_manufactured()
        self.open[name] = platform
        return platform

    @property
    def services(self):
        return next(iter(self.open.values())).services

    def raise_cpusvn(self, name: str, cpusvn: bytes = NEW) -> Platform:
        """The maker authorises the next generation of CPUSVN; it counts from the next power-on."""
        others = [platform for other, platform in self.open.items() if other != name]
        platform = self.open.pop(name)
        if not others:
            raise AssertionError("another platform has to keep the services open")
        record = RecordBook(self.home).load(platform.device_id)
        with pytest.raises(SgxError, match="SGX_INVALID_SIGNATURE"):
            platform.chip.fuse_raise_svn(cpusvn, bytes(16))  # not without the maker
        platform.chip.fuse_raise_svn(cpusvn, raise_svn_mac(record, cpusvn))
        platform.close()
        return self.start(name)

    def close(self) -> None:
        for platform in reversed(self.open.values()):
            platform.close()


@pytest.fixture
def fleet(home):
    made = Fleet(home)
    made.start("anchor")
    yield made
    made.close()


def reported(platform: Platform) -> ReportedEnclave:
    """A REPORT of an application that has left: its slot is wanted by others."""
    application = platform.launch()
    made = platform.report(application, DATA)
    platform.remove(application.enclave)
    return made


def quote(platform: Platform, who: ReportedEnclave | None = None, **options) -> bytes:
    sigrl = platform.services.attestation.sigrl(platform.gid())
    return platform.quote_report(who or reported(platform), spid=SPID, sigrl=sigrl, **options).quote


def report(platform: Platform, data: bytes) -> dict:
    return json.loads(platform.services.attestation.report(data).body)


def status(platform: Platform, who: ReportedEnclave | None = None, **options) -> str:
    return report(platform, quote(platform, who, **options))["isvEnclaveQuoteStatus"]


def blob_of(answer: dict) -> PlatformInfoBlob:
    return PlatformInfoBlob.from_tlv(bytes.fromhex(answer["platformInfoBlob"]))


def test_from_one_tcb_to_the_next(fleet: Fleet):
    """The whole story, for one platform that updates and one that does not."""
    updated, lazy = fleet.start("updated"), fleet.start("lazy")
    for platform in (updated, lazy):
        platform.provision()
        assert status(platform) == "OK"
    registry, old_gid = fleet.services.registry, updated.gid()
    assert lazy.gid() == old_gid

    # A fault is found, and mended in CPUSVN 2: a new group opens, the old one is out of date and takes nobody.
    level = fleet.services.provisioning.members.level_for(_level(fleet, OLD)).equivalent.replace(cpusvn=NEW)
    new_gid = registry.create_group(level.psvn, level.pce_svn)
    registry.update_tcb(old_gid, out_of_date=True, joins=False)

    # The old platform is told to update first: another key would be of the same TCB.
    answer = report(lazy, quote(lazy))
    assert answer["isvEnclaveQuoteStatus"] == "GROUP_OUT_OF_DATE"
    told = blob_of(answer)
    assert told.group_flags == GroupFlags.OUT_OF_DATE and told.tcb_flags == TcbFlags.CPUSVN_OUT_OF_DATE
    assert told.latest_psvn == level.psvn and told.gid == old_gid
    told_lazy = answer["platformInfoBlob"]
    assert lazy.follow(told_lazy) == Advice(microcode=True)
    assert lazy.gid() == old_gid

    # The updated chip signs with its old key still, and is told that a new key is all that it lacks.
    updated = fleet.raise_cpusvn("updated")
    assert updated.chip.identity.cpusvn == NEW and updated.is_provisioned()
    who = reported(updated)
    answer = report(updated, quote(updated, who))
    assert answer["isvEnclaveQuoteStatus"] == "GROUP_OUT_OF_DATE"
    told = blob_of(answer)
    assert (told.group_flags, told.tcb_flags) == (GroupFlags.OUT_OF_DATE, 0)
    assert updated.follow(answer["platformInfoBlob"]) == Advice(provision=True)
    assert updated.gid() == new_gid and status(updated, who) == "OK"
    content, _ = open_blob(updated.quoting_enclave.enclave, updated.blob_path.read_bytes())
    assert content.psvn.cpusvn == NEW

    # The old group is revoked: all of it, and nobody else.
    registry.revoke_group(old_gid, reason=1)
    answer = report(lazy, quote(lazy))
    assert (answer["isvEnclaveQuoteStatus"], answer["revocationReason"]) == ("GROUP_REVOKED", 1)
    assert blob_of(answer).group_flags == GroupFlags.QE_REVOKED | GroupFlags.OUT_OF_DATE
    assert status(updated, who) == "OK"
    with refused(Reason.PROVISION_TCB_OLD):
        lazy.provision()
    # Until it follows, be it what it was told before its update.
    lazy = fleet.raise_cpusvn("lazy")
    assert advice_of(report(lazy, quote(lazy))["platformInfoBlob"], old_gid, fleet.services.constants).provision
    assert lazy.follow(told_lazy) == Advice(provision=True, microcode=True)
    assert lazy.gid() == new_gid and status(lazy) == "OK"


def _level(fleet: Fleet, cpusvn: bytes):
    return PlatformInfo(cpusvn=cpusvn, pve_svn=1, pce_svn=1)


def test_the_old_key_has_to_prove_itself_on_the_way(fleet: Fleet):
    """A platform whose old key is on the SigRL, or whose key leaked, does not get into the new group by updating."""
    chips = {name: fleet.start(name) for name in ("innocent", "signer", "leaker")}
    for platform in chips.values():
        platform.provision()
    registry, old_gid = fleet.services.registry, chips["innocent"].gid()
    revoke_signature(chips["signer"])
    leaked, _ = open_blob(chips["leaker"].quoting_enclave.enclave, chips["leaker"].blob_path.read_bytes())
    registry.revoke_key(leaked.key)
    new_gid = registry.create_group(_level(fleet, NEW).psvn, 1)
    for name in chips:
        chips[name] = fleet.raise_cpusvn(name)
    chips["innocent"].provision()
    assert chips["innocent"].gid() == new_gid and status(chips["innocent"]) == "OK"
    with refused(Reason.SELF_REVOKED):  # its own enclave sees it first
        chips["signer"].provision()
    with refused(Reason.DEVICE_REVOKED):  # protocol status 8
        chips["leaker"].provision()
    assert chips["signer"].gid() == chips["leaker"].gid() == old_gid


@pytest.mark.parametrize("damaged", [False, True], ids=["lost", "damaged"])
def test_a_platform_that_lost_its_old_key(fleet: Fleet, damaged):
    """It fetches the copy that the server keeps for it, proves with that, and joins: four messages, one call."""
    platform = fleet.start("forgetful")
    platform.provision()
    old = open_blob(platform.quoting_enclave.enclave, platform.blob_path.read_bytes())[0]
    new_gid = fleet.services.registry.create_group(_level(fleet, NEW).psvn, 1)
    platform = fleet.raise_cpusvn("forgetful")
    platform.blob_path.write_bytes(bytes(2836)) if damaged else platform.blob_path.unlink()
    platform.provision()
    assert platform.gid() == new_gid and status(platform) == "OK"
    content = open_blob(platform.quoting_enclave.enclave, platform.blob_path.read_bytes())[0]
    assert content.key.f != old.key.f


# Who is refused, and who is not


def revoke_signature(platform: Platform) -> None:
    Operator(platform.services.registry, platform.services.keys).revoke_signature(quote(platform))


def test_innocents_that_are_refused(fleet: Fleet):
    """One guilty platform among eight, in each list: seven pass each time. The group's revocation refuses all."""
    names = [f"platform-{n}" for n in range(8)]
    members = [fleet.start(name) for name in names]
    for platform in members:
        platform.provision()
    who = [reported(platform) for platform in members]
    registry, gid = fleet.services.registry, members[0].gid()
    assert {platform.gid() for platform in members} == {gid}

    def refused_now(spid: bytes = SPID, **options) -> list[int]:
        out = []
        for number, (platform, enclave) in enumerate(zip(members, who, strict=True)):
            sigrl = platform.services.attestation.sigrl(gid)
            try:
                data = platform.quote_report(enclave, spid=spid, sigrl=sigrl, **options).quote
            except Refused as error:
                assert error.reason == Reason.SELF_REVOKED
                out.append(number)
                continue
            if report(platform, data)["isvEnclaveQuoteStatus"] != "OK":
                out.append(number)
        return out

    assert refused_now() == []
    leaked, _ = open_blob(members[3].quoting_enclave.enclave, members[3].blob_path.read_bytes())
    registry.revoke_key(leaked.key)
    assert refused_now() == [3]
    revoke_signature(members[5])
    assert refused_now() == [3, 5]

    # A verifier's own list: it knows the pseudonyms of linkable quotes for its own SPID, and nothing else.
    services = fleet.services
    for name, spid in (("one", SPID), ("another", OTHER_SPID)):
        Subscriptions(services.store).create(name, linkable=True, spid=spid)
    Operator(registry, services.keys).shut_out(quote(members[6], who[6], sign_type=SignType.LINKABLE))
    assert refused_now(sign_type=SignType.LINKABLE) == [3, 5, 6]
    assert refused_now() == [3, 5]
    assert refused_now(spid=OTHER_SPID, sign_type=SignType.LINKABLE) == [3, 5]

    # The whole group: everybody, until they rejoin; afterwards nobody.
    registry.revoke_group(gid, 1)
    assert refused_now() == list(range(8))
    again = registry.create_group(_level(fleet, OLD).psvn, 1)
    for platform in members:
        platform.provision()
        assert platform.gid() == again
    gid = again
    assert refused_now() == []


def test_a_performance_rekey(fleet: Fleet):
    """A long SigRL: those who are not on it move to a fresh group with the same f, and sign fast again."""
    platform, guilty = fleet.start("moving"), fleet.start("guilty")
    for member in (platform, guilty):
        member.provision()
    registry, members, gid = fleet.services.registry, fleet.services.provisioning.members, platform.gid()
    before = open_blob(platform.quoting_enclave.enclave, platform.blob_path.read_bytes())[0]
    with pytest.raises(UsageError, match="no performance rekey"):
        platform.provision(rekey=True)
    revoke_signature(guilty)
    new_gid = members.create_rekey_group(gid)
    with pytest.raises(UsageError, match="already"):
        members.create_rekey_group(gid)
    registry.update_tcb(gid, configuration_needed=True)
    answer = report(platform, quote(platform))
    advice = advice_of(answer["platformInfoBlob"], gid, fleet.services.constants)
    assert advice.rekey and not advice.provision
    assert platform.follow(answer["platformInfoBlob"]).rekey
    after = open_blob(platform.quoting_enclave.enclave, platform.blob_path.read_bytes())[0]
    assert platform.gid() == new_gid and after.key.f == before.key.f and after.key.x != before.key.x
    assert fleet.services.attestation.sigrl(new_gid) == b"" and status(platform) == "OK"
    with refused(Reason.SELF_REVOKED):
        guilty.provision(rekey=True)
    # Asking once more gives the same key; who asks without the flag gets the key of this TCB, the newest.
    platform.provision()
    assert open_blob(platform.quoting_enclave.enclave, platform.blob_path.read_bytes())[0].key == after.key
    # A new chip joins the new group at once.
    fresh = fleet.start("fresh")
    fresh.provision()
    assert fresh.gid() == new_gid


# The platform's side of the blob


def test_a_blob_that_is_not_for_this_platform(fleet: Fleet):
    platform = fleet.start("reader")
    platform.provision()
    registry, gid, constants = fleet.services.registry, platform.gid(), fleet.services.constants
    registry.update_tcb(gid, out_of_date=True)
    text = report(platform, quote(platform))["platformInfoBlob"]
    assert len(text) == 210 and text.startswith("15020065")
    assert advice_of(text, gid, constants) == advice_of(text[8:].lower(), gid, constants)
    flipped = text[:10] + ("0" if text[10] != "0" else "1") + text[11:]
    for broken in (flipped, text[:-2], text + "00", "zz", "", text[:-1]):
        with pytest.raises(PlatformInfoError):
            advice_of(broken, gid, constants)
    with pytest.raises(PlatformInfoError, match="this platform"):
        advice_of(text, bytes(4), constants)
    with pytest.raises(PlatformInfoError):
        advice_of(text, gid, constants, xeid=1)
