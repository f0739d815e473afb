"""Provisioning messages against sizes and offsets that were typed from the notes, and every way to write them wrong."""

from __future__ import annotations

import pytest
from fusequote.arch import provision as p
from fusequote.arch import provmsg as m
from fusequote.arch.tlv import Item, Tlv, TlvMessage, TlvType, parse_tlvs
from fusequote.errors import FormatError
from hypothesis import given, settings
from hypothesis import strategies as st

#: Structure: size, then (field, offset, size) of all that is not reserved (remote attestation notes 4.1, 4.2).
TABLES = {
    m.RequestHeader: (15, "protocol 0 1, version 1 1, xid 2 8, type 10 1, size 11 4"),
    m.ResponseHeader: (19, "protocol 0 1, version 1 1, xid 2 8, type 10 1, gstatus 11 2, pstatus 13 2, size 15 4"),
    p.PlatformInfo: (26, "cpusvn 0 16, pve_svn 16 2, pce_svn 18 2, pce_id 20 2, fmsp 22 4"),
    p.DeviceId: (38, "ppid 0 16, psvn 16 18, fmsp 34 4"),
    p.SignedPek: (492, "n 0 384, e 384 4, sha1_ne 388 20, signature 408 64, sha1_signature 472 20"),
    p.ExtendedGroupBlob: (
        460,
        "format_id 0 2, data_length 2 2, xeid 4 4, isk 8 64, peksk 72 64, qsdk_exponent 136 4, qsdk_modulus 140 256, "
        "signature 396 64",
    ),
    p.Escrow: (64, "version 0 4, iv 4 12, ciphertext 16 32, tag 48 16"),
    p.JoinProof: (192, "join_request 0 128, escrow 128 64"),
    p.IssuedCredential: (160, "x 0 32, A 32 64, escrow 96 64"),
    p.CertifiedReport: (448, "body 0 384, signature 384 64"),
    p.EsSelector: (2, "protocol 0 1, selector 1 1"),
    p.EsInformation: (2, "ttl 0 2, url 2 0"),
    p.ProvisioningFlags: (16, "flags 15 1"),
    p.CipherText: (385, "key_id 0 1, ciphertext 1 384"),
    p.RsaSignature: (385, "key_id 0 1, signature 1 384"),
    p.BlockCipherText: (12, "iv 0 12, ciphertext 12 0"),
    p.EndpointCache: (754, "data_type 0 1, version 1 1, pek 2 492, url 494 260"),
}


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_offsets(kind):
    size, table = TABLES[kind]
    found = ", ".join(f"{v.name} {v.offset} {v.size}" for v in kind().fields() if not v.reserved)
    assert (kind.SIZE, found) == (size, table)


def body_of(kind, **sizes: int) -> TlvMessage:
    """A message with boxes of ``sizes`` clear bytes and everything else zero."""
    values = {}
    for item in kind._items:
        if item.name in sizes:
            values[item.name] = bytes(12 + sizes[item.name])
        elif not item.optional:
            form = item.form
            values[item.name] = form().to_bytes() if isinstance(form, type) else bytes(form or 0)
    return kind(**values)


def test_sizes_of_the_notes():
    """859, 879, 1158, 56, 196, 164, 20: as Intel's own headers give them."""
    flags = m.ProvMsg1Content(
        ppid=p.CipherText(), platform_info=p.PlatformInfo(), flags=p.ProvisioningFlags(flags=p.RekeyFlag(1))
    )
    content = body_of(m.ProvMsg1Content)
    assert len(body_of(m.ProvMsg1Key)) == 56
    assert 15 + len(body_of(m.ProvMsg1, content=len(content))) == 859
    assert 15 + len(body_of(m.ProvMsg1, content=len(flags))) == 879
    assert len(body_of(m.JoinProofText)) == 196 and len(body_of(m.IssuedText)) == 164
    assert len(body_of(m.Pwk2Text)) == 20
    inner = body_of(m.ProvMsg3Content, join=196)
    assert 15 + len(body_of(m.ProvMsg3, content=len(inner))) == 1158
    assert body_of(m.JoinProofText).to_bytes()[:4] == bytes([10, 1, 0, 192])
    assert body_of(m.IssuedText).to_bytes()[:4] == bytes([12, 1, 0, 160])
    assert body_of(m.Pwk2Text).to_bytes()[:4] == bytes([25, 1, 0, 16])
    assert m.EpidSigText(signature=bytes(360)).to_bytes()[:6] == bytes([139, 1, 0, 0, 1, 104])
    assert inner.to_bytes()[-454:-448] == bytes([154, 1, 0, 0, 1, 192])  # SE_REPORT: always the long header
    assert m.EsMsg2(information=bytes(2) + b"u", signature=p.RsaSignature(), pek=p.SignedPek()).to_bytes()[-496:-492] \
        == bytes([23, 2, 1, 236])  # PEK has version 2


MESSAGES = [
    kind for kind in vars(m).values() if isinstance(kind, type) and issubclass(kind, TlvMessage) and kind.TITLE
]


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_is_built_is_what_is_read(kind, data):
    optional = data.draw(st.booleans())
    values = {}
    for item in kind._items:
        if item.optional and not optional:
            continue
        fixed = item.form.SIZE if isinstance(item.form, type) else item.form
        tail = fixed is None or (isinstance(item.form, type) and bool(item.form._tails))
        extra = data.draw(st.integers(0, 40)) if tail else 0
        values[item.name] = data.draw(st.binary(min_size=(fixed or 0) + extra, max_size=(fixed or 0) + extra))
    built = kind(**values)
    raw = built.to_bytes()
    again = kind.from_bytes(raw)
    assert again == built and again.to_bytes() == raw and hash(again) == hash(built) and len(built) == len(raw)
    for view in again.fields():
        assert raw[view.offset : view.offset + view.size] == values[view.name]
    # Cut anywhere, or longer by anything, it is refused, and with where.
    least = len(kind(**{name: value for name, value in values.items() if not getattr(kind, name).optional}))
    for cut in {0, 1, len(raw) // 2, len(raw) - 1} - {least}:
        with pytest.raises(FormatError):
            kind.from_bytes(raw[:cut])
    for more in (b"\0", raw, bytes([3, 1, 0, 0])):
        with pytest.raises(FormatError):
            kind.from_bytes(raw + more)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes(data):
    """Read whole, or refused in words; what is read is written back the same."""
    for kind in (m.ProvMsg1, m.ProvMsg2Content, m.EsMsg1, m.EpidSigText):
        try:
            assert kind.from_bytes(data).to_bytes() == data
        except FormatError as error:
            assert str(error).startswith(kind.TITLE)
    try:
        assert b"".join(tlv.to_bytes() for tlv in parse_tlvs(data, "x")) == data
    except FormatError as error:
        assert error.offset is not None and error.offset <= len(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x03", "cut within a container's header"),
        (b"\x83\1\0\0", "cut within a container's header"),
        (b"\x1b\1\0\0", "type 27 is not known"),
        (b"\xff\1\0\0\0\0", "type 127 is not known"),
        (b"\3\1\0\2\0", "announces 2 bytes, 1 are left"),
        (b"\x8b\1\xff\xff\xff\xff", "announces 4294967295 bytes, 0 are left"),
        (b"\x83\1\0\0\0\1\0", "MAC of 1 bytes has a header of 6 bytes"),
        (b"\x0b\1\0\0", "EPID_SIG of 0 bytes has a header of 4 bytes"),
        (b"\3\1\0\0" * 17, "more than 16 containers"),
    ],
)
def test_containers_that_are_none(data, said):
    with pytest.raises(FormatError, match=said):
        parse_tlvs(data, "message")


def test_the_long_header_begins_where_the_short_one_ends():
    for size, head in ((0xFFFF, 4), (0x10000, 6)):
        raw = Tlv(TlvType.BLOCK_CIPHER_TEXT, bytes(size)).to_bytes()
        assert len(raw) == size + head and parse_tlvs(raw, "x")[0].offset == head


def test_wrong_order_version_size_and_number():
    good = m.ProvMsg4(nonce=bytes(8), content=bytes(12), mac=bytes(16)).to_bytes()
    nonce, content, mac = (tlv.to_bytes() for tlv in parse_tlvs(good, "x"))
    for broken, said in (
        (content + nonce + mac, "NONCE .nonce. wanted, not BLOCK_CIPHER_TEXT"),
        (nonce + content, "3 containers wanted, not 2"),
        (nonce + content + mac + mac, "3 containers wanted, not 4"),
        (bytes([nonce[0], 2]) + nonce[2:] + content + mac, "NONCE has version 2, not 1"),
        (Tlv(TlvType.NONCE, bytes(9)).to_bytes() + content + mac, "nonce: 8 bytes wanted, not 9"),
        (nonce + Tlv(TlvType.BLOCK_CIPHER_TEXT, bytes(11)).to_bytes() + mac, "content: .*12 bytes wanted, not 11"),
    ):
        with pytest.raises(FormatError, match=said):
            m.ProvMsg4.from_bytes(broken)
    previous = m.ProvMsg2Content(
        group=bytes(328), psid=bytes(32), challenge=bytes(32), equivalent=bytes(26), previous=bytes(26),
        previous_gid=bytes(4),
    )  # fmt: skip
    assert previous.previous is not None and len(parse_tlvs(previous.to_bytes(), "x")) == 6
    parts = [tlv.to_bytes() for tlv in parse_tlvs(previous.to_bytes(), "x")]
    with pytest.raises(FormatError, match="4 or 6 containers wanted, not 5"):
        m.ProvMsg2Content.from_bytes(b"".join(parts[:3] + parts[4:]))


def test_building_takes_every_field_once():
    with pytest.raises(TypeError, match="takes nonce, content, mac"):
        m.ProvMsg4(nonce=bytes(8), mac=bytes(16))
    with pytest.raises(TypeError):
        m.ProvMsg4(nonce=bytes(8), content=bytes(12), mac=bytes(16), more=b"")
    with pytest.raises(TypeError):  # one optional container without the other
        m.ProvMsg3(nonce=bytes(8), content=bytes(12), mac=bytes(16), signature=bytes(12))
    with pytest.raises(FormatError, match="ProvMsg4: mac: 16 bytes wanted, not 15"):
        m.ProvMsg4(nonce=bytes(8), content=bytes(12), mac=bytes(15))
    message = m.ProvMsg4(nonce=bytes(8), content=bytes(12), mac=bytes(16))
    with pytest.raises(AttributeError, match="immutable"):
        message.nonce = bytes(8)
    assert isinstance(m.ProvMsg4.nonce, Item) and message.replace(nonce=b"12345678").nonce == b"12345678"


def test_a_secret_is_not_shown():
    key = m.ProvMsg1Key(sk=b"\xab" * 16, psid=bytes(32))
    shown = repr(key) + "".join(f"{view.value}{view.meaning}" for view in key.fields())
    assert "ab" not in shown.replace("(secret)", "") and "(secret)" in shown


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=60))
def test_text_of_http(body):
    for kind in (m.RequestHeader, m.ResponseHeader):
        message = kind(size=len(body), xid=b"\xaa-xid-8b").to_bytes() + body
        text = m.to_text(message, kind)
        assert text[: 2 * kind.SIZE] == message[: kind.SIZE].hex().upper().encode() and b"\n" not in text
        assert m.from_text(text, kind) == message and m.from_text(text[:30].lower() + text[30:], kind) == message
        assert m.split_message(message, kind) == (kind.from_bytes(message[: kind.SIZE]), body)
        with pytest.raises(FormatError):
            m.split_message(message + b"\0", kind)
        with pytest.raises(FormatError):
            m.split_message(message[: kind.SIZE - 1], kind)


@pytest.mark.parametrize("text", [b"", b"0" * 29, b"g" * 30, *(b"0" * 30 + end for end in (b"A", b"A===", b"AA==\n"))])
def test_text_that_is_none(text):
    with pytest.raises(FormatError):
        m.from_text(text, m.RequestHeader)


def test_a_pek_names_its_server():
    pek = p.SignedPek(n=bytes(range(256)) + bytes(128), e=b"\0\1\0\1")
    assert len(pek.key_bytes) == 388 and len(pek.psid) == 32 and pek.psid != p.SignedPek().psid


def test_an_extended_group_of_zeros_is_none():
    assert p.ExtendedGroupBlob.default().is_default and not p.ExtendedGroupBlob().is_default
    assert p.ExtendedGroupBlob().to_bytes()[:4] == bytes.fromhex("00010188")
    assert len(p.ExtendedGroupBlob().signed_message()) == 396
