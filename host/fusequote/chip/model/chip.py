"""The dispatcher: which command a request is, whether it is its turn, and whether it may run at all.

Source: docs/link.md sections 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

from ..entropy import EntropySource
from ..framing import BadFrame, Decoder, encode
from ..fusefile import FuseBank
from . import build, entry, fuses, keys, signed_entry, simulation_keys
from .layout import EinitToken, KeyRequest, Manufacture, Report, SecInfo, SigStruct, TargetInfo
from .state import HANDLE_SIZE, TICKET_SIZE, Machine
from .status import Refusal, Status

#: Enclaves at a time, and TCSs in each.
SLOTS = 4
TCS_PER_SLOT = 4

IDENTIFY, CYCLES, RESET, EVENT = 0x01, 0x02, 0x03, 0x04
FUSE_SCRAP, EGETKEY = 0x17, 0x28

_ANSWER = 0x80
_MIN_CONTENTS = 2
_FIRST_NUMBERED = 0x10
_LAST_SEQ = 255


@dataclass(frozen=True)
class _Command:
    run: Callable[[Machine, bytes], bytes]
    #: Whether a body of this length can be one of this command's.
    fits: Callable[[int], bool]
    #: Whether the chip must have booted as locked.
    locked: bool = True


def _exactly(*sizes: int) -> Callable[[int], bool]:
    return lambda size: size in sizes


def _of_an_entry(size: int) -> Callable[[int], bool]:
    return _exactly(TICKET_SIZE + size, TICKET_SIZE + size + signed_entry.NEXT_SIZE)


_ENTERING = _exactly(entry.TCS_NAME_SIZE, entry.TCS_NAME_SIZE + signed_entry.PROOF_SIZE)

_COMMANDS = {
    0x10: _Command(fuses.fuse_status, _exactly(0), locked=False),
    0x11: _Command(fuses.fuse_manufacture, _exactly(Manufacture.SIZE), locked=False),
    0x12: _Command(fuses.fuse_lock, _exactly(0), locked=False),
    0x13: _Command(fuses.fuse_raise_svn, _exactly(32)),
    0x14: _Command(fuses.set_lepubkeyhash, _exactly(32)),
    0x15: _Command(fuses.set_ownerepoch, _exactly(16)),
    0x16: _Command(keys.slot_info, _exactly(HANDLE_SIZE)),
    FUSE_SCRAP: _Command(fuses.fuse_scrap, _exactly(16), locked=False),
    0x20: _Command(build.ecreate, _exactly(SecInfo.SIZE + 4096)),
    0x21: _Command(build.eadd, _exactly(build.EADD_HEAD, build.EADD_HEAD + build.PAGE)),
    0x22: _Command(build.eextend, lambda size: size >= build.EEXTEND_HEAD),
    0x23: _Command(build.einit, _exactly(HANDLE_SIZE + SigStruct.SIZE + EinitToken.SIZE)),
    0x24: _Command(build.eremove, _exactly(HANDLE_SIZE)),
    0x25: _Command(entry.eenter, _ENTERING),
    0x26: _Command(entry.eexit, _of_an_entry(0)),
    0x27: _Command(keys.ereport, _of_an_entry(TargetInfo.SIZE + 64)),
    EGETKEY: _Command(keys.egetkey, _of_an_entry(KeyRequest.SIZE)),
    0x29: _Command(entry.aex, _exactly(entry.TCS_NAME_SIZE)),
    0x2A: _Command(entry.eresume, _ENTERING),
    0x2B: _Command(signed_entry.echallenge, _exactly(HANDLE_SIZE)),
    0x30: _Command(keys.verifyreport, _of_an_entry(Report.SIZE)),
}


class ModelChip:
    """The reference model: the chip at the level of frame contents.

    ``fuses``: the bank to boot from and burn into. ``entropy``: 32 bytes per boot. ``slots``,
    ``tcs_per_slot``: how much it holds. ``profile``: how it derives keys, ``kd1`` or ``linux-sgx-sim`` (docs/chip.md,
    section 6). Making one is powering it on.

    Raises :class:`fusequote.errors.UsageError` for another profile.
    """

    def __init__(
        self, fuses: FuseBank, entropy: EntropySource, *, slots: int = SLOTS, tcs_per_slot: int = TCS_PER_SLOT,
        profile: str = "kd1",
    ):
        self._fuses = fuses
        self._entropy = entropy
        self._slots = slots
        self._tcs_per_slot = tcs_per_slot
        self._profile = simulation_keys.number(profile)
        self._boots = 0
        self._boot()

    def reset(self) -> None:
        """The reset line: everything of this boot is gone, the fuses stay."""
        self._boot()

    def execute(self, contents: bytes, *, behind: bytes = b"") -> bytes:
        """The answer to one frame's contents (2 to 4,608 bytes; a NAK for fewer or more).

        ``behind``: the contents of the frame that waits already; EINIT looks whether it is an EVENT.
        """
        if len(contents) < _MIN_CONTENTS:
            return self.nak(Status.LINK_BAD_FRAME)
        if len(contents) > fuses.MAX_CONTENTS:
            return self.nak(Status.LINK_TOO_LONG)
        op, seq, body = contents[0], contents[1], contents[2:]
        if op < _FIRST_NUMBERED:
            return self._unnumbered(op, seq, body)
        self._machine.event = len(behind) >= _MIN_CONTENTS and behind[0] == EVENT
        return self._numbered(op, seq, body)

    def nak(self, status: int) -> bytes:
        """What the chip sends unasked about a frame that it dropped: LINK_BAD_FRAME or LINK_TOO_LONG."""
        return _answer(0, 0, Status(status))

    def _boot(self) -> None:
        self._machine = fuses.boot(self._fuses, self._entropy, self._boots, self._slots, self._tcs_per_slot)
        if self._profile == simulation_keys.SIMULATION:
            simulation_keys.prepare(self._machine)
        self._boots += 1
        self._last_seq = 0
        self._kept: bytes | None = None

    def _unnumbered(self, op: int, seq: int, body: bytes) -> bytes:
        if op not in (IDENTIFY, CYCLES, RESET, EVENT):
            return _answer(op, seq, Status.LINK_UNKNOWN_COMMAND)
        if body:
            return _answer(op, seq, Status.LINK_BAD_LENGTH)
        if op == IDENTIFY:
            return _answer(op, seq, Status.SUCCESS, fuses.identify(self._machine, self._last_seq))
        if op == CYCLES:
            return _answer(op, seq, Status.SUCCESS, bytes(4))  # nothing here has a clock
        if op == RESET:
            self.reset()
        return _answer(op, seq, Status.SUCCESS)

    def _numbered(self, op: int, seq: int, body: bytes) -> bytes:
        if seq == self._last_seq != 0:
            return _answer(op, seq, Status.LINK_ANSWER_GONE) if self._kept is None else self._kept
        if seq != self._last_seq % _LAST_SEQ + 1:
            return _answer(op, seq, Status.LINK_OUT_OF_SEQUENCE, bytes([self._last_seq]))
        self._last_seq = seq
        try:
            answer = _answer(op, seq, Status.SUCCESS, self._run(op, body))
            self._kept = None if op == EGETKEY else answer
            if op == FUSE_SCRAP:
                self.reset()
        except Refusal as refusal:
            answer = self._kept = _answer(op, seq, refusal.status)
        return answer

    def _run(self, op: int, body: bytes) -> bytes:
        if self._machine.boot_failed:
            raise Refusal(Status.BLOCK_BOOT_FAILED)
        command = _COMMANDS.get(op)
        if command is None:
            raise Refusal(Status.LINK_UNKNOWN_COMMAND)
        if not command.fits(len(body)):
            raise Refusal(Status.LINK_BAD_LENGTH)
        if command.locked and self._machine.chains is None:
            raise Refusal(Status.BLOCK_LIFE_CYCLE)
        return command.run(self._machine, body)

    def __repr__(self) -> str:
        return f"ModelChip(last_seq={self._last_seq})"


class ModelLink:
    """The chip behind its byte stream: bytes in, bytes out, whatever comes."""

    def __init__(self, chip: ModelChip):
        self.chip = chip
        self._decoder = Decoder(fuses.MAX_CONTENTS)

    def feed(self, data: bytes) -> bytes:
        """What the chip sends in answer to ``data``, all frames of it, in order."""
        answers = []
        frames = list(self._decoder.feed(data))
        for frame, following in zip_longest(frames, frames[1:], fillvalue=b""):
            if isinstance(frame, BadFrame):
                answer = self.chip.nak(frame.status)
            else:
                answer = self.chip.execute(frame, behind=b"" if isinstance(following, BadFrame) else following)
            answers.append(encode(answer))
        return b"".join(answers)


def _answer(op: int, seq: int, status: Status, body: bytes = b"") -> bytes:
    return bytes([op | _ANSWER, seq]) + status.to_bytes(2, "little") + body
