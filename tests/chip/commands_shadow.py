"""What a client can know of a chip from the commands that succeeded: just enough to make the next one succeed too.

Nothing is checked here. A command that the chip accepted is taken at its word, whatever was done to its bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from commands_make import PT_TCS, TOKENKEY, le
from commands_rsa import ENTRY_KEYS, KEY_MAGIC, Key

IDENTIFY, CYCLES, RESET, EVENT = 0x01, 0x02, 0x03, 0x04
FUSE_STATUS, FUSE_MANUFACTURE, FUSE_LOCK, FUSE_RAISE_SVN, FUSE_SCRAP = 0x10, 0x11, 0x12, 0x13, 0x17
SET_LEPUBKEYHASH, SET_OWNEREPOCH, SLOT_INFO = 0x14, 0x15, 0x16
ECREATE, EADD, EEXTEND, EINIT, EREMOVE = 0x20, 0x21, 0x22, 0x23, 0x24
EENTER, EEXIT, EREPORT, EGETKEY, AEX, ERESUME = 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A
ECHALLENGE, VERIFYREPORT = 0x2B, 0x30

_NAMES = [
    "IDENTIFY", "CYCLES", "RESET", "EVENT", "FUSE_STATUS", "FUSE_MANUFACTURE", "FUSE_LOCK", "FUSE_RAISE_SVN",
    "FUSE_SCRAP", "SET_LEPUBKEYHASH", "SET_OWNEREPOCH", "SLOT_INFO", "ECREATE", "EADD", "EEXTEND", "EINIT", "EREMOVE",
    "EENTER", "EEXIT", "EREPORT", "EGETKEY", "AEX", "ERESUME", "ECHALLENGE", "VERIFYREPORT",
]  # fmt: skip
OP_NAMES = {globals()[name]: name for name in _NAMES}

OUT_OF_SEQUENCE = 0x4005
#: Commands of an entry, which begin with its ticket.
OF_AN_ENTRY = (EEXIT, EREPORT, EGETKEY, VERIFYREPORT)
#: Commands as (op, body after the ticket, with the link of the next one).
Plan = list[tuple[int, bytes]]


@dataclass
class Thread:
    """A TCS."""

    linaddr: int
    nssa: int
    cssa: int = 0
    ticket: bytes | None = None
    #: Signed entry: what is to be sent, what was sent last, and whether the chip refuses what is next.
    plan: Plan = field(default_factory=list)
    sent: tuple[int, bytes] | None = None
    stuck: bool = False


@dataclass
class Enclave:
    """An enclave that the chip holds. ``attributes``: 16 bytes, without INIT."""

    handle: bytes
    base: int
    size: int
    cet: int
    miscselect: int
    attributes: bytes
    configid: bytes
    configsvn: int
    measurement: Any
    open_page: int | None = None
    open_tcs: bytes | None = None
    threads: list[Thread] = field(default_factory=list)
    initialised: bool = False
    mrsigner: bytes = bytes(32)
    isvprodid: int = 0
    isvsvn: int = 0
    entry_hashes: list[bytes] = field(default_factory=list)
    challenge: bytes | None = None

    @property
    def signed(self) -> bool:
        """Whether it has an entry key."""
        return bool(self.entry_hashes)

    @property
    def entry_key(self) -> Key | None:
        """The entry key, when it is one of ours."""
        last = self.entry_hashes[-1:]
        return next((key for key in ENTRY_KEYS if [hashlib.sha256(key.modulus).digest()] == last), None)

    @property
    def wants_key(self) -> bool:
        """One enclave in two is to have an entry key; launch enclaves have none, so that tokens are plenty."""
        return self.handle[1] % 2 == 1 and not self.flags & TOKENKEY

    @property
    def flags(self) -> int:
        return int.from_bytes(self.attributes[:8], "little")

    @property
    def mrenclave(self) -> bytes:
        return self.measurement.copy().digest()

    @property
    def greedy(self) -> bool:
        """One enclave in eight is to be filled with as many TCSs as go in."""
        return self.handle[1] % 8 == 0

    @property
    def active(self) -> list[Thread]:
        return [thread for thread in self.threads if thread.ticket]

    def identity(self) -> bytes:
        """As much of SLOT_INFO as a TARGETINFO needs: 320 bytes."""
        info = bytearray(320)
        info[20] = self.cet
        info[48:64] = bytes([self.attributes[0] | self.initialised]) + self.attributes[1:]
        info[64:96] = self.mrenclave
        info[192:256] = self.configid
        info[260:262] = le(self.configsvn, 2)
        return bytes(info)


@dataclass(frozen=True)
class LaunchKey:
    """An EINITTOKEN key that the chip gave out, and the LE fields that a token under it must carry."""

    key: bytes = field(repr=False)
    mrsigner: bytes
    owner_epoch: bytes
    le_fields: dict[str, Any]


class Shadow:
    """The client's view of one chip."""

    def __init__(self) -> None:
        self.life_cycle = 0
        self.locked = False
        self.cpusvn = bytes(16)
        #: What the fuses say, which counts from the next boot on.
        self.fused_cpusvn = bytes(16)
        self.rpk: bytes | None = None
        self.device_id = bytes(16)
        #: By the chain that a proof signs, what is to follow.
        self.plans: dict[bytes, Plan] = {}
        self.tcs_per_slot = 4
        self.last_seq = 0
        self.launch_keys: list[LaunchKey] = []
        self.dead_handles: list[bytes] = []
        self.dead_tickets: list[bytes] = []
        #: (REPORT, MRENCLAVE of its target)
        self.reports: list[tuple[bytes, bytes]] = []
        self._forget()

    def _forget(self) -> None:
        self.enclaves: dict[bytes, Enclave] = {}
        self.lepubkeyhash: bytes | None = None
        self.owner_epoch = bytes(16)
        self.last_seq = 0
        self._fresh = True

    def observe(self, request: bytes, answer: bytes) -> None:
        """Learn from what the chip said."""
        op, status, body = request[0] if request else 0, int.from_bytes(answer[2:4], "little"), answer[4:]
        if answer[0] == 0x80 and answer[1] == 0 or len(request) < 2:
            return
        if status == OUT_OF_SEQUENCE:
            self.last_seq = body[0]
            return
        if op >= 0x10:
            if request[1] == self.last_seq:
                return  # a repeat: nothing was done
            self.last_seq = request[1]
        if op in OF_AN_ENTRY:
            self._follow(op, status, request[2:])
        learn = self._LEARN.get(op)
        if status == 0 and learn is not None:
            learn(self, request[2:], body)

    def _identify(self, _request: bytes, info: bytes) -> None:
        self.life_cycle, self.last_seq, self.locked = info[22], info[23], bool(info[56])
        self.tcs_per_slot, self.device_id, self.fused_cpusvn = info[18], info[24:40], info[40:56]
        if self._fresh:
            self.cpusvn, self._fresh = self.fused_cpusvn, False

    def _slot_info(self, _request: bytes, info: bytes) -> None:
        self.cpusvn = info[:16]

    def _follow(self, op: int, status: int, body: bytes) -> None:
        for enclave in self.enclaves.values():
            for thread in enclave.active:
                if thread.ticket == body[:16] and thread.plan[:1] == [(op, body[16:])]:
                    thread.stuck = status != 0
                    if status == 0:
                        thread.sent = thread.plan.pop(0)

    def _reset(self, _request: bytes, _answer: bytes) -> None:
        self.dead_handles = [*self.dead_handles, *self.enclaves][-8:]
        for enclave in self.enclaves.values():
            self._bury(*(thread.ticket for thread in enclave.active))
        self._forget()

    def _fuse_status(self, _request: bytes, status: bytes) -> None:
        self.life_cycle = status[0]
        if self.lepubkeyhash is None:
            self.lepubkeyhash = status[96:128]

    def _fuse_manufacture(self, request: bytes, _answer: bytes) -> None:
        self.life_cycle, self.rpk, self.device_id = 1, request[:16], request[16:32]

    def _fuse_raise_svn(self, request: bytes, _answer: bytes) -> None:
        self.fused_cpusvn = request[:16]

    def _fuse_scrap(self, _request: bytes, _answer: bytes) -> None:
        self._reset(b"", b"")
        self.life_cycle, self.locked = 3, False

    def _fuse_lock(self, _request: bytes, _answer: bytes) -> None:
        self.life_cycle = 2

    def _set_lepubkeyhash(self, request: bytes, _answer: bytes) -> None:
        self.lepubkeyhash = request

    def _set_ownerepoch(self, request: bytes, _answer: bytes) -> None:
        self.owner_epoch = request

    def _ecreate(self, request: bytes, handle: bytes) -> None:
        secs = request[64:]
        measurement = hashlib.sha256(b"ECREATE\0" + secs[16:20] + secs[0:8] + secs[24:32] + bytes(36))
        self.enclaves[handle] = Enclave(
            handle=handle,
            base=int.from_bytes(secs[8:16], "little"),
            size=int.from_bytes(secs[0:8], "little"),
            cet=secs[32],
            miscselect=int.from_bytes(secs[20:24], "little"),
            attributes=secs[48:64],
            configid=secs[192:256],
            configsvn=int.from_bytes(secs[260:262], "little"),
            measurement=measurement,
        )

    def _eadd(self, request: bytes, _answer: bytes) -> None:
        enclave, linaddr = self.enclaves[request[:9]], int.from_bytes(request[9:17], "little")
        secinfo, page = request[17:81], request[81:]
        flags, is_tcs = secinfo[:48], secinfo[1] == PT_TCS
        if is_tcs:
            flags = bytes([flags[0] & ~7]) + flags[1:]
            page = page[:8] + bytes([page[8] & ~1]) + page[9:24] + bytes(4) + page[28:]
            enclave.threads.append(Thread(linaddr, int.from_bytes(page[28:32], "little")))
        enclave.measurement.update(b"EADD\0\0\0\0" + le(linaddr - enclave.base, 8) + flags)
        enclave.open_page, enclave.open_tcs = linaddr, page if is_tcs else None

    def _eextend(self, request: bytes, _answer: bytes) -> None:
        enclave, linaddr = self.enclaves[request[:9]], int.from_bytes(request[9:17], "little")
        data = request[18:]
        if enclave.open_tcs is not None:
            within = linaddr - enclave.open_page
            data = enclave.open_tcs[within : within + 256 * request[17]]
        for i in range(0, len(data), 256):
            enclave.measurement.update(b"EEXTEND\0" + le(linaddr - enclave.base + i, 8) + bytes(48))
            enclave.measurement.update(data[i : i + 256])
        if enclave.open_tcs is None and linaddr == enclave.open_page and data.startswith(KEY_MAGIC):
            enclave.entry_hashes.append(data[16:48])

    def _einit(self, request: bytes, _answer: bytes) -> None:
        enclave, sig = self.enclaves[request[:9]], request[9:1817]
        enclave.initialised = True
        enclave.mrsigner = hashlib.sha256(sig[128:512]).digest()
        enclave.isvprodid = int.from_bytes(sig[1024:1026], "little")
        enclave.isvsvn = int.from_bytes(sig[1026:1028], "little")

    def _eremove(self, request: bytes, _answer: bytes) -> None:
        del self.enclaves[request]
        self.dead_handles = [*self.dead_handles, request][-8:]

    def _enter(self, request: bytes, answer: bytes) -> None:
        thread = self._thread(request)
        thread.ticket, thread.cssa = answer[:16], int.from_bytes(answer[16:20], "little")
        thread.plan, thread.sent, thread.stuck = list(self.plans.pop(request[17:49], ())), None, False
        self.plans.clear()
        self.enclaves[request[:9]].challenge = None

    def _echallenge(self, request: bytes, nonce: bytes) -> None:
        self.enclaves[request].challenge = nonce

    def _aex(self, request: bytes, _answer: bytes) -> None:
        thread = self._thread(request)
        self._bury(thread.ticket)
        thread.ticket = None
        thread.cssa += 1

    def _eexit(self, request: bytes, _answer: bytes) -> None:
        _, thread = self.entry(request)
        self._bury(thread.ticket)
        thread.ticket = None

    def _ereport(self, request: bytes, report: bytes) -> None:
        self.reports = [*self.reports, (report, request[16:48])][-8:]

    def _egetkey(self, request: bytes, key: bytes) -> None:
        wants = request[16:]
        if wants[0:2] != bytes(2):
            return
        enclave, _ = self.entry(request)
        mask = int.from_bytes(wants[24:40], "little") | 3
        inside = bytes([enclave.attributes[0] | 1]) + enclave.attributes[1:]
        le_fields = {
            "cpusvn_le": wants[8:24],
            "isvprodid_le": enclave.isvprodid,
            "isvsvn_le": int.from_bytes(wants[4:6], "little"),
            "cet_le": wants[6] & enclave.cet,
            "misc_le": int.from_bytes(wants[72:76], "little") & enclave.miscselect,
            "attributes_le": le(mask & int.from_bytes(inside, "little"), 16),
            "keyid": wants[40:72],
        }
        self.launch_keys = [
            *self.launch_keys,
            LaunchKey(key, enclave.mrsigner, self.owner_epoch, le_fields),
        ][-4:]

    def entry(self, request: bytes) -> tuple[Enclave, Thread]:
        """The entry whose ticket a body begins with."""
        return next(
            (enclave, thread)
            for enclave in self.enclaves.values()
            for thread in enclave.active
            if thread.ticket == request[:16]
        )

    def _thread(self, request: bytes) -> Thread:
        linaddr = int.from_bytes(request[9:17], "little")
        return next(thread for thread in self.enclaves[request[:9]].threads if thread.linaddr == linaddr)

    def _bury(self, *tickets: bytes | None) -> None:
        self.dead_tickets = [*self.dead_tickets, *(ticket for ticket in tickets if ticket)][-8:]

    _LEARN = {
        IDENTIFY: _identify,
        RESET: _reset,
        FUSE_STATUS: _fuse_status,
        FUSE_MANUFACTURE: _fuse_manufacture,
        FUSE_LOCK: _fuse_lock,
        FUSE_RAISE_SVN: _fuse_raise_svn,
        FUSE_SCRAP: _fuse_scrap,
        SLOT_INFO: _slot_info,
        ECHALLENGE: _echallenge,
        SET_LEPUBKEYHASH: _set_lepubkeyhash,
        SET_OWNEREPOCH: _set_ownerepoch,
        ECREATE: _ecreate,
        EADD: _eadd,
        EEXTEND: _eextend,
        EINIT: _einit,
        EREMOVE: _eremove,
        EENTER: _enter,
        ERESUME: _enter,
        AEX: _aex,
        EEXIT: _eexit,
        EREPORT: _ereport,
        EGETKEY: _egetkey,
    }
