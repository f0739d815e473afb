"""The provisioning server's own answers: which status for what, once among all, and nothing kept for ever."""

from __future__ import annotations

import datetime
import random
import threading

import pytest
from chain_world import make_ready
from cryptography.hazmat.primitives.asymmetric import ec
from fusequote.arch import AttributeFlags, Psvn
from fusequote.arch.provision import (
    BlockCipherText,
    CertifiedReport,
    CipherText,
    Escrow,
    JoinProof,
    PlatformInfo,
    ProvisioningFlags,
)
from fusequote.arch.provmsg import (
    EsMsg1,
    GeneralStatus,
    JoinProofText,
    MessageType,
    Protocol,
    ProtocolStatus,
    ProvMsg1,
    ProvMsg1Content,
    ProvMsg1Key,
    ProvMsg2,
    ProvMsg2Content,
    ProvMsg3,
    ProvMsg3Content,
    ProvMsg4,
    Pwk2Text,
    RequestHeader,
    ResponseHeader,
    split_message,
)
from fusequote.arch.report import ReportBody
from fusequote.epid import Member
from fusequote.errors import FormatError
from fusequote.maker import RecordBook
from fusequote.platform.epidfiles import ecdsa_sign, read_group_certificate
from fusequote.platform.protocol import (
    OAEP,
    certification_key,
    cmac,
    join_data,
    message_key,
    open_content,
    pek_of,
    report_binding,
    seal_box,
    seal_message,
    wrap_key,
)
from fusequote.services.derivation import MASKED_ATTRIBUTES, TcbKeys, ppid, tcb_keys
from fusequote.services.provisioning.sessions import LIFETIME, Session, Sessions
from fusequote.services.provisioning_tables import Membership, ProvisioningSession
from fusequote.services.services import Services
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

SK, XID = b"k" * 16, b"transact"


@pytest.fixture
def made(home):
    ready = make_ready(home)
    yield ready
    ready.platform.close()


class Forge:
    """Speaks for a device whose root key it knows, and can say anything: what the strongest attacker on the wire,
    on the platform and in the fuses could send.
    """

    def __init__(self, made):
        services = made.services
        self.server, self.services = services.provisioning, services
        self.parts = self.server._parts
        self.record = RecordBook(made.platform.home).load(made.platform.device_id)
        self.pek = services.provisioning_keys.signed_pek
        self.level = PlatformInfo(cpusvn=self.record.cpusvn, pve_svn=1, pce_svn=1)
        self.ppid = ppid(self.record.root_provisioning_key, self.server.members.pce)
        self.forget()

    def forget(self) -> None:
        with self.services.store.session() as session:
            session.execute(delete(Membership))

    def keys(self, level: PlatformInfo) -> TcbKeys:
        return tcb_keys(self.record.root_provisioning_key, self.parts.pve, self.parts.pce, level)

    def to_pek(self, text: bytes) -> CipherText:
        return CipherText(ciphertext=pek_of(self.pek.key_bytes).encrypt(text, OAEP))

    def header(self, kind: MessageType) -> RequestHeader:
        return RequestHeader(protocol=Protocol.EPID_PROVISIONING, xid=XID, type=kind)

    def msg1(self, *, psid=None, key=None, content: bytes | None = None, **changes) -> bytes:
        fields = {"ppid": self.to_pek(self.ppid), "platform_info": self.level} | changes
        text = ProvMsg1Content(**fields).to_bytes() if content is None else content
        key = key or self.to_pek(ProvMsg1Key(sk=SK, psid=psid or self.pek.psid).to_bytes())
        return seal_message(self.header(MessageType.PROV_MSG1), ProvMsg1, message_key(SK, XID), text, key=key)

    def ask(self, message: bytes) -> tuple[int, int, bytes | None]:
        """gstatus, pstatus and clear content of an answer, whose MAC must be good if it has one."""
        header, body = split_message(self.server.handle(message), ResponseHeader)
        assert (header.xid, header.version) == (XID, 2)
        if not body:
            return header.gstatus, header.pstatus, None
        kind = ProvMsg2 if header.type == MessageType.PROV_MSG2 else ProvMsg4
        answer = kind.from_bytes(body)
        tail = answer.nonce if kind is ProvMsg4 else b""
        text = open_content(header, answer, message_key(SK, XID, answer.nonce), tail=tail)
        assert text is not None
        self.nonce = answer.nonce
        return header.gstatus, header.pstatus, text

    def challenged(self) -> ProvMsg2Content:
        self.forget()
        gstatus, pstatus, text = self.ask(self.msg1())
        assert (gstatus, pstatus) == (0, 0)
        return ProvMsg2Content.from_bytes(text)

    def msg3(self, asked: ProvMsg2Content, *, content: bytes | None = None, tamper=lambda _: None, **more) -> bytes:
        """A ProvMsg3 that is good but for what ``tamper`` does to its makings."""
        keys, n2 = self.keys(asked.equivalent), bytes(range(16))
        group = read_group_certificate(asked.group, self.services.constants.isk)
        makings = {
            "pwk2": wrap_key(keys.pve, n2),
            "signer": certification_key(keys.pce),
            "join": Member.join_request(group, asked.challenge)[0].to_bytes(),
            "body": ReportBody(
                cpusvn=self.level.cpusvn, attributes=MASKED_ATTRIBUTES, isvprodid=1, isvsvn=1,
                mrsigner=self.parts.pve.mrsigner,
            ),
            "bind": True,
            "proof": None,
            "sent": None,
        }  # fmt: skip
        tamper(makings)
        proof = makings["proof"]
        if proof is None:
            proof = JoinProofText(proof=JoinProof(join_request=makings["join"], escrow=Escrow())).to_bytes()
        box, tag = seal_box(makings["pwk2"], proof, join_data(group.gid, asked.equivalent, asked.challenge))
        sent = self.to_pek(Pwk2Text(key=makings["sent"] or makings["pwk2"]).to_bytes())
        body = makings["body"]
        if makings["bind"]:
            body = body.replace(reportdata=report_binding(tag, box.ciphertext, n2, sent.ciphertext))
        report = CertifiedReport(body=body, signature=ecdsa_sign(makings["signer"], body.to_bytes()))
        text = ProvMsg3Content(join=box, join_mac=tag, n2=n2, pwk2=sent, report=report).to_bytes()
        key = message_key(SK, XID, self.nonce)
        header = self.header(MessageType.PROV_MSG3)
        return seal_message(header, ProvMsg3, key, content or text, nonce=self.nonce, **more)


@pytest.fixture
def forge(made) -> Forge:
    return Forge(made)


def test_the_forger_can_be_good(forge: Forge):
    """Without this, the refusals below could come from anything."""
    gstatus, pstatus, text = forge.ask(forge.msg3(forge.challenged()))
    assert (gstatus, pstatus) == (GeneralStatus.OK, ProtocolStatus.OK) and text


# ProvMsg1


def declines_msg1(forge: Forge, status: ProtocolStatus, **changes) -> None:
    gstatus, pstatus, text = forge.ask(forge.msg1(**changes))
    assert (gstatus, pstatus, text) == (GeneralStatus.PROTOCOL_ERROR, status, b"")


def test_statuses_of_prov_msg1(forge: Forge):
    declines_msg1(forge, ProtocolStatus.INVALID_REQUEST, psid=bytes(32))
    declines_msg1(forge, ProtocolStatus.INVALID_REQUEST, content=b"")
    declines_msg1(forge, ProtocolStatus.INVALID_REQUEST, content=EsMsg1(selector=bytes(2)).to_bytes())
    declines_msg1(forge, ProtocolStatus.INVALID_REQUEST, ppid=CipherText(ciphertext=bytes(384)))
    declines_msg1(forge, ProtocolStatus.INVALID_REQUEST, ppid=forge.to_pek(forge.ppid).replace(key_id=0))
    declines_msg1(forge, ProtocolStatus.INVALID_REQUEST, platform_info=forge.level.replace(pce_id=1))
    reserved = ProvisioningFlags.from_bytes(b"\1" + bytes(15))
    declines_msg1(forge, ProtocolStatus.INVALID_REQUEST, flags=reserved)
    declines_msg1(forge, ProtocolStatus.ATTESTATION_KEY_NOT_FOUND, ppid=forge.to_pek(bytes(16)))
    declines_msg1(forge, ProtocolStatus.ATTESTATION_KEY_NOT_FOUND, ppid=forge.to_pek(b""))
    declines_msg1(forge, ProtocolStatus.TCB_OUT_OF_DATE, platform_info=PlatformInfo())
    declines_msg1(forge, ProtocolStatus.PERFORMANCE_REKEY_NOT_SUPPORTED, flags=ProvisioningFlags(flags=1))
    device = forge.server.members.device(forge.ppid)
    forge.services.registry.revoke_device(device.ppid)
    declines_msg1(forge, ProtocolStatus.PLATFORM_REVOKED)


def test_what_is_no_message_of_a_known_key(forge: Forge):
    good = forge.msg1()
    integrity = {
        "another key": forge.msg1(key=forge.to_pek(ProvMsg1Key(sk=bytes(16), psid=forge.pek.psid).to_bytes())),
        "no key": forge.msg1(key=CipherText(ciphertext=bytes(384))),
        "a key of 15 bytes": forge.msg1(key=forge.to_pek(b"\2\1\0\x0f" + bytes(15))),
        "another transaction": good[:2] + b"another." + good[10:],
        "a bit": good[:-1] + bytes([good[-1] ^ 1]),
    }
    for name, message in integrity.items():
        header = ResponseHeader.from_bytes(forge.server.handle(message))  # a header and nothing else
        assert header.gstatus == GeneralStatus.INTEGRITY_CHECK_FAIL, name
    syntax = [good[:-1], good + b"\0", good[:15], good[:14] + bytes([good[14] ^ 1]) + good[15:]]
    for message in syntax:
        assert ResponseHeader.from_bytes(forge.server.handle(message)).gstatus == GeneralStatus.INCORRECT_SYNTAX
    for data in (b"", good[:14]):
        with pytest.raises(FormatError):
            forge.server.handle(data)


# ProvMsg3


FLAGS = MASKED_ATTRIBUTES.flags
REPORTS = {
    "another signer": {"mrsigner": bytes(32)},
    "another product": {"isvprodid": 2},
    "an older enclave": {"isvsvn": 0},
    "an older chip": {"cpusvn": bytes(16)},
    "debug": {"attributes": MASKED_ATTRIBUTES.replace(flags=FLAGS | AttributeFlags.DEBUG)},
    "no provisionkey": {"attributes": MASKED_ATTRIBUTES.replace(flags=AttributeFlags.INIT)},
    "not initialised": {"attributes": MASKED_ATTRIBUTES.replace(flags=AttributeFlags.PROVISIONKEY)},
}


def declines_msg3(forge: Forge, status: ProtocolStatus, tamper=lambda makings: None, **more) -> None:
    asked = forge.challenged()
    gstatus, pstatus, text = forge.ask(forge.msg3(asked, tamper=tamper, **more))
    assert (gstatus, pstatus, text) == (GeneralStatus.PROTOCOL_ERROR, status, b"")


@pytest.mark.parametrize("what", REPORTS)
def test_reports_of_another_enclave(forge: Forge, what):
    """All signed with the right key: what the PCE signs for is looked at, too."""
    change = REPORTS[what]
    tamper = lambda makings: makings.update(body=makings["body"].replace(**change))  # noqa: E731
    declines_msg3(forge, ProtocolStatus.INVALID_REPORT, tamper)


def test_statuses_of_prov_msg3(forge: Forge):
    lower = forge.keys(forge.level.replace(cpusvn=bytes(16)))
    lower_pce = forge.keys(forge.level.replace(pce_svn=0))
    derived = (certification_key(lower.pce), certification_key(lower_pce.pce))
    for key in (ec.generate_private_key(ec.SECP256R1()), *derived):
        declines_msg3(forge, ProtocolStatus.INVALID_REPORT, lambda makings, key=key: makings.update(signer=key))
    declines_msg3(forge, ProtocolStatus.INVALID_REPORT, lambda makings: makings.update(bind=False))
    integrity = ProtocolStatus.STATUS_INTEGRITY_FAILED
    declines_msg3(forge, integrity, lambda makings: makings.update(pwk2=wrap_key(lower.pve, bytes(range(16)))))
    declines_msg3(forge, integrity, lambda makings: makings.update(sent=bytes(16)))
    declines_msg3(forge, ProtocolStatus.INVALID_REQUEST, lambda makings: makings.update(proof=b""))
    declines_msg3(forge, ProtocolStatus.INVALID_REQUEST, lambda makings: makings.update(join=bytes(128)))
    declines_msg3(forge, ProtocolStatus.INVALID_REQUEST, content=b"\3\1\0\0")
    extra = {"signature": BlockCipherText(ciphertext=bytes(366)), "signature_mac": bytes(16)}
    declines_msg3(forge, ProtocolStatus.INVALID_REQUEST, **extra)

    def no_proof(makings) -> None:
        makings["join"] = makings["join"][:-1] + bytes([makings["join"][-1] ^ 1])

    declines_msg3(forge, ProtocolStatus.PROVISIONING_ERROR, no_proof)


def test_a_proof_for_another_challenge(forge: Forge):
    first = forge.challenged()
    second = forge.challenged()
    message = forge.msg3(second.replace(challenge=first.challenge))
    assert forge.ask(message)[:2] == (GeneralStatus.PROTOCOL_ERROR, ProtocolStatus.STATUS_INTEGRITY_FAILED)


def test_a_session_is_used_up_by_its_owner_only(forge: Forge):
    asked = forge.challenged()
    good = forge.msg3(asked)
    # Who saw the nonce on the wire, but has no SK, cannot end the session.
    broken = good[:-1] + bytes([good[-1] ^ 1])
    assert ResponseHeader.from_bytes(forge.server.handle(broken)).gstatus == GeneralStatus.INTEGRITY_CHECK_FAIL
    assert forge.ask(good)[:2] == (0, 0)
    assert ResponseHeader.from_bytes(forge.server.handle(good)).gstatus == GeneralStatus.TRANSACTION_STATE_LOST


def test_what_happens_meanwhile(forge: Forge):
    asked = forge.challenged()
    forge.services.registry.revoke_group(asked.group.gid, 1)
    header = ResponseHeader.from_bytes(forge.server.handle(forge.msg3(asked)))
    assert header.gstatus == GeneralStatus.TRANSACTION_STATE_LOST
    assert not forge.server.members.held_by(forge.server.members.device(forge.ppid).ppid)


def test_one_key_for_one_device_in_one_group(forge: Forge, made):
    """Many sessions at once, from several openings of the store: one credential, and all are told that one."""
    messages = []
    for _ in range(4):
        messages.append(forge.msg3(forge.challenged()))
    answers, threads = [], []

    def send(message: bytes) -> None:
        with Services(made.platform.home) as services:
            answers.append(split_message(services.provisioning.handle(message), ResponseHeader)[0])

    for message in [*messages, *messages]:
        threads.append(threading.Thread(target=send, args=(message,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    statuses = sorted(answer.gstatus for answer in answers)
    assert statuses == [0] * 4 + [GeneralStatus.TRANSACTION_STATE_LOST] * 4  # each session once
    assert len(forge.server.members.held_by(forge.server.members.device(forge.ppid).ppid)) == 1


# Sessions


def test_sessions_expire_and_are_cleared_away(forge: Forge):
    store = forge.services.store
    now = [datetime.datetime(2030, 1, 1)]
    store.clock = lambda: now[0]
    sessions, state = Sessions(store), Session(sk=SK)
    sessions.begin(b"first...........", state)
    assert sessions.find(b"first...........") == state and sessions.find(bytes(16)) is None
    now[0] += LIFETIME + datetime.timedelta(seconds=1)
    assert sessions.find(b"first...........") is None
    sessions.begin(b"second..........", state)
    with store.reading() as session:
        assert [row.id for row in session.query(ProvisioningSession)] == [b"second.........."]
    now[0] -= datetime.timedelta(days=1)  # a clock that was set back makes no session live longer
    assert sessions.find(b"second..........") is None
    assert sessions.use_up(b"second..........") and not sessions.use_up(b"second..........")


def test_a_session_is_sealed_in_the_store(forge: Forge, made):
    forge.challenged()
    database = b"".join(path.read_bytes() for path in made.platform.home.root.glob("services.db*"))
    assert XID + forge.nonce in database and SK not in database
    assert SK.hex() not in repr(Session(sk=SK))


# Derivation


def test_the_pces_key_as_the_notes_say_it(forge: Forge):
    """Three CMAC blocks, the first forty bytes, modulo n - 1, plus 1: computed here once more, by hand."""
    key = forge.keys(forge.level).pce
    blocks = b"".join(cmac(key, bytes([i]) + b"PAK_KEY_DER" + bytes.fromhex("00000140")) for i in (1, 2, 3))
    order = 115792089210356248762697446949407573529996955224135760342422259061068512044369
    expected = int.from_bytes(blocks[:40], "big") % (order - 1) + 1
    assert certification_key(key).private_numbers().private_value == expected
    others = [forge.keys(forge.level.replace(**{name: 0})).pce for name in ("pce_svn",)]
    assert key not in others and forge.keys(forge.level).pve != key
    assert forge.keys(forge.level.replace(pve_svn=0)).pce == key  # the PCE's key is of the PCE's SVN
    assert Psvn(cpusvn=forge.level.cpusvn, isvsvn=1) == forge.level.pce_psvn


# Anything at all


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=15, max_size=200), fit=st.booleans())
def test_any_bytes_have_an_answer(ready, data, fit):
    server = ready.services.provisioning
    if fit:  # a header that could be one, so that the body is looked at
        body = data[15:]
        head = RequestHeader(protocol=data[0] & 2, xid=data[2:10], type=data[1] & 2, size=len(body))
        data = head.to_bytes() + body
    header, body = split_message(server.handle(data), ResponseHeader)
    assert header.xid == data[2:10] and header.gstatus in GeneralStatus.__members__.values()
    assert header.gstatus != GeneralStatus.OK or header.protocol == Protocol.ENDPOINT_SELECTION


def test_any_bit_of_a_message_within_its_seal(forge: Forge, rng: random.Random):
    """One bit of the clear content of ProvMsg1 and ProvMsg3, sealed anew: refused, or without consequence."""
    clear = ProvMsg1Content(ppid=forge.to_pek(forge.ppid), platform_info=forge.level).to_bytes()
    for bit in [rng.randrange(8 * len(clear)) for _ in range(25)]:
        changed = bytearray(clear)
        changed[bit // 8] ^= 1 << bit % 8
        gstatus, pstatus, _ = forge.ask(forge.msg1(content=bytes(changed)))
        # A claim of more can be asked for, and then not be proven; FMSP means nothing here.
        claims = len(clear) - 26 <= bit // 8
        assert (gstatus, pstatus) != (0, 0) or claims, bit
