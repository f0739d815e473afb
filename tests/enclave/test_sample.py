"""Images that the package makes: real, whole, and the same on every machine."""

import hashlib

import measured_blocks as blocks
import pytest
from fusequote.arch import AttributeFlags, Tcs
from fusequote.enclave import (
    AddPage,
    ExtendChunks,
    check_for_chip,
    image_from_files,
    image_from_sources,
    mrenclave,
    sample_image,
)
from fusequote.enclave.sample import ENTRY_STUB, MAGIC, SAMPLE_SIZE, ProgramHeader
from fusequote.errors import UsageError
from measured_blocks import PAGE


def memory(image):
    """Measured content by page, and flags by page."""
    flags = {op.offset: op.flags for op in image.operations() if isinstance(op, AddPage)}
    content = {op.offset: op.data for op in image.operations() if isinstance(op, ExtendChunks)}
    return flags, content


def test_the_sample_is_64_kib_of_measured_content():
    image = sample_image()
    check_for_chip(image)
    flags, content = memory(image)
    assert sum(len(data) for data in content.values()) == SAMPLE_SIZE == 65536
    assert [flags[i * PAGE] for i in range(20)] == [0x201] + [0x205] * 8 + [0x203] * 4 + [0x100] + [0x203] * 6
    assert sorted(content) == [i * PAGE for i in range(16)]  # the heap is added, not measured
    assert image.secs.size == 32 * PAGE and image.sigstruct is None
    expected = blocks.ecreate(32 * PAGE)
    for i in range(20):
        page = content.get(i * PAGE, bytes(PAGE))
        expected += blocks.page(i * PAGE, flags[i * PAGE], page, i * PAGE in content)
    assert mrenclave(image) == blocks.measure(expected)


def test_the_sample_is_the_same_everywhere():
    """Changing the sample changes its MRENCLAVE, which others may have written down: change this with care."""
    assert mrenclave(sample_image()).hex() == "7773428f84ee24cc67c135af2fad85efd0828ca03718186a13b43274bae4e402"
    assert mrenclave(sample_image()) != mrenclave(sample_image(version=2)) != mrenclave(sample_image("another"))


def test_header_entry_point_and_tcs():
    image = sample_image("who am I", version=9)
    _, content = memory(image)
    header = ProgramHeader.from_bytes(content[0][:128], check_reserved=True)
    assert header.magic == MAGIC and header.name.rstrip(b"\0") == b"who am I"
    assert (header.version, header.files, header.code_size) == (9, 1, 8 * PAGE)
    (tcs,) = [Tcs.from_bytes(op.content) for op in image.operations() if isinstance(op, AddPage) and op.is_tcs]
    assert (tcs.oentry, tcs.ossa, tcs.nssa, tcs.cssa) == (PAGE, 14 * PAGE, 2, 0)
    assert content[tcs.oentry][: len(ENTRY_STUB)] == ENTRY_STUB


def test_files_are_what_is_measured(tmp_path):
    (tmp_path / "pkg").mkdir()
    first, second = tmp_path / "pkg" / "one.py", tmp_path / "two.py"
    first.write_bytes(b"print(1)\n" * 1000)
    second.write_bytes(b"")
    image = image_from_sources("program", [first, second], root=tmp_path, attributes=AttributeFlags(0x14))
    assert image.secs.attributes.flags == 0x14
    check_for_chip(image)
    _, content = memory(image)
    raw = b"".join(content[i] for i in sorted(content))
    assert b"\x0a\x00pkg/one.py" + (9000).to_bytes(4, "little") + b"\x06\x00two.py" + bytes(4) in raw
    assert raw[PAGE:].startswith(ENTRY_STUB + first.read_bytes())

    same = mrenclave(image_from_sources("program", [first, second], root=tmp_path))
    assert same == mrenclave(image)  # ATTRIBUTES are not measured
    others = [
        image_from_sources("program", [second, first], root=tmp_path),
        image_from_sources("program", [first, second]),
        image_from_sources("program", [first], root=tmp_path),
        image_from_sources("programs", [first, second], root=tmp_path),
        image_from_sources("program", [first, second], root=tmp_path, version=2),
    ]
    first.write_bytes(first.read_bytes()[:-1] + b"\r")
    others.append(image_from_sources("program", [first, second], root=tmp_path))
    assert len({mrenclave(image) for image in others} | {same}) == len(others) + 1


def test_a_byte_moved_from_one_file_to_the_next_shows():
    left = image_from_files("p", {"a": b"xy", "b": b"z"})
    right = image_from_files("p", {"a": b"x", "b": b"yz"})
    assert mrenclave(left) != mrenclave(right)


def test_many_files_need_more_than_one_header_page():
    image = image_from_files("p", {f"file number {i}": b"x" for i in range(600)})
    _, content = memory(image)
    (tcs,) = [Tcs.from_bytes(op.content) for op in image.operations() if isinstance(op, AddPage) and op.is_tcs]
    assert tcs.oentry > PAGE and content[tcs.oentry].startswith(ENTRY_STUB + b"x" * 600)
    check_for_chip(image)


@pytest.mark.parametrize(("pages", "size"), [(1, 8), (9, 16), (10, 32)])
def test_size_is_the_smallest_power_of_two(pages, size):
    """Header, code, data, TCS, SSA and heap: 1 + pages + 1 + 1 + 1 + 3."""
    image = image_from_files("p", {"a": bytes(pages * PAGE - len(ENTRY_STUB))}, heap_pages=3)
    assert image.page_count == pages + 7
    assert image.secs.size == size * PAGE


def test_wrong_arguments(tmp_path):
    for name in ("", "x" * 65, "ä" * 33):
        with pytest.raises(UsageError, match="name has 1 to 64 bytes"):
            image_from_files(name, {})
    for wrong in ({"nssa": 0}, {"ssaframesize": 0}, {"heap_pages": -1}):
        with pytest.raises(UsageError):
            image_from_files("p", {}, **wrong)
    here = tmp_path / "a.py"
    here.write_text("x")
    with pytest.raises(UsageError, match="two files are called a.py"):
        image_from_sources("p", [here, here])
    with pytest.raises(UsageError, match="cannot read"):
        image_from_sources("p", [tmp_path / "b.py"])
    with pytest.raises(UsageError, match="is not below"):
        image_from_sources("p", [here], root=tmp_path / "sub")


def test_filler_is_sha256_in_counter_mode():
    _, content = memory(sample_image())
    assert content[9 * PAGE][:32] == hashlib.sha256(b"fusequote sample data 0").digest()
