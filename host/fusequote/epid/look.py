"""What an EPID file is: `fusequote epid inspect`."""

from __future__ import annotations

from fusequote.epid.authority import CaCertificate
from fusequote.epid.errors import EpidError, EpidFormatError
from fusequote.epid.files import FileType, Form, header, read_member_key
from fusequote.epid.gid import GidFields
from fusequote.epid.keys import GroupPublicKey, MemberPrecomp, MemberPrivateKey, MembershipCredential
from fusequote.epid.revocation import GroupRl, PrivRl, SigRl
from fusequote.epid.signature import Signature
from fusequote.epid.splitform import SplitSignature
from fusequote.epid.wire import Envelope

Facts = dict[str, str | int | bool]
_LISTS = {FileType.PRIV_RL: PrivRl, FileType.SIG_RL: SigRl, FileType.GROUP_RL: GroupRl}


def describe(data: bytes) -> Facts:
    """Names and values, no secret among them; raises EpidFormatError if it is no EPID file that we know.

    Told by the header, and where there is none by the size. ECDSA signatures are not checked: that takes the
    CA.
    """
    for form in Form:
        for kind in FileType:
            if data[:4] == header(kind, form):
                return {"type": kind.what, "form": form.name, "bytes": len(data)} | _with_header(
                    data, kind, form
                )
    if len(data) == MemberPrecomp.SIZE:
        return {"type": "member precomputation", "bytes": len(data), "secret": True}
    try:
        return _key(data)
    except EpidFormatError:
        pass
    return _signature(data)


def _gid(gid: bytes) -> Facts:
    facts: Facts = {"gid": gid.hex()}
    if len(gid) == 16:
        try:
            fields = GidFields.from_bytes(gid)
        except EpidError as error:
            return facts | {"gid_problem": str(error)}
        facts |= {"hash": fields.hash_alg.hash_name, "core": fields.core}
    return facts


def _with_header(data: bytes, kind: FileType, form: Form) -> Facts:
    payload = data[4:-64]
    if kind is FileType.CA_CERTIFICATE:
        return {"public_key": CaCertificate.from_bytes(data, strict=False).public_numbers.hex()}
    if kind is FileType.GROUP_KEY:
        group = GroupPublicKey.from_bytes(payload, form.gid_size, strict=False)
        try:
            group.check_subgroup()
            good = True
        except EpidFormatError:
            good = False
        return _gid(group.gid) | {
            "h1": group.h1.hex(),
            "h2": group.h2.hex(),
            "w": group.w.hex(),
            "w_of_order_p": good,
        }
    if kind in _LISTS:
        value = _LISTS[kind].from_bytes(payload, form.gid_size)
        gid = _gid(value.gid) if hasattr(value, "gid") else {}
        return gid | {"version": value.version, "entries": len(value)}
    return {}


def _key(data: bytes) -> Facts:
    key = read_member_key(data)
    what = {MemberPrivateKey: "member private key", MembershipCredential: "membership credential"}
    gid = key[: len(data) - 64] if isinstance(key, bytes) else key.gid
    name = what.get(type(key), "compressed member key")
    return {"type": name, "bytes": len(data), "secret": True} | _gid(gid)


def _signature(data: bytes) -> Facts:
    try:
        envelope = Envelope.of(data)
    except EpidFormatError:
        raise EpidFormatError(f"{len(data)} bytes that are no EPID file, key or signature", offset=0) from None
    kind = Signature if envelope.nonce is None else SplitSignature
    facts: Facts = {
        "type": "signature" if envelope.nonce is None else "split signature",
        "bytes": len(data),
        "rl_ver": envelope.rl_ver,
        "proofs": envelope.count,
        "B": data[:64].hex(),
        "K": data[64:128].hex(),
    }
    try:
        kind.from_bytes(data)
    except EpidFormatError as error:
        return facts | {"problem": str(error)}
    return facts
