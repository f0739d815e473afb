"""Streams of EADD and EEXTEND: two under way, never three, and a clean end whatever happens to the stream."""

from __future__ import annotations

import pytest
from fusequote.chip import ChipFault, Op, commands
from fusequote.chip.handles import Handle
from fusequote.chip.pipelining import PIECES, shaped
from fusequote.errors import UsageError
from test_client_peers import Peer, answer, chip_at, identify_body


def test_pipeline_never_has_three_under_way_and_stops_at_a_refusal():
    handle = Handle(0, 1)
    under_way = 0
    most = 0

    def slow(peer, request):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        return peer.good(request, status=0x800E if len(peer.ran) == 10 else 0)

    peer = Peer(slow)
    real_read = peer.read

    def read(size: int = 1) -> bytes:
        nonlocal under_way
        data = real_read(size)
        under_way -= bool(data)
        return data

    peer.read = read
    chip = chip_at(peer)
    given = 0

    def stream():
        nonlocal given
        for given in range(1, 100):  # noqa: B007
            yield commands.eextend(handle, 0x1000 * given, 1, bytes(256))

    with pytest.raises(ChipFault, match=r"EEXTEND \(0xb000\): #PF") as caught:
        chip.pipeline(stream())
    assert caught.value.status == 0x800E
    assert most == 2
    assert given in (11, 12)
    assert len(peer.ran) == given
    chip.fuse_lock()
    assert len(peer.ran) == given + 1


def test_pipeline_refuses_other_commands_and_survives_its_source():
    chip = chip_at(peer := Peer())
    with pytest.raises(UsageError, match="FUSE_LOCK cannot be part"):
        chip.pipeline([commands.eextend(Handle(0, 1), 0, 1, bytes(256)), commands.Command(Op.FUSE_LOCK)])

    def breaks():
        yield commands.eextend(Handle(0, 1), 0, 1, bytes(256))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        chip.pipeline(breaks())
    chip.fuse_lock()
    assert [request[0] for request in peer.ran] == [Op.EEXTEND, Op.EEXTEND, Op.FUSE_LOCK]


def test_a_window_of_one_is_kept():
    def narrow(peer, request):
        if request[0] == Op.IDENTIFY:
            return [answer(request, 0, identify_body(peer.last, window=1))]
        return peer.good(request)

    peer = Peer(narrow)
    chip = chip_at(peer)
    chip.pipeline(commands.eextend(Handle(0, 1), 0, 1, bytes(256)) for _ in range(5))
    assert len(peer.ran) == 5


def test_pages_in_pieces_are_the_same_pages():
    """On a line with bit times: whole pages are cut, in order and without a gap; all else stays whole."""
    handle = Handle(0, 7)
    page = bytes(range(256)) * 16
    given = [
        commands.eadd(handle, 0x1000, bytes((1, 2)) + bytes(62)),
        commands.eextend(handle, 0x1000, 16, page),
        commands.eextend(handle, 0x2000, 3, page[:768]),
        commands.eextend(handle, 0x3000, 16),  # of a TCS: nothing travels
    ]
    assert sum(PIECES) == 16
    cut = list(shaped(given))
    assert [cut[0], *cut[-2:]] == [given[0], *given[2:]]
    pieces = cut[1:-2]
    assert [piece.body[17] for piece in pieces] == list(PIECES)
    assert b"".join(piece.body[18:] for piece in pieces) == page
    at = [int.from_bytes(piece.body[9:17], "little") for piece in pieces]
    assert at == [0x1000 + 256 * sum(PIECES[:i]) for i in range(len(PIECES))]


@pytest.mark.parametrize(("seconds", "ran"), [(0.0, 4), (1e-6, 10)])
def test_pieces_only_where_there_is_a_wire(seconds, ran):
    """And what is counted are the commands that were given."""
    peer = Peer()
    chip = chip_at(peer, seconds_per_byte=seconds)
    counts = enumerate((16, 16, 1, 2))
    pages = [commands.eextend(Handle(0, 1), 0x1000 * i, count, bytes(256 * count)) for i, count in counts]
    assert chip.pipeline(pages).commands == 4
    assert len(peer.ran) == ran
    # Without a second one under way, pieces would only be more to wait for.
    peer.ran.clear()
    chip.pipeline(pages, window=1)
    assert len(peer.ran) == 4


def test_both_places_of_the_window_are_kept_filled():
    """Whenever an answer has been read, two requests are under way again, up to the last ones."""
    peer = Peer()
    under_way: list[int] = []
    real_read, real_write = peer.read, peer.write
    answered = 0

    def read(size: int = 1) -> bytes:
        nonlocal answered
        under_way.append(len(peer.ran) - answered)
        data = real_read(size)
        answered += bool(data)
        return data

    chip = chip_at(peer, seconds_per_byte=1e-6)
    peer.read, peer.write = read, real_write
    chip.pipeline(commands.eextend(Handle(0, 1), 0x1000 * i, 1, bytes(256)) for i in range(20))
    assert under_way == [2] * 19 + [1]
