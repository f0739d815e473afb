"""Drives a chip one command at a time: numbers them, and takes the answers apart. For tests of the model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import commands_shadow as ops
from commands_make import (
    INIT,
    MRSIGNERS,
    NO_TOKEN,
    PT_REG,
    PT_SECS,
    PT_TCS,
    SIGNERS,
    R,
    W,
    le,
    manufacture,
    secinfo,
    secs,
    sigstruct,
    tcs_page,
)  # fmt: skip
from commands_rsa import Key, entry_chunk, link, proof_message
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.fusefile import FuseBank
from fusequote.chip.model import ModelChip, Status

BASE = 0x7000_0000_0000


@dataclass
class Answer:
    """Status and body of an answer."""

    status: Status
    body: bytes


class Refused(AssertionError):
    """A command that was to succeed, and did not."""


class Driver:
    """One chip and the next sequence number."""

    def __init__(self, chip: ModelChip):
        self.chip = chip
        self.seq = 0

    def ask(self, op: int, body: bytes = b"") -> Answer:
        """Send a command, get its answer; the head of the answer is checked."""
        if op >= 0x10:
            self.seq = self.seq % 255 + 1
        contents = self.chip.execute(bytes([op, self.seq]) + body)
        assert contents[:2] == bytes([op | 0x80, self.seq])
        answer = Answer(Status(int.from_bytes(contents[2:4], "little")), contents[4:])
        assert answer.status == 0 or not answer.body
        if op in (ops.RESET, ops.FUSE_SCRAP) and answer.status == 0:
            self.seq = 0
        return answer

    def do(self, op: int, body: bytes = b"") -> bytes:
        """Send a command that must succeed; its answer's body."""
        answer = self.ask(op, body)
        if answer.status:
            raise Refused(f"{ops.OP_NAMES[op]}: {answer.status.name}")
        return answer.body

    def status(self, op: int, body: bytes = b"") -> str:
        """Send a command; the name of its status."""
        return self.ask(op, body).status.name


def blank(seed: str = "test", counter: int = 1, fuses: FuseBank | None = None) -> Driver:
    """A chip fresh from the fab, or with the given fuses."""
    return Driver(ModelChip(fuses or FuseBank(), SimulatedEntropy(seed, counter)))


def locked(seed: str = "test", counter: int = 1, **fuses: object) -> Driver:
    """A chip that is manufactured, locked and booted."""
    driver = blank(seed, counter)
    driver.do(ops.FUSE_MANUFACTURE, manufacture(**fuses))
    driver.do(ops.FUSE_LOCK)
    driver.do(ops.RESET)
    return driver


@dataclass
class Built:
    """An enclave that was built: what EINIT needs to know."""

    handle: bytes
    attributes: bytes
    mrenclave: bytes
    tcs: int


def build(
    driver: Driver,
    *,
    content: bytes = b"content",
    tcs: bytes | None = None,
    entry_key: Key | None = None,
    **source: object,
) -> Built:
    """ECREATE, a TCS at offset 0, a page at 0x1000 with one measured chunk; one that names ``entry_key``, if any."""
    page = secs(**source)
    handle = driver.do(ops.ECREATE, secinfo(PT_SECS) + page)
    base = int.from_bytes(page[8:16], "little")
    data = content.ljust(256, b"\0") if entry_key is None else entry_chunk(entry_key)
    tcs = tcs_page() if tcs is None else tcs
    driver.do(ops.EADD, handle + le(base, 8) + secinfo(PT_TCS) + tcs)
    driver.do(ops.EADD, handle + le(base + 0x1000, 8) + secinfo(PT_REG, R | W) + bytes(0))
    driver.do(ops.EEXTEND, handle + le(base + 0x1000, 8) + b"\x01" + data)
    measured = hashlib.sha256(b"ECREATE\0" + page[16:20] + page[0:8] + page[24:32] + bytes(36))
    measured.update(b"EADD\0\0\0\0" + le(0, 8) + le(PT_TCS << 8, 8) + bytes(40))
    measured.update(b"EADD\0\0\0\0" + le(0x1000, 8) + le(PT_REG << 8 | R | W, 8) + bytes(40))
    measured.update(b"EEXTEND\0" + le(0x1000, 8) + bytes(48) + data)
    return Built(handle, page[48:64], measured.digest(), base)


def einit_body(enclave: Built, signer: int = 3, token: bytes = NO_TOKEN, **sig: object) -> bytes:
    """EINIT's body for an enclave."""
    return enclave.handle + sigstruct(SIGNERS[signer], enclave.mrenclave, enclave.attributes, **sig) + token


def launch(driver: Driver, signer: int = 3, sig: dict | None = None, **source: object) -> Built:
    """Build and initialise an enclave, LEPUBKEYHASH set to its signer first, as Linux does."""
    enclave = build(driver, **source)
    driver.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[signer])
    driver.do(ops.EINIT, einit_body(enclave, signer, **(sig or {})))
    enclave.attributes = bytes([enclave.attributes[0] | INIT]) + enclave.attributes[1:]
    return enclave


def enter(driver: Driver, enclave: Built) -> bytes:
    """EENTER by its TCS; the ticket."""
    return driver.do(ops.EENTER, enclave.handle + le(enclave.tcs, 8))[:16]


def proof(
    driver: Driver, enclave: Built, key: Key, chain: bytes, *, op: int = ops.EENTER, nonce: bytes | None = None
) -> bytes:
    """A good proof for an entry by the enclave's TCS, after an ECHALLENGE unless a ``nonce`` is given."""
    nonce = driver.do(ops.ECHALLENGE, enclave.handle) if nonce is None else nonce
    message = proof_message(op, enclave.handle[1:], le(enclave.tcs, 8), nonce, enclave.mrenclave, chain)
    return chain + key.sign(message).to_bytes()


Plan = list[tuple[int, bytes]]


def chained(commands: Plan, last: bytes = bytes(32)) -> tuple[bytes, Plan]:
    """Of (op, body after the ticket) pairs: the chain to sign, and the pairs with the link of the next one in each."""
    following, out = last, []
    for op, body in reversed(commands):
        out.insert(0, (op, body + following))
        following = link(op, body + following)
    return following, out


def enter_signed(driver: Driver, enclave: Built, key: Key, commands: Plan) -> Plan:
    """EENTER with a proof for this plan; the commands that are to follow, ready to be sent."""
    chain, plan = chained(commands)
    body = enclave.handle + le(enclave.tcs, 8) + proof(driver, enclave, key, chain)
    ticket = driver.do(ops.EENTER, body)[:16]
    return [(op, ticket + after) for op, after in plan]
