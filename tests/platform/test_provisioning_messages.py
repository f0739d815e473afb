"""Provisioning messages altered, cut, replayed, reordered, lost, of another session."""

from __future__ import annotations

import pytest
from chain_world import flip, some_bits
from fusequote.arch.provmsg import GeneralStatus, ResponseHeader
from fusequote.errors import Refused, UsageError
from fusequote.platform.endpoint import ServerTrouble
from fusequote.platform.epidblob import BLOB_SIZE
from fusequote.services.provisioning_tables import Membership
from provisioning_world import Ends


def outcome(ends: Ends, **changes) -> str | None:
    """How the alteration was noticed: the error's name, or that the server had the platform begin anew; None if not."""
    ends.forget()
    wire = ends.wire(**changes)
    try:
        ends.agent(wire).provision()
    except (Refused, ServerTrouble, UsageError) as error:
        return type(error).__name__
    statuses = [ResponseHeader.unpack_from(answer).gstatus for answer in wire.answers]
    return "anew" if GeneralStatus.TRANSACTION_STATE_LOST in statuses[:-1] else None


def test_any_bit_of_any_message(fresh: Ends, rng):
    wire = fresh.wire()
    fresh.agent(wire).provision()
    assert outcome(fresh) is None
    for side, messages in (("change_request", wire.requests), ("change_answer", wire.answers)):
        for number, message in enumerate(messages):
            head = 15 if side == "change_request" else 19
            for start, end, count in ((0, head, 6), (head, head + 12, 3), (head, len(message), 8)):
                for bit in some_bits(rng, start, end, count):
                    error = outcome(fresh, **{side: {number: lambda m, bit=bit: flip(m, bit)}})
                    assert error is not None, (side, number, bit)


def test_messages_cut_or_extended(fresh: Ends, rng):
    wire = fresh.wire()
    fresh.agent(wire).provision()
    for side, messages in (("change_request", wire.requests), ("change_answer", wire.answers)):
        for number, message in enumerate(messages):
            lengths = [15, 19, len(message) - 1, rng.randrange(19, len(message))]
            for change in [*(lambda m, n=n: m[:n] for n in lengths), lambda m: m + b"\0", lambda m: m + m]:
                assert outcome(fresh, **{side: {number: change}}) is not None, (side, number)


def test_a_session_is_good_once(fresh: Ends):
    wire = fresh.wire()
    fresh.agent(wire).provision()
    replayed = ResponseHeader.from_bytes(fresh.server.handle(wire.requests[1]))
    assert (replayed.gstatus, replayed.size) == (GeneralStatus.TRANSACTION_STATE_LOST, 0)
    # ProvMsg1 once more is a new session, of use to nobody who has not SK.
    assert fresh.server.handle(wire.requests[0]) != wire.answers[0]


def test_messages_of_another_session(fresh: Ends):
    first = fresh.wire()
    fresh.agent(first).provision()
    for side, messages in (("change_request", first.requests), ("change_answer", first.answers)):
        for number, message in enumerate(messages):
            assert outcome(fresh, **{side: {number: lambda _, message=message: message}}) is not None
    # Out of order: ProvMsg3 in the place of ProvMsg1, ProvMsg4 in the place of ProvMsg2.
    assert outcome(fresh, change_request={0: lambda _: first.requests[1]}) is not None
    assert outcome(fresh, change_answer={0: lambda _: first.answers[1]}) is not None


def test_a_lost_transaction_is_begun_anew(fresh: Ends):
    """The server that restarted, or waited too long, says so; the platform asks again, once."""
    from fusequote.services.provisioning_tables import ProvisioningSession
    from sqlalchemy import delete

    def lose(message: bytes) -> bytes:
        with fresh.made.services.store.session() as session:
            session.execute(delete(ProvisioningSession))
        return message

    wire = fresh.wire(change_request={1: lose})
    assert len(fresh.agent(wire).provision()) == BLOB_SIZE and len(wire.requests) == 4
    fresh.forget()
    with pytest.raises(ServerTrouble, match="transaction"):
        fresh.agent(fresh.wire(change_request=dict.fromkeys((1, 3, 5), lose))).provision()


def test_an_answer_that_never_came(fresh: Ends):
    """ProvMsg4 is lost after the credential was kept: asking again gives that key, and there is one in the store."""

    class Cut(Exception):
        pass

    def cut(message: bytes) -> bytes:
        raise Cut

    with pytest.raises(Cut):
        fresh.agent(fresh.wire(change_answer={1: cut})).provision()
    wire = fresh.wire()
    assert fresh.agent(wire).provision() and len(wire.requests) == 1
    with fresh.made.services.store.reading() as session:
        assert len(session.query(Membership).all()) == 1
