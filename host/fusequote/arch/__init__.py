"""Intel's structures, constants and error codes, byte for byte: one table per structure, one file per family.

Keys, roots and ids are never Intel's; layouts always are. :mod:`fusequote.arch.layout` says how a structure is
written down.
"""

from fusequote.arch.attributes import XFRM_LEGACY, AttributeFlags, Attributes, MiscSelect, Xfrm
from fusequote.arch.epid import GroupCert, GroupFlags, PlatformInfoBlob, SgxSigRl, TcbFlags
from fusequote.arch.exchange import KDF_ID, Msg0, Msg1, Msg2, Msg3, Msg4, TrustStatus
from fusequote.arch.keys import PADDING_352, SHA256_DIGEST_INFO, Kd1, KeyName, KeyPolicy, KeyRequest, Psvn
from fusequote.arch.layout import FieldView, Struct
from fusequote.arch.memory import (
    CHUNK_SIZE,
    CHUNKS_PER_PAGE,
    PAGE_SIZE,
    PT_REG_FLAGS,
    PT_TCS_FLAGS,
    PageInfo,
    PageType,
    SecInfo,
    SecInfoFlags,
    Secs,
    Tcs,
    TcsFlags,
    secinfo_text,
)
from fusequote.arch.quote import (
    QuoteBody,
    QuotePayload,
    QuoteSignature,
    QuoteV2,
    SignType,
    payload_size,
    quote_size,
    signature_size,
)
from fusequote.arch.report import Report, ReportBody, TargetInfo
from fusequote.arch.sigstruct import HEADER, HEADER2, VENDOR_INTEL, VENDOR_OTHER, SigStruct, bcd_date
from fusequote.arch.status import SgxStatus
from fusequote.arch.token import EinitToken, TokenValid

__all__ = [
    "AttributeFlags",
    "Attributes",
    "CHUNKS_PER_PAGE",
    "CHUNK_SIZE",
    "EinitToken",
    "FieldView",
    "GroupCert",
    "GroupFlags",
    "HEADER",
    "HEADER2",
    "KDF_ID",
    "Kd1",
    "KeyName",
    "KeyPolicy",
    "KeyRequest",
    "MiscSelect",
    "Msg0",
    "Msg1",
    "Msg2",
    "Msg3",
    "Msg4",
    "PADDING_352",
    "PAGE_SIZE",
    "PT_REG_FLAGS",
    "PT_TCS_FLAGS",
    "PageInfo",
    "PageType",
    "PlatformInfoBlob",
    "Psvn",
    "QuoteBody",
    "QuotePayload",
    "QuoteSignature",
    "QuoteV2",
    "Report",
    "ReportBody",
    "SHA256_DIGEST_INFO",
    "SecInfo",
    "SecInfoFlags",
    "Secs",
    "SgxSigRl",
    "SgxStatus",
    "SigStruct",
    "SignType",
    "Struct",
    "TargetInfo",
    "TcbFlags",
    "Tcs",
    "TcsFlags",
    "TokenValid",
    "TrustStatus",
    "VENDOR_INTEL",
    "VENDOR_OTHER",
    "XFRM_LEGACY",
    "Xfrm",
    "bcd_date",
    "payload_size",
    "quote_size",
    "secinfo_text",
    "signature_size",
]
