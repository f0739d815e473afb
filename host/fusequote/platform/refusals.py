"""What a chip's refusal means for the step it happens in: status and command to a reason of the closed list."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fusequote.chip.ops import Op
from fusequote.chip.status import CommandError, Status
from fusequote.errors import Refused
from fusequote.verdict import Reason

__all__ = ["chip_refusals", "refusal"]

_BUILDING = {Op.ECREATE, Op.EADD, Op.EEXTEND, Op.EINIT, Op.SET_LEPUBKEYHASH}
_MAKING = {Op.FUSE_MANUFACTURE, Op.FUSE_LOCK}
_WITHIN = {Op.EREPORT, Op.EGETKEY, Op.VERIFYREPORT, Op.EENTER, Op.ERESUME, Op.EEXIT}

_EINIT = {
    Status.SGX_INVALID_SIG_STRUCT: Reason.SIG_STRUCT,
    Status.SGX_INVALID_ATTRIBUTE: Reason.ATTRIBUTE,
    Status.SGX_INVALID_MEASUREMENT: Reason.MEASUREMENT,
    Status.SGX_INVALID_SIGNATURE: Reason.SIGNATURE,
    Status.SGX_INVALID_EINITTOKEN: Reason.EINITTOKEN,
    Status.SGX_INVALID_CPUSVN: Reason.LAUNCH_CPUSVN,
}
_EGETKEY = {
    Status.SGX_INVALID_ATTRIBUTE: Reason.KEY_ATTRIBUTE,
    Status.SGX_INVALID_CPUSVN: Reason.KEY_CPUSVN,
    Status.SGX_INVALID_ISVSVN: Reason.KEY_ISVSVN,
    Status.SGX_INVALID_KEYNAME: Reason.KEY_NAME,
}


def refusal(error: CommandError) -> Refused | None:
    """The refusal that ``error`` is; None when it is a matter of the device and no verdict (a full chip)."""
    op, status = error.op, error.status
    reason: Reason | None = None
    if status == Status.BLOCK_LIFE_CYCLE:
        reason = Reason.CHIP_NOT_BLANK if op in _MAKING else Reason.CHIP_NOT_LOCKED
    elif op == Op.EINIT and status in _EINIT:
        reason = _EINIT[Status(status)]
    elif op == Op.EGETKEY and status in _EGETKEY:
        reason = _EGETKEY[Status(status)]
    elif status in (Status.FAULT_GP, Status.FAULT_PF):
        if op in _BUILDING:
            reason = Reason.LAUNCH_FAULT
        elif op in _WITHIN:
            reason = Reason.REPORT_FAULT
        elif op in _MAKING:
            reason = Reason.CHIP_REFUSED_FUSES
    return None if reason is None else Refused(str(error), reason=reason.value, hint=error.hint)


@contextlib.contextmanager
def chip_refusals() -> Iterator[None]:
    """Within it, a chip's refusal is raised as :class:`Refused` with its reason; other errors pass."""
    try:
        yield
    except CommandError as error:
        refused = refusal(error)
        if refused is None:
            raise
        raise refused from error
