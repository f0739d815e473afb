"""The provisioning server: admits genuine chips of a known TCB to their EPID group.

It knows the root provisioning key of every device that the maker made, derives from it the PROVISION key of
the TCB that a platform claims, and admits whoever proves to have that key. It never learns the member's
secret f.
"""

from __future__ import annotations

import datetime
import secrets

from fusequote.arch import Psvn
from fusequote.epid import EpidError, JoinRefused, JoinRequest
from fusequote.errors import FormatError
from fusequote.platform.epidfiles import sign_group
from fusequote.platform.protocol import (
    Challenge,
    Credential,
    Hello,
    Proof,
    associated_data,
    open_box,
    seal_box,
    wrap_key,
)
from fusequote.services.derivation import provision_key
from fusequote.services.registry import DeviceKeys, Registry
from fusequote.services.roots import ServiceKeys
from fusequote.services.store import NonceBook, NonceState, utc_now
from fusequote.services.tables import CredentialRow
from fusequote.verdict import Reason, refuse

__all__ = ["ProvisioningServer"]

#: How long a challenge is good for.
LIFETIME = datetime.timedelta(minutes=10)
_JOIN_REQUEST = 128


class ProvisioningServer:
    """The server without its transport: bytes in, bytes out, :class:`Refused` with a provision.* reason."""

    def __init__(self, registry: Registry, keys: ServiceKeys):
        self.registry = registry
        self._keys = keys
        self._sessions = NonceBook(registry.store, "provision", LIFETIME)
        self._joins = _JoinNonces(NonceBook(registry.store, "join", LIFETIME))

    def hello(self, data: bytes) -> bytes:
        """The challenge (386 bytes) for a platform's hello (34 bytes).

        Raises :class:`Refused`: provision.malformed, .device-unknown, .device-revoked, .tcb-out-of-date.
        """
        try:
            message = Hello.from_bytes(data)
        except FormatError as error:
            raise refuse(Reason.PROVISION_MALFORMED, str(error)) from error
        device = self._device(message.ppid)
        found = self.registry.group_for(message.psvn)
        if found is None:
            raise refuse(Reason.PROVISION_TCB_OLD, f"CPUSVN {message.psvn.cpusvn.hex()}")
        gid, psvn = found
        issuer = self.registry.issuer(gid, self._joins)
        session, challenge = secrets.token_bytes(8), issuer.nonce()
        self._sessions.remember(session, device.ppid + gid + psvn.to_bytes() + challenge)
        certificate = sign_group(issuer.group, self._keys.epid_signing)
        return Challenge(
            session=session, group_certificate=certificate.to_bytes(), challenge=challenge, psvn=psvn
        ).to_bytes()

    def proof(self, data: bytes) -> bytes:
        """The credential (204 bytes) for a platform's proof (244 bytes). The session is used up by the
        attempt.

        Raises :class:`Refused`: provision.malformed, .nonce-unknown, .nonce-replayed, .device-revoked,
        .key-wrong, .tcb-not-proven, .join-proof-invalid.
        """
        try:
            message = Proof.from_bytes(data)
        except FormatError as error:
            raise refuse(Reason.PROVISION_MALFORMED, str(error)) from error
        state, context = self._sessions.consume(message.session)
        if state is not NonceState.FRESH:
            raise refuse(Reason.PROVISION_REPLAYED if state is NonceState.USED else Reason.PROVISION_NONCE)
        device = self._device(context[:16])
        gid, psvn, challenge = context[16:20], Psvn.from_bytes(context[20:38]), context[38:]
        key = provision_key(device.rpk, self.registry.identity, psvn)
        bound = associated_data(gid, psvn, challenge)
        plain = _open(key, message, bound)
        if plain is None:
            raise refuse(self._why(device, psvn, message, bound))
        try:
            request = JoinRequest.from_bytes(plain[:_JOIN_REQUEST])
            credential = self.registry.issuer(gid, self._joins).issue(request, challenge)
        except (JoinRefused, EpidError) as error:
            raise refuse(Reason.JOIN_PROOF, str(error)) from error
        x, escrow = credential.x.to_bytes(32, "big"), plain[_JOIN_REQUEST:]
        with self.registry.store.session() as session:
            session.add(
                CredentialRow(
                    gid=gid,
                    ppid=device.ppid,
                    psvn=psvn.to_bytes(),
                    x=x,
                    point=credential.A,
                    escrow=escrow,
                    issued=utc_now(),
                )
            )
        n2 = secrets.token_bytes(16)
        box = seal_box(wrap_key(key, n2), x + credential.A + escrow, bound)
        return Credential(n2=n2, iv=box[0], ciphertext=box[1], tag=box[2]).to_bytes()

    def _device(self, ppid: bytes) -> DeviceKeys:
        device = self.registry.device(ppid)
        if device is None:
            raise refuse(Reason.DEVICE_UNKNOWN, f"PPID {ppid.hex()}")
        if device.revoked:
            raise refuse(Reason.DEVICE_REVOKED)
        return device

    def _why(self, device: DeviceKeys, claimed: Psvn, message: Proof, bound: bytes) -> Reason:
        """Tell a platform that lied about its TCB from one that has no key of this device at all."""
        for level in self.registry.levels():
            if level != claimed:
                key = provision_key(device.rpk, self.registry.identity, level)
                if _open(key, message, bound) is not None:
                    return Reason.PROVISION_TCB
        return Reason.PROVISION_KEY


class _JoinNonces:
    """The store's nonces as an EPID issuer wants them."""

    def __init__(self, book: NonceBook):
        self._book = book

    def remember(self, nonce: bytes) -> None:
        self._book.remember(nonce)

    def consume(self, nonce: bytes) -> bool:
        return self._book.consume(nonce)[0] is NonceState.FRESH


def _open(key: bytes, message: Proof, bound: bytes) -> bytes | None:
    return open_box(wrap_key(key, message.n2), message.iv, message.ciphertext, message.tag, bound)
