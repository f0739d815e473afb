"""Every error that fusequote raises on purpose, and the exit code that the command line gives for it.

One line for a person, one machine-readable reason for a program: ``str(error)`` is the line, ``error.reason`` the
code from the closed list of :class:`fusequote.verdict.Reason` or a dotted name of the error's own family.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """Exit codes of every ``fusequote`` command (documented in docs/cli.md)."""

    OK = 0
    #: The command line or a file given to it is wrong.
    USAGE = 2
    #: Something is missing on this machine: a compiler, an extra, a permission.
    ENVIRONMENT = 3
    #: The chip did not answer, answered nonsense, or refused.
    DEVICE = 4
    #: Everything worked, and the answer is no.
    NEGATIVE = 10
    #: A bug in fusequote.
    INTERNAL = 70


class FusequoteError(Exception):
    """Base of all deliberate errors.

    ``hint`` says what to do about it; it is shown after the message on its own line.
    """

    exit_code: ExitCode = ExitCode.USAGE
    #: Machine-readable name of the kind of error, used as ``error.kind`` in ``--json``.
    kind: str = "error"

    def __init__(self, message: str, *, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


class FormatError(FusequoteError, ValueError):
    """Bytes that are not what they should be: truncated, oversized, reserved bits set, wrong type.

    ``offset`` is where the input stops making sense, in bytes from its start, when that is known.
    """

    kind = "format"

    def __init__(self, message: str, *, offset: int | None = None, hint: str | None = None):
        super().__init__(message, hint=hint)
        self.offset = offset


class UsageError(FusequoteError):
    """The caller asked for something that cannot be: a wrong option, name, or order of calls."""

    kind = "usage"


class EnvironmentProblem(FusequoteError):
    """This machine lacks something: compiler, extra, permission, disk. ``hint`` says what to install."""

    exit_code = ExitCode.ENVIRONMENT
    kind = "environment"


class DeviceError(FusequoteError):
    """The chip or the link to it: silent, talking nonsense, or in a state that forbids the command."""

    exit_code = ExitCode.DEVICE
    kind = "device"


class Refused(FusequoteError):
    """A party of the protocol said no, with a reason. ``reason`` is from :mod:`fusequote.verdict`.

    ``detail`` is what was seen, without what the reason means: by default the whole message.
    """

    exit_code = ExitCode.NEGATIVE
    kind = "refused"

    def __init__(self, message: str, *, reason: str, hint: str | None = None, detail: str | None = None):
        super().__init__(message, hint=hint)
        self.reason = reason
        self.detail = message if detail is None else detail


class Fault(StrEnum):
    """A closed list of what a peer of a protocol can do wrong: subclasses have the members, each code and meaning.

    ``fault.meaning`` is its one line.
    """

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Fault:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class PeerFault(FusequoteError):
    """A protocol ended for a :class:`Fault`. ``fault`` says which, ``reason`` and ``kind`` are its code."""

    exit_code = ExitCode.NEGATIVE

    def __init__(self, fault: Fault, detail: str = "", *, hint: str | None = None):
        super().__init__(f"{fault.meaning} ({detail})" if detail else fault.meaning, hint=hint)
        self.fault = fault
        self.reason = self.kind = fault.value
