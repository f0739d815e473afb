"""Signed entry (ours, level L2): challenges, proofs, and the chain of an entry's commands.

Sources: docs/link.md section 3.4; docs/chip.md section 4; instruction notes 8.4.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable

from . import rsa
from .state import HANDLE_SIZE, TICKET_SIZE, Enclave, Machine, Tcs
from .status import Refusal, Status, gp_if, refuse_if

#: What a page begins with whose next 32 bytes are the hash of the enclave's entry key.
KEY_MAGIC = b"FQ-EMUL-ENTRYKEY"
HASH_SIZE = 32
#: What EENTER and ERESUME carry besides: chain, MODULUS, SIGNATURE, Q1, Q2.
PROOF_SIZE = HASH_SIZE + 4 * rsa.SIZE
#: What each command of a signed entry carries besides: the link of the one after it.
NEXT_SIZE = HASH_SIZE

_DOMAIN = b"FQ-EMUL-ENTRY\0\0\0"


def echallenge(machine: Machine, body: bytes) -> bytes:
    """ECHALLENGE (ours): handle -> nonce, the only one that the next proof may be about."""
    enclave = machine.enclave(body)
    gp_if(not enclave.initialised)
    gp_if(enclave.entry_key is None)
    enclave.challenge = machine.generator.random16()
    return enclave.challenge


def check_form(enclave: Enclave, proof: bytes) -> None:
    """A proof to an enclave with an entry key, none to one without: else LINK_BAD_LENGTH."""
    refuse_if(bool(proof) != (enclave.entry_key is not None), Status.LINK_BAD_LENGTH)


def check_proof(enclave: Enclave, op: int, body: bytes) -> None:
    """That whoever sends this EENTER or ERESUME has the entry key, and has seen the open challenge."""
    linaddr, proof = body[HANDLE_SIZE : HANDLE_SIZE + 8], body[HANDLE_SIZE + 8 :]
    if enclave.challenge is None or enclave.entry_key is None:
        raise Refusal(Status.BLOCK_ENTRY_PROOF)
    chain, numbers = proof[:HASH_SIZE], proof[HASH_SIZE:]
    modulus, signature, q1, q2 = (numbers[i * rsa.SIZE : (i + 1) * rsa.SIZE] for i in range(4))
    known = hmac.compare_digest(hashlib.sha256(modulus).digest(), enclave.entry_key)
    refuse_if(not known, Status.BLOCK_ENTRY_PROOF)
    message = b"".join((
        _DOMAIN,  # 0
        bytes([op]) + bytes(7),  # 16
        enclave.eid.to_bytes(8, "little"),  # 24
        linaddr,  # 32
        enclave.challenge,  # 40
        enclave.mrenclave,  # 56
        chain,  # 88
        bytes(8),  # 120..127
    ))
    signed = rsa.verified_padding(modulus, signature, q1, q2, message) is not None
    refuse_if(not signed, Status.BLOCK_ENTRY_PROOF)


def proven(enclave: Enclave, tcs: Tcs, body: bytes) -> None:
    """What a good proof leaves behind: its challenge is used up, its chain is expected."""
    enclave.challenge = None
    tcs.expected = body[HANDLE_SIZE + 8 :][:HASH_SIZE]


def link(op: int, after_ticket: bytes) -> bytes:
    """The link of a command: its number, and its body after the ticket, with what it says of the next one."""
    return hashlib.sha256(bytes([op]) + bytes(15) + after_ticket).digest()


Leaf = Callable[[Machine, Enclave, Tcs, bytes], bytes]


def of_an_entry(op: int, size: int) -> Callable[[Leaf], Callable[[Machine, bytes], bytes]]:
    """Make a leaf that speaks for an entry into a command: body = ticket || ``size`` bytes [|| next].

    Checks the ticket, whether the body's form is one for this enclave, and its place in the chain; the
    leaf then gets the ``size`` bytes. Only when the leaf succeeds the chain goes on.
    """

    def wrap(leaf: Leaf) -> Callable[[Machine, bytes], bytes]:
        @functools.wraps(leaf)
        def command(machine: Machine, body: bytes) -> bytes:
            enclave, tcs = machine.entry(body[:TICKET_SIZE])
            inner = body[TICKET_SIZE:]
            given, following = inner[:size], inner[size:]
            refuse_if(bool(following) != (enclave.entry_key is not None), Status.LINK_BAD_LENGTH)
            if following:
                refuse_if(not hmac.compare_digest(link(op, inner), tcs.expected), Status.BLOCK_ENTRY_PROOF)
            answer = leaf(machine, enclave, tcs, given)
            if following:
                tcs.expected = following
            return answer

        return command

    return wrap
