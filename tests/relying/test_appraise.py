"""The relying party: each line of a policy, and reports that an authentic signer should never have made."""

from __future__ import annotations

import base64
import datetime
import json
import threading

import pytest
from chain_world import DATA, SPID, Ready
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from fusequote.arch import SignType
from fusequote.errors import UsageError
from fusequote.home import Home
from fusequote.relying import NonceFolder, Policy, appraise
from fusequote.services.roots import load_service_keys
from fusequote.verdict import Reason

NOW = datetime.datetime.now(datetime.UTC)


def identity(ready: Ready):
    return ready.application.enclave.identity


def signed(ready: Ready, body: bytes) -> tuple[bytes, bytes, bytes]:
    """Any bytes as a report of the service: what its key could be made to sign."""
    keys = ready.services.keys
    return body, keys.report_signing.sign(body, padding.PKCS1v15(), hashes.SHA256()), keys.chain_pem


def judged(ready: Ready, policy: Policy, change: dict | None = None, **more):
    report = json.loads(ready.services.attestation.report(ready.quote, "n").body)
    parts = signed(ready, json.dumps(report | (change or {})).encode())
    return appraise(*parts, policy, root=ready.services.keys.report_root, **more)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"mrenclaves": frozenset({bytes(32)})}, Reason.MRENCLAVE),
        ({"mrsigners": frozenset({bytes(32)})}, Reason.MRSIGNER),
        ({"isvprodid": 2}, Reason.ISVPRODID),
        ({"min_isvsvn": 2}, Reason.ISVSVN),
        ({"report_data": b"something else"}, Reason.REPORTDATA),
        ({"report_data": DATA + b"x"}, Reason.REPORTDATA),
        ({"spid": bytes(16)}, Reason.SPID),
        ({"sign_type": SignType.LINKABLE}, Reason.LINKABILITY),
    ],
)
def test_each_line_of_a_policy(ready: Ready, change, reason):
    body = identity(ready)
    fields = {
        "mrenclaves": frozenset({body.mrenclave}),
        "mrsigners": frozenset({body.mrsigner}),
        "isvprodid": 1,
        "min_isvsvn": 1,
        "report_data": DATA,
        "spid": SPID,
        "sign_type": SignType.UNLINKABLE,
    }
    assert judged(ready, Policy(**fields)).accepted
    verdict = judged(ready, Policy(**fields | change))
    assert verdict.codes == (reason,) and verdict.enclave["mrenclave"] == body.mrenclave.hex()


def test_every_reason_is_given_not_the_first_alone(ready: Ready):
    policy = Policy(mrenclaves=frozenset({bytes(32)}), min_isvsvn=9, spid=bytes(16))
    assert set(judged(ready, policy).codes) == {Reason.MRENCLAVE, Reason.ISVSVN, Reason.SPID}


def test_policies_that_cannot_be():
    for fields in ({}, {"mrenclaves": frozenset()}, {"mrenclaves": frozenset({b"short"})}):
        with pytest.raises(UsageError):
            Policy(**fields)
    for fields in ({"report_data": bytes(65)}, {"spid": b"x"}):
        with pytest.raises(UsageError):
            Policy(mrsigners=frozenset({bytes(32)}), **fields)


STATUSES = {
    "SIGNATURE_INVALID": (Reason.SIGNATURE_INVALID, False),
    "GROUP_REVOKED": (Reason.GROUP_REVOKED, False),
    "KEY_REVOKED": (Reason.KEY_REVOKED, False),
    "SIGRL_VERSION_MISMATCH": (Reason.SIGRL_VERSION, False),
    "SIGNATURE_REVOKED": (Reason.SIGNATURE_REVOKED, False),
    "GROUP_OUT_OF_DATE": (Reason.GROUP_OUT_OF_DATE, True),
    "CONFIGURATION_NEEDED": (Reason.CONFIGURATION_NEEDED, True),
    "SW_HARDENING_NEEDED": (Reason.SW_HARDENING_NEEDED, True),
    "CONFIGURATION_AND_SW_HARDENING_NEEDED": (Reason.CONFIGURATION_AND_SW, True),
    "NEVER_HEARD_OF": (Reason.SIGNATURE_INVALID, True),
}


@pytest.mark.parametrize("status", STATUSES)
def test_statuses(ready: Ready, status):
    reason, may_be_accepted = STATUSES[status]
    change = {"isvEnclaveQuoteStatus": status}
    assert judged(ready, Policy.for_enclave(identity(ready)), change).codes == (reason,)
    lenient = Policy.for_enclave(identity(ready), statuses=frozenset({"OK", status}))
    assert judged(ready, lenient, change).accepted is may_be_accepted


@pytest.mark.parametrize(
    "change",
    [
        {"isvEnclaveQuoteBody": "!!!"},
        {"isvEnclaveQuoteBody": base64.b64encode(bytes(431)).decode()},
        {"isvEnclaveQuoteBody": None},
        {"isvEnclaveQuoteStatus": 1},
        {"timestamp": "2026-01-01T00:00:00Z"},
        {"version": "4"},
        {"version": True},
        {"id": 7},
        {"advisoryIDs": "INTEL-SA-1"},
        {"nonce": 5},
    ],
)
def test_fields_of_a_wrong_type(ready: Ready, change):
    assert judged(ready, Policy.for_enclave(identity(ready)), change).codes == (Reason.AVR_FORMAT,)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"null", b"{" * 100_000, b"[" * 60_000, b"\xff", b'{"id":"1","id":"2"}', b" " * 70_000],
)
def test_bodies_that_are_no_report(ready: Ready, body):
    verdict = appraise(*signed(ready, body), Policy.for_enclave(identity(ready)), root=ready.services.keys.report_root)
    assert verdict.codes == (Reason.AVR_FORMAT,)


def test_version_and_time(ready: Ready):
    policy = Policy.for_enclave(identity(ready), max_age=100)
    assert judged(ready, policy, {"version": 3}).codes == (Reason.AVR_VERSION,)
    for seconds, accepted in ((-120, False), (-30, True), (90, True), (200, False)):
        verdict = judged(ready, policy, now=datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds))
        assert verdict.accepted is accepted
        assert accepted or verdict.codes == (Reason.AVR_TIME,)
    century = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    assert judged(ready, policy, now=century).codes == (Reason.AVR_CHAIN,)


def test_chains_that_lead_elsewhere(ready: Ready, tmp_path):
    policy, keys = Policy.for_enclave(identity(ready)), ready.services.keys
    others = load_service_keys(Home(tmp_path / "others"))
    body, signature, chain = signed(ready, ready.services.attestation.report(ready.quote).body)
    leaf, root = chain[: len(chain) - len(keys.root_pem)], keys.root_pem
    forged = others.report_signing.sign(body, padding.PKCS1v15(), hashes.SHA256())
    other_leaf = others.chain_pem[: len(others.chain_pem) - len(others.root_pem)]
    for pem in (b"", leaf, root, leaf + root + root, root + leaf, leaf + others.root_pem, others.chain_pem, b"x" * 99):
        verdict = appraise(body, signature, pem, policy, root=keys.report_root)
        assert verdict.codes == (Reason.AVR_CHAIN,)
    # Another service's leaf under our root's name, and our root itself as the signing certificate.
    for pem in (other_leaf + root, root + root):
        verdict = appraise(body, forged, pem, policy, root=keys.report_root)
        assert verdict.codes == (Reason.AVR_CHAIN,)
    for certificate in (keys.report_root, keys.report_certificate):
        assert "emulated" in certificate.subject.rfc4514_string()


def test_nonces(tmp_path):
    folder = NonceFolder(tmp_path / "n")
    nonce = folder.issue()
    assert len(nonce) == 32 and folder.issue() != nonce
    for bad in ("", "../keys", nonce.upper() + "x", "0" * 32, nonce[:-1], "/" + nonce[1:]):
        assert not folder.consume(bad)
    wins = []
    threads = [threading.Thread(target=lambda: wins.append(folder.consume(nonce))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wins) == 1


def test_a_nonce_expires(tmp_path):
    import os

    folder = NonceFolder(tmp_path)
    nonce = folder.issue()
    os.utime(tmp_path / nonce, (0, 0))
    assert not folder.consume(nonce)
    nonce = folder.issue()
    os.utime(tmp_path / nonce, (0, 0))
    folder.issue()
    assert not (tmp_path / nonce).exists()
