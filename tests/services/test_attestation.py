"""The attestation service: every status, in the specification's order, and the report that says it."""

from __future__ import annotations

import base64
import json
import re

import pytest
import quote_tools
from chain_world import DATA, SPID, make_ready, refused
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from fusequote.api import verify
from fusequote.arch import PlatformInfoBlob, Psvn, QuoteBody, QuotePayload, QuoteSignature, QuoteV2, SignType
from fusequote.errors import UsageError
from fusequote.platform.epidblob import open_blob
from fusequote.platform.epidfiles import ecdsa_verifies, read_sigrl, sign_sigrl, sigrl_signature_holds
from fusequote.platform.quoting import LocalCheck
from fusequote.relying import Policy
from fusequote.verdict import Reason


@pytest.fixture
def made(home):
    ready = make_ready(home)
    yield ready
    ready.platform.close()


def avr(made, quote: bytes | None = None, nonce: str | None = None) -> dict:
    return json.loads(made.services.attestation.report(quote or made.quote, nonce).body)


def payload_of(made, quote: bytes) -> QuotePayload:
    return quote_tools.payload_of(made.services, quote)


def revoke_by(made, quote: bytes) -> bytes:
    """Put the maker of a quote on the SigRL; the list as served."""
    body, payload = QuoteV2.from_bytes(quote).body, payload_of(made, quote)
    registry = made.services.registry
    registry.revoke_signature(body.group_id, payload.to_bytes(), body.to_bytes(), body.basename)
    return made.services.attestation.sigrl(body.group_id)


# What a report is


def test_a_report_field_by_field(made):
    signed = made.services.attestation.report(made.quote, "abc")
    report = json.loads(signed.body)
    assert set(report) == {"nonce", "id", "timestamp", "version", "isvEnclaveQuoteStatus", "isvEnclaveQuoteBody"}
    assert report["nonce"] == "abc" and report["version"] == 4 and report["isvEnclaveQuoteStatus"] == "OK"
    assert re.fullmatch(r"\d{1,39}", report["id"]) and int(report["id"]) < 1 << 128
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", report["timestamp"])
    assert base64.b64decode(report["isvEnclaveQuoteBody"]) == made.quote[:432]
    key = made.services.keys.report_certificate.public_key()
    key.verify(signed.signature, signed.body, padding.PKCS1v15(), hashes.SHA256())
    assert b"\n" not in signed.body


def test_linkable_quotes_have_a_pseudonym_and_unlinkable_ones_none(made):
    linkable = [made.new_quote(sign_type=SignType.LINKABLE) for _ in range(2)]
    first, second = (avr(made, quote)["epidPseudonym"] for quote in linkable)
    assert first == second and len(base64.b64decode(first)) == 128
    assert QuoteV2.from_bytes(linkable[0]).body.basename == SPID + bytes(16)
    unlinkable = [made.new_quote() for _ in range(2)]
    assert all("epidPseudonym" not in avr(made, quote) for quote in unlinkable)
    assert (
        payload_of(made, unlinkable[0]).basic_signature[:128] != payload_of(made, unlinkable[1]).basic_signature[:128]
    )


def test_quote_layout(made):
    quote = QuoteV2.from_bytes(made.quote)
    assert (len(made.quote), quote.signature_len) == (1116, 680)
    assert QuoteSignature.from_bytes(quote.signature).payload_size == 360
    assert quote.body.report == made.reported.report.body
    assert quote.body.group_id == made.platform.gid() and quote.body.qe_svn == 1
    assert payload_of(made, made.quote).rl_ver == payload_of(made, made.quote).n2 == 0


# Statuses


def test_each_status_of_the_tcb_record(made):
    registry, gid = made.services.registry, made.platform.gid()
    registry.update_tcb(gid, advisory_ids=["INTEL-SA-00000"])
    assert "advisoryIDs" not in avr(made)
    cases = [
        ({"sw_hardening_needed": True}, "SW_HARDENING_NEEDED", Reason.SW_HARDENING_NEEDED),
        ({"configuration_needed": True}, "CONFIGURATION_AND_SW_HARDENING_NEEDED", Reason.CONFIGURATION_AND_SW),
        ({"sw_hardening_needed": False}, "CONFIGURATION_NEEDED", Reason.CONFIGURATION_NEEDED),
        ({"out_of_date": True}, "GROUP_OUT_OF_DATE", Reason.GROUP_OUT_OF_DATE),
    ]
    policy = Policy.for_enclave(made.application.enclave.identity)
    for change, status, reason in cases:
        registry.update_tcb(gid, **change)
        report = avr(made)
        assert report["isvEnclaveQuoteStatus"] == status
        assert report["advisoryIDs"] == ["INTEL-SA-00000"] and report["advisoryURL"].startswith("https://")
        assert ("platformInfoBlob" in report) == (status != "SW_HARDENING_NEEDED")
        verdict = verify(made.quote, policy, home=made.platform.home, services=made.services)
        assert verdict.codes == (reason,) and verdict.advisory_ids == ("INTEL-SA-00000",)


def test_platform_info_of_an_old_group(made):
    registry, gid = made.services.registry, made.platform.gid()
    newest = Psvn(cpusvn=bytes([7]) * 16, isvsvn=2)
    registry.create_group(newest)
    registry.update_tcb(gid, out_of_date=True)
    blob = PlatformInfoBlob.from_tlv(bytes.fromhex(avr(made)["platformInfoBlob"]))
    assert (blob.group_flags, blob.tcb_flags, blob.gid) == (4, 3, gid)
    assert blob.latest_psvn == newest
    assert ecdsa_verifies(made.services.keys.pib_signing.public_key(), blob.signature, blob.signed_message())


def test_group_revoked(made):
    made.services.registry.revoke_group(made.platform.gid(), reason=1)
    report = avr(made)
    assert report["isvEnclaveQuoteStatus"] == "GROUP_REVOKED" and report["revocationReason"] == 1
    assert "platformInfoBlob" in report
    with pytest.raises(UsageError):
        made.services.registry.revoke_group(made.platform.gid(), reason=7)


def test_key_revoked(made):
    content, _ = open_blob(made.platform.quoting_enclave.enclave, made.platform.blob_path.read_bytes())
    made.services.registry.revoke_key(content.key)
    assert avr(made)["isvEnclaveQuoteStatus"] == "KEY_REVOKED"
    with refused(Reason.DEVICE_REVOKED):  # and the provisioning server gives that key to nobody any more
        made.platform.provision()


def test_signature_revoked_by_each_side(made, home):
    from fusequote.chain import Platform, simulated_chip_url

    gid = made.platform.gid()
    assert made.services.attestation.sigrl(gid) == b""
    sigrl = revoke_by(made, made.quote)
    assert len(sigrl) == 208 and sigrl_signature_holds(sigrl, made.services.constants.isk)
    # A quote from before the list names none.
    assert avr(made)["isvEnclaveQuoteStatus"] == "SIGRL_VERSION_MISMATCH"
    with refused(Reason.SELF_REVOKED):
        made.new_quote(sigrl=sigrl)
    # Somebody else of the group proves that it was not him.
    with Platform.manufacture(simulated_chip_url(home, name="innocent"), home=home, services=made.services) as other:
        result = other.quote(other.launch(), DATA, spid=SPID, sigrl=sigrl)
        assert other.gid() == gid and len(result.quote) == 1116 + 160
        assert avr(made, result.quote)["isvEnclaveQuoteStatus"] == "OK"
        stale = sigrl
        revoke_by(made, made.new_quote())  # the same member again: version 2
        assert avr(made, result.quote)["isvEnclaveQuoteStatus"] == "SIGRL_VERSION_MISMATCH"
        again = other.quote(other.launch(), DATA, spid=SPID, sigrl=made.services.attestation.sigrl(gid))
        assert avr(made, again.quote)["isvEnclaveQuoteStatus"] == "OK"
        assert read_sigrl(stale, gid).version == 1


def test_a_member_that_hides_its_proof(made):
    """A revoked member signs without the list and claims its version: the proof is missing or nobody's."""
    revoke_by(made, made.quote)
    body, payload = QuoteV2.from_bytes(made.quote).body, payload_of(made, made.quote)
    one = (1).to_bytes(4, "big")
    forged = quote_tools.seal(made.services, body, payload.basic_signature + one + one + bytes(160))
    assert avr(made, forged)["isvEnclaveQuoteStatus"] == "SIGNATURE_REVOKED"
    bare = quote_tools.seal(made.services, body, payload.basic_signature + one + bytes(4))
    assert avr(made, bare)["isvEnclaveQuoteStatus"] == "SIGNATURE_INVALID"


def test_a_group_nobody_knows(made):
    body = QuoteV2.from_bytes(made.quote)
    foreign = body.replace(body=body.body.replace(gid=bytes(4))).to_bytes()
    assert avr(made, foreign)["isvEnclaveQuoteStatus"] == "SIGNATURE_INVALID"
    with pytest.raises(UsageError):
        made.services.attestation.sigrl(bytes(4))


# SigRL, as the Quoting Enclave takes it


def test_a_forged_sigrl_teaches_nothing(made):
    """A list with the platform's own signature on it, not signed by the EPID signing key: never 'revoked'."""
    sigrl = revoke_by(made, made.quote)
    with refused(Reason.SIGRL_SIGNATURE):
        made.new_quote(sigrl=sigrl[:-1] + bytes([sigrl[-1] ^ 1]))
    forged = sign_sigrl(read_sigrl(sigrl, made.platform.gid()), made.services.keys.pib_signing)
    with refused(Reason.SIGRL_SIGNATURE):
        made.new_quote(sigrl=forged)


def test_sigrls_that_are_none(made):
    sigrl = revoke_by(made, made.quote)
    for bad in (sigrl[:-1], sigrl + b"\0", b"\x02\x00" + sigrl[2:], sigrl[:12] + bytes(4) + sigrl[-64:], b"x" * 300):
        with refused(Reason.SIGRL_FORMAT):
            made.new_quote(sigrl=bad)
    with refused(Reason.SIGRL_GROUP):
        made.new_quote(sigrl=sigrl[:4] + bytes(4) + sigrl[8:])


# The Quoting Enclave's own vouching, and the blob over time


def test_the_qe_vouches_for_one_quote_and_one_nonce(made):
    nonce = bytes(range(16))
    quoting, report = made.platform.quoting_enclave, made.reported.report.to_bytes()
    result = quoting.get_quote(report, made.platform.blob_path.read_bytes(), spid=SPID, nonce=nonce)
    target = quoting.target_info
    made.application.check_quote(target, result.qe_report, nonce, result.quote)
    for args in (
        (target, result.qe_report, bytes(16), result.quote),
        (target, result.qe_report, nonce, made.quote),
        (target, result.qe_report[:-1], nonce, result.quote),
        (target, result.qe_report[:-1] + bytes([result.qe_report[-1] ^ 1]), nonce, result.quote),
        (target.replace(mrenclave=bytes(32)), result.qe_report, nonce, result.quote),
    ):
        with refused(Reason.QE_REPORT):
            made.application.check_quote(*args)


def test_a_newer_quoting_enclave_opens_the_blob_and_seals_it_anew(made):
    from fusequote.enclave import sign_image
    from fusequote.platform.images import quoting_image
    from fusequote.platform.quoting import QuotingEnclave
    from fusequote.platform.signers import Signers

    constants, signers = made.services.constants, Signers(made.platform.home)
    image = quoting_image(constants, signers)
    newer = image.signed(sign_image(image, signers.architectural, isvprodid=1, isvsvn=2, allow_debug=False))
    quoting = QuotingEnclave(made.platform._launch(newer), constants)
    # ISVSVN is no part of TARGETINFO, so the same REPORT is good for it.
    blob = made.platform.blob_path.read_bytes()
    result = quoting.get_quote(made.reported.report.to_bytes(), blob, spid=SPID, how=LocalCheck.EGETKEY)
    assert QuoteBody.from_bytes(result.quote[:432]).qe_svn == 2
    assert result.resealed_blob is not None and len(result.resealed_blob) == len(blob)
    open_blob(quoting.enclave, result.resealed_blob)
    with refused(Reason.BLOB):
        open_blob(made.platform.quoting_enclave.enclave, result.resealed_blob)  # no way back to the older one
