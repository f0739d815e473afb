"""The launch enclave: vouches to EINIT for enclaves that LEPUBKEYHASH's key did not sign (instruction notes 3.1, 3.3).

A chip whose LEPUBKEYHASH is locked starts that signer's enclaves and, of all others, those with an EINITTOKEN. Whoever
has EINITTOKEN_KEY can make one, and EINIT gives that attribute to LEPUBKEYHASH's signer alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from fusequote.arch import AttributeFlags, Attributes, EinitToken, KeyName, KeyRequest, TokenValid
from fusequote.errors import UsageError
from fusequote.platform.entry import Enclave
from fusequote.platform.protocol import cmac
from fusequote.verdict import Reason, refuse

__all__ = ["LAUNCH_ISVPRODID", "LAUNCH_ISVSVN", "LaunchEnclave", "LaunchPolicy"]

#: What its SIGSTRUCT says; the SVN goes up when a fault is mended here.
LAUNCH_ISVPRODID, LAUNCH_ISVSVN = 0x20, 1

#: What of the launch enclave its key depends on: all but how wide it was built, as in provisioning (notes 6).
_MASK = Attributes(flags=(1 << 64) - 1 & ~int(AttributeFlags.MODE64BIT), xfrm=0)
_MISC_MASK = 0xFFFFFFFF
_HASH_SIZE, _KEYID_SIZE = 32, 32


@dataclass(frozen=True)
class LaunchPolicy:
    """Who may be launched. Its bytes are a page of the launch enclave, so that they are measured.

    ``signers``: MRSIGNERs whose enclaves may run without DEBUG; with DEBUG anybody's may, as with Intel's launch
    enclave. ``provisioning``: those that may have PROVISIONKEY, with or without DEBUG.
    """

    signers: frozenset[bytes]
    provisioning: tuple[bytes, bytes]

    def __post_init__(self) -> None:
        for signer in (*self.signers, *self.provisioning):
            if len(signer) != _HASH_SIZE:
                raise UsageError(f"an MRSIGNER is {_HASH_SIZE} bytes, not {len(signer)}")

    def to_bytes(self) -> bytes:
        """The two provisioning signers, the number of the others (u32), and those in rising order, 32 bytes each."""
        count = len(self.signers).to_bytes(4, "little")
        return b"".join((*self.provisioning, count, *sorted(self.signers)))

    def check(self, mrsigner: bytes, attributes: Attributes) -> None:
        """Raises :class:`Refused` (launch.policy) for an enclave that may not be launched."""
        flags = attributes.flags
        if flags & AttributeFlags.INIT:
            raise refuse(Reason.LAUNCH_POLICY, "INIT is EINIT's to set")
        if flags & AttributeFlags.EINITTOKEN_KEY:
            raise refuse(Reason.LAUNCH_POLICY, "an enclave with EINITTOKEN_KEY starts as LEPUBKEYHASH's or not at all")
        if flags & AttributeFlags.PROVISIONKEY and mrsigner not in self.provisioning:
            raise refuse(Reason.LAUNCH_POLICY, f"signer {mrsigner.hex()} may not have PROVISIONKEY")
        if not attributes.debug and mrsigner not in self.signers:
            raise refuse(
                Reason.LAUNCH_POLICY,
                f"signer {mrsigner.hex()} is not on the list; its enclaves run with DEBUG only",
                hint=f"`fusequote launch-control allow {mrsigner.hex()}` puts it there",
            )


class LaunchEnclave:
    """The program that plays the launch enclave. ``policy`` is the one that its image measures."""

    def __init__(self, enclave: Enclave, policy: LaunchPolicy):
        self.enclave = enclave
        self._policy = policy

    def token(self, mrenclave: bytes, mrsigner: bytes, attributes: Attributes) -> EinitToken:
        """The EINITTOKEN (304 bytes) for an enclave that will have exactly these: 32, 32 and 16 bytes.

        ``attributes`` are SECS.ATTRIBUTES, before INIT is set. The token is good on this chip, while OWNEREPOCH is what
        it is, and at this CPUSVN or a later one. Raises :class:`UsageError` for wrong sizes, :class:`Refused`:
        launch.policy, key.invalid-attribute when this enclave has no EINITTOKEN_KEY.
        """
        if (len(mrenclave), len(mrsigner)) != (_HASH_SIZE, _HASH_SIZE):
            raise UsageError(f"MRENCLAVE and MRSIGNER are {_HASH_SIZE} bytes each")
        self._policy.check(mrsigner, attributes)
        own = self.enclave.identity
        request = KeyRequest(
            keyname=KeyName.EINITTOKEN,
            isvsvn=own.isvsvn,
            cet_attributes_mask=0xFF,
            cpusvn=own.cpusvn,
            attributemask=_MASK,
            keyid=secrets.token_bytes(_KEYID_SIZE),
            miscmask=_MISC_MASK,
        )
        draft = EinitToken(
            valid=TokenValid.VALID,
            attributes=attributes,
            mrenclave=mrenclave,
            mrsigner=mrsigner,
            # What EINIT derives the same key from; the MAC does not cover it, the key does.
            cpusvnle=request.cpusvn,
            isvprodidle=own.isvprodid,
            isvsvnle=request.isvsvn,
            cet_masked_attributes_le=own.cet_attributes,
            maskedmiscselectle=own.miscselect,
            maskedattributesle=own.attributes.masked(_MASK),
            keyid=request.keyid,
        )
        with self.enclave.entered() as inside:
            key = inside.key(request)
        (cover,) = EinitToken.COVER
        return draft.replace(mac=cmac(key, draft.to_bytes()[cover[0] : cover[1]]))
