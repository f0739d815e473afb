"""The whole chain by commands, against real servers over TLS that share nothing with the platform but their keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from chain_world import SPID, copy_home
from fusequote.cli.run import run
from fusequote.services.services import Services
from serving import Server

MAIN = (sys.executable, "-c", "import sys; from fusequote.cli import main; sys.exit(main())")
API = "/sgx/dev/attestation/v4"


class Operated(Server):
    """The real servers: the command line's first arguments say which."""

    program = MAIN


class World:
    """``maker``: home of chip, maker and platform; ``house``: that of the servers, with a store of its own."""

    def __init__(self, keyed_home, folder, capsys):
        self.maker, self.house = copy_home(keyed_home, folder / "maker"), copy_home(keyed_home, folder / "house")
        self.capsys, self.store = capsys, f"sqlite:///{self.house.root}/servers.db"
        options = ("--port", "0", "--tls", "--workers", "0", "--store", self.store)
        self.provisioning = Operated(self.house, "serve", "provisioning", *options, log=folder / "p.log")
        self.attestation = Operated(self.house, "serve", "attestation", *options, log=folder / "a.log")
        self.key = self.operate("subscribe", "tests", "--spid", SPID.hex())["primary"]

    def command(self, *arguments: str) -> tuple[int, dict]:
        """A command of the platform's home: exit code and document."""
        self.capsys.readouterr()
        code = run([*arguments, "--json", "--home", str(self.maker.root)])
        return code, json.loads(self.capsys.readouterr().out)

    def operate(self, *arguments: str) -> dict:
        """A `service` command over the servers' store, with the maker's records of the platform's home."""
        code, document = self.command("service", *arguments, "--store", self.store)
        assert code == 0, document
        return document["facts"]

    @property
    def device_id(self) -> str:
        return next(iter(self.maker.maker.glob("*.record"))).stem

    @property
    def servers(self) -> list[str]:
        """The options that name both servers."""
        at = ["--attestation", self.attestation.url.rstrip("/") + API, "--subscription-key", self.key]
        return ["--provisioning", self.provisioning.url, *at]

    def attest(self, *more: str) -> tuple[int, dict]:
        return self.command("attest", "--chip", "model://", "--spid", SPID.hex(), *self.servers, *more)

    def trust(self) -> None:
        """Give the platform the root of the servers' TLS certificates."""
        shutil.copy(self.house.keys / "tls-root.crt", self.maker.keys)

    def requests(self, server: Server) -> list[tuple[str, int]]:
        return [(line["route"], line["status"]) for line in server.lines() if "route" in line]


@pytest.fixture
def world(keyed_home, tmp_path, capsys):
    made = World(keyed_home, tmp_path, capsys)
    yield made
    for server in (made.provisioning, made.attestation):
        assert server.end() == 0


def codes(document: dict) -> list[str]:
    return [reason["code"] for reason in document.get("verdict", document)["reasons"]]


def test_from_the_fuse_to_the_verdict(world, tmp_path):
    assert world.command("manufacture", "--chip", "model://")[0] == 0
    # The platform does not know who these servers are, then they do not know its chip.
    code, error = world.attest()
    assert (code, error["kind"]) == (3, "provisioning-server-unreachable") and "certificate" in error["message"].lower()
    world.trust()
    code, document = world.attest()
    assert code == 10 and codes(document) == ["provision.device-unknown"]
    assert world.operate("device", "import")["count"] == 1
    quote = tmp_path / "quote"
    code, document = world.attest("--quote-out", str(quote))
    assert code == 0 and document["verdict"]["accepted"] and codes(document) == ["accepted"]
    # It was these servers that did it: in order, and nothing in the platform's own store.
    assert world.requests(world.provisioning)[-3:] == [("/", 200)] * 3
    assert [status for _, status in world.requests(world.attestation)] == [200, 200]
    gid = quote.read_bytes()[4:8][::-1]
    with Services(world.maker) as own:
        assert own.registry.group_key(gid) is None
    # A second run keeps the key: the provisioning server is not asked.
    before = len(world.requests(world.provisioning))
    assert world.attest()[0] == 0 and len(world.requests(world.provisioning)) == before

    # The parts, one by one, and a key exchange in which each side has the servers.
    again, at = tmp_path / "again", world.servers[2:]
    code, document = world.command(
        "quote", "--chip", "model://", "--spid", SPID.hex(), "--out", str(again), *world.servers
    )
    assert code == 0 and again.read_bytes()[4:8] == quote.read_bytes()[4:8]
    signer = document["facts"]["mrsigner"]
    code, document = world.command("verify", str(again), "--mrsigner", signer, *at)
    assert code == 0 and document["quote_status"] == "OK"
    # The home folder's own service knows no such group.
    code, document = world.command("verify", str(again), "--mrsigner", signer)
    assert code == 10 and codes(document) == ["status.signature-invalid"]
    exchange(world, at)
    daemon(world, tmp_path / "d.sock", at)


def daemon(world: World, socket, at: list[str]) -> None:
    """The platform daemon provisions with these servers, too, and its clients have their quotes judged there."""
    (world.maker.platform / f"{world.device_id}.epid").unlink()
    command = [*MAIN, "serve", "platform", "--chip", "model://", "--socket", str(socket), *world.servers[:2]]
    environment = {**os.environ, "FUSEQUOTE_HOME": str(world.maker.root)}
    before = len(world.requests(world.provisioning))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert json.loads(process.stdout.readline())["ready"] == "platform"
        out = socket.with_suffix(".quote")
        code, document = world.command("quote", "--platform", str(socket), "--spid", SPID.hex(), "--out", str(out), *at)
        assert code == 0, document
        process.terminate()
        assert process.wait(60) == 0
    assert len(world.requests(world.provisioning)) > before
    code, document = world.command("verify", str(out), "--mrsigner", document["facts"]["mrsigner"], *at)
    assert code == 0 and document["quote_status"] == "OK"


def exchange(world: World, at: list[str]) -> None:
    command = [*MAIN, "relying-party", "--port", "0", "--once", "--spid", SPID.hex(), *at]
    environment = {**os.environ, "FUSEQUOTE_HOME": str(world.maker.root)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as party:
        url = json.loads(party.stdout.readline())["url"]
        code, document = world.command(
            "attest", "--chip", "model://", "--exchange", url, "--message", "x", *world.servers[:2]
        )
        assert code == 0 and document["facts"]["status"] == "trusted"
        assert party.wait(60) == 0


def test_what_a_user_gets_wrong(world, tmp_path):
    world.trust()
    world.command("manufacture", "--chip", "model://")
    world.operate("device", "import")
    p, a = world.provisioning.url, world.attestation.url.rstrip("/") + API
    cases = [
        (2, "usage", ["--attestation", a]),
        (2, "usage", ["--provisioning", "nonsense"]),
        (2, "usage", ["--attestation", "nonsense", "--subscription-key", world.key]),
        (3, "provisioning-server-unreachable", ["--provisioning", "http://127.0.0.1:1/"]),
        (3, "provisioning-server-unreachable", ["--provisioning", a]),
        (3, "attestation-service", ["--provisioning", p, "--attestation", a, "--subscription-key", "0" * 32]),
        (3, "attestation-service", ["--provisioning", p, "--attestation", p, "--subscription-key", world.key]),
    ]
    for code, kind, options in cases:
        given, document = world.command("attest", "--chip", "model://", *options)
        assert (given, document["kind"]) == (code, kind), (options, document)
    # Also when the platform has its key, and nobody would be asked.
    assert world.command("attest", "--chip", "model://")[0] == 0
    code, document = world.command("quote", "--chip", "model://", "--provisioning", "nonsense")
    assert (code, document["kind"]) == (2, "usage")
    # A quote for nobody's SPID, and reports under another root than the one that is trusted.
    code, document = world.command("attest", "--chip", "model://", "--spid", "00" * 16, *world.servers)
    assert code == 10 and codes(document) == ["policy.spid"]
    code, document = world.attest("--root", str(world.house.keys / "tls-root.crt"))
    assert code == 10 and codes(document) == ["avr.chain-invalid"]
    code, document = world.command(
        "quote", "--platform", str(tmp_path / "d.sock"), "--spid", SPID.hex(), *world.servers
    )
    assert (code, document["kind"]) == (2, "usage") and "--platform" in document["message"]
