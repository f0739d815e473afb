"""fusequote launch-control, manufacture --lock-launch and launch --token, from the command line."""

from __future__ import annotations

import pytest
from fusequote.arch import EinitToken
from fusequote.enclave import generate_signing_key, sample_image, sign_image, write_sgxs
from fusequote.platform.signers import mrsigner_of


def facts(ran):
    assert ran.code == 0, (ran.out, ran.err)
    return ran.document["facts"]


@pytest.fixture(scope="module")
def stranger():
    return generate_signing_key()


@pytest.fixture
def theirs(tmp_path, stranger):
    """An enclave of a signer that the home folder does not know."""
    image = sample_image("theirs")
    with (tmp_path / "theirs.sgxs").open("wb") as file:
        write_sgxs(image, file)
    (tmp_path / "theirs.sig").write_bytes(sign_image(image, stranger).to_bytes())
    return tmp_path / "theirs.sgxs"


def test_a_locked_chip_from_the_command_line(run, folder, theirs, stranger, tmp_path):
    url = ("--chip", f"model://?fuses={tmp_path}/locked.fuses", "--json")
    made = facts(run("manufacture", "--lock-launch", *url))
    listed = facts(run("launch-control", "policy", "--json"))
    assert made["lepubkeyhash_locked"] is True and made["lepubkeyhash"] == listed["launch_signer"]
    own = facts(run("launch", folder / "app.sgxs", *url))
    assert own["mrsigner"] == listed["application"]

    signer, token = mrsigner_of(stranger).hex(), tmp_path / "token"
    refused = run("launch", theirs, *url)
    assert (refused.code, refused.document["reason"]) == (10, "launch.policy")
    assert signer in refused.document["message"] and "launch-control allow" in refused.document["hint"]
    assert facts(run("launch", theirs, "--debug-enclave", *url))["mrsigner"] == signer
    assert facts(run("launch-control", "allow", signer, "--json"))["other_1"] == signer
    issued = facts(run("launch-control", "token", theirs, "--out", token, *url))
    assert (issued["mrsigner"], issued["debug"]) == (signer, False)
    assert EinitToken.from_bytes(token.read_bytes()).keyid.hex() == issued["keyid"]
    assert "other_1" not in facts(run("launch-control", "forbid", signer, "--json"))
    assert run("launch", theirs, *url).code == 10
    assert facts(run("launch", theirs, "--token", token, *url))["mrsigner"] == signer
    wrong = run("launch", theirs, "--debug-enclave", "--token", token, *url)
    assert (wrong.code, wrong.document["reason"]) == (10, "launch.invalid-attribute")
    seen = run("inspect", token, "--kind", "einittoken")
    assert seen.code == 0 and issued["keyid"][:16] in seen.out.replace(" ", "")


def test_a_token_on_an_unlocked_chip(run, folder, home, tmp_path):
    token, url = tmp_path / "token", ("--chip", "model://", "--json")
    facts(run("launch-control", "token", folder / "app.sgxs", "--out", token, *url))
    assert facts(run("launch", folder / "app.sgxs", "--token", token, *url))["pages"]
    assert facts(run("launch", folder / "app.sgxs", *url))["pages"]


def test_bad_input(run, folder, tmp_path):
    url = ("--chip", "model://")
    short = tmp_path / "short"
    short.write_bytes(bytes(303))
    run("launch", folder / "app.sgxs", "--token", short, *url).complains(2, "EINITTOKEN", "303")
    run("launch", folder / "app.sgxs", "--token", tmp_path / "none", *url).complains(2, "cannot read")
    run("launch-control", "allow", "00").complains(2, "32 bytes")
    run("launch-control", "allow", "xx").complains(2, "hex digits")
    run("launch-control", "forbid", "00" * 32).complains(2, "not on the list")
    run("launch-control", "token", tmp_path / "none", "--out", short, *url).complains(2, "cannot read")
    run("launch-control", "token", folder / "app.sgxs", "--out", tmp_path, *url).complains(3, "cannot write")
    (folder / "home" / "platform" / "launch-allowed").write_text("nobody\n")
    run("launch-control", "policy").complains(2, "launch-allowed", "MRSIGNER")
