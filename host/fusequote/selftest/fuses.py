"""Checks of the fuses that change none: what is burnt once stays, and what the maker did not sign is refused."""

from __future__ import annotations

from fusequote.chip import LifeCycle, Op, Status
from fusequote.selftest.bench import Bench, Skipped
from fusequote.selftest.registry import Check, check

__all__ = ["BLANK", "BURNT"]

#: Of a chip that was not manufactured yet, and of one that was.
BLANK: list[Check] = []
BURNT: list[Check] = []


@check(BLANK, "fuses.status")
def _status(bench: Bench) -> None:
    """FUSE_STATUS and IDENTIFY say the same."""
    status, identity = bench.chip.fuse_status(), bench.chip.identity
    bench.equal("the life cycle", status.life_cycle, identity.life_cycle)
    bench.equal("the device id", status.device_id, identity.device_id)
    if status.life_cycle is LifeCycle.BLANK:
        bench.equal("a blank chip's public fuses", (status.cpusvn_generations, any(status.device_id)), (0, False))


@check(BURNT, "fuses.burnt-once")
def _once(bench: Bench) -> None:
    """A manufactured chip is not manufactured or locked again."""
    if bench.identity.life_cycle is LifeCycle.BLANK:
        raise Skipped("needs a chip that was manufactured")
    # A root provisioning key of zeros: not even a blank chip would burn this.
    status = bench.chip.raw(Op.FUSE_MANUFACTURE, bytes(192))[0]
    bench.equal("status of FUSE_MANUFACTURE", status, Status.BLOCK_LIFE_CYCLE)
    if bench.identity.life_cycle is not LifeCycle.MANUFACTURED:
        bench.equal("status of FUSE_LOCK", bench.chip.raw(Op.FUSE_LOCK)[0], Status.BLOCK_LIFE_CYCLE)


@check(BURNT, "fuses.maker-only")
def _maker(bench: Bench) -> None:
    """FUSE_RAISE_SVN with a MAC that is not the maker's is refused."""
    bench.need_enclaves()
    before = bench.chip.fuse_status()
    # A CPUSVN of zeros: were the MAC taken for good, it would be refused as too low.
    bench.refused(Status.SGX_INVALID_SIGNATURE, bench.chip.fuse_raise_svn, bytes(16), bytes(16))
    bench.equal("FUSE_STATUS after that", bench.chip.fuse_status(), before)


@check(BLANK, "fuses.no-enclaves-before-lock")
def _unlocked(bench: Bench) -> None:
    """A chip that is not locked runs no enclave command."""
    if bench.identity.booted_locked:
        raise Skipped("needs a chip that is not locked")
    for op, size in ((Op.ECREATE, 4160), (Op.EREMOVE, 9), (Op.SET_OWNEREPOCH, 16), (Op.EREPORT, 592)):
        status = bench.chip.raw(op, bytes(size))[0]
        bench.equal(f"status of {op.name}", status, Status.BLOCK_LIFE_CYCLE)


@check(BLANK, "fuses.bad-manufacture")
def _bad(bench: Bench) -> None:
    """A blank chip is not burnt with zeros for a key or an id, or with bits that mean nothing."""
    bench.need_blank()
    good = bytes([1]) * 48 + bytes(96)
    for what, body in (
        ("a root provisioning key of zeros", bytes(16) + good[16:] + bytes(48)),
        ("a device id of zeros", good[:16] + bytes(16) + good[32:] + bytes(48)),
        ("unknown options", good + b"\x80" + bytes(47)),
        ("reserved bytes", good + b"\0\1" + bytes(46)),
    ):
        status = bench.chip.raw(Op.FUSE_MANUFACTURE, body)[0]
        bench.equal(f"status of FUSE_MANUFACTURE with {what}", status, Status.FAULT_GP)
    bench.equal("the life cycle after that", bench.chip.identify().life_cycle, LifeCycle.BLANK)
