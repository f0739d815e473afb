"""The leaves that enter and leave enclaves: EENTER, EEXIT, AEX, ERESUME.

An entry is a TCS with a ticket. Source: docs/chip.md section 4; instruction notes 8.3.
"""

from __future__ import annotations

from .state import HANDLE_SIZE, Enclave, Machine, Tcs
from .status import gp_if


def eenter(machine: Machine, body: bytes) -> bytes:
    """EENTER: handle || LINADDR of the TCS -> ticket || CSSA || entry address."""
    enclave, tcs = _tcs(machine, body)
    gp_if(tcs.active)
    gp_if(tcs.cssa >= tcs.nssa)
    return _enter(machine, enclave, tcs)


def aex(machine: Machine, body: bytes) -> bytes:
    """An asynchronous exit: the state is kept in the next SSA frame, the entry ends."""
    _, tcs = _tcs(machine, body)
    gp_if(not tcs.active)
    tcs.cssa += 1
    tcs.ticket = None
    return b""


def eresume(machine: Machine, body: bytes) -> bytes:
    """ERESUME: as EENTER, from the last SSA frame."""
    enclave, tcs = _tcs(machine, body)
    gp_if(tcs.active)
    gp_if(tcs.cssa == 0)
    tcs.cssa -= 1
    return _enter(machine, enclave, tcs)


def eexit(machine: Machine, body: bytes) -> bytes:
    """EEXIT: ticket -> nothing."""
    _, tcs = machine.entry(body)
    tcs.ticket = None
    return b""


def _tcs(machine: Machine, body: bytes) -> tuple[Enclave, Tcs]:
    """The TCS that a body of handle || LINADDR names, of an initialised enclave."""
    enclave = machine.enclave(body)
    gp_if(not enclave.initialised)
    return enclave, enclave.tcs_at(int.from_bytes(body[HANDLE_SIZE:], "little"))


def _enter(machine: Machine, enclave: Enclave, tcs: Tcs) -> bytes:
    tcs.ticket = machine.generator.random16()
    address = (enclave.baseaddr + tcs.oentry) % (1 << 64)
    return tcs.ticket + tcs.cssa.to_bytes(4, "little") + address.to_bytes(8, "little")
