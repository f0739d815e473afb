"""Bad arguments, files, chips and machines: one clear line, the documented exit code, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODEL = ("--chip", "model://")
FUSEQUOTE = Path(sys.executable).parent / "fusequote"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("nonsense",), "no command"),
        (("atest",), "attest"),
        (("attest", "--nonsense"), "--nonsense"),
        (("launch",), "file"),
        (("verify",), "quote"),
        (("attest", "a", "b"), "unexpected"),
        (("attest", "--report-data", "xyz", *MODEL), "hex"),
        (("attest", "--report-data", "00" * 65, *MODEL), "64 bytes"),
        (("attest", "--spid", "00", *MODEL), "16 bytes"),
        (("verify", os.devnull, "--mrenclave", "00"), "32 bytes"),
        (("verify", os.devnull, "--min-isvsvn", "70000"), "65535"),
        (("verify", __file__), "mrenclave"),
        (("inspect", __file__, "--kind", "nonsense"), "nonsense"),
        (("bench", "nonsense"), "nonsense"),
        (("demo", "--rung", "6"), "no rung 6"),
        (("demo", "--attack", "nonsense", *MODEL), "nonsense"),
        (("demo", "--rung", "1", "--attack", "drill"), "not on rung 1"),
        (("demo", "--chip", "/dev/ttyUSB0"), "simulated chips of its own"),
        (("demo", "--chip", "sim://?fuses=mine"), "simulated chips of its own"),
    ],
    ids=lambda value: " ".join(map(str, value))[:40] if isinstance(value, tuple) else None,
)
def test_wrong_arguments(run, arguments, word):
    run(*arguments).complains(2, word)
    document = run(*arguments, "--json").document
    assert document["type"] == "error"
    assert document["exit_code"] == 2
    assert word.lower() in (document["message"] + str(document["hint"])).lower()


@pytest.mark.parametrize("command", [("attest",), ("launch",), ("quote",)])
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[:70_000], id="truncated"),
        pytest.param(lambda data: data[:-1], id="a byte less"),
        pytest.param(lambda data: data + b"\0", id="a byte more"),
        pytest.param(lambda data: b"\x7fELF" + bytes(100), id="an ELF that is none"),
        pytest.param(lambda data: os.urandom(5000), id="noise"),
        pytest.param(lambda data: b"text\n" * 100, id="text"),
    ],
)
def test_bad_enclave_files(run, folder, command, spoil):
    path = folder / "app.sgxs"
    path.write_bytes(spoil(path.read_bytes()))
    run(*command, path, *MODEL).complains(2)
    assert run(*command, path, *MODEL, "--json").document["exit_code"] == 2


@pytest.mark.parametrize("command", [("attest",), ("launch",), ("quote",)])
def test_one_flipped_bit_in_the_image(run, folder, command):
    data = bytearray((folder / "app.sgxs").read_bytes())
    data[data.index(b"EEXTEND\0") + 64 + 100] ^= 1  # in the content of the first chunk
    (folder / "app.sgxs").write_bytes(data)
    ran = run(*command, folder / "app.sgxs", *MODEL, "--json")
    assert ran.code == 10
    document = ran.document
    reason = document["verdict"]["reasons"][0]["code"] if document["type"] == "result" else document["reason"]
    assert reason == "launch.invalid-measurement"


@pytest.mark.parametrize("size", [0, 1807, 1809, 100_000])
def test_sigstructs_of_wrong_sizes(run, folder, size):
    (folder / "app.sig").write_bytes(bytes(size))
    run("launch", folder / "app.sgxs", *MODEL).complains(2, "1808" if size else "")


def test_missing_files_and_wrong_types(run, folder, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for wrong in (tmp_path / "nothing", tmp_path, tmp_path / "pipe", "/dev/zero"):
        for command in (["launch"], ["attest"], ["quote"], ["inspect"], ["verify", "--mrsigner", "00" * 32]):
            run(command[0], wrong, *command[1:], *(MODEL if command[0] not in ("inspect", "verify") else ())).complains(
                2, str(wrong)
            )
    (folder / "app.sig").unlink()
    run("launch", folder / "app.sgxs", *MODEL).complains(2, "app.sig", "--sigstruct")


@pytest.mark.parametrize("size", [0, 1, 435, 1115, 1117])
def test_quotes_of_wrong_sizes(run, folder, size):
    data = (folder / "app.quote").read_bytes()
    (folder / "app.quote").write_bytes((data * 2)[:size])
    ran = run("verify", folder / "app.quote", "--mrsigner", "00" * 32, "--json")
    assert ran.code == 10
    assert ran.document["reasons"][0]["code"] in ("quote.malformed", "quote.undecryptable")


def test_a_quote_that_is_too_large(run, tmp_path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 30)
    run("verify", tmp_path / "huge", "--mrsigner", "00" * 32).complains(2, "too large")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("nonsense://", 2),
        ("model://nonsense", 2),
        ("model://?nonsense=1", 2),
        ("model://?fuses=", 2),
        ("sim://?waves=", 2),
        ("/dev/nonsense", 4),
        ("socket://127.0.0.1:1", 4),
        ("", 2),
    ],
)
@pytest.mark.parametrize("command", ["attest", "manufacture", "quote"])
def test_chip_urls_that_lead_nowhere(run, command, url, code):
    ran = run(command, "--chip", url)
    assert ran.code in (code, 4 if url == "" else code)
    ran.complains(ran.code)
    assert run(command, "--chip", url, "--json").document["exit_code"] == ran.code


def test_fuse_files_that_do_not_fit(run, home, tmp_path):
    good = (home / "chips" / "default.fuses").read_bytes()
    for name, data, word in (
        ("text", b"no fuses", "not a fuse file"),
        ("short", good[:-1], "truncated"),
        ("long", good + b"\0", "longer"),
        ("version", good[:16] + b"\2" + good[17:], "does not fit"),
        ("size", good[:20] + b"\0\2" + good[22:], "does not fit"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        run("attest", "--chip", f"model://?fuses={path}").complains(2, str(path), word)


def test_another_maker_s_chip(run, home, tmp_path):
    """A locked chip whose root key the services do not know is refused where it should be."""
    (home / "services.db").unlink()
    for record in (home / "maker").iterdir():
        record.unlink()
    for blob in (home / "platform").iterdir():
        blob.unlink()
    ran = run("attest", *MODEL, "--json")
    assert ran.code == 10
    assert ran.document["verdict"]["reasons"][0]["code"] == "provision.device-unknown"


def test_a_launch_on_a_blank_chip_that_is_not_the_home_s(run, folder, tmp_path):
    url = f"model://?fuses={tmp_path}/blank.fuses"
    ran = run("launch", folder / "app.sgxs", "--chip", url)
    ran.complains(10, "manufacture")


def test_bench_does_not_burn_fuses_that_are_kept(run, tmp_path):
    run("bench", "chip", "--chip", f"model://?fuses={tmp_path}/blank.fuses").complains(2, "manufacture")
    run("bench", "chip", *MODEL).complains(2, "sim://")


def test_bench_looks_at_the_document_first(run, tmp_path):
    (tmp_path / "unmarked.md").write_text("nothing")
    run("bench", "chip", *MODEL, "--write", tmp_path / "unmarked.md").complains(2, "markers")
    run("bench", "chip", *MODEL, "--write", tmp_path / "missing.md").complains(2, "cannot read")


def test_home_folders_that_cannot_be(run, tmp_path):
    (tmp_path / "file").write_text("no folder")
    run("attest", "--home", tmp_path / "file" / "home", *MODEL, own_home=False).complains(3, "--home")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "home.json").write_text('{"fusequote_home": 99}')
    run("attest", "--home", tmp_path / "newer", *MODEL, own_home=False).complains(2, "99")
    ran = run("doctor", "--home", tmp_path / "newer", "--json", own_home=False)
    assert ran.code == 3
    assert ran.document["facts"]["home.health"] == "broken"


def test_a_key_that_was_spoilt(run, home):
    for path in (home / "keys").glob("*.pem"):
        path.write_text("no key")
    run("attest", *MODEL).complains(2, ".pem", "backup")


def test_a_missing_compiler(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    ran = run("attest")
    ran.complains(3, "g++", "apt install", "--chip model://")
    assert run("attest", "--json").document["exit_code"] == 3
    found = run("doctor", "--json")
    assert found.code == 0
    assert found.document["facts"]["g++.health"] == "missing"


def test_no_permission_for_the_output(run, folder):
    ran = run("quote", folder / "app.sgxs", *MODEL, "--out", folder / "nothing" / "quote")
    ran.complains(3, "cannot write")


def test_the_program_as_a_process(folder):
    """As users start it: nothing but the message on stderr, and the exit code."""
    done = subprocess.run(
        [FUSEQUOTE, "launch", folder / "nothing.sgxs", *MODEL, "--home", folder / "home"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert not done.stdout


def test_an_output_that_cannot_be_written_is_found_before_the_run(run, folder):
    """No step is run in vain: nothing was asked of a chip."""
    for place in (folder / "nowhere" / "q", folder):
        ran = run("attest", *MODEL, "--quote-out", place)
        ran.complains(3, "cannot write")
        assert "launch" not in ran.err


@pytest.mark.parametrize(("url", "word"), [("", "empty"), ("sim://nohost", "'sim://nohost'"), ("sim://?x=1", "'x'")])
def test_a_chip_url_is_quoted_as_it_was_typed(run, url, word):
    run("attest", "--chip", url).complains(2, word)


def test_a_path_with_an_option_in_it_is_a_path(folder):
    """A fuse file called cache=x does not keep the chip from being built in the home's cache."""
    from fusequote.cli.settings import Settings

    settings = Settings(home_folder=str(folder / "home"), chip="sim://?fuses=/somewhere/cache=x")
    assert settings.chip_url.endswith(f"&cache={folder}/home/cache")


def test_a_sigstruct_that_nobody_signed(run, folder):
    """A flipped bit of SIGNATURE: no policy is taken from it, and no chip launches it."""
    sig = folder / "app.sig"
    data = bytearray(sig.read_bytes())
    data[516] ^= 1
    sig.write_bytes(data)
    run("verify", folder / "app.quote", "--sigstruct", sig).complains(10, "SIGSTRUCT: ")
    refused = run("attest", folder / "app.sgxs", *MODEL, "--json")
    assert refused.code == 10
    assert "launch.invalid-signature" in {said["code"] for said in refused.document["verdict"]["reasons"]}
    run("launch", folder / "app.sgxs", *MODEL).complains(10, "launch.invalid-signature")
