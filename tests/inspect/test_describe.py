"""Files recognised and taken apart: made here, each kind of them, whole and broken."""

import base64
import io
import json
import sys
from datetime import date
from pathlib import Path

import pytest
from fusequote import arch
from fusequote.enclave import generate_signing_key, mrenclave, sample_image, sign_image, write_sgxs
from fusequote.errors import FormatError, FusequoteError, UsageError
from fusequote.inspect import KIND_WORDS, describe
from fusequote.inspect.structures import WORDS
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "enclave"))
import sdk_enclave as sdk  # noqa: E402

LIVE = arch.Attributes(flags=5, xfrm=3)
BODY = arch.ReportBody(
    cpusvn=bytes(range(1, 17)), attributes=LIVE, mrenclave=b"\xaa" * 32, mrsigner=b"\xbb" * 32, isvsvn=9
)
QUOTE = arch.QuoteV2(
    body=arch.QuoteBody(sign_type=1, gid=bytes.fromhex("01e00000"), basename=b"S" * 16 + bytes(16), report=BODY),
    signature=arch.QuoteSignature(wrap_key=b"w" * 256, sealed=bytes(376)).to_bytes(),
)
CHALLENGE = arch.Msg2(g_b=b"g" * 64, sig_rl=b"list")
EXAMPLES = {
    "sigstruct": arch.SigStruct(date=0x20261123),
    "sigrl": arch.SgxSigRl.build(b"gid4", 1, [bytes(128)], bytes(64)),
    "group-certificate": arch.GroupCert(w=b"w" * 128),
    "quote": QUOTE,
    "quote-body": QUOTE.body,
    "report": arch.Report(body=BODY, mac=b"m" * 16),
    "report-body": BODY,
    "targetinfo": BODY.target(),
    "keyrequest": arch.KeyRequest(keyname=4, keypolicy=2),
    "einittoken": arch.EinitToken(valid=1),
    "quote-signature": arch.QuoteSignature.from_bytes(QUOTE.signature),
    "msg4": arch.Msg4(status=3),
    "platform-info-blob": arch.PlatformInfoBlob(group_flags=4, tcb_flags=5),
    "secs": arch.Secs(size=0x10000, attributes=LIVE),
    "tcs": arch.Tcs(nssa=2, oentry=0x100),
    "msg1": arch.Msg1(g_a=b"g" * 64),
    "msg2": CHALLENGE,
    "msg3": arch.Msg3(g_a=b"g" * 64, quote=QUOTE.to_bytes()),
    "secinfo": arch.SecInfo(flags=0x205),
    "psvn": arch.Psvn(isvsvn=3),
    "attributes": LIVE,
}


@pytest.mark.parametrize("word", EXAMPLES)
def test_each_kind_is_recognised(word):
    """And its fields cover every byte once, in order."""
    data = EXAMPLES[word].to_bytes()
    description = describe(data)
    assert description.kind == word and description.size == len(data) and not description.warnings
    at = 0
    for item in description.sections[0].items:
        assert item.offset == at and item.data == data[at : at + item.size]
        at += item.size
    assert at == len(data)
    assert EXAMPLES[word].TITLE in description.to_text()
    json.dumps(description.to_dict())


def test_every_kind_has_a_structure_and_every_structure_a_kind():
    exported = {v for v in vars(arch).values() if isinstance(v, type) and issubclass(v, arch.Struct)} - {arch.Struct}
    assert {kind.structure for kind in WORDS.values()} == exported
    assert set(KIND_WORDS) == {*WORDS, "sgxs", "signed-so", "recording"}


def test_what_covers_what():
    covered = {item.name: item.covered_by for item in describe(QUOTE.to_bytes()).sections[0].items}
    assert covered["body.report.mrenclave"] == "EPID signature" and covered["signature_len"] is None
    covered = {item.name: item.covered_by for item in describe(EXAMPLES["report"].to_bytes()).sections[0].items}
    assert covered["body.reportdata"] == "MAC" and covered["keyid"] is None and covered["mac"] is None


def test_facts_of_a_quote():
    facts = dict(describe(QUOTE.to_bytes()).facts)
    assert facts["EPID group"] == "0000e001" and facts["SPID"] == (b"S" * 16).hex()
    assert facts["MRENCLAVE"] == "aa" * 32 and facts["DEBUG"] == "no"
    debug = QUOTE.replace(body=QUOTE.body.replace(report=BODY.replace(attributes=arch.Attributes(flags=7, xfrm=3))))
    assert dict(describe(debug.to_bytes()).facts)["DEBUG"].startswith("yes")


def test_text_is_decoded_first():
    quote = QUOTE.to_bytes()
    lines = base64.encodebytes(quote)
    for text, encoding in ((lines, "base64"), (quote.hex().encode() + b"\n", "hexadecimal")):
        description = describe(text)
        assert (description.kind, description.encoding, description.size) == ("quote", encoding, len(quote))
    assert describe(quote).encoding is None


def test_the_platform_info_of_an_attestation_report():
    blob = EXAMPLES["platform-info-blob"]
    description = describe(blob.to_tlv().hex().upper().encode())
    assert description.kind == "platform-info-blob" and description.encoding == "hexadecimal"
    assert description.sections[0].items[0].offset == 4


def test_broken_structures_are_shown_with_what_is_wrong():
    raw = bytearray(QUOTE.to_bytes())
    raw[48 + 25] = 1
    description = describe(bytes(raw) + b"more")
    assert description.kind == "quote"
    assert description.warnings[0] == "reserved byte 73 (body.report.reserved1) is not 0"
    assert "signature_len announces 1116 bytes in all, not 1120" in description.warnings[1]
    assert "NOT ZERO" in description.to_text() and "WARNING" in description.to_text()
    short = describe(QUOTE.to_bytes()[:500])
    assert short.kind == "quote" and any("304 bytes wanted" in warning for warning in short.warnings)


def test_a_message_with_its_quote():
    description = describe(EXAMPLES["msg3"].to_bytes())
    titles = [section.title for section in description.sections]
    assert titles == ["msg3", "msg3.quote: QUOTE v2", "msg3.quote: encrypted signature"]
    inner = {item.name: item for item in description.sections[1].items}
    assert inner["body.version"].offset == 336 and inner["signature_len"].covered_by == "MAC"
    broken = arch.Msg3(quote=QUOTE.to_bytes()[:-1])
    assert any("announces" in warning for warning in describe(broken.to_bytes()).warnings)


def test_a_kind_that_is_asked_for():
    assert describe(bytes(656), "kd1").kind == "kd1"
    assert describe(bytes(432), "report").kind == "report"
    with pytest.raises(FormatError, match="REPORT: 432 bytes wanted, not 431"):
        describe(bytes(431), "report")
    with pytest.raises(UsageError, match="no kind is called 'quotes'"):
        describe(b"", "quotes")


def test_secrets_are_not_shown():
    description = describe(arch.Kd1(seal_fuses=b"\xab" * 16).to_bytes(), "kd1")
    assert "abab" not in description.to_text() and "abab" not in json.dumps(description.to_dict())


def test_other_files(tmp_path):
    with pytest.raises(FormatError, match="no kind that is known") as caught:
        describe(b"hello")
    assert "sigstruct" in caught.value.hint
    with pytest.raises(FormatError) as caught:
        describe(b"\3\0" + bytes(1000))
    assert "ECDSA" in caught.value.hint
    with pytest.raises(FormatError, match="too long"):
        describe(bytes(1 << 21))
    for wrong in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UsageError, match="cannot read"):
            describe(wrong)


def sgxs():
    out = io.BytesIO()
    write_sgxs(sample_image(), out)
    return out.getvalue()


def test_an_sgxs_stream_with_its_sigstruct(tmp_path):
    image = sample_image()
    path = tmp_path / "sample.sgxs"
    path.write_bytes(sgxs())
    alone = describe(path)
    assert alone.kind == "sgxs" and dict(alone.facts)["MRENCLAVE"] == mrenclave(image).hex()
    runs = [(item.offset, item.size, item.meaning) for item in alone.sections[0].items]
    assert runs == [
        (0, 0x1000, "1 page, PT_REG R, all measured"),
        (0x1000, 0x8000, "8 pages, PT_REG R | X, all measured"),
        (0x9000, 0x4000, "4 pages, PT_REG R | W, all measured"),
        (0xD000, 0x1000, "1 page, PT_TCS none, all measured"),
        (0xE000, 0x2000, "2 pages, PT_REG R | W, all measured"),
        (0x10000, 0x4000, "4 pages, PT_REG R | W, content not measured"),
    ]
    good = sign_image(image, generate_signing_key(), day=date(2026, 11, 23))
    path.with_suffix(".sig").write_bytes(good.to_bytes())
    signed = describe(path)
    assert dict(signed.facts)["RSA signature"] == "good" and not signed.warnings
    assert dict(signed.facts)["signed on"] == "2026-11-23"
    path.with_suffix(".sig").write_bytes(good.replace(enclavehash=bytes(32)).to_bytes())
    bad = describe(path)
    assert "SGX_INVALID_SIGNATURE" in dict(bad.facts)["RSA signature"]
    assert bad.warnings[0].startswith("ENCLAVEHASH of the SIGSTRUCT is another")


def test_a_signed_so_with_two_versions():
    enclave = sdk.standard((1, 4))
    enclave.blobs.append(sdk.Blob((2, 4), size=0x100000, layout=sdk.standard_layout()))
    data = sdk.write(enclave)
    description = describe(data)
    facts = dict(description.facts)
    assert description.kind == "signed-so" and (facts["metadata"], facts["loaded"]) == ("1.4, 2.4", "1.4")
    assert (facts["1.4 SIZE"], facts["2.4 SIZE"]) == ("0x80000", "0x100000")
    heads = [section for section in description.sections if section.title in ("metadata 1.4", "metadata 2.4")]
    for head in heads:
        magic = head.items[0]
        assert data[magic.offset : magic.offset + 8] == sdk.MAGIC.to_bytes(8, "little") == magic.data
    layout = next(section for section in description.sections if section.title == "metadata 1.4: layout")
    assert layout.items[7].meaning == "the 5 entries before, 2 times, 0x8000 further each"
    assert "TCS" in description.to_text()


def test_an_image_the_block_does_not_take():
    enclave = sdk.standard((1, 4))
    enclave.blobs[0].layout.pop()
    enclave.blobs[0].layout[7].times = 5
    assert any("TCS, and a slot of the block holds 4" in warning for warning in describe(sdk.write(enclave)).warnings)


@settings(max_examples=200, deadline=None)
@given(st.one_of(
    st.binary(max_size=700),
    st.builds(lambda word, at, value: flip(EXAMPLES[word].to_bytes(), at, value), st.sampled_from(sorted(EXAMPLES)),
              st.integers(0, 5000), st.integers(0, 255)),
))  # fmt: skip
def test_any_bytes_are_described_or_refused_never_worse(data):
    try:
        description = describe(data)
    except FusequoteError as error:
        assert str(error) and error.exit_code == 2
    else:
        json.dumps(description.to_dict())
        assert description.to_text()


def flip(data, at, value):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ value]) + data[at + 1 :]
