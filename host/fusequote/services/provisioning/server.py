"""The provisioning server: admits genuine chips of a known TCB to their EPID group (remote attestation notes 4).

It knows the root provisioning key of every device that the maker made, derives from it the keys of the TCB that a
platform claims, and admits whoever proves to have them. It never learns a member's secret f.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from fusequote.arch.provision import EsInformation, RsaSignature
from fusequote.arch.provmsg import (
    PROTOCOL_VERSION,
    EsMsg1,
    EsMsg2,
    GeneralStatus,
    MessageType,
    Protocol,
    RequestHeader,
    split_message,
)
from fusequote.errors import FormatError
from fusequote.services.derivation import ProvisioningIdentity
from fusequote.services.provisioning.admission import answer_prov_msg1
from fusequote.services.provisioning.answers import Parts, rejected, response_header
from fusequote.services.provisioning.decline import Decline, Reject
from fusequote.services.provisioning.joining import answer_prov_msg3
from fusequote.services.provisioning.keys import ProvisioningKeys
from fusequote.services.provisioning.members import Members
from fusequote.services.provisioning.sessions import Sessions
from fusequote.services.registry import Registry
from fusequote.services.roots import ServiceKeys

__all__ = ["ENDPOINT_TTL", "IN_PROCESS", "Answer", "ProvisioningServer"]

#: The address that endpoint selection names when there is no network between platform and server.
IN_PROCESS = "fusequote:in-process"
#: Seconds for which a platform may keep an address.
ENDPOINT_TTL = 3600

@dataclass(frozen=True)
class Answer:
    """A whole response message; the name of its status, and for the log why it is a refusal."""

    message: bytes
    status: str = "OK"
    why: str = ""


class ProvisioningServer:
    """The server without its transport. ``pve`` and ``pce``: which enclaves it works with."""

    def __init__(
        self,
        registry: Registry,
        service_keys: ServiceKeys,
        keys: ProvisioningKeys,
        pve: ProvisioningIdentity,
        pce: ProvisioningIdentity,
    ):
        self.members = Members(registry, pce)
        self._parts = Parts(
            registry, self.members, Sessions(registry.store), keys, service_keys.epid_signing, pve, pce
        )

    def handle(self, message: bytes, url: str = IN_PROCESS) -> bytes:
        """The answer to a whole message; see :meth:`answer`."""
        return self.answer(message, url).message

    def answer(self, message: bytes, url: str = IN_PROCESS) -> Answer:
        """The answer to a whole message; ``url`` is the address of this server for endpoint selection.

        Every message with a header has an answer, be it that it is no good. Raises :class:`FormatError` for fewer
        bytes, :class:`StoreUnavailable`, :class:`StoreDamaged`.
        """
        request = RequestHeader.unpack_from(message)
        try:
            if request.version != PROTOCOL_VERSION:
                raise Reject(GeneralStatus.INCOMPATIBLE_VERSION, f"version {request.version}")
            try:
                _, body = split_message(message, RequestHeader)
            except FormatError as error:
                raise Reject(GeneralStatus.INCORRECT_SYNTAX, str(error)) from error
            answer, refusal = self._answer(request, body, url)
        except Reject as refused:
            return Answer(rejected(request, refused.gstatus), refused.gstatus.name, str(refused))
        return Answer(answer) if refusal is None else Answer(answer, refusal.pstatus.name, str(refusal))

    def _answer(self, request: RequestHeader, body: bytes, url: str) -> tuple[bytes, Decline | None]:
        kind = (request.protocol, request.type)
        if kind == (Protocol.ENDPOINT_SELECTION, MessageType.PROV_MSG1):
            return self._endpoint(request, body, url), None
        if kind == (Protocol.EPID_PROVISIONING, MessageType.PROV_MSG1):
            return answer_prov_msg1(self._parts, request, body)
        if kind == (Protocol.EPID_PROVISIONING, MessageType.PROV_MSG3):
            return answer_prov_msg3(self._parts, request, body)
        raise Reject(
            GeneralStatus.INCORRECT_SYNTAX, f"protocol {int(request.protocol)} has no request {int(request.type)}"
        )

    def _endpoint(self, request: RequestHeader, body: bytes, url: str) -> bytes:
        try:
            selector = EsMsg1.from_bytes(body).selector
        except FormatError as error:
            raise Reject(GeneralStatus.INCORRECT_SYNTAX, str(error)) from error
        if selector.protocol != Protocol.EPID_PROVISIONING:
            raise Reject(GeneralStatus.INCORRECT_SYNTAX, f"no server for protocol {selector.protocol}")
        keys = self._parts.keys
        information = EsInformation(ttl=ENDPOINT_TTL, url=url.encode("ascii"))
        signature = keys.pek.sign(request.xid + information.to_bytes(), padding.PKCS1v15(), hashes.SHA256())
        answer = EsMsg2(
            information=information, signature=RsaSignature(signature=signature), pek=keys.signed_pek
        ).to_bytes()
        return response_header(request).replace(size=len(answer)).to_bytes() + answer
