"""What Provisioning Enclave and PCE take from whom: servers that are not the one, platforms that lie."""

from __future__ import annotations

import dataclasses
import secrets

import pytest
from chain_world import Ready, flip, refused
from fusequote.arch import KeyName, KeyRequest, Psvn
from fusequote.arch.provision import ExtendedGroupBlob, IssuedCredential
from fusequote.arch.provmsg import IssuedText
from fusequote.epid import Signature
from fusequote.platform.constants import Constants, point_to_bytes
from fusequote.platform.epidblob import BLOB_SIZE
from fusequote.platform.epidfiles import ecdsa_sign, sign_sigrl
from fusequote.platform.protocol import credential_data, provision_request, seal_box, wrap_key
from fusequote.platform.provisioning import PROVISION_ATTRIBUTES, Challenge, Issued
from fusequote.services.provisioning.keys import sign_pek
from fusequote.verdict import Reason
from provisioning_world import Ends, ppid_of_pce, raised, secret_of

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
