"""What whoever reads a chip's fuses can derive: the keys of that chip, without the chip.

Reading them takes an invasive attack on hardware; a simulated chip's are in its fuse file. Every derivation is written
here from its description (docs/chip.md sections 1 and 2, instruction notes 5.2), for the attacker has no code of ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fusequote.arch import PADDING_352, Kd1, KeyName, KeyRequest, ReportBody, TargetInfo
from fusequote.chip.fusefile import FILE_SIZE, FUSE_BYTES, FuseFileError
from fusequote.platform.protocol import cmac
from fusequote.services.derivation import root_for_cpusvn

__all__ = ["Fuses"]

_RPK, _RSK = slice(0x100, 0x110), slice(0x110, 0x120)
#: What no mask takes out of ATTRIBUTES: INIT and DEBUG.
_NEVER_MASKED = 0x3


@dataclass(frozen=True)
class Fuses:
    """The two root keys of a chip, 16 bytes each."""

    provisioning: bytes = field(repr=False)
    sealing: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> Fuses:
        """Out of a fuse file, whether or not the chip is on. Raises :class:`FuseFileError`."""
        data = path.read_bytes()
        if len(data) != FILE_SIZE:
            raise FuseFileError(f"{path} is not a fuse file: {len(data)} bytes")
        fuses = data[-FUSE_BYTES:]
        return cls(fuses[_RPK], fuses[_RSK])

    def root(self, cpusvn: bytes) -> bytes:
        """K(CPUSVN), 16 bytes: of any CPUSVN, for the attacker stands at the top of the ratchet."""
        return root_for_cpusvn(self.provisioning, cpusvn)

    def maker_key(self) -> bytes:
        """Under which the maker authorises what is done to the chip later."""
        return cmac(self.provisioning, b"FQ-MAKER" + bytes(8))

    def seal_key(self, identity: ReportBody, request: KeyRequest) -> bytes:
        """The SEAL key that EGETKEY would give the enclave ``identity`` for ``request`` (bound to MRSIGNER)."""
        mask, own = request.attributemask.to_bytes(), identity.attributes.to_bytes()
        masked = bytes(
            a & (m | (_NEVER_MASKED if i == 0 else 0)) for i, (a, m) in enumerate(zip(own, mask, strict=True))
        )
        kd1 = Kd1(
            keyname=KeyName.SEAL,
            keypolicy=request.keypolicy,
            isvprodid=identity.isvprodid,
            isvsvn=request.isvsvn,
            miscselect=int(identity.miscselect) & int(request.miscmask),
            miscmask=~int(request.miscmask) & 0xFFFFFFFF,
            attributes=type(identity.attributes).from_bytes(masked),
            attributemask=request.attributemask,
            cpusvn=request.cpusvn,
            mrsigner=identity.mrsigner,
            keyid=request.keyid,
            seal_fuses=self.sealing,
            padding=PADDING_352,
        )
        return cmac(self.root(request.cpusvn), kd1.to_bytes())

    def report_key(self, target: TargetInfo, cpusvn: bytes, keyid: bytes) -> bytes:
        """The key under which EREPORT makes its MAC for ``target``, in the boot of this KEYID."""
        kd1 = Kd1(
            keyname=KeyName.REPORT,
            configsvn=target.configsvn,
            cet_attributes=target.cet_attributes,
            miscselect=target.miscselect,
            attributes=target.attributes,
            cpusvn=cpusvn,
            mrenclave=target.mrenclave,
            keyid=keyid,
            configid=target.configid,
            seal_fuses=self.sealing,
            padding=PADDING_352,
        )
        return cmac(self.root(cpusvn), kd1.to_bytes())
