"""The commands on the RTL in Verilator."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from fusequote.cli.steps import CLOCK_HZ

ROOT = Path(__file__).parents[2]
#: Shared by all tests that build: what has not changed is not built again.
CACHE = quote(str(ROOT / "build" / "test-cache"))

pytestmark = [
    pytest.mark.rtl,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++"),
]


def test_attest_on_the_rtl_with_the_model_s_fuses(run, folder, home):
    """The chip that the model was is now the RTL: same fuses, same device, its EPID key unseals, and cycles count."""
    url = f"sim://?fuses={quote(str(home / 'chips' / 'default.fuses'))}&cache={CACHE}"
    before = run("attest", folder / "app.sgxs", "--chip", "model://", "--json").document
    ran = run("attest", folder / "app.sgxs", "--chip", url, "--json")
    assert ran.code == 0, ran.err
    after = ran.document
    assert after["facts"]["device_id"] == before["facts"]["device_id"]
    assert after["verdict"]["enclave"]["mrenclave"] == before["verdict"]["enclave"]["mrenclave"]
    assert "provision" not in {event["step"] for event in after["events"]}, "the sealed key of the model's chip is good"
    assert 0 < after["facts"]["chip_cycles"] < 5 * CLOCK_HZ
    assert "chip_cycles" not in before["facts"]


def test_attest_from_a_blank_chip(run, tmp_path):
    url = f"sim://?fuses={tmp_path}/blank.fuses&cache={CACHE}"
    ran = run("attest", "--chip", url, "--json")
    assert ran.code == 0, ran.err
    document = ran.document
    assert {event["step"] for event in document["events"]} == {
        "manufacture", "launch", "report", "provision", "quote", "verify",
    }  # fmt: skip
    assert 0 < document["facts"]["chip_cycles"] < 5 * CLOCK_HZ


def test_bench_chip_writes_its_table(run, tmp_path):
    document = tmp_path / "performance.md"
    begin, end = (f"<!-- fusequote bench chip: {word} -->" for word in ("begin", "end"))
    document.write_text(f"# Before\n\n{begin}\nold\n{end}\n\nAfter\n")
    ran = run("bench", "chip", "--chip", f"sim://?cache={CACHE}", "--write", document, "--json")
    assert ran.code == 0, ran.err
    facts = ran.document["facts"]
    for command in ("FUSE_MANUFACTURE", "ECREATE", "EINIT", "EREPORT", "EGETKEY of SEAL", "EREMOVE"):
        assert facts[command] > 0
    text = document.read_text()
    assert text.startswith("# Before")
    assert text.endswith("After\n")
    assert "old" not in text
    assert f"| {facts['EREPORT']:,} |" in text
