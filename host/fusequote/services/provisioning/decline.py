"""How the server says no: a general status, which anybody can read, or a protocol status under the answer's MAC."""

from __future__ import annotations

from fusequote.arch.provmsg import GeneralStatus, ProtocolStatus

__all__ = ["Decline", "Reject"]


class Reject(Exception):
    """The message as such cannot be worked on. ``why`` is for the log."""

    def __init__(self, gstatus: GeneralStatus, why: str):
        super().__init__(f"{gstatus.name}: {why}")
        self.gstatus = gstatus


class Decline(Exception):
    """The message is understood, and the answer is no. ``why`` is for the log."""

    def __init__(self, pstatus: ProtocolStatus, why: str):
        super().__init__(f"{pstatus.name}: {why}")
        self.pstatus = pstatus
