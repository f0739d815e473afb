"""One bit of anything: refused at the step that should refuse it, with its reason. On the model chip."""

from __future__ import annotations

import base64
import hashlib
import secrets

import pytest
from chain_world import DATA, SPID, Ready, copy_home, flip, make_ready, refused, some_bits, unknown_chip
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fusequote.api import attest, verify
from fusequote.arch import KeyName, KeyRequest, Psvn, QuoteSignature, QuoteV2, Report, SigStruct, TargetInfo
from fusequote.chain import Platform
from fusequote.enclave import ExtendChunks, MemoryImage, sign_image
from fusequote.platform.images import provisioning_image, signed_sample
from fusequote.platform.protocol import cmac
from fusequote.platform.quoting import LocalCheck
from fusequote.platform.signers import Signers
from fusequote.relying import NonceFolder, Policy, appraise
from fusequote.verdict import Reason, Step, Verdict

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)


def policy(ready: Ready, **more) -> Policy:
    return Policy.for_enclave(ready.application.enclave.identity, **more)


def judge(ready: Ready, quote: bytes) -> Verdict:
    return verify(quote, policy(ready), home=ready.platform.home, services=ready.services)


# The baseline: without it, a test that expects a refusal would pass for any reason.


def test_nothing_altered_is_accepted(ready: Ready):
    verdict = verify(
        ready.quote, policy(ready, report_data=DATA, spid=SPID), home=ready.platform.home, services=ready.services
    )
    assert verdict.accepted and verdict.codes == (Reason.ACCEPTED,)
    assert verdict.to_json()["hardware_backed"] is False


# Launch


def test_any_bit_of_the_image(ready: Ready, rng):
    image = signed_sample(Signers(ready.platform.home))
    operations = list(image.operations())
    extends = [i for i, op in enumerate(operations) if isinstance(op, ExtendChunks)]
    # The TCS is measured from the chip's own copy, so its bits are turned in what EADD brings.
    extends = [i for i in extends if not operations[i - 1].is_tcs]
    for index in rng.sample(extends, 4):
        op = operations[index]
        bit = rng.randrange(8 * len(op.data))
        turned = ExtendChunks(op.offset, op.count, flip(op.data, bit))
        changed = [*operations[:index], turned, *operations[index + 1 :]]
        with refused(Reason.MEASUREMENT):
            ready.platform.launch(MemoryImage("altered", image.secs, changed, image.sigstruct))
    assert Reason.MEASUREMENT.step is Step.LAUNCH


def test_a_tcs_or_a_page_permission_of_the_image(ready: Ready):
    image = signed_sample(Signers(ready.platform.home))
    for index, op in enumerate(image.operations()):
        if isinstance(op, ExtendChunks):
            continue
        operations = list(image.operations())
        if op.is_tcs:
            # OENTRY, offset 32: where the enclave would be entered.
            changed = type(op)(op.offset, op.flags, flip(op.content, 8 * 33))
        else:
            changed = type(op)(op.offset, op.flags ^ 0x4)  # X
        operations[index] = changed
        if op.is_tcs or op.offset in (0, 4096):
            with refused(Reason.MEASUREMENT):
                ready.platform.launch(MemoryImage("altered", image.secs, operations, image.sigstruct))


def test_any_bit_of_enclavehash_and_header(ready: Ready, rng):
    image = signed_sample(Signers(ready.platform.home))
    raw = image.sigstruct.to_bytes()
    for start, end, reason in ((960, 992, Reason.SIGNATURE), (0, 16, Reason.SIG_STRUCT), (24, 40, Reason.SIG_STRUCT)):
        for bit in some_bits(rng, start, end, 3):
            with refused(reason):
                ready.platform.launch(image.signed(SigStruct.from_bytes(flip(raw, bit))))


def test_any_bit_of_the_sigstructs_signature(home, rng):
    """The relying party takes no policy from a SIGSTRUCT that nobody signed, and the chip does not launch one."""
    image = signed_sample(Signers(home))
    raw = image.sigstruct.to_bytes()
    assert attest(image, home=home).verdict.accepted
    # MODULUS, SIGNATURE, ISVSVN, Q1, Q2; another MODULUS is another MRSIGNER for the chip.
    for start, end in ((128, 512), (516, 900), (1026, 1028), (1040, 1424), (1424, 1808)):
        bit = rng.randrange(8 * start, 8 * end)
        result = attest(image.signed(SigStruct.from_bytes(flip(raw, bit))), home=home)
        assert result.verdict.codes == (Reason.SIGNATURE,) and result.quote is None
        assert result.verdict.step is Step.LAUNCH


def test_another_signer_gets_no_provisionkey(ready: Ready):
    signers = Signers(ready.platform.home)
    image = provisioning_image(ready.services.constants, signers)
    with refused(Reason.ATTRIBUTE):
        ready.platform.launch(image.signed(sign_image(image, signers.application)))


# Report


def test_any_bit_of_targetinfo(ready: Ready, rng):
    target = ready.platform.quoting_enclave.target_info.to_bytes()
    for start, end in ((0, 32), (32, 48), (48, 49), (50, 52), (52, 56), (64, 128)):
        for bit in some_bits(rng, start, end, 3):
            altered = ready.application.report(TargetInfo.from_bytes(flip(target, bit)), DATA)
            with refused(Reason.REPORT_MAC):
                ready.platform.quoting_enclave.verify_report(altered.to_bytes())
    for start, end in ((49, 50), (56, 64), (128, 512)):
        for bit in some_bits(rng, start, end, 3):
            with refused(Reason.REPORT_FAULT):
                ready.application.report(TargetInfo.from_bytes(flip(target, bit)), DATA)


@pytest.mark.parametrize("how", LocalCheck)
def test_any_bit_of_the_report(ready: Ready, rng, how):
    report = ready.reported.report.to_bytes()
    quoting = ready.platform.quoting_enclave
    assert quoting.verify_report(report, how) == ready.reported.report
    for start, end in ((0, 384), (384, 416), (416, 432)):
        for bit in some_bits(rng, start, end, 12):
            altered = Report.from_bytes(flip(report, bit))
            reserved = next(altered.reserved_in_use(), None)
            with refused(Reason.REPORT_FORMAT if reserved else Reason.REPORT_MAC):
                quoting.verify_report(altered.to_bytes(), how)
            with refused(Reason.REPORT_FORMAT if reserved else Reason.REPORT_MAC):
                quoting.get_quote(altered.to_bytes(), ready.platform.blob_path.read_bytes(), spid=SPID)


def test_a_report_from_another_chip(ready: Ready, keyed_home, tmp_path):
    other = make_ready(copy_home(keyed_home, tmp_path))
    try:
        ours, theirs = ready.platform.quoting_enclave, other.platform.quoting_enclave
        assert ours.target_info == theirs.target_info  # the same program, on another chip
        assert theirs.verify_report(other.reported.report.to_bytes())
        for how in LocalCheck:
            with refused(Reason.REPORT_MAC):
                ours.verify_report(other.reported.report.to_bytes(), how)
        blob = other.platform.blob_path.read_bytes()
        with refused(Reason.BLOB):
            ours.get_quote(ready.reported.report.to_bytes(), blob, spid=SPID)
    finally:
        other.platform.close()


def test_a_report_from_before_a_reset(keyed_home, tmp_path):
    """Both ways refuse it, although EGETKEY(REPORT) gives the key of an earlier boot's KEYID too."""
    made = make_ready(copy_home(keyed_home, tmp_path))
    made.platform.close()
    old = made.reported.report
    with Platform(made.platform.url, home=made.platform.home) as again:
        quoting = again.quoting_enclave
        for how in LocalCheck:
            with refused(Reason.REPORT_MAC):
                quoting.verify_report(old.to_bytes(), how)
        with quoting.enclave.entered() as inside:
            key = inside.key(KeyRequest(keyname=KeyName.REPORT, keyid=old.keyid))
        assert cmac(key, old.body.to_bytes()) == old.mac


# Provision


def test_a_chip_that_the_server_does_not_know(home):
    with unknown_chip(home, "stranger") as platform:
        platform.services.registry.create_group(_psvn(platform))
        with refused(Reason.DEVICE_UNKNOWN):
            platform.provision()
        application = platform.launch()
        with refused(Reason.NO_KEY):
            platform.quote_report(platform.report(application, DATA), spid=SPID)


def _psvn(platform):
    return Psvn(cpusvn=platform.chip.identity.cpusvn, isvsvn=1)


# Quote and EPID signature


def expected_for_quote_bit(quote: bytes, bit: int) -> set[Reason]:
    byte = bit // 8
    altered = flip(quote, bit)
    if byte < 4 or 12 <= byte < 16 or 432 <= byte < 436 or 736 <= byte < 740:
        return {Reason.QUOTE_FORMAT}
    if byte < 432:
        body = QuoteV2.from_bytes(altered).body
        return {Reason.QUOTE_FORMAT} if next(body.reserved_in_use(), None) else {Reason.SIGNATURE_INVALID}
    return {Reason.QUOTE_DECRYPTION}


def test_any_bit_of_the_quote(ready: Ready, rng):
    ranges = ((0, 16), (16, 48), (48, 432), (432, 436), (436, 692), (692, 724), (724, 736), (736, 740), (740, 1116))
    for start, end in ranges:
        for bit in some_bits(rng, start, end, 5):
            verdict = judge(ready, flip(ready.quote, bit))
            assert not verdict.accepted
            assert verdict.codes[0] in expected_for_quote_bit(ready.quote, bit), (bit, verdict)
            assert verdict.step is Step.VERIFY


def test_a_quote_cut_or_extended(ready: Ready, rng):
    lengths = [0, 1, 431, 432, 436, 700, 1115, *(rng.randrange(1116) for _ in range(5))]
    for quote in [ready.quote[:n] for n in lengths] + [ready.quote + b"\0", ready.quote * 2]:
        assert judge(ready, quote).codes == (Reason.QUOTE_FORMAT,)


def reencrypt(ready: Ready, change) -> bytes:
    """The quote with its decrypted payload changed: the strongest attacker on the EPID signature."""
    quote = QuoteV2.from_bytes(ready.quote)
    sealed = QuoteSignature.from_bytes(quote.signature)
    qsdk = ready.services.keys.qsdk
    payload = AESGCM(qsdk.decrypt(sealed.wrap_key, OAEP)).decrypt(sealed.iv, sealed.sealed, None)
    key, iv = secrets.token_bytes(16), secrets.token_bytes(12)
    fresh = QuoteSignature(
        wrap_key=qsdk.public_key().encrypt(key, OAEP),
        key_hash=hashlib.sha256(key).digest(),
        iv=iv,
        sealed=AESGCM(key).encrypt(iv, change(payload), None),
    )
    return quote.replace(signature=fresh.to_bytes()).to_bytes()


def test_any_bit_of_the_epid_signature(ready: Ready, rng):
    assert judge(ready, reencrypt(ready, lambda payload: payload)).accepted
    for field in range(0, 352, 32):
        for bit in some_bits(rng, field, field + 32, 3):
            verdict = judge(ready, reencrypt(ready, lambda payload, bit=bit: flip(payload, bit)))
            assert verdict.codes[0] is Reason.SIGNATURE_INVALID, (bit, verdict)
    for bit in some_bits(rng, 352, 356, 3):
        verdict = judge(ready, reencrypt(ready, lambda payload, bit=bit: flip(payload, bit)))
        assert verdict.codes[0] is Reason.SIGRL_VERSION


# The attestation report


def appraised(ready: Ready, body: bytes, signature: bytes, chain: bytes, **more) -> Verdict:
    return appraise(body, signature, chain, policy(ready), root=ready.services.keys.report_root, **more)


def test_any_bit_of_the_attestation_report(ready: Ready, rng):
    report = ready.services.attestation.report(ready.quote, "n")
    parts = report.body, report.signature, report.chain_pem
    assert appraised(ready, *parts).accepted
    for bit in some_bits(rng, 0, len(report.body), 20):
        altered = appraised(ready, flip(report.body, bit), report.signature, report.chain_pem)
        assert altered.codes == (Reason.AVR_SIGNATURE,)
    for bit in some_bits(rng, 0, len(report.signature), 10):
        altered = appraised(ready, report.body, flip(report.signature, bit), report.chain_pem)
        assert altered.codes == (Reason.AVR_SIGNATURE,)
    certificates = x509.load_pem_x509_certificates(report.chain_pem)
    for which, certificate in enumerate(certificates):
        der = certificate.public_bytes(serialization.Encoding.DER)
        for bit in some_bits(rng, 0, len(der), 12):
            chain = [pem(flip(der, bit) if i == which else _der(c)) for i, c in enumerate(certificates)]
            altered = appraised(ready, report.body, report.signature, b"".join(chain))
            assert altered.codes == (Reason.AVR_CHAIN,), (which, bit)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def test_a_nonce_is_accepted_once(ready: Ready, tmp_path):
    nonces = NonceFolder(tmp_path / "nonces")
    nonce = nonces.issue()
    report = ready.services.attestation.report(ready.quote, nonce)
    parts = report.body, report.signature, report.chain_pem
    assert appraised(ready, *parts, nonce=nonce, nonces=nonces).accepted
    assert appraised(ready, *parts, nonce=nonce, nonces=nonces).codes == (Reason.AVR_REPLAYED,)
    another = nonces.issue()
    assert Reason.AVR_NONCE in appraised(ready, *parts, nonce=another, nonces=nonces).codes


def test_a_report_about_another_quote(ready: Ready):
    report = ready.services.attestation.report(ready.quote)
    other = ready.new_quote()
    verdict = appraised(ready, report.body, report.signature, report.chain_pem, quote=other)
    assert verdict.codes == (Reason.QUOTE_BODY,)


def test_a_debug_enclave_under_a_production_policy(home):
    result = attest(home=home, debug=True)
    assert result.verdict.codes == (Reason.DEBUG,)
    assert not result.verdict.accepted
