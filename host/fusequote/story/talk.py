"""The key exchange of the scripted run, with what crosses told."""

from __future__ import annotations

import hashlib
from typing import Any

from fusequote.arch import SignType
from fusequote.exchange.client import HttpClient
from fusequote.exchange.enclave import EnclaveSession, Outcome
from fusequote.story.parties import Member, Provider
from fusequote.story.servers import Server
from fusequote.story.transcript import Transcript

__all__ = ["exchange"]

MESSAGE = b"my request"
#: Bytes that a secure message has beside its payload: size, IV, GCM tag.
_SEALED = 32


class _Told(EnclaveSession):
    """The enclave's side, which tells each message."""

    def __init__(self, told: Transcript, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._told, self._msg3 = told, 0

    def msg01(self) -> bytes:
        message = super().msg01()
        self._msg01 = len(message)
        return message

    def msg3(self, msg2: bytes) -> bytes:
        self._told.sent("enclave", "relying party", "msg0, msg1; msg2 with the SigRL", self._msg01, len(msg2))
        message = super().msg3(msg2)
        self._msg3 = len(message)
        return message

    def finish(self, msg4: bytes) -> Outcome:
        self._told.sent("enclave", "relying party", "msg3 with the quote; msg4 and its MAC", self._msg3, len(msg4))
        return super().finish(msg4)


def exchange(member: Member, relying: Server, provider: Provider, key: Any, status: str, told: Transcript) -> None:
    """msg0 to msg4 over HTTP with the relying party's process, whose verdict must be about this quote status.

    With OK a secure message and its answer follow; else there is no channel. Raises :class:`StoryFailed`, and
    :class:`Refused` when the platform itself refuses to quote.
    """
    platform, application = member.platform, member.application
    session = _Told(told, application, platform, key, spid=provider.spid, sign_type=SignType.LINKABLE)
    talk = HttpClient(session, relying.url)
    try:
        said = relying.next_line()["verdict"]
        told.check("msg4 is authentic under MK", talk.outcome.authenticated, True)
        told.check("status of the quote, in the relying party's verdict", said["quote_status"], status)
        told.check("the relying party accepts", said["accepted"], status == "OK")
        told.check("msg4 trusts the enclave", talk.outcome.trusted, status == "OK")
        if not talk.outcome.trusted:
            told.refusals += 1
            return
        answer = talk.ask(MESSAGE)
        sizes = _SEALED + len(MESSAGE), _SEALED + len(answer)
        told.sent("enclave", "relying party", "secure message (AES-128-GCM under SK)", *sizes)
        told.check("the answer is SHA-256 of the message", answer == hashlib.sha256(MESSAGE).digest(), True)
    finally:
        talk.close()
