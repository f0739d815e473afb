"""The statuses of docs/link.md 2.2, as errors that explain themselves.

Each error's first line names the command and the status as the manual (or docs/link.md) names it, and
says what it means; ``hint`` says what to do. ``status``, ``op`` and ``reason`` are for programs.
"""

from __future__ import annotations

from enum import IntEnum

from fusequote.chip.ops import Op, op_name
from fusequote.errors import DeviceError


class Status(IntEnum):
    """Status of an answer."""

    SUCCESS = 0x0000
    SGX_INVALID_SIG_STRUCT = 0x0001
    SGX_INVALID_ATTRIBUTE = 0x0002
    SGX_INVALID_MEASUREMENT = 0x0004
    SGX_INVALID_SIGNATURE = 0x0008
    SGX_ENCLAVE_ACT = 0x000E
    SGX_INVALID_EINITTOKEN = 0x0010
    SGX_INVALID_CPUSVN = 0x0020
    SGX_INVALID_ISVSVN = 0x0040
    SGX_UNMASKED_EVENT = 0x0080
    SGX_INVALID_KEYNAME = 0x0100
    LINK_UNKNOWN_COMMAND = 0x4001
    LINK_BAD_LENGTH = 0x4002
    LINK_BAD_FRAME = 0x4003
    LINK_TOO_LONG = 0x4004
    LINK_OUT_OF_SEQUENCE = 0x4005
    LINK_ANSWER_GONE = 0x4006
    BLOCK_LIFE_CYCLE = 0x4011
    BLOCK_NO_SLOT = 0x4012
    BLOCK_NO_TCS = 0x4013
    BLOCK_BOOT_FAILED = 0x4014
    BLOCK_NO_GENERATION = 0x4015
    BLOCK_ENTRY_PROOF = 0x4016
    FAULT_GP = 0x800D
    FAULT_PF = 0x800E


def status_name(status: int) -> str:
    """``SGX_INVALID_ATTRIBUTE``, ``#GP``, ``#PF``, or ``status 0x1234`` for one that docs/link.md does
    not list."""
    try:
        known = Status(status)
    except ValueError:
        return f"status 0x{status:04X}"
    return {Status.FAULT_GP: "#GP", Status.FAULT_PF: "#PF"}.get(known, known.name)


class CommandError(DeviceError):
    """The chip answered a command with a status other than success. Its state is as before the command.

    ``status``: the status, an int. ``op``: the command's number. ``reason``: ``device.`` and the status
    by name.
    """

    def __init__(self, status: int, op: int, note: str = ""):
        meaning, hint = explain(status, op)
        super().__init__(f"{_where(op, note)}: {status_name(status)}: {meaning}", hint=hint)
        self.status = status
        self.op = op
        self.note = note
        self.reason = "device." + status_name(status).lstrip("#").replace(" ", "_")

    def __reduce__(self):
        return type(self), (self.status, self.op, self.note)


class SgxError(CommandError):
    """A leaf ended with one of Intel's error codes (0x0001 to 0x0FFF, as in RAX)."""


class ChipFault(CommandError):
    """The command faulted: #GP(0) or #PF. On a CPU this would be an exception, here it is an answer."""


class BlockError(CommandError):
    """The block is not in a state for this command (0x4010 to 0x401F): life cycle, slots, boot."""


class LinkError(DeviceError):
    """The link failed: no answer, damaged or foreign answers, or a request that the chip could not take.

    ``op``: the command it happened to, or None. ``status``: the chip's LINK_ status, when it was one.
    After this error it is not known whether the command was run, unless the message says so.
    """

    def __init__(
        self, message: str, *, op: int | None = None, status: int | None = None, hint: str | None = None
    ):
        super().__init__(message, hint=hint)
        self.op = op
        self.status = status
        self.reason = "device.link" if status is None else f"device.{status_name(status)}"

    @classmethod
    def of(cls, status: int, op: int, note: str = "") -> LinkError:
        """The error for a LINK_ status (or one that docs/link.md does not know) in answer to ``op``."""
        meaning, hint = explain(status, op)
        return cls(
            f"{_where(op, note)}: {status_name(status)}: {meaning}", op=op, status=status, hint=hint
        )


def _where(op: int, note: str) -> str:
    return f"{op_name(op)} ({note})" if note else op_name(op)


def error_for(status: int, op: int, note: str = "") -> DeviceError:
    """The error that says what ``status`` in answer to ``op`` means. ``note`` says where, such as an
    address."""
    if status in (Status.FAULT_GP, Status.FAULT_PF):
        return ChipFault(status, op, note)
    if 0x0001 <= status <= 0x0FFF:
        return SgxError(status, op, note)
    if 0x4010 <= status <= 0x401F:
        return BlockError(status, op, note)
    return LinkError.of(status, op, note)


def explain(status: int, op: int) -> tuple[str, str | None]:
    """(what it means, what to do or None), for this command if it has a meaning of its own there."""
    unknown = (
        "a status that docs/link.md does not list",
        "is the chip newer than this program? `fusequote doctor`",
    )
    return _AT.get((op, status)) or _MEANING.get(status, unknown)


_WRONG_SIGSTRUCT = "sign the image again, or give the SIGSTRUCT that belongs to it"
_LAUNCH_CONTROL = (
    "write the signer's MRSIGNER with SET_LEPUBKEYHASH (launch does, unless locked), or use a token"
)

_MEANING: dict[int, tuple[str, str | None]] = {
    Status.SGX_INVALID_SIG_STRUCT: (
        "a fixed or reserved field of the SIGSTRUCT is wrong",
        _WRONG_SIGSTRUCT,
    ),
    Status.SGX_INVALID_ATTRIBUTE: ("the enclave's attributes do not allow this", None),
    Status.SGX_INVALID_MEASUREMENT: ("the measurement is not the one expected", _WRONG_SIGSTRUCT),
    Status.SGX_INVALID_SIGNATURE: (
        "the RSA signature of the SIGSTRUCT does not verify",
        _WRONG_SIGSTRUCT,
    ),
    Status.SGX_ENCLAVE_ACT: ("the enclave is entered", "leave it (EEXIT) or interrupt it (AEX) first"),
    Status.SGX_INVALID_EINITTOKEN: (
        "no valid EINITTOKEN, and the signer is not the launch key's owner",
        _LAUNCH_CONTROL,
    ),
    Status.SGX_INVALID_CPUSVN: (
        "a CPUSVN above the chip's own",
        "ask for a CPUSVN of which no component is above the chip's (IDENTIFY shows it)",
    ),
    Status.SGX_INVALID_ISVSVN: (
        "an ISVSVN or CONFIGSVN above the enclave's own",
        "an enclave gets keys of its own and older versions only",
    ),
    Status.SGX_UNMASKED_EVENT: ("an event arrived during the command", "try again"),
    Status.SGX_INVALID_KEYNAME: ("KEYNAME is none of the manual's five keys", None),
    Status.LINK_UNKNOWN_COMMAND: ("the chip has no such command", "is the chip older than this program?"),
    Status.LINK_BAD_LENGTH: ("the request's body has a wrong length", None),
    Status.LINK_BAD_FRAME: ("the frame was damaged on its way", "check cable and baud rate"),
    Status.LINK_TOO_LONG: ("the frame is longer than the chip takes", None),
    Status.LINK_OUT_OF_SEQUENCE: (
        "the chip is at another sequence number",
        "does another program use this chip?",
    ),
    Status.LINK_ANSWER_GONE: ("it was done, but its answer carried a key and is not kept", "ask again"),
    Status.BLOCK_LIFE_CYCLE: (
        "not in this life cycle of the chip",
        "a blank chip is manufactured and locked first; a lock takes effect at the next reset",
    ),
    Status.BLOCK_NO_SLOT: (
        "every enclave slot is taken",
        "remove an enclave (EREMOVE) or reset the chip",
    ),
    Status.BLOCK_NO_TCS: ("this slot holds as many TCS as it can", "sign the enclave with fewer threads"),
    Status.BLOCK_BOOT_FAILED: (
        "the chip could not start: fuses unreadable or of another map version",
        "use a fuse file (or a chip) of this version",
    ),
    Status.BLOCK_NO_GENERATION: (
        "every CPUSVN generation of this chip's fuses is burnt",
        "a chip can be raised seven times; after that there is no TCB recovery for it",
    ),
    Status.BLOCK_ENTRY_PROOF: (
        "the signed entry does not allow this: no open challenge, another key, a bad signature, or a command that is "
        "not the next one of its chain",
        "ask for a challenge (ECHALLENGE) and enter anew with the holder's key; docs/link.md 3.4",
    ),
    Status.FAULT_GP: ("general protection: an operand breaks a rule of this command", None),
    Status.FAULT_PF: (
        "page fault: there is no such enclave, page or TCS",
        "was the chip reset, or the enclave removed?",
    ),
}

_ENTRY_GONE = (
    "no entry with this ticket is active",
    "was the enclave left (EEXIT, AEX) or the chip reset?",
)
_NO_SUCH_PAGE = (
    "no such enclave, or LINADDR is not in the page that EADD opened last",
    "the chip stores no pages: extend each page before the next one is added",
)

#: Where a status says more when one knows the command (docs/chip.md section 4).
_AT: dict[tuple[int, int], tuple[str, str | None]] = {
    (Op.ECREATE, Status.FAULT_GP): (
        "the SECS breaks a rule (SIZE, BASEADDR, SSAFRAMESIZE, ATTRIBUTES, XFRM, CET, reserved bytes)",
        "docs/chip.md section 4, ECREATE, lists the rules",
    ),
    (Op.EADD, Status.FAULT_GP): (
        "LINADDR outside the enclave, SECINFO or TCS breaks a rule, or the enclave is initialised",
        "docs/chip.md section 4, EADD, lists the rules",
    ),
    (Op.EEXTEND, Status.FAULT_GP): (
        "LINADDR is outside the enclave, or the enclave is initialised",
        None,
    ),
    (Op.EEXTEND, Status.FAULT_PF): _NO_SUCH_PAGE,
    (Op.EINIT, Status.FAULT_GP): ("the enclave is initialised already", None),
    (Op.EINIT, Status.SGX_INVALID_ATTRIBUTE): (
        "the enclave's ATTRIBUTES, MISCSELECT or CET are not those that the SIGSTRUCT allows, or it asks for "
        "EINITTOKEN_KEY or PROVISIONKEY and its signer may not have them",
        "EINITTOKEN_KEY is for the signer in LEPUBKEYHASH, PROVISIONKEY for the two signers in the fuses",
    ),
    (Op.EINIT, Status.SGX_INVALID_MEASUREMENT): (
        "what the chip measured is not ENCLAVEHASH of the SIGSTRUCT (or MRENCLAVE or MRSIGNER of the token), or the "
        "image names two entry keys",
        _WRONG_SIGSTRUCT,
    ),
    (Op.EINIT, Status.SGX_INVALID_CPUSVN): (
        "the EINITTOKEN comes from a newer CPUSVN than the chip's",
        None,
    ),
    (Op.EGETKEY, Status.SGX_INVALID_ATTRIBUTE): (
        "this enclave's ATTRIBUTES do not allow this key",
        "PROVISION and PROVISION_SEAL keys need PROVISIONKEY, EINITTOKEN keys need EINITTOKEN_KEY",
    ),
    (Op.EGETKEY, Status.FAULT_GP): (
        "no active entry with this ticket, or reserved bits of KEYREQUEST or KEYPOLICY are set",
        _ENTRY_GONE[1],
    ),
    (Op.EREPORT, Status.FAULT_GP): (
        "no active entry with this ticket, or reserved bytes of TARGETINFO are not 0",
        _ENTRY_GONE[1],
    ),
    (Op.EEXIT, Status.FAULT_GP): _ENTRY_GONE,
    (Op.VERIFYREPORT, Status.FAULT_GP): _ENTRY_GONE,
    (Op.EENTER, Status.FAULT_GP): (
        "the enclave is not initialised, its TCS is in use, or all its SSA frames are",
        "take another TCS, leave the one in use (EEXIT), or resume it (ERESUME)",
    ),
    (Op.ERESUME, Status.FAULT_GP): (
        "the TCS is in use, or nothing was interrupted there (CSSA is 0)",
        None,
    ),
    (Op.AEX, Status.FAULT_GP): ("the TCS is not in use", None),
    (Op.SLOT_INFO, Status.FAULT_GP): ("the enclave is not initialised", None),
    (Op.SET_LEPUBKEYHASH, Status.FAULT_GP): (
        "the fuses lock LEPUBKEYHASH",
        "use an EINITTOKEN of its owner",
    ),
    (Op.SET_OWNEREPOCH, Status.FAULT_GP): (
        "OWNEREPOCH was set in this boot already",
        "reset the chip first",
    ),
    (Op.ECHALLENGE, Status.FAULT_GP): (
        "the enclave is not initialised, or its image names no entry key",
        "an enclave without an entry key is entered without a proof",
    ),
    (Op.FUSE_RAISE_SVN, Status.SGX_INVALID_SIGNATURE): (
        "the maker did not authorise this CPUSVN for this chip",
        "fusequote maker raise-svn makes the MAC from the maker's record",
    ),
    (Op.FUSE_RAISE_SVN, Status.SGX_INVALID_CPUSVN): (
        "not above the chip's CPUSVN: no component may go down, and one has to go up",
        "FUSE_STATUS shows the CPUSVN that is burnt",
    ),
    (Op.FUSE_RAISE_SVN, Status.BLOCK_LIFE_CYCLE): (
        "the chip has not booted as locked",
        "a lock takes effect at the next reset",
    ),
    (Op.FUSE_SCRAP, Status.SGX_INVALID_SIGNATURE): (
        "the maker did not authorise the end of this chip",
        "fusequote maker scrap makes the MAC from the maker's record",
    ),
    (Op.FUSE_SCRAP, Status.BLOCK_LIFE_CYCLE): (
        "the chip is blank, scrapped already, or locked and not yet booted so",
        "FUSE_STATUS shows which",
    ),
    (Op.FUSE_MANUFACTURE, Status.FAULT_GP): (
        "root provisioning key or device id are all zero, reserved bytes or unknown options are set, or "
        "the P-256 key does not match the option",
        "docs/link.md 3.3 lists the rules",
    ),
    (Op.FUSE_MANUFACTURE, Status.BLOCK_LIFE_CYCLE): (
        "the chip is not blank: it was manufactured before, for good",
        "take a blank chip (a new fuse file)",
    ),
    (Op.FUSE_LOCK, Status.BLOCK_LIFE_CYCLE): (
        "the chip is blank or locked already",
        "FUSE_STATUS shows which",
    ),
}
