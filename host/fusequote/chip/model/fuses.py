"""The fuse map, what happens at boot, and the commands that burn or read fuses and registers.

Sources: docs/chip.md sections 1 to 3, docs/link.md sections 3.1 to 3.3.
"""

from __future__ import annotations

import hmac

from ..entropy import EntropySource
from ..fusefile import FuseBank
from .crypto import Generator, SvnChains, cmac
from .layout import Manufacture
from .state import Machine
from .status import Refusal, Status, gp_if, refuse_if

# Fuse map: (offset, size)
LIFE_CYCLE = 0x000, 1
GENERATIONS = 0x001, 1
OPTIONS = 0x002, 1
MAP_VERSION = 0x003, 1
DEVICE_ID = 0x010, 16
PROVISIONING_SIGNERS = 0x020, 64
LEPUBKEYHASH = 0x060, 32
CPUSVN = 0x080, 128
RPK = 0x100, 16
RSK = 0x110, 16
P256_KEY = 0x120, 32
SECRET_HALF = 0x100, 128

BLANK, MANUFACTURED, LOCKED, SCRAPPED = 0x00, 0x01, 0x03, 0x80
FUSE_MAP_VERSION = 0x01
MAX_GENERATIONS = 8
OPTION_LEPUBKEYHASH_LOCKED = 0x01
OPTION_P256 = 0x02

# IDENTIFY
MAGIC = b"FQ-EMUL\0"
PROTOCOL_VERSION = 1
BLOCK_VERSION = 2
CAPABILITY_RSA_ENFORCED = 1 << 0
CAPABILITY_SIGNED_ENTRY = 1 << 2
CAPABILITY_LEPUBKEYHASH_LOCKED = 1 << 4
WINDOW = 2
MAX_CONTENTS = 4608
POWER_ON, RESET = 0, 1


def boot(fuses: FuseBank, entropy: EntropySource, j: int, slots: int, tcs_per_slot: int) -> Machine:
    """The chip right after its j-th reset since power-on (j = 0: the power-on itself)."""
    generator = Generator(entropy.block(j), fuses.read(*DEVICE_ID))
    report_keyid = generator.random16() + bytes(16)
    next_eid = int.from_bytes(generator.random16()[:8], "little")
    failed = not readable(fuses)
    locked = not failed and life_cycle(fuses) == 2
    rpk = fuses.read(*RPK)
    return Machine(
        fuses=fuses,
        entropy=entropy,
        slot_count=slots,
        tcs_per_slot=tcs_per_slot,
        generator=generator,
        report_keyid=report_keyid,
        next_eid=next_eid,
        chains=SvnChains(rpk, current_cpusvn(fuses)) if locked else None,
        seal_fuses=fuses.read(*RSK),
        lepubkeyhash=fuses.read(*LEPUBKEYHASH),
        boot_failed=failed,
        started=POWER_ON if j == 0 else RESET,
        maker_key=cmac(rpk, b"FQ-MAKER" + bytes(8)) if locked else None,
    )


def readable(fuses: FuseBank) -> bool:
    """Whether the life cycle is one there is, and the map version the one that belongs to it."""
    (state,), (version,) = fuses.read(*LIFE_CYCLE), fuses.read(*MAP_VERSION)
    known = state in (BLANK, MANUFACTURED, LOCKED) or state & SCRAPPED
    return bool(known) and version == (0 if state == BLANK else FUSE_MAP_VERSION)


def life_cycle(fuses: FuseBank) -> int:
    """0 blank, 1 manufactured, 2 locked, 3 scrapped (and any value that there is not)."""
    (state,) = fuses.read(*LIFE_CYCLE)
    return {BLANK: 0, MANUFACTURED: 1, LOCKED: 2}.get(state, 3)


def generations(fuses: FuseBank) -> int:
    """CPUSVN generations burnt: the number of the highest one, counted from 1; 0 when there is none."""
    return fuses.read(*GENERATIONS)[0].bit_length()


def current_cpusvn(fuses: FuseBank) -> bytes:
    """The last generation burnt, 16 bytes; 0 when there is none."""
    burnt = generations(fuses)
    return fuses.read(CPUSVN[0] + 16 * (burnt - 1), 16) if burnt else bytes(16)


def identify(machine: Machine, last_seq: int) -> bytes:
    """IDENTIFY, docs/link.md section 3.1: 64 bytes. Entropy is simulated, and there is no P-256 engine."""
    fuses = machine.fuses
    (options,) = fuses.read(*OPTIONS)
    capabilities = CAPABILITY_RSA_ENFORCED | CAPABILITY_SIGNED_ENTRY
    if options & OPTION_LEPUBKEYHASH_LOCKED:
        capabilities |= CAPABILITY_LEPUBKEYHASH_LOCKED
    return b"".join((
        MAGIC,
        PROTOCOL_VERSION.to_bytes(2, "little"),
        BLOCK_VERSION.to_bytes(2, "little"),
        capabilities.to_bytes(4, "little"),
        bytes([machine.profile, machine.slot_count, machine.tcs_per_slot, WINDOW]),
        MAX_CONTENTS.to_bytes(2, "little"),
        bytes([life_cycle(fuses), last_seq]),
        fuses.read(*DEVICE_ID),
        current_cpusvn(fuses),
        bytes([machine.chains is not None, machine.started]),
        bytes(6),
    ))


def provisioning_signers(machine: Machine) -> tuple[bytes, bytes]:
    """The two MRSIGNERs whose enclaves may have PROVISIONKEY."""
    both = machine.fuses.read(*PROVISIONING_SIGNERS)
    return both[:32], both[32:]


def fuse_status(machine: Machine, _body: bytes) -> bytes:
    """FUSE_STATUS, docs/link.md section 3.2: 144 bytes."""
    fuses = machine.fuses
    return b"".join((
        bytes([life_cycle(fuses)]),
        fuses.read(*OPTIONS),
        bytes([generations(fuses)]),
        fuses.read(*MAP_VERSION),
        bytes(12),
        fuses.read(*DEVICE_ID),
        fuses.read(*PROVISIONING_SIGNERS),
        fuses.read(*LEPUBKEYHASH),
        current_cpusvn(fuses),
    ))


def fuse_manufacture(machine: Machine, body: bytes) -> bytes:
    """FUSE_MANUFACTURE: everything at once, the life cycle last, so that a power cut leaves a blank chip."""
    fuses = machine.fuses
    given = Manufacture(body)
    refuse_if(life_cycle(fuses) != 0, Status.BLOCK_LIFE_CYCLE)
    gp_if(not any(given.rpk) or not any(given.device_id))
    gp_if(given.reserved_set or bool(given.options & ~(OPTION_LEPUBKEYHASH_LOCKED | OPTION_P256)))
    gp_if(any(given.p256_key) != bool(given.options & OPTION_P256))

    machine.generator.mix(given.device_id)
    seal_fuses = machine.generator.random16()
    image = bytearray(len(fuses.image()))
    for (offset, size), value in (
        (GENERATIONS, b"\x01"),
        (OPTIONS, bytes([given.options])),
        (MAP_VERSION, bytes([FUSE_MAP_VERSION])),
        (DEVICE_ID, given.device_id),
        (PROVISIONING_SIGNERS, given.provisioning_signers),
        (LEPUBKEYHASH, given.lepubkeyhash),
        (CPUSVN, given.cpusvn.ljust(CPUSVN[1], b"\0")),
        (RPK, given.rpk),
        (RSK, seal_fuses),
        (P256_KEY, given.p256_key),
    ):
        image[offset : offset + size] = value
    fuses.burn(0, bytes(image))
    fuses.burn(LIFE_CYCLE[0], bytes([MANUFACTURED]))
    return b""


def fuse_lock(machine: Machine, _body: bytes) -> bytes:
    """FUSE_LOCK: burns the life cycle; the leaves run from the next boot on."""
    refuse_if(life_cycle(machine.fuses) != 1, Status.BLOCK_LIFE_CYCLE)
    machine.fuses.burn(LIFE_CYCLE[0], bytes([LOCKED]))
    return b""


def fuse_raise_svn(machine: Machine, body: bytes) -> bytes:
    """FUSE_RAISE_SVN: CPUSVN || MAC -> nothing. Another generation is burnt, and counts from the next boot on."""
    fuses = machine.fuses
    svn, mac = body[:16], body[16:]
    if machine.maker_key is None or life_cycle(fuses) != 2:
        raise Refusal(Status.BLOCK_LIFE_CYCLE)
    authorised = cmac(machine.maker_key, b"FQ-RAISE-SVN" + bytes(4) + fuses.read(*DEVICE_ID) + svn)
    refuse_if(not hmac.compare_digest(mac, authorised), Status.SGX_INVALID_SIGNATURE)
    last = current_cpusvn(fuses)
    below = any(new < old for new, old in zip(svn, last, strict=True))
    refuse_if(below or svn == last, Status.SGX_INVALID_CPUSVN)
    # A row with bits set but not counted was burnt by a command that power left alone; it is of no use.
    rows = {number: (CPUSVN[0] + 16 * number, 16) for number in range(generations(fuses), MAX_GENERATIONS)}
    blank = [number for number, row in rows.items() if not any(fuses.read(*row))]
    if not blank:
        raise Refusal(Status.BLOCK_NO_GENERATION)
    fuses.burn(rows[blank[0]][0], svn)
    fuses.burn(GENERATIONS[0], bytes([1 << blank[0]]))
    return b""


def fuse_scrap(machine: Machine, mac: bytes) -> bytes:
    """FUSE_SCRAP: MAC -> nothing. The end: no secret of the chip can be read from its fuses afterwards.

    The reset that follows is the dispatcher's.
    """
    fuses = machine.fuses
    refuse_if(life_cycle(fuses) not in (1, 2), Status.BLOCK_LIFE_CYCLE)
    if life_cycle(fuses) == 2:
        if machine.maker_key is None:
            raise Refusal(Status.BLOCK_LIFE_CYCLE)
        authorised = cmac(machine.maker_key, b"FQ-SCRAP" + bytes(8) + fuses.read(*DEVICE_ID))
        refuse_if(not hmac.compare_digest(mac, authorised), Status.SGX_INVALID_SIGNATURE)
    fuses.burn(LIFE_CYCLE[0], bytes([SCRAPPED]))
    fuses.burn(SECRET_HALF[0], b"\xff" * SECRET_HALF[1])
    return b""


def set_lepubkeyhash(machine: Machine, body: bytes) -> bytes:
    """SET_LEPUBKEYHASH: a write to IA32_SGXLEPUBKEYHASH0..3."""
    gp_if(bool(machine.fuses.read(*OPTIONS)[0] & OPTION_LEPUBKEYHASH_LOCKED))
    machine.lepubkeyhash = body
    return b""


def set_ownerepoch(machine: Machine, body: bytes) -> bytes:
    """SET_OWNEREPOCH: a write to IA32_SGXOWNEREPOCH0/1, once per boot."""
    gp_if(machine.owner_epoch_set)
    machine.owner_epoch = body
    machine.owner_epoch_set = True
    return b""
