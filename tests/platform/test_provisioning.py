"""Who is admitted to an EPID group, and every way of not being admitted; each party honest or not."""

from __future__ import annotations

import dataclasses
import secrets

import pytest
from chain_world import DATA, SPID, Ready, copy_home, flip, make_ready, refused, some_bits, unknown_chip
from fusequote.arch import KeyName, KeyRequest, Psvn, QuoteV2
from fusequote.arch.provision import BlockCipherText, Escrow, ExtendedGroupBlob, IssuedCredential, SignedPek
from fusequote.arch.provmsg import GeneralStatus, IssuedText, MessageType, ResponseHeader
from fusequote.epid import Signature
from fusequote.errors import Refused, UsageError
from fusequote.platform.constants import Constants, point_to_bytes
from fusequote.platform.endpoint import ServerTrouble
from fusequote.platform.epidblob import BLOB_SIZE, open_blob, public_text
from fusequote.platform.epidfiles import ecdsa_sign, sign_sigrl
from fusequote.platform.pce import PCE_ISVSVN
from fusequote.platform.protocol import credential_data, ppid_of, provision_request, seal_box, wrap_key
from fusequote.platform.provisioning import PROVISION_ATTRIBUTES, Challenge, Issued, ProvisioningEnclave
from fusequote.services.derivation import ppid
from fusequote.services.provisioning.keys import sign_pek
from fusequote.services.provisioning_tables import Membership
from fusequote.verdict import Reason
from provisioning_world import Ends, claiming, lying_about, open_ends, raised


@pytest.fixture
def made(home):
    """A platform of its own: these tests change the store."""
    ready = make_ready(home)
    yield ready
    ready.platform.close()


@pytest.fixture
def ends(made):
    made.platform.remove(made.platform.quoting_enclave.enclave)
    del made.platform.quoting_enclave
    yield from open_ends(made)


@pytest.fixture
def fresh(ends: Ends) -> Ends:
    """A chip that the server has given no key yet."""
    ends.forget()
    return ends


def secret_of(ends: Ends, blob: bytes):
    return open_blob(ends.pve.enclave, blob)[0]


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


def ppid_of_pce(ends: Ends) -> bytes:
    with ends.pce.enclave.entered() as inside:
        return ppid_of(inside.key(provision_request(Psvn())))


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


# Messages altered, cut, replayed, reordered, of another session


def outcome(ends: Ends, **changes) -> str | None:
    """How the alteration was noticed: the error's name, or that the server had the platform begin anew; None if not."""
    ends.forget()
    wire = ends.wire(**changes)
    try:
        ends.agent(wire).provision()
    except (Refused, ServerTrouble, UsageError) as error:
        return type(error).__name__
    statuses = [ResponseHeader.unpack_from(answer).gstatus for answer in wire.answers]
    return "anew" if GeneralStatus.TRANSACTION_STATE_LOST in statuses[:-1] else None


def test_any_bit_of_any_message(fresh: Ends, rng):
    wire = fresh.wire()
    fresh.agent(wire).provision()
    assert outcome(fresh) is None
    for side, messages in (("change_request", wire.requests), ("change_answer", wire.answers)):
        for number, message in enumerate(messages):
            head = 15 if side == "change_request" else 19
            for start, end, count in ((0, head, 6), (head, head + 12, 3), (head, len(message), 8)):
                for bit in some_bits(rng, start, end, count):
                    error = outcome(fresh, **{side: {number: lambda m, bit=bit: flip(m, bit)}})
                    assert error is not None, (side, number, bit)


def test_messages_cut_or_extended(fresh: Ends, rng):
    wire = fresh.wire()
    fresh.agent(wire).provision()
    for side, messages in (("change_request", wire.requests), ("change_answer", wire.answers)):
        for number, message in enumerate(messages):
            lengths = [15, 19, len(message) - 1, rng.randrange(19, len(message))]
            for change in [*(lambda m, n=n: m[:n] for n in lengths), lambda m: m + b"\0", lambda m: m + m]:
                assert outcome(fresh, **{side: {number: change}}) is not None, (side, number)


def test_a_session_is_good_once(fresh: Ends):
    wire = fresh.wire()
    fresh.agent(wire).provision()
    replayed = ResponseHeader.from_bytes(fresh.server.handle(wire.requests[1]))
    assert (replayed.gstatus, replayed.size) == (GeneralStatus.TRANSACTION_STATE_LOST, 0)
    # ProvMsg1 once more is a new session, of use to nobody who has not SK.
    assert fresh.server.handle(wire.requests[0]) != wire.answers[0]


def test_messages_of_another_session(fresh: Ends):
    first = fresh.wire()
    fresh.agent(first).provision()
    for side, messages in (("change_request", first.requests), ("change_answer", first.answers)):
        for number, message in enumerate(messages):
            assert outcome(fresh, **{side: {number: lambda _, message=message: message}}) is not None
    # Out of order: ProvMsg3 in the place of ProvMsg1, ProvMsg4 in the place of ProvMsg2.
    assert outcome(fresh, change_request={0: lambda _: first.requests[1]}) is not None
    assert outcome(fresh, change_answer={0: lambda _: first.answers[1]}) is not None


def test_a_lost_transaction_is_begun_anew(fresh: Ends):
    """The server that restarted, or waited too long, says so; the platform asks again, once."""
    from fusequote.services.provisioning_tables import ProvisioningSession
    from sqlalchemy import delete

    def lose(message: bytes) -> bytes:
        with fresh.made.services.store.session() as session:
            session.execute(delete(ProvisioningSession))
        return message

    wire = fresh.wire(change_request={1: lose})
    assert len(fresh.agent(wire).provision()) == BLOB_SIZE and len(wire.requests) == 4
    fresh.forget()
    with pytest.raises(ServerTrouble, match="transaction"):
        fresh.agent(fresh.wire(change_request=dict.fromkeys((1, 3, 5), lose))).provision()


def test_an_answer_that_never_came(fresh: Ends):
    """ProvMsg4 is lost after the credential was kept: asking again gives that key, and there is one in the store."""

    class Cut(Exception):
        pass

    def cut(message: bytes) -> bytes:
        raise Cut

    with pytest.raises(Cut):
        fresh.agent(fresh.wire(change_answer={1: cut})).provision()
    wire = fresh.wire()
    assert fresh.agent(wire).provision() and len(wire.requests) == 1
    with fresh.made.services.store.reading() as session:
        assert len(session.query(Membership).all()) == 1


# A server that is not the one, or not honest


def test_a_pek_of_nobodys(fresh: Ends):
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    agent = fresh.agent()
    forged = sign_pek(rsa.generate_private_key(65537, 3072).public_key(), ec.generate_private_key(ec.SECP256R1()))
    with refused(Reason.SERVER_KEY):
        fresh.pve.vouch_for(forged, fresh.pce.target_info)
    with refused(Reason.SERVER_KEY):
        dataclasses.replace(agent, endpoint=dataclasses.replace(agent.endpoint, pek=forged)).provision()
    # The PCE knows no server: it encrypts to the key that a provisioning enclave vouches for, and to no other.
    vouched = fresh.pve.vouch_for(agent.endpoint.pek, fresh.pce.target_info).to_bytes()
    with refused(Reason.PROVISION_MALFORMED):
        fresh.pce.encrypted_ppid(vouched, forged.key_bytes)
    with refused(Reason.PROVISION_MALFORMED):
        fresh.pce.encrypted_ppid(vouched, agent.endpoint.pek.key_bytes, crypto_suite=0)


def issued(ends: Ends, change=lambda credential: credential, key: bytes | None = None) -> Issued:
    """What the server gave this chip, changed and sealed anew, as the server's owner could."""
    members = ends.server.members
    device = members.device(ppid_of_pce(ends))
    held = members.held_by(device.ppid)[0]
    with ends.pve.enclave.entered() as inside:
        own = inside.key(provision_request(held.equivalent.psvn))
    n2 = secrets.token_bytes(16)
    text = IssuedText(credential=change(held.credential)).to_bytes()
    box, mac = seal_box(wrap_key(key or own, n2), text, credential_data(held.gid, held.equivalent))
    return Issued(ends.server._parts.group_certificate(held.gid), held.equivalent, n2, box, mac)


def test_what_the_enclave_takes_from_a_server(ends: Ends):
    assert len(ends.pve.accept(issued(ends))) == BLOB_SIZE
    with refused(Reason.SERVER_KEY):  # without the chip's PROVISION key
        ends.pve.accept(issued(ends, key=bytes(16)))

    def bad_point(credential: IssuedCredential) -> IssuedCredential:
        return credential.replace(x=(7).to_bytes(32, "big"))

    with refused(Reason.CREDENTIAL):
        ends.pve.accept(issued(ends, bad_point))
    with refused(Reason.CREDENTIAL):
        ends.pve.accept(issued(ends, lambda c: c.replace(A=bytes(64))))
    for change in ({"version": 1}, {"iv": bytes(12)}, {"ciphertext": bytes(32)}, {"tag": bytes(16)}):
        with refused(Reason.ESCROW):
            ends.pve.accept(issued(ends, lambda c, change=change: c.replace(escrow=c.escrow.replace(**change))))
    good = issued(ends)
    with refused(Reason.SERVER_KEY):  # bound to the TCB
        ends.pve.accept(dataclasses.replace(good, equivalent=good.equivalent.replace(cpusvn=bytes(16))))
    with refused(Reason.KEY_CPUSVN):
        ends.pve.accept(dataclasses.replace(good, equivalent=raised(good.equivalent)))
    with refused(Reason.GROUP_CERTIFICATE):
        ends.pve.accept(dataclasses.replace(good, group=good.group.replace(signature=bytes(64))))


def challenge(ends: Ends, **more) -> Challenge:
    members = ends.server.members
    level = members.level_for(ends.own_level())
    certificate = ends.server._parts.group_certificate(level.gid)
    return Challenge(**{"group": certificate, "challenge": bytes(32), "equivalent": level.equivalent} | more)


def test_what_the_enclave_answers_to(ends: Ends):
    pek, pce = ends.agent().endpoint.pek, ends.pce.target_info
    old = ends.made.platform.blob_path.read_bytes()
    content = secret_of(ends, old)
    previous = (ends.own_level(), content.group.gid)
    proof = ends.pve.answer(challenge(ends, previous=previous, old_blob=old), pek, pce)
    assert proof.signature is not None
    assert ends.pve.answer(challenge(ends), pek, pce).signature is None
    assert ends.pve.answer(challenge(ends, rekey=True), pek, pce).join.ciphertext == b""
    application = ends.made.application.enclave.target_info
    for target in (application, pce.replace(attributes=pce.attributes.replace(flags=pce.attributes.flags | 2))):
        with refused(Reason.PROVISION_MALFORMED):  # no PCE, or one in DEBUG
            ends.pve.answer(challenge(ends), pek, target)
        with refused(Reason.PROVISION_MALFORMED):
            ends.pve.vouch_for(pek, target)
    with refused(Reason.GROUP_CERTIFICATE):
        ends.pve.answer(challenge(ends, group=challenge(ends).group.replace(h1=bytes(64))), pek, pce)
    with refused(Reason.KEY_CPUSVN):
        ends.pve.answer(challenge(ends, equivalent=raised(ends.own_level())), pek, pce)
    with refused(Reason.KEY_ISVSVN):
        ends.pve.answer(challenge(ends, equivalent=ends.own_level().replace(pve_svn=2)), pek, pce)


def test_the_key_to_prove_with(ends: Ends):
    pek, pce = ends.agent().endpoint.pek, ends.pce.target_info
    old = ends.made.platform.blob_path.read_bytes()
    content, own = secret_of(ends, old), ends.own_level()
    good = {"previous": (own, content.group.gid), "old_blob": old}
    for change in (
        {"old_blob": None},
        {"old_blob": flip(old, 8 * 1000)},
        {"old_blob": old[:-1]},
        {"previous": (own, b"\0\0\0\1")},
        {"previous": (own.replace(cpusvn=bytes(16)), content.group.gid)},
    ):
        with refused(Reason.BLOB):
            ends.pve.answer(challenge(ends, **good | change), pek, pce)
    isk = ends.made.services.keys.epid_signing
    empty = ends.made.services.registry.sigrl(content.group.gid)
    with refused(Reason.PROVISION_MALFORMED):
        ends.pve.answer(challenge(ends, sigrl=bytes(208)), pek, pce)  # a list, and nothing to prove
    member = make_signature(content)
    listed = empty.adding((member.basic.B, member.basic.K))
    signed = sign_sigrl(listed, isk)
    with refused(Reason.SELF_REVOKED):
        ends.pve.answer(challenge(ends, **good, sigrl=signed), pek, pce)
    with refused(Reason.SIGRL_SIGNATURE):  # a forged list does not learn whose keys it met
        ends.pve.answer(challenge(ends, **good, sigrl=flip(signed, 8 * len(signed) - 1)), pek, pce)
    with refused(Reason.SIGRL_GROUP):
        ends.pve.answer(challenge(ends, **good, sigrl=flip(signed, 8 * 4)), pek, pce)
    for broken in (signed[:-1], signed + b"\0", b"", flip(signed, 0)):
        with refused(Reason.SIGRL_FORMAT):
            ends.pve.answer(challenge(ends, **good, sigrl=broken), pek, pce)


def make_signature(content) -> Signature:
    from fusequote.epid import Member

    return Member(content.group, content.key, precomp=content.precomp).sign(b"anything")


# Another operator's keys


def test_an_extended_group(ends: Ends):
    """Keys of another operator, vouched for by the one that the enclave was built for."""
    services = ends.made.services
    constants = services.constants
    blob = ExtendedGroupBlob(
        xeid=7,
        isk=point_to_bytes(constants.isk),
        peksk=point_to_bytes(constants.peksk),
        qsdk_exponent=constants.qsdk_bytes()[:4],
        qsdk_modulus=constants.qsdk_bytes()[4:],
    )
    blob = blob.replace(signature=ecdsa_sign(services.provisioning_keys.xegd_signing, blob.signed_message()))
    pek = ends.agent().endpoint.pek
    extended = dataclasses.replace(ends.pve, extended=blob)
    assert extended.vouch_for(pek, ends.pce.target_info).body.reportdata[:32] != bytes(32)
    assert secret_of(ends, extended.accept(issued(ends))).xeid == 7
    for broken in (
        blob.replace(xeid=8),
        blob.replace(format_id=2),
        blob.replace(data_length=388),
        blob.replace(signature=bytes(64)),
    ):
        with refused(Reason.SERVER_KEY):
            dataclasses.replace(ends.pve, extended=broken).vouch_for(pek, ends.pce.target_info)


def test_service_keys_as_bytes(ready: Ready):
    constants = ready.services.constants
    data = constants.to_bytes()
    assert len(data) == Constants.SIZE == 516 and Constants.from_bytes(data).to_bytes() == data
    from fusequote.errors import FormatError

    for broken in (data[:-1], data + b"\0", flip(data, 3), b"\xff" * 516):
        with pytest.raises(FormatError):
            Constants.from_bytes(broken)


# The PCE


def test_whom_the_pce_works_for(ends: Ends):
    pek = ends.agent().endpoint.pek
    target = ends.pce.target_info
    level = Psvn(cpusvn=ends.own_level().cpusvn, isvsvn=1)
    application = ends.made.application.report(target, b"please").to_bytes()
    for call in (
        lambda report: ends.pce.certify(report, level),
        lambda report: ends.pce.encrypted_ppid(report, pek.key_bytes),
    ):
        with refused(Reason.KEY_ATTRIBUTE):
            call(application)
        vouched = ends.pve.vouch_for(pek, target).to_bytes()
        assert call(vouched)
        with refused(Reason.REPORT_MAC):
            call(flip(vouched, 8 * 330))
        with refused(Reason.REPORT_MAC):  # to another target
            call(ends.pve.vouch_for(pek, target.replace(mrenclave=bytes(32))).to_bytes())
        with refused(Reason.REPORT_FORMAT):
            call(vouched[:-1])
    vouched = ends.pve.vouch_for(pek, target).to_bytes()
    with refused(Reason.KEY_CPUSVN):
        ends.pce.certify(vouched, level.replace(cpusvn=bytes(b + 1 for b in level.cpusvn)))
    with refused(Reason.KEY_ISVSVN):
        ends.pce.certify(vouched, level.replace(isvsvn=2))


def test_an_enclave_without_provisionkey_gets_no_such_key(made: Ready):
    request = KeyRequest(keyname=KeyName.PROVISION, attributemask=PROVISION_ATTRIBUTES)
    for enclave in (made.platform.quoting_enclave.enclave, made.application.enclave):
        with enclave.entered() as inside, refused(Reason.KEY_ATTRIBUTE):
            inside.key(request)
        with enclave.entered() as inside, refused(Reason.KEY_NAME):
            inside.key(KeyRequest(keyname=5))


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
