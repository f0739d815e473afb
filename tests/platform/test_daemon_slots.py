"""Slots and tickets belong to a connection (level L1), and some commands to the daemon alone."""

import pytest
from daemon_world import house_secs, raises
from fusequote.chip import ChipFault
from fusequote.chip.ops import Command, Op
from fusequote.platform.daemon_wire import Call, PlatformCode


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
