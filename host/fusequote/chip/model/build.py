"""The leaves that make and unmake enclaves: ECREATE, EADD, EEXTEND, EINIT, EREMOVE.

Each function takes the machine and the command's body, makes every check of docs/chip.md section 4 in its
order, and only then changes anything. Source: that section, and the instruction notes, sections 2 and 3
(SDM volume 3D, the Operation sections of these leaves).
"""

from __future__ import annotations

import hashlib
import hmac

from . import layout, rsa, signed_entry
from .crypto import above, cmac
from .fuses import provisioning_signers
from .keys import einittoken_key
from .layout import EinitToken, SecInfo, SecsSource, SigStruct, TcsSource
from .state import HANDLE_SIZE, Enclave, Machine, OpenPage, Tcs
from .status import Refusal, Status, gp_if, refuse_if

PAGE = 4096
CHUNK = 256
MAX_CHUNKS = 16

_FLAGS_ALLOWED = 0x4F6
_EXINFO = 1
_XFRM_ALLOWED = 0x2FF
_MAX_SIZE_64 = 1 << 36
_MAX_SIZE_32 = 1 << 31

_RWX = 0x07
_W_WITHOUT_R = 0x02

_HEADER = bytes.fromhex("06000000E10000000000010000000000")
_HEADER2 = bytes.fromhex("01010000600000006000000001000000")
_VENDORS = (0, 0x8086)

# Bodies of EADD and EEXTEND up to where their data begins.
EADD_HEAD = HANDLE_SIZE + 8 + SecInfo.SIZE
EEXTEND_HEAD = HANDLE_SIZE + 8 + 1


def ecreate(machine: Machine, body: bytes) -> bytes:
    """ECREATE: SECINFO || SECS -> handle."""
    secinfo, secs = SecInfo(body[:64]), SecsSource(body[64:])
    gp_if(secinfo.page_type != layout.PT_SECS or secinfo.reserved_set or bool(secinfo.flags & ~0xFF3F))
    max_size = _MAX_SIZE_64 if secs.flags & layout.MODE64BIT else _MAX_SIZE_32
    gp_if(secs.size < 2 * PAGE or bool(secs.size & (secs.size - 1)) or secs.size > max_size)
    gp_if(bool(secs.baseaddr % secs.size))
    gp_if(secs.ssaframesize == 0)
    gp_if(bool(secs.miscselect & ~_EXINFO))
    gp_if(bool(secs.flags & ~_FLAGS_ALLOWED))
    gp_if(not _legal_xfrm(secs.xfrm))
    if secs.flags & layout.CET:
        gp_if(bool(secs.cet_attributes & 0xC0) or bool(secs.cet_leg_bitmap_offset % PAGE))
    else:
        gp_if(secs.cet_attributes != 0 or secs.cet_leg_bitmap_offset != 0)
    if not secs.flags & layout.KSS:
        gp_if(any(secs.configid) or secs.configsvn != 0)
    gp_if(secs.reserved_set)
    refuse_if(None not in machine.slots, Status.BLOCK_NO_SLOT)

    enclave = Enclave(
        eid=machine.next_eid,
        size=secs.size,
        baseaddr=secs.baseaddr,
        ssaframesize=secs.ssaframesize,
        miscselect=secs.miscselect,
        cet_leg_bitmap_offset=secs.cet_leg_bitmap_offset,
        cet_attributes=secs.cet_attributes,
        attributes=secs.attributes,
        configid=secs.configid,
        configsvn=secs.configsvn,
    )
    machine.next_eid = (machine.next_eid + 1) % (1 << 64)
    enclave.measurement.update(
        b"ECREATE\0"
        + secs.ssaframesize.to_bytes(4, "little")
        + secs.size.to_bytes(8, "little")
        + secs.cet_leg_bitmap_offset.to_bytes(8, "little")
        + bytes(36)
    )
    index = machine.slots.index(None)
    machine.slots[index] = enclave
    return bytes([index]) + enclave.eid.to_bytes(8, "little")


def _legal_xfrm(xfrm: int) -> bool:
    """x87 and SSE always; MPX and AVX-512 whole or not at all; AVX-512 only with AVX; PKRU."""
    mpx, avx512 = xfrm >> 3 & 3, xfrm >> 5 & 7
    return (
        not xfrm & ~_XFRM_ALLOWED
        and xfrm & 3 == 3
        and mpx in (0, 3)
        and avx512 in (0, 7)
        and (avx512 == 0 or bool(xfrm & 4))
    )


def eadd(machine: Machine, body: bytes) -> bytes:
    """EADD: handle || LINADDR || SECINFO [|| TCS page] -> nothing."""
    enclave = machine.enclave(body)
    gp_if(enclave.initialised)
    linaddr = int.from_bytes(body[9:17], "little")
    offset = enclave.offset_of(linaddr)
    gp_if(bool(linaddr % PAGE))
    if offset is None:
        raise Refusal(Status.FAULT_GP)
    secinfo = SecInfo(body[17:EADD_HEAD])
    is_tcs = secinfo.page_type == layout.PT_TCS
    gp_if(secinfo.page_type not in (layout.PT_TCS, layout.PT_REG))
    gp_if(bool(secinfo.flags & ~0xFF07) or secinfo.reserved_set)
    gp_if(not is_tcs and secinfo.flags & 3 == _W_WITHOUT_R)
    page = body[EADD_HEAD:]
    refuse_if(len(page) != (PAGE if is_tcs else 0), Status.LINK_BAD_LENGTH)
    if is_tcs:
        source = TcsSource(page)
        _check_tcs(enclave, source)
        refuse_if(len(enclave.tcs) == machine.tcs_per_slot, Status.BLOCK_NO_TCS)

    flags = secinfo.flags & ~_RWX if is_tcs else secinfo.flags
    enclave.measurement.update(
        b"EADD\0\0\0\0" + offset.to_bytes(8, "little") + flags.to_bytes(8, "little") + bytes(40)
    )
    if is_tcs:
        enclave.tcs.append(Tcs(offset=offset, nssa=source.nssa, oentry=source.oentry))
        enclave.open_page = OpenPage(offset, source.as_stored())
    else:
        enclave.open_page = OpenPage(offset)
    return b""


def _check_tcs(enclave: Enclave, tcs: TcsSource) -> None:
    gp_if(tcs.reserved_set)
    gp_if(bool(tcs.flags & ~3) or bool(tcs.flags & 2) and not enclave.has(layout.AEXNOTIFY))
    gp_if(tcs.ocetssa != 0 and not enclave.has(layout.CET))
    if not enclave.has(layout.MODE64BIT):
        gp_if(tcs.fslimit & 0xFFF != 0xFFF or tcs.gslimit & 0xFFF != 0xFFF)


def eextend(machine: Machine, body: bytes) -> bytes:
    """EEXTEND: handle || LINADDR || count [|| data] -> nothing. Once per chunk, as on a CPU."""
    enclave = machine.enclave(body)
    gp_if(enclave.initialised)
    linaddr = int.from_bytes(body[9:17], "little")
    offset = enclave.offset_of(linaddr)
    gp_if(bool(linaddr % CHUNK))
    if offset is None:
        raise Refusal(Status.FAULT_GP)
    page = enclave.open_page
    if page is None or not page.offset <= offset < page.offset + PAGE:
        raise Refusal(Status.FAULT_PF)
    count, data = body[17], body[EEXTEND_HEAD:]
    within = offset - page.offset
    refuse_if(not 1 <= count <= MAX_CHUNKS or within + count * CHUNK > PAGE, Status.LINK_BAD_LENGTH)
    refuse_if(len(data) != (0 if page.content is not None else count * CHUNK), Status.LINK_BAD_LENGTH)

    if page.content is not None:
        data = page.content[within : within + count * CHUNK]
    elif within == 0 and data.startswith(signed_entry.KEY_MAGIC):
        at = len(signed_entry.KEY_MAGIC)
        enclave.entry_key = data[at : at + signed_entry.HASH_SIZE]
        enclave.entry_keys += 1
    for i in range(0, count * CHUNK, CHUNK):
        enclave.measurement.update(b"EEXTEND\0" + (offset + i).to_bytes(8, "little") + bytes(48))
        enclave.measurement.update(data[i : i + CHUNK])
    return b""


def einit(machine: Machine, body: bytes) -> bytes:
    """EINIT: handle || SIGSTRUCT || EINITTOKEN -> nothing. Numbers are the steps of notes 3.1."""
    handle = body[:HANDLE_SIZE]
    sig = SigStruct(body[HANDLE_SIZE : HANDLE_SIZE + SigStruct.SIZE])
    token = EinitToken(body[HANDLE_SIZE + SigStruct.SIZE :])

    # 2
    bad_sig = Status.SGX_INVALID_SIG_STRUCT
    refuse_if(sig.header != _HEADER or sig.vendor not in _VENDORS or sig.header2 != _HEADER2, bad_sig)
    refuse_if(sig.exponent != 3 or sig.reserved_set, bad_sig)
    # 3
    refuse_if(machine.event, Status.SGX_UNMASKED_EVENT)
    # 4
    padding = rsa.verified_padding(sig.modulus, sig.signature, sig.q1, sig.q2, sig.message)
    if padding is None:
        raise Refusal(Status.SGX_INVALID_SIGNATURE)
    # 5
    enclave = machine.enclave(handle)
    gp_if(enclave.initialised)
    # 6
    refuse_if(any(sig.isvfamilyid) and not enclave.has(layout.KSS), bad_sig)
    # 7: on a copy, for another EINIT may follow
    mrenclave = enclave.measurement.copy().digest()
    refuse_if(mrenclave != sig.enclavehash, Status.SGX_INVALID_MEASUREMENT)
    # our rule for entry keys
    refuse_if(enclave.entry_keys > 1, Status.SGX_INVALID_MEASUREMENT)
    # 8, 9, and our rule for PROVISIONKEY
    mrsigner = hashlib.sha256(sig.modulus).digest()
    bad_attribute = Status.SGX_INVALID_ATTRIBUTE
    launch_signer = mrsigner == machine.lepubkeyhash
    refuse_if(enclave.has(layout.EINITTOKEN_KEY) and not launch_signer, bad_attribute)
    may_provision = mrsigner in provisioning_signers(machine)
    refuse_if(enclave.has(layout.PROVISIONKEY) and not may_provision, bad_attribute)
    # 10, 11
    refuse_if(bool((enclave.attributes ^ sig.attributes) & sig.attributemask), bad_attribute)
    refuse_if(bool((enclave.miscselect ^ sig.miscselect) & sig.miscmask), bad_attribute)
    refuse_if(bool((enclave.cet_attributes ^ sig.cet_attributes) & sig.cet_attributes_mask), bad_attribute)
    # 12 to 17
    if token.valid & 1:
        _check_token(machine, enclave, token, mrenclave, mrsigner)
    else:
        refuse_if(not launch_signer, Status.SGX_INVALID_EINITTOKEN)
    # 18
    enclave.mrenclave = mrenclave
    enclave.mrsigner = mrsigner
    enclave.isvextprodid = sig.isvextprodid
    enclave.isvprodid = sig.isvprodid
    enclave.isvsvn = sig.isvsvn
    enclave.isvfamilyid = sig.isvfamilyid
    enclave.padding = padding
    enclave.attributes |= layout.INIT
    return b""


def _check_token(
    machine: Machine, enclave: Enclave, token: EinitToken, mrenclave: bytes, mrsigner: bytes
) -> None:
    bad_token = Status.SGX_INVALID_EINITTOKEN
    # 13
    refuse_if(bool(token.masked_attributes_le & layout.DEBUG) and not enclave.has(layout.DEBUG), bad_token)
    # 14
    refuse_if(bool(token.valid & ~1) or token.reserved_set, bad_token)
    # 15
    refuse_if(above(token.cpusvn_le, machine.cpusvn), Status.SGX_INVALID_CPUSVN)
    # 16
    mac = cmac(einittoken_key(machine, token), token.maced)
    refuse_if(not hmac.compare_digest(mac, token.mac), bad_token)
    # 17
    refuse_if(token.mrenclave != mrenclave or token.mrsigner != mrsigner, Status.SGX_INVALID_MEASUREMENT)
    refuse_if(token.attributes != enclave.attributes, Status.SGX_INVALID_ATTRIBUTE)


def eremove(machine: Machine, body: bytes) -> bytes:
    """EREMOVE: handle -> nothing. SGX_ENCLAVE_ACT while it is entered."""
    enclave = machine.enclave(body)
    refuse_if(any(tcs.active for tcs in enclave.tcs), Status.SGX_ENCLAVE_ACT)
    machine.slots[body[0]] = None
    return b""
