"""``.signed.so`` files that test code writes from the specification; what the loader measures is what that says."""

import struct

import measured_blocks as blocks
import pytest
import sdk_enclave as sdk
from fusequote.arch import SigStruct, Tcs
from fusequote.enclave import ImageError, ImageUnsupported, SignedSoImage, check_for_chip, mrenclave, open_image
from fusequote.enclave.image import AddPage, ExtendChunks
from fusequote.errors import FusequoteError, UsageError
from hypothesis import given, settings
from hypothesis import strategies as st
from sdk_enclave import EADD, EEXTEND, PAGE, SI_R, SI_REG, SI_W, Entry, Group, Patch, Segment

VERSIONS = [(1, 3), (1, 4), (2, 1), (2, 2), (2, 4), (3, 0), (11, 4), (12, 4), (13, 0)]


def measured(enclave, **options):
    image = SignedSoImage(sdk.write(enclave), **options)
    operations = list(image.operations())
    assert image.page_count == sum(isinstance(op, AddPage) for op in operations)
    assert image.chunk_count == sum(op.count for op in operations if isinstance(op, ExtendChunks))
    return mrenclave(image)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda v: f"{v[0]}.{v[1]}")
def test_each_metadata_version(version):
    enclave = sdk.standard(version)
    data = sdk.write(enclave)
    image = SignedSoImage(data)
    assert image.versions == (version,)
    expected = sdk.expected_stream(enclave, enclave.blobs[0])
    assert mrenclave(image) == blocks.measure(expected)
    assert image.secs.size == (0x400000 if version[0] > 10 else 0x80 * PAGE)
    check_for_chip(image)


def test_version_decides_about_elrange_alone():
    """Below major version 10 the third directory is data, and must not be read as an ELRANGE."""
    enclave = sdk.standard((2, 4))
    enclave.blobs[0].elrange = (0x100000, 0, 0x400000)
    with_directory = sdk.write(enclave)
    enclave.blobs[0].elrange = None
    assert mrenclave(SignedSoImage(with_directory)) == blocks.measure(sdk.expected_stream(enclave, enclave.blobs[0]))


@pytest.mark.parametrize(
    ("segments", "tables", "extra"),
    [
        # Memory ends in page 6, its size rounded first would reach page 7: one page more, behind the last segment.
        ([Segment(0, b"a" * 50, 50, 4), Segment(0x5800, b"b" * 9, 0x1100, 6)], 0x2000, 1),
        # The same with other segments behind it, and a gap: one page more, between.
        ([Segment(0x1800, b"b" * 9, 0x1100, 6), Segment(0x8000, b"c" * 9, 9, 4)], 0x3C000, 1),
        # No gap: no page.
        ([Segment(0x1800, b"b" * 9, 0x1100, 6), Segment(0x3000, b"c" * 9, 9, 4)], 0x3C000, 0),
        # Both between and behind.
        ([Segment(0x1800, b"b" * 9, 0x1100, 6), Segment(0x8F00, b"c" * 9, 0x1010, 5)], 0x5000, 2),
        # A segment at 0 never counts, wherever it ends.
        ([Segment(0, b"a" * 50, 0x1100, 4)], 0x3C000, 0),
    ],
    ids=["behind", "between", "no gap", "both", "at zero"],
)
def test_the_corner_case_of_version_1_3(segments, tables, extra):
    count = {}
    for version in ((1, 3), (1, 4)):
        enclave = sdk.standard(version, segments=segments, dynamic_vaddr=tables)
        enclave.blobs[0].patches = []
        assert measured(enclave) == blocks.measure(sdk.expected_stream(enclave, enclave.blobs[0]))
        count[version] = SignedSoImage(sdk.write(enclave)).page_count
    assert count[1, 3] - count[1, 4] == extra


def test_text_relocations_make_pages_writable():
    # One in the middle of page 0, one across the border of pages 1 and 2, one that is none, one in zero-filled memory.
    relocations = [(0x10, 8), (0x1FFC, 8), (0x4810, 0)]
    enclave = sdk.standard(relocations=relocations, jump_relocations=[(0x6000, 7)], textrel=True)
    assert measured(enclave) == blocks.measure(sdk.expected_stream(enclave, enclave.blobs[0]))
    flags = {op.offset: op.flags for op in SignedSoImage(sdk.write(enclave)).operations() if isinstance(op, AddPage)}
    assert [flags[i * PAGE] for i in range(3)] == [0x207] * 3
    untouched = sdk.standard(relocations=[(0x10, 8)])
    assert {op.flags for op in SignedSoImage(sdk.write(untouched)).operations() if isinstance(op, AddPage)} >= {0x205}


@pytest.mark.parametrize("edge", [0x1FF8, 0x1FF9, 0x1FFF, 0x2000])
def test_a_relocation_at_the_end_of_a_page(edge):
    enclave = sdk.standard(relocations=[(edge, 8)], textrel=True)
    assert measured(enclave) == blocks.measure(sdk.expected_stream(enclave, enclave.blobs[0]))


def test_patches_are_applied_to_a_private_copy(tmp_path):
    enclave = sdk.standard()
    path = tmp_path / "enclave.signed.so"
    path.write_bytes(sdk.write(enclave))
    before = path.read_bytes()
    with open_image(path) as image:
        assert mrenclave(image) == blocks.measure(sdk.expected_stream(enclave, enclave.blobs[0]))
    assert path.read_bytes() == before
    enclave.blobs[0].patches.append(Patch(1, 0, b"later"))
    assert measured(enclave) == blocks.measure(sdk.expected_stream(enclave, enclave.blobs[0]))


def test_tcs_templates_move_with_their_group():
    image = SignedSoImage(sdk.write(sdk.standard()))
    pages = [op for op in image.operations() if isinstance(op, AddPage) and op.is_tcs]
    found = {op.offset: Tcs.from_bytes(op.content) for op in pages}
    assert sorted(found) == [0x25000, 0x2D000, 0x35000]
    for offset, tcs in found.items():
        assert (tcs.ossa, tcs.ofsbase, tcs.ogsbase) == (offset + PAGE, offset + 3 * PAGE, offset + 3 * PAGE)
        assert (tcs.oentry, tcs.nssa) == (0x1234, 2)


def test_a_tcs_offset_wraps_at_64_bits():
    entry = Entry(4, EADD | EEXTEND, 1, 0x25000, sdk.SI_TCS, content=sdk.tcs_template(ossa=2**64 - PAGE))
    enclave = sdk.standard()
    enclave.blobs[0].layout = [entry]
    assert measured(enclave) == blocks.measure(sdk.expected_stream(enclave, enclave.blobs[0]))


def test_content_longer_than_a_page_and_fills():
    enclave = sdk.standard()
    enclave.blobs[0].layout = [
        Entry(1, EADD, 3, 0x10000, SI_REG | SI_R | SI_W, content=sdk.bytes_of(9, PAGE + 77)),
        Entry(2, EADD, 1, 0x20000, SI_REG | SI_R, fill=0x01020304),
        Entry(3, EADD | EEXTEND, 1, 0x21000, SI_REG | SI_R, fill=0x01020304),
        Entry(9, EADD | EEXTEND, 1, 0x22000, 0),
    ]
    image = SignedSoImage(sdk.write(enclave))
    assert mrenclave(image) == blocks.measure(sdk.expected_stream(enclave, enclave.blobs[0]))
    assert [op.data[:4] for op in image.operations() if isinstance(op, ExtendChunks)][-1] == b"\4\3\2\1"
    assert len([op for op in image.operations() if op.offset >= 0x10000 and isinstance(op, AddPage)]) == 5 + 1


def several():
    enclave = sdk.standard((1, 4))
    for version, size in (((2, 4), 0x100), ((1, 3), 0x200), ((11, 4), 0x80)):
        elrange = (0x400000, 0x400000, 0x400000) if version[0] > 10 else None
        enclave.blobs.append(
            sdk.Blob(version, size=size * PAGE, layout=sdk.standard_layout(), elrange=elrange, padding=5)
        )
    return enclave


def test_several_blobs_back_to_back():
    enclave = several()
    data = sdk.write(enclave)
    image = SignedSoImage(data)
    assert image.versions == ((1, 4), (2, 4), (1, 3), (11, 4))
    assert image.metadata.version == (11, 4)  # newest for hardware without dynamic memory: 11 counts as 1
    for blob in enclave.blobs:
        one = SignedSoImage(data, version=blob.version)
        assert mrenclave(one) == blocks.measure(sdk.expected_stream(enclave, blob))
    with pytest.raises(ImageError, match=r"no metadata of version 9\.9; there is 1\.4, 2\.4, 1\.3, 11\.4"):
        SignedSoImage(data, version=(9, 9))


def test_the_sigstruct_is_the_metadatas_unless_given():
    enclave = sdk.standard()
    own = SigStruct(isvsvn=7, attributes=struct.pack("<QQ", 0x15, 0x1B), miscselect=1)
    enclave.blobs[0].sigstruct = own.to_bytes()
    image = SignedSoImage(sdk.write(enclave))
    assert image.sigstruct == own
    assert (int(image.secs.attributes.flags), int(image.secs.attributes.xfrm)) == (0x14, 0x1B)
    assert image.secs.miscselect == 1
    other = SigStruct(attributes=struct.pack("<QQ", 4, 0))
    image = SignedSoImage(sdk.write(enclave), sigstruct=other, debug=True)
    assert image.sigstruct == other
    assert (int(image.secs.attributes.flags), int(image.secs.attributes.xfrm)) == (6, 3)
    forbidding = SigStruct(attributemask=struct.pack("<QQ", 2, 0))
    with pytest.raises(UsageError, match="DEBUG"):
        SignedSoImage(sdk.write(enclave), sigstruct=forbidding, debug=True)


def corrupted(change):
    enclave = sdk.standard()
    change(enclave)
    return sdk.write(enclave)


def layout(*entries):
    return lambda enclave: setattr(enclave.blobs[0], "layout", list(entries))


RW = SI_REG | SI_R | SI_W


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (layout(Entry(1, EADD, 1, 0x10800, RW)), "are not pages of the enclave"),
        (layout(Entry(1, EADD, 2, 0x7F000, RW)), "are not pages of the enclave"),
        (layout(Entry(1, EADD, 0xFFFFFFFF, 0x1000, RW)), "are not pages of the enclave"),
        (layout(Entry(1, EADD, 1, 2**64 - PAGE, RW)), "are not pages of the enclave"),
        (layout(Entry(1, EADD, 2, 0x10000, RW), Entry(1, EADD, 1, 0x11000, RW)), "overlap"),
        (layout(Group(1, 1, PAGE)), "replays 1 entries, 0 stand before"),
        (layout(Entry(1, EADD, 1, 0x10000, RW), Group(1, 1, PAGE), Group(2, 1, PAGE)), "another group"),
        (layout(Entry(1, EADD, 1, 0x10000, RW), Group(1, 0xFFFFFFFF, 0)), "too many"),
        (layout(Entry(1, EADD, 1, 0x10000, RW), Group(1, 2, 0)), "overlap"),
        (layout(Entry(1, EADD, 1, 0x10000, RW), Group(1, 1, 0x100)), "are not pages"),
        (layout(Entry(1, EADD, 1, 0x10000, RW, content=bytes(PAGE + 1))), "do not fit"),
        (layout(Entry(1, EADD, 2, 0x10000, sdk.SI_TCS, content=bytes(PAGE + 1))), "do not fit"),
        (lambda e: setattr(e.blobs[0], "size", 0x81 * PAGE), "power of two"),
        (lambda e: setattr(e.blobs[0], "size", PAGE), "power of two"),
        (lambda e: setattr(e.blobs[0], "size", 0x20 * PAGE), "are not pages of the enclave"),
        (lambda e: setattr(e, "dynamic_vaddr", 0x90000), "a segment ends at 0x91000, the enclave at 0x80000"),
        (lambda e: e.segments.append(Segment(0x5000, b"x", 1, 4)), "two segments share"),
        (lambda e: e.segments.append(Segment(0x9000, b"xy", 1, 4)), "more bytes in the file than in memory"),
        (lambda e: e.segments.append(Segment(0x9000, b"xy", 2, 0)), "nobody may read"),
        (lambda e: setattr(e, "blobs", []), "was the enclave signed"),
    ],
)
def test_inconsistent_files(change, message):
    with pytest.raises(ImageError, match=message) as caught:
        SignedSoImage(corrupted(change))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("elrange", [
    (0, 0, 0), (0x400000, 0x400000, 0x300000), (0x400800, 0x400000, 0x400000), (0x7C1000, 0x400000, 0x400000),
    (0x3FF000, 0x400000, 0x400000), (0x500000, 0x401000, 0x400000), (2**64 - PAGE, 0, 0x400000),
])  # fmt: skip
def test_wrong_elranges(elrange):
    enclave = sdk.standard((12, 4))
    enclave.blobs[0].elrange = elrange
    with pytest.raises(ImageError):
        SignedSoImage(sdk.write(enclave))


def patched(data, at, content):
    return data[:at] + content + data[at + len(content) :]


def test_tables_that_leave_blob_or_file():
    data = sdk.write(sdk.standard())
    blob = data.index(struct.pack("<Q", sdk.MAGIC))
    for directory in (1872, 1880):
        for offset, size in ((4, 32), (0xFFFFFFF0, 32), (1904, 0xFFFFFFE0), (1904, 31)):
            with pytest.raises(ImageError) as caught:
                SignedSoImage(patched(data, blob + directory, struct.pack("<II", offset, size)))
            assert caught.value.offset == blob + directory
    for destination in (len(data), 2**64 - 1):
        with pytest.raises(ImageError, match="leaves blob or file"):
            SignedSoImage(patched(data, blob + 1904, struct.pack("<Q", destination)))
    for size in (0, 100, 1895, 0xFFFFFFFF):
        with pytest.raises(ImageError):
            SignedSoImage(patched(data, blob + 16, struct.pack("<I", size)))


def test_other_files():
    data = sdk.write(sdk.standard())
    for wrong in (b"", b"\x7fEL", b"\x7fELF", data[:63]):
        with pytest.raises(ImageError):
            SignedSoImage(wrong)
    for at, content in ((4, b"\1"), (5, b"\2"), (16, b"\2"), (18, b"\3")):
        with pytest.raises(ImageUnsupported):
            SignedSoImage(patched(data, at, content))
    with pytest.raises(ImageError, match="not an enclave"):
        SignedSoImage(data.replace(b".note.sgxmeta", b".note.sgxmetb"))
    with pytest.raises(ImageError, match="not called sgx_metadata"):
        SignedSoImage(data.replace(b"sgx_metadata", b"sgx_metadatb"))


@pytest.mark.parametrize("part", range(64))
def test_truncated_at_each_64th(part):
    data = sdk.write(several())
    with pytest.raises(ImageError) as caught:
        SignedSoImage(data[: len(data) * part // 64])
    assert "byte" in str(caught.value)


STANDARD = sdk.write(several())
#: Where flipped bits hit structure rather than page content.
INTERESTING = [range(64 + 56 * 4), *[range(at, min(at + 2400, len(STANDARD))) for at in
               [i for i in range(len(STANDARD)) if STANDARD.startswith(struct.pack("<Q", sdk.MAGIC), i)]],
               range(len(STANDARD) - 300, len(STANDARD))]  # fmt: skip
PLACES = [i for span in INTERESTING for i in span]


@settings(max_examples=300, deadline=None)
@given(flips=st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bits_are_refused_or_loaded_never_worse(flips):
    data = bytearray(STANDARD)
    for at, value in flips:
        data[at] ^= value
    try:
        image = SignedSoImage(bytes(data))
        if image.page_count < 4096:
            mrenclave(image)
    except FusequoteError as error:
        assert error.exit_code == 2 and str(error)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000))
def test_garbage_behind_an_elf_header(garbage):
    with pytest.raises(FusequoteError):
        SignedSoImage(STANDARD[:64] + garbage)
