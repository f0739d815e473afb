"""Who is admitted to an EPID group, and every way of not being admitted."""

from __future__ import annotations

import dataclasses
import secrets

import pytest
from chain_world import DATA, SPID, Ready, copy_home, flip, make_ready, refused, some_bits
from fusequote.arch import KeyName, KeyRequest, Psvn
from fusequote.epid import Member
from fusequote.errors import Refused
from fusequote.platform.epidblob import BLOB_SIZE, open_blob, public_text
from fusequote.platform.images import provisioning_image
from fusequote.platform.protocol import (
    Challenge,
    Hello,
    Proof,
    associated_data,
    covers,
    seal_box,
    wrap_key,
)
from fusequote.platform.provisioning import PROVISION_ATTRIBUTES, PROVISION_MISC_MASK, ProvisioningEnclave
from fusequote.platform.signers import Signers
from fusequote.services.derivation import ppid
from fusequote.verdict import Reason


@pytest.fixture
def made(home):
    """A platform of its own: these tests change the store."""
    ready = make_ready(home)
    yield ready
    ready.platform.close()


@pytest.fixture
def program(made: Ready) -> ProvisioningEnclave:
    constants = made.services.constants
    image = provisioning_image(constants, Signers(made.platform.home))
    return ProvisioningEnclave(made.platform._launch(image), constants)


@pytest.fixture
def server(made: Ready):
    return made.services.provisioning


def raised(psvn: Psvn) -> Psvn:
    """One security version further, in every component."""
    return Psvn(cpusvn=bytes(b + 1 for b in psvn.cpusvn), isvsvn=psvn.isvsvn)


def dishonest_proof(program: ProvisioningEnclave, challenge: bytes, key: bytes) -> bytes:
    """A proof for the TCB that the server asks for, made with another key."""
    asked = Challenge.from_bytes(challenge)
    gid = asked.group_certificate[4:8]
    honest, _ = program.answer(asked.replace(psvn=program.psvn()).to_bytes())
    group_key = program_group(program, asked)
    request, _ = Member.join_request(group_key, asked.challenge)
    n2 = secrets.token_bytes(16)
    bound = associated_data(gid, asked.psvn, asked.challenge)
    iv, ciphertext, tag = seal_box(wrap_key(key, n2), request.to_bytes() + bytes(64), bound)
    return honest.replace(n2=n2, iv=iv, ciphertext=ciphertext, tag=tag).to_bytes()


def program_group(program: ProvisioningEnclave, asked: Challenge):
    from fusequote.arch import GroupCert
    from fusequote.platform.epidfiles import read_group_certificate

    return read_group_certificate(GroupCert.from_bytes(asked.group_certificate), program._constants.isk)


def own_key(program: ProvisioningEnclave) -> bytes:
    """The best PROVISION key that this chip gives."""
    psvn = program.psvn()
    with program.enclave.entered() as inside:
        return inside.key(
            KeyRequest(
                keyname=KeyName.PROVISION,
                cpusvn=psvn.cpusvn,
                isvsvn=psvn.isvsvn,
                attributemask=PROVISION_ATTRIBUTES,
                miscmask=PROVISION_MISC_MASK,
            )
        )


# The good case


def test_a_genuine_platform_joins(made: Ready, program, server):
    proof, joining = program.answer(server.hello(program.hello().to_bytes()))
    blob = program.finish(server.proof(proof.to_bytes()), joining)
    assert len(blob) == BLOB_SIZE
    content, _ = open_blob(made.platform.quoting_enclave.enclave, blob)
    assert content.psvn == program.psvn()
    assert public_text(blob).group == content.group.to_bytes()
    # A new join, so a new secret: nothing links the two keys.
    before, _ = open_blob(made.platform.quoting_enclave.enclave, made.platform.blob_path.read_bytes())
    assert content.key.f != before.key.f and content.key.x != before.key.x


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


def test_ppid_is_the_same_on_both_sides(made: Ready, program, server):
    from fusequote.maker import RecordBook

    record = RecordBook(made.platform.home).load(made.platform.device_id)
    assert program.ppid() == ppid(record.root_provisioning_key, server.registry.identity)


# Devices


def test_unknown_and_revoked_devices(program, server):
    hello = program.hello()
    with refused(Reason.DEVICE_UNKNOWN):
        server.hello(hello.replace(ppid=flip(hello.ppid, 5)).to_bytes())
    proof, _ = program.answer(server.hello(hello.to_bytes()))
    server.registry.revoke_device(hello.ppid)
    with refused(Reason.DEVICE_REVOKED):
        server.hello(hello.to_bytes())
    with refused(Reason.DEVICE_REVOKED):
        server.proof(proof.to_bytes())  # revoked between challenge and proof


def test_another_chip_cannot_speak_for_this_one(made: Ready, program, server, keyed_home, tmp_path):
    """A genuine chip with the PPID of another: it has PROVISION keys, but not that device's."""
    other = make_ready(copy_home(keyed_home, tmp_path / "other"))
    try:
        image = provisioning_image(made.services.constants, Signers(other.platform.home))
        stranger = ProvisioningEnclave(other.platform._launch(image), made.services.constants)
        proof, _ = stranger.answer(server.hello(program.hello().to_bytes()))
        with refused(Reason.PROVISION_KEY):
            server.proof(proof.to_bytes())
    finally:
        other.platform.close()


# TCB


def test_a_platform_that_claims_a_newer_tcb(program, server):
    newer = raised(program.psvn())
    server.registry.create_group(newer)
    challenge = server.hello(program.hello().replace(psvn=newer).to_bytes())
    assert Challenge.from_bytes(challenge).psvn == newer
    with refused(Reason.KEY_CPUSVN):
        program.answer(challenge)  # the honest program asks the chip, which has no such key
    with refused(Reason.PROVISION_TCB):
        server.proof(dishonest_proof(program, challenge, own_key(program)))


def test_no_key_at_all(program, server):
    challenge = server.hello(program.hello().to_bytes())
    with refused(Reason.PROVISION_KEY):
        server.proof(dishonest_proof(program, challenge, secrets.token_bytes(16)))


def test_a_tcb_too_old_for_every_group(program, server):
    hello = program.hello()
    with refused(Reason.PROVISION_TCB_OLD):
        server.hello(hello.replace(psvn=Psvn()).to_bytes())
    gid, _ = server.registry.group_for(program.psvn())
    server.registry.update_tcb(gid, joins=False)
    with refused(Reason.PROVISION_TCB_OLD):
        server.hello(hello.to_bytes())


def test_the_newest_group_that_a_platform_covers(program, server):
    own = program.psvn()
    old_gid, _ = server.registry.group_for(own)
    older = Psvn(cpusvn=bytes(16), isvsvn=1)
    server.registry.create_group(older)
    server.registry.create_group(raised(own))
    assert server.registry.group_for(own) == (old_gid, own)
    assert server.registry.group_for(older)[1] == older
    assert covers(raised(own), own) and not covers(own, raised(own))
    mixed = Psvn(cpusvn=bytes([9]) + bytes(15), isvsvn=1)
    assert not covers(mixed, own) and not covers(own, mixed)


# Messages altered, replayed, cut


def test_a_session_is_good_once(program, server):
    proof, _ = program.answer(server.hello(program.hello().to_bytes()))
    assert server.proof(proof.to_bytes())
    with refused(Reason.PROVISION_REPLAYED):
        server.proof(proof.to_bytes())
    with refused(Reason.PROVISION_NONCE):
        server.proof(proof.replace(session=bytes(8)).to_bytes())


def test_a_proof_for_another_session(program, server):
    first, second = (server.hello(program.hello().to_bytes()) for _ in range(2))
    proof, _ = program.answer(first)
    moved = proof.replace(session=Challenge.from_bytes(second).session)
    with refused(Reason.PROVISION_KEY):  # the challenge is under the tag
        server.proof(moved.to_bytes())


def test_any_bit_of_the_proof(program, server, rng):
    for start, end in ((8, 24), (24, 36), (36, 228), (228, 244)):
        for bit in some_bits(rng, start, end, 3):
            proof, _ = program.answer(server.hello(program.hello().to_bytes()))
            with refused(Reason.PROVISION_KEY):
                server.proof(flip(proof.to_bytes(), bit))


def test_any_bit_of_the_challenge(program, server, rng):
    # Whoever alters the challenge on its way gets no credential out of it: the platform or the server
    # refuses.
    expected = {
        (0, 8): {Reason.PROVISION_NONCE},
        (8, 336): {Reason.GROUP_CERTIFICATE},
        (336, 368): {Reason.PROVISION_KEY},
        (368, 386): {Reason.PROVISION_KEY, Reason.KEY_CPUSVN, Reason.KEY_ISVSVN},
    }
    for (start, end), reasons in expected.items():
        for bit in some_bits(rng, start, end, 4):
            challenge = server.hello(program.hello().to_bytes())
            with refused(*reasons):
                proof, _ = program.answer(flip(challenge, bit))
                server.proof(proof.to_bytes())


def test_any_bit_of_the_credential(program, server, rng):
    proof, joining = program.answer(server.hello(program.hello().to_bytes()))
    credential = server.proof(proof.to_bytes())
    for bit in some_bits(rng, 0, 204, 12):
        with refused(Reason.SERVER_KEY):
            program.finish(flip(credential, bit), joining)
    assert program.finish(credential, joining)


def test_a_credential_for_another_join(program, server):
    answers = []
    for _ in range(2):
        proof, joining = program.answer(server.hello(program.hello().to_bytes()))
        answers.append((server.proof(proof.to_bytes()), joining))
    with refused(Reason.SERVER_KEY):
        program.finish(answers[0][0], answers[1][1])
    # With the right challenge but another secret, the escrow tells.
    (credential, joining), (_, other) = answers
    with refused(Reason.ESCROW):
        program.finish(credential, dataclasses.replace(joining, pending=other.pending))


def test_a_server_with_the_key_but_a_wrong_credential(program, server):
    """Only the key check is left to notice it: x and A of nobody's."""
    challenge = server.hello(program.hello().to_bytes())
    proof, joining = program.answer(challenge)
    from fusequote.platform.protocol import Credential, open_box

    bound = associated_data(joining.pending.group.gid, joining.psvn, joining.challenge)
    key = wrap_key(joining.provision_key, proof.n2)
    escrow = open_box(key, proof.iv, proof.ciphertext, proof.tag, bound)[128:]
    n2 = secrets.token_bytes(16)
    forged = (7).to_bytes(32, "big") + joining.pending.group.h1 + escrow
    iv, ciphertext, tag = seal_box(wrap_key(joining.provision_key, n2), forged, bound)
    with refused(Reason.CREDENTIAL):
        program.finish(Credential(n2=n2, iv=iv, ciphertext=ciphertext, tag=tag).to_bytes(), joining)


@pytest.mark.parametrize("length", [0, 1, 33, 35, 4096])
def test_messages_of_a_wrong_length(program, server, length):
    for handler in (server.hello, server.proof, program.answer, lambda data: program.finish(data, None)):
        with refused(Reason.PROVISION_MALFORMED):
            handler(bytes(length))
    assert Hello.SIZE == 34 and Proof.SIZE == 244 and Challenge.SIZE == 386


def test_an_enclave_without_provisionkey_gets_no_such_key(made: Ready):
    request = KeyRequest(keyname=KeyName.PROVISION, attributemask=PROVISION_ATTRIBUTES)
    for enclave in (made.platform.quoting_enclave.enclave, made.application.enclave):
        with enclave.entered() as inside, refused(Reason.KEY_ATTRIBUTE):
            inside.key(request)
        with enclave.entered() as inside, refused(Reason.KEY_NAME):
            inside.key(KeyRequest(keyname=5))


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
