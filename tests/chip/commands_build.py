"""Single commands for :class:`commands.CommandSource`: each method makes one, and spoils it now and then.

A command is (op, body). Spoiling is aimed: mostly at one field with one value that a check is there for.
"""

from __future__ import annotations

import commands_shadow as ops
from commands_entry import EntryBuilder
from commands_keys import Command
from commands_make import (
    AEXNOTIFY,
    CET,
    DEBUG,
    INIT,
    KSS,
    MODE64,
    MRSIGNERS,
    NO_TOKEN,
    PROVISIONKEY,
    PT_REG,
    PT_SECS,
    PT_TCS,
    SIGNERS,
    TOKENKEY,
    R,
    W,
    X,
    le,
    maced,
    message_of,
    patched,
    secinfo,
    secs,
    signed,
    sigstruct,
    tcs_page,
    token,
    with_numbers,
)  # fmt: skip
from commands_rsa import ENTRY_KEYS, FORGERIES, SIGNING_KEYS, entry_chunk, forged
from commands_shadow import Enclave, LaunchKey


class Builder(EntryBuilder):
    """Makes commands out of what ``shadow`` knows, with the dice of ``rng``."""

    # -- building --

    def ecreate(self) -> Command:
        """ECREATE of a small enclave of any kind."""
        rng = self.rng
        kind = rng.choices((0, PROVISIONKEY, TOKENKEY, PROVISIONKEY | TOKENKEY), (10, 4, 4, 0.3))[0]
        flags = kind | sum(f for f, p in ((MODE64, 0.8), (DEBUG, 0.3), (CET, 0.4), (KSS, 0.5), (AEXNOTIFY, 0.3))
                           if self._chance(p))  # fmt: skip
        size = 1 << rng.randrange(13, 32 if not flags & MODE64 else 37)
        base = size * rng.randrange(min(2**16, 2**64 // size))
        if self._chance(0.03):
            base = 2**64 - size
        has_cet, has_kss = flags & CET, flags & KSS
        source = secs(
            size=size,
            base=base,
            ssaframesize=rng.choice((1, 1, 2, 2**32 - 1)),
            miscselect=rng.choice((0, 0, 1)),
            cet=rng.randrange(64) if has_cet else 0,
            cet_bitmap=rng.choice((0, 0x1000, 0xFFFFF000)) if has_cet else 0,
            flags=flags,
            xfrm=rng.choice((3, 3, 7, 0x1B, 0x1F, 0xE7, 0xFF, 0x203, 0x2FF)),
            configid=rng.randbytes(64) if has_kss else bytes(64),
            configsvn=rng.choice((0, 5, 0xFFFF)) if has_kss else 0,
        )
        info = secinfo(PT_SECS, rng.choice((0, 0, 0x3F)))
        if self._chance(0.12):  # what EINIT ignores must really be ignored
            source = patched(source, rng.choice((64, 80, 128, 159, 256, 258)), b"\x01")
        if self._chance(0.3):
            source = self._spoiled_secs(source)
        elif self._chance(0.05):
            info = self._patch(info, (1, b"\1"), (0, b"\x40"), (2, b"\1"), (7, b"\x80"), (8, b"\1"), (63, b"\1"))
        return ops.ECREATE, self._length(info + source)

    def _spoiled_secs(self, source: bytes) -> bytes:
        if self._chance(0.4):
            return self._flip(source, 0, 272)
        return self._patch(
            source,
            (0, le(4096, 8)), (0, le(0, 8)), (0, le(0x3000, 8)), (0, le(2**37, 8)), (0, le(2**32, 8)),
            (8, le(0x1001, 8)), (16, le(0, 4)), (20, le(1, 4)), (24, le(1, 8)), (32, b"\x40"), (32, b"\x80"),
            (33, b"\1"), (47, b"\1"), (48, bytes([INIT | MODE64])), (48, b"\x0C"), (49, b"\x01"), (55, b"\x80"),
            (56, b"\1"), (56, b"\2"), (56, b"\x0B"), (56, b"\x13"), (56, b"\x27"), *[(56, b"\xE3")] * 3, (57, b"\1"),
            (57, b"\4"), (96, b"\1"), (127, b"\1"), (160, b"\1"), (191, b"\1"), (262, b"\1"), (4095, b"\1"),
        )  # fmt: skip

    def _page_address(self, enclave: Enclave | None) -> int:
        if enclave is None:
            return 0x1000
        page = self.rng.choice((0, 1, 2, 3, enclave.size // 4096 - 1, self.rng.randrange(enclave.size // 4096)))
        address = enclave.base + 4096 * min(page, enclave.size // 4096 - 1)
        if self._chance(0.05):
            address = self.rng.choice(
                (address + 256, enclave.base + enclave.size, enclave.base - 4096, address ^ 2**63)
            )
        return address % 2**64

    def eadd_regular(self) -> Command:
        """EADD of a regular page."""
        enclave = self._enclave(self._building())
        info = secinfo(PT_REG, self.rng.choice((R, R | W, R | X, R | W | X, 0, X)))
        if self._chance(0.15):
            info = self._patch(info, (0, bytes([W])), (0, bytes([W | X])), (0, b"\x09"), (0, b"\x41"), (1, b"\0"),
                               (1, b"\3"), (1, b"\4"), (1, b"\5"), (2, b"\1"), (7, b"\x80"), (8, b"\1"), (63, b"\1"),
                               (1, b"\1"))  # fmt: skip
        body = self._handle(enclave) + le(self._page_address(enclave), 8) + info
        return ops.EADD, self._length(body)

    def eadd_tcs(self) -> Command:
        """EADD of a TCS, to an enclave without one if there is such."""
        return self._eadd_tcs([e for e in self._building() if not e.threads] or self._building())

    def fill_with_tcs(self) -> Command:
        """EADD of a TCS to an enclave that is to have as many as go in."""
        return self._eadd_tcs([e for e in self._building() if e.greedy])

    def _eadd_tcs(self, preferred: list[Enclave]) -> Command:
        rng, enclave = self.rng, self._enclave(preferred)
        flags = enclave.flags if enclave else 0
        limit = rng.choice((0xFFFFFFFF, 0xFFF, 0x12345678 if flags & MODE64 else 0x12345FFF))
        page = tcs_page(
            nssa=rng.choice((1, 2, 2, 3, 2**32 - 1, 0)),
            oentry=rng.choice((0, 0x1000, rng.randrange(2**64))),
            flags=rng.choice((0, 1, 2, 3) if flags & AEXNOTIFY else (0, 1)),
            cssa=rng.choice((0, 0, 1, 0xFFFFFFFF)),
            fslimit=limit,
            gslimit=limit,
            ocetssa=rng.choice((0, 0x1000)) if flags & CET else 0,
        )
        if self._chance(0.2):
            page = self._patch(
                page,
                (0, b"\1"), (7, b"\1"), (8, b"\4"), (8, b"\2"), (15, b"\x80"), (40, b"\1"), (47, b"\1"), (64, le(0, 4)),
                (68, le(0xFFFFF000, 4)), (72, le(1, 8)), (79, b"\1"), (80, b"\1"), (87, b"\1"), (88, b"\1"),
                (4095, b"\1"),
            )  # fmt: skip
        info = secinfo(PT_TCS, rng.choice((0, 0, R | W | X, W)))
        if self._chance(0.05):
            info = self._patch(info, (1, bytes([PT_REG])), (0, b"\x08"), (9, b"\1"))
        return ops.EADD, self._length(self._handle(enclave) + le(self._page_address(enclave), 8) + info + page)

    def eextend(self) -> Command:
        """EEXTEND of the open page; mostly one chunk, seldom all of them."""
        rng = self.rng
        enclave = self._enclave(e for e in self._building() if e.open_page is not None)
        page = enclave.open_page if enclave and enclave.open_page is not None else 0x1000
        first = rng.choice((0, 0, 15, rng.randrange(16)))
        count = rng.choices((1, min(2, 16 - first), 16 - first), (12, 3, 0.6))[0]
        size = 256 * count
        if enclave and enclave.open_tcs is not None and self._chance(0.97):
            size = 0
        linaddr = page + 256 * first
        if self._chance(0.15):
            count = rng.choice((0, 17, 255, 17 - first, count + 1))
        elif self._chance(0.06):
            size = rng.choice((0, 255, 256, 257))
        if self._chance(0.05):
            linaddr = rng.choice((linaddr + 1, linaddr + 0x1000, linaddr - 0x1000, 0))
        data = rng.randbytes(size)
        may_name = enclave and enclave.wants_key and linaddr == page and size >= 256 and len(enclave.entry_hashes) < 2
        if may_name and (not enclave.signed or self._chance(0.06)):
            data = entry_chunk(rng.choice(ENTRY_KEYS))[:48] + data[48:]
        body = self._handle(enclave) + le(linaddr % 2**64, 8) + bytes([count]) + data
        return ops.EEXTEND, self._length(body)

    def einit(self) -> Command:
        """EINIT, by LEPUBKEYHASH or by a token, whichever there is."""
        rng = self.rng
        building = self._building()
        enclave = self._enclave(
            [e for e in building if e.threads and not e.greedy] or [e for e in building if e.threads] or building
        )
        if enclave is None:
            return ops.EINIT, self._handle(None) + self._sigstruct(None, SIGNERS[0]) + NO_TOKEN
        hashed = self.shadow.lepubkeyhash
        launcher = SIGNERS[MRSIGNERS.index(hashed)] if hashed in MRSIGNERS else SIGNERS[2]
        signer = rng.choice(SIGNERS[3:])
        if enclave.flags & PROVISIONKEY:
            signer = SIGNERS[rng.choice((0, 1))]
        keys = self.usable_launch_keys()
        ticket = NO_TOKEN
        if enclave.flags & TOKENKEY:
            signer = launcher
        if keys and self._chance(0.8):
            ticket = self._token(enclave, signer, rng.choice(keys))
        elif enclave.flags & PROVISIONKEY and MRSIGNERS[SIGNERS.index(signer)] != hashed and self._chance(0.7):
            return ops.SET_LEPUBKEYHASH, MRSIGNERS[SIGNERS.index(signer)]
        elif not enclave.flags & PROVISIONKEY and self._chance(0.9):
            signer = launcher
        if ticket == NO_TOKEN and self._chance(0.1):
            ticket = self._flip(patched(rng.randbytes(304), 0, bytes([rng.choice((0, 1))])), 0, 4)
        if self._chance(0.05):
            signer = rng.choice(SIGNERS)
        sig = self._sigstruct(enclave, signer, 0.3 if ticket == NO_TOKEN else 0.1)
        return ops.EINIT, self._length(self._handle(enclave) + sig + ticket)

    def usable_launch_keys(self) -> list[LaunchKey]:
        """The EINITTOKEN keys that are still good for a token."""
        shadow = self.shadow
        return [
            key
            for key in shadow.launch_keys
            if key.mrsigner == shadow.lepubkeyhash and key.owner_epoch == shadow.owner_epoch
        ]

    def _sigstruct(self, enclave: Enclave | None, signer: bytes, spoil: float = 0.2) -> bytes:
        rng = self.rng
        kss = bool(enclave and enclave.flags & KSS)
        mask = rng.choice((b"\xff" * 16, b"\xfd" + b"\xff" * 7 + b"\0" * 8, rng.randbytes(16), bytes(16)))
        cetmask = rng.choice((0, 0xFF, rng.randrange(256)))
        miscmask = rng.choice((0, 0xFFFFFFFF, 0xFFFFFFFF, rng.randrange(2**32)))
        attributes = enclave.attributes if enclave else bytes(16)
        noise = int.from_bytes(rng.randbytes(16), "little") & ~int.from_bytes(mask, "little")
        sig = sigstruct(
            signer,
            enclave.mrenclave if enclave else bytes(32),
            le(int.from_bytes(attributes, "little") ^ noise, 16),
            mask,
            vendor=rng.choice((0, 0x8086)),
            miscselect=(enclave.miscselect if enclave else 0) ^ (rng.randrange(2**32) & ~miscmask),
            miscmask=miscmask,
            cet=(enclave.cet if enclave else 0) ^ (rng.randrange(256) & ~cetmask),
            cetmask=cetmask,
            isvfamilyid=rng.randbytes(16) if kss else bytes(16),
            isvextprodid=rng.choice((bytes(16), rng.randbytes(16))),
            isvprodid=rng.choice((0, 1, 0xFFFF)),
            isvsvn=rng.choice((0, 3, 0xFFFF)),
        )
        if self._chance(spoil):
            sig = self._patch(
                sig,
                (0, b"\7"), (11, b"\x80"), (15, b"\1"), (16, b"\x87"), (17, b"\1"), (19, b"\1"), (24, b"\2"),
                (39, b"\1"), (44, b"\1"), (127, b"\1"), (512, le(65537, 4)), (512, le(2, 4)), (910, b"\1"),
                (911, b"\1"), (912, b"\1"), (992, b"\1"), (1007, b"\1"), (1028, b"\1"), (1039, b"\1"),
                (900, bytes([sig[900] ^ 1])), (908, bytes([sig[908] ^ 1])), (909, b"\xff"),
                *[(at, bytes([sig[at] ^ 1])) for at in (960, 962, 965, 969, 973, 978, 983, 990)],
                (991, bytes([sig[991] ^ 0x80])), (975, bytes([sig[975] ^ 4])), (961, bytes([sig[961] ^ 2])),
                (928, bytes([sig[928] ^ 2])),
                (936, bytes([sig[936] ^ 4])),
                (943, bytes([sig[943] ^ 0x80])), (24, b"\0"), (128, bytes([sig[128] ^ 1])),
            )  # fmt: skip
            if self._chance(0.9):
                sig = signed(sig)
        if self._chance(0.06):
            key = SIGNING_KEYS[SIGNERS.index(signer)]
            sig = with_numbers(sig, forged(rng.choice(FORGERIES), rng, key, message_of(sig)))
        return sig

    def _token(self, enclave: Enclave, signer: bytes, launch: LaunchKey) -> bytes:
        rng = self.rng
        fields = dict(launch.le_fields)
        mrsigner = MRSIGNERS[SIGNERS.index(signer)]
        made = token(enclave.attributes, enclave.mrenclave, mrsigner, **fields)
        if self._chance(0.5):  # what the MAC covers, or does not, before it is made
            made = self._patch(
                made,
                (0, b"\3"), (3, b"\x80"), (4, b"\1"), (47, b"\1"), (48, bytes([made[48] ^ 2])), (63, b"\1"),
                (49, bytes([made[49] ^ 4])), (56, bytes([made[56] ^ 4])),
                (64, bytes([made[64] ^ 1])), (95, bytes([made[95] ^ 0x80])), (96, b"\1"), (127, b"\1"),
                (128, bytes([made[128] ^ 1])), (160, b"\1"), (191, b"\1"), (192, b"\xff" * 16), (208, b"\xee"),
                *[(at, b"\xff" * (208 - at)) for at in (192, 193, 195, 196, 197, 198, 199)] * 5,
                (210, b"\xee"), (212, b"\xee"), (213, b"\1"), (235, b"\1"), (236, b"\1"), (240, bytes([made[240] ^ 2])),
                (240, bytes([made[240] ^ 4])), (255, b"\1"), (256, bytes([made[256] ^ 1])),
            )  # fmt: skip
        made = maced(made, launch.key)
        if self._chance(0.15):
            made = self._flip(made, rng.choice((0, 288)))
        return made

    def eremove(self) -> Command:
        """EREMOVE; of an enclave that is entered when there is no other."""
        idle = [e for e in self.shadow.enclaves.values() if not e.active]
        return ops.EREMOVE, self._length(self._handle(self._enclave(idle if self._chance(0.8) else ())))

    def slot_info(self) -> Command:
        """SLOT_INFO."""
        return ops.SLOT_INFO, self._length(self._handle(self._enclave(e for e, _ in self._threads())))

    # -- registers --

    def set_lepubkeyhash(self) -> Command:
        """SET_LEPUBKEYHASH, to a signer that there is."""
        signer = self.rng.choice((*MRSIGNERS, *[MRSIGNERS[2]] * 4)) if self._chance(0.95) else bytes(32)
        return ops.SET_LEPUBKEYHASH, self._length(signer)

    def set_ownerepoch(self) -> Command:
        """SET_OWNEREPOCH; it is done once in a boot."""
        return ops.SET_OWNEREPOCH, self._length(self.rng.randbytes(16))
