"""The operator's API and commands: keys of their own, and decisions that hold for the next report."""

from __future__ import annotations

import base64
import json

import ias_world
import pytest
from chain_world import SPID, copy_home, make_ready
from fusequote.arch import SignType
from fusequote.cli.run import run
from fusequote.epid import GroupRl, PrivRl
from fusequote.epid.authority import CertificateAuthority
from fusequote.epid.files import read_list
from fusequote.platform.epidblob import open_blob
from fusequote.services.attestation_subscriptions import Subscriptions


@pytest.fixture
def own(home):
    world = ias_world.make_world(make_ready(home))
    yield world
    world.context.workers.close()
    world.made.platform.close()


@pytest.fixture
def admin(own):
    key = Subscriptions(own.made.services.store).new_admin_key("operator")
    return lambda method, path, **options: own.admin(method, path, key, **options)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def status(world, quote=None) -> str:
    return world.report(quote).json()["isvEnclaveQuoteStatus"]


def member_key(made) -> bytes:
    content, _ = open_blob(made.platform.quoting_enclave.enclave, made.platform.blob_path.read_bytes())
    return content.key.to_bytes()


def test_nobody_without_a_key(own):
    subscriptions = Subscriptions(own.made.services.store)
    old = subscriptions.new_admin_key("operator")
    new = subscriptions.new_admin_key("operator")
    for key in ("", "0" * 32, old, own.primary):
        answer = own.admin("GET", "/groups", key)
        assert answer.status_code == 401 and answer.json()["error"]["kind"] == "unauthorized"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert own.admin("GET", "/groups", new).status_code == 200
    subscriptions.remove_admin_key("operator")
    assert own.admin("GET", "/groups", new).status_code == 401


def test_tcb_and_group(own, admin):
    gid = own.made.platform.gid().hex()
    assert [group["gid"] for group in admin("GET", "/groups").json()] == [gid]
    changed = admin("PATCH", f"/groups/{gid}", json={"sw_hardening_needed": True, "advisory_ids": ["INTEL-SA-00334"]})
    assert changed.json()["sw_hardening_needed"] and changed.json() == admin("GET", f"/groups/{gid}").json()
    report = own.report().json()
    assert (report["isvEnclaveQuoteStatus"], report["advisoryIDs"]) == ("SW_HARDENING_NEEDED", ["INTEL-SA-00334"])
    assert admin("POST", f"/groups/{gid}/revocation", json={"reason": 1}).json()["revocation_reason"] == 1
    report = own.report().json()
    assert (report["isvEnclaveQuoteStatus"], report["revocationReason"]) == ("GROUP_REVOKED", 1)
    assert "advisoryIDs" not in report and "platformInfoBlob" in report


def test_revocations_and_published_lists(own, admin):
    made, gid = own.made, own.made.platform.gid().hex()
    key = made.services.keys.epid_signing
    linkable = made.new_quote(sign_type=SignType.LINKABLE)
    first = admin("POST", "/revocations/signatures", json={"quote": encoded(made.quote)}).json()
    assert first == admin("POST", "/revocations/signatures", json={"quote": encoded(made.quote)}).json()
    assert (first["version"], first["entries"]) == (1, 1)
    served = made.services.attestation.sigrl(bytes.fromhex(gid))
    assert admin("GET", f"/lists/sigrl?gid={gid}").content[:-64] == served[:-64]
    out = admin("POST", "/verifier-lists", json={"quote": encoded(linkable)}).json()
    assert (out["spid"], out["entries"]) == (SPID.hex(), 1)
    assert admin("GET", "/verifier-lists").json() == [out]
    revoked = admin("POST", "/revocations/keys", json={"key": encoded(member_key(made))}).json()
    assert revoked["version"] == 1 and status(own) == "KEY_REVOKED"
    ca = CertificateAuthority(key).certificate
    assert len(read_list(admin("GET", f"/lists/privrl?gid={gid}").content, PrivRl, ca)) == 1
    assert len(read_list(admin("GET", "/lists/grouprl").content, GroupRl, ca)) == 0
    admin("POST", f"/groups/{gid}/revocation", json={})
    groups = read_list(admin("GET", "/lists/grouprl").content, GroupRl, ca)
    assert (groups.version, groups.entries) == (1, (bytes.fromhex(gid),))


def test_subscriptions(own, admin):
    made = admin("POST", "/subscriptions", json={"name": "new", "linkable": True}).json()
    assert len(made["primary"]) == len(made["secondary"]) == 32
    listed = {one["spid"]: one for one in admin("GET", "/subscriptions").json()}
    assert set(listed) == {SPID.hex(), made["spid"]} and "primary" not in listed[made["spid"]]
    quote = own.made.platform.quote_report(
        own.made.reported, spid=bytes.fromhex(made["spid"]), sign_type=SignType.LINKABLE
    ).quote
    assert own.report(quote, key=made["secondary"]).status_code == 200
    renewed = admin("POST", f"/subscriptions/{made['spid']}/keys/secondary").json()["secondary"]
    assert own.report(quote, key=made["secondary"]).status_code == 401
    assert own.report(quote, key=renewed).status_code == 200
    admin("PATCH", f"/subscriptions/{made['spid']}", json={"active": False})
    assert own.report(quote, key=renewed).status_code == 401


def test_bad_requests(own, admin):
    gid, none = own.made.platform.gid().hex(), "00000000"
    forged = own.made.quote[:440] + bytes([own.made.quote[440] ^ 1]) + own.made.quote[441:]
    cases = [
        (404, "GET", f"/groups/{none}", None),
        (422, "GET", "/groups/xyz", None),
        (404, "PATCH", f"/groups/{none}", {"joins": False}),
        (422, "PATCH", f"/groups/{gid}", {"nothing": 1}),
        (422, "PATCH", f"/groups/{gid}", {"out_of_date": "yes"}),
        (400, "PATCH", f"/groups/{gid}", {"advisory_ids": ["a,b"]}),
        (400, "PATCH", f"/groups/{gid}", {"advisory_ids": ["a\r\nX: y"]}),
        (400, "POST", f"/groups/{gid}/revocation", {"reason": 7}),
        (422, "POST", "/revocations/signatures", {"quote": "?"}),
        (400, "POST", "/revocations/signatures", {"quote": encoded(forged)}),
        (400, "POST", "/revocations/keys", {"key": "AAAA"}),
        (400, "POST", "/verifier-lists", {"quote": encoded(own.made.quote)}),
        (400, "POST", "/verifier-lists", {"gid": gid}),
        (400, "POST", "/verifier-lists", {"gid": gid, "spid": SPID.hex(), "pseudonym": encoded(bytes(128))}),
        (400, "GET", "/lists/sigrl", None),
        (400, "GET", f"/lists/grouprl?gid={gid}", None),
        (400, "POST", "/subscriptions", {"name": "again", "spid": SPID.hex()}),
        (404, "PATCH", "/subscriptions/" + "0" * 32, {"active": True}),
        (404, "GET", "/nowhere", None),
    ]
    for wanted, method, path, body in cases:
        answer = admin(method, path, **({} if body is None else {"json": body}))
        assert answer.status_code == wanted, (path, body, answer.text)
        assert set(answer.json()["error"]) == {"kind", "message", "hint"}
    assert status(own) == "OK"


# The commands


@pytest.fixture
def cli(keyed_home, tmp_path, capsys):
    made = make_ready(copy_home(keyed_home, tmp_path / "cli"))
    home = made.platform.home

    def command(*arguments: str, code: int = 0) -> dict:
        capsys.readouterr()
        assert run(["service", *arguments, "--json", "--home", str(home.root)]) == code
        return json.loads(capsys.readouterr().out)

    yield made, command
    made.platform.close()


def test_commands(cli, tmp_path):
    made, command = cli
    gid = made.platform.gid().hex()
    quote = tmp_path / "q"
    quote.write_bytes(made.quote)
    assert command("groups")["facts"][f"{gid}.joins"] is True
    facts = command("tcb", gid, "--out-of-date", "--advisory", "INTEL-SA-00001")["facts"]
    assert facts["out_of_date"] is True and facts["advisory_ids"] == "INTEL-SA-00001"
    assert json.loads(made.services.attestation.report(made.quote).body)["isvEnclaveQuoteStatus"] == "GROUP_OUT_OF_DATE"
    assert command("tcb", gid, "--up-to-date", "--no-advisories")["facts"]["advisory_ids"] == ""
    subscribed = command("subscribe", "somebody", "--spid", SPID.hex(), "--linkable")["facts"]
    assert made.services.attestation.subscriber(subscribed["primary"]).linkable
    assert command("renew-key", SPID.hex())["facts"]["primary"] != subscribed["primary"]
    assert made.services.attestation.subscriber(subscribed["primary"]) is None
    linkable = tmp_path / "l"
    linkable.write_bytes(made.new_quote(sign_type=SignType.LINKABLE))
    assert command("shut-out", str(linkable))["facts"]["entries"] == 1
    assert command("lists")["facts"][f"{SPID.hex()}.{gid}.version"] == 1
    assert command("revoke", "signature", str(quote))["facts"]["version"] == 1
    key = tmp_path / "k"
    key.write_bytes(member_key(made))
    assert command("revoke", "key", str(key))["facts"]["entries"] == 1
    out = tmp_path / "list"
    assert command("publish", "sigrl", gid, "--out", str(out))["facts"]["bytes"] == len(out.read_bytes()) == 208
    assert command("revoke", "group", gid, "--reason", "1")["facts"]["revocation_reason"] == 1
    assert json.loads(made.services.attestation.report(made.quote).body)["isvEnclaveQuoteStatus"] == "GROUP_REVOKED"
    assert len(command("admin-key", "me")["facts"]["key"]) == 32 and command("admin-keys")["facts"] == {"me.key": True}
    assert command("admin-key", "me", "--remove")["facts"]["removed"] is True
    assert command("pse", "ab" * 32, "REVOKED")["facts"]["status"] == "REVOKED"
    assert command("unsubscribe", SPID.hex())["facts"]["active"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        ("tcb", "00000000", "--joins"),
        ("tcb", "xyz"),
        ("tcb", "00000000", "--advisory", "A", "--no-advisories"),
        ("revoke", "group", "00000000"),
        ("revoke", "key", "/nowhere"),
        ("shut-out",),
        ("publish", "list", "--out", "x"),
        ("publish", "sigrl", "--out", "x"),
        ("renew-key", "00" * 16),
        ("unsubscribe", "00" * 16),
        ("pse", "ab" * 32, "GOOD"),
        ("pse", "ab", "OK"),
        ("admin-key", "nobody", "--remove"),
        ("subscribe", ""),
    ],
)
def test_commands_that_cannot_be(home, arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(["service", *arguments, "--json", "--home", str(home.root)]) == 2
    error = json.loads(capsys.readouterr().out)
    assert error["type"] == "error" and error["message"]
