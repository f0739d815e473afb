"""How an attestation key leaks: from the fuses of a chip to f, A and x, without asking the chip anything."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fusequote.arch import ReportBody
from fusequote.epid import GroupPublicKey, Member, MemberPrivateKey
from fusequote.ladder.fuses import Fuses
from fusequote.ladder.rung import NotAccepted
from fusequote.platform.epidblob import BlobText
from fusequote.platform.sealing import SealedData

__all__ = ["Leaked", "open_sealed_key"]

_KEY_SIZE = 132


class Leaked:
    """A member's key in the wrong hands."""

    def __init__(self, group: GroupPublicKey, key: MemberPrivateKey):
        self.key, self.member = key, Member(group, key)


def open_sealed_key(fuses: Fuses, quoting_enclave: ReportBody, blob: bytes) -> tuple[Leaked, bytes]:
    """The EPID key in a platform's sealed blob, and the seal key that opened it.

    ``quoting_enclave`` is the Quoting Enclave's identity, which is public; what opens the blob is the SEAL key that the
    chip would give that enclave, derived from the fuses. Raises :class:`NotAccepted` when it does not open.
    """
    sealed = SealedData.from_bytes(blob)
    key = fuses.seal_key(quoting_enclave, sealed.key_request)
    ciphertext, text = sealed.payload[: sealed.text_offset], sealed.payload[sealed.text_offset :]
    try:
        secret = AESGCM(key).decrypt(bytes(12), ciphertext + sealed.tag, text)
    except InvalidTag as error:
        raise NotAccepted("the sealed key does not open under the key derived from these fuses") from error
    group = GroupPublicKey.from_bytes(BlobText.from_bytes(text).group, gid_size=4)
    return Leaked(group, MemberPrivateKey.from_bytes(secret[:_KEY_SIZE], gid_size=4)), key
