"""The scripted run: two chips from the fuse through attestation, four revocations and TCB recovery, each step checked.

Server processes, HTTP and chips are real; what is scripted is the order, and what each answer must be.
"""

from fusequote.story.script import tell_story
from fusequote.story.transcript import StoryFailed, Transcript

__all__ = ["StoryFailed", "Transcript", "tell_story"]
