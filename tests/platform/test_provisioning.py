"""Who is admitted to an EPID group, and who is not: devices, TCBs, and what stays secret on the way."""

from __future__ import annotations

import dataclasses

import pytest
from chain_world import DATA, SPID, Ready, copy_home, flip, make_ready, refused, unknown_chip
from fusequote.arch import Psvn, QuoteV2
from fusequote.arch.provision import BlockCipherText, Escrow, SignedPek
from fusequote.arch.provmsg import MessageType, ResponseHeader
from fusequote.errors import Refused
from fusequote.platform.epidblob import BLOB_SIZE, open_blob, public_text
from fusequote.platform.pce import PCE_ISVSVN
from fusequote.platform.protocol import ppid_of, provision_request
from fusequote.platform.provisioning import ProvisioningEnclave
from fusequote.services.derivation import ppid
from fusequote.verdict import Reason
from provisioning_world import Ends, claiming, lying_about, open_ends, ppid_of_pce, raised, secret_of

# The good case


def test_a_genuine_platform_joins(fresh: Ends):
    wire = fresh.wire()
    blob = fresh.agent(wire).provision()
    assert len(blob) == BLOB_SIZE
    assert [len(message) for message in wire.requests] == [859, 1158]  # sizes of the notes
    kinds = [ResponseHeader.unpack_from(answer).type for answer in wire.answers]
    assert kinds == [MessageType.PROV_MSG2, MessageType.PROV_MSG4]
    content = secret_of(fresh, blob)
    assert content.psvn == fresh.own_level().psvn and content.xeid == 0
    assert public_text(blob).group == content.group.to_bytes()


def test_the_same_tcb_gets_its_key_back(ends: Ends):
    """Backup retrieval: ProvMsg4 answers ProvMsg1, and f comes out of the escrow that only this chip opens."""
    wire = ends.wire()
    again = secret_of(ends, ends.agent(wire).provision())
    assert ResponseHeader.unpack_from(wire.answers[0]).type == MessageType.PROV_MSG4 and len(wire.requests) == 1
    before = secret_of(ends, ends.made.platform.blob_path.read_bytes())
    assert again.key == before.key and again.group == before.group


def test_the_wire_shows_neither_ppid_nor_group_nor_key(fresh: Ends):
    wire = fresh.wire()
    agent = fresh.agent(wire)
    content = secret_of(fresh, agent.provision())
    with fresh.pce.enclave.entered() as inside:
        name = ppid_of(inside.key(provision_request(Psvn())))
    assert fresh.server.members.device(name) is not None
    said = b"".join(wire.requests + wire.answers)
    secret_bytes = [content.key.f.to_bytes(32, "big"), content.key.x.to_bytes(32, "big"), content.key.A]
    for value in (name, content.group.gid, agent.platform_info().cpusvn, content.group.w, *secret_bytes):
        assert value not in said


def test_the_blob_shows_nothing_of_the_key(made: Ready):
    blob = made.platform.blob_path.read_bytes()
    content, _ = open_blob(made.platform.quoting_enclave.enclave, blob)
    for secret in (content.key.f, content.key.x):
        assert secret.to_bytes(32, "big") not in blob
    assert content.key.A not in blob
    assert made.platform.blob_path.stat().st_mode & 0o777 == 0o600
    assert str(content.key.f) not in repr(content) and content.key.A.hex() not in repr(content)


def test_the_server_never_sees_f(made: Ready):
    content, _ = open_blob(made.platform.quoting_enclave.enclave, made.platform.blob_path.read_bytes())
    database = b"".join(p.read_bytes() for p in made.platform.home.root.glob("services.db*"))
    assert content.key.x.to_bytes(32, "big") in database  # what the issuer chose is there
    assert content.key.f.to_bytes(32, "big") not in database


def test_quotes_carry_the_pces_svn(ready: Ready):
    assert QuoteV2.from_bytes(ready.quote).body.pce_svn == PCE_ISVSVN == 1


def test_two_names_of_one_chip(ends: Ends):
    """PvE and PCE have other signers, hence other PROVISION keys and PPIDs; the server knows both."""
    from fusequote.maker import RecordBook

    record = RecordBook(ends.made.platform.home).load(ends.made.platform.device_id)
    identity = ends.server.members.registry.identity
    assert ppid(record.root_provisioning_key, identity)[0] == ends.pve.selector()
    name = ppid(record.root_provisioning_key, ends.server.members.pce)
    assert name != ppid(record.root_provisioning_key, identity)
    assert ends.server.members.device(name).device_id == record.device_id


# Devices


def test_unknown_and_revoked_devices(fresh: Ends):
    server, agent = fresh.server, fresh.agent()
    device = fresh.server.members.registry
    row = next(iter(fresh.server.members.held_by(b"")), None)
    assert row is None
    with unknown_chip(fresh.made.platform.home, "stranger") as stranger:
        stranger.services.registry.create_group(agent.platform_info().psvn)
        with refused(Reason.DEVICE_UNKNOWN):
            stranger.provision()
    name = ppid_of_pce(fresh)
    own = server.members.device(name).ppid

    def revoke(message: bytes) -> bytes:
        device.revoke_device(own)
        return message

    with refused(Reason.DEVICE_REVOKED):  # between ProvMsg1 and ProvMsg3
        fresh.agent(fresh.wire(change_request={1: revoke})).provision()
    wire = fresh.wire()
    with refused(Reason.DEVICE_REVOKED):
        fresh.agent(wire).provision()
    assert len(wire.requests) == 1


def test_another_chip_cannot_speak_for_this_one(fresh: Ends, keyed_home, tmp_path):
    """A genuine chip, known to the server, that sends this chip's encrypted PPID: its PCE signs with another key."""
    other = make_ready(copy_home(keyed_home, tmp_path / "other"), "default")
    other.platform.remove(other.platform.quoting_enclave.enclave)
    try:
        for theirs in open_ends(other):
            stranger = theirs.agent(fresh.wire())
            stranger = dataclasses.replace(stranger, pce=Borrowed(theirs.pce, fresh))
            with refused(Reason.PROVISION_TCB):
                stranger.provision()
    finally:
        other.platform.close()


class Borrowed:
    """A PCE that signs for itself and names another chip."""

    def __init__(self, own, victim: Ends):
        self._own, self._victim = own, victim

    def __getattr__(self, name):
        return getattr(self._own, name)

    def encrypted_ppid(self, report: bytes, pek: bytes) -> bytes:
        vouched = self._victim.pve.vouch_for(self._victim.agent().endpoint.pek, self._victim.pce.target_info)
        return self._victim.pce.encrypted_ppid(vouched.to_bytes(), pek)


# TCB


def test_a_platform_that_claims_a_newer_tcb(fresh: Ends):
    own = fresh.own_level()
    newer = raised(own)
    fresh.server.members.registry.create_group(newer.psvn, newer.pce_svn)

    with refused(Reason.KEY_CPUSVN):  # the honest enclaves ask the chip, which has no such keys
        fresh.agent(kind=claiming(newer)).provision()
    with refused(Reason.PROVISION_TCB):  # what they can sign is not what the server asks for
        fresh.agent(kind=lying_about(newer)).provision()


@pytest.mark.parametrize("field", ["pve_svn", "pce_svn"])
def test_a_platform_that_claims_newer_enclaves(fresh: Ends, field):
    newer = fresh.own_level().replace(**{field: 2})
    fresh.server.members.registry.create_group(newer.psvn, newer.pce_svn)
    with refused(Reason.PROVISION_TCB):
        fresh.agent(kind=lying_about(newer)).provision()


def test_a_tcb_too_old_for_every_group(fresh: Ends):
    own = fresh.own_level()
    with refused(Reason.PROVISION_TCB_OLD):
        fresh.agent(kind=lying_about(own.replace(cpusvn=bytes(16)))).provision()
    level = fresh.server.members.level_for(own)
    fresh.server.members.registry.update_tcb(level.gid, joins=False)
    with refused(Reason.PROVISION_TCB_OLD):
        fresh.agent().provision()


def test_the_newest_group_that_a_platform_covers(fresh: Ends):
    members, own = fresh.server.members, fresh.own_level()
    registry = members.registry
    older = own.replace(cpusvn=bytes(16))
    old_gid = registry.create_group(older.psvn, older.pce_svn)
    registry.create_group(raised(own).psvn, own.pce_svn)
    assert members.level_for(own).equivalent == own and members.level_for(older).gid == old_gid
    content = secret_of(fresh, fresh.agent(kind=claiming(older)).provision())
    # Who claims less gets less, and can have it: older keys are further down the ratchet.
    assert content.group.gid == old_gid and content.psvn == older.psvn
    registry.revoke_group(members.level_for(own).gid, 1)
    assert members.level_for(own).gid == old_gid
    mixed = own.replace(cpusvn=bytes([9]) + bytes(15), pce_svn=0)
    assert members.level_for(mixed) is None


# The platform around it


def test_a_quote_without_provisioning_provisions_first(home):
    from fusequote.chain import Platform

    with Platform.manufacture(home=home) as platform:
        application = platform.launch()
        assert not platform.is_provisioned()
        quote = platform.quote(application, DATA, spid=SPID).quote
        assert platform.is_provisioned() and len(quote) == 1116
        platform.blob_path.write_bytes(flip(platform.blob_path.read_bytes(), 8 * 1000))
        assert not platform.is_provisioned()
        with pytest.raises(Refused) as caught:
            platform.quote_report(platform.report(application, DATA), spid=SPID)
        assert caught.value.reason == Reason.BLOB
        assert len(platform.quote(application, DATA, spid=SPID).quote) == 1116


def test_nothing_secret_in_a_representation(ends: Ends):
    agent = ends.agent()
    content = secret_of(ends, agent.provision())
    assert "secret" not in repr(SignedPek()) and content.key.f.to_bytes(32, "big").hex() not in repr(content)
    assert isinstance(ends.pve, ProvisioningEnclave) and "key" not in repr(Escrow()).lower()
    assert repr(BlockCipherText(iv=bytes(12), ciphertext=b"1"))
