"""What the chip remembers between commands: slots, their TCSs and entries, and the registers of this boot."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import layout
from .status import Refusal, Status

if TYPE_CHECKING:
    from ..entropy import EntropySource
    from ..fusefile import FuseBank
    from .crypto import Generator, SvnChains

#: The first 352 bytes of an encoded PKCS#1 v1.5 message over SHA-256 (instruction notes 3.2), big-endian.
PADDING = b"\x00\x01" + b"\xff" * 330 + b"\x00" + bytes.fromhex("3031300d060960864801650304020105000420")

HANDLE_SIZE = 9
TICKET_SIZE = 16


@dataclass
class Tcs:
    """One thread control structure. ``ticket`` is that of the entry through it, None when it is inactive."""

    offset: int
    nssa: int
    oentry: int
    cssa: int = 0
    ticket: bytes | None = field(default=None, repr=False)
    #: Signed entry: the link of the command that has to come next.
    expected: bytes = field(default=bytes(32), repr=False)

    @property
    def active(self) -> bool:
        return self.ticket is not None


@dataclass
class OpenPage:
    """The page that EADD opened last. ``content``: a TCS as EEXTEND measures it; None for another page."""

    offset: int
    content: bytes | None = field(default=None, repr=False)


@dataclass
class Enclave:
    """A slot that is taken: its SECS, its TCSs, and the measurement until EINIT."""

    eid: int
    # SECS: what ECREATE took from its source
    size: int
    baseaddr: int
    ssaframesize: int
    miscselect: int
    cet_leg_bitmap_offset: int
    cet_attributes: int
    attributes: int
    configid: bytes
    configsvn: int
    # SECS: what EINIT put there
    mrenclave: bytes = bytes(32)
    mrsigner: bytes = bytes(32)
    isvprodid: int = 0
    isvsvn: int = 0
    isvfamilyid: bytes = bytes(16)
    isvextprodid: bytes = bytes(16)
    padding: bytes = field(default=bytes(len(PADDING)), repr=False)
    # building
    measurement: Any = field(default_factory=hashlib.sha256, repr=False)
    open_page: OpenPage | None = None
    tcs: list[Tcs] = field(default_factory=list)
    # signed entry: hash of the entry key, how often one was named, and the nonce of the open challenge
    entry_key: bytes | None = None
    entry_keys: int = 0
    challenge: bytes | None = field(default=None, repr=False)

    def has(self, flag: int) -> bool:
        """Whether a bit of ATTRIBUTES.FLAGS is set."""
        return bool(self.attributes & flag)

    @property
    def initialised(self) -> bool:
        return self.has(layout.INIT)

    def offset_of(self, linaddr: int) -> int | None:
        """LINADDR - BASEADDR, or None outside the enclave."""
        offset = linaddr - self.baseaddr
        return offset if 0 <= offset < self.size else None

    def tcs_at(self, linaddr: int) -> Tcs:
        """The first TCS added at LINADDR. #PF when there is none."""
        offset = self.offset_of(linaddr)
        for tcs in self.tcs:
            if tcs.offset == offset:
                return tcs
        raise Refusal(Status.FAULT_PF)


@dataclass
class Machine:
    """The whole chip but for its link: made anew at each reset from the fuses and 32 bytes of entropy."""

    fuses: FuseBank
    entropy: EntropySource = field(repr=False)
    slot_count: int
    tcs_per_slot: int
    generator: Generator = field(repr=False)
    report_keyid: bytes
    next_eid: int
    #: The walked chains, when the chip has booted as locked; None otherwise: then no leaf runs.
    chains: SvnChains | None = field(repr=False)
    seal_fuses: bytes = field(repr=False)
    lepubkeyhash: bytes
    boot_failed: bool
    #: Why the chip started: 0 power-on, 1 RESET or FUSE_SCRAP. (2, the watchdog, bites no model.)
    started: int
    #: What FUSE_RAISE_SVN and FUSE_SCRAP are authorised with; None unless the chip has booted as locked.
    maker_key: bytes | None = field(repr=False)
    #: Whether an EVENT waits while the command runs.
    event: bool = False
    #: The key-derivation profile, as in IDENTIFY.
    profile: int = 1
    owner_epoch: bytes = field(default=bytes(16), repr=False)
    owner_epoch_set: bool = False
    slots: list[Enclave | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = [None] * self.slot_count

    @property
    def cpusvn(self) -> bytes:
        """CR_CPUSVN of a chip that has booted as locked."""
        return self._walked().current

    def root_key(self, cpusvn: bytes) -> bytes:
        """K(CPUSVN), 16 bytes."""
        return self._walked().key(cpusvn)

    def _walked(self) -> SvnChains:
        if self.chains is None:
            raise AssertionError("a leaf ran on a chip that has not booted as locked")
        return self.chains

    def enclave(self, handle: bytes) -> Enclave:
        """The enclave of a handle (slot index u8 || EID u64). #PF when there is none."""
        index, eid = handle[0], int.from_bytes(handle[1:HANDLE_SIZE], "little")
        found = self.slots[index] if index < len(self.slots) else None
        if found is None or found.eid != eid:
            raise Refusal(Status.FAULT_PF)
        return found

    def entry(self, ticket: bytes) -> tuple[Enclave, Tcs]:
        """The active entry of a ticket. #GP when there is none. Looks at every entry, whichever fits."""
        found = None
        for enclave in self.slots:
            for tcs in enclave.tcs if enclave else ():
                if tcs.ticket is not None and hmac.compare_digest(tcs.ticket, ticket):
                    found = enclave, tcs
        if found is None:
            raise Refusal(Status.FAULT_GP)
        return found
