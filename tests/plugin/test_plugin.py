"""The pytest plugin: every verdict by a knob, the same bytes for the same seed, and seeds in tests only."""

import base64
import datetime
import hashlib
import inspect
import json
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from fusequote.errors import Refused, UsageError
from fusequote.reasons import Reason, Step
from fusequote.testing import Case, Fault
from fusequote.testing.seeding import SeededEncryption, Seeding

ROOT = Path(__file__).parents[2]
EXAMPLE = Path(__file__).parent / "example"
#: What a verifier's test makes wrong by its own policy, or by using a nonce twice.
BY_POLICY = {
    Reason.SPID: ({"spid": bytes(16)}, {"spid": b"emulated SPID  U"}),
    Reason.LINKABILITY: ({"linkable": True}, {"sign_type": 0}),
    Reason.MRENCLAVE: ({"mrenclave": bytes(32)}, {}),
    Reason.MRSIGNER: ({"mrsigner": bytes(32)}, {}),
    Reason.ISVPRODID: ({"isvprodid": 2}, {}),
    Reason.ISVSVN: ({"isvsvn": 0}, {}),
    Reason.DEBUG: ({"debug": True}, {}),
    Reason.REPORTDATA: ({"report_data": b"other"}, {"report_data": b"this"}),
}


def test_every_case(quote_factory, attestation_service):
    """All in one world: none disturbs another."""
    for case in Case:
        quote = quote_factory(case)
        if case.has_report:
            assert attestation_service.verdict(quote).codes == (case.reason,), case
        else:
            with pytest.raises(Refused) as caught:
                attestation_service.report(quote)
            assert caught.value.reason == case.reason
    assert attestation_service.verdict(quote_factory()).accepted


def test_every_fault(quote_factory, attestation_service):
    quote = quote_factory()
    for fault in Fault:
        assert attestation_service.verdict(quote, fault=fault).codes == (fault.reason,), fault
    assert attestation_service.verdict(quote).accepted


@pytest.mark.parametrize("reason", BY_POLICY)
def test_every_policy(quote_factory, attestation_service, reason):
    made, policy = BY_POLICY[reason]
    verdict = attestation_service.verdict(quote_factory(**made), quote_factory.policy(**policy))
    assert verdict.codes == (reason,)


def test_no_verdict_is_left_out():
    reached = {case.reason for case in Case} | {fault.reason for fault in Fault} | set(BY_POLICY)
    # The nonce that is used twice is the verifier's own.
    assert {reason for reason in Reason if reason.step is Step.VERIFY} - reached == {Reason.AVR_REPLAYED}


@pytest.mark.parametrize("wrong", [{"report_data": bytes(65)}, {"spid": b"short"}, {"case": "no such"}])
def test_bad_arguments(quote_factory, wrong):
    with pytest.raises(UsageError):
        quote_factory(**wrong)


def test_bad_service_arguments(quote_factory, attestation_service):
    with pytest.raises(UsageError, match="no such fault"):
        attestation_service.report(b"", fault="no such")
    with pytest.raises(UsageError, match="zone"):
        attestation_service.now = datetime.datetime(2026, 1, 1)


def test_http(quote_factory, attestation_service):
    """The REST API: same report as without HTTP, but for its id; SPID and kind of quotes are looked at."""
    quote = quote_factory(Case.GROUP_OUT_OF_DATE)
    plain = json.loads(attestation_service.report(quote, "n").body)
    with attestation_service.client() as client:
        asked = {"isvEnclaveQuote": base64.b64encode(quote).decode(), "nonce": "n"}
        answer = client.post("/report", json=asked)
        assert answer.status_code == 200 and "x-iasreport-signature" in answer.headers
        said = answer.json()
        assert said.pop("id") != plain.pop("id") and said == plain
        linkable = base64.b64encode(quote_factory(linkable=True)).decode()
        assert client.post("/report", json={"isvEnclaveQuote": linkable}).status_code == 400
    with attestation_service.client(linkable=True) as client:
        assert client.post("/report", json={"isvEnclaveQuote": linkable}).status_code == 200


@pytest.mark.attestation(now=datetime.datetime(2030, 5, 6, tzinfo=datetime.UTC))
def test_the_clock_stands(quote_factory, attestation_service):
    said = json.loads(attestation_service.report(quote_factory()).body)
    assert said["timestamp"].startswith("2030-05-06T00:00:00")
    attestation_service.now += datetime.timedelta(seconds=90)
    assert json.loads(attestation_service.report(quote_factory()).body)["timestamp"].startswith("2030-05-06T00:01:30")


def test_a_platform(attested_platform, attestation_service):
    """Operator's switches reach the platform on the chip."""
    policy = attested_platform.policy(report_data=b"data")
    quote = attested_platform.quote(b"data")
    assert attestation_service.verdict(quote, policy).accepted
    attestation_service.operator.set_tcb(attested_platform.gid, out_of_date=True)
    assert attestation_service.verdict(quote, policy).codes == (Reason.GROUP_OUT_OF_DATE,)
    attestation_service.operator.revoke_signature(quote)
    with pytest.raises(Refused) as caught:
        attested_platform.quote(b"data")
    assert caught.value.reason == Reason.SELF_REVOKED


def test_randomness_between_operations(quote_factory):
    """A verifier under test has the system's randomness: no operation leaves its stream behind."""
    import fusequote.platform.quoting as quoting
    from fusequote.epid import randomness

    before = randomness._draw
    quote_factory()
    assert quoting.secrets is secrets and randomness._draw is before
    assert rsa.generate_private_key.__module__ == rsa.__name__
    assert secrets.token_bytes.__module__ == "secrets"


def test_seeds_are_for_fixtures(request):
    with pytest.raises(UsageError):
        Seeding(None, "seed")
    assert "seed" not in repr(Seeding(request, "seed"))


def test_nothing_uses_it():
    """No other room imports this one: what is installed has no way to predictable keys but a fixture."""
    for package in ("hdl", "sim", "boards", "host"):
        for path in (ROOT / package).rglob("*.py"):
            assert path.parent.name == "testing" or "fusequote.testing" not in path.read_text(), path


@pytest.mark.parametrize("size", [0, 16, 190])
def test_oaep(request, size):
    """What it encrypts, OpenSSL decrypts; in an operation the same each time, outside of one never."""
    key, seeding = rsa.generate_private_key(65537, 2048), Seeding(request, "x")
    oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), label=None)
    seeded, message = SeededEncryption(key.public_key(), seeding), bytes(range(size))
    with seeding.operation("a"):
        first = seeded.encrypt(message, oaep)
    with Seeding(request, "x").operation("a"):
        assert SeededEncryption(key.public_key(), seeding).encrypt(message, oaep) != first  # the other one's stream
    again = Seeding(request, "x")
    with again.operation("a"):
        assert SeededEncryption(key.public_key(), again).encrypt(message, oaep) == first
    assert key.decrypt(first, oaep) == message
    assert key.decrypt(seeded.encrypt(message, oaep), oaep) == message


def test_rsa_keys_are_good(request):
    """OpenSSL's own check takes the seeded keys, with either exponent in use."""
    with Seeding(request, "keys").operation("keys"):
        for exponent in (3, 65537):
            numbers = rsa.generate_private_key(exponent, 2048).private_numbers()
            assert numbers.private_key().key_size == 2048


def digests(platform, factory, service):
    """Hashes of quotes, reports, signatures and certificates."""
    out = [platform.quote(b"d"), factory(linkable=True), factory(Case.SIGNATURE_REVOKED)]
    out += [factory(Case.GROUP_OUT_OF_DATE)]
    for quote in list(out):
        report = service.report(quote, "n")
        out += [report.body, report.signature, report.chain_pem]
    return [hashlib.sha256(data).hexdigest() for data in out]


DUMP = f"""
import hashlib
import pathlib
from fusequote.testing import Case

{inspect.getsource(digests)}

def test_dump(attested_platform, quote_factory, attestation_service):
    out = digests(attested_platform, quote_factory, attestation_service)
    pathlib.Path("dump").write_text(" ".join(out))
"""


def test_same_seed_same_bytes(tmp_path, attested_platform, quote_factory, attestation_service):
    """In another process too, and after other tests. That process runs what the page shows, beside it."""
    shown = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/pytest-plugin.md").read_text(), re.M | re.S)
    assert shown
    (tmp_path / "test_dump.py").write_text(DUMP)
    (tmp_path / "test_page.py").write_text("\n\n".join(shown))
    done = run_pytest(tmp_path)
    assert done.returncode == 0 and f"{1 + ''.join(shown).count('def test_')} passed" in done.stdout, done.stdout
    here = digests(attested_platform, quote_factory, attestation_service)
    assert (tmp_path / "dump").read_text().split() == here and len(here) == 16


def test_another_seed_another_stream(request):
    drawn = set()
    for seed in ("one", "two"):
        for name in ("a", "b"):
            seeding = Seeding(request, seed)
            for _ in range(2):
                with seeding.operation(name):
                    drawn |= {seeding.draw(32), seeding.draw(32)}
    assert len(drawn) == 16


def test_example_project(tmp_path):
    """The example, run as its owner would: all pass, and the plugin is found without being named."""
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("__pycache__"))
    done = run_pytest(tmp_path / "example")
    assert done.returncode == 0 and "23 passed" in done.stdout, done.stdout + done.stderr


def test_unknown_marker_arguments(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.attestation(sed='typo')\ndef test_it(quote_factory): pass\n"
    )
    done = run_pytest(tmp_path)
    assert done.returncode != 0 and "attestation(seed=TEXT, now=DATETIME)" in done.stdout


def run_pytest(folder):
    """pytest as somebody else runs it: another process, that finds the plugin by itself."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
