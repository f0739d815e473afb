"""Requests, built and checked for size (docs/link.md section 3): pure functions, one per command.

Structures go in whole: an instance of :mod:`fusequote.arch` or its bytes. Wrong contents are the chip's
to refuse; what could not even be sent as this command raises :class:`~fusequote.errors.UsageError` here.
"""

from __future__ import annotations

from typing import SupportsBytes

from fusequote.arch import (
    CHUNK_SIZE,
    CHUNKS_PER_PAGE,
    PAGE_SIZE,
    EinitToken,
    KeyRequest,
    PageType,
    Report,
    SecInfo,
    SigStruct,
    TargetInfo,
)
from fusequote.chip.handles import LINK_SIZE, PROOF_SIZE, TICKET_SIZE, Handle, Ticket
from fusequote.chip.identity import FuseOption
from fusequote.chip.ops import Command, Op
from fusequote.errors import UsageError

#: A structure of :mod:`fusequote.arch`, or its bytes.
Structure = bytes | SupportsBytes

#: SECINFO of a SECS: page type PT_SECS and nothing else.
_SECS_SECINFO = bytes(SecInfo.SIZE)
#: No EINITTOKEN: VALID is 0.
NO_TOKEN = bytes(EinitToken.SIZE)


def fixed(name: str, value: Structure, size: int) -> bytes:
    """The bytes of ``value``; raises :class:`UsageError` unless there are ``size``."""
    if isinstance(value, int | str):
        raise UsageError(f"{name} is {size} bytes, not {value!r}")
    raw = bytes(value)
    if len(raw) != size:
        raise UsageError(f"{name} is {size} bytes, not {len(raw)}")
    return raw


def number(name: str, value: int, size: int) -> bytes:
    """``value`` as ``size`` bytes; raises :class:`UsageError` when it does not fit."""
    if not 0 <= value < 1 << 8 * size:
        raise UsageError(f"{name} does not fit {8 * size} bits: {value:#x}")
    return value.to_bytes(size, "little")


def fuse_manufacture(
    *,
    root_provisioning_key: bytes,
    device_id: bytes,
    cpusvn: bytes,
    provisioning_signers: tuple[bytes, bytes],
    lepubkeyhash: bytes,
    lock_lepubkeyhash: bool = False,
    p256_key: bytes | None = None,
) -> Command:
    """FUSE_MANUFACTURE (docs/link.md 3.3): 192 bytes."""
    options = FuseOption(0)
    if lock_lepubkeyhash:
        options |= FuseOption.LEPUBKEYHASH_LOCKED
    if p256_key is not None:
        options |= FuseOption.P256_KEY
    signer0, signer1 = provisioning_signers
    body = (
        fixed("the root provisioning key", root_provisioning_key, 16)
        + fixed("the device id", device_id, 16)
        + fixed("CPUSVN", cpusvn, 16)
        + fixed("provisioning signer 0", signer0, 32)
        + fixed("provisioning signer 1", signer1, 32)
        + fixed("LEPUBKEYHASH", lepubkeyhash, 32)
        + bytes((options,))
        + bytes(15)
        + fixed("the P-256 key", bytes(32) if p256_key is None else p256_key, 32)
    )
    return Command(Op.FUSE_MANUFACTURE, body)


def fuse_raise_svn(cpusvn: bytes, mac: bytes) -> Command:
    """FUSE_RAISE_SVN: 16 bytes each; the MAC is the maker's (docs/link.md 3.5)."""
    return Command(Op.FUSE_RAISE_SVN, fixed("CPUSVN", cpusvn, 16) + fixed("the maker's MAC", mac, 16))


def fuse_scrap(mac: bytes) -> Command:
    """FUSE_SCRAP: the maker's MAC, 16 bytes."""
    return Command(Op.FUSE_SCRAP, fixed("the maker's MAC", mac, 16))


def set_lepubkeyhash(value: bytes) -> Command:
    """SET_LEPUBKEYHASH: writes the four IA32_SGXLEPUBKEYHASH MSRs."""
    return Command(Op.SET_LEPUBKEYHASH, fixed("LEPUBKEYHASH", value, 32))


def set_ownerepoch(value: bytes) -> Command:
    """SET_OWNEREPOCH: writes the two SGXOWNEREPOCH MSRs."""
    return Command(Op.SET_OWNEREPOCH, fixed("OWNEREPOCH", value, 16))


def slot_info(handle: Handle) -> Command:
    """SLOT_INFO."""
    return Command(Op.SLOT_INFO, handle.to_bytes())


def ecreate(secs: Structure, secinfo: Structure = _SECS_SECINFO) -> Command:
    """ECREATE."""
    return Command(Op.ECREATE, fixed("SECINFO", secinfo, SecInfo.SIZE) + fixed("SECS", secs, PAGE_SIZE))


def eadd(handle: Handle, linaddr: int, secinfo: Structure, page: bytes | None = None) -> Command:
    """EADD. ``page`` (4,096 bytes) travels only when SECINFO says that it is a TCS, and must be given
    then."""
    info = fixed("SECINFO", secinfo, SecInfo.SIZE)
    tcs = info[1] == PageType.PT_TCS
    if tcs and page is None:
        raise UsageError(f"EADD {linaddr:#x}: a TCS needs its page")
    content = fixed("a page", page, PAGE_SIZE) if tcs and page is not None else b""
    body = handle.to_bytes() + number("LINADDR", linaddr, 8) + info + content
    return Command(Op.EADD, body, note=f"{linaddr:#x}")


def eextend(handle: Handle, linaddr: int, count: int, data: bytes = b"") -> Command:
    """EEXTEND of ``count`` chunks of 256 bytes, 1 to 16. ``data`` is empty for a TCS, whose page the chip
    has."""
    if not 1 <= count <= CHUNKS_PER_PAGE:
        raise UsageError(f"EEXTEND {linaddr:#x}: 1 to {CHUNKS_PER_PAGE} chunks at a time, not {count}")
    if data and len(data) != CHUNK_SIZE * count:
        raise UsageError(
            f"EEXTEND {linaddr:#x}: {count} chunks are {CHUNK_SIZE * count} bytes, not {len(data)}"
        )
    body = handle.to_bytes() + number("LINADDR", linaddr, 8) + bytes((count,)) + bytes(data)
    return Command(Op.EEXTEND, body, note=f"{linaddr:#x}")


def einit(handle: Handle, sigstruct: Structure, token: Structure | None = None) -> Command:
    """EINIT. Without ``token`` an EINITTOKEN travels that is not valid."""
    body = fixed("SIGSTRUCT", sigstruct, SigStruct.SIZE) + fixed(
        "EINITTOKEN", NO_TOKEN if token is None else token, 304
    )
    return Command(Op.EINIT, handle.to_bytes() + body)


def eremove(handle: Handle) -> Command:
    """EREMOVE."""
    return Command(Op.EREMOVE, handle.to_bytes())


def echallenge(handle: Handle) -> Command:
    """ECHALLENGE (ours): a nonce for the next proof."""
    return Command(Op.ECHALLENGE, handle.to_bytes())


def eenter(handle: Handle, tcs: int, proof: bytes = b"") -> Command:
    """EENTER by the TCS at this address; ``proof``: 1,568 bytes for an enclave with an entry key, else none."""
    return _by_tcs(Op.EENTER, handle, tcs, proof)


def aex(handle: Handle, tcs: int) -> Command:
    """AEX of the TCS at this address."""
    return _by_tcs(Op.AEX, handle, tcs)


def eresume(handle: Handle, tcs: int, proof: bytes = b"") -> Command:
    """ERESUME of the TCS at this address; ``proof`` as for :func:`eenter`."""
    return _by_tcs(Op.ERESUME, handle, tcs, proof)


# Of an entry. ``following``: in a signed entry, the link of the command after this one (32 bytes), else nothing.


def eexit(ticket: Ticket, following: bytes = b"") -> Command:
    """EEXIT."""
    return _by_ticket(Op.EEXIT, ticket, b"", following)


def ereport(ticket: Ticket, targetinfo: Structure, reportdata: bytes, following: bytes = b"") -> Command:
    """EREPORT. ``reportdata``: 64 bytes."""
    body = fixed("TARGETINFO", targetinfo, TargetInfo.SIZE) + fixed("REPORTDATA", reportdata, 64)
    return _by_ticket(Op.EREPORT, ticket, body, following)


def egetkey(ticket: Ticket, keyrequest: Structure, following: bytes = b"") -> Command:
    """EGETKEY."""
    return _by_ticket(Op.EGETKEY, ticket, fixed("KEYREQUEST", keyrequest, KeyRequest.SIZE), following)


def verifyreport(ticket: Ticket, report: Structure, following: bytes = b"") -> Command:
    """VERIFYREPORT (not an instruction of Intel's)."""
    return _by_ticket(Op.VERIFYREPORT, ticket, fixed("REPORT", report, Report.SIZE), following)


def is_chained(command: Command) -> bool:
    """Whether this EGETKEY has its place in the chain of a signed entry, where it can be run once only."""
    return len(command.body) > TICKET_SIZE + KeyRequest.SIZE


def _by_tcs(op: Op, handle: Handle, tcs: int, proof: bytes = b"") -> Command:
    body = handle.to_bytes() + number("the TCS's LINADDR", tcs, 8)
    return Command(op, body + (fixed("a proof", proof, PROOF_SIZE) if proof else b""), note=f"TCS {tcs:#x}")


def _by_ticket(op: Op, ticket: Ticket, body: bytes, following: bytes) -> Command:
    link = fixed("a link", following, LINK_SIZE) if following else b""
    return Command(op, fixed("a ticket", ticket.to_bytes(), TICKET_SIZE) + body + link)
