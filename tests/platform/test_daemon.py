"""The platform daemon with real clients over a real socket: slots, tickets, quotes, limits."""

import contextlib
import dataclasses
import os
import socket
import struct
import threading

import pytest
from chain_world import SPID, Ready, copy_home, flip, make_ready, refused
from fusequote.arch import GroupFlags, PlatformInfoBlob, Psvn, SignType, TcbFlags
from fusequote.chip import BlockError, ChipFault
from fusequote.chip.ops import Command, Op
from fusequote.epid import Member, SigRl
from fusequote.errors import EnvironmentProblem, FusequoteError, UsageError
from fusequote.platform.client import PlatformClient
from fusequote.platform.daemon import Daemon, Limits
from fusequote.platform.daemon_calls import Calls, UpdateInfo
from fusequote.platform.daemon_claim import ChipBusy, check_free, claim
from fusequote.platform.daemon_slots import Broker
from fusequote.platform.daemon_turns import SharedChip, Turns
from fusequote.platform.daemon_wire import Call, Frames, PlatformCode, PlatformError, QuoteRequest
from fusequote.platform.epidblob import public_text
from fusequote.platform.epidfiles import ecdsa_sign, sign_sigrl
from fusequote.platform.images import signed_sample
from fusequote.platform.signers import Signers
from fusequote.verdict import Reason


def raises(code):
    return pytest.raises(PlatformError, check=lambda error: error.code is code)


@dataclasses.dataclass
class House:
    """A daemon that runs in a thread, and what the tests turn about it."""

    ready: Ready
    path: str
    daemon: Daemon
    device: object
    now: list[float]
    told: list[str]
    tcb: list[Psvn]

    def client(self) -> PlatformClient:
        return PlatformClient(self.path)

    def image(self):
        return signed_sample(Signers(self.ready.platform.home))


@contextlib.contextmanager
def running(home, folder, **limits):
    ready = make_ready(home)
    platform, turns, now, told, tcb = ready.platform, Turns(), [0.0], [], []
    platform.remove(ready.application.enclave)
    device = platform.chip
    shared = SharedChip(device, turns)
    platform.chip = shared
    # The Quoting Enclave was launched before the daemon was: its chip is the shared one from here on.
    enclave = platform.quoting_enclave.enclave
    object.__setattr__(enclave, "launched", dataclasses.replace(enclave.launched, chip=shared))
    own = enclave.identity
    current = Psvn(cpusvn=own.cpusvn, isvsvn=own.isvsvn)
    limit = Limits(**limits)
    broker = Broker(device, turns, own=1, lease=limit.lease, clock=lambda: now[0])
    calls = Calls(
        platform,
        platform.services.constants,
        current=lambda: tcb[0] if tcb else current,
        issued=lambda: public_text(platform.home.read(platform.blob_path)).psvn,
        make_room=broker.make_room,
    )
    path = folder / "d.sock"
    daemon = Daemon(path, device, broker, calls, limits=limit, tell=told.append, clock=lambda: now[0])
    thread = threading.Thread(target=daemon.serve)
    thread.start()
    try:
        yield House(ready, str(path), daemon, device, now, told, tcb)
    finally:
        daemon.stop()
        thread.join()
        assert not path.exists()
        platform.chip = device
        object.__setattr__(enclave, "launched", dataclasses.replace(enclave.launched, chip=device))
        platform._launched[:] = [enclave.launched]
        # Whatever the clients did, the daemon left the chip with its own enclave only.
        assert device.slot_info(enclave.launched.handle).mrenclave == own.mrenclave
        handles = [device.ecreate(house_secs(home)) for _ in range(device.identity.slots - 1)]
        for handle in handles:
            device.eremove(handle)
        platform.close()


def house_secs(home):
    from fusequote.enclave.load import base_for

    secs = signed_sample(Signers(home)).secs
    return secs.replace(baseaddr=base_for(secs))


@pytest.fixture(scope="module")
def house(keyed_home, tmp_path_factory):
    with running(copy_home(keyed_home, tmp_path_factory.mktemp("daemon")), tmp_path_factory.mktemp("socket")) as house:
        yield house


@pytest.fixture
def world(keyed_home, tmp_path):
    """A daemon of a test's own, with few places and short patience."""
    with running(copy_home(keyed_home, tmp_path), tmp_path, connections=2, lease=100.0, patience=5.0) as house:
        yield house


def make_quote(client, house, **options):
    application = client.launch(house.image())
    target, _ = client.init_quote()
    report = application.report(target, b"data")
    return application, target, client.get_quote(report.to_bytes(), spid=SPID, **options)


# Quotes


def test_an_application_gets_its_quote(house):
    with house.client() as client:
        assert client.hello["pid"] == os.getpid() and client.hello["emulated"] is True
        assert client.get_extended_epid_group_id() == 0
        nonce = bytes(range(16))
        application, target, result = make_quote(client, house, nonce=nonce)
        assert client.init_quote()[1] == house.ready.platform.gid()[::-1]
        assert len(result.quote) == client.calc_quote_size() == 1116
        application.check_quote(target, result.qe_report, nonce, result.quote)
        with refused(Reason.QE_REPORT):
            application.check_quote(target, result.qe_report, bytes(16), result.quote)
        service = house.ready.services.attestation
        assert b'"isvEnclaveQuoteStatus":"OK"' in service.report(result.quote, "n").body


def test_without_a_nonce_there_is_no_qe_report(house):
    with house.client() as client:
        assert make_quote(client, house)[2].qe_report is None


def sigrl_of(house, entries):
    gid, services = house.ready.platform.gid(), house.ready.services
    head = gid + (1).to_bytes(4, "big") + (len(entries)).to_bytes(4, "big")
    return sign_sigrl(SigRl.from_bytes(head + b"".join(entries), gid_size=4), services.keys.epid_signing)


def foreign_entry(house):
    group = house.ready.services.registry.group_key(house.ready.platform.gid())
    return Member.join_request(group, bytes(32))[0].to_bytes()[:64] * 2


def test_quotes_carry_proofs_for_the_sigrl(house):
    with house.client() as client:
        sigrl = sigrl_of(house, [foreign_entry(house)] * 2)
        _, _, result = make_quote(client, house, sigrl=sigrl)
        assert len(result.quote) == client.calc_quote_size(sigrl) == 1116 + 2 * 160


def test_what_the_quoting_enclave_refuses_arrives_as_that(house):
    with house.client() as client:
        application = client.launch(house.image())
        target, _ = client.init_quote()
        report = application.report(target, b"").to_bytes()
        with refused(Reason.REPORT_MAC):
            client.get_quote(flip(report, 8 * 320), spid=SPID)
        own = application.report(application.enclave.target_info, b"").to_bytes()
        with refused(Reason.REPORT_MAC):
            client.get_quote(own, spid=SPID)
        sigrl = sigrl_of(house, [foreign_entry(house)])
        with refused(Reason.SIGRL_SIGNATURE):
            client.get_quote(report, spid=SPID, sigrl=flip(sigrl, 8 * len(sigrl) - 1))
        with refused(Reason.SIGRL_GROUP):
            client.get_quote(report, spid=SPID, sigrl=flip(sigrl, 8 * 4))


def test_get_quote_s_own_checks(house):
    with house.client() as client:
        report = bytes(432)
        good = QuoteRequest(report, 0, SPID, None, 1116, b"")
        for wrong in (
            dataclasses.replace(good, size=1115),
            dataclasses.replace(good, sign_type=2),
            dataclasses.replace(good, sigrl=b"nonsense"),
        ):
            with raises(PlatformCode.PARAMETER):
                client._call(Call.GET_QUOTE, wrong.to_bytes())
        no_flag = bytearray(dataclasses.replace(good, nonce=bytes(range(16))).to_bytes())
        no_flag[434] = 0
        with raises(PlatformCode.PARAMETER):
            client._call(Call.GET_QUOTE, bytes(no_flag))
        with raises(PlatformCode.PARAMETER):
            client._call(Call.GET_QUOTE, good.to_bytes()[:-1])
        for options in ({"spid": bytes(15)}, {"spid": SPID, "nonce": bytes(15)}):
            with pytest.raises(UsageError):
                client.get_quote(report, **options)
        with refused(Reason.REPORT_MAC):  # good arguments about a REPORT that is none
            client.get_quote(report, spid=SPID, sign_type=SignType.LINKABLE)


# Slots and tickets: level L1


def test_another_client_s_enclave_does_not_exist(house):
    with house.client() as owner, house.client() as thief:
        launched = owner.launch(house.image()).enclave.launched
        for attempt in (
            lambda: thief.chip.eenter(launched.handle, launched.tcs[0]),
            lambda: thief.chip.slot_info(launched.handle),
            lambda: thief.chip.eremove(launched.handle),
            lambda: thief.chip.aex(launched.handle, launched.tcs[0]),
        ):
            with pytest.raises(ChipFault):
                attempt()
        entry = owner.chip.eenter(launched.handle, launched.tcs[0])
        with pytest.raises(ChipFault):
            thief.chip.ereport(entry.ticket, bytes(512), bytes(64))
        with pytest.raises(ChipFault):
            thief.chip.eexit(entry.ticket)
        owner.chip.ereport(entry.ticket, bytes(512), bytes(64))
        owner.chip.eexit(entry.ticket)
        with pytest.raises(ChipFault):
            owner.chip.ereport(entry.ticket, bytes(512), bytes(64))


def test_the_quoting_enclave_is_nobody_s(house):
    handle = house.ready.platform.quoting_enclave.enclave.launched.handle
    with house.client() as client, pytest.raises(ChipFault):
        client.chip.eremove(handle)


def test_what_a_client_leaves_is_removed(house):
    """Also while it is entered, interrupted, or half built; the fixture's end looks that nothing is left."""
    for state in ("building", "initialised", "entered", "interrupted"):
        client = house.client()
        if state == "building":
            client.chip.ecreate(house_secs(house.ready.platform.home))
        else:
            launched = client.launch(house.image()).enclave.launched
            if state != "initialised":
                client.chip.eenter(launched.handle, launched.tcs[0])
            if state == "interrupted":
                client.chip.aex(launched.handle, launched.tcs[0])
        client.close()
    with house.client() as one, house.client() as two:
        one.launch(house.image())
        one.launch(house.image())
        two.launch(house.image())


def test_commands_that_are_the_daemon_s(house):
    with house.client() as client:
        for command in (
            client.chip.reset,
            client.chip.fuse_lock,
            lambda: client.chip.set_ownerepoch(bytes(16)),
            lambda: client.chip.raw(0x7F),
            lambda: client.chip.cycles(),
        ):
            with raises(PlatformCode.NOT_ALLOWED):
                command()
        assert client.chip.fuse_status().device_id.hex() == client.hello["device_id"]


def test_every_client_has_its_own_lepubkeyhash(house):
    """Between another's SET_LEPUBKEYHASH and EINIT, a client writes its own."""
    from fusequote.chip import commands
    from fusequote.enclave.load import _requests, base_for

    image = house.image()
    with house.client() as one, house.client() as two:
        secs = image.secs.replace(baseaddr=base_for(image.secs))
        one.chip.set_lepubkeyhash(image.sigstruct.mrsigner)
        handle = one.chip.ecreate(secs)
        one.chip.pipeline(_requests(one.chip, image, handle, secs.baseaddr, [], None))
        two.chip.set_lepubkeyhash(bytes(32))
        one.chip.einit(handle, image.sigstruct)
        assert commands.slot_info(handle) and one.chip.slot_info(handle).mrsigner == image.sigstruct.mrsigner


def test_a_stream_is_bounded_and_of_its_kind(house):
    with house.client() as client:
        handle = client.chip.ecreate(house_secs(house.ready.platform.home))
        body = handle.to_bytes() + bytes(8 + 64)
        piece = bytes((Op.EADD,)) + len(body).to_bytes(2, "little") + body
        for payload in (piece * 17, piece[:-1], piece[:2], bytes((Op.EREMOVE, 0, 0)) * 2):
            with raises(PlatformCode.PARAMETER):
                client._call(Call.STREAM, payload)
        with pytest.raises(ChipFault):  # LINADDR 0 is outside the enclave
            client.chip.pipeline([Command(Op.EADD, body)])


# Limits and fairness


def test_one_client_cannot_have_all_slots(house):
    with house.client() as client, house.client() as other:
        secs = house_secs(house.ready.platform.home)
        for _ in range(house.device.identity.slots - 2):
            client.chip.ecreate(secs)
        with raises(PlatformCode.BUSY):
            client.chip.ecreate(secs)
        other.chip.ecreate(secs)


def test_slots_are_leased(keyed_home, tmp_path):
    """When all are taken, who has none gets one whose lease is over, and its holder's enclave is lost."""
    with running(copy_home(keyed_home, tmp_path), tmp_path, lease=100.0) as house:
        secs = house_secs(house.ready.platform.home)
        with house.client() as one, house.client() as two, house.client() as three:
            lost = one.launch(house.image()).enclave.launched
            one.chip.eenter(lost.handle, lost.tcs[0])
            house.now[0] = 1.0
            one.chip.ecreate(secs)
            two.chip.ecreate(secs)
            house.now[0] = 99.0
            with pytest.raises(BlockError, match="BLOCK_NO_SLOT"):
                three.chip.ecreate(secs)
            house.now[0] = 100.0
            three.chip.ecreate(secs)
            with pytest.raises(ChipFault):
                one.chip.slot_info(lost.handle)
            with pytest.raises(BlockError, match="BLOCK_NO_SLOT"):
                two.chip.ecreate(secs)  # who has one waits like everybody


def test_no_more_clients_than_places(world):
    with world.client() as one, world.client():
        with raises(PlatformCode.BUSY):
            world.client()
        world.now[0] = 100.0
        with world.client() as third:  # the one that did nothing for the longest makes place
            assert third.hello["emulated"]
            with raises(PlatformCode.CLOSED):
                one.init_quote()


def test_frames_that_are_none(house):
    head = struct.Struct("<IB")
    for sent in (head.pack(1 << 30, 1), b"\xff" * 5, head.pack(10, Call.GET_QUOTE) + bytes(3), b"\0"):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(house.path)
            raw.sendall(sent)
            raw.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while raw.recv(1 << 16):
                    pass
    for call, payload in ((0x99, b""), (Call.CHIP, b""), (Call.HELLO, b"x"), (Call.REPORT_ATTESTATION_STATUS, b"")):
        with house.client() as client:
            with raises(PlatformCode.PARAMETER):
                client._call(call, payload)
            assert client.init_quote()  # the connection goes on


def test_half_a_frame_is_given_up():
    here, there = socket.socketpair()
    ticks = iter(range(0, 1000, 4))
    with here, there:
        there.sendall(b"\5\0\0\0\0ab")
        with raises(PlatformCode.CLOSED):
            Frames(here, 10.0, clock=lambda: next(ticks)).receive(100)


def test_turns_are_taken_in_the_order_of_asking():
    turns, order, threads = Turns(), [], []

    def take(number):
        with turns:
            order.append(number)

    with turns:
        for number in range(8):
            thread = threading.Thread(target=take, args=(number,))
            thread.start()
            threads.append(thread)
            while len(turns._waiting) <= number:
                os.sched_yield()
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_clients_side_by_side(house):
    """Three at once build, report and quote; each gets a good quote of its own."""
    results, service = {}, house.ready.services.attestation

    def work(name):
        with house.client() as client:
            results[name] = make_quote(client, house)[2].quote

    threads = [threading.Thread(target=work, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results.values())) == 3
    assert all(b'"OK"' in service.report(quote, "n").body for quote in results.values())


# The status of an attestation


def blob(house, **fields):
    keys = house.ready.services.keys
    built = PlatformInfoBlob(gid=house.ready.platform.gid(), **fields)
    return built.replace(signature=ecdsa_sign(keys.pib_signing, built.signed_message())).to_bytes()


def test_attestation_status(house):
    with house.client() as client:
        latest = Psvn(cpusvn=b"\xff" * 16, isvsvn=9)
        old = blob(
            house,
            group_flags=GroupFlags.OUT_OF_DATE,
            tcb_flags=TcbFlags.CPUSVN_OUT_OF_DATE | TcbFlags.QE_SVN_OUT_OF_DATE,
            latest_psvn=latest,
        )
        wanted = UpdateInfo(ucode=True, psw=True)
        assert client.check_update_status(old) == wanted and wanted.needed
        # The TCB is as old as the key: another key would be of the same group.
        assert client.report_attestation_status(old, failed=True) == wanted
        before = house.ready.platform.home.read(house.ready.platform.blob_path)
        own = house.ready.platform.quoting_enclave.enclave.identity
        house.tcb.append(Psvn(cpusvn=own.cpusvn, isvsvn=own.isvsvn + 1))
        try:
            assert client.report_attestation_status(old, failed=True).provisioned
        finally:
            house.tcb.clear()
        assert house.ready.platform.home.read(house.ready.platform.blob_path) != before
        assert make_quote(client, house)[2].quote


def test_a_blob_that_is_not_for_this_platform(house):
    with house.client() as client:
        good = blob(house)
        assert client.check_update_status(good) == UpdateInfo()
        for wrong in (flip(good, 0), flip(good, 8 * 33), flip(good, 8 * 100), good[:-1], b""):
            with pytest.raises(FusequoteError):
                client.report_attestation_status(wrong, failed=False)
        other = PlatformInfoBlob(gid=bytes(4))
        signed = other.replace(signature=ecdsa_sign(house.ready.services.keys.pib_signing, other.signed_message()))
        with pytest.raises(FusequoteError, match="group"):
            client.check_update_status(signed.to_bytes())


# The claim on the chip, and the socket


def test_the_chip_is_claimed_by_its_fuses(home, tmp_path):
    url, other = f"model://?fuses={tmp_path}/a.fuses", f"sim://?cache=x&fuses={tmp_path}/a.fuses"
    check_free(home, url)
    with claim(home, url, tmp_path / "s"):
        for taken in (url, other):
            with pytest.raises(ChipBusy) as caught:
                check_free(home, taken)
            assert f"process {os.getpid()}" in str(caught.value) and str(tmp_path / "s") in caught.value.hint
        with pytest.raises(ChipBusy), claim(home, other, tmp_path / "t"):
            pass
        check_free(home, f"model://?fuses={tmp_path}/b.fuses")
    check_free(home, url)


def test_two_daemons_on_one_socket(house):
    with pytest.raises(EnvironmentProblem, match="another platform daemon"):
        Daemon(type(house.daemon._path)(house.path), house.device, None, None)


def test_no_daemon(tmp_path):
    with pytest.raises(EnvironmentProblem, match="no platform daemon"):
        PlatformClient(tmp_path / "nothing.sock")


def test_a_socket_that_a_killed_daemon_left(tmp_path, house):
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    daemon = Daemon(left, house.device, None, None)
    assert os.stat(left).st_mode & 0o777 == 0o600
    daemon._listener.close()
