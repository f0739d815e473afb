"""Opening a chip by its URL, what the client says about it, and what it must never say."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import tty
from importlib.metadata import EntryPoint

import pytest
import serial
from fusequote import arch
from fusequote.chip import (
    BlockError,
    Chip,
    ChipFault,
    LifeCycle,
    LinkError,
    Op,
    SgxError,
    Ticket,
    TraceEvent,
    commands,
    open_chip,
    transport,
)
from fusequote.chip.handles import Handle
from fusequote.errors import EnvironmentProblem, FusequoteError, UsageError
from test_client_faults import BASE, building, expected_measurement, secs, sigstruct, whole_session


class Log(list[TraceEvent]):
    """A trace that keeps all."""

    wants_cycles = True

    def __call__(self, event: TraceEvent) -> None:
        self.append(event)


def ready_chip(**options) -> Chip:
    """A manufactured, locked chip with the sample's signer in LEPUBKEYHASH."""
    chip = open_chip("model://?seed=client", **options)
    chip.fuse_manufacture(
        root_provisioning_key=b"k" * 16,
        device_id=b"\xd0" * 16,
        cpusvn=bytes(16),
        provisioning_signers=(bytes(32), bytes(32)),
        lepubkeyhash=bytes(32),
    )
    chip.fuse_lock()
    chip.reset()
    chip.set_lepubkeyhash(sigstruct().mrsigner)
    return chip


def test_a_session_by_single_methods():
    """The same enclave command by command, without the stream."""
    with ready_chip() as chip:
        assert chip.identity.life_cycle is LifeCycle.LOCKED
        assert chip.identify().to_dict()["device_id"] == "d0" * 16
        status = chip.fuse_status()
        assert (status.cpusvn_generations, status.map_version) == (1, 1)
        assert chip.cycles() == 0
        chip.set_ownerepoch(bytes(16))
        handle = chip.ecreate(secs(), arch.SecInfo())
        for command in building(handle):
            assert chip.raw(command.op, command.body) == (0, b"")
        chip.einit(handle, sigstruct(), bytes(304))
        info = chip.slot_info(handle)
        assert (info.mrenclave, info.reportdata) == (expected_measurement(), bytes(64))

        entry = chip.eenter(handle, BASE)
        assert (entry.cssa, entry.address) == (0, BASE)
        report = chip.ereport(entry.ticket, info.target(), b"r" * 64)
        assert report.body == info.replace(reportdata=b"r" * 64)
        assert chip.verifyreport(entry.ticket, report)
        assert not chip.verifyreport(entry.ticket, report.replace(keyid=bytes(32)))
        chip.aex(handle, BASE)
        again = chip.eresume(handle, BASE)
        assert again.ticket != entry.ticket
        with pytest.raises(ChipFault, match="EEXIT: #GP: no entry with this ticket"):
            chip.eexit(entry.ticket)
        with pytest.raises(SgxError, match="SGX_ENCLAVE_ACT"):
            chip.eremove(handle)
        chip.eexit(again.ticket)
        chip.eremove(handle)
        with pytest.raises(ChipFault, match="#PF"):
            chip.slot_info(handle)
    chip.close()


def test_refusals_are_typed():
    with open_chip("model://") as chip:
        assert chip.identity.life_cycle is LifeCycle.BLANK
        with pytest.raises(BlockError, match="BLOCK_LIFE_CYCLE") as caught:
            chip.fuse_lock()
        assert caught.value.hint
        assert chip.raw(0x7F) == (0x4001, b"")
        assert chip.raw(0xFF, b"x") == (0x4001, b"")
        assert chip.raw(0x0F) == (0x4001, b"")
        assert chip.raw(Op.EEXIT, b"short") == (0x4002, b"")
        assert chip.raw(0x80, bytes(4606))[0] == 0x4001


@pytest.mark.parametrize(
    "call",
    [
        lambda chip: chip.raw(0x100),
        lambda chip: chip.raw(Op.EINIT, bytes(4607)),
        lambda chip: chip.set_lepubkeyhash(bytes(31)),
        lambda chip: chip.set_ownerepoch("0123456789abcdef"),
        lambda chip: chip.ecreate(4096),
        lambda chip: chip.eadd(Handle(0, 0), 1 << 64, arch.SecInfo(flags=arch.PT_REG_FLAGS)),
        lambda chip: chip.eadd(Handle(0, 0), 0, arch.SecInfo(flags=arch.PT_TCS_FLAGS)),
        lambda chip: chip.eadd(Handle(0, 0), 0, arch.SecInfo(flags=arch.PT_TCS_FLAGS), bytes(4095)),
        lambda chip: chip.eextend(Handle(0, 0), 0, 0),
        lambda chip: chip.eextend(Handle(0, 0), 0, 17),
        lambda chip: chip.eextend(Handle(0, 0), 0, 2, bytes(256)),
        lambda chip: chip.einit(Handle(0, 0), arch.SigStruct(), bytes(303)),
        lambda chip: chip.eenter(Handle(0, 0), -1),
        lambda chip: chip.egetkey(Ticket(bytes(16)), arch.TargetInfo().to_bytes()[:-1]),
    ],
)
def test_what_is_no_request_is_not_sent(call):
    with open_chip("model://") as chip:
        sent = chip.stats.bytes_out
        with pytest.raises(UsageError):
            call(chip)
        assert chip.stats.bytes_out == sent


def test_tickets_and_keys_are_never_shown(caplog):
    """Not in the trace, not in representations, not in errors: neither raw nor in hex."""
    caplog.set_level(logging.DEBUG)
    log = Log()
    secret: list[bytes] = [b"k" * 16]
    text: list[object] = []
    with ready_chip(trace=log) as chip:
        handle = chip.ecreate(secs())
        chip.pipeline(building(handle))
        chip.einit(handle, sigstruct())
        entry = chip.eenter(handle, BASE)
        secret.append(entry.ticket.to_bytes())
        request = arch.KeyRequest(keyname=arch.KeyName.SEAL, keypolicy=1)
        secret.append(chip.egetkey(entry.ticket, request))
        report = chip.ereport(entry.ticket, arch.TargetInfo(), bytes(64))
        chip.verifyreport(entry.ticket, report)
        text += [
            entry,
            entry.ticket,
            commands.eexit(entry.ticket),
            commands.egetkey(entry.ticket, request),
        ]
        chip.aex(handle, BASE)
        entry = chip.eresume(handle, BASE)
        secret.append(entry.ticket.to_bytes())
        chip.eexit(entry.ticket)
        with pytest.raises(ChipFault) as caught:
            chip.egetkey(entry.ticket, request)
        text += [caught.value, caught.getrepr(style="short"), chip, chip.stats]
    text += [log, [event.to_dict() for event in log], caplog.text]
    shown = " ".join(f"{item!r} {item}" for item in text)
    for value in secret:
        assert value.hex() not in shown
        assert repr(value)[2:-1] not in shown
    assert "<ticket>" in shown
    assert "<key>" in shown
    names = [event.name for event in log]
    assert names[:3] == ["FUSE_MANUFACTURE", "FUSE_LOCK", "SET_LEPUBKEYHASH"]
    assert names.count("EEXTEND") == len(building(handle)) // 2
    assert [event.seq for event in log[2:]] == list(range(1, len(log) - 1))
    assert log[-1].status_name == "#GP"
    create = log[names.index("ECREATE")]
    assert (create.request_size, create.answer_size, create.cycles) == (4160, 9, 0)
    assert create.wire_out >= 4160 + 8


def test_trace_without_cycles_asks_for_none():
    class Quiet(Log):
        wants_cycles = False

    quiet, loud = Quiet(), Log()
    with ready_chip(trace=quiet) as chip:
        silent_bytes = chip.stats.bytes_out
        assert all(event.cycles is None for event in quiet)
    with ready_chip(trace=loud) as chip:
        assert chip.stats.bytes_out > silent_bytes
        assert all(event.cycles == 0 for event in loud)


def test_fuses_survive_closing(tmp_path):
    url = f"model://?fuses={tmp_path / 'chip.fuses'}&seed=x"
    with open_chip(url) as chip:
        issued = whole_session(chip)
        assert chip.stats.commands == len(issued)
    with open_chip(url) as chip:
        assert chip.identity.life_cycle is LifeCycle.LOCKED
        assert repr(chip) == f"Chip({url!r}, device {b'd'.hex() * 16})"


@contextlib.contextmanager
def bridge(receive, send):
    """The reference model behind two functions: bytes from the client (b"" at its end), bytes to it."""
    chip, _ = transport.open_port("model://?seed=bridge", 115200)

    def carry() -> None:
        with contextlib.suppress(OSError):
            while data := receive():
                chip.write(data)
                send(chip.read(chip.in_waiting))

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    yield
    thread.join(10)
    chip.close()
    assert not thread.is_alive()


def test_over_a_socket():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        sockets: list[socket.socket] = []

        def receive() -> bytes:
            if not sockets:
                sockets.append(server.accept()[0])
            return sockets[0].recv(65536)

        with bridge(receive, lambda data: sockets[0].sendall(data)), open_chip(url) as chip:
            whole_session(chip)
        sockets[0].close()


def test_a_socket_that_is_closed_in_the_middle():
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        with pytest.raises(LinkError, match="cannot (read|write)"):
            open_chip(f"socket://127.0.0.1:{server.getsockname()[1]}")


def test_over_a_terminal_line():
    """A real tty of the kernel: raw mode, exclusive use, nothing eaten on the way."""
    master, slave = os.openpty()
    tty.setraw(master)
    name = os.ttyname(slave)
    with bridge(lambda: os.read(master, 65536), lambda data: os.write(master, data)):
        with open_chip(name, baudrate=1_000_000) as chip:
            whole_session(chip)
            with pytest.raises(LinkError, match="another program has it open"):
                open_chip(name)
        os.close(slave)
    os.close(master)


@pytest.mark.parametrize(
    ("url", "kind", "says"),
    [
        ("nonsense://", UsageError, "'nonsense' not known"),
        ("model://?colour=blue", UsageError, "colour"),
        ("/dev/ttyNotThere", LinkError, "there is no such port"),
        ("socket://127.0.0.1:1", LinkError, "refused"),
        ("socket://127.0.0.1", UsageError, "host and port are wanted"),
        ("socket://127.0.0.1:x", UsageError, "host and port are wanted"),
        ("rfc2217://:2217", UsageError, "host and port are wanted"),
        ("", UsageError, "address is empty"),
        ("rfc2217://127.0.0.1:1", LinkError, "refused"),
        ("/etc/passwd", LinkError, "cannot be opened"),
    ],
)
def test_urls_that_lead_nowhere(url, kind, says):
    with pytest.raises(kind, match=says) as caught:
        open_chip(url)
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_no_permission(monkeypatch):
    def refuse(url, **_):
        raise serial.SerialException(13, f"could not open port {url}: [Errno 13] Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(EnvironmentProblem, match="no permission") as caught:
        open_chip("/dev/ttyUSB0")
    assert "dialout" in caught.value.hint


@pytest.mark.parametrize(
    ("package", "scheme"), [("not_there", "far"), ("fusequote.chip.urlhandler", "far")]
)
def test_a_scheme_that_cannot_be_loaded(monkeypatch, package, scheme):
    points = [EntryPoint(scheme, package, transport.GROUP)]
    monkeypatch.setattr(transport, "entry_points", lambda group: points)
    with pytest.raises(EnvironmentProblem, match="far:// is installed, but cannot be loaded") as caught:
        open_chip("far://")
    assert caught.value.hint == "pip install 'fusequote[far]'"
    assert package not in serial.protocol_handler_packages or package == "fusequote.chip.urlhandler"


def test_a_handler_of_somebody_elses(monkeypatch, tmp_path):
    """Only the package that is needed is imported, and what its handler raises on purpose comes through."""
    package = tmp_path / "elsewhere"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "protocol_elsewhere.py").write_text(
        "from fusequote.errors import EnvironmentProblem\n"
        "class Serial:\n"
        "    def __init__(self, *args, **kwargs): pass\n"
        "    def open(self): raise EnvironmentProblem('no g++', hint='apt install g++')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [EntryPoint(name, name, transport.GROUP) for name in ("elsewhere", "breaks_at_import")]
    (tmp_path / "breaks_at_import.py").write_text("raise SystemExit('loaded for nothing')\n")
    monkeypatch.setattr(transport, "entry_points", lambda group: points)
    monkeypatch.setattr(serial, "protocol_handler_packages", ["serial.urlhandler"])
    with pytest.raises(EnvironmentProblem, match=r"no g\+\+"):
        open_chip("elsewhere://")


@pytest.mark.parametrize("option", ["baudrate", "timeout", "first_timeout", "retry_after"])
def test_options_must_make_sense(option):
    with pytest.raises(FusequoteError):
        open_chip("model://", **{option: 0})
