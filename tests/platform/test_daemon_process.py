"""Daemon, relying party and TLS server as processes: ready lines, signals, and a chip that is never left locked."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest
from fusequote.chain import Platform, simulated_chip_url
from fusequote.platform.client import PlatformClient
from fusequote.platform.daemon_claim import ChipBusy

MAIN = [sys.executable, "-c", "import sys; from fusequote.cli import main; sys.exit(main())"]


def environment(home):
    return {**os.environ, "FUSEQUOTE_HOME": str(home.root)}


@contextlib.contextmanager
def running(home, *arguments):
    """The process and its ready line."""
    process = subprocess.Popen(
        [*MAIN, *arguments], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        yield process, json.loads(line or json.dumps({"died": process.wait(), "said": process.stderr.read()}))
    finally:
        process.kill()
        process.communicate()


def run(home, *arguments):
    done = subprocess.run([*MAIN, *arguments], env=environment(home), capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def socket(home, tmp_path):
    return str(tmp_path / "d.sock")


def test_daemon_exchange_and_tls_between_processes(home, socket):
    with running(home, "serve", "platform", "--chip", "model://", "--socket", socket) as (daemon, ready):
        assert ready["ready"] == "platform" and ready["pid"] == daemon.pid and ready["socket"] == socket
        with pytest.raises(ChipBusy, match=f"process {daemon.pid}"):
            Platform(simulated_chip_url(home), home=home)
        with running(home, "relying-party", "--port", "0", "--once", "--json") as (party, heard):
            code, said = run(
                home, "attest", "--exchange", heard["url"], "--platform", socket, "--message", "x", "--json"
            )
            assert code == 0 and said["facts"]["status"] == "trusted" and len(said["facts"]["answer"]) == 64
            assert party.wait(60) == 0
            assert json.loads(party.stdout.readline())["verdict"]["accepted"] is True
        with running(home, "ratls", "serve", "--port", "0", "--platform", socket) as (server, heard):
            address = f"127.0.0.1:{heard['port']}"
            code, said = run(home, "ratls", "connect", address, "--message", "hello", "--json")
            assert code == 0 and said["verdict"]["accepted"] and said["facts"]["answer"] == "hello"
            code, said = run(home, "ratls", "connect", address, "--mrenclave", "00" * 32, "--json")
            assert code == 10 and said["verdict"]["reasons"][0]["code"] == "policy.mrenclave"
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0 and not os.path.exists(socket)


def test_killed_at_any_moment_it_leaves_no_locked_chip(home, socket):
    for _ in range(2):
        with running(home, "serve", "platform", "--chip", "model://", "--socket", socket) as (daemon, ready):
            assert ready["ready"] == "platform"
            with PlatformClient(socket) as client:
                assert client.init_quote()
                daemon.kill()
                daemon.wait()
    with Platform(simulated_chip_url(home), home=home) as platform:
        assert platform.is_provisioned()


def test_a_tcp_relying_party_that_trusts_nobody_here(home):
    arguments = ("relying-party", "--transport", "tcp", "--port", "0", "--once", "--mrsigner", "11" * 32)
    with running(home, *arguments) as (party, heard):
        assert heard["url"].startswith("tcp://")
        code, said = run(home, "attest", "--chip", "model://", "--exchange", heard["url"], "--json")
        assert (code, said["kind"]) == (10, "exchange.not-trusted")
        assert party.wait(60) == 10
