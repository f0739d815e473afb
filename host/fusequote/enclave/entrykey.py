"""Signed entry: what the holder of an enclave's entry key does (docs/link.md 3.4).

An image that has an entry key's page can be entered by the holder of that key only, and he signs what is to be
done before it is done: a plan. Whoever reads or owns the wire can neither add a command to it nor change one.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fusequote.arch import KeyRequest, Report, TargetInfo
from fusequote.chip import Chip, Handle, Ticket, commands
from fusequote.chip.handles import LINK_SIZE, TICKET_SIZE
from fusequote.chip.ops import Command, Op
from fusequote.chip.status import LinkError, Status
from fusequote.enclave.image import MemoryImage, Operation, whole_page
from fusequote.enclave.load import LaunchedEnclave
from fusequote.enclave.signing import KEY_BITS, KEY_BYTES, generate_signing_key, quotients
from fusequote.errors import DeviceError, UsageError

__all__ = ["EntryKey", "Planned", "SignedSession", "link_of", "planned_key", "planned_report", "planned_verify"]

_PAGE_MAGIC = b"FQ-EMUL-ENTRYKEY"
_DOMAIN = b"FQ-EMUL-ENTRY\0\0\0"
_ANY_TICKET = Ticket(bytes(TICKET_SIZE))
#: How often an entry is begun anew because the wire lost the answer to an EGETKEY.
_TRIES = 16
_READ_ONLY = 0x201


class EntryKey:
    """An RSA-3072 key with e = 3. Raises :class:`UsageError` for any other."""

    def __init__(self, key: rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        if numbers.e != 3 or key.key_size != KEY_BITS:
            raise UsageError(
                f"an entry key is RSA-3072 with exponent 3; this one has {key.key_size} bits, exponent {numbers.e}",
                hint="EntryKey.generate() makes one",
            )
        self._key = key
        self._n = numbers.n

    @classmethod
    def generate(cls) -> EntryKey:
        """A new key."""
        return cls(generate_signing_key())

    @property
    def hash(self) -> bytes:
        """SHA-256 of the modulus, 384 bytes little-endian: what is measured."""
        return hashlib.sha256(self._n.to_bytes(KEY_BYTES, "little")).digest()

    def page(self) -> bytes:
        """The page, 4,096 bytes, whose first chunk names this key to the chip."""
        return (_PAGE_MAGIC + self.hash).ljust(4096, b"\0")

    def named_in(self, image: MemoryImage) -> MemoryImage:
        """The image with this key's page behind its last one; unsigned, for it is another enclave.

        SIZE is doubled when there is no room.
        """
        operations: list[Operation] = list(image.operations())
        end = (max((operation.offset for operation in operations), default=0) // 4096 + 1) * 4096
        secs = image.secs if end < image.secs.size else image.secs.replace(size=2 * image.secs.size)
        return MemoryImage(image.name, secs, [*operations, *whole_page(end, _READ_ONLY, self.page())])

    def proof(self, op: int, handle: Handle, tcs: int, nonce: bytes, mrenclave: bytes, chain: bytes) -> bytes:
        """What EENTER or ERESUME (``op``) carries: chain, MODULUS, SIGNATURE, Q1, Q2; 1,568 bytes."""
        message = b"".join((
            _DOMAIN,
            bytes([op]) + bytes(7),
            handle.eid.to_bytes(8, "little"),
            tcs.to_bytes(8, "little"),
            nonce,
            mrenclave,
            chain,
            bytes(8),
        ))
        signature = int.from_bytes(self._key.sign(message, padding.PKCS1v15(), hashes.SHA256()), "big")
        numbers = (self._n, signature, *quotients(signature, self._n))
        return chain + b"".join(number.to_bytes(KEY_BYTES, "little") for number in numbers)

    def __repr__(self) -> str:
        return f"EntryKey({self.hash.hex()})"


#: A command of an entry that still wants its ticket and the link of the next one.
Planned = Callable[[Ticket, bytes], Command]


def planned_report(targetinfo: TargetInfo | bytes, reportdata: bytes = bytes(64)) -> Planned:
    """EREPORT; ``reportdata``: 64 bytes. Answers 432 bytes."""
    return lambda ticket, following: commands.ereport(ticket, targetinfo, reportdata, following)


def planned_key(keyrequest: KeyRequest | bytes) -> Planned:
    """EGETKEY. Answers 16 secret bytes."""
    return lambda ticket, following: commands.egetkey(ticket, keyrequest, following)


def planned_verify(report: Report | bytes) -> Planned:
    """VERIFYREPORT. Answers one byte, 1 or 0."""
    return lambda ticket, following: commands.verifyreport(ticket, report, following)


def link_of(command: Command) -> bytes:
    """The link of a command that carries the link of the next one: 32 bytes."""
    return hashlib.sha256(bytes([command.op]) + bytes(15) + command.body[TICKET_SIZE:]).digest()


def chain_of(plan: Sequence[Planned]) -> list[bytes]:
    """The links of the commands, from the first to the last; the first is what a proof signs."""
    # Nothing comes after the last one; that it names a random link keeps an EEXIT from being guessed.
    links = [secrets.token_bytes(LINK_SIZE)]
    for planned in reversed(plan):
        links.insert(0, link_of(planned(_ANY_TICKET, links[0])))
    return links


@dataclass
class SignedSession:
    """An enclave with an entry key, for the holder of the key. Each plan is an entry of its own.

    The methods of :class:`~fusequote.enclave.load.EnclaveSession` are here plans of one command. ``tcs`` is an
    address.
    """

    enclave: LaunchedEnclave
    key: EntryKey = field(repr=False)
    tcs: int

    def ereport(self, targetinfo: TargetInfo | bytes, reportdata: bytes = bytes(64)) -> Report:
        """EREPORT: a REPORT of this enclave that the target can check. ``reportdata``: 64 bytes."""
        return Report.from_bytes(self.run([planned_report(targetinfo, reportdata)])[0])

    def egetkey(self, keyrequest: KeyRequest | bytes) -> bytes:
        """EGETKEY: 16 secret bytes. They cross the link in the clear."""
        return self.run([planned_key(keyrequest)])[0]

    def verifyreport(self, report: Report | bytes) -> bool:
        """VERIFYREPORT (ours): whether a REPORT targeted at this enclave is good; its key stays in the chip."""
        return self.run([planned_verify(report)])[0] == b"\1"

    def run(self, plan: Sequence[Planned]) -> list[bytes]:
        """Enter, do what the plan says, leave; the answers.

        An EGETKEY whose answer the wire lost is asked for again in a new entry (AEX, ERESUME). Raises what the
        chip's refusal of a command is; the enclave is left then, too.
        """
        chip, answers = self._chip, list[bytes]()
        op, tries = Op.EENTER, 0
        while True:
            rest = [*plan[len(answers) :], commands.eexit]
            links = chain_of(rest)
            ticket = self._enter(op, links[0])
            try:
                for planned, following in zip(rest, links[1:], strict=True):
                    answers.append(chip.run(planned(ticket, following)))
                return answers[:-1]
            except LinkError as lost:
                tries += 1
                if lost.status != Status.LINK_ANSWER_GONE or tries == _TRIES:
                    self._give_up()
                    raise
                chip.aex(self.enclave.handle, self.tcs)
                op = Op.ERESUME
            except DeviceError:
                self._give_up()
                raise

    @property
    def _chip(self) -> Chip:
        return self.enclave.chip

    def _enter(self, op: Op, chain: bytes) -> Ticket:
        handle = self.enclave.handle
        nonce = self._chip.echallenge(handle)
        proof = self.key.proof(op, handle, self.tcs, nonce, self.enclave.identity.mrenclave, chain)
        enter = self._chip.eenter if op == Op.EENTER else self._chip.eresume
        return enter(handle, self.tcs, proof).ticket

    def _give_up(self) -> None:
        """Leave, although the plan did not get there: by AEX, and an entry that does nothing but leave."""
        with suppress(DeviceError):
            self._chip.aex(self.enclave.handle, self.tcs)
            (chain, following) = chain_of([commands.eexit])
            self._chip.eexit(self._enter(Op.ERESUME, chain), following)
