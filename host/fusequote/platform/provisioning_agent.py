"""The software around the Provisioning Enclave: makes and takes apart ProvMsg1 to ProvMsg4 (Intel's AESM).

It sees nothing that would help it: PPID and PWK2 are encrypted to the server inside the enclaves. What it does is the
outer layer (SK, EK1, EK2), the order of calls, the retries, and the meaning of the server's statuses
(remote attestation notes 4.5 to 4.8).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from fusequote.arch.provision import CertifiedReport, CipherText, PlatformInfo, ProvisioningFlags, RekeyFlag
from fusequote.arch.provmsg import (
    KEY_SIZE,
    PROTOCOL_VERSION,
    XID_SIZE,
    GeneralStatus,
    MessageType,
    Protocol,
    ProtocolStatus,
    ProvMsg1,
    ProvMsg1Content,
    ProvMsg1Key,
    ProvMsg2,
    ProvMsg2Content,
    ProvMsg3,
    ProvMsg3Content,
    ProvMsg4,
    ProvMsg4Content,
    RequestHeader,
    ResponseHeader,
    split_message,
)
from fusequote.errors import FormatError, Refused, UsageError
from fusequote.home import Home
from fusequote.platform.endpoint import (
    Endpoint,
    Exchange,
    ServerTrouble,
    ServerUnreachable,
    keep,
    kept,
    select_endpoint,
)
from fusequote.platform.operator import operator_of
from fusequote.platform.pce import PCE_ID, PceProgram
from fusequote.platform.protocol import OAEP, message_key, open_content, pek_of, seal_message
from fusequote.platform.provisioning import Challenge, Issued, ProvisioningEnclave
from fusequote.verdict import Reason, refuse

__all__ = ["Connect", "ProvisioningAgent", "Tell", "provision_platform"]

#: The way to a server by its address; None is the server that is asked for the address.
Connect = Callable[[str | None], Exchange]
#: Told of every exchange with the server: what was sent, bytes there, bytes back.
Tell = Callable[[str, int, int], None]

#: Attempts of one provisioning: a lost transaction, or an old key that had to be fetched, is begun anew.
ATTEMPTS = 3
_GENERAL = {
    GeneralStatus.SERVER_BUSY: "it is busy",
    GeneralStatus.INTEGRITY_CHECK_FAIL: "the message was altered on its way",
    GeneralStatus.INCORRECT_SYNTAX: "it cannot read the message",
    GeneralStatus.INCOMPATIBLE_VERSION: "it speaks another version of the protocol",
    GeneralStatus.TRANSACTION_STATE_LOST: "it knows nothing of this transaction (any more)",
    GeneralStatus.INTERNAL_ERROR: "it failed",
}
_PROTOCOL = {
    ProtocolStatus.PLATFORM_REVOKED: (Reason.DEVICE_REVOKED, "protocol status 1"),
    ProtocolStatus.STATUS_INTEGRITY_FAILED: (Reason.PROVISION_KEY, "protocol status 2"),
    ProtocolStatus.PROVISIONING_ERROR: (Reason.JOIN_PROOF, "protocol status 4"),
    ProtocolStatus.INVALID_REQUEST: (Reason.PROVISION_MALFORMED, "protocol status 5"),
    ProtocolStatus.ATTESTATION_KEY_NOT_FOUND: (Reason.DEVICE_UNKNOWN, "protocol status 6"),
    ProtocolStatus.INVALID_REPORT: (Reason.PROVISION_TCB, "protocol status 7: the server does not take the REPORT"),
    ProtocolStatus.ATTESTATION_KEY_REVOKED: (Reason.DEVICE_REVOKED, "protocol status 8: this chip's EPID key"),
    ProtocolStatus.TCB_OUT_OF_DATE: (Reason.PROVISION_TCB_OLD, "protocol status 9"),
}


class _TransactionLost(ServerTrouble):
    """The server knows nothing of this transaction: worth a new one."""


@dataclass(frozen=True)
class _Transaction:
    """One transaction; a new one for every ProvMsg1."""

    xid: bytes = field(default_factory=lambda: secrets.token_bytes(XID_SIZE))
    sk: bytes = field(default_factory=lambda: secrets.token_bytes(KEY_SIZE), repr=False)

    def header(self, kind: MessageType) -> RequestHeader:
        return RequestHeader(protocol=Protocol.EPID_PROVISIONING, xid=self.xid, type=kind)


def provision_platform(
    pve: ProvisioningEnclave,
    pce: PceProgram,
    connect: Connect,
    home: Home,
    *,
    old_blob: bytes | None = None,
    rekey: bool = False,
    tell: Tell = lambda action, sent, received: None,
) -> bytes:
    """Endpoint selection, then provisioning: the sealed EPID blob, 2836 bytes.

    When the server of addresses does not answer, the one that it named the last time is taken. Raises what
    :meth:`ProvisioningAgent.provision` and :func:`fusequote.platform.endpoint.select_endpoint` raise.
    """
    operator = operator_of(pve.extended, pve.constants)
    cache = home.platform / f"endpoint-{operator.xeid:08x}.es"
    ask = connect(None)

    def told(message: bytes) -> bytes:
        answer = ask(message)
        tell("endpoint selection", len(message), len(answer))
        return answer

    try:
        endpoint = select_endpoint(pve.selector(), operator, told)
        if endpoint.url.startswith(("http://", "https://")):
            keep(cache, endpoint)
    except ServerUnreachable:
        last = kept(home, cache, operator)
        if last is None:
            raise
        endpoint = last
    agent = ProvisioningAgent(pve, pce, endpoint, connect(endpoint.url), tell)
    return agent.provision(old_blob, rekey=rekey)


@dataclass(frozen=True)
class ProvisioningAgent:
    """``endpoint`` is the server that endpoint selection named, ``exchange`` the way to it."""

    pve: ProvisioningEnclave
    pce: PceProgram
    endpoint: Endpoint
    exchange: Exchange
    tell: Tell = lambda action, sent, received: None

    def provision(self, old_blob: bytes | None = None, *, rekey: bool = False) -> bytes:
        """Join, or get the key back that this TCB was given before: the sealed EPID blob, 2836 bytes.

        ``old_blob`` is the platform's last one, with which it may have to prove that it is not revoked; ``rekey`` asks
        for another group with the same f (performance rekey). Raises :class:`Refused` (provision.*, key.*, quote.*),
        :class:`ServerTrouble`, :class:`UsageError` when no rekey is on offer.
        """
        for left in reversed(range(ATTEMPTS)):
            transaction = _Transaction()
            try:
                header, body = self._ask(transaction, self.platform_info(), rekey=rekey)
                if header.type == MessageType.PROV_MSG4:
                    return self._accept(transaction, header, body)
                asked, content, nonce = self._read_challenge(transaction, header, body, old_blob, rekey)
            except _TransactionLost:
                if not left:
                    raise
                continue
            try:
                return self._join(transaction, asked, content, nonce)
            except _TransactionLost:
                if not left:
                    raise
            except Refused as error:
                # The key that the server wants to see is not at hand: it keeps a copy that only this chip can open.
                if error.reason != Reason.BLOB or content.previous is None or not left:
                    raise
                old_blob = self.retrieve(content.previous)
        raise AssertionError("the last attempt returns or raises")

    def retrieve(self, level: PlatformInfo) -> bytes:
        """Backup retrieval: the EPID blob of the key that this chip was given for the TCB ``level``."""
        transaction = _Transaction()
        header, body = self._ask(transaction, level)
        if header.type != MessageType.PROV_MSG4:
            raise refuse(Reason.BLOB, "and the provisioning server gives no key back for that TCB")
        return self._accept(transaction, header, body)

    def platform_info(self) -> PlatformInfo:
        """This platform's TCB: CPUSVN of the chip, SVNs of the Provisioning Enclave and the PCE."""
        own = self.pve.enclave.identity
        return PlatformInfo(cpusvn=own.cpusvn, pve_svn=own.isvsvn, pce_svn=self.pce.isvsvn, pce_id=PCE_ID)

    # ProvMsg1

    def _ask(self, tx: _Transaction, level: PlatformInfo, *, rekey: bool = False) -> tuple[ResponseHeader, bytes]:
        pek = self.endpoint.pek
        vouched = self.pve.vouch_for(pek, self.pce.target_info)
        ppid = self.pce.encrypted_ppid(vouched.to_bytes(), pek.key_bytes)
        flags = ProvisioningFlags(flags=RekeyFlag.PERFORMANCE_REKEY) if rekey else None
        content = ProvMsg1Content(ppid=CipherText(ciphertext=ppid), platform_info=level, flags=flags)
        key = pek_of(pek.key_bytes).encrypt(ProvMsg1Key(sk=tx.sk, psid=pek.psid).to_bytes(), OAEP)
        message = seal_message(
            tx.header(MessageType.PROV_MSG1), ProvMsg1, message_key(tx.sk, tx.xid), content.to_bytes(),
            key=CipherText(ciphertext=key),
        )  # fmt: skip
        return self._send("ProvMsg1", tx, message, {MessageType.PROV_MSG2, MessageType.PROV_MSG4})

    # ProvMsg2, ProvMsg3

    def _read_challenge(
        self, tx: _Transaction, header: ResponseHeader, body: bytes, old_blob: bytes | None, rekey: bool
    ) -> tuple[Challenge, ProvMsg2Content, bytes]:
        try:
            message = ProvMsg2.from_bytes(body)
            # Version and gid of the list, as its own header has them.
            bound = b"" if message.sigrl is None else message.sigrl[8:12] + message.sigrl[4:8]
            text = open_content(header, message, message_key(tx.sk, tx.xid, message.nonce), tail=bound)
            _check_protocol_status(header, text)
            content = ProvMsg2Content.from_bytes(text or b"")
        except FormatError as error:
            raise refuse(Reason.PROVISION_MALFORMED, str(error)) from error
        if content.psid != self.endpoint.pek.psid:
            raise refuse(Reason.SERVER_KEY, "the answer is another provisioning server's")
        previous = None if content.previous is None else (content.previous, content.previous_gid)
        asked = Challenge(
            content.group, content.challenge, content.equivalent, previous, old_blob, message.sigrl, rekey
        )
        return asked, content, message.nonce

    def _join(self, tx: _Transaction, asked: Challenge, content: ProvMsg2Content, nonce: bytes) -> bytes:
        proof = self.pve.answer(asked, self.endpoint.pek, self.pce.target_info)
        signature = self.pce.certify(proof.report.to_bytes(), content.equivalent.pce_psvn)
        inner = ProvMsg3Content(
            join=proof.join,
            join_mac=proof.join_mac,
            n2=proof.n2,
            pwk2=proof.pwk2,
            report=CertifiedReport(body=proof.report.body, signature=signature),
        )
        box, mac = proof.signature or (None, None)
        message = seal_message(
            tx.header(MessageType.PROV_MSG3), ProvMsg3, message_key(tx.sk, tx.xid, nonce), inner.to_bytes(),
            nonce=nonce, signature=box, signature_mac=mac,
        )  # fmt: skip
        return self._accept(tx, *self._send("ProvMsg3", tx, message, {MessageType.PROV_MSG4}))

    # ProvMsg4

    def _accept(self, tx: _Transaction, header: ResponseHeader, body: bytes) -> bytes:
        try:
            message = ProvMsg4.from_bytes(body)
            text = open_content(header, message, message_key(tx.sk, tx.xid, message.nonce), tail=message.nonce)
            _check_protocol_status(header, text)
            content = ProvMsg4Content.from_bytes(text or b"")
        except FormatError as error:
            raise refuse(Reason.PROVISION_MALFORMED, str(error)) from error
        return self.pve.accept(
            Issued(content.group, content.equivalent, content.n2, content.credential, content.credential_mac)
        )

    # any

    def _send(
        self, name: str, tx: _Transaction, message: bytes, wanted: set[MessageType]
    ) -> tuple[ResponseHeader, bytes]:
        answer = self.exchange(message)
        self.tell(name, len(message), len(answer))
        try:
            header, body = split_message(answer, ResponseHeader)
        except FormatError as error:
            raise refuse(Reason.PROVISION_MALFORMED, str(error)) from error
        if (header.protocol, header.version) != (Protocol.EPID_PROVISIONING, PROTOCOL_VERSION):
            raise refuse(Reason.PROVISION_MALFORMED, f"protocol {header.protocol!r}, version {header.version}")
        if header.xid != tx.xid or header.type not in wanted:
            raise refuse(Reason.PROVISION_MALFORMED, f"the answer to {name} is of another transaction or type")
        if header.gstatus not in (GeneralStatus.OK, GeneralStatus.PROTOCOL_ERROR):
            lost = header.gstatus == GeneralStatus.TRANSACTION_STATE_LOST
            why = _GENERAL.get(header.gstatus, f"general status {int(header.gstatus)}")
            kind = _TransactionLost if lost else ServerTrouble
            raise kind(f"the provisioning server did not accept {name}: {why}", hint="try again later")
        return header, body


def _check_protocol_status(header: ResponseHeader, text: bytes | None) -> None:
    """What the server decided, once its MAC was found good."""
    if text is None:
        raise refuse(Reason.SERVER_KEY, "the answer's MAC is wrong")
    if header.gstatus == GeneralStatus.OK and header.pstatus == ProtocolStatus.OK:
        return
    if header.pstatus == ProtocolStatus.PERFORMANCE_REKEY_NOT_SUPPORTED:
        raise UsageError(
            "the provisioning server has no performance rekey on offer for this platform's group",
            hint="an attestation report's platform info says when there is one",
        )
    reason, detail = _PROTOCOL.get(
        header.pstatus, (Reason.PROVISION_MALFORMED, f"protocol status {int(header.pstatus)}")
    )
    raise refuse(reason, detail)
