"""Streams of EADD and EEXTEND: two under way, never three, and a clean end whatever happens to the stream."""

from __future__ import annotations

import pytest
from fusequote.chip import ChipFault, Op, commands
from fusequote.chip.handles import Handle
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
