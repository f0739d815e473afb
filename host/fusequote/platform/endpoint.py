"""Endpoint selection: which provisioning server, and with which key (remote attestation notes 4.4).

The answer is signed by the server's own RSA key (PEK) over this transaction's XID, and the PEK by the PEK signing key
that enclaves are built with. It is kept for times when the server of endpoints does not answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from fusequote.arch.provision import EndpointCache, EsSelector, KeyId, SignedPek
from fusequote.arch.provmsg import (
    XID_SIZE,
    EsMsg1,
    EsMsg2,
    GeneralStatus,
    MessageType,
    Protocol,
    RequestHeader,
    ResponseHeader,
    split_message,
)
from fusequote.errors import EnvironmentProblem, FormatError
from fusequote.home import Home, write_atomic
from fusequote.platform.operator import Operator, check_pek
from fusequote.verdict import Reason, refuse

__all__ = ["MAX_URL", "Endpoint", "Exchange", "ServerTrouble", "ServerUnreachable", "keep", "kept", "select_endpoint"]

#: A whole request message to a whole response message. Raises :class:`ServerUnreachable`.
Exchange = Callable[[bytes], bytes]
#: Characters of a server's address at most.
MAX_URL = 259
_TYPE, _VERSION = 1, 1


class ServerTrouble(EnvironmentProblem):
    """The provisioning server answered, and could not do its work: busy, restarted, of another version."""

    kind = "provisioning-server"


class ServerUnreachable(ServerTrouble):
    """The provisioning server did not answer, or nothing of the protocol."""

    kind = "provisioning-server-unreachable"


@dataclass(frozen=True)
class Endpoint:
    """A provisioning server: its address and its signed key. ``ttl``: seconds that the address is good for."""

    url: str
    pek: SignedPek
    ttl: int = 0


def select_endpoint(selector: int, operator: Operator, exchange: Exchange) -> Endpoint:
    """Ask for the provisioning server of platforms with this selector (0..255).

    Raises :class:`ServerTrouble`, and :class:`Refused`: provision.malformed, provision.server-not-authentic.
    """
    xid = secrets.token_bytes(XID_SIZE)
    body = EsMsg1(selector=EsSelector(protocol=Protocol.EPID_PROVISIONING, selector=selector)).to_bytes()
    head = RequestHeader(protocol=Protocol.ENDPOINT_SELECTION, xid=xid, size=len(body))
    answer = exchange(head.to_bytes() + body)
    try:
        header, body = split_message(answer, ResponseHeader)
        if header.gstatus != GeneralStatus.OK:
            raise ServerTrouble(f"endpoint selection: the server answers {header.gstatus!r}", hint="try again later")
        expected = (Protocol.ENDPOINT_SELECTION, MessageType.PROV_MSG2, xid)
        if (header.protocol, header.type, header.xid) != expected:
            raise FormatError("it is not the answer to this request")
        message = EsMsg2.from_bytes(body)
        url = message.information.url.decode("ascii")
    except (FormatError, UnicodeDecodeError) as error:
        raise refuse(Reason.PROVISION_MALFORMED, f"endpoint selection: {error}") from error
    if not 0 < len(url) <= MAX_URL or not url.isprintable():
        raise refuse(Reason.PROVISION_MALFORMED, f"endpoint selection: an address of {len(url)} characters")
    key = check_pek(message.pek, operator)
    try:
        signed = xid + message.information.to_bytes()
        key.verify(message.signature.signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise refuse(Reason.SERVER_KEY, "endpoint selection: the address is not signed by the PEK") from None
    if message.signature.key_id != KeyId.PEK_3072_PRIV:
        raise refuse(Reason.PROVISION_MALFORMED, f"endpoint selection: key id {int(message.signature.key_id)}")
    return Endpoint(url, message.pek, message.information.ttl)


def keep(path: Path, endpoint: Endpoint) -> None:
    """Write what endpoint selection found, in the layout of Intel's AESM."""
    url = endpoint.url.encode("ascii").ljust(260, b"\0")
    write_atomic(path, EndpointCache(data_type=_TYPE, version=_VERSION, pek=endpoint.pek, url=url).to_bytes())


def kept(home: Home, path: Path, operator: Operator) -> Endpoint | None:
    """What an earlier endpoint selection found, None without one. Raises :class:`Refused` for a PEK of nobody's."""
    if not path.exists():
        return None
    try:
        cache = EndpointCache.from_bytes(home.read(path, limit=EndpointCache.SIZE))
        url = cache.url.rstrip(b"\0").decode("ascii")
    except (FormatError, UnicodeDecodeError):
        return None
    if (cache.data_type, cache.version) != (_TYPE, _VERSION) or not url or not url.isprintable():
        return None
    check_pek(cache.pek, operator)
    return Endpoint(url, cache.pek)
