"""The servers' log: one JSON object a line on stderr.

What never gets there: bodies, header values, query strings, and the text of unexpected exceptions, any of which could
hold a key. Of an exception the log has its type and the places in the sources; of our own errors their message, which
names no secret.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from functools import lru_cache
from typing import Any, TextIO

from fusequote.errors import FusequoteError

__all__ = ["JsonLines", "configure_logging", "describe"]

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}
#: Frames of a traceback that are kept, the innermost.
_FRAMES = 12
#: json.dumps makes an encoder for each call with options.
_encode = json.JSONEncoder(default=str).encode


def describe(error: BaseException) -> dict[str, Any]:
    """An exception for the log."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    found: dict[str, Any] = {"type": f"{type(error).__module__}.{type(error).__qualname__}"}
    if isinstance(error, FusequoteError):
        found["message"] = str(error)
    found["where"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    return found


@lru_cache(maxsize=1)
def _second(whole: int) -> str:
    """A second of UTC as text; lines of one second share it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


class JsonLines(logging.Formatter):
    """``time`` (UTC), ``level``, ``logger``, ``event``, and whatever was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        whole, milliseconds = divmod(int(1000 * record.created), 1000)
        line: dict[str, Any] = {
            "time": f"{_second(whole)}.{milliseconds:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _PLAIN}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe(record.exc_info[1])
        return _encode(line)


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """All of this process's loggers write JSON lines of ``level`` and above. A log that cannot be written is dropped:
    a full disk must not stop a server.
    """
    logging.raiseExceptions = False
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Those that tell of every connection and every statement are for debugging alone.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "alembic", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET if name == "asyncio" else max(logging.WARNING, root.level))
    logging.getLogger("uvicorn.access").disabled = True
