"""What the block does not offer is refused before anything is sent, and says so."""

import pytest
from fusequote.arch import Secs, Tcs
from fusequote.enclave import AddPage, ExtendChunks, ImageError, ImageUnsupported, MemoryImage, check_for_chip
from fusequote.errors import UsageError

SECS = Secs(size=0x10000, ssaframesize=1)
PAGE, RW = 4096, 0x203


def image(*operations, secs=SECS):
    return MemoryImage("test", secs, list(operations))


def extend(offset, count=1):
    return ExtendChunks(offset, count, bytes(256 * count))


def tcs(offset):
    return AddPage(offset, 0x100, Tcs(nssa=1).to_bytes())


def test_what_the_block_offers():
    check_for_chip(image())
    again = [extend(PAGE + 256), extend(PAGE, 16), extend(PAGE + 256)]
    check_for_chip(image(AddPage(0, RW), AddPage(PAGE, 0x205), *again))
    check_for_chip(image(*[tcs(i * PAGE) for i in range(4)]))
    check_for_chip(image(*[tcs(i * PAGE) for i in range(6)]), tcs_slots=6)


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([extend(0)], "page added last is none"),
        ([AddPage(0, RW), AddPage(PAGE, RW), extend(0)], "EEXTEND of 0x0, but the page added last is 0x1000"),
        ([AddPage(0, RW), extend(PAGE)], "EEXTEND of 0x1000, but the page added last is 0x0"),
        ([tcs(i * PAGE) for i in range(5)], "5 or more TCS, and a slot of the block holds 4"),
        ([AddPage(0, 0x100)], "content of this TCS is not in the file"),
        ([AddPage(0, 0x003)], "PT_SECS R | W: the block takes PT_REG and PT_TCS"),
        ([AddPage(0, 0x303)], "PT_VA"),
        ([AddPage(0, 0x503)], "PT_SS_FIRST"),
        ([AddPage(0, 0x4203)], "page type 66"),
    ],
)
def test_more_than_the_block_offers(operations, message):
    with pytest.raises(ImageUnsupported) as caught:
        check_for_chip(image(*operations))
    assert message in str(caught.value)
    assert caught.value.hint and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([AddPage(0x10000, RW)], "outside the enclave"),
        ([AddPage(0x800, RW)], "multiple of 4096"),
        ([AddPage(0, 0x202)], "must be readable"),
        ([AddPage(0, 0x20B)], "nothing else"),
        ([AddPage(0, 0x243)], "nothing else"),
        ([AddPage(0, 0x10203)], "nothing else"),
    ],
)
def test_what_no_hardware_takes(operations, message):
    with pytest.raises(ImageError, match=message):
        check_for_chip(image(*operations))


def test_enclaves_larger_than_the_block_takes():
    check_for_chip(image(secs=Secs(size=1 << 36)))
    with pytest.raises(ImageUnsupported, match="0x2000000000 bytes, the block takes 0x1000000000"):
        check_for_chip(image(secs=Secs(size=1 << 37)))


@pytest.mark.parametrize(
    ("offset", "count", "size"), [(0x80, 1, 256), (0, 0, 0), (0, 17, 17 * 256), (0xF00, 2, 512), (0, 2, 256)]
)
def test_chunks_that_are_none(offset, count, size):
    with pytest.raises(UsageError, match="EEXTEND"):
        ExtendChunks(offset, count, bytes(size))
