"""The table language itself: what it refuses, and that bytes are never bent."""

import pickle

import pytest
from fusequote.arch.flags import bit_flags
from fusequote.arch.layout import U16, U32, Bytes, Reserved, Struct, Sub, Tail
from fusequote.errors import FormatError


class Inner(Struct, size=4):
    number = U16(0)
    reserved1 = Reserved(2, 2)


class Outer(Struct, size=16, title="outer"):
    COVER = ((0, 8, "MAC"),)

    inner = Sub(0, Inner)
    big = U32(4, "big-endian", big=True, default=7)
    key = Bytes(8, 8, secret=True)


class Tailed(Struct, size=4):
    count = U16(0)
    reserved1 = Reserved(2, 2)
    rest = Tail(4, length_field="count", unit=4, extra=2)


def test_defaults_and_building():
    assert Outer().to_bytes() == bytes(4) + bytes([0, 0, 0, 7]) + bytes(8)
    built = Outer(inner=Inner(number=0x1234), big=0x01020304, key=b"k" * 8)
    assert built.to_bytes() == bytes.fromhex("34120000" "01020304") + b"k" * 8
    assert Outer(inner=bytes.fromhex("34120000")).inner.number == 0x1234


def test_replace_leaves_the_original_alone():
    first = Outer()
    second = first.replace(big=9)
    assert (first.big, second.big) == (7, 9)
    assert first != second and first == Outer() and hash(first) == hash(Outer())


def test_instances_are_immutable():
    with pytest.raises(AttributeError, match="immutable"):
        Outer().big = 3
    with pytest.raises(AttributeError):
        Outer().other = 3


@pytest.mark.parametrize(
    ("values", "offset"),
    [({"big": 1 << 32}, 4), ({"big": -1}, 4), ({"big": b"1"}, 4), ({"key": b"short"}, 8), ({"key": 8}, 8),
     ({"inner": Outer()}, 0), ({"inner": b"123"}, 3)],
)
def test_values_that_do_not_fit(values, offset):
    with pytest.raises(FormatError) as caught:
        Outer(**values)
    assert caught.value.offset == offset


def test_unknown_field():
    with pytest.raises(TypeError, match="no field 'nothing'"):
        Outer(nothing=1)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_wrong_length(size):
    with pytest.raises(FormatError, match="16 bytes wanted"):
        Outer.from_bytes(bytes(size))


def test_unpack_from():
    assert Inner.unpack_from(b"\xff" * 3 + bytes.fromhex("01000000"), 3).number == 1
    for offset in (-1, 4, 100):
        with pytest.raises(FormatError):
            Inner.unpack_from(bytes(7), offset)


def test_broken_reserved_bytes_are_kept_and_found():
    raw = bytes.fromhex("0100" "0005" "00000007") + bytes(8)
    broken = Outer.from_bytes(raw)
    assert broken.to_bytes() == raw
    assert list(broken.reserved_in_use()) == [("inner.reserved1", 3)]
    with pytest.raises(FormatError, match="reserved byte 3") as caught:
        Outer.from_bytes(raw, check_reserved=True)
    assert caught.value.offset == 3


def test_secret_fields_are_never_shown():
    value = Outer(key=b"hunter22")
    assert "hunter" not in repr(value) and b"hunter22".hex() not in repr(value)
    view = {v.name: v for v in value.fields()}["key"]
    assert view.value is None and view.meaning == "(8 secret bytes)" and "hunter" not in repr(list(value.leaves()))


def test_leaves_take_structures_apart_and_say_what_covers_them():
    leaves = {v.name: (v.offset, v.size, v.covered_by) for v in Outer().leaves()}
    assert leaves == {
        "inner.number": (0, 2, "MAC"),
        "inner.reserved1": (2, 2, "MAC"),
        "big": (4, 4, "MAC"),
        "key": (8, 8, None),
    }


def test_a_view_unpacks():
    name, offset, size, value, meaning = next(iter(Inner(number=258).fields()))
    assert (name, offset, size, value, meaning) == ("number", 0, 2, 258, "258 (0x0102)")


def test_tail():
    built = Tailed(rest=b"ab" + bytes(8))
    assert built.count == 2 and len(built) == 14
    assert Tailed.from_bytes(built.to_bytes()) == built
    assert Tailed().rest == bytes(2)
    assert built.replace(rest=b"xy").count == 0
    assert built.replace(rest=b"xy", count=9).count == 9
    with pytest.raises(FormatError):
        Tailed(rest=bytes(3))
    for raw in (built.to_bytes()[:-1], built.to_bytes() + b"z", bytes(3)):
        with pytest.raises(FormatError):
            Tailed.from_bytes(raw)


def test_pickle():
    value = Outer(big=3)
    assert pickle.loads(pickle.dumps(value)) == value


def test_tables_with_gaps_overlaps_or_a_wrong_end_are_refused():
    with pytest.raises(TypeError, match="the table has reached 2"):

        class Gap(Struct, size=8):
            a = U16(0)
            b = U32(4)

    with pytest.raises(TypeError, match="the table has reached 4"):

        class Overlap(Struct, size=8):
            a = U32(0)
            b = U32(2)

    with pytest.raises(TypeError, match="ends at 4"):

        class Short(Struct, size=8):
            a = U32(0)


def test_structures_of_two_kinds_are_never_equal():
    class Other(Struct, size=4):
        number = U16(0)
        reserved1 = Reserved(2, 2)

    assert Inner() != Other()


def test_clearing_a_flag_keeps_bits_without_a_name():
    from enum import IntFlag

    @bit_flags
    class Few(IntFlag):
        A = 1
        B = 2

    assert Few(0xFF) & ~Few.A == 0xFE
