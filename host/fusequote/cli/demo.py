"""The ladder: why attestation is built this way, shown by breaking it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from fusequote.cli.settings import current


def command(
    rung: Annotated[int | None, typer.Option(metavar="N", help="One rung of the five. Default: all.")] = None,
    attack: Annotated[
        str | None, typer.Option(metavar="NAME", help="One attack, where it stands; `drill` is the key-loss drill.")
    ] = None,
    step: Annotated[bool, typer.Option("--step", help="Wait for Enter before each part.")] = False,
    chip: Annotated[
        str | None,
        typer.Option(metavar="sim://|model://", help="Blank chips of this kind. Default: sim://, the RTL."),
    ] = None,
) -> int:
    """Climb the ladder: five systems that attest, each with the attacks that fail and the one that works.

    Signed hash, key exchange, local attestation, a provisioned key, EPID with the key-loss drill; every attack is made
    on running chips and services, at entry levels L1 and L2. All of it happens in a home folder of its own, gone
    afterwards. Exit code 10 when an attack does not come to what it must.
    """
    import tempfile
    import time

    from fusequote.cli.output import print_document, progress, stdout
    from fusequote.errors import UsageError
    from fusequote.home import Home
    from fusequote.ladder import Stage, Talk, chosen, climb
    from fusequote.verdict import ResultDocument

    settings = current()
    if step and settings.json:
        raise UsageError("--step waits for a reader, --json is for programs", hint="leave one of them out")
    rungs = chosen(rung, attack)
    scheme, cache = _chips(chip or settings.chip or "sim://")
    cache = cache or (str(settings.home.cache) if scheme == "sim" else None)
    console = stdout()
    tell: Callable[[str], None] = (lambda line: None) if settings.json else console.print
    talk = Talk(tell, _wait if step else lambda: None, lambda title: progress(title, settings))
    begun = time.monotonic()
    with (
        _terminated_as_interrupted(),
        tempfile.TemporaryDirectory(prefix="fusequote-demo-") as folder,
        Stage(Home(folder), scheme, cache) as stage,
    ):
        climbed = climb(stage, talk, rungs, attack)
    seconds = round(time.monotonic() - begun)
    talk.line()
    talk.line(
        f"{len(rungs)} rung{'s' * (len(rungs) != 1)}, {len(climbed.results)} attacks, each came to what it must;"
        f" {seconds} s on {scheme}://. Emulated: no evidence about real hardware."
    )
    if settings.json:
        facts: dict[str, str | int | bool] = {
            "chip": f"{scheme}://",
            "rungs": len(rungs),
            "attacks": len(climbed.results),
            "seconds": seconds,
        }
        outcomes = {f"{r.rung}.{r.attack}.{r.level}": "works" if r.worked else "fails" for r in climbed.results}
        print_document(
            ResultDocument("demo", {**facts, **outcomes, **climbed.facts}, notes=tuple(talk.lines)).to_json()
        )
    return 0


def _wait() -> None:
    # Whoever has no keyboard any more (a pipe that ended) is not kept waiting.
    with contextlib.suppress(EOFError):
        print("-- Enter --", end="", file=sys.stderr, flush=True)
        input()


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does: chips are powered off, and the folder goes; once is enough."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(*_: Any) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # an impatient second one must not interrupt the cleaning up
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _chips(url: str) -> tuple[str, str | None]:
    """Scheme and folder for builds, of ``model://``, ``sim://`` or ``sim://?cache=FOLDER``."""
    from urllib.parse import parse_qs

    from fusequote.errors import UsageError

    scheme, separator, query = url.partition("://")
    options = parse_qs(query.removeprefix("?"))
    if not separator or scheme not in ("sim", "model") or options.keys() - {"cache"}:
        hint = "the demo burns fuses, reads them and revokes keys: give sim:// or model://, for blank chips"
        raise UsageError(f"{url}: the demo is shown on simulated chips of its own", hint=hint)
    return scheme, options.get("cache", [None])[0]
