"""Every field of every record: not canonical, out of range, off the curve, identity, truncated, too long,
wrong gid.
"""

from dataclasses import FrozenInstanceError

import pytest
from fusequote.epid import (
    BasicSignature,
    EpidError,
    EpidFormatError,
    EpidStatus,
    GidFields,
    GroupPublicKey,
    GroupRl,
    HashAlg,
    Issuer,
    IssuingPrivateKey,
    JoinRequest,
    MemberPrecomp,
    MemberPrivateKey,
    MembershipCredential,
    NonRevokedProof,
    PrivRl,
    Signature,
    SigRl,
    UncheckedPrivRl,
    VerifierRl,
    are_linked,
    hash_alg_of,
    long_gid,
)
from fusequote.epid.params import G1_GENERATOR, G2_GENERATOR, P, Q
from fusequote.errors import FormatError
from hypothesis import given
from hypothesis import strategies as st

from .support import vectors

G1_FIELDS, G2_FIELDS = {"h1", "h2", "A", "F", "B", "K", "T"}, {"w"}
SECRET_FIELDS = {"gamma", "f"}
OFF_TWIST = next(
    c
    for c in vectors("pairing")["membership"]
    if c["group"] == "G2" and c["case"] == "on the twist but not of order p"
)


def bad_points(size):
    one = G1_GENERATOR if size == 64 else G2_GENERATOR
    yield "identity", bytes(size)
    yield "off the curve", one[:-1] + bytes([one[-1] ^ 1])
    yield "coordinate q", Q.to_bytes(32, "big") + one[32:]
    above = int.from_bytes(one[-32:], "big") + Q
    if above < 1 << 256:
        yield "not canonical", one[:-32] + above.to_bytes(32, "big")


def samples(gid_size):
    gid = bytes(range(gid_size))
    if gid_size == 16:
        gid = bytes(12) + gid[:4]
    point = G1_GENERATOR
    return [
        GroupPublicKey(gid, point, point, G2_GENERATOR),
        IssuingPrivateKey(gid, 5),
        MembershipCredential(gid, point, 0),
        MemberPrivateKey(gid, point, P - 1, 7),
        JoinRequest(point, 1, 2),
        BasicSignature(point, point, point, 1, 2, 3, 4, 5),
        NonRevokedProof(point, 1, 2, 3),
    ]


CASES = [(record, n) for n in (4, 16) for record in samples(n)]
SIZES = {
    "GroupPublicKey": 256, "IssuingPrivateKey": 32, "MembershipCredential": 96, "MemberPrivateKey": 128,
    "JoinRequest": 128, "BasicSignature": 352, "NonRevokedProof": 160,
}  # fmt: skip


@pytest.mark.parametrize(
    "record, gid_size", CASES, ids=lambda v: type(v).__name__ if hasattr(v, "LAYOUT") else str(v)
)
def test_records_keep_their_promises(record, gid_size):
    cls, data = type(record), record.to_bytes()
    assert cls.from_bytes(data, gid_size) == record
    has_gid = any(name == "gid" for name, _ in cls.LAYOUT)
    assert len(data) == cls.size(gid_size) == SIZES[cls.__name__] + gid_size * has_gid
    with pytest.raises(FrozenInstanceError):
        record.gid = b""
    for wrong in (b"", data[:-1], data + b"\0", data * 2):
        with pytest.raises(EpidFormatError) as caught:
            cls.from_bytes(wrong, gid_size)
        assert isinstance(caught.value, FormatError) and caught.value.status == cls.STATUS
    if has_gid:
        with pytest.raises(EpidFormatError):
            cls.from_bytes(data, 20 - gid_size)
        with pytest.raises(EpidFormatError):
            cls.from_bytes(data, 8)
    offset = 0
    for name, kind in cls.LAYOUT:
        size = kind.size or gid_size
        if name in G1_FIELDS | G2_FIELDS:
            bad = list(bad_points(size))
        elif kind.is_int:
            bad = [("order", P.to_bytes(32, "big")), ("all ones", b"\xff" * 32)]
            if name in SECRET_FIELDS:
                bad.append(("zero", bytes(32)))
        else:
            bad = []
        for what, value in bad:
            with pytest.raises(EpidFormatError, match=f"{name} ") as caught:
                cls.from_bytes(data[:offset] + value + data[offset + size :], gid_size)
            assert caught.value.offset == offset, what
        offset += size


@pytest.mark.parametrize(
    "record, gid_size", CASES[:4], ids=lambda v: type(v).__name__ if hasattr(v, "LAYOUT") else ""
)
def test_secrets_stay_out_of_repr(record, gid_size):
    text = repr(record)
    for name in ("gamma", "f", "x", "A"):
        assert f" {name}=" not in text and f"({name}=" not in text


def test_group_key_outside_the_subgroup(known):
    group = known[1].to_bytes()
    bad = group[:144] + bytes.fromhex(OFF_TWIST["bytes"])
    with pytest.raises(EpidFormatError, match="outside the subgroup"):
        GroupPublicKey.from_bytes(bad)
    assert GroupPublicKey.from_bytes(bad, strict=False).to_bytes() == bad


def test_precomputation_must_be_in_gt(known):
    good = bytes.fromhex(known[0]["members"][0]["member_precomp_e12_e22_e2w_ea2"])
    for i, name in enumerate(("e12", "e22", "e2w", "ea2")):
        at = 384 * i + 383
        with pytest.raises(EpidFormatError, match=name):
            MemberPrecomp.from_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    with pytest.raises(EpidFormatError, match="too short"):
        MemberPrecomp.from_bytes(good[:-1])


def lists(gid):
    point = G1_GENERATOR
    return [
        (PrivRl, PrivRl(gid, 3, (1, P - 1)), 32),
        (SigRl, SigRl(gid, 3, ((point, point),)), 128),
        (GroupRl, GroupRl(3, (gid, gid[:-1] + b"\7")), len(gid)),
        (VerifierRl, VerifierRl(gid, point, 3, (point,)), 64),
    ]


@pytest.mark.parametrize("gid", [bytes(15) + b"\1", b"\0\0\0\1"], ids=["gid 16", "gid 4"])
@pytest.mark.parametrize("index", range(4), ids=["PrivRL", "SigRL", "GroupRL", "VerifierRL"])
def test_lists(index, gid):
    cls, value, entry = lists(gid)[index]
    data = value.to_bytes()
    assert cls.from_bytes(data, len(gid)) == value
    count_at = len(data) - entry * len(value) - 4
    empty = data[:count_at] + bytes(4)
    assert len(cls.from_bytes(empty, len(gid))) == 0
    assert {"PrivRL": 24, "SigRL": 24, "GroupRL": 8, "VerifierRL": 88}[value.WHAT] == len(empty) + (
        0 if cls is GroupRl else 16 - len(gid)
    )
    for wrong in (b"", data[:7], data[:-1], data + b"\0", empty + bytes(entry)):
        with pytest.raises(EpidFormatError) as caught:
            cls.from_bytes(wrong, len(gid))
        assert caught.value.status == cls.STATUS
    for count in (0, len(value) + 1, 0xFFFFFFFF, 0x08000000):
        with pytest.raises(EpidFormatError, match="announces"):
            cls.from_bytes(data[:count_at] + count.to_bytes(4, "big") + data[count_at + 4 :], len(gid))
    if cls is not GroupRl:
        with pytest.raises(EpidFormatError, match="entry 0"):
            cls.from_bytes(data[: count_at + 4] + b"\xff" * entry + data[count_at + 4 + entry :], len(gid))
    grown = value.adding(value.entries[0])
    assert grown.version == 4 and grown.entries == value.entries
    with pytest.raises(EpidError) as caught:
        type(value)(**{**vars(value), "version": 0xFFFFFFFF}).adding(value.entries[0])
    assert caught.value.status == EpidStatus.kEpidMaxVersionErr


def test_privrl_as_intel_takes_it():
    data = bytes(16) + bytes(4) + (2).to_bytes(4, "big") + bytes(32) + b"\xff" * 32
    with pytest.raises(EpidFormatError):
        PrivRl.from_bytes(data)
    assert UncheckedPrivRl.from_bytes(data).to_bytes() == data


def test_a_large_list_is_linear(known):
    data = PrivRl(known[1].gid, 1, tuple(range(1, 20_001))).to_bytes()
    assert len(data) == 24 + 32 * 20_000
    assert len(PrivRl.from_bytes(data)) == 20_000


def test_signature_form(members):
    signature = members[0].sign(b"m")
    data = signature.to_bytes()
    assert Signature.from_bytes(data) == signature and len(data) == 360
    for wrong in (
        b"",
        data[:-1],
        data + b"\0",
        data[:356] + b"\0\0\0\1",
        data[:356] + b"\xff" * 4,
        bytes(360),
    ):
        with pytest.raises(EpidFormatError):
            Signature.from_bytes(wrong)
    blank = Signature(signature.basic, 1, (NonRevokedProof.blank(),)).to_bytes()
    with pytest.raises(EpidFormatError, match="proof 0") as caught:
        Signature.from_bytes(blank)
    assert caught.value.offset == 360
    with pytest.raises(EpidFormatError):
        Signature(signature.basic, 1 << 32)
    with pytest.raises(EpidFormatError):
        are_linked(data, data[:100])


@given(st.builds(
    GidFields, hash_alg=st.sampled_from(list(HashAlg)), usage=st.integers(0, 255),
    issuer=st.integers(0, 4095),
    vendor=st.integers(0, 0xFFFFF), product=st.integers(0, 0xFFFF), reserved=st.integers(0, 0xFFFFFFFF),
    core=st.integers(0, 0xFFFFFFFF),
))  # fmt: skip
def test_gid_fields(fields):
    gid = fields.to_bytes()
    assert GidFields.from_bytes(gid) == fields
    assert gid[1] & 15 == fields.hash_alg == hash_alg_of(gid)
    assert gid[12:] == fields.core.to_bytes(4, "big")
    assert (gid[2] << 4 | gid[3] >> 4) == fields.issuer


def test_bad_gids():
    with pytest.raises(EpidError) as caught:
        hash_alg_of(b"\x10" + bytes(15))
    assert caught.value.status == EpidStatus.kEpidSchemaNotSupportedErr
    for code in range(4, 16):
        with pytest.raises(EpidError) as caught:
            hash_alg_of(bytes([0, code]) + bytes(14))
        assert caught.value.status == EpidStatus.kEpidHashAlgorithmNotSupported
        with pytest.raises(EpidError):
            Issuer.create(bytes([0, code]) + bytes(14))
    for size in (0, 3, 8, 17):
        with pytest.raises(EpidFormatError):
            long_gid(bytes(size))
        with pytest.raises(EpidFormatError):
            Issuer.create(bytes(size))
    with pytest.raises(EpidFormatError):
        GidFields.from_bytes(bytes(4))
    with pytest.raises(EpidError):
        GidFields(vendor=1 << 20).to_bytes()
    with pytest.raises(EpidError, match="md5"):
        HashAlg.from_name("md5")
    assert hash_alg_of(b"\xff\xff\xff\xff") is HashAlg.SHA256


def test_status_numbers_are_intels():
    """The anchors: -999 for the first, and 43 = -981 mod 256 as verifysig's exit code for a version mismatch."""
    assert EpidStatus.kEpidErr == -999
    assert EpidStatus.kEpidVersionMismatchErr % 256 == 43
    assert EpidStatus.kEpidSigRevokedInVerifierRl == 5
