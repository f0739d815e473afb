"""Which structure is this? Most have no magic number: length and plausibility decide, and ties are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fusequote import arch
from fusequote.arch import AttributeFlags, Attributes, Struct
from fusequote.arch.epid import GROUP_CERT_HEADER, SIGRL_HEADER
from fusequote.enclave.signing import SigStructInvalid, verify_sigstruct
from fusequote.errors import FormatError
from fusequote.inspect.description import Description, Section

Facts = Iterator[tuple[str, str]]


@dataclass(frozen=True)
class Kind:
    """A structure that can be recognised: ``word`` for programs, ``likely`` whether these bytes look like one."""

    word: str
    structure: type[Struct]
    likely: Callable[[bytes], bool]

    def fits(self, size: int) -> bool:
        """Whether anything of this length could be one."""
        return size >= self.structure.SIZE if self.structure._tails else size == self.structure.SIZE


def _lived(raw: bytes) -> bool:
    """ATTRIBUTES as a REPORT has them: of an initialised enclave, XFRM with its two obligatory bits."""
    attributes = Attributes.from_bytes(raw)
    return bool(attributes.flags & AttributeFlags.INIT) and attributes.xfrm & 3 == 3


def _clean(structure: type[Struct], raw: bytes) -> bool:
    return not any(structure.from_bytes(raw, check_tail=False).reserved_in_use())


def _whole(structure: type[Struct], raw: bytes) -> bool:
    try:
        structure.from_bytes(raw)
    except FormatError:
        return False
    return True


def _is_secs(raw: bytes) -> bool:
    size = int.from_bytes(raw[:8], "little")
    return size >= 8192 and not size & (size - 1) and raw[56] & 3 == 3


#: In the order in which they are tried.
KINDS = (
    Kind("sigstruct", arch.SigStruct, lambda raw: raw[:8] == arch.HEADER[:8] and raw[24:40] == arch.HEADER2),
    Kind("sigrl", arch.SgxSigRl, lambda raw: raw[:4] == SIGRL_HEADER),
    Kind("group-certificate", arch.GroupCert, lambda raw: raw[:4] == GROUP_CERT_HEADER),
    Kind("quote", arch.QuoteV2, lambda raw: raw[:2] == b"\2\0" and raw[2] < 2 and raw[3] == 0 and _lived(raw[96:112])),
    Kind("quote-body", arch.QuoteBody, lambda raw: raw[:2] == b"\2\0" and raw[2] < 2 and _lived(raw[96:112])),
    Kind("report", arch.Report, lambda raw: _lived(raw[48:64]) and _clean(arch.Report, raw)),
    Kind("report-body", arch.ReportBody, lambda raw: _lived(raw[48:64]) and _clean(arch.ReportBody, raw)),
    Kind("targetinfo", arch.TargetInfo, lambda raw: _lived(raw[32:48]) and _clean(arch.TargetInfo, raw)),
    Kind("keyrequest", arch.KeyRequest, lambda raw: raw[0] < 5 and not raw[1] and _clean(arch.KeyRequest, raw)),
    Kind("einittoken", arch.EinitToken, lambda raw: _clean(arch.EinitToken, raw)),
    Kind("quote-signature", arch.QuoteSignature, lambda raw: _whole(arch.QuoteSignature, raw)),
    Kind("msg4", arch.Msg4, lambda raw: int.from_bytes(raw[:4], "little") < 4),
    Kind("platform-info-blob", arch.PlatformInfoBlob, lambda raw: raw[0] < 8 and raw[1] == 0 and raw[2] < 16),
    Kind("secs", arch.Secs, lambda raw: _is_secs(raw) and _clean(arch.Secs, raw)),
    Kind("tcs", arch.Tcs, lambda raw: _clean(arch.Tcs, raw)),
    Kind("msg3", arch.Msg3, lambda raw: raw[336:338] == b"\2\0" and not any(raw[80:336])),
    Kind("msg2", arch.Msg2, lambda raw: raw[82:84] == b"\1\0" and raw[80] < 2 and _whole(arch.Msg2, raw)),
    Kind("msg1", arch.Msg1, lambda raw: any(raw)),
    Kind("secinfo", arch.SecInfo, lambda raw: raw[1] < 7 and _clean(arch.SecInfo, raw)),
    Kind("psvn", arch.Psvn, lambda raw: any(raw)),
    Kind("attributes", arch.Attributes, lambda raw: raw[8] & 3 == 3),
    # Only when asked for by name: nothing tells them from any other bytes.
    Kind("pageinfo", arch.PageInfo, lambda raw: False),
    Kind("msg0", arch.Msg0, lambda raw: False),
    Kind("quote-payload", arch.QuotePayload, lambda raw: False),
    Kind("kd1", arch.Kd1, lambda raw: False),
)
WORDS = {kind.word: kind for kind in KINDS}


def recognise(data: bytes) -> list[Kind]:
    """All kinds that these bytes look like, the likeliest first. Never raises."""
    return [kind for kind in KINDS if kind.fits(len(data)) and kind.likely(data)]


def describe_structure(kind: Kind, data: bytes, base: int = 0, alternatives: tuple[str, ...] = ()) -> Description:
    """``data`` taken apart as this kind; it begins at byte ``base`` of its file.

    Raises :class:`~fusequote.errors.FormatError` when it is too short, or too long for a structure of fixed size;
    whatever else is wrong with it becomes a warning.
    """
    value = kind.structure.from_bytes(data, check_tail=False)
    warnings = [f"reserved byte {base + offset} ({name}) is not 0" for name, offset in value.reserved_in_use()]
    try:
        kind.structure.from_bytes(data)
    except FormatError as error:
        warnings.append(str(error))
    sections, facts = [Section.of(value, base)], []
    match value:
        case arch.SigStruct():
            facts += sigstruct_facts(value)
        case arch.QuoteV2():
            facts += quote_facts(value.body)
            sections += _quote_signature(value, warnings)
        case arch.QuoteBody():
            facts += quote_facts(value)
        case arch.Report():
            facts += report_facts(value.body)
        case arch.ReportBody():
            facts += report_facts(value)
        case arch.Msg3():
            sections += [Section(f"msg3.quote: {s.title}", s.items) for s in _inner_quote(value, warnings)]
    return Description(kind.word, value.TITLE, len(data), tuple(sections), tuple(facts), tuple(warnings), alternatives)


def _quote_signature(quote: arch.QuoteV2, warnings: list[str], base: int = 0) -> Iterator[Section]:
    at = base + arch.QuoteV2.SIZE
    try:
        yield Section.of(arch.QuoteSignature.from_bytes(quote.signature), at, "encrypted signature")
    except FormatError as error:
        warnings.append(str(error))


def _inner_quote(message: arch.Msg3, warnings: list[str]) -> Iterator[Section]:
    try:
        quote = arch.QuoteV2.from_bytes(message.quote)
    except FormatError as error:
        warnings.append(str(error))
        return
    yield Section.of(quote, arch.Msg3.SIZE, covered_by="MAC")
    yield from _quote_signature(quote, warnings, arch.Msg3.SIZE)


def sigstruct_facts(sigstruct: arch.SigStruct) -> Facts:
    """MRSIGNER, the date, and whether the RSA signature holds."""
    yield "MRSIGNER", sigstruct.mrsigner.hex()
    yield "signed on", str(sigstruct.signed_on or "no calendar date")
    try:
        verify_sigstruct(sigstruct)
        yield "RSA signature", "good"
    except SigStructInvalid as error:
        yield "RSA signature", f"EINIT would answer {error.status.name}: {error}"


def report_facts(body: arch.ReportBody) -> Facts:
    """What a verifier looks at first."""
    yield "MRENCLAVE", body.mrenclave.hex()
    yield "MRSIGNER", body.mrsigner.hex()
    yield "DEBUG", "yes: its memory is open" if body.attributes.debug else "no"


def quote_facts(body: arch.QuoteBody) -> Facts:
    """The same, and the group as services write it."""
    yield "EPID group", body.group_id.hex()
    yield "SPID", body.spid.hex()
    yield from report_facts(body.report)
