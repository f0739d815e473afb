"""Chips that misbehave: silent, late, chattering, of another kind. Each ends in one typed error, in
bounded time."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable

import pytest
from fusequote.chip import (
    BlockError,
    Chip,
    ChipFault,
    LinkError,
    Op,
    Patience,
    SgxError,
    Ticket,
)
from fusequote.chip.framing import BadFrame, Decoder, encode
from fusequote.chip.handles import Handle
from fusequote.errors import DeviceError, ExitCode

NAK = bytes.fromhex("80000340")
ENDLESS = 200_000


def identify_body(last: int, *, magic: bytes = b"FQ-EMUL\0", version: int = 1, window: int = 2) -> bytes:
    head = (
        magic
        + version.to_bytes(2, "little")
        + bytes((1, 0, 0, 0, 0, 0, 1, 4, 4, window, 0, 0x12, 2, last))
    )
    return (head + bytes(32) + b"\x01").ljust(64, b"\0")


def answer(request: bytes, status: int = 0, body: bytes = b"") -> bytes:
    return bytes((request[0] | 0x80, request[1])) + status.to_bytes(2, "little") + body


class Peer:
    """A port whose other end is a function from each request to the frames' contents to send. Counts what it ran.

    By default it is a chip that keeps the rules of docs/link.md 2.1 and answers every numbered request
    with nothing. Its clock goes on by 10 ms with each read that finds nothing and by 1 ms with each that
    does.
    """

    def __init__(self, behave: Callable[[Peer, bytes], Iterable[bytes]] | None = None):
        self._decoder = Decoder()
        self._ready: deque[bytes] = deque()
        self._behave = behave
        self.last = 0
        self.kept = b""
        self.ran: list[bytes] = []
        self.requests: list[bytes] = []
        self.now = 0.0
        self.closed = 0
        self.noise: Callable[[], bytes] = bytes

    in_waiting = 0

    def clock(self) -> float:
        return self.now

    def write(self, data: bytes) -> int:
        for request in self._decoder.feed(data):
            assert not isinstance(request, BadFrame)
            self.requests.append(request)
            frames = self.good(request) if self._behave is None else self._behave(self, request)
            self._ready.extend(encode(frame) for frame in frames)
        return len(data)

    def read(self, size: int = 1) -> bytes:
        data = self._ready.popleft() if self._ready else self.noise()
        self.now += 0.001 if data else 0.01
        return data

    def close(self) -> None:
        self.closed += 1

    def good(self, request: bytes, body: bytes = b"", status: int = 0) -> list[bytes]:
        op, seq = request[:2]
        if op == Op.IDENTIFY:
            return [answer(request, 0, identify_body(self.last))]
        if op == Op.RESET:
            self.last = 0
            return [answer(request)]
        if op < 0x10:
            return [answer(request, 0, bytes(4))]
        if seq == self.last != 0:
            return [self.kept]
        if seq != (1 if self.last == 255 else self.last + 1):
            return [answer(request, 0x4005, bytes((self.last,)))]
        self.last = seq
        self.ran.append(request)
        self.kept = answer(request, status, body)
        return [self.kept]


def chip_at(peer: Peer, **options) -> Chip:
    return Chip(
        peer, clock=peer.clock, patience=Patience(command=30, first=60, retry=1), first_echo=9, **options
    )


def opening_fails(peer: Peer) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        chip_at(peer)
    assert peer.now <= 61
    assert peer.closed == 1
    assert caught.value.exit_code == ExitCode.DEVICE
    assert caught.value.hint
    return caught.value


def fails(peer: Peer, call: Callable[[Chip], object] = lambda chip: chip.fuse_lock()) -> LinkError:
    chip = chip_at(peer)
    start = peer.now
    with pytest.raises(LinkError) as caught:
        call(chip)
    assert peer.now - start <= 31
    assert len(peer.requests) < 120
    return caught.value


def test_silence_at_opening():
    error = opening_fails(Peer(lambda peer, request: []))
    assert str(error) == "IDENTIFY: no answer in 60 s, only silence"


def test_noise_without_frames():
    peer = Peer(lambda peer, request: [])
    peer.noise = lambda: b"Booting Linux\r\n"
    assert "bytes that are no frame" in str(opening_fails(peer))


def test_endless_damaged_frames():
    peer = Peer(lambda peer, request: [])
    peer.noise = lambda: b"\x7ehello, world\x7e"
    assert "damaged frames" in str(opening_fails(peer))


def test_only_naks():
    assert "reports of damaged frames" in str(opening_fails(Peer(lambda peer, request: [NAK])))


def test_naks_without_end():
    peer = Peer(lambda peer, request: [])
    peer.noise = lambda: encode(NAK)
    assert "reports of damaged frames" in str(opening_fails(peer))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (identify_body(0, magic=b"SGX-REAL"), "no fusequote chip"),
        (identify_body(0)[:-1], "no fusequote chip"),
        (b"", "no fusequote chip"),
        (identify_body(0, version=2), "version 2 of the link"),
        (identify_body(0, window=0), "contradicts"),
    ],
    ids=["magic", "short", "empty", "version", "window"],
)
def test_another_kind_of_chip(body, says):
    assert says in str(opening_fails(Peer(lambda peer, request: [answer(request, 0, body)])))


def test_identify_refused():
    opening_fails(Peer(lambda peer, request: [answer(request, 0x4001)]))


def only_identify(then: Callable[[Peer, bytes], Iterable[bytes]]):
    """Good at IDENTIFY, ``then`` at the rest."""
    return lambda peer, request: peer.good(request) if request[0] == Op.IDENTIFY else then(peer, request)


def test_silence_after_identify():
    error = fails(Peer(only_identify(lambda peer, request: [])))
    assert "FUSE_LOCK: no answer in 30 s" in str(error)
    assert error.op == Op.FUSE_LOCK


def test_only_naks_after_identify():
    assert "reports of damaged frames" in str(fails(Peer(only_identify(lambda peer, request: [NAK]))))


def test_answer_to_another_op():
    wrong = only_identify(lambda peer, request: [bytes((0xA1, request[1], 0, 0))])
    assert "other answers (last: EADD, seq 1)" in str(fails(Peer(wrong)))


def test_answer_to_another_seq():
    wrong = only_identify(lambda peer, request: [bytes((request[0] | 0x80, request[1] + 7, 0, 0))])
    assert "other answers (last: FUSE_LOCK, seq 8)" in str(fails(Peer(wrong)))


def test_always_out_of_sequence():
    wrong = only_identify(lambda peer, request: [answer(request, 0x4005, b"\x42")])
    assert "other answers" in str(fails(Peer(wrong)))


def test_foreign_answers_without_end():
    peer = Peer()
    chip = chip_at(peer)
    peer._behave = lambda peer, request: []
    peer.noise = lambda: encode(bytes((0xA7, 200, 0, 0)))
    with pytest.raises(LinkError, match="other answers"):
        chip.fuse_lock()
    assert peer.now < 35


def test_another_client_took_the_numbers():
    peer = Peer()
    chip = chip_at(peer)
    peer.last = 77
    with pytest.raises(LinkError, match="at seq 77, not at 0") as caught:
        chip.fuse_lock()
    assert "another program" in caught.value.hint
    assert peer.ran == []


def test_reset_behind_the_clients_back():
    peer = Peer()
    chip = chip_at(peer)
    chip.fuse_lock()
    chip.fuse_lock()
    peer.last = 0
    with pytest.raises(LinkError, match="was reset"):
        chip.fuse_lock()
    chip.fuse_lock()  # having learnt where the chip is, the client goes on from there
    assert [request[1] for request in peer.ran] == [1, 2, 1]


def test_reset_that_does_not_reset():
    def stubborn(peer, request):
        return [answer(request)] if request[0] == Op.RESET else peer.good(request)

    peer = Peer(stubborn)
    chip = chip_at(peer)
    chip.fuse_lock()
    with pytest.raises(LinkError, match="was not reset"):
        chip.reset()


def test_late_answers_are_taken_and_nothing_runs_twice():
    """Each answer comes one request late: the repeat or the question brings it. The chip runs each
    command once."""
    held: list[list[bytes]] = [[]]

    def late(peer, request):
        held.append(peer.good(request))
        return held.pop(0)

    peer = Peer(late)
    chip = chip_at(peer)
    for _ in range(600):
        chip.fuse_lock()
    assert [request[1] for request in peer.ran] == [1 + i % 255 for i in range(600)]


def test_the_same_answer_a_thousand_times():
    peer = Peer(lambda peer, request: peer.good(request) * 1000)
    chip = chip_at(peer)
    for _ in range(20):
        chip.fuse_lock()
    assert len(peer.ran) == 20


def test_wrong_answer_size():
    chip = chip_at(Peer(lambda peer, request: peer.good(request, b"12345")))
    with pytest.raises(LinkError, match="FUSE_LOCK: the answer has 5 bytes where docs/link.md has 0"):
        chip.fuse_lock()
    with pytest.raises(LinkError, match="FUSE_STATUS: the answer has 5 bytes where docs/link.md has 144"):
        chip.fuse_status()
    with pytest.raises(LinkError, match="5 bytes where docs/link.md has 9"):
        chip.ecreate(bytes(4096))


def test_verifyreport_answers_yes_or_no():
    peer = Peer(lambda peer, request: peer.good(request, b"\x02"))
    with pytest.raises(LinkError, match="neither yes nor no"):
        chip_at(peer).verifyreport(Ticket(bytes(16)), bytes(432))


def test_a_key_whose_answer_is_always_gone():
    def gone(peer, request):
        return peer.good(request, status=0x4006) if request[0] == Op.EGETKEY else peer.good(request)

    peer = Peer(gone)
    with pytest.raises(LinkError, match="lost the answer 16 times"):
        chip_at(peer).egetkey(Ticket(bytes(16)), bytes(512))


@pytest.mark.parametrize(
    ("status", "kind", "name"),
    [
        (0x0002, SgxError, "SGX_INVALID_ATTRIBUTE"),
        (0x000E, SgxError, "SGX_ENCLAVE_ACT"),
        (0x0003, SgxError, "status 0x0003"),
        (0x800D, ChipFault, "#GP"),
        (0x800E, ChipFault, "#PF"),
        (0x4011, BlockError, "BLOCK_LIFE_CYCLE"),
        (0x4014, BlockError, "BLOCK_BOOT_FAILED"),
        (0x4001, LinkError, "LINK_UNKNOWN_COMMAND"),
        (0x4002, LinkError, "LINK_BAD_LENGTH"),
        (0x7777, LinkError, "status 0x7777"),
    ],
)
def test_every_refusal_names_itself(status, kind, name):
    chip = chip_at(Peer(lambda peer, request: peer.good(request, status=status)))
    with pytest.raises(kind) as caught:
        chip.einit(Handle(3, 4), bytes(1808))
    error = caught.value
    assert str(error).startswith(f"EINIT: {name}: ")
    assert (error.status, error.op, error.exit_code) == (status, Op.EINIT, ExitCode.DEVICE)
    assert error.reason.startswith("device.")
    assert chip.raw(Op.EINIT) == (status, b"")
    if kind is not LinkError:
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_port_that_breaks():
    peer = Peer()
    chip = chip_at(peer)

    def broken(*_):
        raise OSError(5, "Input/output error")

    peer.read = broken
    with pytest.raises(LinkError, match="cannot read from the port: .*Input/output error"):
        chip.fuse_lock()
    peer.write = broken
    with pytest.raises(LinkError, match="cannot write to the port"):
        chip.fuse_lock()
    chip.close()
    assert peer.closed == 1
