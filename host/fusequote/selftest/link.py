"""Checks of the link: frames, sequence numbers, statuses of what is no command (docs/link.md, sections 1 and 2)."""

from __future__ import annotations

from fusequote.chip import LifeCycle, Op, Status
from fusequote.chip.framing import MAX_CONTENTS, encode
from fusequote.selftest.bench import Bench
from fusequote.selftest.registry import Check, check

__all__ = ["CHECKS"]

CHECKS: list[Check] = []
_UNKNOWN_OP = 0x7F


@check(CHECKS, "link.identify")
def _identify(bench: Bench) -> None:
    """IDENTIFY answers the same twice, and what it says is possible."""
    first, again = bench.chip.identify(), bench.chip.identify()
    bench.equal("the second identity", again, first)
    bench.equal("the most bytes in a frame", first.max_contents, MAX_CONTENTS)
    if first.booted_locked:
        bench.equal("the life cycle of a chip that has booted as locked", first.life_cycle, LifeCycle.LOCKED)


@check(CHECKS, "link.damaged-frame")
def _damaged(bench: Bench) -> None:
    """A frame with a flipped bit, one that is cut off and one without contents are reported, and not run."""
    good = bytearray(encode(bytes((Op.IDENTIFY, 9))))
    good[3] ^= 1
    for what, data in (("flipped bit", bytes(good)), ("abort", b"\x7e\x01\x02\x7d\x7e"), ("too short", encode(b"\1"))):
        bench.line.send(data)
        bench.equal(f"the answer to a frame with {what}", bench.line.answer()[:3], (0, 0, Status.LINK_BAD_FRAME))


@check(CHECKS, "link.too-long-frame")
def _too_long(bench: Bench) -> None:
    """A frame with one byte too many is reported, and the one after it is run."""
    bench.line.request(Op.IDENTIFY, 1, bytes(MAX_CONTENTS - 1))
    bench.equal("the answer to a frame that is too long", bench.line.answer()[:3], (0, 0, Status.LINK_TOO_LONG))
    bench.equal("the next answer", bench.line.ask(Op.IDENTIFY, 77)[:3], (Op.IDENTIFY, 77, 0))


@check(CHECKS, "link.unknown-command")
def _unknown(bench: Bench) -> None:
    """A number that names no command is refused, numbered or not."""
    bench.equal("status", bench.chip.raw(0x0F)[0], Status.LINK_UNKNOWN_COMMAND)
    bench.equal("status", bench.chip.raw(_UNKNOWN_OP)[0], Status.LINK_UNKNOWN_COMMAND)


@check(CHECKS, "link.wrong-length")
def _lengths(bench: Bench) -> None:
    """Bodies of a wrong length are refused."""
    bench.equal("IDENTIFY with a body:", bench.chip.raw(Op.IDENTIFY, b"\0")[0], Status.LINK_BAD_LENGTH)
    sizes = {Op.FUSE_STATUS: 1, Op.FUSE_MANUFACTURE: 191, Op.ECREATE: 4159, Op.EINIT: 2120, Op.EREPORT: 15}
    for op, size in sizes.items():
        status, _ = bench.chip.raw(op, bytes(size))
        bench.equal(f"status of {op.name} with {size} bytes", status, Status.LINK_BAD_LENGTH)


@check(CHECKS, "link.repeat")
def _repeat(bench: Bench) -> None:
    """A request that comes again under its number is answered again, byte for byte, and not run again."""
    seq = bench.chip.identify().last_seq % 255 + 1
    first = bench.line.ask(Op.FUSE_STATUS, seq)
    bench.equal("the answer", first[:3], (Op.FUSE_STATUS, seq, 0))
    bench.equal("the repeated answer", bench.line.ask(Op.FUSE_STATUS, seq), first)
    # A repeat is known by its number alone: another command under it would be answered with what was kept.
    bench.equal("the answer to another command under this number", bench.line.ask(_UNKNOWN_OP, seq), first)
    bench.resynchronise()
    bench.equal("the last number that was accepted", bench.chip.identity.last_seq, seq)


@check(CHECKS, "link.out-of-sequence")
def _sequence(bench: Bench) -> None:
    """A number that is neither the last nor the next is refused, with the last one."""
    last = bench.chip.identify().last_seq
    for seq in (0, (last + 1) % 255 + 1, (last + 99) % 255 + 1):
        answer = bench.line.ask(Op.FUSE_STATUS, seq)
        bench.equal(f"the answer to seq {seq} after {last}", answer[2:], (Status.LINK_OUT_OF_SEQUENCE, bytes((last,))))
    bench.resynchronise()
    bench.equal("the last number that was accepted", bench.chip.identity.last_seq, last)


@check(CHECKS, "link.window")
def _window(bench: Bench) -> None:
    """Two requests sent at once are both answered, in order."""
    bench.line.request(Op.IDENTIFY, 5)
    bench.line.request(Op.CYCLES, 6)
    bench.equal("the first answer", bench.line.answer()[:3], (Op.IDENTIFY, 5, 0))
    bench.equal("the second answer", bench.line.answer()[:3], (Op.CYCLES, 6, 0))
