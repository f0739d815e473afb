"""Every structure against a table of offsets that was typed from the manual, not derived from the code."""

import hashlib
import random
from datetime import date

import pytest
from fusequote import arch
from fusequote.errors import FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

# Structure: size, then (field, offset, size) of all that is not reserved.
TABLES = {
    arch.Attributes: (16, "flags 0 8, xfrm 8 8"),
    arch.Secs: (
        4096,
        "size 0 8, baseaddr 8 8, ssaframesize 16 4, miscselect 20 4, cet_leg_bitmap_offset 24 8, cet_attributes 32 1, "
        "attributes 48 16, mrenclave 64 32, mrsigner 128 32, configid 192 64, isvprodid 256 2, isvsvn 258 2, "
        "configsvn 260 2",
    ),
    arch.PageInfo: (32, "linaddr 0 8, srcpge 8 8, secinfo 16 8, secs 24 8"),
    arch.SecInfo: (64, "flags 0 8"),
    arch.Tcs: (
        4096,
        "state 0 8, flags 8 8, ossa 16 8, cssa 24 4, nssa 28 4, oentry 32 8, aep 40 8, ofsbase 48 8, ogsbase 56 8, "
        "fslimit 64 4, gslimit 68 4, ocetssa 72 8, prevssp 80 8",
    ),
    arch.TargetInfo: (
        512,
        "mrenclave 0 32, attributes 32 16, cet_attributes 48 1, configsvn 50 2, miscselect 52 4, configid 64 64",
    ),
    arch.ReportBody: (
        384,
        "cpusvn 0 16, miscselect 16 4, cet_attributes 20 1, isvextprodid 32 16, attributes 48 16, mrenclave 64 32, "
        "mrsigner 128 32, configid 192 64, isvprodid 256 2, isvsvn 258 2, configsvn 260 2, isvfamilyid 304 16, "
        "reportdata 320 64",
    ),
    arch.Report: (432, "body 0 384, keyid 384 32, mac 416 16"),
    arch.KeyRequest: (
        512,
        "keyname 0 2, keypolicy 2 2, isvsvn 4 2, cet_attributes_mask 6 1, cpusvn 8 16, attributemask 24 16, "
        "keyid 40 32, miscmask 72 4, configsvn 76 2",
    ),
    arch.SigStruct: (
        1808,
        "header 0 16, vendor 16 4, date 20 4, header2 24 16, swdefined 40 4, modulus 128 384, exponent 512 4, "
        "signature 516 384, miscselect 900 4, miscmask 904 4, cet_attributes 908 1, cet_attributes_mask 909 1, "
        "isvfamilyid 912 16, attributes 928 16, attributemask 944 16, enclavehash 960 32, isvextprodid 1008 16, "
        "isvprodid 1024 2, isvsvn 1026 2, q1 1040 384, q2 1424 384",
    ),
    arch.EinitToken: (
        304,
        "valid 0 4, attributes 48 16, mrenclave 64 32, mrsigner 128 32, cpusvnle 192 16, isvprodidle 208 2, "
        "isvsvnle 210 2, cet_masked_attributes_le 212 1, maskedmiscselectle 236 4, maskedattributesle 240 16, "
        "keyid 256 32, mac 288 16",
    ),
    arch.Psvn: (18, "cpusvn 0 16, isvsvn 16 2"),
    arch.Kd1: (
        656,
        "keyname 0 2, keypolicy 2 2, isvprodid 4 2, isvsvn 6 2, configsvn 8 2, cet_attributes 10 1, "
        "cet_attributes_mask 11 1, miscselect 12 4, miscmask 16 4, attributes 32 16, attributemask 48 16, "
        "ownerepoch 64 16, cpusvn 80 16, mrenclave 96 32, mrsigner 128 32, keyid 160 32, configid 192 64, "
        "isvfamilyid 256 16, isvextprodid 272 16, seal_fuses 288 16, padding 304 352",
    ),
    arch.QuoteBody: (
        432,
        "version 0 2, sign_type 2 2, gid 4 4, qe_svn 8 2, pce_svn 10 2, xeid 12 4, basename 16 32, report 48 384",
    ),
    arch.QuoteV2: (436, "body 0 432, signature_len 432 4"),
    arch.QuoteSignature: (304, "wrap_key 0 256, key_hash 256 32, iv 288 12, payload_size 300 4"),
    arch.QuotePayload: (360, "basic_signature 0 352, rl_ver 352 4, n2 356 4"),
    arch.SgxSigRl: (16, "header 0 4, gid 4 4, rl_ver 8 4, n2 12 4"),
    arch.GroupCert: (328, "header 0 4, gid 4 4, h1 8 64, h2 72 64, w 136 128, signature 264 64"),
    arch.PlatformInfoBlob: (
        101,
        "group_flags 0 1, tcb_flags 1 2, pse_flags 3 2, latest_psvn 5 18, latest_pse_isvsvn 23 2, "
        "latest_psda_svn 25 4, xeid 29 4, gid 33 4, signature 37 64",
    ),
    arch.Msg0: (4, "xeid 0 4"),
    arch.Msg1: (68, "g_a 0 64, gid 64 4"),
    arch.Msg2: (
        168,
        "g_b 0 64, spid 64 16, quote_type 80 2, kdf_id 82 2, sign_gb_ga 84 64, mac 148 16, sig_rl_size 164 4",
    ),
    arch.Msg3: (336, "mac 0 16, g_a 16 64, ps_sec_prop 80 256"),
    arch.Msg4: (105, "status 0 4, platform_info 4 101"),
}
FIXED = [kind for kind in TABLES if not kind._tails]
BIG_ENDIAN = {
    arch.QuotePayload: {"rl_ver", "n2"},
    arch.SgxSigRl: {"rl_ver", "n2"},
    arch.PlatformInfoBlob: {"tcb_flags", "pse_flags", "latest_pse_isvsvn", "latest_psda_svn"},
}


def rows(kind):
    for row in TABLES[kind][1].split(", "):
        name, offset, size = row.split()
        yield name, int(offset), int(size)


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_offsets(kind):
    assert TABLES[kind][0] == kind.SIZE
    tails = {tail.name for tail in kind._tails}
    shown = [(v.name, v.offset, v.size) for v in kind().fields() if not v.reserved and v.name not in tails]
    assert shown == list(rows(kind))


def test_no_structure_is_left_out():
    exported = {v for v in vars(arch).values() if isinstance(v, type) and issubclass(v, arch.Struct)}
    assert exported - {arch.Struct} == set(TABLES)


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_each_field_reads_its_own_bytes(kind):
    """Byte i of the input is i mod 251: each value then says where it was read."""
    raw = bytes(i % 251 for i in range(kind.SIZE))
    values = {v.name: v.value for v in kind._wrap(raw).fields()}
    for name, offset, size in rows(kind):
        seen = values[name]
        if isinstance(seen, int):
            order = "big" if name in BIG_ENDIAN.get(kind, ()) else "little"
            assert seen == int.from_bytes(raw[offset : offset + size], order), name
        elif seen is not None:
            assert bytes(seen) == raw[offset : offset + size], name


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_every_reserved_byte_is_watched(kind):
    """Exactly the bytes that no row of the table claims are reserved, each of them."""
    claimed = {i for _, offset, size in rows(kind) for i in range(offset, offset + size)}
    inner = {  # reserved bytes of structures inside
        offset + i
        for name, offset, _ in rows(kind)
        if isinstance(getattr(kind(), name), arch.Struct)
        for i in reserved_bytes(type(getattr(kind(), name)))
    }
    assert reserved_bytes(kind) == (set(range(kind.SIZE)) - claimed) | inner


def reserved_bytes(kind):
    """Bytes that check_reserved complains about when they alone are set. In the long zero ends every 61st is tried,
    and the first and last; the others are taken from the field they lie in."""
    found = set()
    spans = [(v.offset, v.size) for v in kind().leaves() if v.reserved]
    for i in range(kind.SIZE):
        inside = [(offset, size) for offset, size in spans if offset <= i < offset + size]
        if inside and inside[0][1] > 500 and i % 61 and i not in (inside[0][0], sum(inside[0]) - 1):
            found.add(i)
            continue
        raw = bytearray(kind.SIZE)
        raw[i] = 0x80
        if any(offset == i for _, offset in kind._wrap(bytes(raw)).reserved_in_use()):
            found.add(i)
    return found


@pytest.mark.parametrize("kind", FIXED, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), density=st.sampled_from([0.01, 0.5, 1.0]))
def test_round_trip_of_any_bytes(kind, seed, density):
    """Parsing never changes a byte, and building from the parsed fields gives the same bytes."""
    chance = random.Random(seed)
    raw = bytes(chance.randrange(256) if chance.random() < density else 0 for _ in range(kind.SIZE))
    parsed = kind.from_bytes(raw)
    assert parsed.to_bytes() == raw
    values = {field.name: getattr(parsed, field.name) for field in kind._fields}
    assert kind(**values) == parsed
    assert repr(parsed) and [v.meaning for v in parsed.leaves()]


@pytest.mark.parametrize("kind", [k for k in TABLES if k._tails], ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_round_trip_with_a_tail(kind, data):
    (tail,) = kind._tails
    count = data.draw(st.integers(0, 5))
    end = data.draw(st.binary(min_size=count * tail.unit + tail.extra, max_size=count * tail.unit + tail.extra))
    built = kind(**{tail.name: end})
    assert kind.from_bytes(built.to_bytes()) == built
    assert getattr(built, tail.name) == end
    if tail.length_field:
        with pytest.raises(FormatError):
            kind.from_bytes(built.to_bytes() + b"\0")


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
@settings(max_examples=50)
@given(raw=st.binary(max_size=600))
def test_other_bytes_are_refused_or_parsed_never_worse(kind, raw):
    try:
        parsed = kind.from_bytes(raw)
    except FormatError as error:
        assert str(error) and error.offset is not None
    else:
        assert parsed.to_bytes() == raw


def test_sizes_that_the_block_and_the_notes_name():
    assert len(arch.PADDING_352) == 352
    assert arch.PADDING_352[:2] == b"\x00\x01" and arch.PADDING_352[332:333] == b"\x00"
    assert arch.PADDING_352[2:332] == b"\xff" * 330
    assert arch.PADDING_352[333:].hex() == "3031300d060960864801650304020105000420"
    assert (arch.signature_size(0), arch.signature_size(3)) == (680, 680 + 3 * 160)
    assert (arch.quote_size(0), arch.quote_size(3)) == (1116, 1116 + 3 * 160)
    assert (arch.payload_size(0), arch.payload_size(1)) == (360, 520)


def test_status_codes():
    assert {s.name: s.value for s in arch.SgxStatus} == {
        "SGX_SUCCESS": 0, "SGX_INVALID_SIG_STRUCT": 1, "SGX_INVALID_ATTRIBUTE": 2, "SGX_INVALID_MEASUREMENT": 4,
        "SGX_INVALID_SIGNATURE": 8, "SGX_CHILD_PRESENT": 13, "SGX_ENCLAVE_ACT": 14, "SGX_INVALID_EINITTOKEN": 16,
        "SGX_INVALID_CPUSVN": 32, "SGX_INVALID_ISVSVN": 64, "SGX_UNMASKED_EVENT": 128, "SGX_INVALID_KEYNAME": 256,
    }  # fmt: skip


def test_sigstruct():
    signed = arch.SigStruct(modulus=bytes(range(128)) * 3, date=0x20240229, isvsvn=0xABCD)
    assert signed.to_bytes()[:16].hex() == "06000000e10000000000010000000000"
    assert signed.to_bytes()[24:40].hex() == "01010000600000006000000001000000"
    message = signed.signed_message()
    assert len(message) == 256 and message[254:] == b"\xcd\xab" and message[:128] == signed.to_bytes()[:128]
    assert signed.mrsigner == hashlib.sha256(bytes(range(128)) * 3).digest()
    assert signed.signed_on == date(2024, 2, 29)
    assert arch.SigStruct(date=0x20230229).signed_on is None
    assert arch.SigStruct(date=0xABCDEF01).signed_on is None
    assert arch.bcd_date(date(2026, 11, 3)) == 0x20261103


def test_attributes_masked_covers_all_128_bits():
    left = arch.Attributes(flags=0xFFFF_FFFF_FFFF_FFFF, xfrm=0xF0F0)
    mask = arch.Attributes(flags=0x8000_0000_0000_0002, xfrm=0x00FF)
    assert left.masked(mask) == arch.Attributes(flags=0x8000_0000_0000_0002, xfrm=0x00F0)
    assert left.debug and not arch.Attributes(flags=5).debug


def test_secinfo_measures_a_tcs_without_permissions():
    assert arch.SecInfo(flags=0x107).measured() == bytes.fromhex("0001000000000000") + bytes(40)
    assert arch.SecInfo(flags=0x203).measured() == bytes.fromhex("0302000000000000") + bytes(40)
    assert arch.SecInfo(flags=0x205).page_type is arch.PageType.PT_REG
    assert arch.SecInfo(flags=0x905).page_type == 9
    assert arch.secinfo_text(0x100) == "PT_TCS none" and arch.secinfo_text(0x205) == "PT_REG R | X"


def test_tcs_as_added():
    source = arch.Tcs(state=9, flags=0x87, ossa=0x5000, cssa=3, nssa=2, oentry=0x10, aep=7, ofsbase=1)
    assert source.as_added() == arch.Tcs(flags=0x86, ossa=0x5000, nssa=2, oentry=0x10, ofsbase=1)


@given(st.binary(min_size=384, max_size=384))
def test_target_of_a_report_copies_identity_only(raw):
    body = arch.ReportBody.from_bytes(raw)
    target = body.target()
    target.check_reserved()
    assert target.mrenclave == body.mrenclave and target.attributes == body.attributes
    assert target.configid == body.configid and target.configsvn == body.configsvn
    assert target.miscselect == body.miscselect and target.cet_attributes == body.cet_attributes


def test_quote_wrappers():
    body = arch.QuoteBody(gid=bytes.fromhex("01e00000"), basename=b"S" * 16 + bytes(16))
    assert body.version == 2 and body.group_id.hex() == "0000e001" and body.spid == b"S" * 16
    signature = arch.QuoteSignature(sealed=bytes(360) + b"T" * 16)
    assert signature.payload_size == 360 and signature.tag == b"T" * 16 and len(signature.ciphertext) == 360
    assert len(signature) == 680


def test_sigrl():
    signed = arch.SgxSigRl.build(b"gid4", 7, [b"a" * 128, b"b" * 128], b"s" * 64)
    assert len(signed) == 16 + 2 * 128 + 64 and signed.n2 == 2 and signed.rl_ver == 7
    assert signed.to_bytes()[:4].hex() == "0002000e" and signed.to_bytes()[8:16].hex() == "0000000700000002"
    assert signed.entries == [b"a" * 128, b"b" * 128] and signed.signature == b"s" * 64
    assert signed.signed_message() == signed.to_bytes()[:-64]
    with pytest.raises(FormatError):
        arch.SgxSigRl.build(b"gid4", 7, [b"a" * 127], b"s" * 64)


def test_group_certificate_and_platform_info():
    certificate = arch.GroupCert(gid=b"gid4", w=b"w" * 128)
    assert certificate.to_bytes()[:4].hex() == "0002000c" and len(certificate.signed_message()) == 264
    assert certificate.public_key == certificate.to_bytes()[4:264]
    blob = arch.PlatformInfoBlob(group_flags=4, tcb_flags=1)
    assert blob.to_tlv()[:4].hex() == "15020065" and len(blob.to_tlv()) == 105
    assert arch.PlatformInfoBlob.from_tlv(blob.to_tlv()) == blob and len(blob.signed_message()) == 37
    with pytest.raises(FormatError, match="15020065"):
        arch.PlatformInfoBlob.from_tlv(blob.to_bytes())


def test_kd1_hides_what_opens_seals():
    text = repr(arch.Kd1(seal_fuses=b"\xaa" * 16, ownerepoch=b"\xbb" * 16, mrenclave=b"\xcc" * 32))
    assert "aaaa" not in text and "bbbb" not in text and "cccc" in text
