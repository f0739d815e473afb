"""Recordings of a session with a chip: every frame, decoded, without the tickets and keys that are in it."""

from __future__ import annotations

from pathlib import Path

from fusequote.chip.framing import Decoder
from fusequote.chip.recording import MAGIC, Event, Session, read_recording
from fusequote.chip.replay import frame_text
from fusequote.inspect.description import Description, Item, Section

__all__ = ["HEAD", "describe_recording"]

#: What a recording of any version begins with.
HEAD = MAGIC.rpartition(" ")[0].encode() + b" "


def describe_recording(source: Path | bytes) -> Description:
    """The frames of every session, in order; offsets are those of the line in the file on which a frame ends.

    Raises as :func:`fusequote.chip.recording.read_recording`.
    """
    sessions = read_recording(source)
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    sections = tuple(Section(f"session {number}, line {session.line}", tuple(_frames(session)))
                     for number, session in enumerate(sessions, 1))
    facts = [("sessions", str(len(sessions))), ("frames", str(sum(len(section.items) for section in sections)))]
    warnings = ["it holds all that crossed the link: tickets, and every key that EGETKEY answered"]
    warnings += [f"session {number} was not closed: the recording breaks off"
                 for number, session in enumerate(sessions, 1) if not session.ended]
    return Description("recording", "recording of a session with a chip", size, sections, tuple(facts), tuple(warnings))


def _frames(session: Session) -> list[Item]:
    found: list[Item] = []
    decoders = {True: Decoder(), False: Decoder()}
    for event in session.events:
        for frame in decoders[event.to_chip].feed(event.data):
            found.append(_item(len(found) + 1, event, frame))
    return found


def _item(number: int, event: Event, frame) -> Item:
    size = len(frame) if isinstance(frame, bytes) else len(event.data)
    name = f"{number} {'host -> chip' if event.to_chip else 'chip -> host'}"
    return Item(name, event.offset, size, None, frame_text(frame, event.to_chip))
