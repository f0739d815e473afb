"""Every command with good input, and what its --json says."""

from __future__ import annotations

import base64
import hashlib
import re

from fusequote.enclave import read_sigstruct

MODEL = ("--chip", "model://")


def test_attest_with_the_sample(run):
    ran = run("attest", *MODEL)
    assert ran.code == 0
    assert ran.out.startswith("ACCEPTED")
    assert "hardware backed: no" in ran.out
    for step in ("manufacture", "launch", "report", "quote", "verify"):
        assert re.search(rf"^[1-6] {step}: ", ran.err, re.MULTILINE), step
    assert "EGETKEY's answer crosses the link in the clear" in ran.err
    assert "\x1b" not in ran.err + ran.out, "no colours into a pipe"


def test_attest_json_is_one_document(run, folder):
    ran = run("attest", folder / "app.sgxs", *MODEL, "--json")
    document = ran.document
    assert ran.code == 0
    assert not ran.err
    assert document["type"] == "result"
    assert document["hardware_backed"] is False
    verdict = document["verdict"]
    assert verdict["accepted"] is True
    assert verdict["hardware_backed"] is False
    assert verdict["enclave"]["isvprodid"] == 7
    assert verdict["enclave"]["mrenclave"] == read_sigstruct(folder / "app.sig").enclavehash.hex()
    assert {event["step"] for event in document["events"]} >= {"manufacture", "launch", "report", "quote", "verify"}


def test_options_stand_before_or_behind_the_command(run, home):
    before = run("--json", *MODEL, "attest", own_home=True).document
    behind = run("attest", "--home", home, *MODEL, "--json", own_home=False).document
    assert before["facts"]["device_id"] == behind["facts"]["device_id"]


def test_a_debug_enclave_is_refused_by_a_production_policy(run, folder):
    ran = run("attest", folder / "app.sgxs", "--debug-enclave", *MODEL)
    assert ran.code == 10
    assert ran.out.startswith("REFUSED")
    assert "policy.debug" in ran.out


def test_manufacture_once(run, tmp_path):
    url = f"model://?fuses={tmp_path}/new.fuses"
    first = run("manufacture", "--chip", url, "--json")
    assert first.code == 0
    facts = first.document["facts"]
    assert facts["life_cycle"] == "locked"
    again = run("manufacture", "--chip", url)
    again.complains(10, "burnt already", facts["device_id"])
    refused = run("manufacture", "--chip", url, "--json")
    assert refused.code == 10
    assert refused.document["reason"] == "chip.not-blank"


def test_launch_prints_what_the_chip_measured(run, folder):
    sigstruct = read_sigstruct(folder / "app.sig")
    ran = run("launch", folder / "app.sgxs", *MODEL, "--json")
    assert ran.code == 0
    facts = ran.document["facts"]
    assert facts["mrenclave"] == sigstruct.enclavehash.hex()
    assert facts["mrsigner"] == hashlib.sha256(sigstruct.modulus).hexdigest()
    assert (facts["isvprodid"], facts["isvsvn"], facts["debug"]) == (7, 3, False)
    plain = run("launch", folder / "app.sgxs", "--sigstruct", folder / "app.sig", "--debug-enclave", *MODEL)
    assert plain.code == 0
    assert re.search(r"^debug +yes$", plain.out, re.MULTILINE)
    assert facts["mrenclave"] in plain.out


def test_quote_and_verify(run, folder):
    quote = folder / "mine.quote"
    made = run("quote", folder / "app.sgxs", *MODEL, "--report-data", "c0ffee", "--out", quote, "--json")
    assert made.code == 0
    facts = made.document["facts"]
    assert bytes.fromhex(facts["quote"]) == quote.read_bytes()
    good = run("verify", quote, "--sigstruct", folder / "app.sig", "--report-data", "c0ffee", "--json")
    assert good.code == 0
    assert good.document["type"] == "verdict"
    assert good.document["hardware_backed"] is False
    by_identity = run("verify", quote, "--mrenclave", facts["mrenclave"], "--mrsigner", facts["mrsigner"])
    assert by_identity.code == 0
    assert by_identity.out.startswith("ACCEPTED")


def test_a_quote_on_stdout_is_base64(run, folder):
    ran = run("quote", folder / "app.sgxs", *MODEL)
    assert ran.code == 0
    assert len(base64.b64decode(ran.out.splitlines()[-1], validate=True)) == 1116


def test_verify_says_no_with_every_reason(run, folder):
    quote = folder / "app.quote"
    ran = run("verify", quote, "--mrsigner", "00" * 32, "--min-isvsvn", 9, "--isvprodid", 8, "--json")
    assert ran.code == 10
    assert {reason["code"] for reason in ran.document["reasons"]} == {
        "policy.mrsigner",
        "policy.isvsvn",
        "policy.isvprodid",
    }
    assert ran.document["hardware_backed"] is False


def test_verify_finds_one_flipped_bit(run, folder):
    data = bytearray((folder / "app.quote").read_bytes())
    data[200] ^= 1  # in the REPORT body: the EPID signature covers it
    (folder / "app.quote").write_bytes(data)
    ran = run("verify", folder / "app.quote", "--sigstruct", folder / "app.sig", "--json")
    assert ran.code == 10
    assert "status.signature-invalid" in {reason["code"] for reason in ran.document["reasons"]}


def test_inspect(run, folder):
    import json

    ran = run("inspect", folder / "app.quote")
    assert ran.code == 0
    assert ran.out.startswith("QUOTE")
    document = json.loads(run("inspect", folder / "app.sig", "--json").out)
    assert document["schema"] == "fusequote/description/1"
    assert document["emulated"] is True
    assert document["kind"] == "sigstruct"
    assert all({"name", "offset", "size"} <= set(item) for s in document["sections"] for item in s["fields"])


def test_doctor(run, home):
    ran = run("doctor", *MODEL, "--json")
    assert ran.code == 0
    facts = ran.document["facts"]
    assert facts["healthy"] is True
    assert facts["python.health"] == facts["home.health"] == facts["chip.health"] == "ok"
    assert "attest" in facts["commands.detail"]
    (home / "keys").chmod(0o755)
    ran = run("doctor")
    assert ran.code == 3
    assert "chmod" in ran.out


def test_help_of_everything(run):
    from fusequote.cli.registry import entry_points

    top = run("--help", own_home=False)
    assert top.code == 0
    for name in entry_points():
        assert name in top.out
        one = run(name, "--help", own_home=False)
        assert one.code == 0, one.err
        assert "Usage" in one.out
    assert run(own_home=False).out == top.out
    assert run("--version", own_home=False).out.startswith("fusequote ")
