"""From a URL to an open port: everything that pyserial opens, and what other packages add to it.

Schemes of our own (``model://``, ``sim://``) are entry points of the group ``fusequote.chips``: the
scheme's name and the package that holds pyserial's ``protocol_<scheme>`` module. Two are answered here:
``serial://`` (:mod:`fusequote.chip.ports`) and ``replay:FILE`` (:mod:`fusequote.chip.replay`).
"""

from __future__ import annotations

import errno
import importlib
from importlib.metadata import entry_points
from urllib.parse import urlsplit

import serial

from fusequote.chip import ports, replay
from fusequote.chip.recording import RecordingPort, current_recorder
from fusequote.chip.status import LinkError
from fusequote.chip.wire import Port
from fusequote.errors import EnvironmentProblem, FusequoteError, UsageError

GROUP = "fusequote.chips"
#: Seconds that one read waits at most. Only how soon a timer is noticed depends on it: a read ends with
#: the first byte.
POLL = 0.05
#: Seconds for which the port may refuse to take bytes.
WRITE_TIMEOUT = 30.0
_BITS_PER_BYTE = 10
#: Schemes that name a host and a port.
_REMOTE = frozenset({"socket", "rfc2217"})
#: Schemes behind which there is a real serial line.
_SERIAL_LINES = frozenset({"rfc2217", "hwgrep", "spy", "alt"})


def schemes() -> list[str]:
    """The schemes of our own that are installed here, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def open_port(url: str, baudrate: int | None = None) -> tuple[Port, float]:
    """The open port and the seconds that a byte takes on its wire (0 where there are no bit times).

    ``baudrate``: None for that of the URL, else of the board that is found there, else 115,200. While a
    recording is made (:func:`fusequote.chip.recording.recording`) it has all that crosses the port.

    Raises :class:`UsageError` for a URL that nobody understands, :class:`EnvironmentProblem` for a
    missing extra or permission, :class:`LinkError` for a port that is not there or in use. What a
    scheme's own handler raises deliberately comes through.
    """
    port, seconds_per_byte = _open(url, baudrate)
    recorder = current_recorder()
    if recorder is not None:
        port = RecordingPort(port, seconds_per_byte, recorder)
    return port, seconds_per_byte


def _open(url: str, baudrate: int | None) -> tuple[Port, float]:
    if replay.is_replay(url):
        played = replay.open_replay(url)
        return played, played.seconds_per_byte
    scheme = _scheme(url)
    _check_address(scheme, url)
    if scheme in ("", "serial"):
        line = ports.resolve(url, baudrate)
        port = _open_url("", line.device, line.baud, url)
        try:
            ports.set_up(port, line)
        except FusequoteError:
            port.close()
            raise
        return port, _BITS_PER_BYTE / line.baud
    _load_handler(scheme, url)
    baudrate = baudrate or ports.BAUDRATE
    port = _open_url(scheme, url, baudrate, url)
    return port, getattr(port, "seconds_per_byte", _BITS_PER_BYTE / baudrate if scheme in _SERIAL_LINES else 0.0)


def _open_url(scheme: str, place: str, baudrate: int, url: str) -> Port:
    options: dict[str, object] = {"baudrate": baudrate, "timeout": POLL}
    if scheme != "rfc2217":  # its handler refuses the option; its socket has a timeout of its own
        options["write_timeout"] = WRITE_TIMEOUT
    if not scheme:
        options["exclusive"] = True  # two clients on one line would answer for each other
    try:
        return serial.serial_for_url(place, **options)
    except FusequoteError:
        raise
    except serial.SerialException as error:
        raise _cannot_open(url, error) from error
    except OSError as error:
        raise _cannot_open(url, error) from error
    except ValueError as error:
        if "baud" in str(error):
            raise UsageError(f"{url}: the port cannot do {baudrate:,} baud",
                             hint="give a rate that its bridge does: serial://DEVICE?baud=RATE") from error
        raise UsageError(f"{url}: {error}", hint=_examples()) from error


def _scheme(url: str) -> str:
    return url.split("://", 1)[0].lower() if "://" in url else ""


def _check_address(scheme: str, url: str) -> None:
    # pyserial compares what is missing with numbers, and tells that.
    if not url.strip():
        raise UsageError("a chip's address is empty", hint=_examples())
    if scheme not in _REMOTE:
        return
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname and parts.port)
    except ValueError:
        whole = False
    if not whole:
        raise UsageError(f"{url}: host and port are wanted, port 1 to 65535", hint=_examples())


def _load_handler(scheme: str, url: str) -> None:
    point = next((point for point in entry_points(group=GROUP) if point.name == scheme), None)
    if point is None:
        return
    try:
        # pyserial takes a handler that cannot be imported for one that does not exist; here it is known
        # to exist.
        importlib.import_module(f"{point.value}.protocol_{scheme}")
    except ImportError as error:
        raise EnvironmentProblem(
            f"{url}: {scheme}:// is installed, but cannot be loaded: {error}",
            hint=f"pip install 'fusequote[{scheme}]'",
        ) from error
    if point.value not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(point.value)


def _cannot_open(url: str, error: OSError) -> FusequoteError:
    code = error.errno or getattr(error.__context__, "errno", None)
    if code in (errno.EACCES, errno.EPERM):
        return EnvironmentProblem(
            f"{url}: no permission to open it",
            hint="join the group that owns it (often: sudo usermod -aG dialout $USER, then log in again)",
        )
    if code == errno.ENOENT:
        return LinkError(f"{url}: there is no such port", hint=f"is the board plugged in? {_examples()}")
    if code in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY):
        return LinkError(f"{url}: another program has it open", hint="end that program first")
    return LinkError(f"{url}: cannot be opened: {error}", hint=_examples())


def _examples() -> str:
    known = [f"{scheme}://" for scheme in schemes()]
    places = ("serial:///dev/ttyUSB0?baud=3000000", "/dev/ttyUSB0", "socket://host:port", "rfc2217://host:port")
    return "a chip is given as " + ", ".join([*known, *places, "replay:FILE"])
