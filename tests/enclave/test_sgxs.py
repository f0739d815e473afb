"""SGXS streams: read, written, cut and bent."""

import io
import tracemalloc

import measured_blocks as blocks
import pytest
from fusequote.arch import SigStruct, Tcs
from fusequote.enclave import (
    AddPage,
    ExtendChunks,
    ImageError,
    ImageUnsupported,
    SgxsImage,
    check_for_chip,
    mrenclave,
    open_image,
    sample_image,
    write_sgxs,
)
from fusequote.enclave.measure import eadd_block, ecreate_block, eextend_block
from fusequote.errors import FormatError, FusequoteError, UsageError
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_blocks import PAGE

SIZE = 64 * PAGE
RW, TCS = 0x203, 0x100


def stream(*parts, size=SIZE):
    return blocks.ecreate(size) + b"".join(parts)


def chunk(i):
    return bytes([i % 251 + 1]) * 256


def test_blocks_known_by_heart():
    """The blocks of the instruction notes, section 2, spelt out."""
    image = SgxsImage(stream())
    assert ecreate_block(image.secs).hex() == "4543524541544500" "01000000" "0000040000000000" + "00" * 44
    page = AddPage(0x3000, 0x205)
    from fusequote.arch import SecInfo

    assert eadd_block(page.offset, SecInfo(flags=page.flags)).hex() == (
        "4541444400000000" "0030000000000000" "0502000000000000" + "00" * 40
    )
    assert eextend_block(0x3100).hex() == "45455854454e4400" "0031000000000000" + "00" * 48
    # 0x0045544145524345, 0x0000000044444145 and 0x00444E4554584545 as little-endian numbers.
    tags = [0x0045544145524345, 0x0000000044444145, 0x00444E4554584545]
    made = (ecreate_block(image.secs), eadd_block(0, SecInfo()), eextend_block(0))
    assert [int.from_bytes(block[:8], "little") for block in made] == tags


PAGES = st.lists(
    st.tuples(
        st.integers(0, 63),
        st.sampled_from([0x201, 0x203, 0x205, 0x207, 0x303, TCS]),
        st.lists(st.integers(0, 15), max_size=24),
    ),
    max_size=6,
)


@given(PAGES)
def test_any_order_of_chunks_repeats_and_unmeasured_pages(pages):
    """What comes out again is the stream that went in, block by block, and its hash is MRENCLAVE."""
    parts = []
    for page, flags, chunks in pages:
        parts.append(blocks.eadd(page * PAGE, flags))
        parts += [blocks.eextend(page * PAGE + i * 256, chunk(i)) for i in chunks]
    data = stream(*parts)
    image = SgxsImage(data)
    assert mrenclave(image) == blocks.measure(data)
    out = io.BytesIO()
    write_sgxs(image, out)
    assert out.getvalue() == data
    assert image.page_count == len(pages)
    assert image.chunk_count == sum(len(chunks) for *_, chunks in pages)
    assert image.compressions == len(data) // 64 + 1


def test_consecutive_chunks_travel_together():
    parts = [blocks.eadd(0, RW)]
    parts += [blocks.eextend(i * 256, chunk(i)) for i in (0, 1, 2, 5, 4, 14, 15, 15)]
    parts += [blocks.eadd(PAGE, RW), blocks.eextend(PAGE, chunk(0))]
    operations = list(SgxsImage(stream(*parts)).operations())
    assert [(op.offset, op.count) for op in operations if isinstance(op, ExtendChunks)] == [
        (0, 3), (0x500, 1), (0x400, 1), (0xE00, 2), (0xF00, 1), (PAGE, 1)
    ]  # fmt: skip


def test_unmeasured_data_is_passed_over():
    data = stream(blocks.eadd(0, RW), blocks.eextend(0, chunk(1)), blocks.eextend(256, chunk(2), b"UNMEASRD"))
    image = SgxsImage(data)
    assert mrenclave(image) == blocks.measure(data[: -64 - 256])
    assert image.chunk_count == 1


def tcs_page(tcs, chunks=range(16), tag=b"EEXTEND"):
    content = tcs.to_bytes()
    return [blocks.eadd(PAGE, TCS)] + [blocks.eextend(PAGE + i * 256, content[i * 256 :][:256], tag) for i in chunks]


@pytest.mark.parametrize("chunks", [range(16), [0], [3, 0, 0, 7], list(range(15, -1, -1))], ids=str)
@pytest.mark.parametrize("tag", [b"EEXTEND", b"UNMEASRD"])
def test_a_tcs_is_put_together_from_its_chunks(chunks, tag):
    tcs = Tcs(ossa=0x5000, nssa=2, oentry=0x77)
    image = SgxsImage(stream(*tcs_page(tcs, chunks, tag), blocks.eadd(2 * PAGE, RW)))
    (add, *_) = image.operations()
    assert add.content == tcs.to_bytes()
    check_for_chip(image)


def test_a_tcs_that_is_not_in_the_file():
    other_page = stream(blocks.eadd(PAGE, TCS), blocks.eadd(0, RW), blocks.eextend(0, chunk(0)))
    for data in (stream(*tcs_page(Tcs(), [])), stream(*tcs_page(Tcs(), [1, 2])), other_page):
        image = SgxsImage(data)
        assert mrenclave(image) == blocks.measure(data)
        with pytest.raises(ImageUnsupported, match="content of this TCS is not in the file"):
            check_for_chip(image)


def test_a_tcs_with_two_contents_for_one_chunk():
    data = stream(*tcs_page(Tcs(nssa=1), [0]), blocks.eextend(PAGE, Tcs(nssa=2).to_bytes()[:256]))
    with pytest.raises(ImageError, match="two contents"):
        list(SgxsImage(data).operations())


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"", 0),
        (b"ECREATE\0", 8),
        (blocks.ecreate(SIZE)[:63], 63),
        (b"EADD" + bytes(60), 0),
        (blocks.ecreate(SIZE)[:28] + b"\1" + bytes(35), 28),
        (blocks.ecreate(SIZE - PAGE), 12),
        (blocks.ecreate(PAGE), 12),
        (blocks.ecreate(0), 12),
        (stream(b"ECREA"), 69),
        (stream(blocks.ecreate(SIZE)), 64),
        (stream(b"WHATEVER" + bytes(56)), 64),
        (stream(blocks.eadd(0x800, RW)), 72),
        (stream(blocks.eadd(SIZE, RW)), 72),
        (stream(blocks.eadd(2**64 - PAGE, RW)), 72),
        (stream(blocks.eadd(0, RW)[:24] + b"\1" + bytes(39)), 88),
        (stream(blocks.eextend(0x80, chunk(0))), 72),
        (stream(blocks.eextend(SIZE, chunk(0))), 72),
        (stream(blocks.eextend(0, chunk(0))[:16] + b"\1" + bytes(303)), 80),
        (stream(blocks.eadd(0, RW)[:-1]), 127),
        (stream(blocks.eextend(0, chunk(0))[:-1]), 64 + 319),
    ],
)
def test_streams_that_are_none(data, offset):
    with pytest.raises(ImageError) as caught:
        SgxsImage(data)
    assert caught.value.offset == offset and caught.value.exit_code == 2


def test_a_stream_without_a_size():
    with pytest.raises(ImageUnsupported, match="UNSIZED"):
        SgxsImage(b"UNSIZED\0" + bytes(56))


def sample_stream():
    out = io.BytesIO()
    write_sgxs(sample_image(), out)
    return out.getvalue()


SAMPLE = sample_stream()


@pytest.mark.parametrize("part", range(64))
def test_truncated_at_each_64th(part):
    """A cut inside a block is an error; a cut between two leaves another enclave, never the same."""
    cut = SAMPLE[: len(SAMPLE) * part // 64 + 1]
    try:
        image = SgxsImage(cut)
        assert mrenclave(image) != mrenclave(SgxsImage(SAMPLE))
    except ImageError as error:
        assert error.offset is not None


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(SAMPLE) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused_or_changes_mrenclave(at, bit):
    data = bytearray(SAMPLE)
    data[at] ^= 1 << bit
    try:
        image = SgxsImage(bytes(data))
        assert mrenclave(image) == blocks.measure(data) != blocks.measure(SAMPLE)
    except FusequoteError as error:
        assert error.exit_code == 2


def test_files(tmp_path):
    path = tmp_path / "sample.sgxs"
    path.write_bytes(SAMPLE)
    signed = SigStruct(attributes=bytes([0x16] + [0] * 7 + [7] + [0] * 7))
    with pytest.raises(UsageError, match="cannot read the SIGSTRUCT"):
        open_image(path)
    path.with_suffix(".sig").write_bytes(signed.to_bytes())
    with open_image(path) as image:
        assert isinstance(image, SgxsImage) and image.sigstruct == signed and image.name == "sample.sgxs"
        assert (int(image.secs.attributes.flags), int(image.secs.attributes.xfrm)) == (0x16, 7)
        assert mrenclave(image) == blocks.measure(SAMPLE)
    other = tmp_path / "other.bin"
    other.write_bytes(SigStruct(isvsvn=3).to_bytes())
    with open_image(path, other) as image:
        assert image.sigstruct.isvsvn == 3
    for size in (0, 1807, 1809):
        other.write_bytes(bytes(size))
        with pytest.raises(FormatError, match="1808 bytes"):
            open_image(path, other)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ImageError, match="neither an SGXS stream nor an ELF file"):
        open_image(tmp_path / "empty")
    for wrong in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            open_image(wrong)


def test_a_big_file_is_never_in_memory(tmp_path):
    """4 MiB of pages; what Python allocates for reading them stays below 256 KiB."""
    path = tmp_path / "big.sgxs"
    pages = 1024
    with path.open("wb") as file:
        file.write(blocks.ecreate(2 * pages * PAGE))
        for i in range(pages):
            file.write(blocks.page(i * PAGE, RW, chunk(i) * 16))
    with SgxsImage(path) as image:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        assert sum(isinstance(op, AddPage) for op in image.operations()) == image.page_count == pages
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak - before < 256 * 1024
