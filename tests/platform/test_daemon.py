"""The platform daemon among many clients: places, leases, turns, frames that are none, and the claim on the chip."""

import contextlib
import json
import os
import socket
import struct
import tempfile
import threading
import warnings
from pathlib import Path

import pytest
from chain_world import copy_home
from daemon_world import house_secs, make_quote, raises, running
from fusequote.chip import BlockError, ChipFault
from fusequote.errors import EnvironmentProblem
from fusequote.platform.client import PlatformClient
from fusequote.platform.daemon import Daemon
from fusequote.platform.daemon_claim import ChipBusy, check_free, claim
from fusequote.platform.daemon_turns import Turns
from fusequote.platform.daemon_wire import Call, Frames, PlatformCode


@pytest.fixture
def world(keyed_home, tmp_path):
    """A daemon of a test's own, with few places and short patience."""
    with running(copy_home(keyed_home, tmp_path), tmp_path, connections=2, lease=100.0, patience=5.0) as house:
        yield house


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


def hello_as(user, path):
    """What the daemon answers to a process of this user: whether it is an error, and the JSON.

    Forked, not started: that user may not even be allowed to read this interpreter.
    """
    from_child, to_parent = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the child does little, and ends
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            with socket.socket(socket.AF_UNIX) as raw:
                raw.connect(path)
                raw.sendall(bytes(5))
                answer = b""
                while len(answer) < 5 or len(answer) < 5 + int.from_bytes(answer[:4], "little"):
                    answer += raw.recv(1 << 16)
            os.write(to_parent, answer)
        os._exit(0)
    os.close(to_parent)
    with open(from_child, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return bool(answer[4]), json.loads(answer[5:])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_connects_the_kernel_says(keyed_home, tmp_path):
    """SO_PEERCRED: a user that the daemon was told of is served, another one is told that he is not."""
    served, stranger = 54321, 54322
    home = copy_home(keyed_home, tmp_path)
    with tempfile.TemporaryDirectory() as place, running(home, Path(place), users={served}) as house:
        os.chmod(place, 0o755)
        failed, told = hello_as(served, house.path)
        assert not failed and told["pid"] == os.getpid()
        failed, told = hello_as(stranger, house.path)
        assert failed and told["kind"] == PlatformCode.NOT_ALLOWED and str(stranger) in told["message"]
        assert any("does not serve user" in line for line in house.told)


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
