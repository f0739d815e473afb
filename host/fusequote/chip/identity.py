"""What the chip says about itself: IDENTIFY and FUSE_STATUS (docs/link.md 3.1 and 3.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from fusequote.errors import DeviceError

MAGIC = b"FQ-EMUL\0"
PROTOCOL_VERSION = 1
IDENTITY_SIZE = 64
FUSE_STATUS_SIZE = 144
_IDENTITY = struct.Struct("<8sHHIBBBBHBB16s16sBB6s")
_NOT_OURS = "is the chip built from the same version of fusequote as this program?"
_FUSE_STATUS = struct.Struct("<BBBB12s16s32s32s32s16s")


class LifeCycle(IntEnum):
    """Where a chip is in its life. It only ever goes up."""

    BLANK = 0
    MANUFACTURED = 1
    LOCKED = 2
    SCRAPPED = 3


class Start(IntEnum):
    """Why a chip last started."""

    POWER_ON = 0
    RESET = 1
    WATCHDOG = 2


class Capability(IntFlag):
    """Capability word of IDENTIFY."""

    RSA_ENFORCED = 1 << 0
    HARDWARE_ENTROPY = 1 << 1
    SIGNED_ENTRY = 1 << 2
    P256_ENGINE = 1 << 3
    LEPUBKEYHASH_LOCKED = 1 << 4


class FuseOption(IntFlag):
    """Options fuse."""

    LEPUBKEYHASH_LOCKED = 1 << 0
    P256_KEY = 1 << 1


@dataclass(frozen=True)
class Identity:
    """IDENTIFY's answer. ``booted_locked`` says whether the enclave leaves run; ``window`` is in requests."""

    protocol_version: int
    block_version: int
    capabilities: Capability
    kd_profile: int
    slots: int
    tcs_per_slot: int
    window: int
    max_contents: int
    life_cycle: LifeCycle
    last_seq: int
    device_id: bytes
    cpusvn: bytes
    booted_locked: bool
    started: Start = Start.POWER_ON

    @classmethod
    def from_bytes(cls, body: bytes) -> Identity:
        """Parse 64 bytes.

        Raises :class:`~fusequote.errors.DeviceError` when this is no fusequote chip, one of another protocol
        version, or one that contradicts docs/link.md.
        """
        if len(body) != IDENTITY_SIZE or not body.startswith(MAGIC):
            raise DeviceError("what answers is no fusequote chip", hint="is this the right port?")
        _, protocol, block, capabilities, profile, slots, tcs, *rest = _IDENTITY.unpack(body)
        window, contents, cycle, seq, device, svn, locked, started, _ = rest
        if protocol != PROTOCOL_VERSION:
            raise DeviceError(
                f"the chip speaks version {protocol} of the link, this program version {PROTOCOL_VERSION}",
                hint="use the version of fusequote that the chip was built with",
            )
        if window == 0 or slots == 0 or tcs == 0 or cycle > max(LifeCycle) or started > max(Start):
            raise DeviceError(
                "the chip's IDENTIFY contradicts docs/link.md 3.1: window, slots, TCS, life cycle or start",
                hint=_NOT_OURS,
            )
        return cls(
            protocol_version=protocol,
            block_version=block,
            capabilities=Capability(capabilities),
            kd_profile=profile,
            slots=slots,
            tcs_per_slot=tcs,
            window=window,
            max_contents=contents,
            life_cycle=LifeCycle(cycle),
            last_seq=seq,
            device_id=device,
            cpusvn=svn,
            booted_locked=bool(locked),
            started=Start(started),
        )

    @property
    def rsa_enforced(self) -> bool:
        """Whether EINIT checks the RSA signature of the SIGSTRUCT."""
        return Capability.RSA_ENFORCED in self.capabilities

    @property
    def hardware_entropy(self) -> bool:
        """Whether randomness comes from hardware (not from a simulated, possibly seeded source)."""
        return Capability.HARDWARE_ENTROPY in self.capabilities

    @property
    def signed_entry(self) -> bool:
        """Whether entries can be bound to a signature (level L2)."""
        return Capability.SIGNED_ENTRY in self.capabilities

    @property
    def p256_engine(self) -> bool:
        """Whether the chip signs with P-256 itself."""
        return Capability.P256_ENGINE in self.capabilities

    @property
    def lepubkeyhash_locked(self) -> bool:
        """Whether SET_LEPUBKEYHASH is refused."""
        return Capability.LEPUBKEYHASH_LOCKED in self.capabilities

    def to_dict(self) -> dict[str, object]:
        """For JSON: flags by name, byte strings in hex."""
        return {
            "protocol_version": self.protocol_version,
            "block_version": self.block_version,
            "capabilities": {
                "rsa_enforced": self.rsa_enforced,
                "hardware_entropy": self.hardware_entropy,
                "signed_entry": self.signed_entry,
                "p256_engine": self.p256_engine,
                "lepubkeyhash_locked": self.lepubkeyhash_locked,
            },
            "kd_profile": self.kd_profile,
            "slots": self.slots,
            "tcs_per_slot": self.tcs_per_slot,
            "window": self.window,
            "max_contents": self.max_contents,
            "life_cycle": self.life_cycle.name.lower(),
            "booted_locked": self.booted_locked,
            "started": self.started.name.lower(),
            "device_id": self.device_id.hex(),
            "cpusvn": self.cpusvn.hex(),
        }


@dataclass(frozen=True)
class FuseStatus:
    """FUSE_STATUS's answer: the fuses that the link may read."""

    life_cycle: LifeCycle
    options: FuseOption
    cpusvn_generations: int
    map_version: int
    device_id: bytes
    provisioning_signers: tuple[bytes, bytes]
    lepubkeyhash: bytes
    cpusvn: bytes

    @classmethod
    def from_bytes(cls, body: bytes) -> FuseStatus:
        """Parse 144 bytes. Raises :class:`~fusequote.errors.DeviceError` when they contradict
        docs/link.md 3.2."""
        if len(body) != FUSE_STATUS_SIZE or body[0] > max(LifeCycle):
            raise DeviceError("the chip's FUSE_STATUS contradicts docs/link.md 3.2", hint=_NOT_OURS)
        cycle, options, generations, version, _, device, signer0, signer1, lepubkeyhash, svn = (
            _FUSE_STATUS.unpack(body)
        )
        return cls(
            LifeCycle(cycle),
            FuseOption(options),
            generations,
            version,
            device,
            (signer0, signer1),
            lepubkeyhash,
            svn,
        )

    def to_dict(self) -> dict[str, object]:
        """For JSON: byte strings in hex."""
        return {
            "life_cycle": self.life_cycle.name.lower(),
            "lepubkeyhash_locked": FuseOption.LEPUBKEYHASH_LOCKED in self.options,
            "p256_key": FuseOption.P256_KEY in self.options,
            "cpusvn_generations": self.cpusvn_generations,
            "map_version": self.map_version,
            "device_id": self.device_id.hex(),
            "provisioning_signers": [signer.hex() for signer in self.provisioning_signers],
            "lepubkeyhash": self.lepubkeyhash.hex(),
            "cpusvn": self.cpusvn.hex(),
        }
