"""What the provisioning server derives from a root provisioning key: it is how a genuine chip is recognised.

The same derivation as the chip's (docs/chip.md section 2, instruction notes 5.2 and 6), written a second time
and from the text, for a server trusts no code of the chip; tests hold the two against each other. Only the
PROVISION key can be computed here: every other key depends on the root sealing key, which never leaves the
chip.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fusequote.arch import PADDING_352, AttributeFlags, Attributes, Kd1, KeyName, Psvn
from fusequote.arch.provision import PlatformInfo
from fusequote.platform.protocol import cmac

__all__ = ["ATTRIBUTE_MASK", "ProvisioningIdentity", "TcbKeys", "ppid", "provision_key", "root_for_cpusvn", "tcb_keys"]

#: KEYREQUEST.ATTRIBUTEMASK of provisioning requests: all flags but MODE64BIT, no XFRM bit (instruction notes
#: 6).
ATTRIBUTE_MASK = Attributes(flags=~AttributeFlags.MODE64BIT.value & (1 << 64) - 1)
#: SECS.ATTRIBUTES of a Provisioning Enclave under that mask: never DEBUG.
MASKED_ATTRIBUTES = Attributes(flags=AttributeFlags.INIT | AttributeFlags.PROVISIONKEY)
#: CPUSVN components and the ratchet's length.
CHAINS, TOP = 16, 255
#: The PSVN under which a PPID is derived: the same for a platform whatever its TCB.
NO_PSVN = Psvn()


@dataclass(frozen=True)
class ProvisioningIdentity:
    """Who may hold a PROVISION key: MRSIGNER (32 bytes) and ISVPRODID of Provisioning Enclave or PCE."""

    mrsigner: bytes
    isvprodid: int


def root_for_cpusvn(rpk: bytes, cpusvn: bytes) -> bytes:
    """K(CPUSVN): the sixteen chains of the ratchet walked from the root provisioning key, then joined. 16
    bytes.
    """
    chains = []
    for index in range(CHAINS):
        key = cmac(rpk, b"FQ-SVN" + bytes([index]))
        for _ in range(TOP - cpusvn[index]):
            key = cmac(key, b"FQ-STEP" + bytes([index]))
        chains.append(key)
    return cmac(chains[0], b"".join(chains[1:]))


def provision_key(rpk: bytes, identity: ProvisioningIdentity, psvn: Psvn) -> bytes:
    """The PROVISION key that an enclave of this identity gets on the chip with this ``rpk`` for ``psvn``. 16
    bytes.

    No OWNEREPOCH, KEYID or sealing fuse enters it: that is what makes it computable here.
    """
    return _under_root(root_for_cpusvn(rpk, psvn.cpusvn), identity, psvn)


@dataclass(frozen=True)
class TcbKeys:
    """PROVISION keys of one chip for one TCB, 16 bytes each: the Provisioning Enclave's and the PCE's."""

    pve: bytes = field(repr=False)
    pce: bytes = field(repr=False)


def tcb_keys(rpk: bytes, pve: ProvisioningIdentity, pce: ProvisioningIdentity, tcb: PlatformInfo) -> TcbKeys:
    """Both PROVISION keys of ``tcb``, for the price of one walk down the ratchet."""
    root = root_for_cpusvn(rpk, tcb.cpusvn)
    return TcbKeys(_under_root(root, pve, tcb.psvn), _under_root(root, pce, tcb.pce_psvn))


def _under_root(root: bytes, identity: ProvisioningIdentity, psvn: Psvn) -> bytes:
    # MISCMASK of the request is all ones, and KD1 holds its complement: 0.
    kd1 = Kd1(
        keyname=KeyName.PROVISION,
        isvprodid=identity.isvprodid,
        isvsvn=psvn.isvsvn,
        attributes=MASKED_ATTRIBUTES,
        attributemask=ATTRIBUTE_MASK,
        cpusvn=psvn.cpusvn,
        mrsigner=identity.mrsigner,
        padding=PADDING_352,
    )
    return cmac(root, kd1.to_bytes())


def ppid(rpk: bytes, identity: ProvisioningIdentity) -> bytes:
    """The PPID, 16 bytes: CMAC of 16 zero bytes under the PROVISION key of PSVN zero."""
    return cmac(provision_key(rpk, identity, NO_PSVN), bytes(16))
