"""The platform daemon that owns the RTL chip, as a process: quotes through the socket, and clients kept apart."""

from __future__ import annotations

import json
import os
import signal
import socket as sockets
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from chain_world import SPID
from fusequote.chain import Platform, simulated_chip_url
from fusequote.chip import ChipFault
from fusequote.platform.client import PlatformClient
from fusequote.platform.daemon_claim import ChipBusy
from fusequote.platform.images import signed_sample
from fusequote.platform.signers import Signers
from fusequote.services.services import Services

MAIN = [sys.executable, "-c", "import sys; from fusequote.cli import main; sys.exit(main())"]
BUILT = Path(__file__).parents[2] / "build" / "test-cache" / "sim"


@pytest.fixture
def daemon(home, tmp_path):
    """`fusequote serve platform` on the sim:// chip of a home folder, which it manufactures: ready line and process."""
    BUILT.mkdir(parents=True, exist_ok=True)
    home.cache.mkdir(exist_ok=True)
    (home.cache / "sim").symlink_to(BUILT)
    command = [*MAIN, "serve", "platform", "--chip", "sim://", "--socket", str(tmp_path / "d.sock")]
    environment = {**os.environ, "FUSEQUOTE_HOME": str(home.root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield json.loads(line), process
        finally:
            process.kill()


@pytest.mark.rtl
@pytest.mark.slow
def test_one_rtl_chip_for_two_clients(home, daemon):
    ready, process = daemon
    path = ready["socket"]
    with pytest.raises(ChipBusy, match=f"process {process.pid}"):
        Platform(simulated_chip_url(home, "sim"), home=home)
    # The kernel says who listens there, too: the daemon, and nobody in its place.
    with sockets.socket(sockets.AF_UNIX) as raw:
        raw.connect(path)
        pid, uid, _ = struct.unpack("3i", raw.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, 12))
    assert (pid, uid) == (process.pid, os.getuid()) and os.stat(path).st_mode & 0o777 == 0o600

    image = signed_sample(Signers(home))
    with PlatformClient(path) as owner, PlatformClient(path) as other:
        assert owner.hello["device_id"] == ready["device_id"] and owner.hello["pid"] == process.pid
        application = owner.launch(image)
        target, gid = owner.init_quote()  # the chip joins its group
        assert target.mrenclave.hex() == ready["quoting_enclave"]
        report = application.report(target, b"on real gates")
        nonce = bytes(range(16))
        result = owner.get_quote(report.to_bytes(), spid=SPID, nonce=nonce)
        application.check_quote(target, result.qe_report, nonce, result.quote)

        # Slots and tickets of one client are nothing to the other: refused by the daemon, not by luck of numbers.
        launched = application.enclave.launched
        for attempt in (
            lambda: other.chip.eenter(launched.handle, launched.tcs[0]),
            lambda: other.chip.slot_info(launched.handle),
            lambda: other.chip.eremove(launched.handle),
        ):
            with pytest.raises(ChipFault):
                attempt()
        entry = owner.chip.eenter(launched.handle, launched.tcs[0])
        for attempt in (
            lambda: other.chip.ereport(entry.ticket, bytes(512), bytes(64)),
            lambda: other.chip.eexit(entry.ticket),
        ):
            with pytest.raises(ChipFault):
                attempt()
        owner.chip.ereport(entry.ticket, bytes(512), bytes(64))
        owner.chip.eexit(entry.ticket)
        # The other one has the same enclave for itself, in a slot of its own, and its quote is another one.
        twin = other.launch(image)
        assert twin.enclave.identity.mrenclave == application.enclave.identity.mrenclave
        assert twin.enclave.launched.handle != launched.handle
        second = other.get_quote(twin.report(target, b"as well").to_bytes(), spid=SPID).quote

        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0 and not os.path.exists(path)
    with Services(home) as services:
        assert services.registry.group_key(gid[::-1]) is not None
        for quote in (result.quote, second):
            assert b'"isvEnclaveQuoteStatus":"OK"' in services.attestation.report(quote, "n").body
    # The chip was left as it should be: the next one opens it, and has its key still.
    with Platform(f"{simulated_chip_url(home, 'sim')}&cache={home.cache}", home=home) as platform:
        assert platform.device_id.hex() == ready["device_id"] and platform.is_provisioned()
        assert platform.gid() == gid[::-1]
