"""Every check of ECREATE, EADD, EEXTEND and EREMOVE in docs/chip.md section 4, on the reference model."""

import hashlib

import commands_shadow as ops
import pytest
from commands_make import (
    AEXNOTIFY,
    CET,
    DEBUG,
    KSS,
    MODE64,
    MRSIGNERS,
    NO_TOKEN,
    PROVISIONKEY,
    PT_REG,
    PT_SECS,
    PT_TCS,
    SIGNERS,
    TOKENKEY,
    R,
    W,
    X,
    cmac,
    le,
    patched,
    record,
    secinfo,
    secs,
    sigstruct,
    tcs_page,
)  # fmt: skip
from model_driver import BASE, build, einit_body, enter, launch, locked

GP, PF = "FAULT_GP", "FAULT_PF"
CPUSVN = bytes([255, 254, 253, 252, 251, 250, 249, 248] * 2)


@pytest.fixture
def chip():
    return locked()


# -- ECREATE --------------------------------------------------------------------------------------------------------


def ecreate(chip, source=None, info=None):
    return chip.status(ops.ECREATE, (info or secinfo(PT_SECS)) + (source or secs()))


@pytest.mark.parametrize(
    "info",
    [secinfo(PT_TCS), secinfo(PT_REG), secinfo(PT_SECS, 0x40), secinfo(PT_SECS, 0x80),
     *[record(64, (at, b"\x01")) for at in (2, 7, 8, 63)]],
)  # fmt: skip
def test_ecreate_secinfo(chip, info):
    assert ecreate(chip, info=info) == GP


@pytest.mark.parametrize("flags", [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x3F])
def test_ecreate_ignores_the_low_bits_of_secinfo(chip, flags):
    assert ecreate(chip, info=secinfo(PT_SECS, flags)) == "SUCCESS"


BAD_SECS = [
    *[secs(size=size, base=0) for size in (0, 1, 4096, 12288, 8193, 2**37, 2**63, 2**36 + 4096)],
    *[secs(size=size, base=0, flags=0) for size in (2**32, 2**36)],
    *[secs(size=0x10000, base=base) for base in (0x8000, 0x10001, 1, 2**64 - 0x8000)],
    secs(ssaframesize=0),
    *[secs(miscselect=1 << bit) for bit in (1, 2, 31)],
    *[secs(flags=MODE64 | 1 << bit) for bit in (0, 3, 8, 9, 11, 31, 32, 63)],
    *[secs(xfrm=xfrm) for xfrm in (0, 1, 2, 0xB, 0x13, 0x27, 0x47, 0x67, 0xC7, 0xE3, 0x103, 0x403, 3 | 1 << 63)],
    secs(cet=1),
    secs(cet_bitmap=0x1000),
    *[secs(flags=MODE64 | CET, cet=cet) for cet in (0x40, 0x80)],
    *[secs(flags=MODE64 | CET, cet_bitmap=bitmap) for bitmap in (1, 0x800, 0x1008)],
    secs(configid=b"\1" + bytes(63)),
    secs(configid=bytes(63) + b"\1"),
    secs(configsvn=1),
    secs(configsvn=0x8000),
    *[patched(secs(), at, b"\x80") for at in (33, 47, 96, 127, 160, 191, 262, 300, 4095)],
]


@pytest.mark.parametrize("source", BAD_SECS, ids=range(len(BAD_SECS)))
def test_ecreate_secs(chip, source):
    assert ecreate(chip, source) == GP


GOOD_SECS = [
    secs(size=8192),
    secs(size=2**36, base=2**36),
    secs(size=2**31, base=0, flags=0),
    secs(base=2**64 - 0x10000),
    secs(ssaframesize=2**32 - 1),
    *[secs(flags=MODE64 | flag) for flag in (DEBUG, PROVISIONKEY, TOKENKEY, CET, KSS, AEXNOTIFY)],
    secs(flags=0x4F6),
    *[secs(xfrm=xfrm) for xfrm in (7, 0x1B, 0x1F, 0xE7, 0xFF, 0x203, 0x2FF)],
    secs(flags=MODE64 | CET, cet=0x3F, cet_bitmap=0xFFFF_FFFF_FFFF_F000),
    secs(flags=MODE64 | KSS, configid=b"c" * 64, configsvn=0xFFFF),
    *[patched(secs(), at, b"\x80") for at in (64, 95, 128, 159, 256, 259)],
]


@pytest.mark.parametrize("source", GOOD_SECS, ids=range(len(GOOD_SECS)))
def test_ecreate_takes(chip, source):
    assert ecreate(chip, source) == "SUCCESS"


def test_slots(chip):
    handles = [build(chip).handle for _ in range(4)]
    assert [handle[0] for handle in handles] == [0, 1, 2, 3]
    assert ecreate(chip) == "BLOCK_NO_SLOT"
    assert ecreate(chip, secs(ssaframesize=0)) == GP
    chip.do(ops.EREMOVE, handles[2])
    chip.do(ops.EREMOVE, handles[1])
    assert build(chip).handle[0] == 1
    eids = [int.from_bytes(handle[1:], "little") for handle in handles]
    assert eids == list(range(eids[0], eids[0] + 4))


# -- handles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "op",
    [ops.EADD, ops.EEXTEND, ops.EINIT, ops.EREMOVE, ops.EENTER, ops.AEX, ops.ERESUME, ops.SLOT_INFO],
    ids=lambda op: ops.OP_NAMES[op],
)
def test_wrong_handles(chip, op):
    enclave = build(chip)
    rest = {
        ops.EADD: le(BASE, 8) + secinfo(PT_REG),
        ops.EEXTEND: le(BASE + 0x1000, 8) + b"\x01" + bytes(256),
        ops.EINIT: einit_body(enclave)[9:],
    }.get(op, b"" if op in (ops.EREMOVE, ops.SLOT_INFO) else le(BASE, 8))
    eid = int.from_bytes(enclave.handle[1:], "little")
    for index, other in ((0, eid + 1), (1, eid), (4, eid), (255, eid), (0, 0), (0, eid ^ 1 << 63)):
        assert chip.status(op, bytes([index]) + le(other % 2**64, 8) + rest) == PF
    chip.do(ops.EREMOVE, enclave.handle)
    assert chip.status(op, enclave.handle + rest) == PF
    build(chip)
    assert chip.status(op, enclave.handle + rest) == PF


# -- EADD -----------------------------------------------------------------------------------------------------------


def eadd(chip, handle, linaddr=BASE, info=None, page=b""):
    return chip.status(ops.EADD, handle + le(linaddr % 2**64, 8) + (info or secinfo(PT_REG, R)) + page)


@pytest.mark.parametrize("linaddr", [BASE + 1, BASE + 0x800, BASE - 4096, BASE + 0x10000, 0, 2**64 - 4096])
def test_eadd_linaddr(chip, linaddr):
    assert eadd(chip, build(chip).handle, linaddr) == GP


@pytest.mark.parametrize(
    "info",
    [*[secinfo(kind) for kind in (PT_SECS, 3, 4, 5, 6, 7, 255)],
     *[secinfo(PT_REG, R | 1 << bit) for bit in (3, 4, 5, 6, 7, 16, 63)],
     *[patched(secinfo(PT_REG, R), at, b"\x01") for at in (8, 63)], secinfo(PT_REG, W), secinfo(PT_REG, W | X)],
)  # fmt: skip
def test_eadd_secinfo(chip, info):
    handle = build(chip).handle
    assert eadd(chip, handle, info=info) == GP
    assert eadd(chip, handle, info=info, page=tcs_page()) == GP  # before the length is looked at


@pytest.mark.parametrize("flags", [0, R, R | W, R | X, R | W | X, X])
def test_eadd_regular_permissions(chip, flags):
    assert eadd(chip, build(chip).handle, info=secinfo(PT_REG, flags)) == "SUCCESS"


def test_eadd_length_fits_the_type(chip):
    handle = build(chip).handle
    assert eadd(chip, handle, page=bytes(4096)) == "LINK_BAD_LENGTH"
    assert eadd(chip, handle, info=secinfo(PT_TCS)) == "LINK_BAD_LENGTH"
    assert eadd(chip, bytes(9), page=bytes(4095)) == "LINK_BAD_LENGTH"
    assert eadd(chip, bytes(9), page=bytes(4096)) == PF


@pytest.mark.parametrize(
    ("page", "flags"),
    [
        *[(patched(tcs_page(), at, b"\x80"), MODE64) for at in (0, 7, 40, 47, 80, 87, 88, 1000, 4095)],
        *[(patched(tcs_page(), at, b"\x80"), MODE64 | CET) for at in (80, 87)],
        *[(tcs_page(flags=1 << bit), MODE64 | AEXNOTIFY) for bit in (2, 31, 63)],
        (tcs_page(flags=2), MODE64),
        (tcs_page(ocetssa=0x1000), MODE64),
        (tcs_page(fslimit=0xFFFFFFFE), 0),
        (tcs_page(gslimit=0xFFFFF7FF), 0),
    ],
)
def test_eadd_tcs(chip, page, flags):
    handle = build(chip, flags=flags, base=0, size=0x10000).handle
    assert eadd(chip, handle, 0x2000, secinfo(PT_TCS), page) == GP


@pytest.mark.parametrize(
    ("page", "flags"),
    [
        (tcs_page(flags=1, cssa=7), MODE64),
        (tcs_page(flags=3), MODE64 | AEXNOTIFY),
        (tcs_page(ocetssa=0x1000), MODE64 | CET),
        (tcs_page(fslimit=0, gslimit=0), MODE64),
        (tcs_page(fslimit=0xFFF, gslimit=0x12345FFF), 0),
    ],
)
def test_eadd_takes_a_tcs(chip, page, flags):
    handle = build(chip, flags=flags, base=0, size=0x10000).handle
    assert eadd(chip, handle, 0x2000, secinfo(PT_TCS, R | W | X), page) == "SUCCESS"


def test_tcs_per_slot(chip):
    handle = build(chip).handle
    for _ in range(3):
        assert eadd(chip, handle, info=secinfo(PT_TCS), page=tcs_page()) == "SUCCESS"
    assert eadd(chip, handle, info=secinfo(PT_TCS), page=tcs_page()) == "BLOCK_NO_TCS"
    assert eadd(chip, handle, info=secinfo(PT_TCS), page=patched(tcs_page(), 0, b"\1")) == GP
    assert eadd(chip, handle) == "SUCCESS"


# -- EEXTEND --------------------------------------------------------------------------------------------------------


def eextend(chip, handle, linaddr=BASE + 0x1000, count=1, data=None):
    data = bytes(256 * count) if data is None else data
    return chip.status(ops.EEXTEND, handle + le(linaddr % 2**64, 8) + bytes([count]) + data)


def test_eextend_addresses(chip):
    handle = build(chip).handle
    for linaddr in (BASE + 0x1001, BASE + 0x1080, BASE - 256, BASE + 0x10000, 0):
        assert eextend(chip, handle, linaddr) == GP
    for linaddr in (BASE, BASE + 0xF00, BASE + 0x2000):
        assert eextend(chip, handle, linaddr) == PF
    assert eextend(chip, handle, BASE + 0x1F00) == "SUCCESS"


def test_eextend_without_an_open_page(chip):
    handle = chip.do(ops.ECREATE, secinfo(PT_SECS) + secs())
    assert eextend(chip, handle, BASE) == PF
    assert eextend(chip, handle, BASE, 0) == PF


@pytest.mark.parametrize(
    ("at", "count", "size"),
    [(0, 0, 0), (0, 17, 17 * 256), (0, 255, 256), (0xF00, 2, 512), (0x100, 16, 4096), (0, 1, 0), (0, 1, 255),
     (0, 1, 257), (0, 2, 256), (0, 1, 512)],
)  # fmt: skip
def test_eextend_lengths(chip, at, count, size):
    assert eextend(chip, build(chip).handle, BASE + 0x1000 + at, count, bytes(size)) == "LINK_BAD_LENGTH"


def test_eextend_of_a_tcs_carries_no_data(chip):
    handle = build(chip).handle
    assert eadd(chip, handle, BASE + 0x3000, secinfo(PT_TCS), tcs_page()) == "SUCCESS"
    assert eextend(chip, handle, BASE + 0x3000) == "LINK_BAD_LENGTH"
    assert eextend(chip, handle, BASE + 0x3000, 16, b"") == "SUCCESS"


def test_building_ends_with_einit(chip):
    enclave = launch(chip)
    assert eadd(chip, enclave.handle) == GP
    assert eextend(chip, enclave.handle) == GP
    assert chip.status(ops.EINIT, einit_body(enclave)) == GP


def test_what_is_measured(chip):
    """Chunks in any order, twice, a TCS in part and cleared, a page not at all; and the load address is not."""
    page = tcs_page(flags=3, cssa=5, oentry=0x1234, nssa=9)
    source = secs(flags=MODE64 | AEXNOTIFY | CET, cet_bitmap=0x5000, ssaframesize=3)
    handle = chip.do(ops.ECREATE, secinfo(PT_SECS, 7) + source)
    stream = b"ECREATE\0" + le(3, 4) + le(0x10000, 8) + le(0x5000, 8) + bytes(36)
    chip.do(ops.EADD, handle + le(BASE + 0x4000, 8) + secinfo(PT_REG, R | X))
    stream += b"EADD\0\0\0\0" + le(0x4000, 8) + le(0x205, 8) + bytes(40)
    for chunk in (3, 0, 3):
        data = bytes([chunk]) * 256
        chip.do(ops.EEXTEND, handle + le(BASE + 0x4000 + 256 * chunk, 8) + b"\1" + data)
        stream += b"EEXTEND\0" + le(0x4000 + 256 * chunk, 8) + bytes(48) + data
    chip.do(ops.EADD, handle + le(BASE + 0xF000, 8) + secinfo(PT_REG, R))
    stream += b"EADD\0\0\0\0" + le(0xF000, 8) + le(0x201, 8) + bytes(40)
    chip.do(ops.EADD, handle + le(BASE, 8) + secinfo(PT_TCS, R | W | X) + page)
    stream += b"EADD\0\0\0\0" + le(0, 8) + le(0x100, 8) + bytes(40)
    chip.do(ops.EEXTEND, handle + le(BASE, 8) + b"\2")
    cleared = page[:8] + b"\2" + page[9:24] + bytes(4) + page[28:]
    for chunk in (0, 1):
        data = cleared[256 * chunk :][:256]
        stream += b"EEXTEND\0" + le(256 * chunk, 8) + bytes(48) + data
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    sig = sigstruct(SIGNERS[3], hashlib.sha256(stream).digest(), source[48:64])
    chip.do(ops.EINIT, handle + sig + NO_TOKEN)
    assert chip.do(ops.SLOT_INFO, handle)[64:96] == hashlib.sha256(stream).digest()


# -- EREMOVE --------------------------------------------------------------------------------------------------------


def test_eremove(chip):
    enclave = build(chip)
    chip.do(ops.EREMOVE, enclave.handle)
    enclave = launch(chip)
    ticket = enter(chip, enclave)
    assert chip.status(ops.EREMOVE, enclave.handle) == "SGX_ENCLAVE_ACT"
    chip.do(ops.AEX, enclave.handle + le(enclave.tcs, 8))
    chip.do(ops.EREMOVE, enclave.handle)
    assert chip.status(ops.EEXIT, ticket) == GP


def test_slot_info_needs_an_initialised_enclave(chip):
    assert chip.status(ops.SLOT_INFO, build(chip).handle) == GP


def test_cmac_used_here_is_rfc_4493s():
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    assert cmac(key, b"").hex() == "bb1d6929e95937287fa37d129b756746"
