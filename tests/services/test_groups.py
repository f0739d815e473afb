"""The operator opens groups and revokes devices: by command and by the admin API, and what cannot be."""

from __future__ import annotations

import json

import ias_world
import pytest
from chain_world import copy_home, make_ready, refused
from fusequote.cli.run import run
from fusequote.errors import UsageError
from fusequote.maker import RecordBook
from fusequote.platform.images import AE_ISVSVN
from fusequote.platform.pce import PCE_ISVSVN
from fusequote.services.attestation_subscriptions import Subscriptions
from fusequote.verdict import Reason

NEW = "02" * 16


@pytest.fixture
def cli(home, capsys):
    made = make_ready(home)

    def command(*arguments: str, code: int = 0) -> dict:
        capsys.readouterr()
        assert run(["service", *arguments, "--json", "--home", str(home.root)]) == code
        document = json.loads(capsys.readouterr().out)
        return document["facts"] if code == 0 else document

    yield made, command
    made.platform.close()


def test_a_group_for_a_new_tcb(cli):
    made, command = cli
    opened = command("group", "open", "--cpusvn", NEW)
    assert (opened["cpusvn"], opened["isvsvn"], opened["pce_svn"]) == (NEW, AE_ISVSVN, PCE_ISVSVN)
    assert opened["joins"] is True and opened["out_of_date"] is False
    assert command("groups")[f"{opened['gid']}.cpusvn"] == NEW
    # A chip below it stays where it is.
    made.platform.provision()
    assert made.platform.gid().hex() != opened["gid"]
    # One group takes the platforms of one TCB; a closed or revoked one is in nobody's way.
    again = command("group", "open", "--cpusvn", NEW, code=2)
    assert opened["gid"] in again["message"] and "--no-joins" in again["hint"]
    command("tcb", opened["gid"], "--no-joins")
    second = command("group", "open", "--cpusvn", NEW)
    command("revoke", "group", second["gid"])
    third = command("group", "open", "--cpusvn", NEW)
    other = command("group", "open", "--cpusvn", NEW, "--isvsvn", "2", "--pce-svn", "3")
    assert (other["isvsvn"], other["pce_svn"]) == (2, 3)
    assert len({opened["gid"], second["gid"], third["gid"], other["gid"]}) == 4


def test_groups_and_devices_for_people(cli, capsys, monkeypatch):
    """On a narrow terminal, too, every identifier is there whole; what is said of a group is said in words."""
    made, command = cli
    gid, home = made.platform.gid().hex(), str(made.platform.home.root)
    command("tcb", gid, "--out-of-date", "--advisory", "EMULATED-SA-00001")
    other = command("group", "open", "--cpusvn", NEW)["gid"]
    command("revoke", "group", other, "--reason", "1")
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    assert run(["service", "groups", "--home", home]) == 0
    shown = capsys.readouterr().out
    assert gid in shown and other in shown and "…" not in shown
    assert "revoked (reason 1)" in shown and "out of date" in shown
    assert run(["service", "device", "list", "--home", home]) == 0
    assert made.platform.device_id.hex() in capsys.readouterr().out


def test_a_group_for_a_rekey(cli):
    made, command = cli
    platform, gid = made.platform, made.platform.gid()
    opened = command("group", "rekey", gid.hex())
    assert opened["of"] == gid.hex() and opened["joins"] is True
    assert command("groups")[f"{gid.hex()}.joins"] is False
    assert "already" in command("group", "rekey", gid.hex(), code=2)["message"]
    assert len(made.services.registry.levels()) == 2  # what was refused left no group behind
    platform.provision(rekey=True)
    assert platform.gid().hex() == opened["gid"]
    command("revoke", "group", opened["gid"])
    assert "revoked" in command("group", "rekey", opened["gid"], code=2)["message"]


def test_two_rekeys_at_once_make_one_group(cli, monkeypatch):
    """Both have seen that there is none: the store lets one of them in, whole, and the other not at all."""
    made, _ = cli
    members, gid = made.services.provisioning.members, made.platform.gid()
    create, made_first = members.registry.create_group, []

    def interrupted(*arguments):
        monkeypatch.undo()
        made_first.append(members.create_rekey_group(gid))
        return create(*arguments)

    monkeypatch.setattr(members.registry, "create_group", interrupted)
    with pytest.raises(UsageError, match="already"):
        members.create_rekey_group(gid)
    assert members.successor(gid).gid == made_first[0] and len(members.registry.levels()) == 2


def test_devices(cli, tmp_path):
    made, command = cli
    own = made.platform.device_id.hex()
    assert command("device", "list") == {f"{own}.cpusvn": "01" * 16, f"{own}.revoked": False}
    # A store of its own, as a server elsewhere has it: empty until the maker's records are imported.
    store = ("--store", f"sqlite:///{tmp_path}/other.db")
    assert command("device", "list", *store) == {}
    assert command("device", "import", *store) == {"devices": own, "count": 1}
    assert command("device", "import", own, *store)["count"] == 1  # once more changes nothing
    assert command("device", "list", *store)[f"{own}.revoked"] is False
    assert len([name for name in command("groups", *store) if name.endswith(".gid") or name.endswith(".joins")]) == 1
    record = RecordBook(made.platform.home).load(made.platform.device_id)
    assert record.root_provisioning_key not in (tmp_path / "other.db").read_bytes()
    assert command("device", "revoke", own)["revoked"] is True
    assert command("device", "list")[f"{own}.revoked"] is True
    with refused(Reason.DEVICE_REVOKED):
        made.platform.provision()


@pytest.mark.parametrize(
    "arguments",
    [
        ("group", "open"),
        ("group", "open", "--cpusvn", "02"),
        ("group", "open", "--cpusvn", "xx" * 16),
        ("group", "open", "--cpusvn", NEW, "--isvsvn", "65536"),
        ("group", "open", "--cpusvn", NEW, "--pce-svn", "-1"),
        ("group", "open", "--cpusvn", NEW, "--store", "nonsense://"),
        ("group", "rekey", "00000000"),
        ("group", "rekey", "xyz"),
        ("device", "import", "00" * 16),
        ("device", "import", "00"),
        ("device", "revoke", "00" * 16),
        ("device", "revoke", "xyz"),
    ],
)
def test_commands_that_cannot_be(home, arguments, capsys):
    assert run(["service", *arguments, "--json", "--home", str(home.root)]) == 2
    error = json.loads(capsys.readouterr().out)
    assert error["type"] == "error" and error["message"]


def test_the_admin_api(keyed_home, tmp_path):
    world = ias_world.make_world(make_ready(copy_home(keyed_home, tmp_path)))
    made = world.made
    key = Subscriptions(made.services.store).new_admin_key("operator")
    gid, own = made.platform.gid().hex(), made.platform.device_id.hex()
    try:
        opened = world.admin("POST", "/groups", key, json={"cpusvn": NEW})
        assert opened.status_code == 201 and opened.json()["cpusvn"] == NEW
        assert world.admin("GET", f"/groups/{opened.json()['gid']}", key).json() == opened.json()
        rekeyed = world.admin("POST", f"/groups/{gid}/rekey", key)
        assert rekeyed.status_code == 201 and rekeyed.json()["cpusvn"] == "01" * 16
        assert world.admin("GET", f"/devices/{own}", key).json() == {
            "device_id": own, "cpusvn": "01" * 16, "revoked": False,
        }  # fmt: skip
        for wanted, method, path, body in [
            (400, "POST", "/groups", {"cpusvn": NEW}),
            (422, "POST", "/groups", {}),
            (422, "POST", "/groups", {"cpusvn": "02"}),
            (422, "POST", "/groups", {"cpusvn": NEW, "isvsvn": 65536}),
            (422, "POST", "/groups", {"cpusvn": NEW, "pce_svn": "1"}),
            (422, "POST", "/groups", {"cpusvn": NEW, "joins": True}),
            (400, "POST", f"/groups/{gid}/rekey", None),
            (404, "POST", "/groups/00000000/rekey", None),
            (422, "POST", "/groups/xyz/rekey", None),
            (404, "GET", "/devices/" + "0" * 32, None),
            (404, "POST", "/devices/" + "0" * 32 + "/revocation", None),
            (422, "POST", "/devices/xyz/revocation", None),
        ]:
            answer = world.admin(method, path, key, **({} if body is None else {"json": body}))
            assert answer.status_code == wanted, (path, body, answer.text)
            assert set(answer.json()["error"]) == {"kind", "message", "hint"}
            assert world.admin(method, path, "0" * 32).status_code == 401
        assert world.admin("POST", f"/devices/{own}/revocation", key).json()["revoked"] is True
        with refused(Reason.DEVICE_REVOKED):
            made.platform.provision()
    finally:
        world.context.workers.close()
        made.platform.close()
