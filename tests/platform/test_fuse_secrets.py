"""No command sequence that the link allows brings a fuse key out: every byte that the chip ever says is
searched.
"""

from __future__ import annotations

import random

import pytest
from chain_world import Ready, copy_home, make_ready
from fusequote.arch import KeyName, KeyRequest
from fusequote.chip.fusefile import FuseFile
from fusequote.chip.ops import Op
from fusequote.enclave.load import launch
from fusequote.maker import RecordBook
from fusequote.platform.images import provisioning_image, quoting_image, signed_sample
from fusequote.platform.signers import Signers
from fusequote.services.derivation import root_for_cpusvn

#: Bodies that are at least of the right length, by op.
LENGTHS = {
    Op.FUSE_MANUFACTURE: 192, Op.SET_LEPUBKEYHASH: 32, Op.SET_OWNEREPOCH: 16, Op.SLOT_INFO: 9, Op.ECREATE: 4160,
    Op.EADD: 81, Op.EEXTEND: 18 + 256, Op.EINIT: 9 + 1808 + 304, Op.EREMOVE: 9, Op.EENTER: 17, Op.EEXIT: 16,
    Op.EREPORT: 16 + 512 + 64, Op.EGETKEY: 16 + 512, Op.AEX: 17, Op.ERESUME: 17, Op.VERIFYREPORT: 16 + 432,
}  # fmt: skip


@pytest.fixture(scope="module")
def heard(keyed_home, tmp_path_factory):
    """A platform, its fuse secrets, and everything that its chip said in a long conversation."""
    made: Ready = make_ready(copy_home(keyed_home, tmp_path_factory.mktemp("secrets")))
    chip, said = made.platform.chip, []
    rng = random.Random(20)

    def say(op: int, body: bytes = b"") -> bytes:
        status, answer = chip.raw(op, body)
        said.append(status.to_bytes(2, "little") + answer)
        return answer

    def everything(ticket: bytes, handle: bytes) -> None:
        for name in range(8):
            for policy in range(0, 64, 3):
                request = KeyRequest(keyname=name, keypolicy=policy, miscmask=rng.getrandbits(32))
                for cpusvn in (bytes(16), bytes([1]) * 16, bytes([2]) * 16):
                    say(Op.EGETKEY, ticket + request.replace(cpusvn=cpusvn).to_bytes())
        say(Op.EREPORT, ticket + bytes(512) + bytes(64))
        say(Op.VERIFYREPORT, ticket + bytes(432))
        say(Op.SLOT_INFO, handle)

    signers = Signers(made.platform.home)
    constants = made.services.constants
    for enclave in list(made.platform._launched):
        enclave.remove()
    for image in (signed_sample(signers), quoting_image(constants, signers), provisioning_image(constants, signers)):
        launched = launch(chip, image)
        handle = launched.handle.to_bytes()
        ticket = say(Op.EENTER, handle + launched.tcs[0].to_bytes(8, "little"))[:16]
        everything(ticket, handle)
        for op in Op:
            # Valid tickets and handles in front of random bytes, and random bytes only.
            if op is Op.RESET:
                continue
            for start in (ticket, handle, b""):
                size = LENGTHS.get(op, 0)
                say(op, (start + rng.randbytes(size))[:size])
        say(Op.EEXIT, ticket)
    for _ in range(1500):
        op = rng.randrange(0x04, 0x100)
        size = LENGTHS.get(op, rng.choice((0, 1, 9, 16, 17, 64)))
        say(op, rng.randbytes(size))
    say(Op.FUSE_LOCK)
    say(Op.FUSE_STATUS)
    say(Op.IDENTIFY)
    record = RecordBook(made.platform.home).load(made.platform.device_id)
    made.platform._launched.clear()
    path = made.platform.home.chips / "default.fuses"
    made.platform.close()
    file = FuseFile.power_on(str(path))
    fuses = bytes(file.bank.read(0x100, 0x20))
    file.close()
    return record, fuses, b"\0".join(said), path


def test_the_conversation_was_one(heard):
    *_, said, _ = heard
    assert len(said) > 10_000  # reports and keys came: silence would prove nothing
    assert b"\x00\x01" in said and said.count(bytes([1]) * 16) > 3  # refusals, and the CPUSVN in reports


def test_no_fuse_key_in_anything_the_chip_said(heard):
    record, fuses, said, path = heard
    rpk, rsk = fuses[:16], fuses[16:]
    assert rpk == record.root_provisioning_key and any(rsk) and rsk != rpk
    assert rpk in path.read_bytes()  # it is there to be found, where the fuses are
    for secret in (rpk, rsk, root_for_cpusvn(rpk, record.cpusvn)):
        for value in (secret, secret[::-1]):
            assert value not in said
            # Not in pieces either: no 8 bytes of it.
            assert not any(value[i : i + 8] in said for i in range(9))


def test_there_is_no_keyname_for_a_fuse():
    assert set(KeyName) == {0, 1, 2, 3, 4}
