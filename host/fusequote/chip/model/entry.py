"""The leaves that enter and leave enclaves: EENTER, EEXIT, AEX, ERESUME.

An entry is a TCS with a ticket. Source: docs/chip.md section 4; instruction notes 8.3. What goes with signed
entries is in signed_entry.py.
"""

from __future__ import annotations

from . import signed_entry
from .state import HANDLE_SIZE, Enclave, Machine, Tcs
from .status import gp_if

EENTER, EEXIT, ERESUME = 0x25, 0x26, 0x2A
#: Bytes of handle || LINADDR, which name a TCS.
TCS_NAME_SIZE = HANDLE_SIZE + 8


def eenter(machine: Machine, body: bytes) -> bytes:
    """EENTER: handle || LINADDR of the TCS [|| proof] -> ticket || CSSA || entry address."""
    enclave, tcs = _tcs_to_enter(machine, body)
    gp_if(tcs.active)
    gp_if(tcs.cssa >= tcs.nssa)
    return _enter(machine, enclave, tcs, EENTER, body)


def aex(machine: Machine, body: bytes) -> bytes:
    """An asynchronous exit: the state is kept in the next SSA frame, the entry ends."""
    enclave = _initialised(machine, body)
    tcs = enclave.tcs_at(_linaddr(body))
    gp_if(not tcs.active)
    tcs.cssa += 1
    tcs.ticket = None
    return b""


def eresume(machine: Machine, body: bytes) -> bytes:
    """ERESUME: as EENTER, from the last SSA frame."""
    enclave, tcs = _tcs_to_enter(machine, body)
    gp_if(tcs.active)
    gp_if(tcs.cssa == 0)
    return _enter(machine, enclave, tcs, ERESUME, body)


@signed_entry.of_an_entry(EEXIT, 0)
def eexit(_machine: Machine, _enclave: Enclave, tcs: Tcs, _given: bytes) -> bytes:
    """EEXIT: ticket -> nothing."""
    tcs.ticket = None
    return b""


def _initialised(machine: Machine, body: bytes) -> Enclave:
    enclave = machine.enclave(body)
    gp_if(not enclave.initialised)
    return enclave


def _linaddr(body: bytes) -> int:
    return int.from_bytes(body[HANDLE_SIZE:TCS_NAME_SIZE], "little")


def _tcs_to_enter(machine: Machine, body: bytes) -> tuple[Enclave, Tcs]:
    """The TCS that a body of handle || LINADDR [|| proof] names, of an initialised enclave."""
    enclave = _initialised(machine, body)
    signed_entry.check_form(enclave, body[TCS_NAME_SIZE:])
    return enclave, enclave.tcs_at(_linaddr(body))


def _enter(machine: Machine, enclave: Enclave, tcs: Tcs, op: int, body: bytes) -> bytes:
    if enclave.entry_key is not None:
        signed_entry.check_proof(enclave, op, body)
        signed_entry.proven(enclave, tcs, body)
    if op == ERESUME:
        tcs.cssa -= 1
    tcs.ticket = machine.generator.random16()
    address = (enclave.baseaddr + tcs.oentry) % (1 << 64)
    return tcs.ticket + tcs.cssa.to_bytes(4, "little") + address.to_bytes(8, "little")
